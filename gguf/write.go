package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// TensorSpec describes a tensor to be written.
type TensorSpec struct {
	Name string
	Dims []int64 // ne order, as in [Tensor]
	Type Type
	// Write writes the tensor's bytes, little-endian, exactly Type.Size(Dims)
	// of them. It is called once, when the file has come to this tensor.
	Write func(w io.Writer) error
}

// maxAlignment bounds the alignment of written files: padding every tensor to
// more wastes space and helps nobody.
const maxAlignment = 1 << 20

// maxKey is the longest key the format's description allows.
const maxKey = 1<<16 - 1

// WriteTo writes a little-endian GGUF v3 file: the metadata in its order, and
// the tensors in theirs, each at the next multiple of general.alignment (32
// when absent). Everything that can be checked is checked before the first
// byte is written; the errors wrap ErrInvalid, ErrDuplicate, ErrSize, or what w
// or a tensor's Write returned. A nil meta stands for an empty one.
func WriteTo(w io.Writer, meta *Metadata, tensors []TensorSpec) error {
	p, err := newPlan(meta, tensors)
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	if err := p.writeTo(w); err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	return nil
}

// plan is a checked file that is about to be written.
type plan struct {
	meta    *Metadata
	tensors []TensorSpec
	align   int64
	sizes   []int64
	offsets []int64 // from the start of the data section
	header  int64   // bytes before the padding that the data section follows
	total   int64
}

func newPlan(meta *Metadata, tensors []TensorSpec) (*plan, error) {
	if meta == nil {
		meta = &Metadata{}
	}
	p := &plan{meta: meta, tensors: tensors, align: defaultAlignment}
	if err := p.planMetadata(); err != nil {
		return nil, err
	}
	seen := make(map[string]struct{}, len(tensors))
	if len(tensors) > maxTensors {
		return nil, fmt.Errorf("%w: %d tensors, at most %d are supported", ErrInvalid, len(tensors), maxTensors)
	}
	offset := int64(0)
	for _, t := range tensors {
		size, err := checkSpec(t)
		if err != nil {
			return nil, err
		}
		if _, ok := seen[t.Name]; ok {
			return nil, fmt.Errorf("%w: tensor %s is given twice", ErrDuplicate, quote(t.Name))
		}
		seen[t.Name] = struct{}{}
		p.sizes = append(p.sizes, size)
		p.offsets = append(p.offsets, offset)
		p.header += 8 + int64(len(t.Name)) + 4 + 8*int64(len(t.Dims)) + 4 + 8
		if size > math.MaxInt64/2-offset {
			return nil, fmt.Errorf("%w: the tensors up to %s exceed the largest file size", ErrInvalid, quote(t.Name))
		}
		offset += alignUp(size, p.align)
	}
	p.total = alignUp(p.header, p.align) + offset
	if err := p.checkTypes(); err != nil {
		return nil, err
	}
	return p, nil
}

// checkTypes makes sure that a reader will take every type id for the type
// that is meant, which for the contested ids depends on metadata and sizes.
func (p *plan) checkTypes() error {
	raw := make([]rawTensor, len(p.tensors))
	extents := make([]int64, len(p.tensors))
	for i, t := range p.tensors {
		raw[i] = rawTensor{name: t.Name, dims: t.Dims, id: t.Type.ID()}
		extents[i] = alignUp(p.sizes[i], p.align)
	}
	types, err := resolveTypes(raw, extents, p.align, fromBitnet(p.meta))
	if err != nil {
		return fmt.Errorf("%w: the file could not be read again: %w", ErrInvalid, err)
	}
	for i, t := range p.tensors {
		if types[i] != t.Type {
			return fmt.Errorf("%w: tensor %s of type %s would be read as %s, which has the same id %d", ErrInvalid, quote(t.Name), t.Type, types[i], t.Type.ID())
		}
	}
	return nil
}

// planMetadata checks the metadata and adds the bytes it takes to p.header.
func (p *plan) planMetadata() error {
	if v, ok := p.meta.Get(keyAlignment); ok {
		n, ok := v.asUint64()
		if !ok || v.typ != ValueUint32 || bits.OnesCount64(n) != 1 || n > maxAlignment {
			return fmt.Errorf("%w: %s is %s %v, want a uint32 that is a power of two up to %d", ErrInvalid, keyAlignment, v.TypeName(), v, maxAlignment)
		}
		p.align = int64(n)
	}
	if p.meta.Len() > maxKeys {
		return fmt.Errorf("%w: %d metadata keys, at most %d are supported", ErrInvalid, p.meta.Len(), maxKeys)
	}
	p.header = int64(len(magic)) + 4 + 8 + 8
	for key, v := range p.meta.All() {
		if len(key) > maxKey {
			return fmt.Errorf("%w: key %s is longer than %d bytes", ErrInvalid, quote(key), maxKey)
		}
		p.header += 8 + int64(len(key)) + 4 + v.encodedLen()
	}
	return nil
}

