// Package decodertest registers a family of decoders for tests, "test-hybrid", with
// what no other family has yet: layers of different kinds, state beside keys and
// values, tensors that are not ternary, and stacks of matrices.
//
// In every odd layer a decaying sum takes the place of attention, and a sum over three
// matrices that of the feed-forward network. With the layer's input h, its state s and
// · for products of elements:
//
//	s ← decay·s/2 + h
//	attention:     gain·s
//	feed-forward:  E₀·h + E₁·h + E₂·h
package decodertest

import (
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/tokenizer"
)

// Experts is the number of matrices in a stack.
const Experts = 3

func init() {
	decoder.Register(decoder.Family{
		Names: []string{"test-hybrid"},
		Configure: func(_ *gguf.Metadata, c *model.Config) error {
			c.RopeStyle, c.HiddenAct = model.RopeNeox, model.SiLU
			return nil
		},
		Tensors: tensors,
		Extend:  extend,
	})
}

// Recurrent reports whether a layer is one of the odd ones.
func Recurrent(layer int) bool { return layer%2 == 1 }

func tensors(c *model.Config, table []model.TensorSpec) []model.TensorSpec {
	D := int64(c.Hidden)
	for i := range table {
		s := &table[i]
		if kind := s.Kind(); s.PerLayer() && !strings.HasSuffix(kind, "_norm") {
			s.In = func(layer int) bool { return !Recurrent(layer) }
		}
	}
	return append(table,
		model.TensorSpec{Name: "blk.%d.mix_decay", Role: model.RoleDense, Dims: []int64{D}, In: Recurrent},
		model.TensorSpec{Name: "blk.%d.mix_gain.weight", Role: model.RoleDense, Dims: []int64{D / 2, 2}, In: Recurrent},
		model.TensorSpec{Name: "blk.%d.mix_exps.weight", Role: model.RoleProjection, Dims: []int64{D, D, Experts}, In: Recurrent},
	)
}

// mixer is what an odd layer has.
type mixer struct {
	Decay   []float32           `tensor:"mix_decay"`       // [D]
	Gain    []float32           `tensor:"mix_gain.weight"` // [2, D/2], which is [D]
	Experts []*model.Projection `tensor:"mix_exps.weight"` // each [D, D]
}

type extension struct {
	hidden int
	layers []mixer // of even layers empty
}

func extend(c *model.Config, b *model.Binder) (decoder.Extension, error) {
	e := &extension{hidden: c.Hidden}
	for i := range c.Layers {
		var m mixer
		if err := b.Bind(&m, model.LayerTensor(i, "")); err != nil {
			return nil, err
		}
		e.layers = append(e.layers, m)
	}
	return e, nil
}

// StateSize implements decoder.Extension: [D] for every odd layer.
func (e *extension) StateSize() int { return len(e.layers) / 2 * e.hidden }

// RecordSize implements decoder.Extension.
func (e *extension) RecordSize() int { return e.StateSize() }

// NewRun implements decoder.Extension.
func (e *extension) NewRun(r *decoder.Run, mem model.Memory, maxRows int) decoder.Blocks {
	b := &blocks{extension: e}
	for i := range b.out {
		b.out[i] = model.NewBuffer(mem, maxRows, e.hidden)
	}
	b.total = total{b, r.H}
	for i := range e.layers {
		b.sums = append(b.sums, sum{mixer: &e.layers[i], at: i / 2 * e.hidden, h: r.H})
		b.gains = append(b.gains, gain{mixer: &e.layers[i], h: r.H})
	}
	return b
}

type blocks struct {
	*extension
	sums  []sum
	gains []gain
	total total
	out   [Experts]model.Buffer // [rows, D] of each matrix
}

// Attention implements decoder.Blocks.
func (b *blocks) Attention(p *model.Pass, r *decoder.Run, layer int) bool {
	if !Recurrent(layer) {
		return false
	}
	p.Recur("mix_sum", r.H, model.Cost{FLOPs: 2 * int64(b.hidden)}, &b.sums[layer])
	p.Each("mix_gain", r.H, model.Cost{FLOPs: int64(b.hidden), WeightBytes: 4 * int64(b.hidden)}, &b.gains[layer])
	return true
}

// FeedForward implements decoder.Blocks.
func (b *blocks) FeedForward(p *model.Pass, r *decoder.Run, layer int) bool {
	if !Recurrent(layer) {
		return false
	}
	m := &b.layers[layer]
	p.Project(r.H, model.Projected{W: m.Experts[0], Out: b.out[0]}, model.Projected{W: m.Experts[1], Out: b.out[1]}, model.Projected{W: m.Experts[2], Out: b.out[2]})
	p.Each("mix_experts", r.H, model.Cost{FLOPs: (Experts - 1) * int64(b.hidden)}, &b.total)
	return true
}

// sum implements model.Recurrence.
type sum struct {
	*mixer
	at int // of the layer's part of the state
	h  model.Buffer
}

// Parts cuts a row in two.
func (s *sum) Parts() int { return 2 }

// Numbers returns half of the layer's.
func (s *sum) Numbers(part int) (from, n int) {
	n = s.h.Width / 2
	return s.at + part*n, n
}

// Operands returns the place of what is added.
func (s *sum) Operands(part int) (from, n int) { return s.Numbers(part) }

// half returns the part's half of a row.
func (s *sum) half(row []float32, part int) []float32 {
	n := len(row) / 2
	return row[part*n : (part+1)*n]
}

// Step computes half a row.
func (s *sum) Step(state []float32, row, part int) {
	h := s.half(s.h.Row(row), part)
	s.Replay(state, h, nil, part)
	copy(h, state)
}

// Record notes what is added.
func (s *sum) Record(record []float32, row, part int) { copy(record, s.half(s.h.Row(row), part)) }

// Replay adds it.
func (s *sum) Replay(state, record, _ []float32, part int) {
	for i, decay := range s.half(s.Decay, part) {
		state[i] = float32(state[i]*decay/2) + record[i]
	}
}

// gain implements model.RowFunc.
type gain struct {
	*mixer
	h model.Buffer
}

// Row computes a row.
func (g *gain) Row(row int) {
	h := g.h.Row(row)
	for i := range h {
		h[i] *= g.Gain[i]
	}
}

// total implements model.RowFunc.
type total struct {
	*blocks
	h model.Buffer
}

// Row computes a row.
func (t *total) Row(row int) {
	h := t.h.Row(row)
	for i := range h {
		h[i] = t.out[0].Row(row)[i] + t.out[1].Row(row)[i] + t.out[2].Row(row)[i]
	}
}

// Open makes a model of the family of four layers.
func Open(t testing.TB, o model.LoadOptions) *model.Model {
	t.Helper()
	return synthtest.Model(t, synth.Shape{
		Name: "hybrid", Architecture: "test-hybrid", Layers: 4, Hidden: 96, FFN: 80, Heads: 4, KVHeads: 2, HeadDim: 48, Vocab: 512, Context: 640,
		RopeBase: 10000, NormEps: 1e-5, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "llama-bpe",
	}, synth.Options{Type: gguf.TypeF16, Seed: 5}, o)
}
