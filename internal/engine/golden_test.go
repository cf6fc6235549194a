package engine_test

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
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
	"trit/internal/model/arch/decoder"
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

// forcer compares every stage with the reference's and then puts the
// reference's values in its place, so that each stage is computed from the
// reference's own input.
type forcer struct {
	t       *testing.T
	stages  map[string]stage
	values  []float32
	weights map[string]*model.Projection
	last    []float32 // the reference's values of the stage before
	seen    int
	worst   float64
}

type stage struct {
	Stage  string `json:"stage"`
	Offset int    `json:"offset"`
	Width  int    `json:"width"`
}

// projections names the weights of the stages that are a projection of the
// stage before them.
var projections = map[string]string{"attn_output": "attn_output.weight", "gate": "ffn_gate.weight", "down": "ffn_down.weight"}

func (f *forcer) Stage(layer int, name string, rows, width int, data []float32) {
	full := model.StageName(layer, name)
	s, ok := f.stages[full]
	if !ok {
		f.t.Errorf("stage %s is not among the reference's", full)
		return
	}
	if s.Width != width {
		f.t.Errorf("stage %s: width %d, want %d", full, width, s.Width)
		return
	}
	want := f.values[s.Offset : s.Offset+rows*width]
	f.seen++
	for r := range rows {
		got, want := data[r*width:(r+1)*width], want[r*width:(r+1)*width]
		d := relative(got, want)
		if tensor, ok := projections[name]; ok && d > 1e-6 {
			in := len(f.last) / rows
			d = f.atTies(f.weights[model.LayerTensor(layer, tensor)], f.last[r*in:(r+1)*in], want)
			f.t.Logf("stage %s, row %d: an input lies on a tie of the rounding to int8; rounded as the reference does, the distance is %.3g", full, r, d)
		}
		f.worst = max(f.worst, d)
		if !(d <= 1e-6) {
			f.t.Errorf("stage %s, row %d: relative distance %.3g exceeds 1e-6", full, r, d)
		}
	}
	copy(data, want)
	f.last = want
}

// atTies computes a projection in float64, with every choice of rounding for
// the inputs that lie within float32 accuracy of a tie, and returns the
// smallest distance from the reference. Without ties that is the plain one.
func (f *forcer) atTies(w *model.Projection, in, want []float32) float64 {
	amax := 1e-5
	for _, x := range in {
		amax = max(amax, math.Abs(float64(x)))
	}
	codes := make([]float64, len(in))
	var ties []int
	for i, x := range in {
		v := float64(x) * 127 / amax
		codes[i] = math.RoundToEven(v)
		if math.Abs(math.Abs(v-math.Trunc(v))-0.5) < 1e-5 {
			ties = append(ties, i)
		}
	}
	if len(ties) > 8 {
		f.t.Fatalf("%d inputs lie on ties", len(ties))
	}
	best := math.Inf(1)
	trits := make([]int8, len(in))
	got := make([]float32, len(want))
	for choice := range 1 << len(ties) {
		for k, i := range ties {
			v := float64(in[i]) * 127 / amax
			codes[i] = math.Floor(v) + float64(choice>>k&1)
		}
		for r := range want {
			w.Matrix.Row(r, trits)
			sum := 0.0
			for c, trit := range trits {
				sum += float64(trit) * codes[c]
			}
			got[r] = float32(sum * amax / 127 * float64(w.Matrix.ScaleAt(r, 0)))
		}
		best = min(best, relative(got, want))
	}
	return best
}

// TestStages checks every stage of every layer from the reference's own input
// to it.
func TestStages(t *testing.T) {
	for _, name := range []string{"a", "c", "d"} {
		t.Run(name, func(t *testing.T) {
			m := load(t, fixtures.Path(t, "golden", name+".i2_s.gguf"), model.LoadOptions{})
			e := newEngine(t, m, engine.Options{})
			index, err := os.ReadFile(fixtures.Path(t, "golden", name+".stages.json"))
			if err != nil {
				t.Fatal(err)
			}
			var list []stage
			if err := json.Unmarshal(index, &list); err != nil {
				t.Fatal(err)
			}
			f := &forcer{t: t, weights: map[string]*model.Projection{}, stages: map[string]stage{}, values: readFloats(t, fixtures.Path(t, "golden", name+".stages.f32"))}
			m.Projections(func(name string, p *model.Projection) { f.weights[name] = p })
			for _, s := range list {
				f.stages[s.Stage] = s
			}
			logits(t, e, goldenTokens, f, len(goldenTokens))
			if f.seen != len(list) {
				t.Errorf("%d stages observed, the reference has %d", f.seen, len(list))
			}
			t.Logf("worst stage %.3g", f.worst)
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

func init() {
	decoder.Register(decoder.Family{
		Names: []string{"hunyuan-dense"}, HeadNorms: decoder.AfterRope,
		Configure: func(_ *gguf.Metadata, c *model.Config) error {
			c.RopeStyle, c.HiddenAct = model.RopeNeox, model.SiLU
			return nil
		},
	})
}

// TestHeadNorms runs a model whose heads are normed after the rotation, which only
// this test knows as a family.
func TestHeadNorms(t *testing.T) {
	m := load(t, fixtures.Path(t, "golden-2026b", "hy1.gguf"), model.LoadOptions{Activations: model.Float})
	got := logits(t, newEngine(t, m, engine.Options{}), goldenTokens, nil, len(goldenTokens))
	want := readFloats(t, fixtures.Path(t, "golden-2026b", "hy1.float.f32"))
	if w := worst(got, want, m.Config.Vocab); !(w <= 1e-5) {
		t.Errorf("worst relative distance %.3g", w)
	}
}

// TestEmbeddings runs an embedding model of architecture qwen3, whose projections
// have norms of their own, and compares the mean of its hidden states.
func TestEmbeddings(t *testing.T) {
	for _, test := range []struct {
		activations model.Activations
		reference   string
		bound       float64
	}{{model.Float, "eq1.float.f32", 1e-5}, {model.Int8, "eq1.int8.f32", 1.5 * 0.0229}} {
		m := load(t, fixtures.Path(t, "golden-2026b", "eq1.gguf"), model.LoadOptions{Activations: test.activations})
		e := newEngine(t, m, engine.Options{})
		want := readFloats(t, fixtures.Path(t, "golden-2026b", test.reference))
		for i, tokens := range [][]int32{goldenTokens, {5, 9, 222, 17, 401}, {300}} {
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
			if d := relative(mean, want[i*len(mean):(i+1)*len(mean)]); !(d <= test.bound) {
				t.Errorf("%v, sequence %d: distance %.3g, bound %.3g", test.activations, i, d, test.bound)
			}
			s.Close()
		}
	}
}
