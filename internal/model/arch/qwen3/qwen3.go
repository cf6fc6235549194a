// Package qwen3 implements the dense models of the Qwen3 family, and the embedding
// models of that graph whose projections have norms of their own.
//
// Against llama, every head of queries and keys is normed before the rotation,
// which pairs the halves of a head, and heads may be wider or narrower than their
// share of the residual stream.
//
// Source: Yang et al., "Qwen3 Technical Report" (arXiv:2505.09388).
package qwen3

import (
	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
)

func init() {
	decoder.Register(decoder.Family{
		Names:      []string{"qwen3"},
		HFNames:    []string{"Qwen3ForCausalLM", "Qwen3Model"},
		WeightOnly: true,
		Configure:  configure,
		HeadNorms:  decoder.BeforeRope,
		InputNorms: true,
	})
}

func configure(_ *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNeox
	c.HiddenAct = model.SiLU
	return nil
}
