package reference

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"trit/convert"
	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/validate"
)

// vectors pools what a model computes for texts, without rounding.
func vectors(t *testing.T, path string, texts [][]int32) (all []float32, pooling model.Pooling) {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Config.Activations != model.Int8 {
		t.Errorf("the file is read with activations %v, want int8", m.Config.Activations)
	}
	m.Close()
	if f, err = gguf.Open(path); err != nil {
		t.Fatal(err)
	}
	if m, err = model.Load(f, model.LoadOptions{Activations: model.Float}); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e, err := engine.New(m, engine.Options{KVType: kernel.KVF32})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, tokens := range texts {
		s, b := e.NewSequence(), e.NewBatch()
		for _, token := range tokens {
			if _, err := b.Add(s, token, engine.Hidden, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		sum := make([]float64, m.Config.Hidden)
		for i := range tokens {
			if m.Embedding.Pooling == model.PoolLast && i < len(tokens)-1 {
				continue
			}
			for k, x := range b.Hidden(i) {
				sum[k] += float64(x)
			}
		}
		length := 0.0
		for _, x := range sum {
			length += x * x
		}
		for _, x := range sum {
			all = append(all, float32(x/math.Sqrt(length)))
		}
		s.Close()
	}
	return all, m.Embedding.Pooling
}

// TestEmbeddings: checkpoints of sentence-transformers, whose projections have norms of
// their own, give the vectors that transformers computes, and their pooling is kept.
func TestEmbeddings(t *testing.T) {
	const tolerance, hidden = 2e-5, 128
	for _, test := range []struct {
		name    string
		type_   gguf.Type
		pooling model.Pooling
	}{
		{"qwen3_embedding", gguf.TypeF16, model.PoolLast},
		{"qwen3_embedding", gguf.TypeI2S, model.PoolLast},
		{"gemma3_embedding", gguf.TypeF32, model.PoolMean},
		{"gemma3_embedding", gguf.TypeI2S, model.PoolMean},
	} {
		t.Run(test.name+"/"+test.type_.String(), func(t *testing.T) {
			dir, from := checkpoint(t, test.name), filepath.Join("testdata", test.name)
			for _, name := range []string{"modules.json", "1_Pooling/config.json"} {
				data, err := os.ReadFile(filepath.Join(from, name))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out := filepath.Join(t.TempDir(), "model.gguf")
			if _, err := convert.FromHF(context.Background(), convert.Options{Input: dir, Output: out, Type: test.type_, Embedding: gguf.TypeF16}); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(filepath.Join(from, "tokens.json"))
			if err != nil {
				t.Fatal(err)
			}
			var texts [][]int32
			if err := json.Unmarshal(data, &texts); err != nil {
				t.Fatal(err)
			}
			got, pooling := vectors(t, out, texts)
			if pooling != test.pooling {
				t.Errorf("pooling %v, want %v", pooling, test.pooling)
			}
			want, err := validate.ReadRows(filepath.Join(from, "vectors.f32"), len(texts), hidden)
			if err != nil {
				t.Fatal(err)
			}
			for i := range texts {
				var diff float64
				for k := range hidden {
					d := float64(got[i*hidden+k]) - float64(want[i*hidden+k])
					diff += d * d
				}
				if distance := math.Sqrt(diff); !(distance <= tolerance) {
					t.Errorf("text %d: distance %.3g, want at most %g", i, distance, tolerance)
				}
			}
		})
	}
}
