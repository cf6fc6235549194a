package engine_test

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
	"trit/internal/ternary"
)

// weightOnly is what golden-2026b/manifest.json says of its models.
type weightOnly struct {
	Tokens []int32 `json:"tokens"`
	Models map[string]struct {
		D        float64            `json:"d"`
		Mistakes map[string]float64 `json:"mistakes"`
	} `json:"models"`
}

func readWeightOnly(t testing.TB) (m weightOnly) {
	t.Helper()
	data, err := os.ReadFile(fixtures.Path(t, "golden-2026b", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestGoldenWeightOnly compares models of the minicpm, hunyuan-dense and maple families with
// a float64 evaluation of their graphs, within the bounds of golden-2026b.
func TestGoldenWeightOnly(t *testing.T) {
	manifest := readWeightOnly(t)
	for _, name := range []string{"mc1", "mc2", "hy1", "mp1"} {
		path := fixtures.Path(t, "golden-2026b", name+".gguf")
		for _, c := range []struct {
			kind        string
			activations model.Activations
			kv          kernel.KVType
			bound       float64
		}{
			{"float", model.Float, kernel.KVF32, 1e-5},
			{"float", model.Float, kernel.KVF16, 2e-3},
			{"int8g128", 0, kernel.KVF32, 1.5 * manifest.Models[name].D},
		} {
			t.Run(name+"/"+c.kind+"/"+c.kv.String(), func(t *testing.T) {
				m := load(t, path, model.LoadOptions{Activations: c.activations})
				if c.activations == 0 && m.Config.Activations != model.Int8Groups {
					t.Fatalf("activations %v", m.Config.Activations)
				}
				e := newEngine(t, m, engine.Options{KVType: c.kv})
				got := logits(t, e, manifest.Tokens, nil, len(manifest.Tokens))
				w := worst(got, readFloats(t, fixtures.Path(t, "golden-2026b", name+"."+c.kind+".f32")), m.Config.Vocab)
				if !(w <= c.bound) {
					t.Errorf("worst relative distance %.3g exceeds %.3g", w, c.bound)
				}
			})
		}
	}
}

// TestWeightOnlyGatesCanFail breaks models that pass, by keys of their files: the logits
// must go as far astray, within 3 %, as those of the reference with the same mistake.
func TestWeightOnlyGatesCanFail(t *testing.T) {
	manifest := readWeightOnly(t)
	tests := []struct {
		name, wrong, key string
		value            any // nil: without the key
	}{
		{"mc1", "no_embedding_scale", "minicpm.embedding_scale", float32(1)},
		{"mc1", "logit_multiply", "minicpm.logit_scale", float32(0.25)},
		{"mc1", "no_residual_scale", "minicpm.residual_scale", float32(1)},
		{"mc1", "no_factors", "minicpm.rope.scaling.type", "none"},
		{"mc1", "other_factors", "minicpm.rope.scaling.original_context_length", uint32(8)},
		{"mc2", "no_embedding_scale", "minicpm.embedding_scale", float32(1)},
		{"mc2", "logit_multiply", "minicpm.logit_scale", float32(0.5)},
		{"mc2", "no_residual_scale", "minicpm.residual_scale", float32(1)},
		{"mc2", "other_factors", "minicpm.rope.scaling.original_context_length", uint32(512)},
		{"mc2", "no_attn_factor", "minicpm.rope.scaling.attn_factor", nil},
		{"mp1", "window_plus", "maple.attention.sliding_window", uint32(5)},
		{"mp1", "window_minus", "maple.attention.sliding_window", uint32(3)},
		{"mp1", "full_rope", "maple.rope.dimension_count", uint32(64)},
		{"mp1", "no_renormalise", "maple.expert_weights_norm", false},
		{"mp1", "no_clamp", "maple.swiglu_clamp_exp", []float32{0, 0, 0, 0}},
	}
	for _, test := range tests {
		t.Run(test.name+"/"+test.wrong, func(t *testing.T) {
			f := parse(t, test.name)
			if test.value == nil {
				f.Metadata.Delete(test.key)
			} else if err := f.Metadata.Set(test.key, test.value); err != nil {
				t.Fatal(err)
			}
			m, err := model.Load(f, model.LoadOptions{Activations: model.Float})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			e := newEngine(t, m, engine.Options{KVType: kernel.KVF32})
			got := logits(t, e, manifest.Tokens, nil, len(manifest.Tokens))
			theirs := manifest.Models[test.name].Mistakes[test.wrong]
			d := relative(got, readFloats(t, fixtures.Path(t, "golden-2026b", test.name+".float.f32")))
			if theirs == 0 || math.Abs(d/theirs-1) > 0.03 {
				t.Errorf("relative distance %.3g, the reference's is %.3g", d, theirs)
			}
		})
	}
}

// TestWeightOnlyGraphsCanFail breaks the graphs of models that pass: the logits must go as
// far astray, within 3 %, as those of the reference with the same mistake.
func TestWeightOnlyGraphsCanFail(t *testing.T) {
	manifest := readWeightOnly(t)
	rope := func(style model.RopeStyle) func(*model.Config, *decoder.Graph) {
		return func(c *model.Config, _ *decoder.Graph) { c.RopeStyle = style }
	}
	rotations := func(r func(sliding bool) model.Rotation) func(*model.Config, *decoder.Graph) {
		return func(c *model.Config, _ *decoder.Graph) {
			c.Rotations = make([]model.Rotation, c.Layers)
			for i := range c.Rotations {
				c.Rotations[i] = r(c.WindowOf(i) > 0)
			}
		}
	}
	norms := func(where decoder.Placement) func(*model.Config, *decoder.Graph) {
		return func(_ *model.Config, g *decoder.Graph) {
			family := *g.Family
			family.HeadNorms = where
			g.Family = &family
		}
	}
	for _, test := range []struct {
		name, wrong string
		breaks      func(*model.Config, *decoder.Graph)
	}{
		{"mc1", "rope_style", rope(model.RopeNeox)},
		{"mc2", "rope_style", rope(model.RopeNeox)},
		{"mc2", "no_factors", func(_ *model.Config, g *decoder.Graph) { g.RopeShort, g.RopeLong = nil, nil }},
		{"mp1", "rope_style", rope(model.RopeNorm)},
		{"mp1", "rope_global", rotations(func(bool) model.Rotation { return model.RotateUsual })},
		{"mp1", "no_rope", rotations(func(bool) model.Rotation { return model.RotateNot })},
		{"mp1", "no_qk_norm", norms(decoder.Never)},
		{"mp1", "norm_order", norms(decoder.AfterRope)},
		{"hy1", "rope_style", rope(model.RopeNorm)},
		{"hy1", "no_qk_norm", norms(decoder.Never)},
		{"hy1", "norm_order", norms(decoder.BeforeRope)},
	} {
		t.Run(test.name+"/"+test.wrong, func(t *testing.T) {
			m := load(t, fixtures.Path(t, "golden-2026b", test.name+".gguf"), model.LoadOptions{Activations: model.Float})
			test.breaks(m.Config, m.Graph.(*decoder.Graph))
			got := logits(t, newEngine(t, m, engine.Options{KVType: kernel.KVF32}), manifest.Tokens, nil, len(manifest.Tokens))
			theirs := manifest.Models[test.name].Mistakes[test.wrong]
			d := relative(got, readFloats(t, fixtures.Path(t, "golden-2026b", test.name+".float.f32")))
			if theirs == 0 || math.Abs(d/theirs-1) > 0.03 {
				t.Errorf("relative distance %.3g, the reference's is %.3g", d, theirs)
			}
		})
	}
}

// chosenExperts keeps which experts the rows of each layer use.
type chosenExperts map[int][]float32

func (c chosenExperts) Stage(layer int, name string, rows, width int, data []float32) {
	if name == "experts" {
		c[layer] = append([]float32(nil), data...)
	}
}

// TestExpertsChosen: rows use the reference's experts, in float and in int8, also in
// batches of other rows.
func TestExpertsChosen(t *testing.T) {
	manifest := readWeightOnly(t)
	values := readFloats(t, fixtures.Path(t, "golden-2026b", "mp1.stages.f32"))
	data, err := os.ReadFile(fixtures.Path(t, "golden-2026b", "mp1.stages.json"))
	if err != nil {
		t.Fatal(err)
	}
	var stages []stage
	if err := json.Unmarshal(data, &stages); err != nil {
		t.Fatal(err)
	}
	for _, activations := range []model.Activations{model.Float, model.Int8Groups} {
		m := load(t, fixtures.Path(t, "golden-2026b", "mp1.gguf"), model.LoadOptions{Activations: activations})
		chosen := chosenExperts{}
		logits(t, newEngine(t, m, engine.Options{KVType: kernel.KVF32}), manifest.Tokens, chosen, len(manifest.Tokens))
		compared := 0
		for _, s := range stages {
			layer, ok := strings.CutSuffix(s.Stage, ".experts")
			if !ok {
				continue
			}
			n, err := strconv.Atoi(layer)
			if err != nil {
				t.Fatal(err)
			}
			if want := values[s.Offset : s.Offset+len(manifest.Tokens)*s.Width]; !slices.Equal(chosen[n], want) {
				t.Errorf("%v, layer %d: the experts are %v, want %v", activations, n, chosen[n], want)
			}
			compared++
		}
		if compared != 2 || len(chosen) != m.Config.Layers {
			t.Errorf("%d layers compared, %d have experts", compared, len(chosen))
		}
	}
}

// layerEnds compares, of the layers of which the reference has nothing else, their ends.
// Such a layer rounds values that it has computed itself: where one of them lies on a tie
// of the rounding, a row may be as far off as one that rounds otherwise.
type layerEnds struct {
	forcer
	rounds  []string     // stages that are rounded
	tied    map[int]bool // rows of the running layer
	d       float64      // what a tie may make
	skipped int
}

func (l *layerEnds) Stage(layer int, name string, rows, width int, data []float32) {
	if layer < 0 || l.stages[model.StageName(layer, "attn_norm")] != (stage{}) {
		l.forcer.Stage(layer, name, rows, width, data)
		return
	}
	if slices.Contains(l.rounds, name) {
		for i := 0; i < rows*width; i += ternary.GroupWidth {
			group := data[i : i+ternary.GroupWidth]
			amax := 1e-5
			for _, x := range group {
				amax = max(amax, math.Abs(float64(x)))
			}
			for _, x := range group {
				if v := math.Abs(float64(x) / amax * 127); math.Abs(v-math.Trunc(v)-0.5) < 1e-4 {
					l.tied[i/width] = true
				}
			}
		}
	}
	full := model.StageName(layer, name)
	want, w := l.reference(full, rows)
	if w == 0 {
		return
	}
	l.seen++
	for r := range rows {
		d, bound := relative(data[r*w:(r+1)*w], want[r*w:(r+1)*w]), 1e-6
		if l.tied[r] {
			bound, l.skipped = l.d, l.skipped+1
		}
		if !(d <= bound) {
			l.t.Errorf("stage %s, row %d: relative distance %.3g exceeds %.3g", full, r, d, bound)
		}
	}
	copy(data, want)
	clear(l.tied)
}

// TestStagesMaple checks every stage from the reference's own input to it.
func TestStagesMaple(t *testing.T) {
	manifest := readWeightOnly(t)
	m := load(t, fixtures.Path(t, "golden-2026b", "mp1.gguf"), model.LoadOptions{})
	f := &layerEnds{
		forcer: forcer{
			t: t, values: readFloats(t, fixtures.Path(t, "golden-2026b", "mp1.stages.f32")), rounded: true,
			names: map[string]string{"attn_q_norm": "q_norm", "attn_k_norm": "k_norm"},
			inputs: map[string]product{
				"q":           {"attn_q.weight", "attn_norm", nil},
				"k":           {"attn_k.weight", "attn_norm", nil},
				"v":           {"attn_v.weight", "attn_norm", nil},
				"attn_output": {"attn_output.weight", "attention", nil},
			},
		},
		rounds: []string{"attn_norm", "attention", "ffn_norm", "expert_gated"}, tied: map[int]bool{}, d: manifest.Models["mp1"].D,
	}
	f.read(m, fixtures.Path(t, "golden-2026b", "mp1.stages.json"))
	logits(t, newEngine(t, m, engine.Options{KVType: kernel.KVF32}), manifest.Tokens, f, len(manifest.Tokens))
	if f.seen != len(f.stages) {
		t.Errorf("%d stages observed, the reference has %d", f.seen, len(f.stages))
	}
	if f.skipped > len(manifest.Tokens) {
		t.Errorf("%d of %d rows have ties", f.skipped, 2*len(manifest.Tokens))
	}
}

// parse reads a golden model into memory, where it can be changed.
func parse(t *testing.T, name string) *gguf.File {
	t.Helper()
	data, err := os.ReadFile(fixtures.Path(t, "golden-2026b", name+".gguf"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestLongRopeContext: the context of the engine chooses the factors, and keys that were
// made with others are not taken for the same.
func TestLongRopeContext(t *testing.T) {
	manifest := readWeightOnly(t)
	m := load(t, fixtures.Path(t, "golden-2026b", "mc2.gguf"), model.LoadOptions{Activations: model.Float})
	original := m.Config.RopeOriginal
	tokens := manifest.Tokens[:original]
	want := readFloats(t, fixtures.Path(t, "golden-2026b", "mc2.float.f32"))[:original*m.Config.Vocab]
	identities := map[int]any{}
	for _, context := range []int{original, original + 1, 64} {
		e := newEngine(t, m, engine.Options{KVType: kernel.KVF32, Context: context})
		d := worst(logits(t, e, tokens, nil, len(tokens)), want, m.Config.Vocab)
		if long := context > original; long != (d <= 1e-5) {
			t.Errorf("context %d: distance %.3g from the logits with factors for long contexts", context, d)
		}
		identity, err := e.Identity()
		if err != nil {
			t.Fatal(err)
		}
		identities[context] = identity
	}
	if identities[original] == identities[original+1] || identities[original+1] != identities[64] {
		t.Error("the identity does not follow the factors")
	}
}
