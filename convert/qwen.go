package convert

import (
	"fmt"
	"math"
	"slices"
)

// yarn sets the keys of YaRN's scaling. What keys cannot say is refused.
func (p *hfPlan) yarn(w *metaWriter, prefix string, r *hfRope) error {
	if r.Factor == nil || !(*r.Factor >= 1) {
		return fmt.Errorf("%w: rope_scaling of type yarn in config.json needs a factor of at least 1", ErrConfig)
	}
	original := *p.hf.Context
	if r.Original != nil {
		original = *r.Original
	} else {
		p.report.decide("original context", fmt.Sprint(original), "rope_scaling has no original_max_position_embeddings; it is max_position_embeddings")
	}
	if original < 1 || original > maxSize {
		return fmt.Errorf("%w: original_max_position_embeddings is %d in config.json, want 1 to %d", ErrConfig, original, maxSize)
	}
	if r.MScale != nil || r.MScaleAll != nil {
		return fmt.Errorf("%w: rope_scaling has mscale or mscale_all_dim in config.json, which no architecture here has", ErrUnsupported)
	}
	w.set(prefix+"type", "yarn")
	w.set(prefix+"factor", float32(*r.Factor))
	w.set(prefix+"original_context_length", uint32(original))
	for _, beta := range []struct {
		key string
		v   *float64
		def float64
	}{{"yarn_beta_fast", r.BetaFast, 32}, {"yarn_beta_slow", r.BetaSlow, 1}} {
		if beta.v != nil && *beta.v != beta.def {
			w.set(prefix+beta.key, float32(*beta.v))
		}
	}
	if r.Attention != nil { // there all of what multiplies sines and cosines, here what comes beside 1 + 0.1·ln factor
		if factor := *r.Attention / (1 + 0.1*math.Log(*r.Factor)); math.Abs(factor-1) > 1e-6 {
			w.set(prefix+"attn_factor", float32(factor))
		}
	}
	return nil
}

// recurrence sets the keys of the layers that have a recurrence in place of attention.
func (p *hfPlan) recurrence(w *metaWriter, arch string) error {
	c := p.hf
	if c.LinearValueHeads == nil {
		if slices.ContainsFunc(c.LayerTypes, func(s string) bool { return s == "linear_attention" }) {
			return fmt.Errorf("%w: config.json has layers of linear_attention and no linear_num_value_heads", ErrConfig)
		}
		return nil
	}
	for _, k := range []struct {
		name string
		v    *int64
	}{
		{"linear_num_value_heads", c.LinearValueHeads}, {"linear_num_key_heads", c.LinearKeyHeads},
		{"linear_key_head_dim", c.KeyDim}, {"linear_value_head_dim", c.ValueDim}, {"linear_conv_kernel_dim", c.ConvWidth},
	} {
		switch {
		case k.v == nil:
			return fmt.Errorf("%w: config.json has no %s", ErrConfig, k.name)
		case *k.v < 1 || *k.v > maxHeads:
			return fmt.Errorf("%w: %s is %d in config.json, want 1 to %d", ErrConfig, k.name, *k.v, maxHeads)
		}
	}
	if *c.KeyDim != *c.ValueDim {
		return fmt.Errorf("%w: linear_key_head_dim %d and linear_value_head_dim %d in config.json differ", ErrUnsupported, *c.KeyDim, *c.ValueDim)
	}
	if c.LayerTypes == nil && c.FullInterval != nil && *c.FullInterval > 0 && *c.Layers <= maxHeads {
		for i := range *c.Layers {
			kind := "linear_attention"
			if (i+1)%*c.FullInterval == 0 {
				kind = "full_attention"
			}
			c.LayerTypes = append(c.LayerTypes, kind)
		}
	}
	if int64(len(c.LayerTypes)) != *c.Layers {
		return fmt.Errorf("%w: layer_types in config.json has %d entries for %d layers", ErrConfig, len(c.LayerTypes), *c.Layers)
	}
	recurrent := make([]bool, len(c.LayerTypes))
	for i, kind := range c.LayerTypes {
		switch kind {
		case "linear_attention":
			recurrent[i] = true
		case "full_attention":
		default:
			return fmt.Errorf("%w: layer_types in config.json has %q for layer %d, want linear_attention or full_attention", ErrUnsupported, kind, i)
		}
	}
	w.set(arch+".ssm.conv_kernel", uint32(*c.ConvWidth))
	w.set(arch+".ssm.state_size", uint32(*c.ValueDim))
	w.set(arch+".ssm.group_count", uint32(*c.LinearKeyHeads))
	w.set(arch+".ssm.time_step_rank", uint32(*c.LinearValueHeads))
	w.set(arch+".ssm.inner_size", uint32(*c.LinearValueHeads**c.ValueDim))
	if interval := slices.Index(recurrent, false) + 1; interval > 0 && regular(recurrent, interval) {
		w.set(arch+".full_attention_interval", uint32(interval))
	} else {
		if p.o.MTP {
			recurrent = append(recurrent, false)
		}
		w.set(arch+".attention.recurrent_layers", recurrent)
	}
	if sections := c.rope().Sections; len(sections) > 0 && len(sections) <= 4 {
		w.set(arch+".rope.dimension_sections", append(slices.Clone(sections), 0, 0, 0)[:4])
	}
	return nil
}

// maxHeads bounds what there is of heads of a recurrence, far beyond known models.
const maxHeads = 1 << 12

// regular reports whether every interval-th layer attends and no other.
func regular(recurrent []bool, interval int) bool {
	for i, r := range recurrent {
		if r != ((i+1)%interval != 0) {
			return false
		}
	}
	return true
}
