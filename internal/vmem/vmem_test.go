package vmem

import (
	"errors"
	"math"
	"testing"
)

func TestReserve(t *testing.T) {
	const n = 1 << 28
	r, err := Reserve(n)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Bytes()) != n {
		t.Fatalf("%d bytes, want %d", len(r.Bytes()), n)
	}
	for _, off := range []int{0, 12345, n - 4096} {
		if err := r.Commit(off, 4096); err != nil {
			t.Fatal(err)
		}
		for i := off; i < off+4096; i++ {
			if r.Bytes()[i] != 0 {
				t.Fatalf("byte %d is not zero", i)
			}
			r.Bytes()[i] = 1
		}
	}
	// What lies within a page of the system cannot be given back, and stays.
	if err := errors.Join(r.Decommit(0, 1<<20), r.Decommit(n-4096, 100), r.Commit(0, 1<<20)); err != nil {
		t.Fatal(err)
	}
	r.Bytes()[12345] = 2
	if r.Bytes()[n-4096] != 1 {
		t.Error("memory that was not given back has changed")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error("closing twice:", err)
	}
}

// TestReserveTooMuch asks for all of the address space until the system refuses.
// A 32-bit program may be granted the first half of its 4 GB.
func TestReserveTooMuch(t *testing.T) {
	for range 3 {
		r, err := Reserve(math.MaxInt - 1<<20)
		if err != nil {
			if !errors.Is(err, ErrReserve) {
				t.Errorf("error %v, want ErrReserve", err)
			}
			return
		}
		defer r.Close()
	}
	t.Error("more than all of the address space was granted")
}
