//go:build !noasm

package kernel

import "trit/internal/ternary"

// sse41Ternary leaves products with float activations to the twins.
var sse41Ternary = ternaryKernels{
	matVec:     [2]matVecFunc{matVecEach(ternary.T2, matMulT2I8x1SSE41), matVecEach(ternary.T5, matMulT5I8x1SSE41)},
	tile:       [2]tileFunc{tileOf(ternary.T2, rowsT2SSE41), tileOf(ternary.T5, rowsT5SSE41)},
	tileTokens: 16,
	finish:     finishOf(4, finishI8SSE41),
	matMulF32:  blockedTernary.matMulF32,
	tiles:      &sse41Codes,
}

var avx2Ternary = ternaryKernels{
	matVec:     [2]matVecFunc{matVecEach(ternary.T2, matMulT2I8x1AVX2), matVecEach(ternary.T5, matMulT5I8x1AVX2)},
	tile:       [2]tileFunc{tileOf(ternary.T2, rowsT2AVX2), tileOf(ternary.T5, rowsT5AVX2)},
	tileTokens: 16,
	finish:     finishOf(8, finishI8AVX2),
	matMulF32: [2]floatFunc{
		matMulF32HalvesOf(ternary.T2, matMulT2F32x1AVX2, matMulT2F32x2AVX2),
		matMulF32HalvesOf(ternary.T5, matMulT5F32x1AVX2, matMulT5F32x2AVX2),
	},
	tiles: &avx2Codes,
}

var avxVNNITernary = ternaryKernels{
	matVec:     [2]matVecFunc{matVecEach(ternary.T2, matMulT2I8x1AVXVNNI), matVecEach(ternary.T5, matMulT5I8x1AVXVNNI)},
	tile:       [2]tileFunc{tileOf(ternary.T2, rowsT2AVXVNNI), tileOf(ternary.T5, rowsT5AVXVNNI)},
	tileTokens: avx2Ternary.tileTokens,
	finish:     avx2Ternary.finish,
	matMulF32:  avx2Ternary.matMulF32,
	tiles:      &avxVNNICodes,
}

// avx512Ternary decodes T5 with AVX2: only VBMI has the table look-up for it.
var avx512Ternary = ternaryKernels{
	matVec:     [2]matVecFunc{matVecOf(ternary.T2, matVecT2I8AVX512), avx2Ternary.matVec[ternary.T5]},
	tile:       [2]tileFunc{tileOf(ternary.T2, rowsT2AVX512), avx2Ternary.tile[ternary.T5]},
	tileTokens: 24,
	finish:     finishOf(1, finishI8AVX512),
	matMulF32: [2]floatFunc{
		matMulF32Of(ternary.T2, matMulT2F32x1AVX512, matMulT2F32x4AVX512), avx2Ternary.matMulF32[ternary.T5],
	},
}

var avx512VBMITernary = ternaryKernels{
	matVec:     [2]matVecFunc{avx512Ternary.matVec[ternary.T2], matVecOf(ternary.T5, matVecT5I8AVX512VBMI)},
	tile:       [2]tileFunc{avx512Ternary.tile[ternary.T2], tileOf(ternary.T5, rowsT5AVX512VBMI)},
	tileTokens: avx512Ternary.tileTokens,
	finish:     avx512Ternary.finish,
	matMulF32: [2]floatFunc{
		avx512Ternary.matMulF32[ternary.T2], matMulF32Of(ternary.T5, matMulT5F32x1AVX512VBMI, matMulT5F32x4AVX512VBMI),
	},
}

var (
	sse41Int8  = int8Kernels{absMaxBits: absMaxBitsOf(16, absMaxBitsSSE41), convert: convertOf(16, convertInt8SSE41)}
	avx2Int8   = int8Kernels{absMaxBits: absMaxBitsOf(32, absMaxBitsAVX2), convert: convertOf(32, convertInt8AVX2)}
	avx512Int8 = int8Kernels{absMaxBits: absMaxBitsOf(1, absMaxBitsAVX512), convert: convertOf(1, convertInt8AVX512)}

	sse41Measure   = measureKernels{streamRead: streamReadOf(512, streamReadSSE41), int8Peak: int8PeakSSE41, tilePeak: noTiles}
	avx2Measure    = measureKernels{streamRead: streamReadOf(512, streamReadAVX2), int8Peak: int8PeakAVX2, tilePeak: noTiles}
	avxVNNIMeasure = measureKernels{streamRead: avx2Measure.streamRead, int8Peak: int8PeakAVXVNNI, tilePeak: noTiles}
	avx512Measure  = measureKernels{streamRead: streamReadOf(512, streamReadAVX512), int8Peak: int8PeakAVX512, tilePeak: noTiles}
)

