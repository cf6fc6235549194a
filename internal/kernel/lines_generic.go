package kernel

import (
	"math"
)

// genericLines are the twins of the products with lines.
var genericLines = lineKernels{
	dot:            [2]dotLinesFunc{dotLinesT2Generic, dotLinesT5Generic},
	add:            [2]addColumnsFunc{addColumnsT2Generic, addColumnsT5Generic},
	sum:            addSumsGeneric,
	listPositive:   listPositiveGeneric,
	expandPositive: expandPositiveGeneric,
	listNonzero:    listNonzeroGeneric,
}

// digits4 turns a T2 byte into its four codes, as digits5 does for T5.
var digits4 = func() (table [256]uint16) {
	for v := range table {
		table[v] = uint16(v)
	}
	return table
}()

func dotLinesT2Generic(acc []int32, w []byte, at []uint32, x []int8, blocks, pairs int) {
	dotLinesGeneric(acc, w, at, x, blocks, pairs, 4, &digits4)
}

func dotLinesT5Generic(acc []int32, w []byte, at []uint32, x []int8, blocks, pairs int) {
	dotLinesGeneric(acc, w, at, x, blocks, pairs, 5, &digits5)
}

func dotLinesGeneric(acc []int32, w []byte, at []uint32, x []int8, blocks, pairs, fields int, codes *[256]uint16) {
	for i := range 2 * pairs {
		var sum int32
		for j := range blocks {
			block := (*[64]byte)(w[int(at[i])+64*j:])
			q := x[64*fields*j:][:64*fields]
			for n, v := range block {
				c := codes[v]
				for at := n; at < len(q); at += 64 {
					sum += int32(c&3) * int32(q[at])
					c >>= 2
				}
			}
		}
		acc[i] = sum
	}
}

func addColumnsT2Generic(acc []int32, w []byte, at []uint32, q []int8, blocks, quads int) {
	addColumnsGeneric(acc, w, at, q, blocks, quads, 4, &digits4)
}

func addColumnsT5Generic(acc []int32, w []byte, at []uint32, q []int8, blocks, quads int) {
	addColumnsGeneric(acc, w, at, q, blocks, quads, 5, &digits5)
}

func addColumnsGeneric(acc []int32, w []byte, at []uint32, q []int8, blocks, quads, fields int, codes *[256]uint16) {
	for i := range 4 * quads {
		for j := range blocks {
			block := (*[64]byte)(w[int(at[i])+64*j:])
			sums := acc[64*fields*j:][:64*fields]
			for n, v := range block {
				c := codes[v]
				for at := n/4%4*16 + n/16*4 + n%4; at < len(sums); at += 64 {
					sums[at] += int32(c&3) * int32(q[i])
					c >>= 2
				}
			}
		}
	}
}

func addSumsGeneric(acc, from []int32) {
	for i, v := range from[:len(acc)] {
		acc[i] += v
	}
}

// positive returns 1 for numbers above zero, and 0 for others and NaNs, without a
// branch that nobody can predict.
func positive(v float32) int {
	const infinity = 0x7F800000
	return int((uint64(math.Float32bits(v)-1) - infinity) >> 63)
}

func listPositiveGeneric(at []uint32, gate []float32, first, size uint32) int {
	n := 0
	for i, v := range gate {
		at[n] = first + uint32(i)*size
		n += positive(v)
	}
	return n
}

func expandPositiveGeneric(y, gate, from []float32) {
	n := 0
	for i, v := range gate {
		y[i] = 0
		if v > 0 {
			y[i] = from[n]
			n++
		}
	}
}

func listNonzeroGeneric(at []uint32, list, q []int8, first, size uint32) int {
	n := 0
	for i, v := range q {
		at[n], list[n] = first+uint32(i)*size, v
		n += int(uint32(-int32(v)|int32(v)) >> 31)
	}
	return n
}
