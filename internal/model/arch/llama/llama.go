// Package llama implements the llama family as far as ternary models use it:
// Llama3-8B-1.58, the Falcon3 and Falcon-E models, and conversions of other
// checkpoints of that graph.
//
// The rotation pairs neighbouring elements of a head, because converters
// reorder the rows of the query and key projections so; rope_freqs, if
// present, divides the frequencies as Llama 3 scales them. The activation
// function is SiLU, there are no sub-norms, and the output head may be tied.
//
// Source: Touvron et al., "LLaMA" (arXiv:2302.13971).
package llama

import (
	"fmt"

	"trit/gguf"
	"trit/internal/model"
)

func init() {
	model.Register(&model.Arch{
		Names:     []string{"llama"},
		HFNames:   []string{"LlamaForCausalLM", "FalconEForCausalLM", "MistralForCausalLM"},
		Configure: configure,
		Tensors:   tensors,
		Build:     build,
	})
}

func configure(m *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNorm
	c.HiddenAct = model.SiLU
	experts, err := m.Uint32Or(c.Architecture+".expert_count", 0)
	if err != nil {
		return fmt.Errorf("%w: %w", model.ErrConfig, err)
	}
	if experts != 0 {
		return fmt.Errorf("%w: %s.expert_count is %d; mixtures of experts are not supported", model.ErrConfig, c.Architecture, experts)
	}
	return nil
}

// tensors is the common table, with the heads that conversion reorders.
func tensors(c *model.Config) []model.TensorSpec {
	specs := model.DecoderTensors(c)
	for i := range specs {
		switch specs[i].Name {
		case "blk.%d.attn_q.weight":
			specs[i].RopeHeads = c.Heads
		case "blk.%d.attn_k.weight":
			specs[i].RopeHeads = c.KVHeads
		}
	}
	return specs
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
	AttnNorm []float32         `tensor:"attn_norm.weight"`   // [D]
	Q        *model.Projection `tensor:"attn_q.weight"`      // [H·d, D]
	K        *model.Projection `tensor:"attn_k.weight"`      // [G·d, D]
	V        *model.Projection `tensor:"attn_v.weight"`      // [G·d, D]
	O        *model.Projection `tensor:"attn_output.weight"` // [D, H·d]
	FFNNorm  []float32         `tensor:"ffn_norm.weight"`    // [D]
	Gate     *model.Projection `tensor:"ffn_gate.weight"`    // [F, D]
	Up       *model.Projection `tensor:"ffn_up.weight"`      // [F, D]
	Down     *model.Projection `tensor:"ffn_down.weight"`    // [D, F]
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
		p.Project(r.o, model.Projected{W: l.O, Out: r.h})
		p.Stage("attn_output", r.h)
		p.Add("attn_residual", r.x, r.h)

		p.Norm("ffn_norm", r.h, r.x, l.FFNNorm)
		p.Project(r.h, model.Projected{W: l.Gate, Out: r.gate}, model.Projected{W: l.Up, Out: r.up})
		p.Stage("gate", r.gate)
		p.Stage("up", r.up)
		p.Gate("gated", r.gate, r.gate, r.up)
		p.Project(r.gate, model.Projected{W: l.Down, Out: r.h})
		p.Stage("down", r.h)
		p.Add("ffn_residual", r.x, r.h)
	}
	p.Layer(model.LayerOut)
	p.Norm("output_norm", r.h, r.x, r.OutputNorm)
	return r.h
}
