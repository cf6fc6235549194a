package convert

import (
	"fmt"
	"math"
	"slices"

	"trit/gguf"
	"trit/internal/kernel"
	"trit/internal/model"
)

// metaWriter sets metadata keys and keeps the first error.
type metaWriter struct {
	meta *gguf.Metadata
	err  error
}

func (w *metaWriter) set(key string, value any) {
	if err := w.meta.Set(key, value); err != nil && w.err == nil {
		w.err = fmt.Errorf("convert: %w", err)
	}
}

// model sets the keys that describe the model and lets the loader's own code read
// them back: what it refuses must not be written.
func (p *hfPlan) model(name, license string) error {
	cfg, rep := p.hf, p.report
	act := p.hiddenAct()
	if _, err := model.ParseHiddenAct(act); err != nil {
		return fmt.Errorf("%w: hidden_act in config.json: %w", ErrConfig, err)
	}
	arch := p.architecture(act)
	rep.Architecture, rep.HiddenAct = arch, act
	rep.Type, rep.Embedding = p.o.Type.String(), p.o.Embedding.String()
	rep.Name = name

	w := metaWriter{meta: p.meta}
	w.set("general.architecture", arch)
	w.set("general.type", "model")
	w.set("general.name", rep.Name)
	if license != "" {
		w.set("general.license", license)
	}
	fileType, _ := p.o.Type.FileType() // check accepts only types that have one
	w.set("general.file_type", fileType)
	w.set("general.quantization_version", uint32(2))

	size := func(key string, v int64) { w.set(arch+"."+key, uint32(v)) }
	kvHeads := *cfg.Heads
	if cfg.KVHeads != nil {
		kvHeads = *cfg.KVHeads
	}
	size("vocab_size", *cfg.Vocab)
	size("context_length", p.context())
	size("embedding_length", *cfg.HiddenSize)
	size("block_count", *cfg.Layers)
	size("feed_forward_length", *cfg.Intermediate)
	size("attention.head_count", *cfg.Heads)
	size("attention.head_count_kv", kvHeads)
	headDim, err := p.headDim(size)
	if err != nil {
		return err
	}
	w.set(arch+".attention.layer_norm_rms_epsilon", float32(*cfg.NormEps))
	rotated := int64(float64(headDim) * cfg.partialRotary())
	size("rope.dimension_count", rotated)
	base := p.ropeBase()
	w.set(arch+".rope.freq_base", float32(base))
	if err := p.ropeScaling(&w, arch, rotated, base); err != nil {
		return err
	}
	if err := p.recurrence(&w, arch); err != nil {
		return err
	}
	if p.o.MTP {
		if n := cfg.MTPLayers; n == nil || *n != 1 {
			return fmt.Errorf("%w: mtp_num_hidden_layers in config.json is not 1: there is no layer that guesses further tokens, or several; "+
				"convert the model without", ErrUnsupported)
		}
		size("block_count", *cfg.Layers+1)
		size("nextn_predict_layers", 1)
	}
	if err := p.windows(&w, arch, headDim); err != nil {
		return err
	}
	if err := p.factors(&w, arch); err != nil {
		return err
	}
	if err := p.experts(&w, arch); err != nil {
		return err
	}
	w.set(arch+".hidden_act", act)
	if w.err != nil {
		return w.err
	}
	p.config, err = model.Configure(p.family, p.meta, model.LoadOptions{MTP: p.o.MTP})
	if err != nil {
		return fmt.Errorf("%w: config.json: %w", ErrConfig, err)
	}
	for _, note := range p.config.Notes {
		rep.decide("configuration", "as noted", "%s", note)
	}
	return nil
}

// hiddenAct returns the activation function as config.json has it, or the
// default of the model class.
func (p *hfPlan) hiddenAct() string {
	given := p.hf.HiddenAct
	if p.hf.Activation != nil {
		given = p.hf.Activation
	}
	if given != nil {
		if act, err := model.ParseHiddenAct(*given); err == nil {
			return act.String()
		}
		return *given
	}
	act := "silu"
	switch {
	case p.report.Class == microsoftClass:
		act = model.ReLU2.String()
	case p.family.Names[0] == gemma3:
		act = model.GELUTanh.String()
	}
	p.report.decide("hidden_act", act, "config.json has none; it is the default of %s", p.report.Class)
	return act
}

// microsoftClass is the class of BitNet b1.58 2B-4T, which Hugging Face's library
// defines itself. The models of 1bitLLM spell it BitnetForCausalLM.
const microsoftClass = "BitNetForCausalLM"

// architecture returns general.architecture. Among the names of the BitNet family
// the activation function decides, because that is what readers without the
// hidden_act key take from it.
func (p *hfPlan) architecture(act string) string {
	if !slices.Contains(p.family.Names, "bitnet-b1.58") {
		return p.family.Names[0]
	}
	arch := "bitnet"
	if act == model.ReLU2.String() {
		arch = "bitnet-b1.58"
	}
	p.report.decide("architecture", arch, "class %s with hidden_act %s", p.report.Class, act)
	return arch
}

