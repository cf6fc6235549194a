//go:build !noasm

package kernel

import (
	"math"
	"unsafe"
)

// NEON has no masked loads, so the assembly runs on whole vectors and the twins
// on the few elements that are left. Reductions hand their partial sums over.

func floatLevel(l Level) *floatKernels {
	if l >= NEON {
		return &neonFloat
	}
	return &genericFloat
}

var neonFloat = floatKernels{
	dot:         dotARM64,
	add:         addARM64,
	mul:         mulARM64,
	scale:       scaleARM64,
	max:         maxARM64,
	sumSquares:  sumSquaresARM64,
	normMul:     normMulARM64,
	exp:         expARM64,
	expSum:      expSumARM64,
	siluMul:     siluMulARM64,
	relu2Mul:    relu2MulARM64,
	geluTanhMul: geluTanhMulARM64,
	ropeNeox:    ropeNeoxARM64,
	ropeNorm:    ropeNormGeneric,
	attend:      neonAttend,
	head:        neonHead,
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

// data returns the pointer to a slice's first element, which may be nil.
func data[T any](x []T) *T { return unsafe.SliceData(x) }

func dotARM64(a, b []float32) float32 {
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

func sumSquaresARM64(x []float32) float64 {
	var acc [8]float64
	n := len(x) &^ 7
	sumSquaresNEON(&acc, data(x), n)
	for j, v := range x[n:] {
		acc[j] += float64(float64(v) * float64(v))
	}
	return sumEight(&acc)
}

func maxARM64(x []float32) float32 {
	lowest := float32(math.Inf(-1))
	best := [4]float32{lowest, lowest, lowest, lowest}
	n := len(x) &^ 3
	maxNEON(&best, data(x), n)
	return max(maxGeneric(best[:]), maxGeneric(x[n:])) // neither is NaN
}

func addARM64(dst, a, b []float32) {
	n := len(dst) &^ 3
	if n > 0 {
		addNEON(data(dst), data(a), data(b), n)
	}
	addGeneric(dst[n:], a[n:], b[n:])
}

func mulARM64(dst, a, b []float32) {
	n := len(dst) &^ 3
	if n > 0 {
		mulNEON(data(dst), data(a), data(b), n)
	}
	mulGeneric(dst[n:], a[n:], b[n:])
}

func scaleARM64(dst, x []float32, s float32) {
	n := len(dst) &^ 3
	if n > 0 {
		scaleNEON(data(dst), data(x), n, s)
	}
	scaleGeneric(dst[n:], x[n:], s)
}

func normMulARM64(dst, x, w []float32, r float32) {
	n := len(dst) &^ 3
	if n > 0 {
		normMulNEON(data(dst), data(x), data(w), n, r)
	}
	normMulGeneric(dst[n:], x[n:], w[n:], r)
}

func axpyARM64(dst, x []float32, s float32) {
	n := len(dst) &^ 3
	if n > 0 {
		axpyNEON(data(dst), data(x), n, s)
	}
	axpyGeneric(dst[n:], x[n:], s)
}

func divideARM64(dst []float32, s float32) {
	n := len(dst) &^ 3
	if n > 0 {
		divideNEON(data(dst), n, s)
	}
	divideGeneric(dst[n:], s)
}

func ropeNeoxARM64(x0, x1, cos, sin []float32) {
	n := len(cos) &^ 3
	if n > 0 {
		ropeNeoxNEON(data(x0), data(x1), data(cos), data(sin), n)
	}
	ropeNeoxGeneric(x0[n:], x1[n:], cos[n:], sin[n:])
}

func expARM64(dst, src []float32) {
	n := len(src) &^ 3
	if n > 0 {
		expNEON(data(dst), data(src), n)
	}
	expGeneric(dst[n:], src[n:])
}

func expSumARM64(dst, src []float32) (m, l float32) {
	m = maxARM64(src)
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

func siluMulARM64(dst, gate, up []float32) {
	n := len(dst) &^ 3
	if n > 0 {
		siluMulNEON(data(dst), data(gate), data(up), n)
	}
	siluMulGeneric(dst[n:], gate[n:], up[n:])
}

func relu2MulARM64(dst, gate, up []float32) {
	n := len(dst) &^ 3
	if n > 0 {
		relu2MulNEON(data(dst), data(gate), data(up), n)
	}
	relu2MulGeneric(dst[n:], gate[n:], up[n:])
}

func geluTanhMulARM64(dst, gate, up []float32) {
	n := len(dst) &^ 3
	if n > 0 {
		geluTanhMulNEON(data(dst), data(gate), data(up), n)
	}
	geluTanhMulGeneric(dst[n:], gate[n:], up[n:])
}
