// Package mmap gives read-only access to the bytes of a file, through the
// page cache where the system can map files and through memory where it cannot.
//
// A mapping costs address space, not memory: pages come in when they are first
// read, and [Mapping.Release] hands them back once their content has been
// copied elsewhere. That is how a model is repacked into another layout without
// ever holding two copies of it.
//
//	m, err := mmap.Open("model.gguf")
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	use(m.Bytes())
//
// # What can go wrong while a file is mapped
//
// The bytes are the file's, live. If another process truncates the file, or its
// disk fails, a read raises a fault (SIGBUS on Unix), which ends the program unless
// [Guard], or debug.SetPanicOnFault, makes it a panic of the goroutine that reads.
// If the file is overwritten, the bytes change; [Mapping.Changed] tells. Replacing
// the file by a rename is harmless, because the mapping keeps the old content. A
// caller that wants none of this uses [Read].
//
// The build tag nommap makes Open read files into memory on every system.
package mmap

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Sentinel errors, wrapped with the path by Open and Read.
var (
	// ErrNotRegular reports a path that names a directory, a pipe, a device or
	// anything else that has no fixed content to map.
	ErrNotRegular = errors.New("not a regular file")
	// ErrTooLarge reports a file that does not fit this platform's address space.
	ErrTooLarge = errors.New("file is too large for this platform's address space")
	// ErrRange reports an offset and length outside the mapping.
	ErrRange = errors.New("range is outside the mapping")
	// ErrShrank reports a file that became shorter while it was being read.
	ErrShrank = errors.New("file became shorter while it was read")
	// ErrChanged reports a file that was written to while it was mapped.
	ErrChanged = errors.New("file was changed while it was in use")
	// ErrFault reports mapped bytes that can no longer be read.
	ErrFault = errors.New("a file in use can no longer be read: it was truncated or overwritten, or its disk failed")
)

// errCannotMap marks files that the system refuses to map although they are
// regular (some network and user-space file systems); Open reads those.
var errCannotMap = errors.New("file system cannot map files")

// Mapping holds the bytes of one file. Its methods may be called concurrently;
// the caller makes sure that nobody uses the bytes during and after Close.
type Mapping struct {
	mu     sync.Mutex
	data   []byte
	mapped bool
	closed bool
	path   string
	info   os.FileInfo // of the file when it was mapped
}

// Open maps the file at path for reading. Where the platform or the file's
// file system cannot map, and for an empty file, the content is held in memory
// instead; [Mapping.Mapped] tells which.
func Open(path string) (*Mapping, error) {
	f, info, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // a mapping outlives its descriptor
	size := info.Size()
	if size == 0 {
		return &Mapping{}, nil
	}
	if data, err := mapFile(f, int(size)); err == nil {
		return &Mapping{data: data, mapped: true, path: path, info: info}, nil
	} else if !errors.Is(err, errCannotMap) {
		return nil, fmt.Errorf("mmap: %s: mapping %d bytes: %w", path, size, err)
	}
	return readAll(f, path, size)
}

// Read reads the whole file at path into memory. The result behaves like a
// mapping, except that it costs as much memory as the file has bytes.
func Read(path string) (*Mapping, error) {
	f, info, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, path, info.Size())
}

// Bytes returns the content of the file. The slice must not be written to (a
// write to mapped bytes is a fatal fault) and is invalid after Close. After
// Close, Bytes returns nil.
func (m *Mapping) Bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data
}

// Mapped reports whether the bytes are mapped, as opposed to held in memory.
func (m *Mapping) Mapped() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mapped
}

// Changed reports, as ErrChanged, whether the file has been written to since it was
// mapped, by its size and its time of modification. A file that has been renamed,
// removed or replaced by another one has not: the mapping keeps its content.
func (m *Mapping) Changed() error {
	if m.info == nil {
		return nil // in memory
	}
	now, err := os.Stat(m.path)
	if err != nil || !os.SameFile(m.info, now) {
		return nil
	}
	if now.Size() == m.info.Size() && now.ModTime().Equal(m.info.ModTime()) {
		return nil
	}
	return fmt.Errorf("mmap: %s: %w: it had %d bytes and was last written at %s, now %d bytes at %s", m.path, ErrChanged,
		m.info.Size(), m.info.ModTime().Format(time.RFC3339Nano), now.Size(), now.ModTime().Format(time.RFC3339Nano))
}

