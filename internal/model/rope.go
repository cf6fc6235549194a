package model

import (
	"fmt"
	"slices"

	"trit/internal/kernel"
)

// RopeStyle says which elements of a head vector are rotated together.
type RopeStyle uint8

// RopeNeox rotates element i with i+d/2, RopeNorm element 2i with 2i+1.
const (
	RopeNeox RopeStyle = iota + 1
	RopeNorm
)

// String returns "neox" or "norm".
func (s RopeStyle) String() string {
	switch s {
	case RopeNeox:
		return "neox"
	case RopeNorm:
		return "norm"
	}
	return fmt.Sprintf("rope(%d)", uint8(s))
}

// Rotation says how a layer rotates queries and keys.
type Rotation uint8

// RotateUsual is with the frequencies of RopeBase, scaled as the model says, RotateLocal
// with those of LocalRopeBase; layers with RotateNot do not know positions.
const (
	RotateUsual Rotation = iota
	RotateLocal
	RotateNot
)

// Rotation returns how a layer rotates.
func (c *Config) Rotation(layer int) Rotation {
	if layer < 0 || layer >= len(c.Rotations) {
		return RotateUsual
	}
	return c.Rotations[layer]
}

// UsedRotations returns the kinds of rotation that some layer has, without RotateNot.
func (c *Config) UsedRotations() []Rotation {
	if c.Rotations == nil {
		return []Rotation{RotateUsual}
	}
	var used []Rotation
	for kind := range RotateNot {
		if slices.Contains(c.Rotations, kind) {
			used = append(used, kind)
		}
	}
	return used
}

// WindowOf returns how many positions a layer attends to, the row's own among them; 0
// means all.
func (c *Config) WindowOf(layer int) int {
	if layer < 0 || layer >= len(c.Sliding) || !c.Sliding[layer] {
		return 0
	}
	return c.Window
}

// Slide has the layers that sliding names attend to a window only.
func (c *Config) Slide(window int, sliding func(layer int) bool) {
	c.Window, c.Sliding = window, make([]bool, c.Layers)
	for i := range c.Sliding {
		c.Sliding[i] = sliding(i)
	}
}

// window reads which layers have a sliding window. A pattern is a list with an entry for
// each layer, or a number n: every n-th layer attends to all positions. Without one all
// layers slide.
func (r *keyReader) window(c *Config) {
	key, pattern := r.prefix+"attention.sliding_window", r.prefix+"attention.sliding_window_pattern"
	if !has(r.m, key) {
		return
	}
	window, err := r.m.Uint64(key)
	if err != nil {
		r.fail("%w", err)
		return
	}
	if window == 0 || window > maxDim {
		return // no context is as long
	}
	if !has(r.m, pattern) {
		c.Slide(int(window), func(int) bool { return true })
		return
	}
	if list, err := r.m.Bools(pattern); err == nil {
		if len(list) != c.Layers {
			r.fail("%s has %d entries for %d layers", pattern, len(list), c.Layers)
			return
		}
		c.Slide(int(window), func(layer int) bool { return list[layer] })
		return
	}
	every := r.dim("attention.sliding_window_pattern", -1)
	c.Slide(int(window), func(layer int) bool { return layer%every < every-1 })
}

// The kinds of rope.scaling.type that change more than the factor on all frequencies:
// YaRN (Peng et al., arXiv:2309.00071), LongRoPE (Ding et al., arXiv:2402.13753) and
// the scaling that depends on the context, which transformers calls dynamic.
const (
	yarn        = "yarn"
	longRope    = "longrope"
	dynamicRope = "dynamic"
)

// ropeScaling reads how the rotation frequencies are changed.
func (r *keyReader) ropeScaling(c *Config) {
	c.RopeScale = 1
	kind := r.text("linear", r.prefix+"rope.scaling.type")
	switch kind {
	case "none", "":
		return
	case longRope:
		c.LongRope, c.RopeOriginal = true, r.dim("rope.scaling.original_context_length", c.Context)
		c.RopeAttention = float32(r.positive("rope.scaling.attn_factor", 1))
		return
	case "linear", yarn, dynamicRope:
	default:
		r.fail("%srope.scaling.type is %q; want none, linear, yarn, longrope or dynamic", r.prefix, kind)
		return
	}
	factor := r.float("rope.scaling.factor", r.float("rope.scale_linear", 0))
	if factor == 0 {
		if kind != "linear" {
			r.fail("%srope.scaling.type is %s, but %srope.scaling.factor is missing", r.prefix, kind, r.prefix)
		}
		return
	}
	if !(factor > 0 && factor < 1e6) {
		r.fail("%srope.scaling.factor is %v, want a positive number", r.prefix, factor)
		return
	}
	switch kind {
	case "linear":
		c.RopeScale = 1 / factor
	case dynamicRope:
		if factor < 1 || c.RopeDim < 4 {
			r.fail("%srope.scaling.type is dynamic; want a factor of at least 1 and at least 4 rotated elements, found %v and %d",
				r.prefix, factor, c.RopeDim)
		}
		c.RopeDynamic, c.RopeOriginal = factor, r.dim("rope.scaling.original_context_length", c.Context)
	case yarn:
		c.Yarn = &kernel.Yarn{
			Factor:        factor,
			Context:       float64(r.dim("rope.scaling.original_context_length", c.Context)),
			BetaFast:      r.positive("rope.scaling.yarn_beta_fast", 32),
			BetaSlow:      r.positive("rope.scaling.yarn_beta_slow", 1),
			Extrapolation: r.positive("rope.scaling.yarn_ext_factor", 1),
			Attention:     r.positive("rope.scaling.attn_factor", 1) * r.positive("rope.scaling.yarn_attn_factor", 1),
		}
	}
}

// RopeFrequencies returns the frequencies that a rotation turns pairs of elements by, in
// radians per position, and the factor on the results, for sequences of up to so many
// positions: [RopeDim/2]. One context has one set of them, whatever the length of a
// sequence, so that keys stay as they are when it grows.
func (m *Model) RopeFrequencies(rotation Rotation, context int) (inv []float64, scale float32) {
	c := m.Config
	inv = make([]float64, c.RopeDim/2)
	if rotation == RotateLocal {
		kernel.RopeInvFreq(inv, c.RopeDim, c.LocalRopeBase, 1, nil)
		return inv, 1
	}
	long, base := context > c.RopeOriginal, c.RopeBase
	if c.RopeDynamic != 0 && long {
		base = kernel.DynamicBase(base, c.RopeDim, c.RopeDynamic, c.RopeOriginal, context)
	}
	kernel.RopeInvFreq(inv, c.RopeDim, base, c.RopeScale, m.Graph.RopeFactors(long))
	switch {
	case c.Yarn != nil:
		return inv, kernel.YarnInvFreq(inv, c.RopeDim, base, *c.Yarn)
	case c.RopeAttention != 0:
		return inv, c.RopeAttention
	}
	return inv, 1
}
