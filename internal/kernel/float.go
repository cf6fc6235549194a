package kernel

// floatKernels is the table of float kernels of one level. The fields work on
// slices whose lengths the exported functions have checked and made equal.
type floatKernels struct {
	dot        func(a, b []float32) float32
	add        func(dst, a, b []float32)
	mul        func(dst, a, b []float32)
	scale      func(dst, x []float32, s float32)
	clamp      func(x []float32, low, high float32)
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

	hadamard  func(x []float32, block int)
	deltaStep func(o, state, q, k, v []float32, decay, beta float32)
}

var genericFloat = floatKernels{
	dot:         dotGeneric,
	add:         addGeneric,
	mul:         mulGeneric,
	scale:       scaleGeneric,
	clamp:       clampGeneric,
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
	hadamard:    hadamardGeneric,
	deltaStep:   deltaStepGeneric,
}

// Dot returns the dot product of a and b, which must have the same length, in
// the order of sixteen partial sums that the package comment defines.
func Dot(a, b []float32) float32 {
	return active.float.dot(a, b[:len(a)])
}

// Add sets dst[i] = a[i] + b[i] for every i of dst.
func Add(dst, a, b []float32) {
	active.float.add(dst, a[:len(dst)], b[:len(dst)])
}

// Scale sets dst[i] = x[i] · s for every i of dst.
func Scale(dst, x []float32, s float32) {
	active.float.scale(dst, x[:len(dst)], s)
}

// Max returns the largest element of x, ignoring NaN, with a zero maximum
// always +0; it returns −Inf when x holds no numbers.
func Max(x []float32) float32 {
	return active.float.max(x)
}
