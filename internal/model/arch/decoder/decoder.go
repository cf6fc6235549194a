package decoder

import "trit/internal/model"

// Run is a decoder with the buffers of a pass. With V, D, F, H, G, d as in
// model.Config (vocabulary, hidden, FFN, heads, KV heads, head width):
type Run struct {
	*Graph
	blocks Blocks // of the extension, nil if there is none

	X    model.Buffer // [rows, D] the residual stream
	H    model.Buffer // [rows, D] normed input, then a block's output
	Q    model.Buffer // [rows, H·d]
	K, V model.Buffer // [rows, G·d]
	O    model.Buffer // [rows, H·d] attention, heads concatenated
	Gate model.Buffer // [rows, F]
	Up   model.Buffer // [rows, F]
}

// NewRun implements model.Graph.
func (g *Graph) NewRun(mem model.Memory, maxRows int) model.Run {
	c := g.Config
	r := &Run{
		Graph: g,
		X:     model.NewBuffer(mem, maxRows, c.Hidden),
		H:     model.NewBuffer(mem, maxRows, c.Hidden),
		Q:     model.NewBuffer(mem, maxRows, c.Heads*c.HeadDim),
		K:     model.NewBuffer(mem, maxRows, c.KVHeads*c.HeadDim),
		V:     model.NewBuffer(mem, maxRows, c.KVHeads*c.HeadDim),
		O:     model.NewBuffer(mem, maxRows, c.Heads*c.HeadDim),
	}
	if c.Experts.Count == 0 {
		r.Up = model.NewBuffer(mem, maxRows, c.FFN)
	}
	if c.Experts.Count == 0 && !g.Ungated {
		r.Gate = model.NewBuffer(mem, maxRows, c.FFN)
	}
	if g.extension != nil {
		r.blocks = g.extension.NewRun(r, mem, maxRows)
	}
	return r
}

// Forward implements model.Run.
func (r *Run) Forward(p *model.Pass) model.Buffer {
	c := r.Config
	p.Layer(model.LayerIn)
	p.Embed("embedding", r.X, r.TokenEmbd)
	p.Scale("embedding_scaled", r.X, c.EmbeddingScale)
	for i := range r.Layers {
		l := &r.Layers[i]
		p.Layer(i)

		p.Norm("attn_norm", r.H, r.X, l.AttnNorm)
		if r.blocks == nil || !r.blocks.Attention(p, r, i) {
			r.attention(p, l, i)
		}
		if i == len(r.Layers)-1 && c.MTP == 0 {
			p.Narrow(r.X, r.H) // if attention has not yet
		}
		if l.PostAttnNorm != nil {
			p.Norm("post_attention_norm", r.H, r.H, l.PostAttnNorm)
		}
		p.Scale("attn_scaled", r.H, c.ResidualScale)
		p.Add("attn_residual", r.X, r.H)

		p.Norm("ffn_norm", r.H, r.X, l.FFNNorm)
		if r.blocks == nil || !r.blocks.FeedForward(p, r, i) {
			r.feedForward(p, l)
		}
		if l.PostFFNNorm != nil {
			p.Norm("post_ffw_norm", r.H, r.H, l.PostFFNNorm)
		}
		p.Scale("ffn_scaled", r.H, c.ResidualScale)
		p.Add("ffn_residual", r.X, r.H)
	}
	p.Layer(model.LayerOut)
	p.Norm("output_norm", r.H, r.X, r.OutputNorm)
	p.Scale("output_scaled", r.H, c.LogitScale)
	if c.MTP > 0 {
		p.Layer(c.Layers)
		r.blocks.(Predictor).Follow(p, r)
		p.Layer(model.LayerOut)
	}
	return r.H
}

// Guess implements model.Run.
func (r *Run) Guess(p *model.Pass, states []float32) model.Buffer {
	p.Layer(r.Config.Layers)
	return r.blocks.(Predictor).Guess(p, r, states)
}

// attention computes H = O·attend(Q·H, K·H, V·H).
func (r *Run) attention(p *model.Pass, l *Layer, layer int) {
	p.Project(r.H, model.Projected{W: l.Q, Out: r.Q}, model.Projected{W: l.K, Out: r.K}, model.Projected{W: l.V, Out: r.V})
	if r.HeadNorms == BeforeRope {
		p.Stage("q", r.Q)
		p.Stage("k", r.K)
		r.normHeads(p, l)
	}
	p.Rope(model.StageQ, r.Q)
	p.Rope(model.StageK, r.K)
	if r.HeadNorms == AfterRope {
		r.normHeads(p, l)
	}
	p.Stage(model.StageV, r.V)
	p.Attend(model.StageAttention, r.O, r.Q, r.K, r.V)
	if layer == len(r.Layers)-1 {
		p.Narrow(r.X, r.O)
	}
	if l.AttnSubNorm != nil {
		p.Norm("attn_sub_norm", r.O, r.O, l.AttnSubNorm)
	}
	p.Project(r.O, model.Projected{W: l.O, Out: r.H})
	p.Stage("attn_output", r.H)
}

func (r *Run) normHeads(p *model.Pass, l *Layer) {
	p.NormHeads("attn_q_norm", r.Q, l.QNorm)
	p.NormHeads("attn_k_norm", r.K, l.KNorm)
}

// feedForward computes H = Down·(act(Gate·H)·(Up·H)), or without a gate
// H = Down·act(Up·H), or what a mixture of experts computes.
func (r *Run) feedForward(p *model.Pass, l *Layer) {
	if l.Router != nil {
		p.Mix(r.H, r.H, &l.mixture)
		return
	}
	gated := r.Gate
	if r.Ungated {
		gated = r.Up
		p.Project(r.H, model.Projected{W: l.Up, Out: r.Up})
		p.Stage("up", r.Up)
		p.Act("activated", r.Up)
	} else {
		p.ProjectGated(r.H, model.Projected{W: l.Gate, Out: r.Gate}, model.Projected{W: l.Up, Out: r.Up})
		p.Stage("gate", r.Gate)
		p.Stage("up", r.Up)
		p.Gate("gated", r.Gate, r.Gate, r.Up)
	}
	if l.FFNSubNorm != nil {
		p.Norm("ffn_sub_norm", gated, gated, l.FFNSubNorm)
	}
	p.Project(gated, model.Projected{W: l.Down, Out: r.H})
	p.Stage("down", r.H)
}