// Guard runs f and turns a fault of its goroutine, such as reading a mapped file beyond
// its present end, into ErrFault. Other panics pass through.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			if !IsFault(v) {
				panic(v)
			}
			err = fmt.Errorf("mmap: %w (%v)", ErrFault, v)
		}
	}()
	return f()
}

// IsFault reports whether the value of a panic is a fault of memory that
// debug.SetPanicOnFault has made a panic.
func IsFault(v any) bool {
	e, ok := v.(runtime.Error)
	if !ok {
		return false
	}
	_, ok = e.(interface{ Addr() uintptr })
	return ok
}

// Release gives the resident pages that lie wholly within the n bytes from
// offset off back to the system. The content stays readable: the next access
// brings it in again from the file. Where nothing is mapped, and on systems
// without such a call, Release does nothing.
func (m *Mapping) Release(off, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(off, n); err != nil {
		return err
	}
	if !m.mapped {
		return nil
	}
	page := int64(os.Getpagesize())
	size := int64(len(m.data))
	from := (off + page - 1) / page * page
	to := off + n
	if to < size { // the last page of the file may be a partial one: all of it is ours
		to = to / page * page
	}
	if from >= to {
		return nil
	}
	if err := adviseDontNeed(m.data[from:to]); err != nil {
		return fmt.Errorf("mmap: releasing bytes %d to %d: %w", from, to, err)
	}
	return nil
}

// WillNeed tells the system that the n bytes from offset off are about to be
// read, so that it may fetch them ahead. It does nothing where nothing is
// mapped and on systems without such a call.
func (m *Mapping) WillNeed(off, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(off, n); err != nil {
		return err
	}
	if !m.mapped || n == 0 {
		return nil
	}
	from := off / int64(os.Getpagesize()) * int64(os.Getpagesize())
	if err := adviseWillNeed(m.data[from : off+n]); err != nil {
		return fmt.Errorf("mmap: prefetching bytes %d to %d: %w", from, off+n, err)
	}
	return nil
}

// Close unmaps the file. The bytes must not be used any more. Closing a closed
// mapping does nothing.
func (m *Mapping) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	data, mapped := m.data, m.mapped
	m.data, m.mapped, m.closed = nil, false, true
	if !mapped {
		return nil
	}
	if err := unmapFile(data); err != nil {
		return fmt.Errorf("mmap: unmapping %d bytes: %w", len(data), err)
	}
	return nil
}

// check rejects ranges outside the mapping and the use of a closed one.
func (m *Mapping) check(off, n int64) error {
	if m.closed {
		return fmt.Errorf("mmap: %w", os.ErrClosed)
	}
	if size := int64(len(m.data)); off < 0 || n < 0 || off > size || n > size-off {
		return fmt.Errorf("mmap: %w: %d bytes at offset %d of %d", ErrRange, n, off, size)
	}
	return nil
}

// open opens a regular file and returns its size, which fits an int.
func open(path string) (*os.File, os.FileInfo, error) {
	// Looked at before it is opened: opening a pipe would wait for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("mmap: %w", err)
	}
	if err := regular(path, info); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("mmap: %w", err)
	}
	// Asked again: the path may name another file by now.
	info, err = f.Stat()
	if err == nil {
		err = regular(path, info)
	}
	if err == nil && uint64(info.Size()) > math.MaxInt {
		err = fmt.Errorf("mmap: %s: %w: %d bytes", path, ErrTooLarge, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func regular(path string, info os.FileInfo) error {
	if info.IsDir() {
		return fmt.Errorf("mmap: %s: %w: it is a directory", path, ErrNotRegular)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("mmap: %s: %w (%s)", path, ErrNotRegular, info.Mode().Type())
	}
	return nil
}

// readAll holds the content of f in memory.
func readAll(f *os.File, path string, size int64) (*Mapping, error) {
	data := make([]byte, size)
	if n, err := io.ReadFull(f, data); err == io.EOF && size > 0 || err == io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("mmap: %s: %w: %d bytes of %d", path, ErrShrank, n, size)
	} else if err != nil && size > 0 {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return &Mapping{data: data}, nil
}
