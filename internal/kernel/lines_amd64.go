//go:build !noasm

package kernel

import "trit/internal/ternary"

// sse41Lines and avx2Lines list with the twins: there is no compression of vectors.
var sse41Lines = lineKernels{
	dot:            [2]dotLinesFunc{dotLinesOf(ternary.T2, dotLinesT2SSE41), dotLinesT5Generic},
	add:            [2]addColumnsFunc{addColumnsOf(ternary.T2, addColumnsT2SSE41), addColumnsT5Generic},
	sum:            addSumsOf(4, addSumsSSE41),
	listPositive:   listPositiveGeneric,
	expandPositive: expandPositiveGeneric,
	listNonzero:    listNonzeroGeneric,
	columns:        ternary.T2,
	fast:           [2]bool{ternary.T2: true},
}

var avx2Lines = lineKernels{
	dot:            [2]dotLinesFunc{dotLinesOf(ternary.T2, dotLinesT2AVX2), dotLinesT5Generic},
	add:            [2]addColumnsFunc{addColumnsOf(ternary.T2, addColumnsT2AVX2), addColumnsT5Generic},
	sum:            addSumsOf(8, addSumsAVX2),
	listPositive:   listPositiveGeneric,
	expandPositive: expandPositiveGeneric,
	listNonzero:    listNonzeroGeneric,
	columns:        ternary.T2,
	fast:           [2]bool{ternary.T2: true},
}

var avx512Lines = lineKernels{
	dot:            [2]dotLinesFunc{dotLinesOf(ternary.T2, dotLinesT2AVX512), dotLinesT5Generic},
	add:            [2]addColumnsFunc{addColumnsOf(ternary.T2, addColumnsT2AVX512), addColumnsT5Generic},
	sum:            addSumsOf(16, addSumsAVX512),
	listPositive:   listPositiveWithAVX512,
	expandPositive: expandPositiveWithAVX512,
	listNonzero:    listNonzeroWithAVX512,
	columns:        ternary.T2,
	fast:           [2]bool{ternary.T2: true},
}

var avx512VBMILines = lineKernels{
	dot:            [2]dotLinesFunc{avx512Lines.dot[ternary.T2], dotLinesOf(ternary.T5, dotLinesT5AVX512VBMI)},
	add:            [2]addColumnsFunc{avx512Lines.add[ternary.T2], addColumnsOf(ternary.T5, addColumnsT5AVX512VBMI)},
	sum:            avx512Lines.sum,
	listPositive:   avx512Lines.listPositive,
	expandPositive: avx512Lines.expandPositive,
	listNonzero:    avx512Lines.listNonzero,
	columns:        ternary.T5,
	fast:           [2]bool{ternary.T2: true, ternary.T5: true},
}

func listPositiveWithAVX512(at []uint32, gate []float32, first, size uint32) int {
	whole, n := len(gate)&^15, 0
	if _ = at[len(gate)+15]; whole > 0 {
		n = listPositiveAVX512(&at[0], &gate[0], whole/16, first, size)
	}
	return n + listPositiveGeneric(at[n:], gate[whole:], first+uint32(whole)*size, size)
}

func expandPositiveWithAVX512(y, gate, from []float32) {
	whole, n := len(gate)&^15, 0
	if _, _ = y[:len(gate)], from[:len(gate)]; whole > 0 {
		expandPositiveAVX512(&y[0], &gate[0], &from[0], whole/16)
	}
	if whole < len(gate) {
		for _, v := range gate[:whole] {
			n += positive(v)
		}
		expandPositiveGeneric(y[whole:], gate[whole:], from[n:])
	}
}

func listNonzeroWithAVX512(at []uint32, list, q []int8, first, size uint32) int {
	whole, n := len(q)&^15, 0
	if _, _ = at[len(q)+15], list[len(q)+15]; whole > 0 {
		n = listNonzeroAVX512(&at[0], &list[0], &q[0], whole/16, first, size)
	}
	return n + listNonzeroGeneric(at[n:], list[n:], q[whole:], first+uint32(whole)*size, size)
}
