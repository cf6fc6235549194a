package model

import (
	"reflect"
	"strconv"
)

// DecoderTensors is the tensor table that all families of this package share:
// a decoder with gated feed-forward network and grouped-query attention.
func DecoderTensors(c *Config) []TensorSpec {
	var (
		D, F, V = int64(c.Hidden), int64(c.FFN), int64(c.Vocab)
		q, kv   = int64(c.Heads * c.HeadDim), int64(c.KVHeads * c.HeadDim)
	)
	vector := func(name string, n int64, hf ...string) TensorSpec {
		return TensorSpec{Name: name, HF: hf, Role: RoleVector, Dims: []int64{n}}
	}
	projection := func(name string, in, out int64, hf ...string) TensorSpec {
		return TensorSpec{Name: name, HF: hf, Role: RoleProjection, Dims: []int64{in, out}}
	}
	return []TensorSpec{
		{Name: "token_embd.weight", HF: []string{"embed_tokens.weight"}, Role: RoleEmbedding, Dims: []int64{D, V}},
		vector("output_norm.weight", D, "norm.weight"),
		{Name: "output.weight", HF: []string{"lm_head.weight"}, Role: RoleHead, Dims: []int64{D, V}, Optional: true},
		{Name: "rope_freqs.weight", Role: RoleVector, Dims: []int64{int64(c.RopeDim / 2)}, Optional: true},
		vector("blk.%d.attn_norm.weight", D, "layers.%d.input_layernorm.weight"),
		projection("blk.%d.attn_q.weight", D, q, "layers.%d.self_attn.q_proj.weight", "layers.%d.attention.wq.weight"),
		projection("blk.%d.attn_k.weight", D, kv, "layers.%d.self_attn.k_proj.weight", "layers.%d.attention.wk.weight"),
		projection("blk.%d.attn_v.weight", D, kv, "layers.%d.self_attn.v_proj.weight", "layers.%d.attention.wv.weight"),
		projection("blk.%d.attn_output.weight", q, D, "layers.%d.self_attn.o_proj.weight", "layers.%d.attention.wo.weight"),
		vector("blk.%d.ffn_norm.weight", D, "layers.%d.post_attention_layernorm.weight"),
		projection("blk.%d.ffn_gate.weight", D, F, "layers.%d.mlp.gate_proj.weight", "layers.%d.feed_forward.w1.weight"),
		projection("blk.%d.ffn_up.weight", D, F, "layers.%d.mlp.up_proj.weight", "layers.%d.feed_forward.w3.weight"),
		projection("blk.%d.ffn_down.weight", F, D, "layers.%d.mlp.down_proj.weight", "layers.%d.feed_forward.w2.weight"),
	}
}

// VisitProjections calls visit for every *Projection field of the struct that
// v points to, with the full tensor name under the given layer.
func VisitProjections(v any, layer int, visit func(name string, p *Projection)) {
	s := reflect.ValueOf(v).Elem()
	for i := range s.NumField() {
		name, ok := s.Type().Field(i).Tag.Lookup("tensor")
		p, isProjection := s.Field(i).Interface().(*Projection)
		if ok && isProjection && p != nil {
			visit(LayerTensor(layer, name), p)
		}
	}
}

// LayerTensor returns the name of a layer's tensor: "blk.3.attn_q.weight".
func LayerTensor(layer int, name string) string {
	return "blk." + strconv.Itoa(layer) + "." + name
}
