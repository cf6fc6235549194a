package kernel

import "math"

// RopeInvFreq fills dst with the rotary frequencies in radians per position,
//
//	dst[i] = base^(−2i/dim) · freqScale / factors[i]
//
// for pair i of a head whose first dim dimensions are rotated (Su et al.,
// arXiv:2104.09864). dst holds dim/2 values. factors, the rope_freqs tensor of
// Llama 3.1, may be nil for all ones; freqScale is 1/rope.scaling.factor, or 1.
// The powers are accurate to 2e-15 (relative) for bases in 1…1e9.
func RopeInvFreq(dst []float64, dim int, base, freqScale float64, factors []float32) {
	logBase := log64(base)
	for i := range dst {
		f := float64(exp64(float64(float64(-2*i)/float64(dim)*logBase)) * freqScale)
		if factors != nil {
			f /= float64(factors[i])
		}
		dst[i] = f
	}
}

// Yarn are the parameters of YaRN (Peng et al., arXiv:2309.00071), which stretches
// the context that a model was trained for.
type Yarn struct {
	Factor  float64 // how far positions are stretched, more than 0
	Context float64 // positions of the original training
	// Frequencies that turn more than BetaFast times within Context stay as they
	// are, those that turn less than BetaSlow times are divided by Factor, and
	// between them the share changes linearly with the pair's number.
	BetaFast, BetaSlow float64
	Extrapolation      float64 // weight of the frequencies that stay, usually 1
	Attention          float64 // further factor on the attention, usually 1
}

// YarnInvFreq changes frequencies of RopeInvFreq, made with the same dim and base,
// and returns the scale for RopeTable, Attention · (1 + 0.1·ln Factor).
func YarnInvFreq(inv []float64, dim int, base float64, y Yarn) float32 {
	correction := func(beta float64) float64 {
		return float64(dim) * log64(y.Context/(2*math.Pi*beta)) / (2 * log64(base))
	}
	lo := max(0, math.Floor(correction(y.BetaFast)))
	hi := min(float64(dim-1), math.Ceil(correction(y.BetaSlow)))
	for i := range inv {
		t := (float64(i) - lo) / max(0.001, hi-lo)
		stay := float64((1 - min(max(t, 0), 1)) * y.Extrapolation)
		inv[i] = float64(inv[i]/y.Factor*(1-stay)) + float64(inv[i]*stay)
	}
	return float32(y.Attention * (1 + float64(0.1*log64(y.Factor))))
}

// DynamicBase returns the base that stretches the rotation over a context longer than
// the original one, as the formula that transformers calls dynamic does:
//
//	base · (factor·context/original − (factor − 1))^(dim/(dim−2))
//
// with at least four rotated dimensions.
func DynamicBase(base float64, dim int, factor float64, original, context int) float64 {
	stretch := float64(factor*float64(context)/float64(original)) - (factor - 1)
	return float64(base * exp64(float64(float64(dim)/float64(dim-2)*log64(stretch))))
}

// RopeTable fills cos and sin with scale·cos θ_i and scale·sin θ_i, where
// θ_i = pos · inv[i] is computed in float64. cos and sin have the length of inv.
// scale is 1 for plain RoPE; methods that stretch the context pass their
// attention factor. The angles are exact to float32 precision for |θ| below 2³²,
// so for positions far beyond 2²⁰.
func RopeTable(cos, sin []float32, pos int, inv []float64, scale float32) {
	cos, sin = cos[:len(inv)], sin[:len(inv)]
	for i, f := range inv {
		s, c := sincos64(float64(float64(pos) * f))
		cos[i] = float32(c * float64(scale))
		sin[i] = float32(s * float64(scale))
	}
}

// RopeNeox rotates the head vector x in place with the pairs (x[i], x[i+n]),
// n = len(cos) = len(sin): each pair (u, v) becomes (u·cos − v·sin, u·sin +
// v·cos). Dimensions from 2n on stay as they are. This is the half-split style
// of GPT-NeoX, which bitnet, qwen3 and gemma3 use.
func RopeNeox(x, cos, sin []float32) {
	n := len(cos)
	active.float.ropeNeox(x[:n], x[n:2*n], cos, sin[:n])
}

// RopeNorm is RopeNeox for the interleaved pairs (x[2i], x[2i+1]) that the llama
// architecture's files are permuted for.
func RopeNorm(x, cos, sin []float32) {
	n := len(cos)
	active.float.ropeNorm(x[:2*n], cos, sin[:n])
}
