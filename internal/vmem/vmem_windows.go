package vmem

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Reserve returns n bytes of address space; Commit makes parts of it usable.
func Reserve(n int) (*Region, error) {
	addr, err := windows.VirtualAlloc(0, uintptr(n), windows.MEM_RESERVE, windows.PAGE_READWRITE)
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes: %w", ErrReserve, n, err)
	}
	// The memory is not the garbage collector's, so the address is no pointer
	// that it could move; the double indirection says so to vet.
	data := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&addr))), n)
	return &Region{data: data, free: func() error { return windows.VirtualFree(addr, 0, windows.MEM_RELEASE) }}, nil
}

// Commit makes n bytes from off on usable, zeroed where they were not before.
func (r *Region) Commit(off, n int) error {
	start := uintptr(unsafe.Pointer(&r.data[off]))
	if _, err := windows.VirtualAlloc(start, uintptr(n), windows.MEM_COMMIT, windows.PAGE_READWRITE); err != nil {
		return fmt.Errorf("%w: committing %d bytes: %w", ErrReserve, n, err)
	}
	return nil
}

// Decommit gives the memory of n bytes from off on back to the system, as far as it is
// whole pages of it. They are to be committed before they are touched again, and then
// hold anything.
func (r *Region) Decommit(off, n int) error {
	from, to := wholePages(off, n)
	if from == to {
		return nil
	}
	if err := windows.VirtualFree(uintptr(unsafe.Pointer(&r.data[from])), uintptr(to-from), windows.MEM_DECOMMIT); err != nil {
		return fmt.Errorf("vmem: giving %d bytes back: %w", to-from, err)
	}
	return nil
}
