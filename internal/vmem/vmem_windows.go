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
