//go:build !noasm

package kernel

import "trit/internal/half"

var (
	sse41Scores = [kvTypes]scoresBlocks{
		KVF32: {scoresF32x1SSE41},
		KVF16: {scoresF16x1SSE41, scoresF16x2SSE41, scoresF16x4SSE41, nil},
		KVI8:  {scoresI8x1SSE41, scoresI8x2SSE41, scoresI8x4SSE41, nil},
	}
	sse41Values = [kvTypes]valuesBlocks{
		KVF32: {valuesF32x1SSE41},
		KVF16: {valuesF16x1SSE41, valuesF16x2SSE41, valuesF16x4SSE41, nil},
		KVI8:  {valuesI8x1SSE41, valuesI8x2SSE41, valuesI8x4SSE41, nil},
	}
	avx2Scores = [kvTypes]scoresBlocks{
		KVF32: {scoresF32x1AVX2, scoresF32x2AVX2, scoresF32x4AVX2, nil},
		KVF16: {scoresF16x1AVX2, scoresF16x2AVX2, scoresF16x4AVX2, nil},
		KVI8:  {scoresI8x1AVX2, scoresI8x2AVX2, scoresI8x4AVX2, nil},
		KVQ4:  {scoresQ4x1AVX2, scoresQ4x2AVX2, scoresQ4x4AVX2, nil},
	}
	avx2Values = [kvTypes]valuesBlocks{
		KVF32: {valuesF32x1AVX2, valuesF32x2AVX2, valuesF32x4AVX2, nil},
		KVF16: {valuesF16x1AVX2, valuesF16x2AVX2, valuesF16x4AVX2, nil},
		KVI8:  {valuesI8x1AVX2, valuesI8x2AVX2, valuesI8x4AVX2, nil},
	}
	avx512Scores = [kvTypes]scoresBlocks{
		KVF32: {scoresF32x1AVX512, scoresF32x2AVX512, scoresF32x4AVX512, scoresF32x8AVX512},
		KVF16: {scoresF16x1AVX512, scoresF16x2AVX512, scoresF16x4AVX512, scoresF16x8AVX512},
		KVI8:  {scoresI8x1AVX512, scoresI8x2AVX512, scoresI8x4AVX512, scoresI8x8AVX512},
		KVQ4:  {scoresQ4x1AVX512, scoresQ4x2AVX512, scoresQ4x4AVX512, scoresQ4x8AVX512},
	}
	avx512Values = [kvTypes]valuesBlocks{
		KVF32: {valuesF32x1AVX512, valuesF32x2AVX512, valuesF32x4AVX512, nil},
		KVF16: {valuesF16x1AVX512, valuesF16x2AVX512, valuesF16x4AVX512, nil},
		KVI8:  {valuesI8x1AVX512, valuesI8x2AVX512, valuesI8x4AVX512, nil},
	}
	avx2ValuesQ4   = valuesQ4Blocks{valuesQ4x1AVX2, valuesQ4x2AVX2, valuesQ4x4AVX2}
	avx512ValuesQ4 = valuesQ4Blocks{valuesQ4x1AVX512, valuesQ4x2AVX512, valuesQ4x4AVX512}
)

var sse41Attend = attendKernels{
	scores: [kvTypes]func(s, q []float32, k []byte, kscale []float32, d, nq int, scale float32, soon, later *byte){
		sse41Scores[KVF32].run, sse41Scores[KVF16].run, sse41Scores[KVI8].run, scoresQ4Generic,
	},
	values: [kvTypes]func(o, e []float32, v []byte, d, nq, n int){
		sse41Values[KVF32].run, sse41Values[KVF16].run, sse41Values[KVI8].run, nil,
	},
	valuesQ4: valuesQ4Generic,
	rowF16:   rowF16Generic,
	laneF16:  laneF16Generic,
	axpy:     axpySSE41,
	divide:   divideSSE41,
}

var avx2Attend = attendKernels{
	scores: [kvTypes]func(s, q []float32, k []byte, kscale []float32, d, nq int, scale float32, soon, later *byte){
		avx2Scores[KVF32].run, avx2Scores[KVF16].run, avx2Scores[KVI8].run, avx2Scores[KVQ4].run,
	},
	values: [kvTypes]func(o, e []float32, v []byte, d, nq, n int){
		avx2Values[KVF32].run, avx2Values[KVF16].run, avx2Values[KVI8].run, nil,
	},
	valuesQ4: avx2ValuesQ4.run,
	rowF16:   rowF16WithAVX2,
	laneF16:  laneF16WithAVX2,
	axpy:     axpyAVX2,
	divide:   divideAVX2,
}

var avx512Attend = attendKernels{
	scores: [kvTypes]func(s, q []float32, k []byte, kscale []float32, d, nq int, scale float32, soon, later *byte){
		avx512Scores[KVF32].run, avx512Scores[KVF16].run, avx512Scores[KVI8].run, avx512Scores[KVQ4].run,
	},
	values: [kvTypes]func(o, e []float32, v []byte, d, nq, n int){
		avx512Values[KVF32].run, avx512Values[KVF16].run, avx512Values[KVI8].run, nil,
	},
	valuesQ4: avx512ValuesQ4.run,
	rowF16:   rowF16WithAVX2,
	laneF16:  laneF16WithAVX2,
	axpy:     axpyAVX512,
	divide:   divideAVX512,
}

// rowF16WithAVX2 and laneF16WithAVX2 run whole vectors of eight in assembly.
func rowF16WithAVX2(dst []uint16, src []float32) {
	n := len(src) &^ 7
	if n > 0 {
		_ = dst[n-1]
		rowF16AVX2(&dst[0], src[:n])
	}
	rowF16Generic(dst[n:], src[n:])
}

func laneF16WithAVX2(dst []uint16, src []float32) {
	n := len(src) &^ 7
	if n > 0 {
		_ = dst[(n-1)*PageTokens]
		laneF16AVX2(&dst[0], src[:n])
	}
	for i, v := range src[n:] {
		dst[(n+i)*PageTokens] = half.F32ToF16(v)
	}
}
