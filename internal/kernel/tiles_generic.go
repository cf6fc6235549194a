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
	mul: [3]groupTilesFunc{
		groupTilesGeneric(ternary.G2, unpackG2Generic), groupTilesGeneric(ternary.G5, unpackG5Generic),
		groupTilesGeneric(ternary.G1, unpackG1Generic),
	},
}

// unpackG2Generic and its like unpack a record as unpack of groupCodes does.
func unpackG2Generic(codes []byte, scales []float32, record []byte) []float32 {
	unpackCodesT2Generic(codes, record, 8, 0)
	for r := range ternary.PanelRows {
		scales[r] = math.Float32frombits(binary.LittleEndian.Uint32(record[512+4*r:]))
	}
	return scales
}

func unpackG5Generic(codes []byte, scales []float32, record []byte) []float32 {
	unpackCodesT5Generic(codes, record, 6, 0)
	for i, v := range record[384:] {
		codes[1920+i], codes[1984+i] = v&3, v>>2&3
	}
	for r := range ternary.PanelRows {
		var h uint16
		for b, v := range record[384+4*r:][:4] {
			h |= uint16(v>>4) << (4 * b)
		}
		scales[r] = half.F16ToF32(h)
	}
	return scales
}

func unpackG1Generic(codes []byte, scales []float32, record []byte) []float32 {
	for i, v := range record[:512] {
		for f := range 8 {
			codes[i/64*512+64*f+i%64] = v >> f & 1 * 2
		}
	}
	for r := range ternary.PanelRows {
		for g := range 2 {
			h := binary.LittleEndian.Uint16(record[512+4*r+2*g:])
			scales[g*ternary.PanelRows+r] = half.F16ToF32(h)
		}
	}
	return scales
}

// genericGroupCodes are the portable twins of products with unpacked groups.
var genericGroupCodes = groupCodes{
	least:  [3]int{2, 2, 2},
	unpack: [3]unpackGroupFunc{unpackG2Generic, unpackG5Generic, unpackG1Generic},
	mul:    mulGroupGeneric,
}

func mulGroupGeneric(sums []float32, codes []byte, scales []float32, x []byte, stride, rows int) {
	for t := range rows {
		record := x[t*stride:][:recordBytes]
		for r := range ternary.PanelRows {
			var products int32
			for c, q := range record[:ternary.GroupWidth] {
				products += int32(int8(q)) * int32(codes[c/4*64+4*r+c%4])
			}
			at := t*ternary.PanelRows + r
			sums[at] = finishGroup(sums[at], products, scales[r], record)
		}
	}
}

func groupTilesGeneric(l ternary.Layout, unpack unpackGroupFunc) groupTilesFunc {
	size, groups := l.UnitBytes(), l.UnitCols()/ternary.GroupWidth
	return func(y []float32, yStride int, w, x, inverse []byte,
		stride, units, rows, panels, outs int, _ *groupScratch,
	) {
		var codes [maxGroups * groupBytes]byte
		var scales [maxGroups * ternary.PanelRows]float32
		for p := range panels {
			results := min(ternary.PanelRows, outs-p*ternary.PanelRows)
			for t := range rows {
				clear(y[t*yStride+p*ternary.PanelRows:][:results])
			}
			for u := range units {
				unpack(codes[:], scales[:], w[(p*units+u)*size:][:size])
				for g := range groups {
					for t := range rows {
						at := t*stride + 4*(u*groups+g)
						a := math.Float32frombits(binary.LittleEndian.Uint32(inverse[at:]))
						for r := range results {
							var sum int32
							for c, q := range x[t*stride+(u*groups+g)*ternary.GroupWidth:][:ternary.GroupWidth] {
								sum += int32(int8(q)) * (int32(codes[g*groupBytes+c/4*64+4*r+c%4]) - 1)
							}
							y[t*yStride+p*ternary.PanelRows+r] += float32(float32(float32(sum)*scales[g*ternary.PanelRows+r]) * a)
						}
					}
				}
			}
		}
	}
}
