package decoder_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
	"trit/internal/model/arch/decoder/decodertest"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/internal/parallel"
	"trit/tokenizer"
)

// parts are the optional parts of a decoder, as the evaluation of this file knows
// them.
type parts struct {
	subNorms, headNorms, afterRope, inputNorms, postNorms, ungated, biases, factors, partial, scales bool
	windows, rotations                                                                               bool
	experts, renormed, clamped                                                                       bool
	hybrid                                                                                           bool
}

// families are decoders for tests: the plain one, one for each part, and two with all.
var families = map[string]parts{
	"plain":      {},
	"sub-norms":  {subNorms: true},
	"head-norms": {headNorms: true},
	"after-rope": {headNorms: true, afterRope: true},
	"input":      {inputNorms: true},
	"post-norms": {postNorms: true},
	"ungated":    {ungated: true},
	"biases":     {biases: true},
	"rotation":   {factors: true, partial: true},
	"scales":     {scales: true},
	"windows":    {windows: true},
	"rotations":  {rotations: true, partial: true},
	"experts":    {experts: true},
	"renormed":   {experts: true, renormed: true, clamped: true},
	"all":        {true, true, false, true, true, false, true, true, true, true, true, false, false, false, false, false},
	"all-after":  {true, true, true, true, true, true, true, true, true, true, true, false, false, false, false, false},
}

// The scales of families that have them.
const embeddingScale, residualScale, logitScale = 3, 0.5, 0.25

// Of families with windows the first layer has one, of those with rotations it has a base
// of its own, and the last layer does not rotate.
const window, localBase = 3, 100

// Of families with experts each row uses usedExperts; their weights have a factor, and
// gated values may be clamped.
const experts, usedExperts, expertScale, clamp = 5, 2, 1.5, 0.05

func init() {
	for name, p := range families {
		f := decoder.Family{
			Names: []string{"test-" + name}, SubNorms: p.subNorms, InputNorms: p.inputNorms, PostNorms: p.postNorms, Ungated: p.ungated,
			Experts: p.experts,
			Configure: func(_ *gguf.Metadata, c *model.Config) error {
				c.RopeStyle, c.HiddenAct = model.RopeNeox, model.SiLU
				if p.partial {
					c.RopeDim = 32
				}
				if p.scales {
					c.EmbeddingScale, c.ResidualScale, c.LogitScale = embeddingScale, residualScale, logitScale
				}
				if p.windows {
					c.Slide(window, func(layer int) bool { return layer == 0 })
				}
				if p.experts {
					c.Experts.Renormed, c.Experts.Scale = p.renormed, expertScale
				}
				if p.clamped {
					c.Experts.Clamp = []float32{clamp, clamp}
				}
				if p.rotations {
					c.LocalRopeBase, c.Rotations = localBase, []model.Rotation{model.RotateLocal, model.RotateNot}
				}
				return nil
			},
			Tensors: func(c *model.Config, table []model.TensorSpec) []model.TensorSpec {
				for i := range table {
					s := &table[i]
					s.Extra = s.Name == "rope_freqs.weight" && !p.factors
					if s.Role == model.RoleProjection && p.biases {
						table = append(table, model.TensorSpec{
							Name: s.Name[:len(s.Name)-len("weight")] + "bias", Role: model.RoleVector, Dims: s.Dims[1:],
						})
					}
				}
				return table
			},
		}
		if p.headNorms {
			f.HeadNorms = decoder.BeforeRope
			if p.afterRope {
				f.HeadNorms = decoder.AfterRope
			}
		}
		decoder.Register(f)
	}
}

// open makes a model of a test family; its heads are wider than their share.
func open(t *testing.T, name string, a model.Activations) *model.Model {
	t.Helper()
	shape := synth.Shape{
		Name: name, Architecture: "test-" + name, Layers: 2, Hidden: 96, FFN: 80, Heads: 4, KVHeads: 2, HeadDim: 48, Vocab: 512, Context: 64,
		RopeBase: 10000, NormEps: 1e-5, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "llama-bpe",
	}
	if families[name].experts {
		shape.Experts, shape.UsedExperts = experts, usedExperts
	}
	return synthtest.Model(t, shape, synth.Options{Type: gguf.TypeF16, Seed: 3}, model.LoadOptions{Activations: a})
}

// heap is memory for passes.
type heap struct{}

func (heap) Float32s(n int) []float32 { return make([]float32, n) }

// oneSequence attends to the rows of a batch that is one sequence from its start.
type oneSequence struct {
	c               *model.Config
	rows, stateSize int
}

