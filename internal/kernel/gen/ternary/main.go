// Command ternary generates the amd64 assembly of the ternary products, the
// quantisation of activations, and the two measurements of the machine that
// benchmarks compare with: streaming reads and the peak of int8 products.
//
// Run it through go generate in the kernel package.
package main

import (
	. "github.com/mmcloughlin/avo/build"

	"trit/internal/kernel/gen/legacy"
)

func main() {
	ConstraintExpr("!noasm")

	cpuidFunction()

	streamRead512()
	streamRead256(ymm)
	streamRead256(xmm)
	int8Peak512()
	int8Peak256(ymm)
	int8Peak256(xmm)
	int8PeakVNNI()

	absMaxBits512()
	absMaxBits256(ymm)
	absMaxBits256(xmm)
	convertInt8512()
	convertInt8256(ymm)
	convertInt8256(xmm)

	finish512()
	finish256(ymm)
	finish256(xmm)

	matVecT2()
	matVecT5()
	for _, d := range []decoder512{decodeT2, decodeT5VBMI} {
		for _, n := range []int{2, 3, 4, 5, 6, 7, 8, 12, 16, 24} {
			matMul512(d, n)
		}
		for _, n := range []int{1, 4} {
			matMulF32512(d, n)
		}
	}
	for _, g := range []grouping512{groupG2, groupG5, groupG1} {
		for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24} {
			groupedMul512(g, n)
		}
	}
	for _, g := range []grouping256{groupG2For256, groupG5For256, groupG1For256} {
		for _, n := range []int{1, 2, 3, 4} {
			groupedMul256(g, n, false)
		}
		for _, n := range []int{1, 2, 4} {
			groupedMul256(g, n, true)
		}
	}
	groupedMul256(groupG2For256, 6, true)
	for _, d := range []decoder256{decodeT2For256, decodeT5For256} {
		for _, n := range []int{1, 2, 3, 4} {
			matMul256(d, n)
		}
		for _, n := range []int{1, 2, 4} {
			matMulVNNI(d, n)
		}
		for _, n := range []int{1, 2} {
			matMulF32256(d, n)
		}
	}

	for _, v := range []vectors{ymm, xmm} {
		codes256(decodeT2For256, v)
		codes256(decodeT5For256, v)
	}
	for _, n := range []int{1, 2, 4, 6} {
		mulCodes256(n, false)
		mulCodes256(n, true)
		mulGroup256(n, false)
		mulGroup256(n, true)
	}
	codesG1(ymm)
	groupScales("G5", ymm, 1, scalesG5For256)
	groupScales("G1", ymm, 2, scalesG1For256)

	tilePeak()
	codes512(decodeT2)
	codes512(decodeT5VBMI)
	tileMul()
	tileFinish()
	for _, u := range []unpacking512{unpackG2, unpackG5, unpackG1} {
		for _, n := range []int{4, 8, 12, 16} {
			tileGroups(u, n)
		}
	}
	for _, d := range []decoder512{decodeT2, decodeT5VBMI} {
		dotLines512(d)
		addColumns512(d)
	}
	for _, v := range []vectors{ymm, xmm} {
		dotLinesT2For256(v)
		addColumnsT2For256(v)
		addSums256(v)
	}
	addSums512()
	listPositive512()
	expandPositive512()
	listNonzero512()

	for _, n := range []int{1, 2} {
		matMul128(decodeT2For256, n)
		mulCodes128(n)
		mulGroup128(n)
		groupedMul128(groupG2For128, n)
		groupedMul128(groupG1For128, n)
	}
	// Decoding base 3 takes so long that two rows at a time would gain little.
	matMul128(decodeT5For256, 1)
	groupedMul128(groupG5For128, 1)
	codesG1(xmm)
	groupScales("G5", xmm, 1, scalesG5For128)
	groupScales("G1", xmm, 2, scalesG1For128)
	legacy.Lower()
	Generate()
}
