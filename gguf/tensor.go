package gguf

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
)

// Tensor is one tensor of a file. Its fields describe it and are not to be
// changed.
type Tensor struct {
	Name   string
	Dims   []int64 // ne order: Dims[0] is contiguous in memory (a row); as stored, so trailing ones may be absent
	Type   Type    // what TypeID means in this file
	TypeID uint32  // as stored
	Offset int64   // of the first byte, from the start of the file that holds the tensor
	Size   int64   // bytes, without padding

	file *File
}

// Path returns the path of the file that holds the tensor, "" if it has none.
func (t *Tensor) Path() string { return t.file.Path }

// Cols returns the length of a row, the first dimension.
func (t *Tensor) Cols() int64 { return firstDim(t.Dims) }

// Rows returns the number of rows: the product of all dimensions but the first.
func (t *Tensor) Rows() int64 { return t.Elements() / t.Cols() }

// Elements returns the number of elements. It fits: opening a file refuses
// tensors whose dimensions multiply beyond int64.
func (t *Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Shape returns the dimensions as PyTorch and NumPy list them: slowest first,
// {out, in} for the weight of a linear layer.
func (t *Tensor) Shape() []int64 {
	s := slices.Clone(t.Dims)
	slices.Reverse(s)
	return s
}

// Data returns the tensor's bytes, in little-endian order.
//
// For a little-endian file that is mapped or in memory they are the file's own
// bytes: read-only, of any alignment, and valid until the file is closed. For
// a big-endian file, and for one behind a ReaderAt, they are a copy.
func (t *Tensor) Data() ([]byte, error) {
	src := &t.file.src
	if err := t.readable(); err != nil {
		return nil, err
	}
	var b []byte
	if src.mem != nil {
		b = src.mem[t.Offset : t.Offset+t.Size : t.Offset+t.Size]
		if t.file.BigEndian {
			b = bytes.Clone(b)
		}
	} else {
		var err error
		if b, err = readAt(src.r, t.Offset, t.Size, label{kind: "tensor", name: t.Name}); err != nil {
			return nil, inFile(t.file.Path, err)
		}
	}
	if t.file.BigEndian {
		t.Type.swapTensor(b)
	}
	return b, nil
}

// Reader returns a reader of the bytes that Data returns, without holding more
// than a small buffer of them.
func (t *Tensor) Reader() io.Reader { return &tensorReader{t: t} }

// Release tells the system that the tensor's bytes are not needed in memory
// until they are read again. It does something only for mapped files.
func (t *Tensor) Release() error {
	return t.advise(func() error { return t.file.src.mapping.Release(t.Offset, t.Size) })
}

// WillNeed tells the system that the tensor's bytes are about to be read. It
// does something only for mapped files.
func (t *Tensor) WillNeed() error {
	return t.advise(func() error { return t.file.src.mapping.WillNeed(t.Offset, t.Size) })
}

func (t *Tensor) advise(call func() error) error {
	if t.file.src.mapping == nil {
		return nil
	}
	if err := call(); err != nil {
		return inFile(t.file.Path, fmt.Errorf("tensor %s: %w", quote(t.Name), err))
	}
	return nil
}

// readable reports why the tensor's bytes cannot be had.
func (t *Tensor) readable() error {
	var err error
	if t.file.closed.Load() {
		err = os.ErrClosed
	} else if t.file.BigEndian {
		err = t.Type.swappable()
	}
	if err != nil {
		return inFile(t.file.Path, fmt.Errorf("tensor %s: %w", quote(t.Name), err))
	}
	return nil
}

// tensorReader streams a tensor.
type tensorReader struct {
	t       *Tensor
	off     int64  // of the next byte to fetch, within the tensor
	swapped []byte // fetched from a big-endian file but not yet returned
	buf     []byte
}

// Read implements io.Reader.
func (r *tensorReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.t.readable(); err != nil {
		return 0, err
	}
	if !r.t.file.BigEndian {
		left := r.t.Size - r.off
		if left == 0 {
			return 0, io.EOF
		}
		p = p[:min(int64(len(p)), left)]
		return len(p), r.fetch(p)
	}
	if len(r.swapped) == 0 {
		if err := r.refill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.swapped)
	r.swapped = r.swapped[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: bytes in memory need no buffer.
func (r *tensorReader) WriteTo(w io.Writer) (int64, error) {
	if mem := r.t.file.src.mem; mem != nil && !r.t.file.BigEndian {
		if err := r.t.readable(); err != nil {
			return 0, err
		}
		n, err := w.Write(mem[r.t.Offset+r.off : r.t.Offset+r.t.Size])
		r.off += int64(n)
		return int64(n), err
	}
	return io.Copy(w, struct{ io.Reader }{r})
}

// refill fetches and swaps the next run of whole blocks, or the tail.
func (r *tensorReader) refill() error {
	const room = 256 << 10
	t := r.t
	left := t.Size - r.off
	tail := int64(0)
	if t.Type.hasTail() {
		tail = scaleTail
	}
	if left == 0 {
		return io.EOF
	}
	if r.buf == nil {
		r.buf = make([]byte, min(left, room))
	}
	if left > tail {
		// Every block length is below room, so at least one block is fetched.
		block := traits[t.Type].blockLen
		b := r.buf[:min(left-tail, int64(len(r.buf))/block*block)]
		if err := r.fetch(b); err != nil {
			return err
		}
		t.Type.swapBlocks(b)
		r.swapped = b
		return nil
	}
	b := r.buf[:left]
	if err := r.fetch(b); err != nil {
		return err
	}
	swapRun(b[:4], 4)
	r.swapped = b
	return nil
}

// fetch copies the next len(b) bytes of the file's own bytes into b.
func (r *tensorReader) fetch(b []byte) error {
	t := r.t
	at := t.Offset + r.off
	if mem := t.file.src.mem; mem != nil {
		copy(b, mem[at:])
	} else if n, err := t.file.src.r.ReadAt(b, at); n < len(b) {
		return inFile(t.file.Path, readError(err, label{kind: "tensor", name: t.Name}, at, int64(len(b)), at+int64(n)))
	}
	r.off += int64(len(b))
	return nil
}
