//go:build !noasm

package kernel

import "trit/internal/ternary"

// withTiles says whether the program has kernels that multiply tiles.
const withTiles = true

// avx2Codes and avxVNNICodes have no matrix unit, but gain from weights that are unpacked
// once for all rows of activations.
var (
	avx2Codes = tileKernels{
		// Of eight rows the codes of layout T2 are unpacked as fast twice.
		least:  9,
		unpack: unpackCodes256,
		mul:    mulCodesOf([]codesAsm{1: mulCodesx1AVX2, 2: mulCodesx2AVX2, 4: mulCodesx4AVX2, 6: mulCodesx6AVX2}),
		finish: finishTilesOf(finishOf(8, finishI8AVX2)),
	}
	avxVNNICodes = tileKernels{
		least:  avx2Codes.least,
		unpack: unpackCodes256,
		mul:    mulCodesOf([]codesAsm{1: mulCodesx1AVXVNNI, 2: mulCodesx2AVXVNNI, 4: mulCodesx4AVXVNNI, 6: mulCodesx6AVXVNNI}),
		finish: avx2Codes.finish,
	}
)

type unpackFunc = func(codes, w []byte, blocks, ahead int)

var unpackCodes256 = [2]unpackFunc{unpackCodesOf(ternary.T2, codesT2AVX2), unpackCodesOf(ternary.T5, codesT5AVX2)}

func unpackCodesOf(l ternary.Layout, all func(codes, w *byte, blocks, ahead int)) unpackFunc {
	size := ternary.PanelRows * l.UnitCols()
	return func(codes, w []byte, blocks, ahead int) {
		_ = codes[size*blocks-1]
		_ = w[64*blocks-1]
		all(&codes[0], &w[0], blocks, ahead)
	}
}

// codesAsm adds products of a fixed number of rows of activations, of 16·steps columns, to
// the sums of one of two panels.
type codesAsm = func(acc *int32, x *int8, stride int, codes *byte, steps int)

// mulCodesOf serves mul of tileKernels with the largest kernels that fit: kernels[n] takes
// n rows; there is one for a single row.
func mulCodesOf(kernels []codesAsm) func(acc []int32, x []int8, stride int, codes []byte, second, steps, tokens int, add bool) {
	return func(acc []int32, x []int8, stride int, codes []byte, second, steps, tokens int, add bool) {
		_ = acc[tokens*pairRows-1]
		_ = x[(tokens-1)*stride+steps*tileStep-1]
		_ = codes[second+steps*tileStep*ternary.PanelRows-1]
		if !add {
			clear(acc[:tokens*pairRows])
		}
		for at := 0; at < tokens; {
			n := min(tokens-at, len(kernels)-1)
			for kernels[n] == nil {
				n--
			}
			kernels[n](&acc[at*pairRows], &x[at*stride], stride, &codes[0], steps*tileStep/16)
			if second != 0 {
				kernels[n](&acc[at*pairRows+ternary.PanelRows], &x[at*stride], stride, &codes[second], steps*tileStep/16)
			}
			at += n
		}
	}
}

// finishTilesOf serves finish of tileKernels.
func finishTilesOf(finish finishFunc) func(y []float32, yStride int, acc, sums []int32, s, scale []float32, tokens, rows int) {
	return func(y []float32, yStride int, acc, sums []int32, s, scale []float32, tokens, rows int) {
		finish(y, yStride, acc, pairRows, sums, 1, s, scale, tokens, rows, false)
	}
}
