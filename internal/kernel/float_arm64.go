//go:build !noasm

package kernel

import (
	"math"
	"unsafe"
)

// NEON has no masked loads, so the assembly runs on whole vectors and the twins
// on the few elements that are left. Reductions hand their partial sums over.

var neonFloat = floatKernels{
	dot:         dotWithNEON,
	add:         binaryOf(addNEON, addGeneric),
	mul:         binaryOf(mulNEON, mulGeneric),
	scale:       scaledOf(scaleNEON, scaleGeneric),
	clamp:       clampGeneric,
	max:         maxWithNEON,
	sumSquares:  sumSquaresWithNEON,
	normMul:     normMulWithNEON,
	exp:         expWithNEON,
	expSum:      expSumWithNEON,
	siluMul:     binaryOf(siluMulNEON, siluMulGeneric),
	relu2Mul:    binaryOf(relu2MulNEON, relu2MulGeneric),
	geluTanhMul: binaryOf(geluTanhMulNEON, geluTanhMulGeneric),
	ropeNeox:    ropeNeoxWithNEON,
	ropeNorm:    ropeNormGeneric,
	hadamard:    hadamardWithNEON,
	deltaStep:   deltaStepWithNEON,
}

//go:noescape
func dotNEON(acc *[16]float32, a, b *float32, n int)

//go:noescape
func sumSquaresNEON(acc *[8]float64, x *float32, n int)

//go:noescape
func maxNEON(best *[4]float32, x *float32, n int)

//go:noescape
func addNEON(dst, a, b *float32, n int)

//go:noescape
func mulNEON(dst, a, b *float32, n int)

//go:noescape
func scaleNEON(dst, x *float32, n int, s float32)

//go:noescape
func normMulNEON(dst, x, w *float32, n int, r float32)

//go:noescape
func axpyNEON(dst, x *float32, n int, s float32)

//go:noescape
func divideNEON(dst *float32, n int, s float32)

//go:noescape
func ropeNeoxNEON(x0, x1, cos, sin *float32, n int)

//go:noescape
func expNEON(dst, src *float32, n int)

//go:noescape
func expSumNEON(acc *[16]float32, dst, src *float32, n int, m float32)

//go:noescape
func siluMulNEON(dst, gate, up *float32, n int)

//go:noescape
func relu2MulNEON(dst, gate, up *float32, n int)

//go:noescape
func geluTanhMulNEON(dst, gate, up *float32, n int)

//go:noescape
func hadamardNEON(x *float32, n, block int)

//go:noescape
func deltaStepNEON(o, state, q, k, v *float32, keys, values int, decay, beta float32)

// binaryOf serves dst[i] = f(a[i], b[i]) with a kernel for multiples of four elements.
func binaryOf(whole func(dst, a, b *float32, n int), twin func(dst, a, b []float32)) func(dst, a, b []float32) {
	return func(dst, a, b []float32) {
		n := len(dst) &^ 3
		if n > 0 {
			whole(data(dst), data(a), data(b), n)
		}
		twin(dst[n:], a[n:], b[n:])
	}
}

// scaledOf serves dst[i] = f(x[i], s) with a kernel for multiples of four elements.
func scaledOf(whole func(dst, x *float32, n int, s float32), twin func(dst, x []float32, s float32)) func(dst, x []float32, s float32) {
	return func(dst, x []float32, s float32) {
		n := len(dst) &^ 3
		if n > 0 {
			whole(data(dst), data(x), n, s)
		}
		twin(dst[n:], x[n:], s)
	}
}

// data returns the pointer to a slice's first element, which may be nil.
func data[T any](x []T) *T { return unsafe.SliceData(x) }

func dotWithNEON(a, b []float32) float32 {
	var acc [stripes]float32
	n := len(a) &^ (stripes - 1)
	dotNEON(&acc, data(a), data(b), n)
	addTail(&acc, a[n:], b[n:])
	return sumStripes(&acc)
}

// addTail adds the products of fewer than sixteen elements to their sums.
func addTail(acc *[stripes]float32, a, b []float32) {
	for j := range a {
		acc[j] += float32(a[j] * b[j])
	}
}

func sumSquaresWithNEON(x []float32) float64 {
	var acc [8]float64
	n := len(x) &^ 7
	sumSquaresNEON(&acc, data(x), n)
	for j, v := range x[n:] {
		acc[j] += float64(float64(v) * float64(v))
	}
	return sumEight(&acc)
}

func maxWithNEON(x []float32) float32 {
	lowest := float32(math.Inf(-1))
	best := [4]float32{lowest, lowest, lowest, lowest}
	n := len(x) &^ 3
	maxNEON(&best, data(x), n)
	return max(maxGeneric(best[:]), maxGeneric(x[n:])) // neither is NaN
}

func normMulWithNEON(dst, x, w []float32, r float32) {
	n := len(dst) &^ 3
	if n > 0 {
		normMulNEON(data(dst), data(x), data(w), n, r)
	}
	normMulGeneric(dst[n:], x[n:], w[n:], r)
}

func divideWithNEON(dst []float32, s float32) {
	n := len(dst) &^ 3
	if n > 0 {
		divideNEON(data(dst), n, s)
	}
	divideGeneric(dst[n:], s)
}

func ropeNeoxWithNEON(x0, x1, cos, sin []float32) {
	n := len(cos) &^ 3
	if n > 0 {
		ropeNeoxNEON(data(x0), data(x1), data(cos), data(sin), n)
	}
	ropeNeoxGeneric(x0[n:], x1[n:], cos[n:], sin[n:])
}

func expWithNEON(dst, src []float32) {
	n := len(src) &^ 3
	if n > 0 {
		expNEON(data(dst), data(src), n)
	}
	expGeneric(dst[n:], src[n:])
}

func expSumWithNEON(dst, src []float32) (m, l float32) {
	m = maxWithNEON(src)
	var acc [stripes]float32
	n := len(src) &^ (stripes - 1)
	expSumNEON(&acc, data(dst), data(src), n, m)
	for j, x := range src[n:] {
		e := exp32(x - m)
		dst[n+j] = e
		acc[j] += e
	}
	return m, sumStripes(&acc)
}

func hadamardWithNEON(x []float32, block int) {
	if block < 8 || len(x) == 0 {
		hadamardGeneric(x, block)
		return
	}
	hadamardNEON(data(x), len(x), block)
}

func deltaStepWithNEON(o, state, q, k, v []float32, decay, beta float32) {
	deltaStepNEON(data(o), data(state), data(q), data(k), data(v), len(k), len(v), decay, beta)
}