func (a oneSequence) Attend(layer int, out, q, k, v model.Buffer, rows int) {
	d, group := a.c.HeadDim, a.c.Heads/a.c.KVHeads
	for row := range rows {
		for h := range a.c.Heads {
			weights := make([]float64, row+1)
			sum := 0.0
			for i := range weights {
				dot := 0.0
				for e := range d {
					dot += float64(q.Row(row)[h*d+e]) * float64(k.Row(i)[h/group*d+e])
				}
				weights[i] = math.Exp(dot * float64(a.c.AttnScale))
				if n := a.c.WindowOf(layer); n > 0 && row-i >= n {
					weights[i] = 0
				}
				sum += weights[i]
			}
			for e := range d {
				x := 0.0
				for i, w := range weights {
					x += w / sum * float64(v.Row(i)[h/group*d+e])
				}
				out.Row(row)[h*d+e] = float32(x)
			}
		}
	}
}

// Store implements model.Attention.
func (a oneSequence) Store(int, model.Buffer, model.Buffer, int) {}

// Recur implements model.Attention.
func (a oneSequence) Recur(r model.Recurrence) {
	state := make([]float32, a.stateSize)
	for row := range a.rows {
		for part := range r.Parts() {
			from, n := r.Numbers(part)
			r.Step(state[from:from+n], row, part)
		}
	}
}

// forward runs tokens through the graph and returns the hidden states.
func forward(t *testing.T, m *model.Model, tokens []int32, w *watcher) [][]float64 {
	t.Helper()
	team, err := parallel.NewTeam(2)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	n := len(tokens)
	run := m.Graph.NewRun(heap{}, n)
	p := model.NewPass(m, model.PassOptions{MaxRows: n, Team: team, Attention: oneSequence{m.Config, n, m.Graph.StateSize()}, Memory: heap{}})
	positions, keep := make([]int32, n), make([]int, n)
	for i := range n {
		positions[i], keep[i] = int32(i), i
	}
	if w == nil {
		p.Begin(tokens, positions, keep, nil)
	} else {
		p.SetTracer(w)
		p.Begin(tokens, positions, keep, w)
	}
	h := run.Forward(p)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	out := make([][]float64, n)
	for i := range out {
		for _, x := range h.Row(i) {
			out[i] = append(out[i], float64(x))
		}
	}
	return out
}

// distance returns the largest relative distance of a row.
func distance(got, want [][]float64) float64 {
	worst := 0.0
	for i := range want {
		var diff, norm float64
		for k, w := range want[i] {
			diff += (got[i][k] - w) * (got[i][k] - w)
			norm += w * w
		}
		worst = max(worst, math.Sqrt(diff/norm))
	}
	return worst
}

var tokens = []int32{1, 17, 300, 45, 45, 9, 222, 511, 3, 120}

// TestParts compares each family with an evaluation of the formulas in float64, and
// with evaluations that lack one of its parts, which must be far off.
func TestParts(t *testing.T) {
	for name, p := range families {
		t.Run(name, func(t *testing.T) {
			m := open(t, name, model.Float)
			got := forward(t, m, tokens, nil)
			want := (&reference{t, m, p}).run(tokens)
			if d := distance(got, want); !(d < 1e-5) {
				t.Errorf("the distance from the formulas is %.3g", d)
			}
			for part, without := range lacking(p) {
				if d := distance((&reference{t, m, without}).run(tokens), want); d < 1e-3 {
					t.Errorf("%s makes a difference of only %.3g: this model cannot show that it is there", part, d)
				}
			}
		})
	}
}

