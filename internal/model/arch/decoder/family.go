// Package decoder is the graph that decoder families share: tokens become vectors,
// layers of attention and a feed-forward network each add to them, and a norm ends
// it. A [Family] says which optional parts its models have, and may put blocks of its
// own in place of the decoder's (see [Extension]).
//
// [Run.Forward] is the graph, from top to bottom.
package decoder

import (
	"fmt"
	"strings"

	"trit/gguf"
	"trit/internal/model"
)

// Family describes a family of decoders. The zero value of the parts is the plain
// decoder: norms before both blocks, grouped-query attention, a gated feed-forward
// network.
type Family struct {
	// Names, HFNames and WeightOnly are those of model.Arch.
	Names, HFNames []string
	WeightOnly     bool
	// Configure completes the configuration: the rotation, the activation
	// function, scales, and a refusal of what the graph cannot do.
	Configure func(m *gguf.Metadata, c *model.Config) error
	// Keys are those of graphKeys that the family consumes, without its name in front.
	Keys []string

	// SubNorms: a norm of the heads' results before attn_output, and one of the
	// gated values before ffn_down. Either may be missing from a file.
	SubNorms bool
	// HeadNorms: every head of queries and keys is normed, before or after the
	// rotation.
	HeadNorms Placement
	// InputNorms: each projection may have a norm of its own input. Usual files
	// have none.
	InputNorms bool
	// PostNorms: what a block adds to the residual stream is normed first.
	PostNorms bool
	// LateNorm: the norm before the feed-forward network is called
	// post_attention_norm instead of ffn_norm. It excludes PostNorms.
	LateNorm bool
	// Ungated: the feed-forward network has no ffn_gate, and its activation
	// function is applied to ffn_up.
	Ungated bool

	// Experts: the feed-forward networks may be mixtures of experts, as files say. The
	// family's Configure says whether their weights are renormed.
	Experts bool

	// ValueOrder is that of model.Arch.
	ValueOrder func(c *model.Config) []int32
	// Tensors, if not nil, changes the tensor table.
	Tensors func(c *model.Config, table []model.TensorSpec) []model.TensorSpec
	// Extend, if not nil, binds the weights of blocks that take the place of the
	// decoder's own.
	Extend func(c *model.Config, b *model.Binder) (Extension, error)
}

// Placement says where norms of heads are, if there are any.
type Placement uint8

// The placements.
const (
	Never Placement = iota
	BeforeRope
	AfterRope
)

// Extension replaces blocks of some layers.
type Extension interface {
	// NewRun allocates the buffers of the extension's blocks, beside those of r.
	NewRun(r *Run, mem model.Memory, maxRows int) Blocks
	// StateSize and RecordSize are what model.Graph asks for.
	StateSize() int
	RecordSize() int
}

// Blocks are the blocks of an extension with their buffers. Both methods take the
// normed input from r.H, leave what is to be added to the residual stream there, and
// return true; or they return false, and the decoder's own block runs.
type Blocks interface {
	Attention(p *model.Pass, r *Run, layer int) bool
	FeedForward(p *model.Pass, r *Run, layer int) bool
}

// Predictor is implemented by the blocks of models with Config.MTP, which all rows of a pass
// go through.
type Predictor interface {
	// Follow stores what the layer that guesses attends to later, of all rows. r.H has
	// their hidden states and must be left alone.
	Follow(p *model.Pass, r *Run)
	// Guess is model.Run's.
	Guess(p *model.Pass, r *Run, states []float32) model.Buffer
}

// Register adds a family of decoders to those of package model.
func Register(f Family) {
	model.Register(&model.Arch{
		Names: f.Names, HFNames: f.HFNames, WeightOnly: f.WeightOnly, ValueOrder: f.ValueOrder, Refuse: f.refuse, Configure: f.configure, Tensors: f.tensors, Build: f.build,
	})
}

