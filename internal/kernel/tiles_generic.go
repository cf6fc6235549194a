package kernel

import (
	"encoding/binary"
	"math"

	"trit/internal/half"
	"trit/internal/ternary"
)

// genericTiles are the portable twins of the products of tiles.
var genericTiles = tileKernels{
	least:  2,
	unpack: [2]func(codes, w []byte, blocks, ahead int){unpackCodesT2Generic, unpackCodesT5Generic},
	mul:    mulTilesGeneric,
	finish: finishTilesGeneric,
}

func unpackCodesT2Generic(codes, w []byte, blocks, _ int) {
	for k := range blocks {
		for i, v := range w[64*k : 64*k+64] {
			for f := range 4 {
				codes[256*k+64*f+i] = v >> (2 * f) & 3
			}
		}
	}
}

func unpackCodesT5Generic(codes, w []byte, blocks, _ int) {
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

// genericGroupTiles are the same for grouped layouts.
var genericGroupTiles = groupTiles{
	least: 2,
	unpack: [3]func(trits []int8, scales []float32, w []byte, units, ahead int){
		unpackG2Generic, unpackG5Generic, unpackG1Generic,
	},
	mul: mulGroupTilesGeneric,
}

// tritsOf subtracts 1 from all codes.
func tritsOf(trits []int8, codes []byte) {
	for i, c := range codes {
		trits[i] = int8(c) - 1
	}
}

func unpackG2Generic(trits []int8, scales []float32, w []byte, units, _ int) {
	var codes [2048]byte
	for u := range units {
		record := w[576*u:][:576]
		unpackCodesT2Generic(codes[:], record, 8, 0)
		tritsOf(trits[2048*u:], codes[:])
		for r := range ternary.PanelRows {
			scales[ternary.PanelRows*u+r] = math.Float32frombits(binary.LittleEndian.Uint32(record[512+4*r:]))
		}
	}
}

func unpackG5Generic(trits []int8, scales []float32, w []byte, units, _ int) {
	var codes [2048]byte
	for u := range units {
		record := w[448*u:][:448]
		unpackCodesT5Generic(codes[:], record, 6, 0)
		for i, v := range record[384:] {
			codes[1920+i], codes[1984+i] = v&3, v>>2&3
		}
		tritsOf(trits[2048*u:], codes[:])
		for r := range ternary.PanelRows {
			var h uint16
			for b, v := range record[384+4*r:][:4] {
				h |= uint16(v>>4) << (4 * b)
			}
			scales[ternary.PanelRows*u+r] = half.F16ToF32(h)
		}
	}
}

func unpackG1Generic(trits []int8, scales []float32, w []byte, units, _ int) {
	for u := range units {
		record := w[576*u:][:576]
		for i, v := range record[:512] {
			for f := range 8 {
				trits[4096*u+i/64*512+64*f+i%64] = int8(v>>f&1)*2 - 1
			}
		}
		for r := range ternary.PanelRows {
			for g := range 2 {
				h := binary.LittleEndian.Uint16(record[512+4*r+2*g:])
				scales[(2*u+g)*ternary.PanelRows+r] = half.F16ToF32(h)
			}
		}
	}
}

func mulGroupTilesGeneric(sums []float32, x, inverse []byte, stride int, trits []int8, scales []float32, groups, rows, blocks, panels int, add bool, _ []int32) {
	for i := range blocks * panels * rows {
		p, at := i/rows%panels, (i/rows/panels*rows+i%rows)*stride
		acc := sums[ternary.PanelRows*i:][:ternary.PanelRows]
		if !add {
			clear(acc)
		}
		for g := range groups {
			a := math.Float32frombits(binary.LittleEndian.Uint32(inverse[at+4*g:]))
			for r := range acc {
				var sum int32
				for c := range ternary.GroupWidth {
					sum += int32(int8(x[at+g*ternary.GroupWidth+c])) * int32(trits[((p*groups+g)*32+c/4)*64+4*r+c%4])
				}
				acc[r] += float32(float32(float32(sum)*scales[(p*groups+g)*ternary.PanelRows+r]) * a)
			}
		}
	}
}
