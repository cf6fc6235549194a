package convert

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/safetensors"
	"trit/quant"
)

// export writes the file as a checkpoint and returns report and folder.
func export(t testing.TB, f *gguf.File, o ToHFOptions) (*Report, string) {
	t.Helper()
	o.Input, o.Output = f, filepath.Join(t.TempDir(), "checkpoint")
	report, err := ToHF(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report, o.Output
}

// sameContent compares everything but the file's name in the metadata.
func sameContent(t *testing.T, a, b *gguf.File) {
	t.Helper()
	am, bm := a.Metadata.Clone(), b.Metadata.Clone()
	for _, m := range []*gguf.Metadata{am, bm} {
		m.Delete("general.name")
	}
	for key, v := range am.All() {
		if w, ok := bm.Get(key); !ok || !v.Equal(w) {
			t.Errorf("%s was %v and is %v", key, v, w)
		}
	}
	if am.Len() != bm.Len() {
		t.Errorf("keys were %v and are %v", am.Keys(), bm.Keys())
	}
	if len(a.Tensors) != len(b.Tensors) {
		t.Fatalf("%d tensors became %d", len(a.Tensors), len(b.Tensors))
	}
	for _, x := range a.Tensors {
		y, ok := b.Tensor(x.Name)
		if !ok {
			t.Errorf("%s is gone", x.Name)
			continue
		}
		p, err := x.Data()
		if err != nil {
			t.Fatal(err)
		}
		q, err := y.Data()
		if err != nil {
			t.Fatal(err)
		}
		if x.Type != y.Type || !bytes.Equal(p, q) {
			t.Errorf("%s (%v) differs from %v", x.Name, x.Type, y.Type)
		}
	}
}

// TestRoundTrip takes checkpoints to GGUF, back, and to GGUF again: the same file.
func TestRoundTrip(t *testing.T) {
	for _, test := range []struct {
		name  string
		form  checkpointForm
		typ   gguf.Type
		files []string // that must be there
		class string   // linear_class
	}{
		{"master", bf16Master, gguf.TypeI2S, []string{"tokenizer.json", "README.md"}, "autobitlinear"},
		{"multiplier", packedMultiplier, gguf.TypeTQ2_0, []string{"tokenizer.json"}, "autobitlinear"},
		{"1bitLLM", oneBitLLM, gguf.TypeTQ1_0, []string{"tokenizer.model"}, "autobitlinear"},
		{"divisor", llamaDivisor, gguf.TypeI2S, []string{"tokenizer.json"}, "bitlinear"},
		{"TriLM", triLM, gguf.TypeI2S, []string{"tokenizer.json"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWeights(t, smallShape, test.form.class == "LlamaForCausalLM")
			c := test.form.make(w)
			if test.name == "master" {
				c.files["README.md"] = "---\nlicense: mit\n---\n"
				c.config["rope_scaling"] = map[string]any{"type": "linear", "factor": 2.5}
			}
			if test.name == "divisor" {
				c.config["rope_scaling"] = map[string]any{"rope_type": "llama3", "factor": 32, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}
			}
			o := Options{Type: test.typ, Embedding: gguf.TypeF16}
			_, first := convertTo(t, c.write(t), o)
			report, dir := export(t, first, ToHFOptions{})
			for _, name := range append(test.files, "config.json", "generation_config.json", "tokenizer_config.json", "model.safetensors") {
				if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
					t.Error(err)
				}
			}
			config, err := os.ReadFile(filepath.Join(dir, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			if test.class == "" && strings.Contains(string(config), "quantization_config") || !strings.Contains(string(config), test.class) {
				t.Errorf("config.json should have class %q: %s", test.class, config)
			}
			if len(report.Tensors) != len(first.Tensors) && test.name != "divisor" { // which has rope_freqs
				t.Errorf("%d tensors in the report, %d in the file", len(report.Tensors), len(first.Tensors))
			}
			_, second := convertTo(t, dir, o)
			sameContent(t, first, second)
		})
	}
}

// TestDemoRoundTrip: the embedded model comes back to the byte.
func TestDemoRoundTrip(t *testing.T) {
	path := filepath.Join("..", "demo", "demo.gguf")
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	report, dir := export(t, f, ToHFOptions{})
	if len(report.Warnings) > 0 {
		t.Errorf("warnings: %v", report.Warnings)
	}
	_, again := convertTo(t, dir, Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16, Name: "Trit Demo"})
	sameContent(t, f, again)
	a, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(again.Path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the files differ")
	}
}

// TestPackedForm checks the packed planes by the reader of package quant, and the
// two conventions, without this package's own reader.
func TestPackedForm(t *testing.T) {
	w := newWeights(t, smallShape, true)
	_, f := convertTo(t, llamaDivisor.make(w).write(t), Options{Type: gguf.TypeTQ2_0, Embedding: gguf.TypeF32})
	for _, convention := range []ScaleConvention{ScaleAuto, ScaleMultiplier} {
		_, dir := export(t, f, ToHFOptions{ScaleConvention: convention})
		c, err := safetensors.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range projectionNames {
			m := w.layers[1].projections[p]
			name := "model.layers.1." + hfProjection[p] + ".weight"
			packed, err := c.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(packed.File)
			if err != nil {
				t.Fatal(err)
			}
			data = data[packed.Offset : packed.Offset+int64(m.rows/4*m.cols)]
			if !bytes.Equal(data, m.packed()) {
				t.Errorf("%s: the codes differ", name)
			}
			scale, err := c.Tensor(name + "_scale")
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, 1)
			if err := scale.ReadRows(got, 0, 1); err != nil {
				t.Fatal(err)
			}
			if convention == ScaleAuto {
				got[0] = 1 / got[0]
			}
			if want := rounded(gguf.TypeTQ2_0, 1/(1/m.scale)); got[0] != want {
				t.Errorf("%s: scale %v, want %v", name, got[0], want)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWeightScale: a divisor that a checkpoint stored comes back.
func TestWeightScale(t *testing.T) {
	for _, stored := range []float32{1.5, 0.0078125, 33.25, 1.0078125} {
		if got := weightScale(1/stored, true); got != stored {
			t.Errorf("1/%v became %v", stored, got)
		}
		if got := weightScale(stored, false); got != stored {
			t.Errorf("%v became %v", stored, got)
		}
	}
}

// changed writes the file again with changes.
func changed(t testing.TB, f *gguf.File, meta func(*gguf.Metadata), specs func([]gguf.TensorSpec) []gguf.TensorSpec) *gguf.File {
	t.Helper()
	m := f.Metadata.Clone()
	if meta != nil {
		meta(m)
	}
	var list []gguf.TensorSpec
	for _, x := range f.Tensors {
		list = append(list, x.Spec())
	}
	if specs != nil {
		list = specs(list)
	}
	var b bytes.Buffer
	if err := gguf.WriteTo(&b, m, list); err != nil {
		t.Fatal(err)
	}
	g, err := gguf.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func setKey(t testing.TB, key string, value any) func(*gguf.Metadata) {
	return func(m *gguf.Metadata) {
		if err := m.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExportRefused(t *testing.T) {
	w := newWeights(t, smallShape, false)
	_, f := convertTo(t, bf16Master.make(w).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	drop := func(name string) func([]gguf.TensorSpec) []gguf.TensorSpec {
		return func(s []gguf.TensorSpec) []gguf.TensorSpec {
			return slices.DeleteFunc(s, func(x gguf.TensorSpec) bool { return x.Name == name })
		}
	}
	rename := func(from, to string) func([]gguf.TensorSpec) []gguf.TensorSpec {
		return func(s []gguf.TensorSpec) []gguf.TensorSpec {
			for i := range s {
				if s[i].Name == from {
					s[i].Name = to
				}
			}
			return s
		}
	}
	for _, test := range []struct {
		name  string
		file  *gguf.File
		class error
		part  string
	}{
		{"missing", changed(t, f, nil, drop("blk.1.attn_k.weight")), ErrTensor, "blk.1.attn_k"},
		{"unknown", changed(t, f, nil, rename("blk.1.attn_sub_norm.weight", "extra.weight")), ErrTensor, "extra"},
		{"architecture", changed(t, f, setKey(t, "general.architecture", "bitnet-x"), nil), ErrArchitecture, "bitnet-x"},
		{"layers", changed(t, f, setKey(t, "bitnet-b1.58.block_count", uint32(1<<10)), nil), ErrTensor, "blk.2."},
		{"too many layers", changed(t, f, setKey(t, "bitnet-b1.58.block_count", uint32(1<<24)), nil), ErrConfig, "block_count"},
		{"scale", changed(t, f, setKey(t, "bitnet-b1.58.attention.scale", float32(0.5)), nil), ErrConfig, "attention.scale"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			_, err := ToHF(context.Background(), ToHFOptions{Input: test.file, Output: out})
			wantError(t, err, test.class, test.part)
			wantNothing(t, out)
		})
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := ToHF(context.Background(), ToHFOptions{Input: f, Output: full})
	wantError(t, err, ErrOptions, "not empty")
	ctx, cancel := context.WithCancel(context.Background())
	out := filepath.Join(t.TempDir(), "out")
	_, err = ToHF(ctx, ToHFOptions{Input: f, Output: out, Progress: func(p Progress) {
		if p.Tensors == 2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	wantNothing(t, out)
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestExportWithoutTokenizer: what cannot be reconstructed is said.
func TestExportWithoutTokenizer(t *testing.T) {
	w := newWeights(t, smallShape, false)
	_, f := convertTo(t, bf16Master.make(w).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	report, dir := export(t, changed(t, f, setKey(t, "tokenizer.ggml.pre", "default"), nil), ToHFOptions{})
	if _, err := os.Stat(filepath.Join(dir, "tokenizer.json")); err == nil {
		t.Error("tokenizer.json is there")
	}
	if len(report.Warnings) == 0 || !strings.Contains(report.Warnings[0], "default") {
		t.Errorf("warnings: %v", report.Warnings)
	}
}

// TestExportLayouts: the layout of the input does not matter once it is known.
func TestExportLayouts(t *testing.T) {
	w := newWeights(t, smallShape, false)
	_, f := convertTo(t, bf16Master.make(w).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	for _, layout := range []quant.I2SLayout{quant.LayoutB, quant.LayoutC} {
		_, dir := export(t, relaid(t, f, layout), ToHFOptions{I2SLayout: layout})
		_, again := convertTo(t, dir, Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
		sameContent(t, f, again)
	}
}

// relaid returns the file with its I2_S tensors in another layout.
func relaid(t testing.TB, f *gguf.File, layout quant.I2SLayout) *gguf.File {
	t.Helper()
	return changed(t, f, nil, func(specs []gguf.TensorSpec) []gguf.TensorSpec {
		for i, s := range specs {
			if s.Type != gguf.TypeI2S {
				continue
			}
			trits, scales := ternaryOf(t, f, s.Name)
			codes := make([]byte, len(trits))
			if err := quant.CodesFromTrits(codes, trits); err != nil {
				t.Fatal(err)
			}
			data := make([]byte, len(codes)/4+32)
			if err := quant.EncodeI2S(data, codes, layout, int(s.Dims[1]), int(s.Dims[0]), scales[0]); err != nil {
				t.Fatal(err)
			}
			specs[i].Write = writeBytes(data)
		}
		return specs
	})
}

// TestExportActivations: a model that says float is not packed.
func TestExportActivations(t *testing.T) {
	w := newWeights(t, smallShape, false)
	dir := bf16Master.make(w).write(t)
	_, f := convertTo(t, dir, Options{Type: gguf.TypeF16, Embedding: gguf.TypeF16, Activations: model.Float})
	report, out := export(t, f, ToHFOptions{})
	if report.ScaleConvention != "" {
		t.Errorf("scale convention %q", report.ScaleConvention)
	}
	c, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	q, err := c.Tensor("model.layers.0.self_attn.q_proj.weight")
	if err != nil || q.DType != safetensors.F16 {
		t.Errorf("%+v, %v", q, err)
	}
}

// TestInnerNorms: a checkpoint whose projections have norms of their own (use_rms_norm)
// runs with them, and becomes one again.
func TestInnerNorms(t *testing.T) {
	form := triLM
	c := form.make(newWeights(t, smallShape, true))
	c.config["quantization_config"] = map[string]any{"quant_method": "bitnet", "linear_class": "autobitlinear", "use_rms_norm": true}
	c.config["rms_norm_eps"] = 1e-6
	added := 0
	for _, x := range slices.Clone(c.tensors) {
		name, ok := strings.CutSuffix(x.Name, "_proj.weight")
		if !ok {
			continue
		}
		norm := make([]float32, x.Shape[1])
		for i := range norm {
			norm[i] = 0.5 + float32(i%7)/8
		}
		c.add(name+"_proj.rms_norm.weight", safetensors.F32, x.Shape[1:], norm)
		added++
	}
	_, f := convertTo(t, c.write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	m, err := model.Load(f, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	normed := 0
	m.Projections(func(_ string, p *model.Projection) {
		if p.NormIn != nil && p.NormIn[1] == 0.625 {
			normed++
		}
	})
	if normed != added || added != 7*smallShape.layers {
		t.Errorf("%d of %d projections have norms", normed, added)
	}

	lacking := c
	lacking.drop("layers.1.mlp.up_proj.rms_norm")
	_, err = FromHF(context.Background(), Options{Input: lacking.write(t), Output: filepath.Join(t.TempDir(), "x.gguf"), Type: gguf.TypeI2S})
	wantError(t, err, ErrTensor, "up_proj.rms_norm.weight", "missing")
}
