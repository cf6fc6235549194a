package head

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"trit/gguf"
	"trit/internal/kernel"
)

// TestSelectNarrow: many states are rounded for the scan, and then what that loses is
// part of every bound that the scan's logits are compared with. It is small beside
// the radius, so that no selection would show its absence.
func TestSelectNarrow(t *testing.T) {
	if !kernel.CoarseNarrow() {
		t.Skip("this CPU has no kernels for narrow scores")
	}
	const rows, cols, n = 4000, 256, narrowStates
	r := rand.New(rand.NewPCG(23, 24))
	w := gauss(r, rows*cols, 0.02)
	h := newHead(t, encodeTable(t, gguf.TypeF16, w, rows, cols), Coarse, 2)
	c := h.coarse
	for plane := range 2 {
		var states [][]float32
		var sel []*Selector
		for range n {
			states, sel = append(states, gauss(r, cols, 1)), append(sel, &Selector{K: 5})
		}
		c.policy = policy{unsettled: float64(plane)} // all panels have lately needed the second plane, or none
		answer(h, rowsOf(states[:3], []*Selector{{K: 5}, {K: 5}, {K: 5}}))
		if c.plan.narrow {
			t.Error("3 states are rounded")
		}
		c.policy = policy{unsettled: float64(plane)}
		rows := rowsOf(states, sel)
		answer(h, rows)
		if c.plan != (plan{plane, true}) || len(c.scanned) != n {
			t.Fatalf("%+v for %d states", c.plan, len(c.scanned))
		}
		for _, q := range c.scanned {
			for p := plane; p < exact; p++ {
				radius := q.norm * c.copy.Radius(p)[7]
				loss := c.input.Loss(q.index) * c.copy.Weight()[7]
				if plane == 0 && p > 0 {
					loss = 0 // these logits were computed anew from the whole state
				}
				if got := c.bound(q, uint8(p), 7) - radius; !(math.Abs(float64(got-loss)) <= 1e-3*float64(radius)) || plane == 1 && loss < 1e-2*radius {
					t.Errorf("scan to plane %d, plane %d: the bound is %g beyond the radius of %g, want %g", plane, p, got, radius, loss)
				}
			}
			if got, least := c.panelBound(q, 0), c.bound(q, uint8(plane), 7); got < least {
				t.Errorf("scan to plane %d: the bound of a panel is %g, that of its tokens %g", plane, got, least)
			}
		}
		checkRows(t, fmt.Sprintf("plane %d", plane), h, rows)
	}
}

// TestSelectSame: selections do not depend on threads or on the batch, and come
// out in the same order. What is known about the rest does: it depends on how
// much of the head was read.
func TestSelectSame(t *testing.T) {
	const rows, cols, n = 5000, 256, 7
	r := rand.New(rand.NewPCG(7, 8))
	w := gauss(r, rows*cols, 0.02)
	table := encodeTable(t, gguf.TypeF16, w, rows, cols)
	states := testStates(r, w, cols, n)
	requests := func() []*Selector {
		r := rand.New(rand.NewPCG(9, 10))
		var sel []*Selector
		for range n {
			sel = append(sel, drawRequest(r, rows))
		}
		return sel
	}
	want := requests()
	h := newHead(t, table, Coarse, 1)
	for i := range want {
		answer(h, rowsOf(states[i:i+1], want[i:i+1]))
	}
	for _, threads := range []int{1, 2, 5} {
		got := requests()
		h := newHead(t, table, Coarse, threads)
		answer(h, rowsOf(states, got))
		for i := range got {
			g, w := got[i], want[i]
			if !slices.Equal(g.Tokens, w.Tokens) || !slices.Equal(g.Logits, w.Logits) {
				t.Errorf("%d threads, row %d: %d tokens, alone %d, or others", threads, i, len(g.Tokens), len(w.Tokens))
			}
		}
	}
}
