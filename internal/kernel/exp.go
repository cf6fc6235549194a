package kernel

// Exp sets dst[i] = e^src[i] for every i of dst. The error is below 1.2 units in
// the last place (0.94 measured), or spacings of the subnormal numbers where the
// result is one. Exp(0) is exactly 1; the result is +Inf above 88.7228, 0 below
// −103.98, and NaN for NaN.
func Exp(dst, src []float32) {
	active.float.exp(dst, src[:len(dst)])
}
