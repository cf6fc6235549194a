package engine_test

import (
	"math"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/kernel"
	"trit/internal/model"
)

// embeddingTexts are the inputs of the golden embedding models.
var embeddingTexts = [][]int32{goldenTokens, {5, 9, 222, 17, 401}, {300}}

// embeddings returns the mean of the hidden states of each text, of length 1.
func embeddings(t *testing.T, m *model.Model) []float32 {
	t.Helper()
	e := newEngine(t, m, engine.Options{KVType: kernel.KVF32})
	var all []float32
	for _, tokens := range embeddingTexts {
		s, b := e.NewSequence(), e.NewBatch()
		for _, token := range tokens {
			if _, err := b.Add(s, token, engine.Hidden, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		mean := make([]float32, m.Config.Hidden)
		for row := range tokens {
			for k, x := range b.Hidden(row) {
				mean[k] += x
			}
		}
		var sum float64
		for _, x := range mean {
			sum += float64(x) * float64(x)
		}
		for k := range mean {
			mean[k] /= float32(math.Sqrt(sum))
		}
		all = append(all, mean...)
		s.Close()
	}
	return all
}

// TestEmbeddings runs embedding models of architectures qwen3 and gemma3, whose
// projections have norms of their own, and compares the means of their hidden states.
func TestEmbeddings(t *testing.T) {
	manifest := readWeightOnly(t)
	for _, name := range []string{"eq1", "eg1"} {
		for kind, bound := range map[string]float64{"float": 1e-5, "int8": 1.5 * manifest.Models[name].D} {
			var o model.LoadOptions
			if kind == "float" {
				o.Activations = model.Float
			}
			m := load(t, fixtures.Path(t, "golden-2026b", name+".gguf"), o)
			if m.Embedding.Pooling != model.PoolMean || kind == "int8" && m.Config.Activations != model.Int8 {
				t.Errorf("%s: pooling %v, activations %v", name, m.Embedding.Pooling, m.Config.Activations)
			}
			got, want := embeddings(t, m), readFloats(t, fixtures.Path(t, "golden-2026b", name+"."+kind+".f32"))
			if w := worst(got, want, m.Config.Hidden); !(w <= bound) {
				t.Errorf("%s %s: worst distance %.3g, bound %.3g", name, kind, w, bound)
			}
		}
	}
}

// TestEmbeddingGatesCanFail: graphs with one mistake are far away from the reference.
func TestEmbeddingGatesCanFail(t *testing.T) {
	for _, test := range []struct {
		name, mistake string
		change        func(*gguf.Metadata) error
	}{
		{"eg1", "window", func(m *gguf.Metadata) error { return m.Set("gemma3.attention.sliding_window", uint32(3)) }},
		{"eg1", "silu", func(m *gguf.Metadata) error { return m.Set("gemma3.hidden_act", "silu") }},
		{"eq1", "rope_base", func(m *gguf.Metadata) error { return m.Set("qwen3.rope.freq_base", float32(10000)) }},
	} {
		f, err := gguf.Open(fixtures.Path(t, "golden-2026b", test.name+".gguf"))
		if err != nil {
			t.Fatal(err)
		}
		if err := test.change(f.Metadata); err != nil {
			t.Fatal(err)
		}
		m, err := model.Load(f, model.LoadOptions{Activations: model.Float})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		d := relative(embeddings(t, m), readFloats(t, fixtures.Path(t, "golden-2026b", test.name+".float.f32")))
		if !(d > 0.01) {
			t.Errorf("%s with the mistake %s is only %.3g away", test.name, test.mistake, d)
		}
	}
}
