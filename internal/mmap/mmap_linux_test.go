//go:build !nommap

package mmap

import (
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestReleaseDropsPages asks the kernel about the mapping's own pages.
func TestReleaseDropsPages(t *testing.T) {
	page := os.Getpagesize()
	const pages = 64
	m, err := Open(write(t, content(pages*page)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if !m.Mapped() {
		t.Skip("the temporary folder's file system cannot map files")
	}
	sum := byte(0)
	for i := 0; i < pages*page; i += page {
		sum += m.Bytes()[i]
	}
	before := resident(t, m.Bytes(), page)
	// From within page 8 to within page 56: pages 9 to 55 go.
	if err := m.Release(int64(8*page+1), int64(48*page)); err != nil {
		t.Fatal(err)
	}
	after := resident(t, m.Bytes(), page)
	for i := range before {
		gone := i > 8 && i < 56
		if !before[i] {
			t.Fatalf("page %d was not resident before (sum %d)", i, sum)
		}
		if after[i] == gone {
			t.Errorf("page %d: resident %v after releasing pages 9 to 55", i, after[i])
		}
	}
}

// resident reports which pages the process has in its page table, by reading
// /proc/self/pagemap (bit 63 of a page's word).
func resident(t *testing.T, b []byte, page int) []bool {
	t.Helper()
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Skipf("no page map: %v", err)
	}
	defer f.Close()
	out := make([]bool, len(b)/page)
	first := uintptr(unsafe.Pointer(unsafe.SliceData(b))) / uintptr(page)
	for i := range out {
		var word [8]byte
		if _, err := unix.Pread(int(f.Fd()), word[:], int64(first+uintptr(i))*8); err != nil {
			t.Skipf("reading the page map: %v", err)
		}
		out[i] = word[7]&0x80 != 0
	}
	return out
}
