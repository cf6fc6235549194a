//go:build !noasm

package kernel

import "trit/internal/ternary"

var sse41Grouped = groupedKernels{
	mul: [3]groupedFunc{
		groupedOf(ternary.G2, []groupedAsm{1: matMulG2I8x1SSE41, 2: matMulG2I8x2SSE41}),
		groupedOf(ternary.G5, []groupedAsm{1: matMulG5I8x1SSE41}),
		groupedOf(ternary.G1, []groupedAsm{1: matMulG1I8x1SSE41, 2: matMulG1I8x2SSE41}),
	},
	decodes:    [3]bool{true, true, true},
	tileTokens: 16,
	codes:      &sse41GroupCodes,
}

var avx2Grouped = groupedKernels{
	mul: [3]groupedFunc{
		groupedOf(ternary.G2, groupedG2AVX2), groupedOf(ternary.G5, groupedG5AVX2), groupedOf(ternary.G1, groupedG1AVX2),
	},
	decodes:    [3]bool{true, true, true},
	tileTokens: 16,
	codes:      &avx2GroupCodes,
}

var avxVNNIGrouped = groupedKernels{
	mul: [3]groupedFunc{
		groupedOf(ternary.G2, groupedG2AVXVNNI), groupedOf(ternary.G5, groupedG5AVXVNNI), groupedOf(ternary.G1, groupedG1AVXVNNI),
	},
	decodes:    [3]bool{true, true, true},
	tileTokens: 24,
	codes:      &avxVNNIGroupCodes,
}

// avx512Grouped decodes G5 with AVX2: only VBMI has the table look-up for it.
var avx512Grouped = groupedKernels{
	mul: [3]groupedFunc{
		groupedOf(ternary.G2, groupedG2AVX512), avx2Grouped.mul[ternary.G5-ternary.G2], groupedOf(ternary.G1, groupedG1AVX512),
	},
	decodes:    [3]bool{true, true, true},
	tileTokens: 24,
	codes:      &avx512GroupCodes,
}

var avx512VBMIGrouped = groupedKernels{
	mul: [3]groupedFunc{
		avx512Grouped.mul[0], groupedOf(ternary.G5, groupedG5AVX512VBMI), avx512Grouped.mul[ternary.G1-ternary.G2],
	},
	decodes:    [3]bool{true, true, true},
	tileTokens: 24,
}

// The kernels of each layout by the number of rows of activations.
var (
	groupedG2AVX2    = []groupedAsm{1: matMulG2I8x1AVX2, 2: matMulG2I8x2AVX2, 3: matMulG2I8x3AVX2, 4: matMulG2I8x4AVX2}
	groupedG5AVX2    = []groupedAsm{1: matMulG5I8x1AVX2, 2: matMulG5I8x2AVX2, 3: matMulG5I8x3AVX2, 4: matMulG5I8x4AVX2}
	groupedG1AVX2    = []groupedAsm{1: matMulG1I8x1AVX2, 2: matMulG1I8x2AVX2, 3: matMulG1I8x3AVX2, 4: matMulG1I8x4AVX2}
	groupedG2AVXVNNI = []groupedAsm{
		1: matMulG2I8x1AVXVNNI, 2: matMulG2I8x2AVXVNNI, 4: matMulG2I8x4AVXVNNI, 6: matMulG2I8x6AVXVNNI,
	}
	groupedG5AVXVNNI = []groupedAsm{1: matMulG5I8x1AVXVNNI, 2: matMulG5I8x2AVXVNNI, 4: matMulG5I8x4AVXVNNI}
	groupedG1AVXVNNI = []groupedAsm{
		1: matMulG1I8x1AVXVNNI, 2: matMulG1I8x2AVXVNNI, 4: matMulG1I8x4AVXVNNI,
	}
	groupedG2AVX512 = []groupedAsm{
		1: matMulG2I8x1AVX512, 2: matMulG2I8x2AVX512, 3: matMulG2I8x3AVX512, 4: matMulG2I8x4AVX512,
		5: matMulG2I8x5AVX512, 6: matMulG2I8x6AVX512, 7: matMulG2I8x7AVX512, 8: matMulG2I8x8AVX512,
		12: matMulG2I8x12AVX512, 16: matMulG2I8x16AVX512, 24: matMulG2I8x24AVX512,
	}
	groupedG5AVX512VBMI = []groupedAsm{
		1: matMulG5I8x1AVX512VBMI, 2: matMulG5I8x2AVX512VBMI, 3: matMulG5I8x3AVX512VBMI, 4: matMulG5I8x4AVX512VBMI,
		5: matMulG5I8x5AVX512VBMI, 6: matMulG5I8x6AVX512VBMI, 7: matMulG5I8x7AVX512VBMI, 8: matMulG5I8x8AVX512VBMI,
		12: matMulG5I8x12AVX512VBMI, 16: matMulG5I8x16AVX512VBMI, 24: matMulG5I8x24AVX512VBMI,
	}
	groupedG1AVX512 = []groupedAsm{
		1: matMulG1I8x1AVX512, 2: matMulG1I8x2AVX512, 3: matMulG1I8x3AVX512, 4: matMulG1I8x4AVX512,
		5: matMulG1I8x5AVX512, 6: matMulG1I8x6AVX512, 7: matMulG1I8x7AVX512, 8: matMulG1I8x8AVX512,
		12: matMulG1I8x12AVX512, 16: matMulG1I8x16AVX512, 24: matMulG1I8x24AVX512,
	}
)
