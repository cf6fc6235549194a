package gguf

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"trit/internal/order"
)

const (
	magic            = "GGUF"
	defaultAlignment = 32
	keyAlignment     = "general.alignment"
	keyArchitecture  = "general.architecture"
	keyFileType      = "general.file_type"
)

// rawTensor is a tensor's entry in the header before its type is settled.
type rawTensor struct {
	name   string
	dims   []int64
	id     uint32
	offset uint64 // from the start of the data section
}

// parse reads the header from f.src into f.
func (f *File) parse(first *File) error {
	d := &decoder{mem: f.src.mem, r: f.src.r, size: f.src.size}
	f.Size = f.src.size
	if err := f.parseVersion(d); err != nil {
		return err
	}
	tensors, keys, err := f.parseCounts(d)
	if err != nil {
		return err
	}
	if err := f.parseMetadata(d, keys); err != nil {
		return err
	}
	if first == nil {
		if err := f.checkFirst(); err != nil {
			return err
		}
	}
	if err := f.parseAlignment(); err != nil {
		return err
	}
	raw, err := parseTensors(d, tensors)
	if err != nil {
		return err
	}
	f.found.headerEnd, f.found.oddBools = d.off, d.oddBools
	f.DataOffset = alignUp(d.off, int64(f.Alignment))
	meta := f.Metadata
	if first != nil {
		meta = first.Metadata
	}
	return f.place(raw, fromBitnet(meta))
}

// parseVersion reads magic and version, and with it the byte order.
func (f *File) parseVersion(d *decoder) error {
	head, err := d.take(min(d.size, 64), label{kind: "the magic"})
	if err != nil {
		return err
	}
	switch {
	case len(head) == 0:
		return fmt.Errorf("%w: the file is empty; download or copy it again", ErrTruncated)
	case len(head) < len(magic) && string(head) == magic[:len(head)]:
		return fmt.Errorf("%w: the file ends after %d bytes, within the magic; download or copy it again", ErrTruncated, len(head))
	case len(head) < len(magic) || string(head[:len(magic)]) != magic:
		return notGGUF(head)
	}
	d.off = int64(len(magic))
	b, err := d.take(4, label{kind: "the version"})
	if err != nil {
		return err
	}
	// The magic is the same in both byte orders. Versions are small numbers,
	// so a little-endian reading without low bits is a big-endian one.
	version := binary.LittleEndian.Uint32(b)
	if version&0xffff == 0 && version != 0 {
		d.enc.big = true
		version = binary.BigEndian.Uint32(b)
	}
	if version < 1 || version > 3 {
		return fmt.Errorf("%w %d, want 1, 2 or 3", ErrVersion, version)
	}
	d.enc.v1 = version == 1
	f.Version, f.BigEndian = version, d.enc.big
	return nil
}

// parseCounts reads the numbers of tensors and keys.
func (f *File) parseCounts(d *decoder) (tensors, keys int64, err error) {
	leastTensor := d.lengthBytes() + 4 + 4 + 8 // name, number of dimensions, type, offset
	leastKey := d.lengthBytes() + 4 + 1        // key, type, value
	if tensors, err = d.count(label{kind: "the tensor count"}, leastTensor); err != nil {
		return 0, 0, err
	}
	if keys, err = d.count(label{kind: "the metadata count"}, leastKey); err != nil {
		return 0, 0, err
	}
	if tensors > maxTensors {
		return 0, 0, fmt.Errorf("%w: %d tensors, at most %d are supported", ErrUnsupported, tensors, maxTensors)
	}
	if keys > maxKeys {
		return 0, 0, fmt.Errorf("%w: %d metadata keys, at most %d are supported", ErrUnsupported, keys, maxKeys)
	}
	return tensors, keys, nil
}

func (f *File) parseMetadata(d *decoder, keys int64) error {
	f.Metadata = &Metadata{origin: f.Path}
	for i := range keys {
		at := d.off
		b, err := d.text(label{kind: "metadata key", i: i + 1, n: keys})
		if err != nil {
			return err
		}
		key := string(b)
		what := label{kind: "key", name: key}
		if f.Metadata.Has(key) {
			return fmt.Errorf("%w: metadata %s appears again at offset %d", ErrDuplicate, what, at)
		}
		id, err := d.u32(what.the("value type"))
		if err != nil {
			return err
		}
		value, err := d.value(ValueType(id), what)
		if err != nil {
			return err
		}
		f.Metadata.put(key, value)
	}
	return nil
}