// The kernels of each layout by the number of rows of activations.
var (
	rowsT2SSE41   = []rowsAsm{1: matMulT2I8x1SSE41, 2: matMulT2I8x2SSE41}
	rowsT5SSE41   = []rowsAsm{1: matMulT5I8x1SSE41}
	rowsT2AVX2    = []rowsAsm{1: matMulT2I8x1AVX2, 2: matMulT2I8x2AVX2, 3: matMulT2I8x3AVX2, 4: matMulT2I8x4AVX2}
	rowsT5AVX2    = []rowsAsm{1: matMulT5I8x1AVX2, 2: matMulT5I8x2AVX2, 3: matMulT5I8x3AVX2, 4: matMulT5I8x4AVX2}
	rowsT2AVXVNNI = []rowsAsm{1: matMulT2I8x1AVXVNNI, 2: matMulT2I8x2AVXVNNI, 4: matMulT2I8x4AVXVNNI}
	rowsT5AVXVNNI = []rowsAsm{1: matMulT5I8x1AVXVNNI, 2: matMulT5I8x2AVXVNNI, 4: matMulT5I8x4AVXVNNI}
	rowsT2AVX512  = []rowsAsm{
		1: func(acc *int32, w *byte, x *int8, _, blocks int) { matVecT2I8AVX512(acc, w, x, blocks, 1, 0) },
		2: matMulT2I8x2AVX512, 3: matMulT2I8x3AVX512, 4: matMulT2I8x4AVX512, 5: matMulT2I8x5AVX512,
		6: matMulT2I8x6AVX512, 7: matMulT2I8x7AVX512, 8: matMulT2I8x8AVX512,
		12: matMulT2I8x12AVX512, 16: matMulT2I8x16AVX512, 24: matMulT2I8x24AVX512,
	}
	rowsT5AVX512VBMI = []rowsAsm{
		1: func(acc *int32, w *byte, x *int8, _, blocks int) { matVecT5I8AVX512VBMI(acc, w, x, blocks, 1, 0) },
		2: matMulT5I8x2AVX512VBMI, 3: matMulT5I8x3AVX512VBMI, 4: matMulT5I8x4AVX512VBMI, 5: matMulT5I8x5AVX512VBMI,
		6: matMulT5I8x6AVX512VBMI, 7: matMulT5I8x7AVX512VBMI, 8: matMulT5I8x8AVX512VBMI,
		12: matMulT5I8x12AVX512VBMI, 16: matMulT5I8x16AVX512VBMI, 24: matMulT5I8x24AVX512VBMI,
	}
)

type finishAsm = func(y *float32, yStride int, acc *int32, accStride int, sums *int32, sumStep int, s, scale *float32, tokens, rows, add int)

// finishOf serves finish with a kernel for multiples of step rows, a power of two.
func finishOf(step int, whole finishAsm) finishFunc {
	return func(y []float32, yStride int, acc []int32, accStride int, sums []int32, sumStep int, s, scale []float32, tokens, rows int, add bool) {
		_ = y[(tokens-1)*yStride+rows-1]
		_ = acc[(tokens-1)*accStride+rows-1]
		_ = sums[(tokens-1)*sumStep]
		_ = s[tokens-1]
		_ = scale[rows-1]
		n := rows &^ (step - 1)
		if n > 0 {
			adding := 0
			if add {
				adding = 1
			}
			whole(&y[0], yStride, &acc[0], accStride, &sums[0], sumStep, &s[0], &scale[0], tokens, n, adding)
		}
		if n < rows {
			finishI8Generic(y[n:], yStride, acc[n:], accStride, sums, sumStep, s, scale[n:], tokens, rows-n, add)
		}
	}
}

// rowsF32Asm adds to the partial sums of a fixed number of rows of activations.
type rowsF32Asm = func(acc *float32, w *byte, x *float32, stride, blocks int)

// matMulF32Of serves matMulF32 with kernels for one and for four rows of activations.
func matMulF32Of(l ternary.Layout, one, four rowsF32Asm) floatFunc {
	width := l.UnitCols()
	return func(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
		touchFloats(acc, w, x, stride, blocks, tokens, width)
		if tokens == 4 {
			four(&acc[0], &w[0], &x[0], stride, blocks)
			return
		}
		for t := range tokens {
			one(&acc[64*t], &w[0], &x[t*stride], stride, blocks)
		}
	}
}

// matMulF32HalvesOf does the same with kernels for half a panel and one and two rows.
func matMulF32HalvesOf(l ternary.Layout, one, two rowsF32Asm) floatFunc {
	width := l.UnitCols()
	return func(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
		touchFloats(acc, w, x, stride, blocks, tokens, width)
		for half := range 2 {
			t := 0
			for ; t+2 <= tokens; t += 2 {
				two(&acc[64*t+8*half], &w[32*half], &x[t*stride], stride, blocks)
			}
			if t < tokens {
				one(&acc[64*t+8*half], &w[32*half], &x[t*stride], stride, blocks)
			}
		}
	}
}
