//go:build !noasm

package kernel

import (
	"math"

	"trit/internal/ternary"
)

// sse41Codes, avx2Codes and avxVNNICodes have no matrix unit, but gain from weights that are unpacked
// once for all rows of activations.
var (
	sse41Codes = tileKernels{
		least:  3, // two rows unpack the codes of layout T2 as fast themselves
		unpack: [2]unpackFunc{unpackCodesOf(ternary.T2, codesT2SSE41), unpackCodesOf(ternary.T5, codesT5SSE41)},
		mul:    mulCodesOf([]codesAsm{1: mulCodesx1SSE41, 2: mulCodesx2SSE41}),
		finish: finishTilesOf(finishOf(4, finishI8SSE41)),
	}
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

// The same with scales for groups.
var (
	sse41GroupCodes = groupCodes{
		least:  [3]int{3, 2, 3},
		unpack: unpackGroupsOf(sse41Codes.unpack, codesG1SSE41, scalesG5SSE41, scalesG1SSE41),
		mul:    mulGroupOf([]groupAsm{1: mulGroupx1SSE41, 2: mulGroupx2SSE41}),
	}
	avx2GroupCodes = groupCodes{
		least:  [3]int{9, 5, 9},
		unpack: unpackGroupsOf(unpackCodes256, codesG1AVX2, scalesG5AVX2, scalesG1AVX2),
		mul:    mulGroupOf([]groupAsm{1: mulGroupx1AVX2, 2: mulGroupx2AVX2, 4: mulGroupx4AVX2, 6: mulGroupx6AVX2}),
	}
	// avx512GroupCodes serve layout G5, which AVX-512 without VBMI has no kernels for.
	avx512GroupCodes = groupCodes{
		least:  [3]int{math.MaxInt, avx2GroupCodes.least[1], math.MaxInt},
		unpack: avx2GroupCodes.unpack,
		mul:    avx2GroupCodes.mul,
	}
	avxVNNIGroupCodes = groupCodes{
		least:  [3]int{32, 6, 12},
		unpack: avx2GroupCodes.unpack,
		mul:    mulGroupOf([]groupAsm{1: mulGroupx1AVXVNNI, 2: mulGroupx2AVXVNNI, 4: mulGroupx4AVXVNNI, 6: mulGroupx6AVXVNNI}),
	}
)

var unpackCodes256 = [2]unpackFunc{unpackCodesOf(ternary.T2, codesT2AVX2), unpackCodesOf(ternary.T5, codesT5AVX2)}

func unpackCodesOf(l ternary.Layout, all func(codes, w *byte, blocks, ahead int)) unpackFunc {
	size := ternary.PanelRows * l.UnitCols()
	return func(codes, w []byte, blocks, ahead int) {
		_ = codes[size*blocks-1]
		_ = w[64*blocks-1]
		all(&codes[0], &w[0], blocks, ahead)
	}
}
