package kernel

// Exp sets dst[i] = e^src[i] for every i of dst. The error is below 1.2 units in
// the last place (0.94 measured), or spacings of the subnormal numbers where the
// result is one. Exp(0) is exactly 1; the result is +Inf above 88.7228, 0 below
// −103.98, and NaN for NaN.
func Exp(dst, src []float32) {
	float.exp(dst, src[:len(dst)])
}

// Softmax sets dst[i] = e^(src[i]−m) / l with m the largest element of src and l
// the sum of the exponentials. dst and src have the same length; a NaN or a +Inf
// in src makes every element NaN, and so does a src of nothing but −Inf.
func Softmax(dst, src []float32) {
	_, l := float.expSum(dst, src[:len(dst)])
	float.attend.divide(dst, l)
}

// ExpSum sets dst[i] = e^(src[i]−m), where m is [Max] of src, and returns m and
// the sum l of dst, so that dst[i]/l is the softmax and m+log(l) the logarithm of
// its normaliser. dst and src have the same length; an empty src gives −Inf and 0.
func ExpSum(dst, src []float32) (m, l float32) {
	return float.expSum(dst, src[:len(dst)])
}
