package trit

import "trit/internal/model"

// SkipZeros says whether weights that relu² makes nothing of are left out when a single
// text is generated. Two of three matrices of each feed-forward network are then kept
// twice. The numbers stay the same.
type SkipZeros = model.SkipZeros

// The choices.
const (
	SkipAuto = model.SkipAuto // where it pays and [MaxMemory] leaves room; the default
	SkipOn   = model.SkipOn   // wherever the graph allows it
	SkipOff  = model.SkipOff
)

// Skip sets whether weights that relu² makes nothing of are left out.
func Skip(s SkipZeros) Option {
	return func(o *openOptions) { o.load.SkipZeros = known(o, "skip_zeros", s, model.ParseSkipZeros) }
}
