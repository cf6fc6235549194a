// Package hunyuan implements the dense models of the Hunyuan family, as the
// translation models with STQ1_0 weights are.
//
// Against llama, the rotation pairs the halves of a head, and every head of queries
// and keys is normed after the rotation.
//
// Source: the modelling code of HunYuanDenseV1 in transformers.
package hunyuan

import (
	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
)

func init() {
	decoder.Register(decoder.Family{
		Names:      []string{"hunyuan-dense"},
		HFNames:    []string{"HunYuanDenseV1ForCausalLM"},
		WeightOnly: true,
		Configure:  configure,
		HeadNorms:  decoder.AfterRope,
	})
}

func configure(_ *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNeox
	c.HiddenAct = model.SiLU
	return nil
}
