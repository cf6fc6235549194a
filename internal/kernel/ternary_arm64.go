//go:build !noasm

package kernel

import "trit/internal/ternary"

var neonTernary = ternaryKernels{
	matVec: [2]matVecFunc{matVecEach(ternary.T2, matMulT2I8x1NEON), matVecEach(ternary.T5, matMulT5I8x1NEON)},
	tile: [2]tileFunc{
		tileOf(ternary.T2, []rowsAsm{1: matMulT2I8x1NEON, 2: matMulT2I8x2NEON}),
		tileOf(ternary.T5, []rowsAsm{1: matMulT5I8x1NEON}),
	},
	tileTokens: 12,
	finish:     finishI8WithNEON,
	matMulF32:  [2]floatFunc{matMulT2F32WithNEON, matMulT5F32WithNEON},
}

var neonDotTernary = ternaryKernels{
	matVec: [2]matVecFunc{matVecEach(ternary.T2, matMulT2I8x1NEONDot), matVecEach(ternary.T5, matMulT5I8x1NEONDot)},
	tile: [2]tileFunc{
		tileOf(ternary.T2, []rowsAsm{1: matMulT2I8x1NEONDot, 4: matMulT2I8x4NEONDot}),
		tileOf(ternary.T5, []rowsAsm{1: matMulT5I8x1NEONDot, 3: matMulT5I8x3NEONDot}),
	},
	tileTokens: neonTernary.tileTokens,
	finish:     neonTernary.finish,
	matMulF32:  neonTernary.matMulF32,
	tiles:      &neonDotCodes,
}

var neonInt8 = int8Kernels{absMaxBits: absMaxBitsOf(16, absMaxBitsNEON), convert: convertOf(16, convertInt8NEON)}

var (
	neonMeasure    = measureKernels{streamRead: streamReadOf(128, streamReadNEON), int8Peak: int8PeakNEON, tilePeak: noTiles}
	neonDotMeasure = measureKernels{streamRead: streamReadOf(128, streamReadNEON), int8Peak: int8PeakNEONDot, tilePeak: noTiles}
)

// Each computes 16 sums for the number of rows of activations in its name, stride
// apart, with blocks ≥ 1 blocks.

//go:noescape
func matMulT2I8x1NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT2I8x4NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT5I8x1NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT5I8x3NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT2I8x1NEON(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT2I8x2NEON(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT5I8x1NEON(acc *int32, w *byte, x *int8, stride, blocks int)

// These add to the 4·16 partial sums of one row of activations.

//go:noescape
func matMulT2F32x1NEON(acc *float32, w *byte, x *float32, blocks int)

//go:noescape
func matMulT5F32x1NEON(acc *float32, unpacked *byte, x *float32, blocks int)

//go:noescape
func unpackT5NEON(dst *byte, w *byte, blocks int)

//go:noescape
func finishI8NEON(y *float32, acc *int32, sum int32, s float32, scale *float32, rows, add int)

//go:noescape
func absMaxBitsNEON(a *float32, n int) uint32

//go:noescape
func convertInt8NEON(q *int8, a *float32, n int, s float32) int32

//go:noescape
func streamReadNEON(p *byte, n int) uint64

func int8PeakNEONDot(iters int) int64

func int8PeakNEON(iters int) int64

func finishI8WithNEON(y []float32, yStride int, acc []int32, accStride int, sums []int32, sumStep int, s, scale []float32, tokens, rows int, add bool) {
	whole := rows &^ 3
	adding := 0
	if add {
		adding = 1
	}
	for t := range tokens {
		if whole > 0 {
			out, in := y[t*yStride:][:whole], acc[t*accStride:][:whole]
			finishI8NEON(&out[0], &in[0], sums[t*sumStep], s[t], &scale[:whole][0], whole, adding)
		}
	}
	if whole < rows {
		finishI8Generic(y[whole:], yStride, acc[whole:], accStride, sums, sumStep, s, scale[whole:], tokens, rows-whole, add)
	}
}

func matMulT2F32WithNEON(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
	touchFloats(acc, w, x, stride, blocks, tokens, 16)
	for t := range tokens {
		matMulT2F32x1NEON(&acc[64*t], &w[0], &x[t*stride], blocks)
	}
}

func matMulT5F32WithNEON(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
	touchFloats(acc, w, x, stride, blocks, tokens, 20)
	const step = 8
	var unpacked [128 * step]byte
	for k := 0; k < blocks; k += step {
		n := min(step, blocks-k)
		unpackT5NEON(&unpacked[0], &w[64*k], n)
		for t := range tokens {
			matMulT5F32x1NEON(&acc[64*t], &unpacked[0], &x[t*stride+20*k], n)
		}
	}
}
