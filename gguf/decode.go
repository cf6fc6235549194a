package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Limits on what a header may hold. They are far above what real files have
// and keep the bookkeeping for a hostile header within a few megabytes,
// whatever counts it claims; the content of keys, strings and arrays is
// bounded by the file's own size instead.
const (
	maxKeys       = 1 << 14
	maxTensors    = 1 << 16
	maxDims       = 4
	maxTensorName = 63 // ggml holds names in 64 bytes, the last one zero
	maxArrayDepth = 4
)

// label names what is being read, for errors. It is put together only when an
// error needs it: a header has hundreds of thousands of things to read.
type label struct {
	of   string // a property: "the length"
	kind string // "key", "tensor"
	name string // from the file, quoted
	i, n int64  // the i-th of n, counted from 1, of things without a name yet
}

// the returns the label of a property of what l names.
func (l label) the(property string) label {
	l.of = property
	return l
}

func (l label) String() string {
	s := l.kind
	if l.name != "" {
		s += " " + quote(l.name)
	}
	if l.n > 0 {
		s += fmt.Sprintf(" %d of %d", l.i, l.n)
	}
	if l.of != "" {
		s = "the " + l.of + " of " + s
	}
	return s
}

// decoder reads the scalars of a header one after the other, from memory or
// from a ReaderAt.
type decoder struct {
	mem  []byte // the whole file, if it is in memory
	r    io.ReaderAt
	size int64
	off  int64
	enc  encoding

	window []byte // bytes of r from offset start on
	start  int64

	oddBools int // bools that were neither 0 nor 1
}

// take returns the next n bytes, valid until the next call.
func (d *decoder) take(n int64, what label) ([]byte, error) {
	if n > d.size-d.off {
		return nil, d.short(n, what)
	}
	if d.mem != nil {
		b := d.mem[d.off : d.off+n]
		d.off += n
		return b, nil
	}
	if d.off < d.start || d.off+n > d.start+int64(len(d.window)) {
		if err := d.fill(n, what); err != nil {
			return nil, err
		}
	}
	b := d.window[d.off-d.start:][:n]
	d.off += n
	return b, nil
}

// owned returns a copy of the next n bytes.
func (d *decoder) owned(n int64, what label) ([]byte, error) {
	if n > d.size-d.off {
		return nil, d.short(n, what)
	}
	if d.mem != nil {
		b := bytes.Clone(d.mem[d.off : d.off+n])
		d.off += n
		return b, nil
	}
	b, err := readAt(d.r, d.off, n, what)
	d.off += n
	return b, err
}

// fill reads the window anew, so that it begins at the current offset.
func (d *decoder) fill(n int64, what label) error {
	const step = 64 << 10
	b, err := readAt(d.r, d.off, min(max(n, step), d.size-d.off), what)
	if err != nil {
		return err
	}
	d.window, d.start = b, d.off
	return nil
}

// short reports that n more bytes for what do not fit the file.
func (d *decoder) short(n int64, what label) error {
	return fmt.Errorf("%w: %s needs %d bytes at offset %d, but the file ends at %d; download or copy it again", ErrTruncated, what, n, d.off, d.size)
}

func (d *decoder) u32(what label) (uint32, error) {
	b, err := d.take(4, what)
	if err != nil {
		return 0, err
	}
	return d.enc.order().Uint32(b), nil
}

func (d *decoder) u64(what label) (uint64, error) {
	b, err := d.take(8, what)
	if err != nil {
		return 0, err
	}
	return d.enc.order().Uint64(b), nil
}

// length reads a count or length: 64 bits, in version 1 32 bits.
func (d *decoder) length(what label) (uint64, error) {
	if d.enc.v1 {
		n, err := d.u32(what)
		return uint64(n), err
	}
	return d.u64(what)
}

// lengthBytes is the size of what length reads.
func (d *decoder) lengthBytes() int64 {
	if d.enc.v1 {
		return 4
	}
	return 8
}

// count reads a number of things that take at least minBytes each, and checks
// that so many can follow.
func (d *decoder) count(what label, minBytes int64) (int64, error) {
	at := d.off
	n, err := d.length(what)
	if err != nil {
		return 0, err
	}
	if left := d.size - d.off; n > uint64(left/minBytes) {
		return 0, fmt.Errorf("%w or corrupt: %s at offset %d is %d, which needs at least %d bytes each, but only %d bytes follow", ErrTruncated, what, at, n, minBytes, left)
	}
	return int64(n), nil
}

// text returns the bytes of a string, valid until the next call.
func (d *decoder) text(what label) ([]byte, error) {
	n, err := d.count(what.the("length"), 1)
	if err != nil {
		return nil, err
	}
	return d.take(n, what)
}

// value reads a value of type t. what names it in errors.
func (d *decoder) value(t ValueType, what label) (Value, error) {
	switch {
	case !t.known():
		return Value{}, fmt.Errorf("%w: %s at offset %d has value type %d, want 0 to %d", ErrCorrupt, what, d.off, uint32(t), len(valueTypes)-1)
	case t == ValueArray:
		return d.array(what, 1)
	case t == ValueString:
		b, err := d.text(what)
		if err != nil {
			return Value{}, err
		}
		return Value{typ: t, str: string(b)}, nil
	}
	b, err := d.take(int64(t.width()), what)
	if err != nil {
		return Value{}, err
	}
	if t == ValueBool && b[0] > 1 {
		d.oddBools++
	}
	return scalar(t, b, d.enc.order()), nil
}

