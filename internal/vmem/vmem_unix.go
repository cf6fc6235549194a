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

// Decommit gives the memory of n bytes from off on back to the system, as far as it is
// whole pages of it. They are to be committed before they are touched again, and then
// hold anything.
func (r *Region) Decommit(off, n int) error {
	from, to := wholePages(off, n)
	if from == to {
		return nil
	}
	if err := unix.Madvise(r.data[from:to], discard); err != nil {
		return fmt.Errorf("vmem: giving %d bytes back: %w", to-from, err)
	}
	return nil
}
