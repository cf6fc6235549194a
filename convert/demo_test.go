package convert

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/model"
	"trit/tokenizer"
)

// TestDemo converts the checkpoint of the demo model: the bytes are those of the
// committed file, and the logits those of the trainer's own code.
func TestDemo(t *testing.T) {
	dir := fixtures.Path(t, "demo-model")
	out := filepath.Join(t.TempDir(), "demo.gguf")
	_, err := FromHF(context.Background(), Options{
		Input: dir, Output: out, Type: gguf.TypeI2S, Embedding: gguf.TypeF16, Name: "Trit Demo", License: "mit",
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("demo/demo.gguf is not what the checkpoint converts to; demo/README.md says how it is made")
	}
	var reference struct {
		Tokens []int32
		D      float64
	}
	text, err := os.ReadFile(filepath.Join(dir, "logits.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &reference); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		activations model.Activations
		file        string
		bound       float64
	}{{model.Float, "float.f32", 1e-5}, {model.Int8, "reference.f32", 1.5 * reference.D}} {
		f, err := gguf.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		m, err := model.Load(f, model.LoadOptions{Activations: test.activations})
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.New(m, engine.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		s, b := e.NewSequence(), e.NewBatch()
		for _, id := range reference.Tokens {
			if _, err := b.Add(s, id, engine.All, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, test.file))
		if err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for r := range reference.Tokens {
			row := make([]float32, m.Config.Vocab)
			for i := range row {
				row[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(r*len(row)+i):]))
			}
			worst = max(worst, distance(b.Logits(r), row))
		}
		t.Logf("%v: distance %.3g, bound %.3g", test.activations, worst, test.bound)
		if !(worst <= test.bound) {
			t.Errorf("%v: distance %.3g exceeds %.3g", test.activations, worst, test.bound)
		}
		s.Close()
		e.Close()
	}
}

// TestDemoTokens compares prompts with the trainer's own tokenisation.
func TestDemoTokens(t *testing.T) {
	text, err := os.ReadFile(fixtures.Path(t, "demo-model", "greedy.json"))
	if err != nil {
		t.Fatal(err)
	}
	var prompts map[string]struct {
		IDs []int32 `json:"prompt_ids"`
	}
	if err := json.Unmarshal(text, &prompts); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(filepath.Join("..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tok, err := tokenizer.FromGGUF(f.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	for prompt, want := range prompts {
		got := tok.Encode(prompt, tokenizer.ParseSpecial(true))
		if len(got) != len(want.IDs) {
			t.Errorf("%q: %v, want %v", prompt, got, want.IDs)
			continue
		}
		for i := range got {
			if got[i] != want.IDs[i] {
				t.Errorf("%q: %v, want %v", prompt, got, want.IDs)
				break
			}
		}
	}
}