// array reads an array's element type, count and elements; depth is 1 for an
// array that is in no other.
func (d *decoder) array(what label, depth int) (Value, error) {
	elem, n, err := d.arrayHeader(what, depth)
	if err != nil {
		return Value{}, err
	}
	a := &array{elem: elem, len: int(n)}
	switch elem {
	case ValueString:
		err = d.strings(a, what)
	case ValueArray:
		from := d.off
		if err = d.skipElements(elem, n, what, depth); err != nil {
			break
		}
		to := d.off
		d.off = from
		a.enc = d.enc
		a.raw, err = d.owned(to-from, what)
	default:
		if a.raw, err = d.owned(n*int64(elem.width()), what); err != nil {
			break
		}
		if d.enc.big {
			swapRun(a.raw, elem.width())
		}
		if elem == ValueBool {
			d.tidyBools(a.raw)
		}
	}
	if err != nil {
		return Value{}, err
	}
	return Value{typ: ValueArray, arr: a}, nil
}

// arrayHeader reads and checks the element type and count of an array.
func (d *decoder) arrayHeader(what label, depth int) (ValueType, int64, error) {
	if depth > maxArrayDepth {
		return 0, 0, fmt.Errorf("%w: %s nests arrays more than %d deep at offset %d", ErrUnsupported, what, maxArrayDepth, d.off)
	}
	at := d.off
	id, err := d.u32(what.the("element type"))
	if err != nil {
		return 0, 0, err
	}
	elem := ValueType(id)
	if !elem.known() {
		return 0, 0, fmt.Errorf("%w: %s at offset %d is an array of value type %d, want 0 to %d", ErrCorrupt, what, at, id, len(valueTypes)-1)
	}
	least := int64(elem.width())
	switch elem {
	case ValueString:
		least = d.lengthBytes()
	case ValueArray:
		least = 4 + d.lengthBytes()
	}
	n, err := d.count(what.the("element count"), least)
	if err != nil {
		return 0, 0, err
	}
	if n > math.MaxInt32 && n > math.MaxInt {
		return 0, 0, fmt.Errorf("%w: %s has %d elements, more than this platform can address", ErrUnsupported, what, n)
	}
	return elem, n, nil
}

// strings reads the strings of a: once to learn their length, once to copy
// them into a single backing string.
func (d *decoder) strings(a *array, what label) error {
	from := d.off
	if err := d.skipElements(ValueString, int64(a.len), what, 1); err != nil {
		return err
	}
	total := d.off - from - int64(a.len)*d.lengthBytes()
	if err := checkText(uint64(total)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	d.off = from
	a.ends = make([]uint32, a.len)
	var text strings.Builder
	text.Grow(int(total))
	for i := range a.ends {
		s, err := d.text(what)
		if err != nil {
			return err
		}
		text.Write(s)
		a.ends[i] = uint32(text.Len())
	}
	a.text = text.String()
	return nil
}

// skipElements passes over n array elements and checks that they are whole.
func (d *decoder) skipElements(elem ValueType, n int64, what label, depth int) error {
	switch elem {
	case ValueString:
		if d.mem != nil && !d.enc.v1 && !d.enc.big {
			return d.skipStrings(n, what)
		}
		for range n {
			if _, err := d.text(what); err != nil {
				return err
			}
		}
	case ValueArray:
		for range n {
			inner, m, err := d.arrayHeader(what, depth+1)
			if err != nil {
				return err
			}
			if err := d.skipElements(inner, m, what, depth+1); err != nil {
				return err
			}
		}
	default:
		// In pieces, so that a window never has to hold the whole array.
		for left := n * int64(elem.width()); left > 0; {
			piece := min(left, 64<<10)
			if _, err := d.take(piece, what); err != nil {
				return err
			}
			left -= piece
		}
	}
	return nil
}

// skipStrings is skipElements for the strings of a little-endian file in
// memory: vocabularies have hundreds of thousands.
func (d *decoder) skipStrings(n int64, what label) error {
	for range n {
		left := d.mem[d.off:]
		if len(left) < 8 {
			return d.short(8, what.the("length"))
		}
		length := binary.LittleEndian.Uint64(left)
		if length > uint64(len(left)-8) {
			_, err := d.text(what) // words the error
			return err
		}
		d.off += 8 + int64(length)
	}
	return nil
}

// tidyBools makes every byte of a bool array 0 or 1.
func (d *decoder) tidyBools(raw []byte) {
	for i, b := range raw {
		if b > 1 {
			raw[i] = 1
			d.oddBools++
		}
	}
}

// readAt reads n bytes of r in growing pieces: a reader that has less than its
// claimed size costs no more memory than about twice what it has.
func readAt(r io.ReaderAt, off, n int64, what label) ([]byte, error) {
	if n > math.MaxInt {
		return nil, fmt.Errorf("%w: %s has %d bytes, more than this platform can address", ErrUnsupported, what, n)
	}
	var b []byte
	for piece := int64(1 << 20); int64(len(b)) < n; piece *= 2 {
		have := len(b)
		grown := make([]byte, min(n, int64(have)+piece))
		copy(grown, b)
		b = grown
		if got, err := r.ReadAt(b[have:], off+int64(have)); got < len(b)-have {
			return nil, readError(err, what, off, n, off+int64(have+got))
		}
	}
	return b, nil
}

// readError words a short read of n bytes at off that stopped at end.
func readError(err error, what label, off, n, end int64) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %s needs %d bytes at offset %d, but the reader has no more after %d, less than the size it was opened with", ErrTruncated, what, n, off, end)
	}
	return fmt.Errorf("reading %s, %d bytes at offset %d: %w", what, n, off, err)
}
