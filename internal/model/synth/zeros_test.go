package synth_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// TestZeros counts the rows of gates that are without weights.
func TestZeros(t *testing.T) {
	s := synthtest.Shape(t, "tiny")
	s.FFN = 2048
	for _, typ := range []gguf.Type{gguf.TypeI2S, gguf.TypeTQ1_0, gguf.TypeTQ2_0, gguf.TypeF16} {
		for _, zeros := range []float64{0.5, 0.8, 0.95} {
			f, err := gguf.Parse(synthtest.Bytes(t, s, synth.Options{Type: typ, Zeros: zeros}))
			if err != nil {
				t.Fatal(err)
			}
			m, err := model.Load(f, model.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var patterns []string
			m.Projections(func(name string, p *model.Projection) {
				empty, pattern := 0, make([]byte, p.Matrix.Rows)
				row := make([]int8, p.Matrix.Cols)
				for r := range p.Matrix.Rows {
					if err := p.Matrix.Row(r, row); err != nil {
						t.Fatal(err)
					}
					if !slices.ContainsFunc(row, func(v int8) bool { return v != 0 }) {
						empty++
						pattern[r] = 1
					}
				}
				if !strings.HasSuffix(name, "ffn_gate.weight") {
					if empty > 0 {
						t.Errorf("%v: %d rows of %s are empty", typ, empty, name)
					}
					return
				}
				patterns = append(patterns, string(pattern))
				if got := float64(empty) / float64(p.Matrix.Rows); math.Abs(got-(2*zeros-1)) > 0.04 {
					t.Errorf("%v: %g of all rows of %s are empty, want %g", typ, got, name, 2*zeros-1)
				}
			})
			if len(patterns) != 2 || zeros > 0.5 && patterns[0] == patterns[1] {
				t.Errorf("%v: %d layers with gates, or the same in all", typ, len(patterns))
			}
		}
	}
}

// TestNoZeros checks that the share is refused where it has no meaning, and changes nothing
// else.
func TestNoZeros(t *testing.T) {
	tiny := synthtest.Shape(t, "tiny")
	narrow := tiny
	narrow.Hidden, narrow.FFN = 192, 256
	for _, c := range []struct {
		shape synth.Shape
		zeros float64
	}{{tiny, 0.3}, {tiny, 1}, {tiny, -1}, {tiny, math.NaN()}, {synthtest.Shape(t, "tiny-llama"), 0.8}, {synthtest.Shape(t, "tiny-maple"), 0.8}, {narrow, 0.8}} {
		if _, err := synth.New(c.shape, synth.Options{Zeros: c.zeros}); !errors.Is(err, synth.ErrShape) {
			t.Errorf("%s with %g: %v", c.shape.Name, c.zeros, err)
		}
	}
	with, err := gguf.Parse(synthtest.Bytes(t, tiny, synth.Options{Zeros: 0.8}))
	if err != nil {
		t.Fatal(err)
	}
	without, err := gguf.Parse(synthtest.Bytes(t, tiny, synth.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range with.Tensors {
		a, errA := with.Tensors[i].Data()
		b, errB := without.Tensors[i].Data()
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if same := bytes.Equal(a, b); same == strings.HasSuffix(with.Tensors[i].Name, "ffn_gate.weight") {
			t.Errorf("%s: the same bytes: %v", with.Tensors[i].Name, same)
		}
	}
}
