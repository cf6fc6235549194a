package convert

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"trit/internal/model"
)

// scales decides what weight_scale means, for checkpoints that have it.
func (p *hfPlan) scales() error {
	packed := slices.ContainsFunc(p.jobs, func(j *job) bool { return j.scale != nil })
	if !packed {
		if p.o.ScaleConvention != ScaleAuto {
			p.report.warn("the scale convention %v has no effect: the checkpoint has no packed weights", p.o.ScaleConvention)
		}
		return nil
	}
	class := ""
	if p.hf.Quantization != nil {
		class = p.hf.Quantization.LinearClass
	}
	var reason string
	switch {
	case p.o.ScaleConvention != ScaleAuto:
		p.rules.convention = p.o.ScaleConvention
		reason = "chosen by the caller"
	case class == "autobitlinear":
		p.rules.convention = ScaleMultiplier
		reason = "quantization_config.linear_class is \"autobitlinear\""
	case class == "bitlinear":
		p.rules.convention = ScaleDivisor
		reason = "quantization_config.linear_class is \"bitlinear\""
	case class == "":
		p.rules.convention = ScaleDivisor
		reason = "config.json has no quantization_config.linear_class, which means \"bitlinear\""
	default:
		return fmt.Errorf("%w: quantization_config.linear_class is %q in config.json, want bitlinear (divisor) or autobitlinear (multiplier); option scale_convention says which one it is like", ErrUnsupported, class)
	}
	p.report.ScaleConvention = p.rules.convention.String()
	p.report.decide("weight_scale", p.rules.convention.String(), "%s", reason)
	return nil
}

// normBefore names the norm whose output a projection reads.
var normBefore = []struct{ projection, norm string }{
	{".attn_q.", ".attn_norm."},
	{".attn_k.", ".attn_norm."},
	{".attn_v.", ".attn_norm."},
	{".attn_output.", ".attn_sub_norm."},
	{".ffn_gate.", ".ffn_norm."},
	{".ffn_up.", ".ffn_norm."},
	{".ffn_down.", ".ffn_sub_norm."},
}

// plausible is the factor by which one convention's gain must be nearer to 1 for
// a verdict.
const plausible = 4

// checkScales compares the convention of a plan with the norms; see [ScaleCheck].
func (s *source) checkScales(p *plan) error {
	if p.report.ScaleConvention == "" {
		return nil // there are none
	}
	norms := map[string]float64{}
	for _, j := range p.jobs {
		if j.role != model.RoleVector || j.source == nil || !strings.Contains(j.name, "_norm.") {
			continue
		}
		v, err := s.vector(j.source)
		if err != nil {
			return err
		}
		norms[j.name] = rms(v)
	}
	var used, other []float64
	for _, j := range p.jobs {
		if j.scale == nil {
			continue
		}
		norm := 0.0
		for _, pair := range normBefore {
			if strings.Contains(j.name, pair.projection) {
				norm = norms[strings.Replace(j.name, pair.projection, pair.norm, 1)]
			}
		}
		if norm == 0 {
			continue
		}
		stored, err := s.scale(j.scale)
		if err != nil {
			return err
		}
		scale := float64(p.rules.multiplier(stored))
		rest := norm * math.Sqrt(2.0/3.0*float64(j.cols()))
		used = append(used, scale*rest)
		other = append(other, rest/scale)
	}
	if len(used) == 0 {
		return nil
	}
	check := &ScaleCheck{Projections: len(used), Gain: median(used), OtherGain: median(other), Verdict: "undecided"}
	here, there := math.Abs(math.Log(check.Gain)), math.Abs(math.Log(check.OtherGain))
	switch {
	case there-here > math.Log(plausible):
		check.Verdict = "agrees"
	case here-there > math.Log(plausible):
		check.Verdict = "contradicts"
		p.report.warn("taking weight_scale as a %v gives projections a typical gain of %.3g, the other way %.3g: if the model talks nonsense, choose the other scale convention",
			p.rules.convention, check.Gain, check.OtherGain)
	}
	p.report.ScaleCheck = check
	return nil
}

func rms(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(float64(x) * float64(x))
	}
	return math.Sqrt(sum / float64(len(v)))
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
