package convert

import (
	"fmt"
	"math"
)

// longRope sets the keys of LongRoPE and keeps its factors for their tensors.
func (p *hfPlan) longRope(w *metaWriter, prefix string, r *hfRope) error {
	original := *p.hf.Context
	for _, v := range []*int64{p.hf.Original, r.Original} {
		if v != nil {
			original = *v
		}
	}
	if original < 2 || original > maxSize {
		return fmt.Errorf("%w: original_max_position_embeddings is %d in config.json, want 2 to %d", ErrConfig, original, maxSize)
	}
	p.ropeFactors = map[string][]float32{}
	for name, factors := range map[string][]float64{"rope_factors_short.weight": r.Short, "rope_factors_long.weight": r.Long} {
		if len(factors) == 0 {
			return fmt.Errorf("%w: rope_scaling of type longrope in config.json needs short_factor and long_factor", ErrConfig)
		}
		values := make([]float32, len(factors))
		for i, x := range factors {
			if !(x > 0 && x < 1e6) {
				return fmt.Errorf("%w: rope_scaling in config.json has the factor %v, want positive numbers", ErrConfig, x)
			}
			values[i] = float32(x)
		}
		p.ropeFactors[name] = values
	}
	w.set(prefix+"type", "longrope")
	w.set(prefix+"original_context_length", uint32(original))
	attention := longAttention(*p.hf.Context, original)
	if r.Attention != nil {
		attention = float32(*r.Attention)
	}
	if attention != 1 {
		w.set(prefix+"attn_factor", attention)
	}
	return nil
}

// longAttention is the attention factor of LongRoPE where a configuration has none.
func longAttention(context, original int64) float32 {
	if scale := float64(context) / float64(original); scale > 1 {
		return float32(math.Sqrt(1 + math.Log(scale)/math.Log(float64(original))))
	}
	return 1
}

// hunyuan is the architecture whose dynamic scaling is another base.
const hunyuan = "hunyuan-dense"

// dynamic sets the keys of the scaling that depends on the context. Hunyuan's has an
// alpha that holds for all contexts.
func (p *hfPlan) dynamic(w *metaWriter, arch string, headDim int64, base float64, r *hfRope) error {
	if r.Alpha != nil {
		if arch != hunyuan || !(*r.Alpha > 0) || headDim < 4 {
			return fmt.Errorf("%w: rope_scaling has alpha %v in config.json, which architecture %s does not have", ErrUnsupported, *r.Alpha, arch)
		}
		d := float64(headDim)
		scaled := base * math.Pow(*r.Alpha, d/(d-2))
		w.set(arch+".rope.freq_base", float32(scaled))
		p.report.decide("rope.freq_base", fmt.Sprintf("%.0f", scaled), "rope_scaling has alpha %v", *r.Alpha)
		return nil
	}
	if r.Factor == nil || !(*r.Factor >= 1) {
		return fmt.Errorf("%w: rope_scaling of type dynamic in config.json needs a factor of at least 1", ErrConfig)
	}
	w.set(arch+".rope.scaling.type", "dynamic")
	w.set(arch+".rope.scaling.factor", float32(*r.Factor))
	w.set(arch+".rope.scaling.original_context_length", uint32(*p.hf.Context))
	return nil
}

// minicpm is the architecture with factors on embeddings, blocks and logits.
const minicpm = "minicpm"

// factors sets the keys of these. None of them has a value that would be usual.
func (p *hfPlan) factors(w *metaWriter, arch string) error {
	if arch != minicpm {
		return nil
	}
	for _, k := range []struct {
		name  string
		v     *float64
		key   string
		value func(x float64) float64
	}{
		{"scale_emb", p.hf.ScaleEmbedding, "embedding_scale", func(x float64) float64 { return x }},
		{"scale_depth", p.hf.ScaleDepth, "residual_scale", func(x float64) float64 { return x / math.Sqrt(float64(*p.hf.Layers)) }},
		{"dim_model_base", p.hf.BaseWidth, "logit_scale", func(x float64) float64 { return float64(*p.hf.HiddenSize) / x }},
	} {
		if k.v == nil || !(*k.v > 0) {
			return fmt.Errorf("%w: config.json has no positive %s", ErrConfig, k.name)
		}
		w.set(arch+"."+k.key, float32(k.value(*k.v)))
	}
	return nil
}
