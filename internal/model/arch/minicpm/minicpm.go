// Package minicpm implements the MiniCPM family, of which the BitCPM models are.
//
// Against llama, the vectors of tokens, what each block adds to the residual stream,
// and the logits have factors.
//
// Source: Hu et al., "MiniCPM" (arXiv:2404.06395).
package minicpm

import (
	"math"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
)

func init() {
	decoder.Register(decoder.Family{
		Names:      []string{"minicpm"},
		HFNames:    []string{"MiniCPMForCausalLM"},
		WeightOnly: true,
		Keys:       []string{"embedding_scale", "residual_scale", "logit_scale"},
		Configure:  configure,
	})
}

func configure(m *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNorm
	c.HiddenAct = model.SiLU
	k := model.ReadKeys(m, c)
	c.EmbeddingScale = k.Factor("embedding_scale", 12)
	c.ResidualScale = k.Factor("residual_scale", float32(1.4/math.Sqrt(float64(c.Layers))))
	// The key holds a divisor: the hidden width over that of the model whose
	// hyper-parameters were tuned, which is 256.
	c.LogitScale = 1 / k.Factor("logit_scale", float32(c.Hidden)/256)
	return k.Err()
}
