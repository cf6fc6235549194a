package profile

import (
	"fmt"
	"strings"

	"trit/gguf"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/ternary"
)

// Storage says how the numbers of a model are kept while it runs.
type Storage struct {
	// Layout is the layout of a projection of the given shape; nil means T2.
	Layout func(rows, cols int) ternary.Layout
	// Embedding and Head are the types of the table that tokens are looked up
	// in and of the one that gives the logits (the same one if tied).
	Embedding, Head gguf.Type
	// KV is the element type of the KV cache.
	KV kernel.KVType
}

// StorageOf returns how a loaded model is stored.
func StorageOf(m *model.Model, kv kernel.KVType) Storage {
	layouts := map[[2]int]ternary.Layout{}
	m.Projections(func(_ string, p *model.Projection) {
		layouts[[2]int{p.Matrix.Rows, p.Matrix.Cols}] = p.Matrix.Layout
	})
	return Storage{
		Layout:    func(rows, cols int) ternary.Layout { return layouts[[2]int{rows, cols}] },
		Embedding: m.Graph.Embedding().Type, Head: m.Graph.Head().Type, KV: kv,
	}
}

// Stage holds the operations and bytes of one step of the forward pass, for one
// token and one occurrence (one layer).
type Stage struct {
	// Name is the name of the tensor that the stage uses ("attn_q",
	// "ffn_norm"), or quantize, rope, attention, gated, residual, embedding
	// or head.
	Name string
	// Times is how often a token goes through it: once, or once per layer.
	Times int
	// MACs counts multiply-accumulates of ternary weights with int8
	// activations.
	MACs int64
	// FLOPs counts float operations; multiply, add, compare, round, exp,
	// square root and divide count as one each.
	FLOPs int64
	// WeightBytes are read once per step, for all tokens of a batch together
	// (but embedding rows once per token).
	WeightBytes int64
	// CacheRead and CacheWrite are bytes of the token's own KV cache.
	CacheRead, CacheWrite int64
}

// Counts are the stages that a token goes through, in order.
type Counts struct {
	Stages []Stage
}

// Total returns the sum over all occurrences of all stages.
func (c *Counts) Total() Stage {
	t := Stage{Name: "total", Times: 1}
	for _, s := range c.Stages {
		n := int64(s.Times)
		t.MACs += n * s.MACs
		t.FLOPs += n * s.FLOPs
		t.WeightBytes += n * s.WeightBytes
		t.CacheRead += n * s.CacheRead
		t.CacheWrite += n * s.CacheWrite
	}
	return t
}

// Bytes returns what a token reads and writes in a batch of that many sequences,
// which share the reading of the weights.
func (c *Counts) Bytes(batch int) int64 {
	t := c.Total()
	return t.WeightBytes/int64(max(batch, 1)) + t.CacheRead + t.CacheWrite
}