// tensors is the tensor table.
func (f *Family) tensors(c *model.Config) []model.TensorSpec {
	var (
		D, F, V = int64(c.Hidden), int64(c.FFN), int64(c.Vocab)
		d       = int64(c.HeadDim)
		q, kv   = d * int64(c.Heads), d * int64(c.KVHeads)
		table   []model.TensorSpec
	)
	add := func(spec model.TensorSpec) *model.TensorSpec {
		table = append(table, spec)
		return &table[len(table)-1]
	}
	vector := func(name string, n int64, hf ...string) *model.TensorSpec {
		return add(model.TensorSpec{Name: name, HF: hf, Role: model.RoleVector, Dims: []int64{n}})
	}
	projection := func(name string, in, out int64, hf ...string) *model.TensorSpec {
		return add(model.TensorSpec{Name: name, HF: hf, Role: model.RoleProjection, Dims: []int64{in, out}})
	}
	rotated := func(spec *model.TensorSpec, heads int) {
		if c.RopeStyle == model.RopeNorm {
			spec.RopeHeads = heads
		}
	}
	add(model.TensorSpec{Name: "token_embd.weight", HF: []string{"embed_tokens.weight"}, Role: model.RoleEmbedding, Dims: []int64{D, V}})
	vector("output_norm.weight", D, "norm.weight")
	add(model.TensorSpec{Name: "output.weight", HF: []string{"lm_head.weight"}, Role: model.RoleHead, Dims: []int64{D, V}, Optional: true})
	freqs := vector("rope_freqs.weight", int64(c.RopeDim/2))
	freqs.Optional, freqs.Extra = true, true
	if c.LongRope {
		vector("rope_factors_short.weight", int64(c.RopeDim/2))
		vector("rope_factors_long.weight", int64(c.RopeDim/2))
	}

	vector("blk.%d.attn_norm.weight", D, "layers.%d.input_layernorm.weight")
	rotated(projection("blk.%d.attn_q.weight", D, q, "layers.%d.self_attn.q_proj.weight", "layers.%d.attention.wq.weight"), c.Heads)
	rotated(projection("blk.%d.attn_k.weight", D, kv, "layers.%d.self_attn.k_proj.weight", "layers.%d.attention.wk.weight"), c.KVHeads)
	projection("blk.%d.attn_v.weight", D, kv, "layers.%d.self_attn.v_proj.weight", "layers.%d.attention.wv.weight")
	projection("blk.%d.attn_output.weight", q, D, "layers.%d.self_attn.o_proj.weight", "layers.%d.attention.wo.weight")
	ffnNorm, hfNorm := "blk.%d.ffn_norm.weight", "layers.%d.post_attention_layernorm.weight"
	if f.LateNorm {
		ffnNorm = "blk.%d.post_attention_norm.weight"
	}
	if f.PostNorms {
		hfNorm = "layers.%d.pre_feedforward_layernorm.weight"
	}
	vector(ffnNorm, D, hfNorm)
	if E := int64(c.Experts.Count); E > 0 {
		add(model.TensorSpec{Name: "blk.%d.ffn_gate_inp.weight", HF: []string{"layers.%d.mlp.gate.weight"}, Role: model.RoleDense, Dims: []int64{D, E}})
		for _, s := range []struct {
			name    string
			in, out int64
		}{{"gate", D, F}, {"up", D, F}, {"down", F, D}} {
			add(model.TensorSpec{Name: "blk.%d.ffn_" + s.name + "_exps.weight", HF: []string{"layers.%d.mlp.experts." + s.name + "_proj.weight"}, Role: model.RoleProjection, Dims: []int64{s.in, s.out, E}})
		}
	} else {
		if !f.Ungated {
			projection("blk.%d.ffn_gate.weight", D, F, "layers.%d.mlp.gate_proj.weight", "layers.%d.feed_forward.w1.weight")
		}
		projection("blk.%d.ffn_up.weight", D, F, "layers.%d.mlp.up_proj.weight", "layers.%d.feed_forward.w3.weight")
		projection("blk.%d.ffn_down.weight", F, D, "layers.%d.mlp.down_proj.weight", "layers.%d.feed_forward.w2.weight")
	}

	if f.SubNorms {
		vector("blk.%d.attn_sub_norm.weight", q, "layers.%d.self_attn.attn_sub_norm.weight",
			"layers.%d.self_attn.inner_attn_ln.weight", "layers.%d.attention.attn_sub_norm.weight").Optional = true
		vector("blk.%d.ffn_sub_norm.weight", F, "layers.%d.mlp.ffn_sub_norm.weight",
			"layers.%d.mlp.ffn_layernorm.weight", "layers.%d.feed_forward.ffn_sub_norm.weight").Optional = true
	}
	if f.HeadNorms != Never {
		vector("blk.%d.attn_q_norm.weight", d, "layers.%d.self_attn.q_norm.weight", "layers.%d.self_attn.query_layernorm.weight")
		vector("blk.%d.attn_k_norm.weight", d, "layers.%d.self_attn.k_norm.weight", "layers.%d.self_attn.key_layernorm.weight")
	}
	if f.PostNorms {
		vector("blk.%d.post_attention_norm.weight", D, "layers.%d.post_attention_layernorm.weight")
		vector("blk.%d.post_ffw_norm.weight", D, "layers.%d.post_feedforward_layernorm.weight")
	}
	if f.InputNorms {
		for _, spec := range table {
			if spec.Role == model.RoleProjection {
				norm := vector(model.NormIn(spec.Name), spec.Dims[0], innerNorms(spec.HF)...)
				norm.Optional, norm.Extra = true, true
			}
		}
	}
	if f.Tensors != nil {
		table = f.Tensors(c, table)
	}
	return table
}

// innerNorms are the names of norms inside of modules with those weights: those of
// transformers, and those of models whose own modules are linear layers with a norm.
func innerNorms(weights []string) []string {
	var names []string
	for _, end := range []string{model.HFInnerNorm, model.HFOwnNorm} {
		for _, name := range weights {
			names = append(names, strings.TrimSuffix(name, ".weight")+end)
		}
	}
	return names
}

