//go:build !noasm

package kernel

// sse41Float leaves to the twin what few models have, of single heads.
var sse41Float = floatKernels{
	dot:         dotSSE41,
	add:         addSSE41,
	mul:         mulSSE41,
	scale:       scaleSSE41,
	max:         maxSSE41,
	sumSquares:  sumSquaresSSE41,
	normMul:     normMulSSE41,
	clamp:       clampSSE41,
	exp:         expSSE41,
	expSum:      expSumSSE41,
	siluMul:     siluMulSSE41,
	relu2Mul:    relu2MulSSE41,
	geluTanhMul: geluTanhMulSSE41,
	ropeNeox:    ropeNeoxSSE41,
	ropeNorm:    ropeNormGeneric,
	hadamard:    hadamardOf(hadamardSSE41),
	deltaStep:   deltaStepSSE41,
}

var avx2Float = floatKernels{
	dot:         dotAVX2,
	add:         addAVX2,
	mul:         mulAVX2,
	scale:       scaleAVX2,
	clamp:       clampAVX2,
	max:         maxAVX2,
	sumSquares:  sumSquaresAVX2,
	normMul:     normMulAVX2,
	exp:         expAVX2,
	expSum:      expSumAVX2,
	siluMul:     siluMulAVX2,
	relu2Mul:    relu2MulAVX2,
	geluTanhMul: geluTanhMulAVX2,
	ropeNeox:    ropeNeoxAVX2,
	ropeNorm:    ropeNormWithAVX2,
	hadamard:    hadamardOf(hadamardAVX2),
	deltaStep:   deltaStepAVX2,
}

var avx512Float = floatKernels{
	dot:         dotAVX512,
	add:         addAVX512,
	mul:         mulAVX512,
	scale:       scaleAVX512,
	clamp:       clampAVX512,
	max:         maxAVX512,
	sumSquares:  sumSquaresAVX512,
	normMul:     normMulAVX512,
	exp:         expAVX512,
	expSum:      expSumAVX512,
	siluMul:     siluMulAVX512,
	relu2Mul:    relu2MulAVX512,
	geluTanhMul: geluTanhMulAVX512,
	ropeNeox:    ropeNeoxAVX512,
	ropeNorm:    ropeNormWithAVX2,
	hadamard:    hadamardOf(hadamardAVX512),
	deltaStep:   deltaStepAVX512,
}

// hadamardOf serves hadamard with a kernel for blocks of at least 16 elements.
func hadamardOf(wide func(x []float32, block int)) func(x []float32, block int) {
	return func(x []float32, block int) {
		if block < 16 {
			hadamardGeneric(x, block)
			return
		}
		wide(x, block)
	}
}

// ropeNormWithAVX2 runs whole vectors of four pairs in assembly.
func ropeNormWithAVX2(x, cos, sin []float32) {
	n := len(cos) &^ 3
	ropeNormAVX2(x, cos[:n], sin)
	ropeNormGeneric(x[2*n:], cos[n:], sin[n:])
}
