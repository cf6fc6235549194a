package convert

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/half"
	"trit/internal/model"
	"trit/internal/safetensors"
	"trit/quant"
)

// convertTo converts a checkpoint folder and returns report and opened file.
func convertTo(t testing.TB, dir string, o Options) (*Report, *gguf.File) {
	t.Helper()
	o.Input, o.Output = dir, filepath.Join(t.TempDir(), "out.gguf")
	report, err := FromHF(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if problems := f.Problems(); len(problems) > 0 {
		t.Errorf("the file has problems: %v", problems)
	}
	return report, f
}

// ternaryOf reads a projection back: its trits by row and its scales.
func ternaryOf(t testing.TB, f *gguf.File, name string) (trits []int8, scales []float32) {
	t.Helper()
	tensor, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("%s is missing", name)
	}
	data, err := tensor.Data()
	if err != nil {
		t.Fatal(err)
	}
	rows, cols := int(tensor.Rows()), int(tensor.Cols())
	var view *quant.TernaryView
	switch {
	case quant.IsTernary(tensor.Type):
		view, err = quant.NewTernary(tensor.Type, quant.LayoutA, data, rows, cols)
	default:
		view, err = quant.NewTernaryFloat(tensor.Type, data, rows, cols)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	codes, row := make([]byte, cols), make([]int8, cols)
	for r := range rows {
		if err := view.Codes(codes, r); err != nil {
			t.Fatal(err)
		}
		if err := quant.TritsFromCodes(row, codes); err != nil {
			t.Fatal(err)
		}
		trits = append(trits, row...)
	}
	scales, _ = view.Scales()
	return trits, scales
}

// rounded returns a scale as a type stores it.
func rounded(typ gguf.Type, scale float32) float32 {
	switch {
	case typ == gguf.TypeF16, typ != gguf.TypeI2S && quant.IsTernary(typ):
		return half.F16ToF32(half.F32ToF16(scale))
	case typ == gguf.TypeBF16:
		return half.BF16ToF32(half.F32ToBF16(scale))
	}
	return scale
}

// reordered returns rows in the order of the interleaved rotation, by its
// definition: new row 2i+b of a head is old row b·d/2+i.
func reordered(m *matrix, heads int) *matrix {
	out := *m
	out.trits = make([]int8, len(m.trits))
	d := m.rows / heads
	for h := range heads {
		for i := range d / 2 {
			for b := range 2 {
				to, from := h*d+2*i+b, h*d+b*d/2+i
				copy(out.trits[to*m.cols:(to+1)*m.cols], m.trits[from*m.cols:(from+1)*m.cols])
			}
		}
	}
	return &out
}

// TestForms converts the same weights in every form to every type and compares
// trits, scales and tables.
func TestForms(t *testing.T) {
	forms := []struct {
		name    string
		form    checkpointForm
		arch    string
		kind    Form
		ownHead bool
	}{
		{"bf16 master", bf16Master, "bitnet-b1.58", FormMaster, false},
		{"packed multiplier", packedMultiplier, "bitnet-b1.58", FormPacked, false},
		{"1bitLLM", oneBitLLM, "bitnet", FormMaster, false},
		{"llama divisor", llamaDivisor, "llama", FormPacked, true},
		{"TriLM", triLM, "llama", FormTernary, true},
	}
	for n, test := range forms {
		w := newWeights(t, smallShape, test.ownHead)
		dir := test.form.make(w).write(t)
		for i, typ := range withZeros(Types()) {
			if (n+i)%2 == 1 && typ != gguf.TypeI2S {
				continue // every other one is enough to see each type and form
			}
			embedding := floatTypes(EmbeddingTypes())[i%6]
			t.Run(fmt.Sprintf("%s/%v/%v", test.name, typ, embedding), func(t *testing.T) {
				report, f := convertTo(t, dir, Options{Type: typ, Embedding: embedding})
				if report.Architecture != test.arch {
					t.Errorf("architecture %s, want %s", report.Architecture, test.arch)
				}
				want, _ := typ.FileType()
				if got, err := f.Metadata.Uint32("general.file_type"); err != nil || got != want {
					t.Errorf("file type %d (%v), want %d", got, err, want)
				}
				byName := map[string]Tensor{}
				for _, r := range report.Tensors {
					byName[r.Name] = r
				}
				for i, l := range w.layers {
					for _, p := range projectionNames {
						m := l.projections[p]
						if test.arch == "llama" && p == "q" {
							m = reordered(m, w.heads)
						}
						if test.arch == "llama" && p == "k" {
							m = reordered(m, w.kvHeads)
						}
						name := fmt.Sprintf("blk.%d.%s.weight", i, ggufProjection[p])
						trits, scales := ternaryOf(t, f, name)
						if !slices.Equal(trits, m.trits) {
							t.Errorf("%s: trits differ", name)
						}
						scale := m.scale
						if test.form.class == "LlamaForCausalLM" && test.kind == FormPacked {
							scale = 1 / (1 / scale)
						}
						if len(scales) != 1 || scales[0] != rounded(typ, scale) {
							t.Errorf("%s: scales %v, want %v", name, scales, rounded(typ, scale))
						}
						r := byName[name]
						zeros := 0
						for _, x := range m.trits {
							if x == 0 {
								zeros++
							}
						}
						if want := float64(zeros) / float64(len(m.trits)); r.Form != test.kind || r.Scale != scale || r.Zeros != want || r.Type != typ.String() {
							t.Errorf("%s: report %+v, want form %s, scale %v, zeros %v", name, r, test.kind, scale, want)
						}
					}
				}
				checkTable(t, f, "token_embd.weight", embedding, w.embed)
				if w.head != nil {
					checkTable(t, f, "output.weight", embedding, w.head)
				} else if _, ok := f.Tensor("output.weight"); ok {
					t.Error("a tied model has output.weight")
				}
				if _, err := json.Marshal(report); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// checkTable compares a table with what package quant makes of the values.
func checkTable(t *testing.T, f *gguf.File, name string, typ gguf.Type, values []float32) {
	t.Helper()
	tensor, ok := f.Tensor(name)
	if !ok || tensor.Type != typ {
		t.Fatalf("%s is missing or not %v", name, typ)
	}
	data, err := tensor.Data()
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, len(data))
	if err := quant.Encode(typ, want, values); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(data, want) {
		t.Errorf("%s: contents differ", name)
	}
}

// logitsOf runs a file and returns the logits of every token.
func logitsOf(t testing.TB, f *gguf.File, a model.Activations) []float32 {
	t.Helper()
	m, err := model.Load(f, model.LoadOptions{Activations: a})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(m, engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, b := e.NewSequence(), e.NewBatch()
	defer s.Close()
	for _, id := range []int32{1, 77, 200, 31, 31, 8, 150, 99} {
		if _, err := b.Add(s, id, engine.All, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Step(b, nil); err != nil {
		t.Fatal(err)
	}
	var out []float32
	for r := range b.Len() {
		out = append(out, b.Logits(r)...)
	}
	return out
}

func distance(a, b []float32) float64 {
	var diff, norm float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		diff += d * d
		norm += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(diff / norm)
}

// TestLogits checks that the same weights compute the same whatever form they
// came in. The llama form is compared with the BitNet graph without sub-norms,
// which turns the halves of a head together as Hugging Face does: it shows that
// reordering the rows of query and key is right.
func TestLogits(t *testing.T) {
	o := Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF32}
	run := func(f checkpointForm, ownHead bool, change ...func(*checkpoint)) []float32 {
		c := f.make(newWeights(t, smallShape, ownHead))
		for _, f := range change {
			f(c)
		}
		_, file := convertTo(t, c.write(t), o)
		return logitsOf(t, file, model.Float)
	}
	ternaryBitNet := bf16Master
	ternaryBitNet.project = ternaryFloats(safetensors.F32)
	microsoft := run(bf16Master, false)
	for name, f := range map[string]checkpointForm{"packed": packedMultiplier, "ternary": ternaryBitNet} {
		if d := distance(run(f, false), microsoft); !(d <= 1e-5) {
			t.Errorf("%s: distance %g from the master weights", name, d)
		}
	}
	neox := oneBitLLM
	neox.names, neox.files = names{}, bpeFiles()
	plain := run(neox, true)
	divided := run(llamaDivisor, true)
	for name, got := range map[string][]float32{"llama divisor": divided, "TriLM": run(triLM, true)} {
		if d := distance(got, plain); !(d <= 1e-5) {
			t.Errorf("%s: distance %g from the graph without reordering", name, d)
		}
	}
	sharded := run(llamaDivisor, true, func(c *checkpoint) { c.shards = 3 })
	if !slices.Equal(sharded, divided) {
		t.Error("a sharded checkpoint gives other logits")
	}
	// These must be seen: otherwise the comparisons prove nothing.
	wrong := run(llamaDivisor, true, func(c *checkpoint) { c.config["rope_theta"] = 500000.0 })
	if d := distance(wrong, divided); d < 1e-3 {
		t.Errorf("another rope base is only %g away", d)
	}
}

// TestTriLMScales converts matrices with several scales: per shard of rows, and
// per shard of columns.
func TestTriLMScales(t *testing.T) {
	w := newWeights(t, smallShape, true)
	f := triLM
	f.dtype = safetensors.F16
	want := map[string][]float32{}
	f.project = func(c *checkpoint, name string, m *matrix) {
		values := m.ternary()
		for i := range values {
			shard := i / m.cols * 2 / m.rows // two shards of rows
			if m.cols == w.ffn {
				shard = i % m.cols / 256 // two shards of columns
			}
			s := half.F16ToF32(half.F32ToF16(m.scale * float32(1+shard)))
			values[i] = s * float32(m.trits[i])
		}
		want[name] = values
		c.add(name+".weight", safetensors.F16, []int64{int64(m.rows), int64(m.cols)}, values)
	}
	dir := f.make(w).write(t)
	for _, typ := range []gguf.Type{gguf.TypeTQ1_0, gguf.TypeTQ2_0, gguf.TypeF16, gguf.TypeF32} {
		report, file := convertTo(t, dir, Options{Type: typ, Embedding: gguf.TypeF16})
		if report.Activations != "float" {
			t.Errorf("%v: activations %s, want float", typ, report.Activations)
		}
		if a, err := file.Metadata.String("llama.activations"); err != nil || a != "float" {
			t.Errorf("llama.activations is %q (%v)", a, err)
		}
		for name, p := range map[string]string{"mlp.down_proj": "ffn_down", "mlp.up_proj": "ffn_up"} {
			tensor, ok := file.Tensor("blk.1." + p + ".weight")
			if !ok {
				t.Fatal("missing")
			}
			data, err := tensor.Data()
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, tensor.Elements())
			if err := quant.Decode(typ, got, data); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want["model.layers.1."+name]) {
				t.Errorf("%v: %s differs from the source", typ, p)
			}
		}
		for _, r := range report.Tensors {
			if r.Form == FormTernary && r.Scales != 2 {
				t.Errorf("%v: %s: %d scales, want 2", typ, r.Name, r.Scales)
			}
		}
		m, err := model.Load(file, model.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if m.Config.Activations != model.Float {
			t.Errorf("%v: the loader takes activations for %v", typ, m.Config.Activations)
		}
	}
	_, err := FromHF(context.Background(), Options{Input: dir, Output: filepath.Join(t.TempDir(), "x"), Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	wantError(t, err, ErrType, "2 different scales", "TQ2_0")
}

// TestOddRows converts a model whose rows are multiples of nothing: blocks of I2_S
// then cross rows.
func TestOddRows(t *testing.T) {
	s := shape{hidden: 96, ffn: 160, layers: 1, heads: 4, kvHeads: 4, vocab: 264}
	w := newWeights(t, s, false)
	dir := oneBitLLM.make(w).write(t)
	for _, typ := range []gguf.Type{gguf.TypeI2S, gguf.TypeF16, gguf.TypeBF16} {
		_, f := convertTo(t, dir, Options{Type: typ, Embedding: gguf.TypeF16})
		for _, p := range projectionNames {
			m := w.layers[0].projections[p]
			trits, scales := ternaryOf(t, f, "blk.0."+ggufProjection[p]+".weight")
			if !slices.Equal(trits, m.trits) || scales[0] != rounded(typ, m.scale) {
				t.Errorf("%v: %s differs", typ, p)
			}
		}
		logitsOf(t, f, 0)
	}
	out := filepath.Join(t.TempDir(), "x")
	_, err := FromHF(context.Background(), Options{Input: dir, Output: out, Type: gguf.TypeTQ2_0, Embedding: gguf.TypeF16})
	wantError(t, err, ErrType, "blk.0.attn_q.weight", "96", "256", "I2_S")
	_, err = FromHF(context.Background(), Options{Input: dir, Output: out, Type: gguf.TypeI2S, Embedding: gguf.TypeQ6_K})
	wantError(t, err, ErrType, "token_embd.weight", "96", "256", "Q8_0")
	s.hidden, s.heads, s.kvHeads, s.ffn = 24, 2, 2, 40
	dir = oneBitLLM.make(newWeights(t, s, false)).write(t)
	_, err = FromHF(context.Background(), Options{Input: dir, Output: out, Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	wantError(t, err, ErrType, "blk.0.attn_q.weight", "128", "F16")
}

// TestPieces converts matrices of more than one piece, whose last piece is
// shorter, in all forms.
func TestPieces(t *testing.T) {
	s := shape{hidden: 768, ffn: 2304, layers: 1, heads: 12, kvHeads: 4, vocab: 264}
	w := newWeights(t, s, false)
	if n := s.hidden * s.ffn; n <= pieceElems || n%pieceElems == 0 {
		t.Fatal("the matrices are not what this test is about")
	}
	for _, f := range []checkpointForm{bf16Master, packedMultiplier, llamaDivisor} {
		_, file := convertTo(t, f.make(w).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
		for _, p := range []string{"v", "o", "gate", "down"} {
			trits, _ := ternaryOf(t, file, "blk.0."+ggufProjection[p]+".weight")
			if !slices.Equal(trits, w.layers[0].projections[p].trits) {
				t.Errorf("%s: %s differs", f.class, p)
			}
		}
	}
}

// TestBias reorders the biases of query and key with their rows.
func TestBias(t *testing.T) {
	w := newWeights(t, smallShape, true)
	c := llamaDivisor.make(w)
	bias := make([]float32, w.hidden)
	for i := range bias {
		bias[i] = float32(i)
	}
	c.add("model.layers.0.self_attn.q_proj.bias", safetensors.F32, []int64{int64(w.hidden)}, bias)
	c.add("model.layers.0.self_attn.o_proj.bias", safetensors.F32, []int64{int64(w.hidden)}, bias)
	_, f := convertTo(t, c.write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	read := func(name string) []float32 {
		tensor, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("%s is missing", name)
		}
		data, err := tensor.Data()
		if err != nil {
			t.Fatal(err)
		}
		v := make([]float32, tensor.Elements())
		if err := quant.Decode(gguf.TypeF32, v, data); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if got := read("blk.0.attn_output.bias"); !slices.Equal(got, bias) {
		t.Error("the bias of the output projection changed")
	}
	q := read("blk.0.attn_q.bias")
	if d := w.hidden / w.heads; q[0] != 0 || q[1] != float32(d/2) || q[2] != 1 || q[d] != float32(d) {
		t.Errorf("the bias of the query projection begins %v", q[:4])
	}
}