// weights are the tensors outside the layers.
type weights struct {
	TokenEmbd  *model.Table `tensor:"token_embd.weight"`         // [V, D]
	OutputNorm []float32    `tensor:"output_norm.weight"`        // [D]
	Output     *model.Table `tensor:"output.weight"`             // [V, D], nil if tied
	RopeFreqs  []float32    `tensor:"rope_freqs.weight"`         // [d/2], may be nil
	RopeShort  []float32    `tensor:"rope_factors_short.weight"` // [d/2], nil without LongRoPE
	RopeLong   []float32    `tensor:"rope_factors_long.weight"`  // [d/2], of contexts longer than the original one
}

// Layer holds the tensors of one layer. Parts that the family does not have are nil.
type Layer struct {
	AttnNorm     []float32         `tensor:"attn_norm.weight"`           // [D]
	Q            *model.Projection `tensor:"attn_q.weight"`              // [H·d, D]
	K            *model.Projection `tensor:"attn_k.weight"`              // [G·d, D]
	V            *model.Projection `tensor:"attn_v.weight"`              // [G·d, D]
	QNorm        []float32         `tensor:"attn_q_norm.weight"`         // [d]
	KNorm        []float32         `tensor:"attn_k_norm.weight"`         // [d]
	AttnSubNorm  []float32         `tensor:"attn_sub_norm.weight"`       // [H·d]
	O            *model.Projection `tensor:"attn_output.weight"`         // [D, H·d]
	PostAttnNorm []float32         `tensor:"post_attention_norm.weight"` // [D]
	FFNNorm      []float32         `tensor:"ffn_norm.weight"`            // [D]
	Gate         *model.Projection `tensor:"ffn_gate.weight"`            // [F, D]
	Up           *model.Projection `tensor:"ffn_up.weight"`              // [F, D]
	FFNSubNorm   []float32         `tensor:"ffn_sub_norm.weight"`        // [F]
	Down         *model.Projection `tensor:"ffn_down.weight"`            // [D, F]
	PostFFNNorm  []float32         `tensor:"post_ffw_norm.weight"`       // [D]

	// Of a mixture of experts, in place of Gate, Up and Down.
	Router   *model.Linear       `tensor:"ffn_gate_inp.weight"`  // [E, D]
	GateExps []*model.Projection `tensor:"ffn_gate_exps.weight"` // [F, D] of each expert
	UpExps   []*model.Projection `tensor:"ffn_up_exps.weight"`   // [F, D] of each expert
	DownExps []*model.Projection `tensor:"ffn_down_exps.weight"` // [D, F] of each expert
	mixture  model.Mixture
}

// Graph is a decoder with its weights.
type Graph struct {
	*Family
	Config *model.Config
	weights
	Layers    []Layer
	extension Extension // nil if there is none
}

func (f *Family) build(c *model.Config, b *model.Binder) (model.Graph, error) {
	g := &Graph{Family: f, Config: c}
	if err := b.Bind(&g.weights, ""); err != nil {
		return nil, err
	}
	for i := range c.Layers {
		var l Layer
		if err := b.Bind(&l, model.LayerTensor(i, "")); err != nil {
			return nil, err
		}
		if f.LateNorm {
			l.FFNNorm, l.PostAttnNorm = l.PostAttnNorm, nil
		}
		if l.Router != nil {
			l.mixture = model.Mixture{Router: l.Router.Table, Gate: l.GateExps, Up: l.UpExps, Down: l.DownExps}
			if err := l.mixture.Check(); err != nil {
				return nil, fmt.Errorf("layer %d: %w", i, err)
			}
		}
		if l.Gate != nil {
			if err := b.Skips(l.Up, l.Down); err != nil {
				return nil, fmt.Errorf("layer %d: %w", i, err)
			}
		}
		g.Layers = append(g.Layers, l)
	}
	var err error
	if f.Extend != nil {
		g.extension, err = f.Extend(c, b)
	}
	return g, err
}

// Embedding implements model.Graph.
func (g *Graph) Embedding() *model.Table { return g.TokenEmbd }

// Head implements model.Graph.
func (g *Graph) Head() *model.Table {
	if g.Output != nil {
		return g.Output
	}
	return g.TokenEmbd
}

// StateSize implements model.Graph.
func (g *Graph) StateSize() int {
	if g.extension == nil {
		return 0
	}
	return g.extension.StateSize()
}

// RecordSize implements model.Graph.
func (g *Graph) RecordSize() int {
	if g.extension == nil {
		return 0
	}
	return g.extension.RecordSize()
}

// RopeFactors implements model.Graph.
func (g *Graph) RopeFactors(long bool) []float32 {
	switch {
	case g.RopeShort == nil:
		return g.RopeFreqs
	case long:
		return g.RopeLong
	}
	return g.RopeShort
}
