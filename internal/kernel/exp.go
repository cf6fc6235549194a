package kernel

// Exp sets dst[i] = e^src[i] for every i of dst. The error is below 1.2 units in
// the last place (0.94 measured), or spacings of the subnormal numbers where the
// result is one. Exp(0) is exactly 1; the result is +Inf above 88.7228, 0 below
// −103.98, and NaN for NaN.
func Exp(dst, src []float32) {
	active.float.exp(dst, src[:len(dst)])
}

// ExpSum replaces every x[i] by e^(x[i] − max x) and returns their sum, in the order of
// attention's softmax: x divided by the sum is softmax(x).
func ExpSum(x []float32) float32 {
	_, sum := active.float.expSum(x, x)
	return sum
}
