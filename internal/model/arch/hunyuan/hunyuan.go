// Package hunyuan implements the dense models of the Hunyuan family, as the
// translation models with STQ1_0 weights are.
//
// Against llama, the rotation pairs the halves of a head, and every head of queries
// and keys is normed after the rotation.
//
// Source: the modelling code of HunYuanDenseV1 in transformers.
package hunyuan

import (
	"slices"
	"strings"

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
		Tensors:    tensors,
	})
}

// tensors has the norms of heads under the names that this family's checkpoints have.
func tensors(_ *model.Config, table []model.TensorSpec) []model.TensorSpec {
	for _, s := range table {
		if i := slices.IndexFunc(s.HF, func(name string) bool { return strings.HasSuffix(name, "y_layernorm.weight") }); i > 0 {
			s.HF[0], s.HF[i] = s.HF[i], s.HF[0]
		}
	}
	return table
}

func configure(_ *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNeox
	c.HiddenAct = model.SiLU
	return nil
}
