package hugemem

import (
	"fmt"
	"sync"
	"testing"
	"unsafe"
)

func TestBytes(t *testing.T) {
	var all [][]byte
	for _, n := range []int{0, 1, 63, 64, 65, smallest - 1, smallest, smallest + 1, 3<<20 + 7, chunkBytes/2 + 1, chunkBytes / 2, 40<<20 + 1} {
		buf := Bytes(n)
		if len(buf) != n || cap(buf) != n {
			t.Fatalf("%d bytes: length %d, capacity %d", n, len(buf), cap(buf))
		}
		if n > 0 && uintptr(unsafe.Pointer(&buf[0]))%Align != 0 {
			t.Fatalf("%d bytes at %p", n, &buf[0])
		}
		for i := range buf {
			if buf[i] != 0 {
				t.Fatalf("%d bytes: byte %d is %d", n, i, buf[i])
			}
		}
		all = append(all, buf)
	}
	// No two arrays overlap.
	for i, buf := range all {
		for j := range buf {
			buf[j] = byte(i + 1)
		}
	}
	for i, buf := range all {
		for j := range buf {
			if buf[j] != byte(i+1) {
				t.Fatalf("array %d: byte %d was overwritten by array %d", i, j, buf[j]-1)
			}
		}
	}
}

func TestBytesConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				buf := Bytes(smallest + 100*i)
				for j := range buf {
					if buf[j] != 0 {
						t.Errorf("byte %d is %d", j, buf[j])
						return
					}
					buf[j] = byte(i + 1)
				}
			}
		})
	}
	wg.Wait()
}

func Example() {
	weights := Bytes(1 << 20)
	fmt.Println(len(weights))
	// Output: 1048576
}