// checkSpec checks what describes one tensor and returns its size.
func checkSpec(t TensorSpec) (int64, error) {
	if len(t.Name) > maxTensorName {
		return 0, fmt.Errorf("%w: tensor name %s is longer than %d bytes", ErrInvalid, quote(t.Name), maxTensorName)
	}
	if t.Write == nil {
		return 0, fmt.Errorf("%w: tensor %s has no Write function", ErrInvalid, quote(t.Name))
	}
	size, err := t.Type.Size(t.Dims)
	if err != nil {
		return 0, fmt.Errorf("%w: tensor %s: %w", ErrInvalid, quote(t.Name), err)
	}
	return size, nil
}

// writeTo writes header, padding and data.
func (p *plan) writeTo(w io.Writer) error {
	bw := bufio.NewWriterSize(w, 1<<20)
	b := append([]byte(nil), magic...)
	b = binary.LittleEndian.AppendUint32(b, 3)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(p.tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.meta.Len()))
	for key, v := range p.meta.All() {
		b = appendText(b, key)
		b = binary.LittleEndian.AppendUint32(b, uint32(v.typ))
		b = appendValue(b, v)
		// Written key by key: a vocabulary is most of a header.
		if _, err := bw.Write(b); err != nil {
			return fmt.Errorf("writing key %s: %w", quote(key), err)
		}
		b = b[:0]
	}
	for i, t := range p.tensors {
		b = appendText(b, t.Name)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(t.Dims)))
		for _, d := range t.Dims {
			b = binary.LittleEndian.AppendUint64(b, uint64(d))
		}
		b = binary.LittleEndian.AppendUint32(b, t.Type.ID())
		b = binary.LittleEndian.AppendUint64(b, uint64(p.offsets[i]))
	}
	if _, err := bw.Write(b); err != nil {
		return fmt.Errorf("writing the list of tensors: %w", err)
	}
	if err := pad(bw, p.header, p.align); err != nil {
		return fmt.Errorf("writing padding: %w", err)
	}
	for i, t := range p.tensors {
		if err := p.writeTensor(bw, i); err != nil {
			return fmt.Errorf("writing tensor %s: %w", quote(t.Name), err)
		}
	}
	if err := bw.Flush(); err != nil {
		return fmt.Errorf("writing the end of the file: %w", err)
	}
	return nil
}

func (p *plan) writeTensor(w io.Writer, i int) error {
	t := p.tensors[i]
	exact := &exactWriter{w: w, want: p.sizes[i], left: p.sizes[i], what: t.Type.String(), dims: t.Dims}
	if err := t.Write(exact); err != nil {
		return err
	}
	if exact.err != nil { // the tensor's Write ignored it
		return exact.err
	}
	if exact.left != 0 {
		return fmt.Errorf("%w: its Write produced %d bytes, %s with dimensions %v has %d", ErrSize, exact.want-exact.left, t.Type, t.Dims, exact.want)
	}
	return pad(w, p.sizes[i], p.align)
}

// exactWriter accepts want bytes and no more.
type exactWriter struct {
	w          io.Writer
	want, left int64
	what       string
	dims       []int64
	err        error
}

func (e *exactWriter) Write(b []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if int64(len(b)) > e.left {
		e.err = fmt.Errorf("%w: its Write produced at least %d bytes, %s with dimensions %v has %d", ErrSize, e.want-e.left+int64(len(b)), e.what, e.dims, e.want)
		return 0, e.err
	}
	n, err := e.w.Write(b)
	e.left -= int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		e.err = err
	}
	return n, err
}

// pad writes zeros from position at to the next multiple of align.
func pad(w io.Writer, at, align int64) error {
	var zeros [4096]byte
	for n := alignUp(at, align) - at; n > 0; {
		k, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}

// appendText appends a string with its length.
func appendText(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// appendValue appends what follows a value's type.
func appendValue(b []byte, v Value) []byte {
	switch {
	case v.arr != nil:
		return appendArray(b, v.arr)
	case v.typ == ValueString:
		return appendText(b, v.str)
	}
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], v.bits)
	return append(b, word[:v.typ.width()]...)
}

// appendArray appends element type, count and elements.
func appendArray(b []byte, a *array) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(a.elem))
	b = binary.LittleEndian.AppendUint64(b, uint64(a.len))
	switch {
	case a.elem == ValueString:
		for i := range a.len {
			b = appendText(b, a.str(i))
		}
		return b
	case a.elem == ValueArray && a.enc != encoding{}:
		for _, e := range (Value{typ: ValueArray, arr: a}).All() {
			b = appendArray(b, e.arr)
		}
		return b
	}
	return append(b, a.raw...)
}

// encodedLen is the number of bytes that appendValue appends.
func (v Value) encodedLen() int64 {
	a := v.arr
	switch {
	case v.typ == ValueString:
		return 8 + int64(len(v.str))
	case a == nil:
		return int64(v.typ.width())
	case a.elem == ValueString:
		return 12 + 8*int64(a.len) + int64(len(a.text))
	case a.elem == ValueArray && a.enc != encoding{}:
		n := int64(12)
		for _, e := range v.All() {
			n += e.encodedLen()
		}
		return n
	}
	return 12 + int64(len(a.raw))
}
