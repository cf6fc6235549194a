package engine_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/kernel"
	"trit/internal/model"
)

// TestGoldenWeightOnly compares models of the minicpm and hunyuan-dense families with
// a float64 evaluation of their graphs, within the bounds of golden-2026b.
func TestGoldenWeightOnly(t *testing.T) {
	data, err := os.ReadFile(fixtures.Path(t, "golden-2026b", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Tokens []int32 `json:"tokens"`
		Models map[string]struct {
			D float64 `json:"d"`
		} `json:"models"`
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mc1", "hy1"} {
		path := fixtures.Path(t, "golden-2026b", name+".gguf")
		for _, c := range []struct {
			kind        string
			activations model.Activations
			kv          kernel.KVType
			bound       float64
		}{
			{"float", model.Float, kernel.KVF32, 1e-5},
			{"float", model.Float, kernel.KVF16, 2e-3},
			{"int8g128", 0, kernel.KVF32, 1.5 * manifest.Models[name].D},
		} {
			t.Run(name+"/"+c.kind+"/"+c.kv.String(), func(t *testing.T) {
				m := load(t, path, model.LoadOptions{Activations: c.activations})
				if c.activations == 0 && m.Config.Activations != model.Int8Groups {
					t.Fatalf("activations %v", m.Config.Activations)
				}
				e := newEngine(t, m, engine.Options{KVType: c.kv})
				got := logits(t, e, manifest.Tokens, nil, len(manifest.Tokens))
				w := worst(got, readFloats(t, fixtures.Path(t, "golden-2026b", name+"."+c.kind+".f32")), m.Config.Vocab)
				if !(w <= c.bound) {
					t.Errorf("worst relative distance %.3g exceeds %.3g", w, c.bound)
				}
			})
		}
	}
}

// TestLongRopeLongFactorsRefused: factors for long contexts are not left out silently.
func TestLongRopeLongFactorsRefused(t *testing.T) {
	f, err := gguf.Open(fixtures.Path(t, "golden-2026b", "mc2.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = model.Load(f, model.LoadOptions{})
	if !errors.Is(err, model.ErrConfig) {
		t.Errorf("error %v, want %v", err, model.ErrConfig)
	}
}