// parseAlignment takes the alignment from the metadata. The key is meant to be
// a uint32, but any integer says unmistakably what it means.
func (f *File) parseAlignment() error {
	f.Alignment = defaultAlignment
	v, ok := f.Metadata.Get(keyAlignment)
	if !ok {
		return nil
	}
	n, ok := v.asUint64()
	if !ok {
		return fmt.Errorf("%w: %s is %s %v, want a uint32", ErrCorrupt, keyAlignment, v.TypeName(), v)
	}
	if bits.OnesCount64(n) != 1 || n > 1<<31 {
		return fmt.Errorf("%w: %s is %d, want a power of two that fits uint32", ErrCorrupt, keyAlignment, n)
	}
	f.Alignment = n
	f.found.hasAlignment, f.found.alignmentType = true, v.typ
	return nil
}

// parseTensors reads the tensors' entries.
func parseTensors(d *decoder, count int64) ([]rawTensor, error) {
	var raw []rawTensor
	for i := range count {
		at := d.off
		b, err := d.text(label{of: "name", kind: "tensor", i: i + 1, n: count})
		if err != nil {
			return nil, err
		}
		t := rawTensor{name: string(b)}
		what := label{kind: "tensor", name: t.name}
		if len(t.name) > maxTensorName {
			return nil, fmt.Errorf("%w: the name of %s at offset %d has %d bytes, at most %d are possible", ErrCorrupt, what, at, len(t.name), maxTensorName)
		}
		if err := parseTensor(d, &t, what); err != nil {
			return nil, err
		}
		raw = append(raw, t)
	}
	return raw, nil
}

// parseTensor reads what follows a tensor's name.
func parseTensor(d *decoder, t *rawTensor, what label) error {
	at := d.off
	n, err := d.u32(what.the("number of dimensions"))
	if err != nil {
		return err
	}
	if n > maxDims {
		return fmt.Errorf("%w: %s has %d dimensions at offset %d, at most %d are possible", ErrCorrupt, what, n, at, maxDims)
	}
	t.dims = make([]int64, n)
	for i := range t.dims {
		dim, err := d.length(what.the("dimensions"))
		if err != nil {
			return err
		}
		t.dims[i] = int64(dim) // beyond 2^63 it becomes negative, which Elements refuses
	}
	if _, err := Elements(t.dims); err != nil {
		return fmt.Errorf("%s at offset %d: %w", what, at, err)
	}
	if t.id, err = d.u32(what.the("type")); err != nil {
		return err
	}
	t.offset, err = d.u64(what.the("offset"))
	return err
}

// place settles the type and position of every tensor and checks that each
// lies within the file and none on another.
func (f *File) place(raw []rawTensor, bitnet bool) error {
	ranks := make([]int32, len(raw))
	for i := range ranks {
		ranks[i] = int32(i)
	}
	order.Stable(ranks, func(a, b int32) int {
		switch {
		case raw[a].offset < raw[b].offset:
			return -1
		case raw[a].offset > raw[b].offset:
			return 1
		}
		return 0
	})
	room := max(f.Size-f.DataOffset, 0) // bytes of the data section
	extents := make([]int64, len(raw))
	for k, i := range ranks {
		next := uint64(room)
		if k+1 < len(ranks) {
			next = min(next, raw[ranks[k+1]].offset)
		}
		extents[i] = int64(next - min(next, raw[i].offset))
	}
	types, err := resolveTypes(raw, extents, int64(f.Alignment), bitnet)
	if err != nil {
		return err
	}

	block := make([]Tensor, len(raw))
	f.Tensors = make([]*Tensor, len(raw))
	f.names = make(map[string]*Tensor, len(raw))
	for i, r := range raw {
		size, err := types[i].Size(r.dims)
		if err != nil {
			return fmt.Errorf("tensor %s of type %s: %w", quote(r.name), types[i], err)
		}
		if r.offset > uint64(room) || size > room-int64(r.offset) {
			return fmt.Errorf("%w: tensor %s needs %d bytes at offset %d of the data section, which begins at %d, but the file ends at %d; download or copy it again", ErrTruncated, quote(r.name), size, r.offset, f.DataOffset, f.Size)
		}
		if _, ok := f.names[r.name]; ok {
			return fmt.Errorf("%w: tensor %s is listed twice, the second time as number %d of %d", ErrDuplicate, quote(r.name), i+1, len(raw))
		}
		block[i] = Tensor{Name: r.name, Dims: r.dims, Type: types[i], TypeID: r.id, Offset: f.DataOffset + int64(r.offset), Size: size, file: f}
		f.Tensors[i] = &block[i]
		f.names[r.name] = &block[i]
	}
	for k := 1; k < len(ranks); k++ {
		a, b := f.Tensors[ranks[k-1]], f.Tensors[ranks[k]]
		if a.Offset+a.Size > b.Offset {
			return fmt.Errorf("%w: tensor %s at %d to %d overlaps tensor %s, which begins at %d", ErrCorrupt, quote(a.Name), a.Offset, a.Offset+a.Size, quote(b.Name), b.Offset)
		}
	}
	return nil
}

// alignUp rounds n up to a multiple of align, a power of two.
func alignUp(n, align int64) int64 {
	return (n + align - 1) &^ (align - 1)
}
