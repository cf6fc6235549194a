package model

import (
	"fmt"
	"slices"
)

// Mixture is a feed-forward network that is made of many small ones, the experts, of
// which each row uses a few:
//
//	Σ w_e · Down_e·(act(Gate_e·x)·(Up_e·x))
//
// over the experts that have the largest probabilities, softmax(Router·x), w_e being
// these. Sums go through the experts by falling probability, so that a row's result
// does not depend on others.
type Mixture struct {
	Router         *Table        // [E, D]
	Gate, Up, Down []*Projection // of each expert: [F, D], [F, D] and [D, F]
}

// Experts says what the experts of a model are like; with none of them its feed-forward
// networks are single ones.
type Experts struct {
	Count int // in each layer, E
	Used  int // by each row, K
	FFN   int // width of one, F
	// Renormed: the weights of the used experts are divided by their sum. Scale, if not
	// 0, is a factor on them.
	Renormed bool
	Scale    float32
	// Clamp bounds, by layer, gates from above, and the values beside them from both
	// sides; nil, or 0 for a layer, means no bounds.
	Clamp []float32
}

// ClampOf returns the bound of a layer, 0 for none.
func (e *Experts) ClampOf(layer int) float32 {
	if layer < 0 || layer >= len(e.Clamp) {
		return 0
	}
	return e.Clamp[layer]
}

// Experts reads what the experts of a model are like, if it has any.
func (k *Keys) Experts(c *Config) {
	r, e := &k.r, &c.Experts
	if !has(r.m, r.prefix+"expert_count") {
		return
	}
	count, err := r.m.Uint64(r.prefix + "expert_count")
	if err != nil {
		r.fail("%w", err)
	}
	if count == 0 {
		return
	}
	e.Count, e.Used = r.dim("expert_count", -1), r.dim("expert_used_count", -1)
	e.FFN, e.Scale = r.dim(expertFFN, c.FFN), float32(r.float("expert_weights_scale", 0))
	c.FFN = e.FFN
	if key := r.prefix + clampKey; has(r.m, key) {
		if e.Clamp, err = r.m.Float32s(key); err != nil {
			r.fail("%w", err)
		} else if len(e.Clamp) != c.Layers {
			r.fail("%s has %d numbers for %d layers", key, len(e.Clamp), c.Layers)
		}
	}
	switch {
	case r.err != nil:
	case e.Count > maxExperts || e.Used > min(e.Count, maxUsed):
		r.fail("%sexpert_used_count is %d of %sexpert_count %d; want at most %d of at most %d",
			r.prefix, e.Used, r.prefix, e.Count, maxUsed, maxExperts)
	case !(e.Scale >= 0 && e.Scale < 1e6):
		r.fail("%sexpert_weights_scale is %v, want a number from 0 on", r.prefix, e.Scale)
	case slices.ContainsFunc(e.Clamp, func(x float32) bool { return !(x >= 0) }):
		r.fail("%s%s is %v, want numbers from 0 on", r.prefix, clampKey, e.Clamp)
	}
}

// The keys of the bounds of gated values, and of the width of an expert.
const (
	clampKey  = "swiglu_clamp_exp"
	expertFFN = "expert_feed_forward_length"
)

// Limits on experts, far beyond every known model.
const (
	maxExperts = 1 << 14
	maxUsed    = 1 << 8
)

// Check reports what a mixture has that it cannot be computed with: all experts share
// their rounded input.
func (m *Mixture) Check() error {
	if m.Router == nil {
		return fmt.Errorf("%w ffn_gate_inp: a router with ternary weights is not supported", ErrTensor)
	}
	for _, stack := range [][]*Projection{m.Gate, m.Up, m.Down} {
		for _, p := range stack {
			if p.Transform != nil || p.NormIn != nil || p.Bias != nil || p.Matrix.GroupCols != m.Gate[0].Matrix.GroupCols {
				return fmt.Errorf("%w %s: experts with rotated or normed inputs, biases or groups of columns of different widths "+
					"are not supported; use the program that the file was made for", ErrTensor, p.Name)
			}
		}
	}
	return nil
}
