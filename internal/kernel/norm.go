package kernel

import "math"

// RMSNorm sets dst[i] = x[i] · r · w[i] with r = 1/√(mean(x²) + eps), the
// root-mean-square normalisation of Zhang and Sennrich (arXiv:1910.07467).
//
// The squares are summed exactly in float64, the mean is rounded to float32 and
// everything after is float32, each product rounded. A nil w stands for a vector
// of ones. x and w have the length of dst; an empty dst is left alone.
func RMSNorm(dst, x, w []float32, eps float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	x = x[:n]
	mean := float32(active.float.sumSquares(x) / float64(n))
	r := 1 / float32(math.Sqrt(float64(mean+eps)))
	if w == nil {
		active.float.scale(dst, x, r)
		return
	}
	active.float.normMul(dst, x, w[:n], r)
}

// Clamp brings every number of x into [low, high]; a NaN stays one.
func Clamp(x []float32, low, high float32) { active.float.clamp(x, low, high) }

// ClampMax brings every number of x to at most high; a NaN stays one.
func ClampMax(x []float32, high float32) { active.float.clamp(x, float32(math.Inf(-1)), high) }

// AddScaled computes dst[i] += x[i]·s, each product rounded. x has the length of dst.
func AddScaled(dst, x []float32, s float32) { active.attend.axpy(dst, x[:len(dst)], s) }
