package model_test

import (
	"errors"
	"math"
	"testing"

	"trit/internal/model"
)

// TestGemma3Layers: in files with a sliding window every sixth layer, or what the file
// says, attends to all positions and is rotated with the usual base.
func TestGemma3Layers(t *testing.T) {
	configured := func(changes map[string]any) *model.Config {
		t.Helper()
		changes["general.architecture"] = "gemma3"
		changes["bitnet-b1.58.block_count"] = uint32(12)
		c, err := configure(t, changes, model.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := configured(map[string]any{})
	if c.HiddenAct != model.GELUTanh || c.RopeStyle != model.RopeNeox || c.EmbeddingScale != float32(math.Sqrt(2560)) || c.Activations != model.Int8 {
		t.Errorf("%+v", c)
	}
	for _, test := range []struct {
		name    string
		changes map[string]any
		sliding func(layer int) bool
		base    float64
	}{
		{"no window", map[string]any{}, func(int) bool { return false }, 0},
		{"window", map[string]any{"gemma3.attention.sliding_window": uint32(512)}, func(l int) bool { return l%6 != 5 }, 10000},
		{"pattern", map[string]any{"gemma3.attention.sliding_window": uint32(512), "gemma3.attention.sliding_window_pattern": uint32(4),
			"gemma3.rope.freq_base_swa": float32(20000)}, func(l int) bool { return l%4 != 3 }, 20000},
	} {
		c := configured(test.changes)
		for l := range c.Layers {
			window, rotation := 0, model.RotateUsual
			if test.sliding(l) {
				window, rotation = 512, model.RotateLocal
			}
			if c.WindowOf(l) != window || c.Rotation(l) != rotation {
				t.Errorf("%s: layer %d has window %d, rotation %v", test.name, l, c.WindowOf(l), c.Rotation(l))
			}
		}
		if c.LocalRopeBase != test.base {
			t.Errorf("%s: local base %v", test.name, c.LocalRopeBase)
		}
	}
	for _, causal := range []bool{true, false} {
		_, err := configure(t, map[string]any{"general.architecture": "gemma3", "gemma3.attention.causal": causal}, model.LoadOptions{})
		if causal != (err == nil) || !causal && !errors.Is(err, model.ErrConfig) {
			t.Errorf("causal %v: %v", causal, err)
		}
	}
}
