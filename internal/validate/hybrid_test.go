package validate

import (
	"testing"

	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// TestRunHybrid: only layers that attend are expected to have attention.
func TestRunHybrid(t *testing.T) {
	for shape, layers := range map[string]int{"tiny-qwen35": 1, "tiny-maple": 4} {
		r := runSuite(t, synthtest.File(t, synthtest.Shape(t, shape), synth.Options{}), Options{MaxPerplexity: 1e6})
		if !r.Passed {
			t.Errorf("%s:\n%s", shape, r)
		}
		if d, ok := r.Check("attention").Detail.(*AttentionDetail); !ok || d.Layers != layers {
			t.Errorf("%s: %+v", shape, r.Check("attention").Detail)
		}
	}
}
