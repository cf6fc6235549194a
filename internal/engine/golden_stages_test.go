package engine_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/ternary"
)

// forcer compares every stage with the reference's and then puts the reference's
// values in its place, so that each stage is computed from the reference's own
// input.
type forcer struct {
	t       *testing.T
	stages  map[string]stage
	values  []float32
	names   map[string]string   // the reference's names of stages that it calls otherwise
	parts   map[string][]string // stages that the reference splits; columns behind them are not its
	weights map[string]*model.Projection
	inputs  map[string]product // the stages that are projections
	rounded bool               // inputs of projections are rounded to int8
	last    string             // the stage before
	seen    int
	worst   float64
}

type stage struct {
	Stage  string `json:"stage"`
	Offset int    `json:"offset"`
	Width  int    `json:"width"`
}

// product says which tensor a stage is the product of, and with what: without a
// name, with the stage before.
type product struct {
	tensor, in string
	// rows of the tensor for the stage's columns; nil for the same
	row func(column int) int
}

// reference returns the reference's values of a stage in some rows.
func (f *forcer) reference(full string, rows int) ([]float32, int) {
	s, ok := f.stages[full]
	if !ok {
		return nil, 0
	}
	return f.values[s.Offset : s.Offset+rows*s.Width], s.Width
}

func (f *forcer) Stage(layer int, name string, rows, width int, data []float32) {
	parts := f.parts[name]
	if parts == nil {
		theirs := name
		if n := f.names[name]; n != "" {
			theirs = n
		}
		parts = []string{theirs}
	}
	at := 0
	for _, part := range parts {
		full := model.StageName(layer, part)
		want, w := f.reference(full, rows)
		switch {
		case w > 0 && at+w <= width:
		case w > 0:
			f.t.Errorf("stage %s: width %d, want %d", full, width, w)
			return
		case layer >= 0 && f.stages[model.StageName(layer, "attn_norm")] == stage{}, f.names[name] == "-":
			return // not a layer or a stage that the reference has
		default:
			f.t.Errorf("stage %s is not among the reference's", full)
			return
		}
		f.seen++
		for r := range rows {
			f.compare(layer, part, r, data[r*width+at:][:w], want[r*w:(r+1)*w])
		}
		at += w
		f.last = full
	}
}

func (f *forcer) compare(layer int, name string, r int, got, want []float32) {
	full := model.StageName(layer, name)
	d := relative(got, want)
	if p, ok := f.inputs[name]; ok && f.rounded && d > 1e-6 {
		in := f.last
		if p.in != "" {
			in = model.StageName(layer, strings.TrimSuffix(p.tensor, ".weight")+"_hadamard")
			if _, ok := f.stages[in]; !ok {
				in = model.StageName(layer, p.in)
			}
		}
		x, n := f.reference(in, r+1)
		d = f.atTies(f.weights[model.LayerTensor(layer, p.tensor)], p.row, x[r*n:], want)
		f.t.Logf("stage %s, row %d: an input lies on a tie of the rounding to int8; rounded as the reference does, the distance is %.3g", full, r, d)
	}
	f.worst = max(f.worst, d)
	if !(d <= 1e-6) {
		f.t.Errorf("stage %s, row %d: relative distance %.3g exceeds 1e-6", full, r, d)
	}
	copy(got, want)
}

// atTies computes a projection in float64, with every choice of rounding for the
// inputs that lie within float32 accuracy of a tie, and returns the smallest distance
// from the reference. Without ties that is the plain one.
func (f *forcer) atTies(w *model.Projection, row func(int) int, in, want []float32) float64 {
	group := len(in)
	if w.Matrix.Groups() > 1 {
		group = ternary.GroupWidth
	}
	codes, steps := make([]float64, len(in)), make([]float64, len(in))
	var ties []int
	for i := range in {
		amax := 1e-5
		for _, x := range in[i/group*group : min(i/group*group+group, len(in))] {
			amax = max(amax, math.Abs(float64(x)))
		}
		steps[i] = amax / 127
		v := float64(in[i]) / steps[i]
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
			codes[i] = math.Floor(float64(in[i])/steps[i]) + float64(choice>>k&1)
		}
		for r := range want {
			from := r
			if row != nil {
				from = row(r)
			}
			w.Matrix.Row(from, trits)
			sum := 0.0
			for c, trit := range trits {
				sum += float64(trit) * codes[c] * steps[c] * float64(w.Matrix.ScaleAt(from, c))
			}
			got[r] = float32(sum)
		}
		best = min(best, relative(got, want))
	}
	return best
}

