package gguf

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"

	"trit/internal/mmap"
)

// File is an open GGUF file, or the parts of a split one taken together.
//
// Reading it is safe for concurrent use. Close invalidates the bytes that
// [Tensor.Data] returned, but not the Metadata.
type File struct {
	Path       string    // as given to Open; "" for Parse and NewReader
	Version    uint32    // 1, 2 or 3
	BigEndian  bool      // byte order of the file; what this package returns is little-endian
	Alignment  uint64    // of the data section and its tensors, in bytes: a power of two
	Metadata   *Metadata // keys and values in file order
	Tensors    []*Tensor // in the order of the header, part after part
	Size       int64     // bytes of the file, or of all parts
	DataOffset int64     // where the data section begins, in the (first) file

	// Parts holds the files of a split model in order; nil for a single file.
	// Each has its own Metadata, Tensors and Size.
	Parts []*File

	names  map[string]*Tensor
	src    source
	closed atomic.Bool
	found  findings
}

// source is where a file's bytes are.
type source struct {
	mem     []byte        // the whole file, or nil
	mapping *mmap.Mapping // what mem belongs to, or nil
	r       io.ReaderAt   // when mem is nil
	closer  io.Closer     // what r belongs to, or nil
	size    int64
}

// findings are the oddities that reading tolerated; Problems reports them.
type findings struct {
	headerEnd     int64
	oddBools      int
	alignmentType ValueType // of general.alignment
	hasAlignment  bool
}

// Open opens the GGUF file at path, mapped into memory where the system can.
//
// If it is the first part of a split model (name-00001-of-00003.gguf), the
// other parts are opened too, and the result holds the tensors of all of them.
// Any other part on its own is refused. Every error names the path.
//
// A mapped file may be replaced or removed while it is open, but not truncated
// or overwritten in place: reading its tensors would then be a fatal fault or
// give other bytes. Where that cannot be ruled out, use [Parse] on the bytes.
func Open(path string) (*File, error) {
	f, err := openOne(path, nil)
	if err != nil {
		return nil, err
	}
	if _, count, err := f.split(); err != nil {
		f.Close()
		return nil, inFile(path, err)
	} else if count <= 1 {
		return f, nil
	}
	return openParts(f)
}

// OpenSplit opens the parts of a split model from files of any names, given in
// order. [Open] finds the parts by itself when they have their usual names.
func OpenSplit(paths ...string) (*File, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("gguf: %w: no parts given", ErrInvalid)
	}
	first, err := openOne(paths[0], nil)
	if err != nil {
		return nil, err
	}
	return join(first, paths)
}

// Parse reads a GGUF file that is in memory. The data may have any alignment
// and be read-only; it must stay unchanged while the file is in use, because
// tensors refer to it.
func Parse(data []byte) (*File, error) {
	return single(source{mem: data, size: int64(len(data))})
}

// NewReader reads a GGUF file of the given size in bytes from r. Tensors are
// read when they are asked for. Closing the File does not close r.
func NewReader(r io.ReaderAt, size int64) (*File, error) {
	if r == nil || size < 0 {
		return nil, fmt.Errorf("gguf: %w: a reader and a size of at least 0 are needed, got size %d", ErrInvalid, size)
	}
	return single(source{r: r, size: size})
}

// Tensor returns the tensor of the given name, and whether there is one.
func (f *File) Tensor(name string) (*Tensor, bool) {
	t, ok := f.names[name]
	return t, ok
}

// Mapped reports whether the file's bytes are mapped, as opposed to held in
// memory or read on demand.
func (f *File) Mapped() bool {
	for _, p := range f.Parts {
		if !p.Mapped() {
			return false
		}
	}
	return len(f.Parts) > 0 || f.src.mapping != nil && f.src.mapping.Mapped()
}

// Changed reports, as [ErrChanged], that the file was written to since it was opened:
// its tensors may be a mixture then. It looks at the file's size and time.
func (f *File) Changed() error {
	for _, p := range f.Parts {
		if err := p.Changed(); err != nil {
			return err
		}
	}
	if f.src.mapping == nil {
		return nil
	}
	return f.src.mapping.Changed()
}

// Close releases the file. The bytes of its tensors must not be used any more;
// the metadata stays valid. Closing a closed file does nothing.
func (f *File) Close() error {
	if f.closed.Swap(true) {
		return nil
	}
	var err error
	for _, p := range f.Parts {
		if e := p.Close(); err == nil {
			err = e
		}
	}
	if f.src.mapping != nil {
		err = f.src.mapping.Close()
	}
	if f.src.closer != nil {
		err = f.src.closer.Close()
	}
	if err != nil {
		return inFile(f.Path, err)
	}
	return nil
}

// openOne opens one file and reads its header. first, when set, is the part
// that holds the model's own metadata.
func openOne(path string, first *File) (*File, error) {
	src, err := openSource(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err) // os and mmap name the path
	}
	f := &File{Path: path, src: src}
	if err := f.parse(first); err != nil {
		f.Close()
		return nil, inFile(path, err)
	}
	if src.mapping != nil {
		// The header has been copied. Should the system keep its pages after
		// all, they are clean page cache and cost nothing to reclaim later.
		_ = src.mapping.Release(0, f.found.headerEnd)
	}
	return f, nil
}

// openSource maps the file, or opens it for reading on demand when it exceeds
// the address space (beyond 2 GiB on 32-bit systems).
func openSource(path string) (source, error) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && uint64(info.Size()) > math.MaxInt {
		file, err := os.Open(path)
		if err != nil {
			return source{}, err
		}
		return source{r: file, closer: file, size: info.Size()}, nil
	}
	m, err := mmap.Open(path)
	if err != nil {
		return source{}, err
	}
	data := m.Bytes()
	return source{mem: data, mapping: m, size: int64(len(data))}, nil
}

// single reads a file that has no path and so no other parts.
func single(src source) (*File, error) {
	f := &File{src: src}
	if err := f.parse(nil); err != nil {
		return nil, inFile("", err)
	}
	no, count, err := f.split()
	if err == nil && count > 1 {
		err = fmt.Errorf("%w: this is part %d of %d of a split model; open its first part by path", ErrUnsupported, no+1, count)
	}
	if err != nil {
		return nil, inFile("", err)
	}
	return f, nil
}

// inFile gives an error the package's name and the file's path.
func inFile(path string, err error) error {
	if path == "" {
		return fmt.Errorf("gguf: %w", err)
	}
	return fmt.Errorf("gguf: %s: %w", path, err)
}
