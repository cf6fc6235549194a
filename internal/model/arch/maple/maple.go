// Package maple implements the Maple family, mixtures of experts.
//
// Against llama, the feed-forward network of every layer is a mixture of experts whose
// gated values are clamped, every head of queries and keys is normed before the
// rotation, which pairs the halves of the rotated part of a head, and most layers have a
// sliding window; those that attend to all positions do not rotate.
//
// Source: the modelling code of deepgrove's maple-preview.
package maple

import (
	"slices"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
)

func init() {
	decoder.Register(decoder.Family{
		Names:      []string{"maple"},
		HFNames:    []string{"MapleForCausalLM"},
		WeightOnly: true,
		Configure:  configure,
		HeadNorms:  decoder.BeforeRope,
		Experts:    true,
	})
}

// clamp is what gated values are clamped to where a file does not say.
const clamp = 7

func configure(m *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNeox
	c.HiddenAct = model.SiLU
	k := model.ReadKeys(m, c)
	c.Experts.Renormed = k.Bool("expert_weights_norm", true)
	if c.Experts.Clamp == nil {
		c.Experts.Clamp = slices.Repeat([]float32{clamp}, c.Layers)
	}
	if c.Experts.Count == 0 {
		return k.Fail("expert_count is missing or 0: models of this family have experts")
	}
	c.Rotations = make([]model.Rotation, c.Layers)
	for i := range c.Rotations {
		if c.WindowOf(i) == 0 {
			c.Rotations[i] = model.RotateNot
		}
	}
	return k.Err()
}