// TestHybrid: layers of another kind, with state, weights that are not ternary and a
// stack of matrices, compute what their formulas say.
func TestHybrid(t *testing.T) {
	m := decodertest.Open(t, model.LoadOptions{Activations: model.Float})
	want := (&reference{t, m, parts{hybrid: true}}).run(tokens)
	if d := distance(forward(t, m, tokens, nil), want); !(d < 1e-5) {
		t.Errorf("the distance from the formulas is %.3g", d)
	}
	if layers := m.Tally(kernel.KVF16).KVLayers(); !slices.Equal(layers, []int{0, 2}) {
		t.Errorf("the layers %v attend", layers)
	}
	var names []string
	var weights int64
	m.Projections(func(name string, p *model.Projection) {
		weights += int64(p.Matrix.Rows) * int64(p.Matrix.Cols)
		if strings.HasPrefix(name, "blk.1.") {
			names = append(names, name)
		}
	})
	if want := []string{"blk.1.mix_exps.weight[0]", "blk.1.mix_exps.weight[1]", "blk.1.mix_exps.weight[2]"}; !slices.Equal(names, want) {
		t.Errorf("the matrices of layer 1 are %v, want %v", names, want)
	}
	if want := int64(2*(96*(192+96+96)+192*96+3*96*80) + 2*3*96*96); weights != want || m.TernaryWeights != want {
		t.Errorf("%d ternary weights, counted %d, want %d", m.TernaryWeights, weights, want)
	}
	o, err := model.OutlineFile(m.File, model.LoadOptions{Activations: model.Float})
	if err != nil {
		t.Fatal(err)
	}
	if o.TernaryBytes != m.TernaryBytes || o.TableBytes != m.TableBytes || o.Graph.StateSize() != m.Graph.StateSize() || m.Graph.StateSize() != 2*96 {
		t.Errorf("the outline has %d, %d and %d, the model %d, %d and %d", o.TernaryBytes, o.TableBytes, o.Graph.StateSize(), m.TernaryBytes, m.TableBytes, m.Graph.StateSize())
	}
	arch, err := model.LookupArch("test-hybrid")
	if err != nil {
		t.Fatal(err)
	}
	table := arch.Table(m.Config)
	for name, want := range map[string]bool{
		"blk.0.attn_q.weight": true, "blk.1.attn_q.weight": false, "blk.2.mix_decay": false, "blk.3.mix_decay": true, "blk.5.mix_decay": false,
		"blk.1.attn_norm.weight": true, "blk.01.attn_norm.weight": false, "output_norm.weight": true,
	} {
		if _, ok := table.Lookup(name); ok != want {
			t.Errorf("%s is in the table: %v", name, ok)
		}
	}
}

// watcher lists what a pass does.
type watcher struct {
	stages, ops []string
}

func (w *watcher) Stage(layer int, name string, _, width int, _ []float32) {
	w.stages = append(w.stages, fmt.Sprint(model.StageName(layer, name), " ", width))
}

func (w *watcher) Skipped(int64) {}

func (w *watcher) Begin(layer int, op string, _ int) {
	if op != model.OpRopeTable {
		w.ops = append(w.ops, model.StageName(layer, op))
	}
}

func (w *watcher) End() {}

// TestTally: what a tally lists is what a pass does, operation by operation and stage
// by stage, and an outline has the same.
func TestTally(t *testing.T) {
	for _, name := range append(slices.Collect(maps.Keys(families)), "hybrid") {
		for _, activations := range []model.Activations{model.Int8, model.Float, model.Int8Groups} {
			attending := []int{0, 1}
			var m *model.Model
			if name == "hybrid" {
				m, attending = decodertest.Open(t, model.LoadOptions{Activations: activations}), []int{0, 2}
			} else {
				m = open(t, name, activations)
			}
			w := &watcher{}
			forward(t, m, tokens[:1], w)
			tally := m.Tally(kernel.KVF16)
			var stages, ops []string
			for _, s := range tally.Stages {
				stages = append(stages, fmt.Sprint(model.StageName(s.Layer, s.Name), " ", s.Width))
			}
			for _, op := range tally.Ops {
				if op.Kind != model.OpKindAttend && op.Kind != model.OpKindHead { // which are the engine's
					ops = append(ops, model.StageName(op.Layer, op.Name))
				}
			}
			if !slices.Equal(stages, w.stages) {
				t.Errorf("%s: the tally has the stages\n%v, a pass has\n%v", name, stages, w.stages)
			}
			if !slices.Equal(ops, w.ops) {
				t.Errorf("%s: the tally has the operations\n%v, a pass has\n%v", name, ops, w.ops)
			}
			if layers := tally.KVLayers(); !slices.Equal(layers, attending) {
				t.Errorf("%s: the layers %v attend", name, layers)
			}
		}
	}
}

// lacking returns the parts with one of them taken away, each in turn. A network
// without a gate has no tensor for one.
func lacking(p parts) map[string]parts {
	list := map[string]parts{}
	for part, field := range map[string]func(*parts) *bool{
		"sub-norms":        func(p *parts) *bool { return &p.subNorms },
		"head norms":       func(p *parts) *bool { return &p.headNorms },
		"their place":      func(p *parts) *bool { return &p.afterRope },
		"input norms":      func(p *parts) *bool { return &p.inputNorms },
		"post-norms":       func(p *parts) *bool { return &p.postNorms },
		"biases":           func(p *parts) *bool { return &p.biases },
		"rotation factors": func(p *parts) *bool { return &p.factors },
		"partial rotation": func(p *parts) *bool { return &p.partial },
		"scales":           func(p *parts) *bool { return &p.scales },
		"renormed weights": func(p *parts) *bool { return &p.renormed },
		"clamps":           func(p *parts) *bool { return &p.clamped },
		"windows":          func(p *parts) *bool { return &p.windows },
		"rotations":        func(p *parts) *bool { return &p.rotations },
	} {
		without := p
		if b := field(&without); *b {
			*b = false
			list[part] = without
		}
	}
	return list
}
