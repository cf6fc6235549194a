// Package bitnet implements the BitNet b1.58 family: the models of 1bitLLM
// (architecture "bitnet": SiLU) and Microsoft's 2B-4T ("bitnet-b1.58", in
// older files "bitnet-25": squared ReLU).
//
// Against llama, each block has two more norms: one on the concatenated heads
// before the output projection and one on the gated values before the down
// projection. They keep the input of those projections in a range that eight
// bits hold well. The rotation pairs the halves of a head, and the output head
// is the embedding table unless the file brings its own.
//
// Sources: Ma et al., "The Era of 1-bit LLMs" (arXiv:2402.17764) and
// "BitNet b1.58 2B4T Technical Report" (arXiv:2504.12285).
package bitnet

import (
	"fmt"

	"trit/gguf"
	"trit/internal/model"
)

func init() {
	model.Register(&model.Arch{
		Names:     []string{"bitnet", "bitnet-b1.58", "bitnet-25"},
		HFNames:   []string{"BitNetForCausalLM", "BitnetForCausalLM"},
		Configure: configure,
		Tensors:   tensors,
		Build:     build,
	})
}

func configure(_ *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNeox
	c.HiddenAct = model.ReLU2
	if c.Architecture == "bitnet" {
		c.HiddenAct = model.SiLU
	} else if isOneBitLLM(c) {
		// Some converters give the 1bitLLM models the label of 2B-4T.
		c.HiddenAct = model.SiLU
		c.Notes = append(c.Notes, fmt.Sprintf("the shape is that of a 1bitLLM model although the architecture says %s: using silu", c.Architecture))
	}
	return nil
}

// isOneBitLLM recognises the 0.7B and 3B models of 1bitLLM by their shape.
func isOneBitLLM(c *model.Config) bool {
	return c.Vocab == 32002 && (c.Layers == 24 && c.Hidden == 1536 || c.Layers == 26 && c.Hidden == 3200)
}

// tensors is the common table plus the two sub-norms.
func tensors(c *model.Config) []model.TensorSpec {
	return append(model.DecoderTensors(c),
		model.TensorSpec{
			Name: "blk.%d.attn_sub_norm.weight",
			HF: []string{
				"layers.%d.self_attn.attn_sub_norm.weight",
				"layers.%d.self_attn.inner_attn_ln.weight",
				"layers.%d.attention.attn_sub_norm.weight",
			},
			Role: model.RoleVector, Dims: []int64{int64(c.Heads * c.HeadDim)}, Optional: true,
		},
		model.TensorSpec{
			Name: "blk.%d.ffn_sub_norm.weight",
			HF: []string{
				"layers.%d.mlp.ffn_sub_norm.weight",
				"layers.%d.mlp.ffn_layernorm.weight",
				"layers.%d.feed_forward.ffn_sub_norm.weight",
			},
			Role: model.RoleVector, Dims: []int64{int64(c.FFN)}, Optional: true,
		},
	)
}

// weights are the tensors outside the layers.
type weights struct {
	TokenEmbd  *model.Table `tensor:"token_embd.weight"`  // [V, D]
	OutputNorm []float32    `tensor:"output_norm.weight"` // [D]
	Output     *model.Table `tensor:"output.weight"`      // [V, D], nil if tied
	RopeFreqs  []float32    `tensor:"rope_freqs.weight"`  // [d/2], may be nil
}

// layer holds the tensors of one block.
type layer struct {
	AttnNorm    []float32         `tensor:"attn_norm.weight"`     // [D]
	Q           *model.Projection `tensor:"attn_q.weight"`        // [H·d, D]
	K           *model.Projection `tensor:"attn_k.weight"`        // [G·d, D]
	V           *model.Projection `tensor:"attn_v.weight"`        // [G·d, D]
	AttnSubNorm []float32         `tensor:"attn_sub_norm.weight"` // [H·d], may be nil
	O           *model.Projection `tensor:"attn_output.weight"`   // [D, H·d]
	FFNNorm     []float32         `tensor:"ffn_norm.weight"`      // [D]
	Gate        *model.Projection `tensor:"ffn_gate.weight"`      // [F, D]
	Up          *model.Projection `tensor:"ffn_up.weight"`        // [F, D]
	FFNSubNorm  []float32         `tensor:"ffn_sub_norm.weight"`  // [F], may be nil
	Down        *model.Projection `tensor:"ffn_down.weight"`      // [D, F]
}

