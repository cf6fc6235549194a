package profile

import (
	"strings"
	"testing"

	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// TestLayerWork: of experts only those count that tokens use, and of layers with a window
// only what it shows; a model without either reads all of its weights.
func TestLayerWork(t *testing.T) {
	m := synthtest.Model(t, synthtest.Shape(t, "tiny-maple"), synth.Options{}, model.LoadOptions{})
	w, e := newLayerWork(m, kernel.KVF16), m.Config.Experts
	var dense, experts, routers int64
	m.Projections(func(_ string, p *model.Projection) {
		if n := int64(p.Matrix.Rows) * int64(p.Matrix.Cols); strings.HasSuffix(p.Name, "_exps") {
			experts += n
		} else {
			dense += n
		}
	})
	routers = int64(m.Config.Layers*e.Count*m.Config.Hidden) * 4
	if want := dense + experts*int64(e.Used)/int64(e.Count); w.macs != want || want == m.TernaryWeights {
		t.Errorf("%d multiply-accumulates, want %d of %d weights", w.macs, want, m.TernaryWeights)
	}
	if got, want := w.weightBytes(1000), m.TernaryBytes+routers; got != want {
		t.Errorf("many tokens read %d bytes, want %d", got, want)
	}
	one, two := w.weightBytes(1), w.weightBytes(2)
	share := (m.TernaryBytes + routers - w.bytes) * int64(e.Used) / int64(e.Count)
	if one != w.bytes+share || two != w.bytes+2*share {
		t.Errorf("one token reads %d bytes, two read %d; want a share of %d each and %d", one, two, share, w.bytes)
	}
	if near, far, farther := w.cacheBytes(1), w.cacheBytes(4000), w.cacheBytes(5000); farther-far >= 1000*near || farther <= far {
		t.Errorf("%g bytes of keys and values after 4,000 positions, %g after 5,000", far, farther)
	}
	plain := synthtest.Model(t, synthtest.Shape(t, "tiny-qwen3"), synth.Options{}, model.LoadOptions{})
	if w := newLayerWork(plain, kernel.KVF16); w.macs != plain.TernaryWeights || w.weightBytes(1) != plain.TernaryBytes {
		t.Errorf("%d multiply-accumulates of %d weights, %d of %d bytes", w.macs, plain.TernaryWeights, w.weightBytes(1), plain.TernaryBytes)
	}
}
