// Package gemma3 implements the text models of the Gemma 3 family, and the embedding
// models of that graph whose projections have norms of their own.
//
// Against qwen3, the vectors of tokens are multiplied with the square root of their
// width, what a block adds to the residual stream is normed first, and the gate goes
// through GELU. In files that name a sliding window every sixth layer attends to all
// positions, and the others, to a window, with a rotation of their own. The weights of
// norms are used as they are stored: files have one added to those that the checkpoint
// counts from zero.
//
// Source: Gemma Team, "Gemma 3 Technical Report" (arXiv:2503.19786).
package gemma3

import (
	"math"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
)

func init() {
	decoder.Register(decoder.Family{
		Names:      []string{"gemma3"},
		HFNames:    []string{"Gemma3ForCausalLM", "Gemma3TextModel"},
		Keys:       []string{"rope.freq_base_swa"},
		Configure:  configure,
		HeadNorms:  decoder.BeforeRope,
		InputNorms: true,
		PostNorms:  true,
		Tensors:    tensors,
	})
}

// tensors has the norms of checkpoints, which are around 0, become those of files. The
// norms of projections are not around 0.
func tensors(_ *model.Config, table []model.TensorSpec) []model.TensorSpec {
	offset := &model.HFForm{Value: func(x float32) float32 { return 1 + x }, Inverse: func(y float32) float32 { return y - 1 }}
	for i := range table {
		if s := &table[i]; s.Role == model.RoleVector && len(s.HF) > 0 && !model.IsNormIn(s.Name) {
			s.HFForm = offset
		}
	}
	return table
}

// Where a file does not say which layers slide, all but every sixth do; and those that
// do are rotated with this base.
const (
	globalEvery   = 6
	localRopeBase = 10000
)

func configure(m *gguf.Metadata, c *model.Config) error {
	c.RopeStyle = model.RopeNeox
	c.HiddenAct = model.GELUTanh
	c.EmbeddingScale = float32(math.Sqrt(float64(c.Hidden)))
	if c.Window == 0 {
		return nil
	}
	if !m.Has(c.Architecture + ".attention.sliding_window_pattern") {
		c.Slide(c.Window, func(layer int) bool { return layer%globalEvery < globalEvery-1 })
	}
	k := model.ReadKeys(m, c)
	c.LocalRopeBase = float64(k.Factor("rope.freq_base_swa", localRopeBase))
	c.Rotations = make([]model.Rotation, c.Layers)
	for i, sliding := range c.Sliding {
		if sliding {
			c.Rotations[i] = model.RotateLocal
		}
	}
	return k.Err()
}
