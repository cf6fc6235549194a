// Package llama implements the llama family as far as ternary models use it:
// Llama3-8B-1.58, the Falcon3 and Falcon-E models, and conversions of other
// checkpoints of that graph.
//
// It is the plain decoder. The rotation pairs neighbouring elements of a head,
// because converters reorder the rows of the query and key projections so;
// rope_freqs, if present, divides the frequencies as Llama 3 scales them. The
// activation function is SiLU, and the output head may be tied.
//
// Source: Touvron et al., "LLaMA" (arXiv:2302.13971).
package llama

import (
	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
)

func init() {
	decoder.Register(decoder.Family{
		Names:     []string{"llama"},
		HFNames:   []string{"LlamaForCausalLM", "FalconEForCausalLM", "MistralForCausalLM"},
		Configure: configure,
		// Checkpoints with use_rms_norm have one in each projection.
		InputNorms: true,
	})
}

func configure(_ *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNorm
	c.HiddenAct = model.SiLU
	return nil
}
