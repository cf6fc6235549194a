// Package vmem reserves large pieces of zeroed memory that cost nothing until
// they are touched, outside the garbage-collected heap.
//
// A KV cache must be able to grow to gigabytes without moving, without
// allocating in the middle of a decode step, and without occupying what it does
// not use; address space that the system backs on first touch does all three.
package vmem

import (
	"errors"
	"os"
)

// ErrReserve reports that the system does not grant the address space.
var ErrReserve = errors.New("vmem: cannot reserve memory")

// Region is a reserved piece of memory. It starts at a page border.
type Region struct {
	data []byte
	free func() error
}

// Bytes returns the memory. On Windows only what Commit has covered may be
// touched.
func (r *Region) Bytes() []byte { return r.data }

// wholePages returns the pages of the system that lie within n bytes from off on.
func wholePages(off, n int) (from, to int) {
	size := os.Getpagesize()
	from, to = (off+size-1)/size*size, (off+n)/size*size
	return from, max(from, to)
}

// Close gives the memory back. It must not be touched afterwards.
func (r *Region) Close() error {
	if r.free == nil {
		return nil
	}
	free := r.free
	r.data, r.free = nil, nil
	return free()
}