// Count returns the operations and bytes of one token at the given position
// (depth earlier tokens are in its KV cache), with logits for the whole
// vocabulary. With D, F, V, H, G, d as in model.Config and L = depth+1:
//
//	projection of K inputs to N outputs   N·K MACs, 2·N FLOPs (descaling)
//	                                      16·⌈N/16⌉ rows of 64·⌈K/b⌉/16 bytes,
//	                                      b = 16 (T2) or 20 (T5), and a scale
//	  with float activations              2·N·K + N FLOPs instead
//	quantize K values                     4·K + 1 FLOPs (abs, max, multiply, round)
//	norm of n values                      4·n + 4 FLOPs, 4·n bytes
//	rope                                  3·r·(H+G) FLOPs, r of d elements rotated
//	attention                             4·H·L·d + 5·H·L + H·d FLOPs
//	                                      2·G·L·d elements read, 2·G·d written
//	                                      (and a scale per vector if the type has)
//	gated                                 5·F (SiLU) or 3·F (ReLU²) FLOPs
//	residual                              D FLOPs, twice per layer
//	head                                  2·V·D FLOPs and V rows of the table
//
// The tensor table of the model's architecture decides which projections and
// norms there are. Biases are not counted: no known ternary model has them. An
// engine that settles most of the vocabulary from a coarse copy of the head reads
// fewer bytes than this. The error is the architecture's being unknown, or a
// table type without a size.
func Count(c *model.Config, s Storage, depth int) (*Counts, error) {
	arch, err := model.LookupArch(c.Architecture)
	if err != nil {
		return nil, err
	}
	k := counter{c: c, s: s, specs: map[string]model.TensorSpec{}}
	for _, spec := range arch.Tensors(c) {
		name := strings.TrimSuffix(strings.TrimPrefix(spec.Name, "blk.%d."), ".weight")
		k.specs[name] = spec
	}
	heads, kvHeads, length := int64(c.Heads), int64(c.KVHeads), int64(depth)+1
	d, D := int64(c.HeadDim), int64(c.Hidden)

	k.table("embedding", s.Embedding, 1, 0)
	k.times = c.Layers
	k.norm("attn_norm", 1)
	k.project("attn_q", "attn_k", "attn_v")
	k.norm("attn_q_norm", heads)
	k.norm("attn_k_norm", kvHeads)
	k.add(Stage{Name: "rope", FLOPs: 3 * int64(c.RopeDim) * (heads + kvHeads)})
	vector := d * int64(s.KV.ElemBytes()) // bytes of one key or value
	if s.KV.Scaled() {
		vector += 4
	}
	k.add(Stage{
		Name: "attention", FLOPs: 4*heads*length*d + 5*heads*length + heads*d,
		CacheRead: 2 * kvHeads * length * vector, CacheWrite: 2 * kvHeads * vector,
	})
	k.norm("attn_sub_norm", 1)
	k.project("attn_output")
	k.norm("post_attention_norm", 1)
	k.add(Stage{Name: "residual", FLOPs: D})
	k.norm("ffn_norm", 1)
	k.project("ffn_gate", "ffn_up")
	gate := int64(5)
	if c.HiddenAct == model.ReLU2 {
		gate = 3
	}
	k.add(Stage{Name: "gated", FLOPs: gate * int64(c.FFN)})
	k.norm("ffn_sub_norm", 1)
	k.project("ffn_down")
	k.norm("post_ffw_norm", 1)
	k.add(Stage{Name: "residual", FLOPs: D})
	k.times = 1
	k.norm("output_norm", 1)
	k.table("head", s.Head, int64(c.Vocab), 2*int64(c.Vocab)*D)
	return &k.counts, k.err
}

// counter collects stages.
type counter struct {
	c      *model.Config
	s      Storage
	specs  map[string]model.TensorSpec
	times  int
	counts Counts
	err    error
}

func (k *counter) add(s Stage) {
	s.Times = max(1, k.times)
	k.counts.Stages = append(k.counts.Stages, s)
}

// norm counts a norm that is applied to so many vectors, if the family has it.
func (k *counter) norm(name string, vectors int64) {
	if spec, ok := k.specs[name]; ok {
		n := spec.Dims[0]
		k.add(Stage{Name: name, FLOPs: vectors * (4*n + 4), WeightBytes: 4 * n})
	}
}

// project counts projections that share an input, or have a norm and rounding of
// their own each.
func (k *counter) project(names ...string) {
	shared := false
	for _, name := range names {
		spec, ok := k.specs[name]
		if !ok {
			k.err = fmt.Errorf("%w: %s has no tensor %s", model.ErrArchitecture, k.c.Architecture, name)
			return
		}
		cols, rows := spec.Dims[0], spec.Dims[1]
		_, own := k.specs[name+"_norm_in"]
		k.norm(name+"_norm_in", 1)
		stage := Stage{Name: name, MACs: rows * cols, FLOPs: 2 * rows, WeightBytes: k.matrixBytes(rows, cols)}
		if k.c.Activations == model.Float {
			stage.MACs, stage.FLOPs = 0, 2*rows*cols+rows
		} else if own || !shared {
			k.add(Stage{Name: "quantize", FLOPs: 4*cols + 1})
		}
		shared = !own
		k.add(stage)
	}
}

// matrixBytes returns the memory of a packed matrix with one scale.
func (k *counter) matrixBytes(rows, cols int64) int64 {
	layout := ternary.T2
	if k.s.Layout != nil {
		layout = k.s.Layout(int(rows), int(cols))
	}
	panels := (rows + ternary.PanelRows - 1) / ternary.PanelRows
	block := int64(layout.UnitCols())
	return panels*((cols+block-1)/block)*ternary.BlockBytes + 4
}

// table counts the reading of rows of an embedding table.
func (k *counter) table(name string, t gguf.Type, rows, flops int64) {
	size, err := t.Size([]int64{int64(k.c.Hidden), rows})
	if err != nil && k.err == nil {
		k.err = fmt.Errorf("profile: %s: %w", name, err)
	}
	k.add(Stage{Name: name, FLOPs: flops, WeightBytes: size})
}
