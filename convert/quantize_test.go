package convert

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/quant"
)

func writeBytes(data []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(data); return err }
}

// quantizeTo writes the file with other types and returns report and opened file.
func quantizeTo(t testing.TB, f *gguf.File, o QuantizeOptions) (*Report, *gguf.File) {
	t.Helper()
	o.Input, o.Output = f, filepath.Join(t.TempDir(), "out.gguf")
	report, err := Quantize(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gguf.Open(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	if problems := g.Problems(); len(problems) > 0 {
		t.Errorf("the file has problems: %v", problems)
	}
	return report, g
}

func ptr[T any](v T) *T { return &v }

func reportOf(r *Report, name string) Tensor {
	for _, x := range r.Tensors {
		if x.Name == name {
			return x
		}
	}
	return Tensor{}
}

// withZeros returns the types that hold zeros.
func withZeros(types []gguf.Type) []gguf.Type {
	return slices.DeleteFunc(types, func(t gguf.Type) bool { return t == gguf.TypeQ1_0 })
}

// TestQuantizeTypes goes from every type to every other: the trits stay, and the
// scales change by their rounding only.
func TestQuantizeTypes(t *testing.T) {
	w := newWeights(t, smallShape, true)
	dir := llamaDivisor.make(w).write(t)
	m := reordered(w.layers[0].projections["q"], w.heads)
	const name = "blk.0.attn_q.weight"
	tables := floatTypes(EmbeddingTypes())
	for i, from := range withZeros(Types()) {
		_, f := convertTo(t, dir, Options{Type: from, Embedding: tables[i%len(tables)]})
		for k, to := range withZeros(QuantizeTypes()) {
			t.Run(fmt.Sprintf("%v to %v", from, to), func(t *testing.T) {
				embedding := tables[k%len(tables)]
				report, g := quantizeTo(t, f, QuantizeOptions{Type: &to, Embedding: &embedding, Head: ptr(gguf.TypeQ8_0)})
				trits, scales := ternaryOf(t, g, name)
				if !slices.Equal(trits, m.trits) {
					t.Error("trits differ")
				}
				before := rounded(from, 1/(1/m.scale))
				want := storedScale(to, before)
				if len(scales) != 1 || scales[0] != want {
					t.Errorf("scales %v, want %v", scales, want)
				}
				r := reportOf(report, name)
				nonzero := 0
				for _, x := range m.trits {
					if x != 0 {
						nonzero++
					}
				}
				rmse := math.Abs(float64(before)-float64(want)) * math.Sqrt(float64(nonzero)/float64(len(m.trits)))
				if math.Abs(r.RMSE-rmse) > 1e-12 || r.Type != to.String() || r.SourceType != from.String() {
					t.Errorf("report %+v, want RMSE %v", r, rmse)
				}
				for key, v := range f.Metadata.All() {
					if got, ok := g.Metadata.Get(key); key != "general.file_type" && (!ok || !got.Equal(v)) {
						t.Errorf("%s was %v and is %v", key, v, got)
					}
				}
				if x, _ := g.Tensor("token_embd.weight"); x.Type != embedding {
					t.Errorf("the embedding is %v", x.Type)
				}
				if x, _ := g.Tensor("output.weight"); x.Type != gguf.TypeQ8_0 {
					t.Errorf("the head is %v", x.Type)
				}
				head := reportOf(report, "output.weight")
				if from != gguf.TypeI2S && tables[i%len(tables)] != gguf.TypeQ8_0 && !(head.RMSE > 0 && head.RMSE < 0.05 && head.Cosine > 0.98) {
					t.Errorf("the head's report is %+v", head)
				}
			})
		}
	}
}

// masterFile returns a file with real-valued projections, which FromHF does not
// write.
func masterFile(t testing.TB, w *weights, f *gguf.File, typ gguf.Type) *gguf.File {
	return changed(t, f, setKey(t, "general.file_type", uint32(0)), func(specs []gguf.TensorSpec) []gguf.TensorSpec {
		for l := range w.layers {
			for p, m := range w.layers[l].projections {
				name := fmt.Sprintf("blk.%d.%s.weight", l, ggufProjection[p])
				i := slices.IndexFunc(specs, func(s gguf.TensorSpec) bool { return s.Name == name })
				n, err := typ.Size(specs[i].Dims)
				if err != nil {
					t.Fatal(err)
				}
				data := make([]byte, n)
				if err := quant.Encode(typ, data, m.master); err != nil {
					t.Fatal(err)
				}
				specs[i].Type, specs[i].Write = typ, writeBytes(data)
			}
		}
		return specs
	})
}

// TestQuantizePlan: what becomes of each tensor follows from the file's header and the
// options.
func TestQuantizePlan(t *testing.T) {
	_, ternary := convertTo(t, bf16Master.make(newWeights(t, smallShape, true)).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	floats := masterFile(t, newWeights(t, smallShape, true), ternary, gguf.TypeF32)
	as := func(typ gguf.Type) *gguf.Type { return &typ }
	const embedding, head, up, norm = "token_embd.weight", "output.weight", "blk.1.ffn_up.weight", "output_norm.weight"
	type fate struct {
		how treatment
		typ gguf.Type
	}
	for _, test := range []struct {
		name string
		o    QuantizeOptions
		want map[string]fate
	}{
		{"another ternary type", QuantizeOptions{Input: ternary, Type: as(gguf.TypeTQ2_0)},
			map[string]fate{embedding: {copied, gguf.TypeF16}, head: {copied, gguf.TypeF16}, up: {converted, gguf.TypeTQ2_0}, norm: {copied, gguf.TypeF32}}},
		{"the same type", QuantizeOptions{Input: ternary, Type: as(gguf.TypeI2S), Head: as(gguf.TypeQ8_0)},
			map[string]fate{embedding: {copied, gguf.TypeF16}, head: {recoded, gguf.TypeQ8_0}, up: {copied, gguf.TypeI2S}}},
		{"another layout", QuantizeOptions{Input: ternary, I2SLayout: quant.LayoutB, Embedding: as(gguf.TypeQ8_0)},
			map[string]fate{embedding: {recoded, gguf.TypeQ8_0}, head: {copied, gguf.TypeF16}, up: {converted, gguf.TypeI2S}}},
		{"floats from trits", QuantizeOptions{Input: ternary, Type: as(gguf.TypeF32)}, map[string]fate{up: {converted, gguf.TypeF32}}},
		{"trits from floats", QuantizeOptions{Input: floats, Type: as(gguf.TypeI2S)}, map[string]fate{up: {converted, gguf.TypeI2S}}},
		{"floats stay floats", QuantizeOptions{Input: floats, Type: as(gguf.TypeBF16)}, map[string]fate{up: {recoded, gguf.TypeBF16}}},
		{"unless a method is chosen", QuantizeOptions{Input: floats, Type: as(gguf.TypeBF16), Method: AbsMax}, map[string]fate{up: {converted, gguf.TypeBF16}}},
	} {
		p, err := planQuantize(test.o)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if len(p.jobs) != len(test.o.Input.Tensors) {
			t.Errorf("%s: %d tensors of %d", test.name, len(p.jobs), len(test.o.Input.Tensors))
		}
		for _, j := range p.jobs {
			if want, ok := test.want[j.name]; ok && (fate{j.how, j.typ}) != want {
				t.Errorf("%s: %s becomes %v, want %v", test.name, j.name, fate{j.how, j.typ}, want)
			}
		}
		if test.o.Type != nil {
			want, _ := test.o.Type.FileType()
			if got, err := p.meta.Uint32("general.file_type"); err != nil || got != want {
				t.Errorf("%s: file type %d (%v), want %d", test.name, got, err, want)
			}
		}
	}
}

func TestQuantizeMaster(t *testing.T) {
	w := newWeights(t, smallShape, false)
	_, converted := convertTo(t, bf16Master.make(w).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	const name = "blk.1.ffn_down.weight"
	m := w.layers[1].projections["down"]
	for _, typ := range []gguf.Type{gguf.TypeF32, gguf.TypeBF16} {
		f := masterFile(t, w, converted, typ)
		// By absmean the result is what the checkpoint converts to.
		report, g := quantizeTo(t, f, QuantizeOptions{Type: ptr(gguf.TypeI2S)})
		sameContent(t, converted, g)
		var fidelity quant.Fidelity
		fidelity.Add(m.master, m.trits, m.scale)
		r := reportOf(report, name)
		if math.Abs(r.RMSE-fidelity.RMSE()) > 1e-9 || math.Abs(r.Cosine-fidelity.Cosine()) > 1e-9 || r.Zeros != fidelity.Zeros() || r.Form != FormMaster {
			t.Errorf("report %+v, want RMSE %v, cosine %v, zeros %v", r, fidelity.RMSE(), fidelity.Cosine(), fidelity.Zeros())
		}
		_, g = quantizeTo(t, f, QuantizeOptions{Type: ptr(gguf.TypeF16), Method: AbsMax})
		want := make([]int8, len(m.master))
		scale, err := quant.AbsMax(want, m.master)
		if err != nil {
			t.Fatal(err)
		}
		trits, scales := ternaryOf(t, g, name)
		if !slices.Equal(trits, want) || scales[0] != rounded(gguf.TypeF16, scale) {
			t.Errorf("absmax: scale %v, want %v, or other trits", scales, scale)
		}
		// Float to float without a method keeps the values.
		if typ == gguf.TypeBF16 {
			report, g = quantizeTo(t, f, QuantizeOptions{Type: ptr(gguf.TypeF32)})
			if r := reportOf(report, name); r.RMSE != 0 || r.Cosine < 1-1e-9 {
				t.Errorf("BF16 to F32: %+v", r)
			}
			x, _ := g.Tensor(name)
			data, err := x.Data()
			if err != nil {
				t.Fatal(err)
			}
			values := make([]float32, len(m.master))
			if err := quant.Decode(gguf.TypeF32, values, data); err != nil || !slices.Equal(values, m.master) {
				t.Errorf("values changed, %v", err)
			}
		}
	}
}

func TestQuantizeRefused(t *testing.T) {
	w := newWeights(t, smallShape, true)
	_, llama := convertTo(t, llamaDivisor.make(w).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	f := masterFile(t, w, llama, gguf.TypeF16)
	out := filepath.Join(t.TempDir(), "out.gguf")
	_, err := Quantize(context.Background(), QuantizeOptions{Input: f, Output: out, Type: ptr(gguf.TypeI2S)})
	wantError(t, err, ErrNotTernary, "blk.0.attn_q.weight", "option round", "llama")
	wantNothing(t, out)
	report, g := quantizeTo(t, f, QuantizeOptions{Type: ptr(gguf.TypeI2S), Round: true})
	if len(report.Warnings) == 0 {
		t.Error("no warning")
	}
	logitsOf(t, g, model.Int8)

	for _, test := range []struct {
		o    QuantizeOptions
		part string
	}{
		{QuantizeOptions{Output: out}, "input"},
		{QuantizeOptions{Input: llama}, "output"},
		{QuantizeOptions{Input: llama, Output: out, Type: ptr(gguf.TypeQ4_0)}, "Q4_0"},
		{QuantizeOptions{Input: llama, Output: out, Embedding: ptr(gguf.TypeI2S)}, "I2_S"},
		{QuantizeOptions{Input: llama, Output: out, Method: 9}, "method"},
		{QuantizeOptions{Input: llama, Output: llama.Path}, "input"},
	} {
		_, err := Quantize(context.Background(), test.o)
		wantError(t, err, ErrOptions, test.part)
	}
	if _, err := ParseMethod("median"); err == nil {
		t.Error("a method called median")
	}
	if got, err := ParseMethod("AbsMax"); err != nil || got != AbsMax {
		t.Errorf("%v, %v", got, err)
	}
	bad := changed(t, llama, nil, func(specs []gguf.TensorSpec) []gguf.TensorSpec {
		for i, s := range specs {
			if s.Name == "blk.1.attn_v.weight" {
				size, _ := s.Type.Size(s.Dims)
				data := make([]byte, size)
				for i := range data[:size-32] {
					data[i] = 0xff
				}
				specs[i].Write = writeBytes(data)
			}
		}
		return specs
	})
	_, err = Quantize(context.Background(), QuantizeOptions{Input: bad, Output: out, Type: ptr(gguf.TypeTQ1_0)})
	wantError(t, err, ErrTensor, "blk.1.attn_v.weight", "code 3")
	wantNothing(t, out)
}

// TestQuantizeLayouts reads I2_S in the layouts that files do not record.
func TestQuantizeLayouts(t *testing.T) {
	w := newWeights(t, shape{hidden: 192, ffn: 320, layers: 1, heads: 4, kvHeads: 2, vocab: 264}, false)
	_, f := convertTo(t, bf16Master.make(w).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	for _, layout := range []quant.I2SLayout{quant.LayoutA, quant.LayoutB, quant.LayoutC} {
		_, g := quantizeTo(t, relaid(t, f, layout), QuantizeOptions{I2SLayout: layout})
		sameContent(t, f, g)
		_, g = quantizeTo(t, relaid(t, f, layout), QuantizeOptions{I2SLayout: layout, Type: ptr(gguf.TypeF32)})
		a, _ := ternaryOf(t, f, "blk.0.ffn_down.weight")
		b, _ := ternaryOf(t, g, "blk.0.ffn_down.weight")
		if !slices.Equal(a, b) {
			t.Errorf("layout %v: trits differ", layout)
		}
	}
}

// TestQuantizeKeepsInput: the input's bytes are the same afterwards.
func TestQuantizeKeepsInput(t *testing.T) {
	w := newWeights(t, smallShape, false)
	_, f := convertTo(t, bf16Master.make(w).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	before, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	last := Progress{}
	_, _ = quantizeTo(t, f, QuantizeOptions{Type: ptr(gguf.TypeTQ1_0), Progress: func(p Progress) { steps++; last = p }})
	after, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("the input has changed")
	}
	if steps < 5 || last.Tensors != last.TotalTensors || last.Bytes < last.TotalBytes*99/100 || last.Bytes > last.TotalBytes {
		t.Errorf("%d steps, the last %+v", steps, last)
	}
}
