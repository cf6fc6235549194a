//go:build unix

package vmem

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Reserve returns n bytes of zeroed memory.
func Reserve(n int) (*Region, error) {
	data, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|noReserve)
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes: %w", ErrReserve, n, err)
	}
	advise(data)
	return &Region{data: data, free: func() error { return unix.Munmap(data) }}, nil
}

// Commit makes n bytes from off on usable.
func (r *Region) Commit(off, n int) error { return nil }
