//go:build !noasm

package kernel

import "unsafe"

// coarseScore4NEONDot multiplies the first plane of a panel with one state.
//
//go:noescape
func coarseScore4NEONDot(y *float32, codes *byte, blocks int, x *int8, step *float32, terms *byte)

// coarseScore6NEONDot multiplies the first two planes of a panel with one state.
//
//go:noescape
func coarseScore6NEONDot(y *float32, codes, pairs *byte, blocks int, x *int8, step *float32, terms *byte)

// coarseRefineNEONDot adds a plane's share to the listed logits.
//
//go:noescape
func coarseRefineNEONDot(y *float32, rows *int32, n int, plane *byte, blocks int, x *int8, step *float32, factor, bias float32)

// The copy is made once, when a model is loaded; that part runs the twins.
var neonDotCoarse = coarseKernels{
	score: [2][]coarseScore{
		{{1, func(y []float32, _ int, codes, _ []byte, blocks int, x []int8, _ int, step []float32, terms []coarseTerms) {
			coarseScore4NEONDot(&y[0], &codes[0], blocks, &x[0], &step[0], (*byte)(unsafe.Pointer(&terms[0])))
		}}},
		{{1, func(y []float32, _ int, codes, pairs []byte, blocks int, x []int8, _ int, step []float32, terms []coarseTerms) {
			coarseScore6NEONDot(&y[0], &codes[0], &pairs[0], blocks, &x[0], &step[0], (*byte)(unsafe.Pointer(&terms[0])))
		}}},
	},
	narrow: narrowGeneric,
	refine: func(y []float32, rows []int32, plane []byte, blocks int, x []int8, step []float32, factor, bias float32) {
		coarseRefineNEONDot(&y[0], &rows[0], len(rows), &plane[0], blocks, &x[0], &step[0], factor, bias)
	},
	center: coarseCenterGeneric,
	encode: coarseEncodeGeneric,
}
