package engine_test

import (
	"encoding/json"
	"os"
	"testing"

	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/kernel"
	"trit/internal/model"
)

// groupsManifest is what golden-2026/manifest.json says of its models.
type groupsManifest struct {
	Tokens     []int32 `json:"tokens"`
	LongTokens []int32 `json:"long_tokens"`
	LongRows   []int   `json:"long_rows"`
	Models     map[string]struct {
		Arch        string             `json:"arch"`
		Files       map[string]string  `json:"files"`
		D           float64            `json:"d"`
		DWorst      float64            `json:"d_worst_token"`
		Yarn        map[string]any     `json:"yarn"`
		LlamaCPP    map[string]any     `json:"llamacpp"`
		WrongGraphs map[string]float64 `json:"wrong_graphs"`
	} `json:"models"`
}

func readManifest(t testing.TB) groupsManifest {
	t.Helper()
	data, err := os.ReadFile(fixtures.Path(t, "golden-2026", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m groupsManifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestGoldenGroups compares models with a scale for each 64 or 128 columns, hybrid
// ones and such with rotated weights among them, with a float64 evaluation of their
// graphs and with llama.cpp, within the bounds that golden-2026/manifest.json derives.
func TestGoldenGroups(t *testing.T) {
	manifest := readManifest(t)
	check := func(t *testing.T, got, want []float32, vocab int, bound float64) {
		t.Helper()
		w := worst(got, want, vocab)
		t.Logf("worst relative distance %.3g, bound %.3g", w, bound)
		if !(w <= bound) {
			t.Errorf("worst relative distance %.3g exceeds %.3g", w, bound)
		}
	}
	for name, info := range manifest.Models {
		longBound := 1e-5
		if info.Yarn != nil { // angles of far positions in float32
			longBound = 5e-5
		}
		reference := func(t *testing.T, kind string) []float32 {
			return readFloats(t, fixtures.Path(t, "golden-2026", name+"."+kind+".f32"))
		}
		for typ, file := range info.Files {
			path := fixtures.Path(t, "golden-2026", file)
			t.Run(name+"/"+typ+"/float", func(t *testing.T) {
				m := load(t, path, model.LoadOptions{Activations: model.Float})
				for kv, bound := range map[kernel.KVType]float64{kernel.KVF32: 1e-5, kernel.KVF16: 3e-3} {
					e := newEngine(t, m, engine.Options{KVType: kv})
					check(t, logits(t, e, manifest.Tokens, nil, len(manifest.Tokens)), reference(t, "float"), m.Config.Vocab, bound)
				}
				long := reference(t, "long")
				chunks := []int{160, 5, 1, 16, 63, 64, 65}
				if testing.Short() {
					chunks = chunks[:2]
				}
				for _, chunk := range chunks {
					e := newEngine(t, m, engine.Options{KVType: kernel.KVF32})
					all := logits(t, e, manifest.LongTokens, nil, chunk)
					var rows []float32
					for _, r := range manifest.LongRows {
						rows = append(rows, all[r*m.Config.Vocab:(r+1)*m.Config.Vocab]...)
					}
					check(t, rows, long, m.Config.Vocab, longBound)
				}
			})
			t.Run(name+"/"+typ+"/int8", func(t *testing.T) {
				m := load(t, path, model.LoadOptions{})
				if m.Config.Activations != model.Int8Groups {
					t.Fatalf("activations %v", m.Config.Activations)
				}
				e := newEngine(t, m, engine.Options{KVType: kernel.KVF32})
				got := logits(t, e, manifest.Tokens, nil, len(manifest.Tokens))
				check(t, got, reference(t, "int8g128"), m.Config.Vocab, 1.5*info.DWorst)
				if llama := typ + ".llamacpp"; info.LlamaCPP[typ+", f32 KV, against float"] != nil {
					check(t, got, reference(t, llama), m.Config.Vocab, 2*info.DWorst)
				}
			})
		}
	}
}
