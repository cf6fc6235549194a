package convert

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"trit/internal/model"
)

// settleScales decides what weight_scale means, for checkpoints that have it.
func (c *converter) settleScales() error {
	packed := slices.ContainsFunc(c.jobs, func(j *job) bool { return j.scale != nil })
	if !packed {
		if c.opts.ScaleConvention != ScaleAuto {
			c.report.warn("the scale convention %v has no effect: the checkpoint has no packed weights", c.opts.ScaleConvention)
		}
		return nil
	}
	class := ""
	if c.hf.Quantization != nil {
		class = c.hf.Quantization.LinearClass
	}
	var reason string
	switch {
	case c.opts.ScaleConvention != ScaleAuto:
		c.convention = c.opts.ScaleConvention
		reason = "chosen by the caller"
	case class == "autobitlinear":
		c.convention = ScaleMultiplier
		reason = "quantization_config.linear_class is \"autobitlinear\""
	case class == "bitlinear":
		c.convention = ScaleDivisor
		reason = "quantization_config.linear_class is \"bitlinear\""
	case class == "":
		c.convention = ScaleDivisor
		reason = "config.json has no quantization_config.linear_class, which means \"bitlinear\""
	default:
		return fmt.Errorf("%w: quantization_config.linear_class is %q in config.json, want bitlinear (divisor) or autobitlinear (multiplier); option ScaleConvention (--scale-convention) says which one it is like", ErrUnsupported, class)
	}
	c.report.ScaleConvention = c.convention.String()
	c.report.decide("weight_scale", c.convention.String(), "%s", reason)
	return c.checkScales()
}

// multiplier returns what the trits of a packed tensor are multiplied with.
func (c *converter) multiplier(weightScale float32) float32 {
	if c.convention == ScaleDivisor {
		return 1 / weightScale
	}
	return weightScale
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

// checkScales compares the convention with the norms; see [ScaleCheck].
func (c *converter) checkScales() error {
	norms := map[string]float64{}
	for _, j := range c.jobs {
		if j.role != model.RoleVector || j.source == nil || !strings.Contains(j.name, "_norm.") {
			continue
		}
		v, err := c.in.vector(j.source)
		if err != nil {
			return err
		}
		norms[j.name] = rms(v)
	}
	var used, other []float64
	for _, j := range c.jobs {
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
		stored, err := c.in.scale(j.scale)
		if err != nil {
			return err
		}
		s := float64(c.multiplier(stored))
		rest := norm * math.Sqrt(2.0/3.0*float64(j.cols()))
		used = append(used, s*rest)
		other = append(other, rest/s)
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
		c.report.warn("taking weight_scale as a %v gives projections a typical gain of %.3g, the other way %.3g: if the model talks nonsense, choose the other scale convention",
			c.convention, check.Gain, check.OtherGain)
	}
	c.report.ScaleCheck = check
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
