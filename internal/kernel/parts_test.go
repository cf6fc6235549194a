package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"

	"trit/internal/aligned"
	"trit/internal/ternary"
)

// inParts returns the same matrix with its panels in pieces that end there.
func inParts(m *ternary.Matrix, ends ...int) *ternary.Matrix {
	p, first := *m, 0
	p.Data = nil
	for _, end := range ends {
		part := ternary.Part{End: end, Data: aligned.Bytes((end - first) * m.PanelBytes())}
		copy(part.Data, m.Data[first*m.PanelBytes():])
		p.Parts, first = append(p.Parts, part), end
	}
	return &p
}

// TestProductsOfParts: where the panels of a matrix lie does not matter.
func TestProductsOfParts(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	const rows, cols = 11*ternary.PanelRows + 5, 512
	for _, layout := range []ternary.Layout{ternary.T2, ternary.T5, ternary.G2, ternary.G5} {
		whole := testMatrix(t, layout, rows, cols, randomTrit(rng))
		if layout.Grouped() {
			whole.Scales = nil
			if err := whole.SetScales([]float32{0.5}, 0); err != nil {
				t.Fatal(err)
			}
		}
		parts := inParts(whole, 3, 4, 12)
		if err := parts.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, tokens := range []int{1, 2, 9, 33} {
			for _, panels := range [][2]int{{0, 12}, {1, 11}, {3, 4}, {2, 12}} {
				products := map[*ternary.Matrix][]float32{}
				for _, w := range []*ternary.Matrix{whole, parts} {
					y := make([]float32, tokens*rows)
					for _, v := range Variants() {
						ws := NewWorkspace()
						ws.Variant = v
						if layout.Grouped() {
							x := NewGroupedInt8(tokens, cols)
							for i := range tokens {
								QuantizeGroups(x, i, ramp(cols, i))
							}
							MatMulGrouped(y, rows, w, x, 0, tokens, panels[0], panels[1], ws)
						} else {
							MatMulI8(y, rows, w, testInt8(tokens, cols, 0, func(t, c int) int8 { return int8(7*t + 3*c) }), 0, tokens, panels[0], panels[1], ws)
						}
						products[w] = append(products[w], y...)
					}
				}
				if !slices.Equal(products[whole], products[parts]) {
					t.Errorf("%v, %d rows, panels %v: another product", layout, tokens, panels)
				}
			}
		}
	}
}

func ramp(n, from int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32((from+i)%13) - 6
	}
	return x
}
