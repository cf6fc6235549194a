//go:build !noasm && (amd64 || arm64)

package kernel

import "trit/internal/ternary"

// withTiles says whether the program has kernels that multiply tiles.
const withTiles = true

type unpackFunc = func(codes, w []byte, blocks, ahead int)

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
