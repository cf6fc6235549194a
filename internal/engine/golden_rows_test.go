package engine_test

import (
	"testing"

	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/kernel"
	"trit/internal/model"
)

// TestGoldenRowScales compares files of ik_llama.cpp, whose rows have scales, with a
// float64 evaluation, and with the same weights as I2_S.
func TestGoldenRowScales(t *testing.T) {
	run := func(t *testing.T, path string, a model.Activations) ([]float32, *model.Config) {
		m := load(t, path, model.LoadOptions{Activations: a})
		if a == 0 && m.Config.Activations != model.Int8 {
			t.Fatalf("activations %v", m.Config.Activations)
		}
		return logits(t, newEngine(t, m, engine.Options{KVType: kernel.KVF32}), goldenTokens, nil, len(goldenTokens)), m.Config
	}
	for _, test := range []struct {
		kind        string
		activations model.Activations
		bound       float64
	}{{"float", model.Float, 1e-5}, {"int8", 0, 1.5 * 0.0256}} {
		t.Run(test.kind, func(t *testing.T) {
			got, c := run(t, fixtures.Path(t, "golden-2026b", "a.iq1_bn.gguf"), test.activations)
			want := readFloats(t, fixtures.Path(t, "golden-2026b", "a.iq1_bn."+test.kind+".f32"))
			if w := worst(got, want, c.Vocab); !(w <= test.bound) {
				t.Errorf("IQ1_BN: worst relative distance %.3g, bound %.3g", w, test.bound)
			}
			got, _ = run(t, fixtures.Path(t, "golden-2026b", "a.iq2_bn.gguf"), test.activations)
			want, _ = run(t, fixtures.Path(t, "golden", "a.i2_s.gguf"), test.activations)
			if w := worst(got, want, c.Vocab); !(w <= 1e-6) {
				t.Errorf("IQ2_BN: %.3g away from the same weights as I2_S", w)
			}
		})
	}
}
