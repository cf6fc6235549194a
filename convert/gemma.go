package convert

import (
	"fmt"
	"slices"
)

// gemma3 is the architecture whose layers have windows and rotations of two kinds.
const gemma3 = "gemma3"

// gemmaEvery and gemmaLocalTheta are what config.json may leave out.
const (
	gemmaEvery      = 6
	gemmaLocalTheta = 10000
	gemmaTheta      = 1e6
)

// slides reports whether some layers have a sliding window: always in some architectures,
// and in qwen3 if layer_types says so.
func (c *hfConfig) slides(arch string) bool {
	switch arch {
	case gemma3, maple:
		return true
	case "qwen3":
		return c.SlidingWindow != nil && slices.Contains(c.LayerTypes, "sliding_attention")
	}
	return false
}

// windows sets the keys of layers with a sliding window, and with a rotation of their own,
// which gemma3 has; in other architectures layers are not rotated differently.
func (p *hfPlan) windows(w *metaWriter, arch string, headDim int64) error {
	c, sliding := p.hf, p.hf.rope().Sliding
	if arch != gemma3 {
		if sliding != nil && slices.Contains(c.LayerTypes, "sliding_attention") {
			return fmt.Errorf("%w: config.json has rotary settings for layers of sliding_attention, which architecture %s does not have", ErrUnsupported, arch)
		}
		if !c.slides(arch) || c.SlidingWindow == nil {
			return nil
		}
		if c.LayerTypes == nil {
			return fmt.Errorf("%w: config.json has sliding_window and no layer_types, which say what layers have one", ErrConfig)
		}
		return p.sliding(w, arch)
	}
	if s := c.QueryScalar; s != nil && *s != float64(headDim) {
		return fmt.Errorf("%w: query_pre_attn_scalar is %v in config.json, and heads have %d elements; they must be equal", ErrUnsupported, *s, headDim)
	}
	if c.SlidingWindow == nil || *c.SlidingWindow < 1 {
		return nil
	}
	local := float64(gemmaLocalTheta)
	for _, theta := range []*float64{c.LocalTheta, sliding.theta()} {
		if theta != nil {
			local = *theta
		}
	}
	w.set(arch+".rope.freq_base_swa", float32(local))
	every := int64(gemmaEvery)
	if c.SlidingEvery != nil {
		every = *c.SlidingEvery
	}
	if c.LayerTypes == nil {
		if every < 1 || every > maxSize {
			return fmt.Errorf("%w: sliding_window_pattern is %d in config.json, want at least 1", ErrConfig, every)
		}
		w.set(arch+".attention.sliding_window_pattern", uint32(every))
	}
	return p.sliding(w, arch)
}

// sliding sets the width of windows and, where config.json has a list, which layers have
// one.
func (p *hfPlan) sliding(w *metaWriter, arch string) error {
	c := p.hf
	if *c.SlidingWindow < 1 || *c.SlidingWindow > maxSize {
		return fmt.Errorf("%w: sliding_window is %d in config.json, want 1 to %d", ErrConfig, *c.SlidingWindow, maxSize)
	}
	w.set(arch+".attention.sliding_window", uint32(*c.SlidingWindow))
	if c.LayerTypes == nil {
		return nil
	}
	if int64(len(c.LayerTypes)) != *c.Layers {
		return fmt.Errorf("%w: layer_types in config.json has %d entries for %d layers", ErrConfig, len(c.LayerTypes), *c.Layers)
	}
	pattern := make([]bool, len(c.LayerTypes))
	for i, kind := range c.LayerTypes {
		switch kind {
		case "sliding_attention":
			pattern[i] = true
		case "full_attention":
		default:
			return fmt.Errorf("%w: layer_types in config.json has %q for layer %d, want sliding_attention or full_attention", ErrUnsupported, kind, i)
		}
	}
	w.set(arch+".attention.sliding_window_pattern", pattern)
	return nil
}

// theta is the base of the rotation, nil where there are no settings.
func (r *hfRope) theta() *float64 {
	if r == nil {
		return nil
	}
	return r.Theta
}
