//go:build !noasm

package kernel

import (
	"unsafe"

	"trit/internal/half"
)

// floatRows runs assembly for one and for size rows of F32, F16 or BF16.
type floatRows struct {
	size      int
	one, many func(y *float32, rows *byte, rowBytes int, x *float32, cols int)
}

func (k floatRows) matVec(y []float32, rows []byte, rowBytes int, x []float32) {
	if len(x) == 0 {
		clear(y)
		return
	}
	for len(y) >= k.size {
		k.many(&y[0], &rows[:k.size*rowBytes][0], rowBytes, &x[0], len(x))
		y, rows = y[k.size:], rows[k.size*rowBytes:]
	}
	for i := range y {
		k.one(&y[i], &rows[i*rowBytes:][:rowBytes][0], rowBytes, &x[0], len(x))
	}
}

// blockRow runs assembly for one row of a block format.
type blockRow func(row *byte, x []float32) float32

func (k blockRow) matVec(y []float32, rows []byte, rowBytes int, x []float32) {
	if len(x) == 0 {
		clear(y)
		return
	}
	for i := range y {
		y[i] = k(&rows[i*rowBytes:][:rowBytes][0], x)
	}
}

// decodeFloatRows runs assembly on multiples of sixteen elements of two bytes and
// the twin on the rest.
func decodeFloatRows(whole func(dst []float32, src *byte), rest func(dst []float32, src []byte)) func(dst []float32, src []byte) {
	return func(dst []float32, src []byte) {
		n := len(dst) &^ 15
		whole(dst[:n], unsafe.SliceData(src))
		rest(dst[n:], src[2*n:])
	}
}

// decodeBlocks adapts assembly that widens whole blocks.
func decodeBlocks(f func(dst []float32, src *byte)) func(dst []float32, src []byte) {
	return func(dst []float32, src []byte) { f(dst, unsafe.SliceData(src)) }
}

type tileKernel func(y *float32, yStride int, rows, x *float32, xStride, cols int)

// tiles are the kernels for 1 and for size rows × 1 and size tokens; that for size × size
// may be missing.
type tiles struct {
	size    int
	kernels [2][2]tileKernel
}

func (k *tiles) run(y []float32, yStride int, rows []float32, nRows, cols int, x []float32, xStride, nTok int) {
	for t := 0; t < nTok; {
		tokens, ti := 1, 0
		if nTok-t >= k.size {
			tokens, ti = k.size, 1
		}
		for r := 0; r < nRows; {
			n, ri := 1, 0
			if nRows-r >= k.size && k.kernels[1][ti] != nil {
				n, ri = k.size, 1
			}
			_ = y[(t+tokens-1)*yStride+r+n-1]
			if cols == 0 {
				for i := range tokens {
					clear(y[(t+i)*yStride+r:][:n])
				}
			} else {
				_ = x[(t+tokens-1)*xStride+cols-1]
				_ = rows[(r+n)*cols-1]
				k.kernels[ri][ti](&y[t*yStride+r], yStride, &rows[r*cols], &x[t*xStride], xStride, cols)
			}
			r += n
		}
		t += tokens
	}
}

var sse41Tiles = tiles{2, [2][2]tileKernel{
	{tile1x1SSE41, tile1x2SSE41},
	{tile2x1SSE41, nil},
}}

var avx2Tiles = tiles{2, [2][2]tileKernel{
	{tile1x1AVX2, tile1x2AVX2},
	{tile2x1AVX2, tile2x2AVX2},
}}

var avx512Tiles = tiles{4, [2][2]tileKernel{
	{tile1x1AVX512, tile1x4AVX512},
	{tile4x1AVX512, tile4x4AVX512},
}}

// sse41Head has the formats that heads of ternary models are published in.
var sse41Head = func() headKernels {
	k := headKernels{formats: genericHead.formats, tile: sse41Tiles.run}
	k.formats[headF32] = headFormat{1, 4, decodeF32Little, floatRows{2, headF32x1SSE41, headF32x2SSE41}.matVec}
	k.formats[headF16] = headFormat{1, 2, decodeFloatRows(decodeF16SSE41, half.DecodeF16),
		floatRows{2, headF16x1SSE41, headF16x2SSE41}.matVec}
	k.formats[headBF16] = headFormat{1, 2, decodeFloatRows(decodeBF16SSE41, half.DecodeBF16),
		floatRows{2, headBF16x1SSE41, headBF16x2SSE41}.matVec}
	k.formats[headQ8_0] = headFormat{q8_0Elems, q8_0Bytes, decodeBlocks(decodeQ8_0SSE41), blockRow(headQ8_0SSE41).matVec}
	return k
}()

var avx2Head = headKernels{
	formats: [headFormats]headFormat{
		headF32: {1, 4, decodeF32Little, floatRows{4, headF32x1AVX2, headF32x4AVX2}.matVec},
		headF16: {1, 2, decodeFloatRows(decodeF16AVX2, half.DecodeF16),
			floatRows{4, headF16x1AVX2, headF16x4AVX2}.matVec},
		headBF16: {1, 2, decodeFloatRows(decodeBF16AVX2, half.DecodeBF16),
			floatRows{4, headBF16x1AVX2, headBF16x4AVX2}.matVec},
		headQ8_0: {q8_0Elems, q8_0Bytes, decodeBlocks(decodeQ8_0AVX2), blockRow(headQ8_0AVX2).matVec},
		headQ6_K: {q6_KElems, q6_KBytes, decodeBlocks(decodeQ6_KAVX2), blockRow(headQ6_KAVX2).matVec},
		headQ4_0: {q4_0Elems, q4_0Bytes, decodeBlocks(decodeQ4_0AVX2), blockRow(headQ4_0AVX2).matVec},
		headQ4_K: {q4_KElems, q4_KBytes, decodeBlocks(decodeQ4_KAVX2), nil},
		headQ5_K: {q5_KElems, q5_KBytes, decodeBlocks(decodeQ5_KAVX2), nil},
	},
	tile: avx2Tiles.run,
}

var avx512Head = headKernels{
	formats: [headFormats]headFormat{
		headF32: {1, 4, decodeF32Little, floatRows{4, headF32x1AVX512, headF32x4AVX512}.matVec},
		headF16: {1, 2, decodeFloatRows(decodeF16AVX512, half.DecodeF16),
			floatRows{4, headF16x1AVX512, headF16x4AVX512}.matVec},
		headBF16: {1, 2, decodeFloatRows(decodeBF16AVX512, half.DecodeBF16),
			floatRows{4, headBF16x1AVX512, headBF16x4AVX512}.matVec},
		headQ8_0: {q8_0Elems, q8_0Bytes, decodeBlocks(decodeQ8_0AVX512), blockRow(headQ8_0AVX512).matVec},
		headQ6_K: {q6_KElems, q6_KBytes, decodeBlocks(decodeQ6_KAVX512), blockRow(headQ6_KAVX512).matVec},
		headQ4_0: {q4_0Elems, q4_0Bytes, decodeBlocks(decodeQ4_0AVX512), blockRow(headQ4_0AVX512).matVec},
		headQ4_K: {q4_KElems, q4_KBytes, decodeBlocks(decodeQ4_KAVX512), nil},
		headQ5_K: {q5_KElems, q5_KBytes, decodeBlocks(decodeQ5_KAVX512), nil},
	},
	tile: avx512Tiles.run,
}
