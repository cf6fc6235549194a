package validate

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/quant"
)

func demo(t testing.TB) *gguf.File {
	t.Helper()
	f, err := gguf.Open(filepath.Join("..", "..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func runSuite(t testing.TB, f *gguf.File, o Options) *Report {
	t.Helper()
	r, err := Run(context.Background(), "test", f, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if len(r.Checks) != len(CheckNames()) {
		t.Errorf("%d checks", len(r.Checks))
	}
	return r
}

// TestRunDemo: the demo passes everything, in all types of the KV cache.
func TestRunDemo(t *testing.T) {
	f := demo(t)
	types := []kernel.KVType{kernel.KVF16, kernel.KVF32, kernel.KVI8, kernel.KVQ4}
	if testing.Short() { // for processors without assembly
		types = types[:1]
	}
	for _, kv := range types {
		var order []string
		r := runSuite(t, f, Options{Engine: engine.Options{KVType: kv, Threads: 2}, Progress: func(c string) { order = append(order, c) }})
		if !r.Passed {
			t.Errorf("%v:\n%s", kv, r)
		}
		if !slices.Equal(order, CheckNames()) {
			t.Errorf("order %v", order)
		}
		for _, c := range r.Checks {
			if c.Name == CheckEmbeddings && c.Status == Skipped {
				continue
			}
			if c.Status != Passed || c.Summary == "" || c.Detail == nil || len(c.Warnings) > 0 {
				t.Errorf("%v: %+v", kv, c)
			}
		}
		weights := r.Check(CheckWeights).Detail.(*WeightDetail)
		if weights.TernaryWeights != 6*(256*256*2+256*128*2+3*256*768) || weights.Zeros < 0.2 || weights.Zeros > 0.6 {
			t.Errorf("weights: %d, zeros %v", weights.TernaryWeights, weights.Zeros)
		}
		attention := r.Check(CheckAttention).Detail.(*AttentionDetail)
		if attention.Layers != 6 || attention.Tokens != 32 || attention.SumError > map[bool]float64{false: 1e-5, true: 7e-5}[kv == kernel.KVQ4] || attention.Entropy[0] <= 0 || attention.Entropy[0] > 5 {
			t.Errorf("attention: %+v", attention)
		}
		forward := r.Check(CheckForward).Detail.(*ForwardDetail)
		if len(forward.Stages) != 2+6*15 {
			t.Errorf("%d stages", len(forward.Stages))
		}
		p := r.Check(CheckPerplexity).Detail.(*PerplexityDetail)
		if p.Perplexity > 3 || p.Alternatives["hidden_act silu"] < 1.25*p.Perplexity {
			t.Errorf("perplexity %v, alternatives %v", p.Perplexity, p.Alternatives)
		}
	}
}

// rewrite writes the file again with changes.
func rewrite(t testing.TB, f *gguf.File, meta func(*gguf.Metadata), change func(*gguf.TensorSpec) bool) *gguf.File {
	t.Helper()
	m := f.Metadata.Clone()
	if meta != nil {
		meta(m)
	}
	var specs []gguf.TensorSpec
	for _, x := range f.Tensors {
		s := x.Spec()
		if change == nil || change(&s) {
			specs = append(specs, s)
		}
	}
	var b bytes.Buffer
	if err := gguf.WriteTo(&b, m, specs); err != nil {
		t.Fatal(err)
	}
	g, err := gguf.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// bytesOf returns a tensor's bytes and a Write function for others.
func bytesOf(t testing.TB, f *gguf.File, name string) []byte {
	t.Helper()
	x, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no %s", name)
	}
	data, err := x.Data()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(data)
}

func writing(data []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(data); return err }
}

// relaid packs the I2_S tensors of a file in another layout.
func relaid(t testing.TB, f *gguf.File, layout quant.I2SLayout) *gguf.File {
	return rewrite(t, f, nil, func(s *gguf.TensorSpec) bool {
		if s.Type != gguf.TypeI2S {
			return true
		}
		data := bytesOf(t, f, s.Name)
		rows, cols := int(s.Dims[1]), int(s.Dims[0])
		view, err := quant.NewTernary(gguf.TypeI2S, quant.LayoutA, data, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		codes := make([]byte, rows*cols)
		for r := range rows {
			if err := view.Codes(codes[r*cols:(r+1)*cols], r); err != nil {
				t.Fatal(err)
			}
		}
		scales, _ := view.Scales()
		out := make([]byte, len(data))
		if err := quant.EncodeI2S(out, codes, layout, rows, cols, scales[0]); err != nil {
			t.Fatal(err)
		}
		s.Write = writing(out)
		return true
	})
}

// TestRunBroken breaks the demo in one way each and expects the check that sees it.
func TestRunBroken(t *testing.T) {
	f := demo(t)
	set := func(key string, v any) func(*gguf.Metadata) {
		return func(m *gguf.Metadata) {
			if err := m.Set(key, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	replace := func(name string, data []byte) func(*gguf.TensorSpec) bool {
		return func(s *gguf.TensorSpec) bool {
			if s.Name == name {
				s.Write = writing(data)
			}
			return true
		}
	}
	const up, norm = "blk.3.ffn_up.weight", "blk.2.attn_norm.weight"
	codes := bytesOf(t, f, up)
	codes[77] = 0xff
	zero := bytesOf(t, f, up)
	for i := range zero[:len(zero)-32] {
		zero[i] = 0x55
	}
	scale := bytesOf(t, f, up)
	binary.LittleEndian.PutUint32(scale[len(scale)-32:], math.Float32bits(float32(math.NaN())))
	enormous := bytesOf(t, f, up)
	binary.LittleEndian.PutUint32(enormous[len(enormous)-32:], math.Float32bits(1e30))
	nan := bytesOf(t, f, norm)
	binary.LittleEndian.PutUint32(nan[40:], math.Float32bits(float32(math.NaN())))
	huge := bytesOf(t, f, norm)
	for i := 0; i < len(huge); i += 4 {
		binary.LittleEndian.PutUint32(huge[i:], math.Float32bits(3e38))
	}
	for _, test := range []struct {
		name     string
		file     *gguf.File
		o        Options
		check    string
		mentions string
	}{
		{"activation", f, Options{Load: model.LoadOptions{HiddenAct: model.SiLU}}, CheckPerplexity, "option hidden_act relu2"},
		{"activation in the file", rewrite(t, f, set("bitnet-b1.58.hidden_act", "silu"), nil), Options{}, CheckPerplexity, "option hidden_act relu2"},
		{"layout B", relaid(t, f, quant.LayoutB), Options{}, CheckPerplexity, "option i2s_layout b"},
		{"layout C", relaid(t, f, quant.LayoutC), Options{}, CheckPerplexity, "option i2s_layout c"},
		{"codes", rewrite(t, f, nil, replace(up, codes)), Options{}, CheckWeights, "code 3"},
		{"zeros", rewrite(t, f, nil, replace(up, zero)), Options{}, CheckWeights, "all weights are zero"},
		{"scale", rewrite(t, f, nil, replace(up, scale)), Options{}, CheckWeights, up},
		{"NaN", rewrite(t, f, nil, replace(norm, nan)), Options{}, CheckWeights, "1 values are not a number"},
		{"overflow", rewrite(t, f, nil, replace(norm, huge)), Options{}, CheckForward, "2.attn_norm"},
		{"missing", rewrite(t, f, nil, func(s *gguf.TensorSpec) bool { return s.Name != up }), Options{}, CheckTensors, up + " is missing"},
		{"layers", rewrite(t, f, set("bitnet-b1.58.block_count", uint32(1<<10)), nil), Options{}, CheckTensors, "blk.6."},
		{"too many layers", rewrite(t, f, set("bitnet-b1.58.block_count", uint32(1<<24)), nil), Options{}, CheckFile, "block_count"},
		{"shape", rewrite(t, f, set("bitnet-b1.58.feed_forward_length", uint32(512)), nil), Options{}, CheckTensors, "ffn_gate"},
		{"architecture", rewrite(t, f, set("general.architecture", "mamba"), nil), Options{}, CheckFile, "mamba"},
		{"rope", rewrite(t, f, set("bitnet-b1.58.rope.freq_base", float32(0.5)), nil), Options{}, CheckFile, "freq_base"},
		{"sampling", rewrite(t, f, set("trit.sampling.temperature", float32(math.NaN())), nil), Options{}, CheckFile, "NaN"},
		{"huge scale", rewrite(t, f, nil, replace(up, enormous)), Options{}, CheckWeights, "1e+30"},
		{"template", rewrite(t, f, set("tokenizer.chat_template", "{% if %}"), nil), Options{}, CheckTokenizer, "template"},
		{"silent template", rewrite(t, f, set("tokenizer.chat_template", "hello"), nil), Options{}, CheckTokenizer, "leaves the question out"},
		{"vocabulary", rewrite(t, f, set("tokenizer.ggml.tokens", slices.Repeat([]string{"a"}, 3000)), func(s *gguf.TensorSpec) bool { return true }), Options{}, CheckTokenizer, "entries"},
		{"limit", f, Options{MaxPerplexity: 1.1}, CheckPerplexity, "more than 1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Engine.Threads = 1
			if testing.Short() {
				if test.check == CheckPerplexity && test.name != "activation" {
					t.Skip("takes long on processors without assembly")
				}
				if test.check != CheckPerplexity {
					test.o.Skip = []string{CheckPerplexity}
				}
			}
			r := runSuite(t, test.file, test.o)
			c := r.Check(test.check)
			if r.Passed || c.Status != Failed {
				t.Fatalf("passed:\n%s", r)
			}
			if text := strings.Join(c.Errors, "\n"); !strings.Contains(text, test.mentions) {
				t.Errorf("the errors do not mention %q: %s", test.mentions, text)
			}
			if !strings.Contains(r.String(), "FAILED") {
				t.Error(r)
			}
		})
	}
}

// TestRunOptions: what keeps the suite from running is an error, and what is to be
// left out is.
func TestRunOptions(t *testing.T) {
	f := demo(t)
	if _, err := Run(context.Background(), "x", f, Options{Skip: []string{"spelling"}}); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Run(ctx, "x", f, Options{Progress: func(c string) {
		if c == CheckWeights {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	r := runSuite(t, f, Options{Skip: CheckNames()[1:]})
	if !r.Passed || r.Check(CheckDecode).Status != Skipped {
		t.Error(r)
	}
	if r.Check("spelling") != nil {
		t.Error("a check called spelling")
	}
	// A file with findings is worth a warning, not a failure.
	r = runSuite(t, rewrite(t, f, func(m *gguf.Metadata) { m.Delete("tokenizer.ggml.pre") }, nil), Options{Skip: CheckNames()[2:]})
	if !r.Passed || len(r.Check(CheckFile).Warnings) != 1 {
		t.Error(r)
	}
}

// TestAttentionObserver feeds the observer weights that are wrong.
func TestAttentionObserver(t *testing.T) {
	config := &model.Config{Heads: 1, KVHeads: 1, HeadDim: 4, Layers: 1}
	for _, test := range []struct {
		data  []float32
		wrong bool
		ahead float64
	}{
		{[]float32{1, 0, 0, 0, 0.5, 0.5, 0, 0}, false, 0},
		{[]float32{1, 0, 0, 0, 0.5, 0.4, 0, 0}, true, 0},
		{[]float32{1, 0.25, 0, 0, 0.5, 0.5, 0, 0}, false, 0.25},
		{[]float32{1, 0, 0, 0, float32(math.NaN()), 0.5, 0, 0}, true, 0},
	} {
		c := &Check{}
		o := &attentionObserver{c: c, d: &AttentionDetail{}, config: config}
		o.Stage(0, "attention", 2, 4, test.data)
		if (len(c.Errors) > 0) != test.wrong || o.d.Ahead != test.ahead {
			t.Errorf("%v: errors %v, ahead %v", test.data, c.Errors, o.d.Ahead)
		}
	}
	v := make([]float32, 8)
	(&attentionObserver{config: config}).Stage(0, "v", 2, 4, v)
	if !slices.Equal(v, []float32{1, 0, 0, 0, 0, 1, 0, 0}) {
		t.Errorf("values %v", v)
	}
}

// TestRunGolden: models of all families, with random weights, are sound, although
// they predict nothing.
func TestRunGolden(t *testing.T) {
	for _, name := range []string{"a.tq1_0", "b.i2_s", "c.tq2_0", "d.i2_s"} {
		f, err := gguf.Open(fixtures.Path(t, "golden", name+".gguf"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if r := runSuite(t, f, Options{Skip: []string{CheckPerplexity}, Engine: engine.Options{Threads: 1}}); !r.Passed {
			t.Errorf("%s:\n%s", name, r)
		}
	}
}
