//go:build !noasm

package kernel

import "trit/internal/ternary"

// neonLines lists with the twins, and has no products in base 3.
var neonLines = lineKernels{
	dot:            [2]dotLinesFunc{dotLinesOf(ternary.T2, dotLinesT2NEON), dotLinesT5Generic},
	add:            [2]addColumnsFunc{addColumnsOf(ternary.T2, addColumnsT2NEON), addColumnsT5Generic},
	sum:            addSumsOf(16, addSumsNEON),
	listPositive:   listPositiveGeneric,
	expandPositive: expandPositiveGeneric,
	listNonzero:    listNonzeroGeneric,
	columns:        ternary.T2,
	fast:           [2]bool{ternary.T2: true},
}

// neonDotLines differs where rows are multiplied. Columns would have to be interleaved for
// dot products, which takes as many instructions as these save.
var neonDotLines = func() lineKernels {
	k := neonLines
	k.dot[ternary.T2] = dotLinesOf(ternary.T2, dotLinesT2NEONDot)
	return k
}()

//go:noescape
func dotLinesT2NEON(acc *int32, w *byte, at *uint32, x *int8, blocks, pairs int)

//go:noescape
func dotLinesT2NEONDot(acc *int32, w *byte, at *uint32, x *int8, blocks, pairs int)

//go:noescape
func addColumnsT2NEON(acc *int32, w *byte, at *uint32, q *int8, blocks, quads int)

//go:noescape
func addSumsNEON(acc, from *int32, n int)
