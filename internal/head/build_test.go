package head

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"trit/gguf"
)

// TestCopyIsMadeByAndBy: the first selection does not wait for the copy, those after it
// make it, all are answered exactly, and then it is the copy that Prepare makes at once.
func TestCopyIsMadeByAndBy(t *testing.T) {
	const rows, cols = 5000, 256
	r := rand.New(rand.NewPCG(51, 52))
	w := gauss(r, rows*cols, 0.02)
	for _, typ := range []gguf.Type{gguf.TypeF16, gguf.TypeQ6_K} {
		table := encodeTable(t, typ, w, rows, cols)
		h := newUnpreparedHead(t, table, Coarse, 2)
		b, x := h.coarse.build, gauss(r, cols, 1)
		resident := h.Info().Resident
		h.Select([]Row{{X: x}}, nil)
		h.Select([]Row{{X: x}}, nil)
		if b.done != 0 {
			t.Fatalf("%s: a part of the copy is made for rows that select nothing", typ)
		}
		for step := range 1 + buildSteps + 3 {
			states := testStates(r, w, cols, 3)
			requests := rowsOf(states, []*Selector{{K: 1}, {K: 40, TailMass: true}, drawRequest(r, rows)})
			rest := answer(h, requests)
			checkRows(t, fmt.Sprintf("%s, step %d", typ, step), h, requests)
			if step == 0 && b.done != 0 {
				t.Errorf("%s: the first selection waits for %d units of the copy", typ, b.done)
			}
			if whole := step >= buildSteps; b.whole() != whole {
				t.Errorf("%s, step %d: %d of %d units are made", typ, step, b.done, b.units())
			} else if all := len(rest) == len(requests); !whole && !all {
				t.Errorf("%s, step %d: a copy that is not whole is used", typ, step)
			}
		}
		want := newHead(t, table, Coarse, 1).coarse.copy
		for p := range exact {
			if !slices.Equal(h.coarse.copy.Radius(p), want.Radius(p)) {
				t.Errorf("%s: the bounds of plane %d are not those of a copy that is made at once", typ, p)
			}
		}
		if after := h.Info().Resident; after != resident || after != want.Bytes() {
			t.Errorf("%s: %d bytes resident at first, %d in the end, want %d", typ, resident, after, want.Bytes())
		}
	}
}

func TestCopyAllocations(t *testing.T) {
	const rows, cols = 20000, 256
	r := rand.New(rand.NewPCG(53, 54))
	h := newUnpreparedHead(t, encodeTable(t, gguf.TypeF16, gauss(r, rows*cols, 0.02), rows, cols), Coarse, 1)
	requests, rest := rowsOf([][]float32{gauss(r, cols, 1)}, []*Selector{{K: 1}}), make([]int, 0, 1)
	h.Select(requests, rest) // nothing is made
	h.Select(requests, rest) // surveys
	if n := testing.AllocsPerRun(buildSteps-4, func() { h.Select(requests, rest) }); n != 0 {
		t.Errorf("%g allocations in a step that makes a part of the copy", n)
	}
	if h.coarse.build.whole() {
		t.Error("the copy is whole too early to tell")
	}
}
