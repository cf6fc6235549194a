package kernel

import "trit/internal/ternary"

// genericTiles are the portable twins of the products of tiles.
var genericTiles = tileKernels{
	least:  2,
	unpack: [2]func(codes, w []byte, blocks int){unpackCodesT2Generic, unpackCodesT5Generic},
	mul:    mulTilesGeneric,
	finish: finishTilesGeneric,
}

func unpackCodesT2Generic(codes, w []byte, blocks int) {
	for k := range blocks {
		for i, v := range w[64*k : 64*k+64] {
			for f := range 4 {
				codes[256*k+64*f+i] = v >> (2 * f) & 3
			}
		}
	}
}

func unpackCodesT5Generic(codes, w []byte, blocks int) {
	for k := range blocks {
		for i, v := range w[64*k : 64*k+64] {
			for f := range 5 {
				codes[320*k+64*f+i] = byte(digits5[v] >> (2 * f) & 3)
			}
		}
	}
}

func mulTilesGeneric(acc []int32, x []int8, stride int, codes []byte, second, steps, tokens int, add bool) {
	for t := range tokens {
		for i := range 2 {
			sums := acc[t*pairRows+i*ternary.PanelRows:][:ternary.PanelRows]
			if !add {
				clear(sums)
			}
			for c, q := range x[t*stride:][:steps*tileStep] {
				lanes := codes[i*second+c/4*64+c%4:]
				for r := range sums {
					sums[r] += int32(q) * int32(lanes[4*r])
				}
			}
		}
	}
}

func finishTilesGeneric(y []float32, yStride int, acc, sums []int32, s, scale []float32, tokens, rows int) {
	finishI8Generic(y, yStride, acc, pairRows, sums, 1, s, scale, tokens, rows, false)
}