// read reads which stages the reference has.
func (f *forcer) read(m *model.Model, index string) {
	f.t.Helper()
	data, err := os.ReadFile(index)
	if err != nil {
		f.t.Fatal(err)
	}
	var list []stage
	if err := json.Unmarshal(data, &list); err != nil {
		f.t.Fatal(err)
	}
	f.stages, f.weights = map[string]stage{}, map[string]*model.Projection{}
	m.Projections(func(name string, p *model.Projection) { f.weights[name] = p })
	for _, s := range list {
		f.stages[s.Stage] = s
	}
}

// run feeds tokens and compares.
func (f *forcer) run(m *model.Model, index string, o engine.Options, tokens []int32) {
	f.t.Helper()
	f.read(m, index)
	logits(f.t, newEngine(f.t, m, o), tokens, f, len(tokens))
	// The input of the head is the only one that is not a stage here.
	delete(f.stages, "out.output_hadamard")
	if f.seen != len(f.stages) {
		f.t.Errorf("%d stages observed, the reference has %d", f.seen, len(f.stages))
	}
	f.t.Logf("worst stage %.3g", f.worst)
}

// TestStages checks every stage of every layer from the reference's own input to it.
func TestStages(t *testing.T) {
	for _, name := range []string{"a", "c", "d"} {
		t.Run(name, func(t *testing.T) {
			m := load(t, fixtures.Path(t, "golden", name+".i2_s.gguf"), model.LoadOptions{})
			f := &forcer{t: t, values: readFloats(t, fixtures.Path(t, "golden", name+".stages.f32")), rounded: true, inputs: map[string]product{
				"attn_output": {tensor: "attn_output.weight"}, "gate": {tensor: "ffn_gate.weight"}, "down": {tensor: "ffn_down.weight"},
			}}
			f.run(m, fixtures.Path(t, "golden", name+".stages.json"), engine.Options{}, goldenTokens)
		})
	}
}

// TestStagesGroups does the same for models with a scale for each group of columns,
// in float and with rounded activations.
func TestStagesGroups(t *testing.T) {
	tokens := readManifest(t).Tokens[:5]
	for name, file := range map[string]string{"q3": "q3.q2_0.gguf", "q35": "q35.q2_0.gguf", "h1": "h1.ptq1_0.gguf"} {
		for activations, kind := range map[model.Activations]string{model.Float: "float", model.Int8Groups: "int8g128"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				m := load(t, fixtures.Path(t, "golden-2026", file), model.LoadOptions{Activations: activations})
				d, gated := m.Config.HeadDim, name != "q3"
				query := func(part int) func(int) int {
					if !gated {
						return nil
					}
					return func(column int) int { return 2*(column/d)*d + part*d + column%d }
				}
				attended := "attention"
				if gated {
					attended = "attention_gated"
				}
				f := &forcer{
					t: t, values: readFloats(t, fixtures.Path(t, "golden-2026", name+".stages."+kind+".f32")),
					rounded: activations == model.Int8Groups,
					names: map[string]string{
						"gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down", "attn_gate": "gate",
						"attn_q_norm": "q_norm", "attn_k_norm": "k_norm", "ssm_alpha": "-", "ssm_beta": "-",
					},
					parts: map[string][]string{"qk_l2": {"q_l2", "k_l2"}},
					inputs: map[string]product{
						"q":           {"attn_q.weight", "attn_norm", query(0)},
						"gate":        {"attn_q.weight", "attn_norm", query(1)},
						"k":           {"attn_k.weight", "attn_norm", nil},
						"v":           {"attn_v.weight", "attn_norm", nil},
						"attn_output": {"attn_output.weight", attended, nil},
						"qkv":         {"attn_qkv.weight", "attn_norm", nil},
						"z":           {"attn_gate.weight", "attn_norm", nil},
						"ssm_out":     {"ssm_out.weight", "delta_gated", nil},
						"ffn_gate":    {"ffn_gate.weight", "ffn_norm", nil},
						"ffn_up":      {"ffn_up.weight", "ffn_norm", nil},
						"ffn_down":    {"ffn_down.weight", "gated", nil},
					},
				}
				f.run(m, fixtures.Path(t, "golden-2026", name+".stages.json"), engine.Options{KVType: kernel.KVF32}, tokens)
			})
		}
	}
}

