// Package reference compares converted checkpoints with Hugging Face's transformers.
package reference

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
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

// checkpoint returns a folder with the checkpoint of testdata, unpacked.
func checkpoint(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{"config.json", "tokenizer.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", name, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in, err := os.Open(filepath.Join("testdata", name, "model.safetensors.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// logits computes the logits after each token, without rounding.
func logits(t *testing.T, path string, tokens []int32) (all []float32, vocab int) {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := model.Load(f, model.LoadOptions{Activations: model.Float})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e, err := engine.New(m, engine.Options{KVType: kernel.KVF32})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := e.NewSequence()
	defer s.Close()
	b := e.NewBatch()
	for _, token := range tokens {
		if _, err := b.Add(s, token, engine.All, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Step(b, nil); err != nil {
		t.Fatal(err)
	}
	for i := range tokens {
		all = append(all, b.Logits(i)...)
	}
	return all, m.Config.Vocab
}

// A converted checkpoint computes what transformers computes, up to float accuracy: in
// a type that holds floats, and in those that the Bonsai models are published in.
func TestTransformers(t *testing.T) {
	const tolerance = 2e-5
	for _, test := range []struct {
		name             string
		type_, embedding gguf.Type
	}{
		{"qwen3", gguf.TypeF16, gguf.TypeF16},
		{"qwen3", gguf.TypePQ2_0, gguf.TypePQ2_0},
		{"qwen3", gguf.TypePTQ1_0, gguf.TypePTQ1_0},
		{"qwen35", gguf.TypeF32, gguf.TypeF16},
		{"qwen35", gguf.TypeQ2_0, gguf.TypeQ2_0},
	} {
		t.Run(test.name+"/"+test.type_.String(), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "model.gguf")
			report, err := convert.FromHF(context.Background(), convert.Options{
				Input: checkpoint(t, test.name), Output: out, Type: test.type_, Embedding: test.embedding,
			})
			if err != nil {
				t.Fatal(err)
			}
			if report.Activations != model.Int8Groups.String() {
				t.Errorf("activations %s", report.Activations)
			}
			data, err := os.ReadFile(filepath.Join("testdata", test.name, "tokens.json"))
			if err != nil {
				t.Fatal(err)
			}
			var tokens []int32
			if err := json.Unmarshal(data, &tokens); err != nil {
				t.Fatal(err)
			}
			got, vocab := logits(t, out, tokens)
			want, err := validate.ReadRows(filepath.Join("testdata", test.name, "logits.f32"), len(tokens), vocab)
			if err != nil {
				t.Fatal(err)
			}
			r, err := validate.CompareLogits(tokens, got, want, vocab)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("distance: median %.3g, maximum %.3g", r.Median, r.Max)
			if !(r.Max <= tolerance) || r.ArgMaxAgreement != 1 {
				t.Errorf("distance %.3g, want at most %g; agreement %v", r.Max, tolerance, r.ArgMaxAgreement)
			}
		})
	}
}
