package kernel

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// guardedBytes returns size bytes or a little more that end exactly where a page
// without access begins, so that a read or write past the end faults.
func guardedBytes(tb testing.TB, size int) []byte {
	tb.Helper()
	page := os.Getpagesize()
	size = (size + page - 1) / page * page
	area, err := unix.Mmap(-1, 0, size+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		tb.Fatalf("mmap: %v", err)
	}
	tb.Cleanup(func() {
		if err := unix.Munmap(area); err != nil {
			tb.Errorf("munmap: %v", err)
		}
	})
	if err := unix.Mprotect(area[size:], unix.PROT_NONE); err != nil {
		tb.Fatalf("mprotect: %v", err)
	}
	return area[:size:size]
}
