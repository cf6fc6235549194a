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
	"fmt"

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

// bitcpmVocabulary is the number of tokens of MiniCPM4, which BitCPM models have.
const bitcpmVocabulary = 73448

func configure(meta *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNorm
	c.HiddenAct = model.SiLU
	if _, told := meta.Get(c.Architecture + ".activations"); !told && c.Vocab == bitcpmVocabulary {
		// Only their weights were trained to be ternary, and nothing else in their files
		// tells them from models that were trained with rounded activations.
		c.Activations = model.Int8Groups
		c.Notes = append(c.Notes, fmt.Sprintf("%d tokens: taken for a BitCPM model, whose activations are rounded in groups of columns (%v)",
			c.Vocab, c.Activations))
	}
	return nil
}
