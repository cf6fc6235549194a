// Package bitnet implements the BitNet b1.58 family: the models of 1bitLLM
// (architecture "bitnet": SiLU) and Microsoft's 2B-4T ("bitnet-b1.58", in
// older files "bitnet-25": squared ReLU).
//
// Against llama, each layer has two more norms: one on the concatenated heads
// before the output projection and one on the gated values before the down
// projection. They keep the input of those projections in a range that eight
// bits hold well. The rotation pairs the halves of a head, and the output head
// is the embedding table unless the file brings its own.
//
// Sources: Ma et al., "The Era of 1-bit LLMs" (arXiv:2402.17764) and
// "BitNet b1.58 2B4T Technical Report" (arXiv:2504.12285).
package bitnet

import (
	"fmt"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
)

func init() {
	decoder.Register(decoder.Family{
		Names:     []string{"bitnet", "bitnet-b1.58", "bitnet-25"},
		HFNames:   []string{"BitNetForCausalLM", "BitnetForCausalLM"},
		Configure: configure,
		SubNorms:  true,
	})
}

func configure(_ *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNeox
	c.HiddenAct = model.ReLU2
	if c.Architecture == "bitnet" {
		c.HiddenAct = model.SiLU
		if isMicrosoft(c) {
			c.HiddenAct = model.ReLU2
			c.Notes = append(c.Notes, "the shape is that of BitNet-b1.58-2B-4T although the architecture says bitnet: using relu2")
		}
	} else if isOneBitLLM(c) {
		// Some converters give the 1bitLLM models the label of 2B-4T.
		c.HiddenAct = model.SiLU
		c.Notes = append(c.Notes, fmt.Sprintf("the shape is that of a 1bitLLM model although the architecture says %s: using silu", c.Architecture))
	}
	return nil
}

// isOneBitLLM recognises the 0.7B and 3B models of 1bitLLM by their shape.
func isOneBitLLM(c *model.Config) bool {
	return c.Vocab == 32002 && (c.Layers == 24 && c.Hidden == 1536 || c.Layers == 26 && c.Hidden == 3200)
}

// isMicrosoft recognises the 2B-4T model by its shape, which some converters give the
// label of the 1bitLLM models.
func isMicrosoft(c *model.Config) bool {
	return c.Vocab == 128256 && c.Layers == 30 && c.Hidden == 2560 && c.FFN == 6912
}
