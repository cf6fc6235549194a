package profile

import (
	"trit/internal/kernel"
	"trit/internal/model"
)

// Stage holds the operations and bytes of one step of the forward pass, for one
// token and one occurrence (one layer).
type Stage struct {
	// Name is the name of the operation, as a model.Tracer is told it: the name of
	// its stage ("ffn_norm", "gated"), of the tensors that are multiplied
	// ("attn_q+attn_k+attn_v"), quantize, or head.
	Name string
	// Times is how often a token goes through it: the number of layers that have
	// it alike, or more where a layer has several.
	Times int
	// MACs counts multiply-accumulates of ternary weights with int8
	// activations.
	MACs int64
	// FLOPs counts float operations.
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
// (depth earlier tokens are in its KV cache, of elements of the type kv), with
// logits for the whole vocabulary. They are those of the model's own graph, with the
// formulas of model.Cost; an outline of a model will do.
//
// An engine that settles most of the vocabulary from a coarse copy of the head reads
// fewer bytes than this.
func Count(m *model.Model, kv kernel.KVType, depth int) *Counts {
	type key struct {
		name string
		cost model.Cost
	}
	var counts Counts
	index := map[key]int{}
	length := int64(depth) + 1
	for _, op := range m.Tally(kv).Ops {
		i, ok := index[key{op.Name, op.Cost}]
		if !ok {
			i = len(counts.Stages)
			index[key{op.Name, op.Cost}] = i
			c, length := op.Cost, length
			if c.Window != 0 {
				length = min(length, c.Window)
			}
			counts.Stages = append(counts.Stages, Stage{
				Name: op.Name, MACs: c.MACs, FLOPs: c.FLOPs + length*c.PositionFLOPs, WeightBytes: c.WeightBytes + c.RowBytes,
				CacheRead: length * c.PositionBytes, CacheWrite: c.StoreBytes,
			})
		}
		counts.Stages[i].Times++
	}
	return &counts
}
