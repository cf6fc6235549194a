package engine_test

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/kernel"
	"trit/internal/model"
	_ "trit/internal/model/arch"
)

// goldenTokens is the input of all golden models.
var goldenTokens = []int32{1, 17, 300, 45, 45, 9, 222, 511, 3, 120, 77, 64, 401, 5, 17, 300}

// distance is the bound d of golden/manifest.json: how far int8 rounding moves
// the logits of each golden model.
var distance = map[string]float64{"a": 0.025, "b": 0.029, "c": 0.014, "d": 0.030}

// load opens a golden model; a name that ends in .gz is unpacked first.
func load(t testing.TB, path string, o model.LoadOptions) *model.Model {
	t.Helper()
	var f *gguf.File
	var err error
	if strings.HasSuffix(path, ".gz") {
		f, err = gguf.Parse(gunzip(t, path))
	} else {
		f, err = gguf.Open(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func gunzip(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func newEngine(t testing.TB, m *model.Model, o engine.Options) *engine.Engine {
	t.Helper()
	if o.Threads == 0 {
		o.Threads = 2
	}
	e, err := engine.New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// logits runs tokens in chunks of the given sizes (the last one repeats) and
// returns the logits of every token, [tokens, V].
func logits(t testing.TB, e *engine.Engine, tokens []int32, o model.Observer, chunks ...int) []float32 {
	t.Helper()
	s := e.NewSequence()
	defer s.Close()
	b := e.NewBatch()
	var out []float32
	for i := 0; i < len(tokens); {
		n := chunks[0]
		if len(chunks) > 1 {
			chunks = chunks[1:]
		}
		b.Reset()
		for ; n > 0 && i < len(tokens); n-- {
			if _, err := b.Add(s, tokens[i], engine.All, nil); err != nil {
				t.Fatal(err)
			}
			i++
		}
		if err := e.Step(b, o); err != nil {
			t.Fatal(err)
		}
		for r := range b.Len() {
			out = append(out, b.Logits(r)...)
		}
	}
	return out
}

func readFloats(t testing.TB, path string) []float32 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}

// worst returns the largest relative L2 distance of any row.
func worst(got, want []float32, width int) float64 {
	largest := 0.0
	for r := 0; r < len(want); r += width {
		largest = max(largest, relative(got[r:r+width], want[r:r+width]))
	}
	return largest
}

func relative(got, want []float32) float64 {
	var diff, norm float64
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		diff += d * d
		norm += float64(want[i]) * float64(want[i])
	}
	return math.Sqrt(diff / norm)
}

// TestGolden compares the logits of every golden file with the references,
// within the bounds that golden/manifest.json derives.
func TestGolden(t *testing.T) {
	const exact, half = 1e-5, 2e-3
	tests := []struct {
		file        string
		reference   string
		activations model.Activations
		kv          kernel.KVType
		bound       float64 // 0 means 1.5 d
	}{
		{"a.i2_s.gguf", "a.float.f32", model.Float, kernel.KVF32, exact},
		{"b.i2_s.gguf", "b.float.f32", model.Float, kernel.KVF32, exact},
		{"c.i2_s.gguf", "c.float.f32", model.Float, kernel.KVF32, exact},
		{"d.i2_s.gguf", "d.float.f32", model.Float, kernel.KVF32, exact},
		{"a.i2_s.gguf", "a.float.f32", model.Float, kernel.KVF16, half},
		{"b.i2_s.gguf", "b.float.f32", model.Float, kernel.KVF16, half},
		{"c.i2_s.gguf", "c.float.f32", model.Float, kernel.KVF16, half},
		{"d.i2_s.gguf", "d.float.f32", model.Float, kernel.KVF16, half},
		{"d.i2_s.gguf", "d.ik_llamacpp.f32", model.Float, kernel.KVF16, half},
		{"a.f16.gguf.gz", "a.f16.llamacpp.f32", model.Float, kernel.KVF16, half},

		{"a.i2_s.gguf", "a.reference.f32", model.Int8, kernel.KVF32, 0},
		{"b.i2_s.gguf", "b.reference.f32", model.Int8, kernel.KVF32, 0},
		{"c.i2_s.gguf", "c.reference.f32", model.Int8, kernel.KVF32, 0},
		{"d.i2_s.gguf", "d.reference.f32", model.Int8, kernel.KVF32, 0},
		{"a.i2_s.gguf", "a.i2_s.bitnetcpp.f32", model.Int8, kernel.KVF16, 0},
		{"b.i2_s.gguf", "b.i2_s.bitnetcpp.f32", model.Int8, kernel.KVF16, 0},
		{"c.i2_s.gguf", "c.i2_s.bitnetcpp.f32", model.Int8, kernel.KVF16, 0},
		{"a.tq2_0.gguf", "a.tq2_0.llamacpp.f32", model.Int8, kernel.KVF16, 0},
		{"a.tq2_0-q6_k.gguf", "a.tq2_0-q6_k.llamacpp.f32", model.Int8, kernel.KVF16, 0},
		{"b.tq2_0.gguf", "b.tq2_0.llamacpp.f32", model.Int8, kernel.KVF16, 0},
		{"c.tq2_0.gguf", "c.tq2_0.llamacpp.f32", model.Int8, kernel.KVF16, 0},
		// The TQ1_0 files hold the same weights as the TQ2_0 files.
		{"a.tq1_0.gguf", "a.tq2_0.llamacpp.f32", model.Int8, kernel.KVF16, 0},
		{"b.tq1_0.gguf", "b.tq2_0.llamacpp.f32", model.Int8, kernel.KVF16, 0},
	}
	for _, test := range tests {
		t.Run(strings.TrimSuffix(test.file, ".gguf")+"/"+test.reference+"/"+test.kv.String(), func(t *testing.T) {
			m := load(t, fixtures.Path(t, "golden", test.file), model.LoadOptions{Activations: test.activations})
			e := newEngine(t, m, engine.Options{KVType: test.kv})
			got := logits(t, e, goldenTokens, nil, len(goldenTokens))
			want := readFloats(t, fixtures.Path(t, "golden", test.reference))
			bound := test.bound
			if bound == 0 {
				bound = 1.5 * distance[test.file[:1]]
			}
			w := worst(got, want, m.Config.Vocab)
			t.Logf("worst relative distance %.3g, bound %.3g", w, bound)
			if !(w <= bound) {
				t.Errorf("worst relative distance %.3g exceeds %.3g", w, bound)
			}
		})
	}
}

// TestGatesCanFail shows that a model with a wrong RoPE base, a wrong
// activation function or without one of its layers does not pass.
func TestGatesCanFail(t *testing.T) {
	path := fixtures.Path(t, "golden", "d.i2_s.gguf")
	want := readFloats(t, fixtures.Path(t, "golden", "d.float.f32"))
	breakages := map[string]func(m *gguf.Metadata) error{
		"rope base": func(m *gguf.Metadata) error { return m.Set("bitnet-b1.58.rope.freq_base", float32(10000)) },
		"layers":    func(m *gguf.Metadata) error { return m.Set("bitnet-b1.58.block_count", uint32(2)) },
		"act":       func(m *gguf.Metadata) error { return m.Set("bitnet-b1.58.hidden_act", "silu") },
	}
	for name, breakIt := range breakages {
		t.Run(name, func(t *testing.T) {
			f, err := gguf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := breakIt(f.Metadata); err != nil {
				t.Fatal(err)
			}
			m, err := model.Load(f, model.LoadOptions{Activations: model.Float})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			got := logits(t, newEngine(t, m, engine.Options{}), goldenTokens, nil, len(goldenTokens))
			if w := worst(got, want, m.Config.Vocab); w < 1e-3 {
				t.Errorf("a broken model is only %.3g away from the reference", w)
			}
		})
	}
}

// committed is the golden model that is part of the repository.
func committed() string { return filepath.Join("testdata", "d.i2_s.gguf") }