type graph struct {
	config *model.Config
	weights
	layers []layer
}

func build(c *model.Config, b *model.Binder) (model.Graph, error) {
	g := &graph{config: c}
	if err := b.Bind(&g.weights, ""); err != nil {
		return nil, err
	}
	for i := range c.Layers {
		var l layer
		if err := b.Bind(&l, fmt.Sprintf("blk.%d.", i)); err != nil {
			return nil, err
		}
		g.layers = append(g.layers, l)
	}
	return g, nil
}

func (g *graph) Embedding() *model.Table { return g.TokenEmbd }

func (g *graph) Head() *model.Table {
	if g.Output != nil {
		return g.Output
	}
	return g.TokenEmbd
}

func (g *graph) RopeFactors() []float32 { return g.RopeFreqs }

func (g *graph) Projections(visit func(name string, p *model.Projection)) {
	for i := range g.layers {
		model.VisitProjections(&g.layers[i], i, visit)
	}
}

// run holds the buffers of a pass.
type run struct {
	*graph
	x    model.Buffer // [rows, D] the residual stream
	h    model.Buffer // [rows, D] normed input, then a block's output
	q    model.Buffer // [rows, H·d]
	k, v model.Buffer // [rows, G·d]
	o    model.Buffer // [rows, H·d] attention, heads concatenated
	gate model.Buffer // [rows, F]
	up   model.Buffer // [rows, F]
}

func (g *graph) NewRun(mem model.Memory, maxRows int) model.Run {
	c := g.config
	return &run{
		graph: g,
		x:     model.NewBuffer(mem, maxRows, c.Hidden),
		h:     model.NewBuffer(mem, maxRows, c.Hidden),
		q:     model.NewBuffer(mem, maxRows, c.Heads*c.HeadDim),
		k:     model.NewBuffer(mem, maxRows, c.KVHeads*c.HeadDim),
		v:     model.NewBuffer(mem, maxRows, c.KVHeads*c.HeadDim),
		o:     model.NewBuffer(mem, maxRows, c.Heads*c.HeadDim),
		gate:  model.NewBuffer(mem, maxRows, c.FFN),
		up:    model.NewBuffer(mem, maxRows, c.FFN),
	}
}

func (r *run) Forward(p *model.Pass) model.Buffer {
	p.Layer(model.LayerIn)
	p.Embed("embedding", r.x, r.TokenEmbd)
	for i := range r.layers {
		l := &r.layers[i]
		p.Layer(i)

		p.Norm("attn_norm", r.h, r.x, l.AttnNorm)
		p.Project(r.h, model.Projected{W: l.Q, Out: r.q}, model.Projected{W: l.K, Out: r.k}, model.Projected{W: l.V, Out: r.v})
		p.Rope("q_rope", r.q)
		p.Rope("k_rope", r.k)
		p.Stage("v", r.v)
		p.Attend("attention", r.o, r.q, r.k, r.v)
		if i == len(r.layers)-1 {
			p.Narrow(r.x, r.o)
		}
		if l.AttnSubNorm != nil {
			p.Norm("attn_sub_norm", r.o, r.o, l.AttnSubNorm)
		}
		p.Project(r.o, model.Projected{W: l.O, Out: r.h})
		p.Stage("attn_output", r.h)
		p.Add("attn_residual", r.x, r.h)

		p.Norm("ffn_norm", r.h, r.x, l.FFNNorm)
		p.Project(r.h, model.Projected{W: l.Gate, Out: r.gate}, model.Projected{W: l.Up, Out: r.up})
		p.Stage("gate", r.gate)
		p.Stage("up", r.up)
		p.Gate("gated", r.gate, r.gate, r.up)
		if l.FFNSubNorm != nil {
			p.Norm("ffn_sub_norm", r.gate, r.gate, l.FFNSubNorm)
		}
		p.Project(r.gate, model.Projected{W: l.Down, Out: r.h})
		p.Stage("down", r.h)
		p.Add("ffn_residual", r.x, r.h)
	}
	p.Layer(model.LayerOut)
	p.Norm("output_norm", r.h, r.x, r.OutputNorm)
	return r.h
}
