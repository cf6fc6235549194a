//go:build !noasm

package kernel

import "trit/internal/ternary"

var avx512Lines = lineKernels{
	dot:     [2]func([]int32, []byte, []uint32, []int8, int, int){dotLinesOf(ternary.T2, dotLinesT2AVX512), dotLinesT5Generic},
	add:     [2]func([]int32, []byte, []uint32, []int8, int){addColumnsOf(ternary.T2, addColumnsT2AVX512), addColumnsT5Generic},
	sum:     addSumsOf(16, addSumsAVX512),
	columns: ternary.T2,
	fast:    [2]bool{true, false},
}

var avx512VBMILines = lineKernels{
	dot:     [2]func([]int32, []byte, []uint32, []int8, int, int){avx512Lines.dot[ternary.T2], dotLinesOf(ternary.T5, dotLinesT5AVX512VBMI)},
	add:     [2]func([]int32, []byte, []uint32, []int8, int){avx512Lines.add[ternary.T2], addColumnsOf(ternary.T5, addColumnsT5AVX512VBMI)},
	sum:     avx512Lines.sum,
	columns: ternary.T5,
	fast:    [2]bool{true, true},
}

// dotLinesOf serves dot with a kernel, whose operands it checks.
func dotLinesOf(l ternary.Layout, pairsOf func(acc *int32, w *byte, at *uint32, x *int8, blocks, pairs int)) func([]int32, []byte, []uint32, []int8, int, int) {
	codes := 16 * l.UnitCols()
	return func(acc []int32, w []byte, at []uint32, x []int8, blocks, pairs int) {
		for _, from := range at[:2*pairs+8] {
			_ = w[int(from)+blocks*ternary.BlockBytes-1]
		}
		_, _ = acc[2*pairs-1], x[blocks*codes-1]
		pairsOf(&acc[0], &w[0], &at[0], &x[0], blocks, pairs)
	}
}

// addColumnsOf serves add with a kernel, whose operands it checks.
func addColumnsOf(l ternary.Layout, quadsOf func(acc *int32, w *byte, at *uint32, q *int8, quads int)) func([]int32, []byte, []uint32, []int8, int) {
	rows := 16 * l.UnitCols()
	return func(acc []int32, w []byte, at []uint32, q []int8, quads int) {
		for _, from := range at[:4*quads] {
			_ = w[int(from)+ternary.BlockBytes-1]
		}
		_, _, _ = acc[rows-1], q[4*quads-1], at[4*quads+columnRun-1]
		quadsOf(&acc[0], &w[0], &at[0], &q[0], quads)
	}
}

// addSumsOf serves sum with a kernel for multiples of step sums.
func addSumsOf(step int, whole func(acc, from *int32, n int)) func(acc, from []int32) {
	return func(acc, from []int32) {
		n := len(acc) / step
		from = from[:len(acc)]
		if n > 0 {
			whole(&acc[0], &from[0], n)
		}
		addSumsGeneric(acc[n*step:], from[n*step:])
	}
}
