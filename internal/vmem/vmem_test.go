package vmem

import (
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
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error("closing twice:", err)
	}
}

func TestReserveTooMuch(t *testing.T) {
	if r, err := Reserve(math.MaxInt - 1<<20); err == nil {
		r.Close()
		t.Error("nearly all of the address space was granted")
	}
}
