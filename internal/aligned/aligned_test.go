package aligned

import (
	"testing"
	"unsafe"
)

func TestAlignment(t *testing.T) {
	for _, n := range []int{1, 2, 63, 64, 65, 4096, 100001} {
		if p := uintptr(unsafe.Pointer(unsafe.SliceData(Bytes(n)))); p%Line != 0 {
			t.Errorf("Bytes(%d) starts at %#x, not on a line", n, p)
		}
		f := Float32s(n)
		if p := uintptr(unsafe.Pointer(unsafe.SliceData(f))); p%Line != 0 || len(f) != n || cap(f) != n {
			t.Errorf("Float32s(%d): address %#x, len %d, cap %d", n, p, len(f), cap(f))
		}
	}
	if len(Float32s(0)) != 0 || len(Bytes(0)) != 0 {
		t.Error("empty slices are not empty")
	}
}