// TestGroupsGatesCanFail breaks the graphs of models that pass, by keys of their files
// or tensors: the logits must go as far astray, within 3 %, as those of the reference with the
// same mistake.
func TestGroupsGatesCanFail(t *testing.T) {
	manifest := readManifest(t)
	set := func(key string, v any) func(*gguf.File) error {
		return func(f *gguf.File) error { return f.Metadata.Set(key, v) }
	}
	remove := func(prefix string) func(*gguf.File) error {
		return func(f *gguf.File) error {
			for _, key := range f.Metadata.Keys() {
				if strings.HasPrefix(key, prefix) {
					f.Metadata.Delete(key)
				}
			}
			return nil
		}
	}
	const hadamard = "prism.hadamard."
	tests := []struct {
		file, wrong string
		edit        func(*gguf.File) error
	}{
		{"q3.q2_0.gguf", "no_yarn", remove("qwen3.rope.scaling.")},
		{"q3.q2_0.gguf", "linear_rope", set("qwen3.rope.scaling.type", "linear")},
		{"q3t.q2_0.gguf", "no_yarn", remove("qwen3.rope.scaling.")},
		{"q3t.q2_0.gguf", "no_attn_factor", remove("qwen3.rope.scaling.attn_factor")},
		{"h3.pq2_0.gguf", "no_hadamard", remove(hadamard)},
		{"h1.ptq1_0.gguf", "no_hadamard", remove(hadamard)},
		{"h1.ptq1_0.gguf", "no_perm", set(hadamard+"gdn_v_grouped", false)},
		{"h2.ptq1_0.gguf", "always_perm", set(hadamard+"gdn_v_grouped", true)},
		{"h1.ptq1_0.gguf", "no_signs", func(f *gguf.File) error {
			signs, err := f.Metadata.Int32s(hadamard + "sign_values")
			for i := range signs {
				signs[i] = 1
			}
			return errors.Join(err, f.Metadata.Set(hadamard+"sign_values", signs))
		}},
		{"q35.q2_0.gguf", "full_rope", remove("qwen35.rope.dimension_count")},
		{"q35.q2_0.gguf", "conv_reversed", func(f *gguf.File) error {
			for _, x := range f.Tensors {
				if !strings.HasSuffix(x.Name, "ssm_conv1d.weight") {
					continue
				}
				data, err := x.Data()
				if err != nil {
					return err
				}
				for ; len(data) > 0; data = data[16:] {
					for i := range 2 {
						a, b := data[4*i:][:4], data[12-4*i:][:4]
						for k := range a {
							a[k], b[k] = b[k], a[k]
						}
					}
				}
			}
			return nil
		}},
	}
	for _, test := range tests {
		name, _, _ := strings.Cut(test.file, ".")
		t.Run(name+"/"+test.wrong, func(t *testing.T) {
			data, err := os.ReadFile(fixtures.Path(t, "golden-2026", test.file))
			if err != nil {
				t.Fatal(err)
			}
			f, err := gguf.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.edit(f); err != nil {
				t.Fatal(err)
			}
			m, err := model.Load(f, model.LoadOptions{Activations: model.Float})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			got := logits(t, newEngine(t, m, engine.Options{KVType: kernel.KVF32}), manifest.Tokens, nil, len(manifest.Tokens))
			want := readFloats(t, fixtures.Path(t, "golden-2026", name+".float.f32"))
			theirs := manifest.Models[name].WrongGraphs[test.wrong]
			if d := relative(got, want); theirs == 0 || math.Abs(d/theirs-1) > 0.03 {
				t.Errorf("relative distance %.3g, the reference's is %.3g; worst token %.3g", d, theirs, worst(got, want, m.Config.Vocab))
			}
		})
	}
}
