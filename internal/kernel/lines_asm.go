//go:build !noasm && (amd64 || arm64)

package kernel

import "trit/internal/ternary"

// dotLinesOf serves dot with a kernel.
func dotLinesOf(l ternary.Layout, pairsOf func(acc *int32, w *byte, at *uint32, x *int8, blocks, pairs int)) dotLinesFunc {
	codes := 16 * l.UnitCols()
	return func(acc []int32, w []byte, at []uint32, x []int8, blocks, pairs int) {
		_ = w[int(at[2*pairs-1])+blocks*ternary.BlockBytes-1]
		_, _, _ = acc[2*pairs-1], x[blocks*codes-1], at[2*pairs+23]
		pairsOf(&acc[0], &w[0], &at[0], &x[0], blocks, pairs)
	}
}

// addColumnsOf serves add with a kernel.
func addColumnsOf(l ternary.Layout, quadsOf func(acc *int32, w *byte, at *uint32, q *int8, blocks, quads int)) addColumnsFunc {
	rows := 16 * l.UnitCols()
	return func(acc []int32, w []byte, at []uint32, q []int8, blocks, quads int) {
		_ = w[int(at[4*quads-1])+blocks*ternary.BlockBytes-1]
		_, _, _ = acc[blocks*rows-1], q[4*quads-1], at[4*quads+2*columnRun-1]
		quadsOf(&acc[0], &w[0], &at[0], &q[0], blocks, quads)
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
