package kernel

import "math"

// floatKernels is the table of float kernels of one level. The fields work on
// slices whose lengths the exported functions have checked and made equal.
type floatKernels struct {
	dot        func(a, b []float32) float32
	add        func(dst, a, b []float32)
	mul        func(dst, a, b []float32)
	scale      func(dst, x []float32, s float32)
	max        func(x []float32) float32
	sumSquares func(x []float32) float64
	normMul    func(dst, x, w []float32, r float32) // dst = (x·r)·w

	exp         func(dst, src []float32)
	expSum      func(dst, src []float32) (m, l float32)
	siluMul     func(dst, gate, up []float32)
	relu2Mul    func(dst, gate, up []float32)
	geluTanhMul func(dst, gate, up []float32)

	ropeNeox func(x0, x1, cos, sin []float32)
	ropeNorm func(x, cos, sin []float32)

	attend attendKernels
	head   headKernels
}

var genericFloat = floatKernels{
	dot:         dotGeneric,
	add:         addGeneric,
	mul:         mulGeneric,
	scale:       scaleGeneric,
	max:         maxGeneric,
	sumSquares:  sumSquaresGeneric,
	normMul:     normMulGeneric,
	exp:         expGeneric,
	expSum:      expSumGeneric,
	siluMul:     siluMulGeneric,
	relu2Mul:    relu2MulGeneric,
	geluTanhMul: geluTanhMulGeneric,
	ropeNeox:    ropeNeoxGeneric,
	ropeNorm:    ropeNormGeneric,
	attend:      attendGeneric,
	head:        headGeneric,
}

// float is the table in use. It is set once, at start; only tests change it.
var float = &genericFloat

func init() { setFloatLevel(Active()) }

// setFloatLevel switches the float kernels to a level that this CPU supports.
func setFloatLevel(l Level) { float = floatLevel(l) }

// Dot returns the dot product of a and b, which must have the same length, in
// the order of sixteen partial sums that the package comment defines.
func Dot(a, b []float32) float32 {
	return float.dot(a, b[:len(a)])
}

// Add sets dst[i] = a[i] + b[i] for every i of dst.
func Add(dst, a, b []float32) {
	float.add(dst, a[:len(dst)], b[:len(dst)])
}

// Mul sets dst[i] = a[i] · b[i] for every i of dst.
func Mul(dst, a, b []float32) {
	float.mul(dst, a[:len(dst)], b[:len(dst)])
}

// Scale sets dst[i] = x[i] · s for every i of dst.
func Scale(dst, x []float32, s float32) {
	float.scale(dst, x[:len(dst)], s)
}

// Max returns the largest element of x, ignoring NaN, with a zero maximum
// always +0; it returns −Inf when x holds no numbers.
func Max(x []float32) float32 {
	return float.max(x)
}

// ArgMax returns the index of the largest element of x, the first of several
// equal ones (+0 and −0 are equal), and that element. NaN elements are ignored;
// when x holds no numbers, ArgMax returns −1 and −Inf.
func ArgMax(x []float32) (int, float32) {
	m := float.max(x)
	for i, v := range x {
		if v == m {
			return i, v
		}
	}
	return -1, float32(math.Inf(-1))
}