// context returns the number of positions. Up to the width of a sliding window
// every position sees all others, so that models of families that have no such window
// here are exact.
func (p *hfPlan) context() int64 {
	context, window := *p.hf.Context, p.hf.SlidingWindow
	if p.hf.slides(p.family.Names[0]) || window == nil || *window < 1 || *window >= context || p.hf.UseSliding != nil && !*p.hf.UseSliding {
		return context
	}
	p.report.decide("context_length", fmt.Sprint(*window),
		"config.json says %d, with a sliding window of %d positions, beyond which results would differ", context, *window)
	return *window
}

// headDim returns the width of a head and sets its keys where it is not what
// readers assume.
func (p *hfPlan) headDim(size func(string, int64)) (int64, error) {
	hidden, heads := *p.hf.HiddenSize, *p.hf.Heads
	if p.hf.HeadDim == nil {
		if hidden%heads != 0 {
			return 0, fmt.Errorf("%w: in config.json hidden_size %d is not a multiple of num_attention_heads %d, and there is no head_dim", ErrConfig, hidden, heads)
		}
		return hidden / heads, nil
	}
	d := *p.hf.HeadDim
	if d*heads != hidden {
		size("attention.key_length", d)
		size("attention.value_length", d)
	}
	return d, nil
}

// ropeBase returns the base of the rotation frequencies.
func (p *hfPlan) ropeBase() float64 {
	switch {
	case p.hf.RopeTheta != nil:
		return *p.hf.RopeTheta
	case p.hf.rope().Theta != nil:
		return *p.hf.rope().Theta
	}
	base := 10000.0
	switch {
	case p.report.Class == microsoftClass:
		base = 500000
	case p.family.Names[0] == gemma3:
		base = gemmaTheta
	}
	p.report.decide("rope.freq_base", fmt.Sprint(base), "config.json has no rope_theta; it is the default of %s", p.report.Class)
	return base
}

// ropeScaling sets the keys of linear scaling, or computes the frequency
// factors of Llama 3's.
func (p *hfPlan) ropeScaling(w *metaWriter, arch string, headDim int64, base float64) error {
	r := p.hf.rope()
	switch kind := r.kind(); kind {
	case "default", "none":
		return nil
	case "linear":
		if r.Factor == nil || !(*r.Factor > 0) {
			return fmt.Errorf("%w: rope_scaling of type linear in config.json needs a positive factor", ErrConfig)
		}
		w.set(arch+".rope.scaling.type", "linear")
		w.set(arch+".rope.scaling.factor", float32(*r.Factor))
		return nil
	case "llama3":
		factors, err := llama3Factors(r, base, headDim)
		if err != nil {
			return err
		}
		p.ropeFactors = map[string][]float32{"rope_freqs.weight": factors}
		p.report.decide("rope_freqs.weight", fmt.Sprintf("%d factors", len(factors)), "rope_scaling of type llama3")
		return nil
	case "yarn":
		return p.yarn(w, arch+".rope.scaling.", r)
	case "longrope":
		return p.longRope(w, arch+".rope.scaling.", r)
	case "dynamic":
		return p.dynamic(w, arch, headDim, base, r)
	default:
		return fmt.Errorf("%w: rope_scaling has type %q in config.json, want default, linear, dynamic, yarn, longrope or llama3",
			ErrUnsupported, kind)
	}
}

// llama3Factors returns what divides each rotation frequency: 1 for wavelengths
// that the original context holds many times, the factor for those it does not
// hold, and a smooth transition between. Source: Meta's Llama 3.1 release.
func llama3Factors(r *hfRope, base float64, headDim int64) ([]float32, error) {
	factor, low, high, original := 8.0, 1.0, 4.0, 8192.0
	for _, v := range []struct {
		dst *float64
		src *float64
	}{{&factor, r.Factor}, {&low, r.Low}, {&high, r.High}} {
		if v.src != nil {
			*v.dst = *v.src
		}
	}
	if r.Original != nil {
		original = float64(*r.Original)
	}
	if !(factor >= 1) || !(low > 0) || !(high > low) || !(original >= 1) || math.IsInf(factor+high, 0) {
		return nil, fmt.Errorf("%w: rope_scaling in config.json: want factor ≥ 1, 0 < low_freq_factor < high_freq_factor and a positive original_max_position_embeddings, found %v, %v, %v, %v",
			ErrConfig, factor, low, high, original)
	}
	if headDim > model.MaxHeadDim {
		return nil, fmt.Errorf("%w: heads of %d elements, at most %d are supported", ErrConfig, headDim, model.MaxHeadDim)
	}
	if !(base > 1 && base < 1e12) {
		return nil, fmt.Errorf("%w: rope_theta is %v in config.json, want a number between 1 and 1e12", ErrConfig, base)
	}
	frequencies := make([]float64, headDim/2)
	kernel.RopeInvFreq(frequencies, int(headDim), base, 1, nil)
	out := make([]float32, len(frequencies))
	for i, f := range frequencies {
		wavelength := 2 * math.Pi / f
		switch {
		case wavelength < original/high:
			out[i] = 1
		case wavelength > original/low:
			out[i] = float32(factor)
		default:
			t := (original/wavelength - low) / (high - low)
			out[i] = float32(1 / ((1-t)/factor + t))
		}
	}
	return out, nil
}
