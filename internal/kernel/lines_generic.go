package kernel

import (
	"math/bits"

	"trit/internal/ternary"
)

// genericLines are the twins of the products with lines.
var genericLines = lineKernels{
	dot: [2]func([]int32, []byte, []uint32, []int8, int, int){dotLinesT2Generic, dotLinesT5Generic},
	add: [2]func([]int32, []byte, []uint32, []int8, int){addColumnsT2Generic, addColumnsT5Generic},
	sum: addSumsGeneric,
}

func dotLinesT2Generic(acc []int32, w []byte, at []uint32, x []int8, blocks, pairs int) {
	dotLinesGeneric(acc, w, at, x, blocks, pairs, 4, func(v byte) uint32 { return uint32(v) })
}

func dotLinesT5Generic(acc []int32, w []byte, at []uint32, x []int8, blocks, pairs int) {
	dotLinesGeneric(acc, w, at, x, blocks, pairs, 5, func(v byte) uint32 { return uint32(digits5[v]) })
}

func dotLinesGeneric(acc []int32, w []byte, at []uint32, x []int8, blocks, pairs, fields int, codes func(byte) uint32) {
	for i := range 2 * pairs {
		line := w[at[i]:][:blocks*ternary.BlockBytes]
		var sum int32
		for n, v := range line {
			c := codes(v)
			for f := range fields {
				q := x[(n/ternary.BlockBytes*fields+f)*ternary.BlockBytes+n%ternary.BlockBytes]
				sum += int32(c>>(2*f)&3) * int32(q)
			}
		}
		acc[i] = sum
	}
}

func addColumnsT2Generic(acc []int32, w []byte, at []uint32, q []int8, quads int) {
	addColumnsGeneric(acc, w, at, q, quads, 4, func(v byte) uint32 { return uint32(v) })
}

func addColumnsT5Generic(acc []int32, w []byte, at []uint32, q []int8, quads int) {
	addColumnsGeneric(acc, w, at, q, quads, 5, func(v byte) uint32 { return uint32(digits5[v]) })
}

func addColumnsGeneric(acc []int32, w []byte, at []uint32, q []int8, quads, fields int, codes func(byte) uint32) {
	for i := range 4 * quads {
		for n, v := range w[at[i]:][:ternary.BlockBytes] {
			c := codes(v)
			for f := range fields {
				acc[64*f+n/4%4*16+n/16*4+n%4] += int32(c>>(2*f)&3) * int32(q[i])
			}
		}
	}
}

func addSumsGeneric(acc, from []int32) {
	for i, v := range from[:len(acc)] {
		acc[i] += v
	}
}

// nonzeroBytes counts the bytes of a word that are not zero.
func nonzeroBytes(v uint64) int {
	const low = 0x7F7F7F7F7F7F7F7F
	return bits.OnesCount64((v&low + low | v) &^ low)
}
