//go:build !noasm

package kernel

import (
	"slices"
	"unsafe"
)

type coarseScoreFunc func(y *float32, yStride int, codes, pairs *byte, blocks int, x *int8, xStride int, step *float32, terms *byte)

func coarseScoreKernel(states int, f coarseScoreFunc) coarseScore {
	return coarseScore{states, func(y []float32, yStride int, codes, pairs []byte, blocks int, x []int8, xStride int, step []float32, terms []coarseTerms) {
		f(&y[0], yStride, &codes[0], &pairs[0], blocks, &x[0], xStride, &step[0], (*byte)(unsafe.Pointer(&terms[0])))
	}}
}

var sse41Coarse = coarseKernels{
	score: [2][]coarseScore{
		{coarseScoreKernel(1, coarseScore4x1SSE41)},
		{coarseScoreKernel(1, coarseScore6x1SSE41)},
	},
	narrow: [2][]coarseScore{
		{coarseScoreKernel(1, coarseNarrow4x1SSE41), coarseScoreKernel(2, coarseNarrow4x2SSE41)},
		{coarseScoreKernel(1, coarseNarrow6x1SSE41), coarseScoreKernel(2, coarseNarrow6x2SSE41)},
	},
	refine: func(y []float32, rows []int32, plane []byte, blocks int, x []int8, step []float32, factor, bias float32) {
		coarseRefineSSE41(&y[0], &rows[0], len(rows), &plane[0], blocks, &x[0], &step[0], factor, bias)
	},
	center: func(v, w, inverse, center []float32) (squares, most float32) {
		return coarseCenterSSE41(&v[0], &w[0], &inverse[0], &center[0], len(v))
	},
	encode: func(codes []byte, v []float32, inv, step float32) (sums [CoarsePlanes]float32) {
		coarseEncodeSSE41(&codes[0], &v[0], len(codes), inv, step, &sums[0])
		return sums
	},
}

var avx2Coarse = coarseKernels{
	score: [2][]coarseScore{
		{coarseScoreKernel(1, coarseScore4x1AVX2)},
		{coarseScoreKernel(1, coarseScore6x1AVX2)},
	},
	narrow: [2][]coarseScore{
		{coarseScoreKernel(1, coarseNarrow4x1AVX2), coarseScoreKernel(2, coarseNarrow4x2AVX2)},
		{coarseScoreKernel(1, coarseNarrow6x1AVX2), coarseScoreKernel(2, coarseNarrow6x2AVX2)},
	},
	refine: func(y []float32, rows []int32, plane []byte, blocks int, x []int8, step []float32, factor, bias float32) {
		coarseRefineAVX2(&y[0], &rows[0], len(rows), &plane[0], blocks, &x[0], &step[0], factor, bias)
	},
	center: func(v, w, inverse, center []float32) (squares, most float32) {
		return coarseCenterAVX2(&v[0], &w[0], &inverse[0], &center[0], len(v))
	},
	encode: func(codes []byte, v []float32, inv, step float32) (sums [CoarsePlanes]float32) {
		coarseEncodeAVX2(&codes[0], &v[0], len(codes), inv, step, &sums[0])
		return sums
	},
}

// avxVNNICoarse has a kernel for more states.
var avxVNNICoarse = func() coarseKernels {
	k := avx2Coarse
	k.narrow = [2][]coarseScore{
		append(slices.Clone(k.narrow[0]), coarseScoreKernel(4, coarseNarrow4x4AVXVNNI)),
		append(slices.Clone(k.narrow[1]), coarseScoreKernel(4, coarseNarrow6x4AVXVNNI)),
	}
	return k
}()

var avx512Coarse = coarseKernels{
	score: [2][]coarseScore{{
		coarseScoreKernel(1, coarseScore4x1AVX512),
		coarseScoreKernel(2, coarseScore4x2AVX512),
		coarseScoreKernel(4, coarseScore4x4AVX512),
		coarseScoreKernel(8, coarseScore4x8AVX512),
	}, {
		coarseScoreKernel(1, coarseScore6x1AVX512),
		coarseScoreKernel(2, coarseScore6x2AVX512),
		coarseScoreKernel(4, coarseScore6x4AVX512),
		coarseScoreKernel(8, coarseScore6x8AVX512),
	}},
	narrow: [2][]coarseScore{{
		coarseScoreKernel(1, coarseNarrow4x1AVX512),
		coarseScoreKernel(2, coarseNarrow4x2AVX512),
		coarseScoreKernel(4, coarseNarrow4x4AVX512),
		coarseScoreKernel(8, coarseNarrow4x8AVX512),
	}, {
		coarseScoreKernel(1, coarseNarrow6x1AVX512),
		coarseScoreKernel(2, coarseNarrow6x2AVX512),
		coarseScoreKernel(4, coarseNarrow6x4AVX512),
		coarseScoreKernel(8, coarseNarrow6x8AVX512),
	}},
	refine: func(y []float32, rows []int32, plane []byte, blocks int, x []int8, step []float32, factor, bias float32) {
		if n := len(rows) &^ 3; n > 0 {
			coarseRefinex4AVX512(&y[0], &rows[0], n, &plane[0], blocks, &x[0], &step[0], factor, bias)
			rows = rows[n:]
		}
		if len(rows) > 0 {
			coarseRefineAVX512(&y[0], &rows[0], len(rows), &plane[0], blocks, &x[0], &step[0], factor, bias)
		}
	},
	center: func(v, w, inverse, center []float32) (squares, most float32) {
		return coarseCenterAVX512(&v[0], &w[0], &inverse[0], &center[0], len(v))
	},
	encode: func(codes []byte, v []float32, inv, step float32) (sums [CoarsePlanes]float32) {
		coarseEncodeAVX512(&codes[0], &v[0], len(codes), inv, step, &sums[0])
		return sums
	},
}
