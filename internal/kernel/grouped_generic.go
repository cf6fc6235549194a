package kernel

import (
	"encoding/binary"
	"math"

	"trit/internal/half"
	"trit/internal/ternary"
)

// genericGrouped is the portable twin of all products of grouped layouts.
var genericGrouped = groupedKernels{
	mul: [3]groupedFunc{
		matMulGroupedOf(ternary.G2, addG2), matMulGroupedOf(ternary.G5, addG5), matMulGroupedOf(ternary.G1, addG1),
	},
	tileTokens: maxTile,
}

// addFunc adds to acc, for the sixteen rows of record w, the products with the
// records of activations at x: acc[r] is the sum so far.
type addFunc = func(acc []float32, w, x []byte)

func matMulGroupedOf(l ternary.Layout, add addFunc) groupedFunc {
	size, step := l.UnitBytes(), l.UnitCols()/ternary.GroupWidth*recordBytes
	return func(acc []float32, w, x []byte, stride, units, tokens, panels int) {
		for i := range panels * tokens {
			sums := acc[16*i:][:16]
			clear(sums)
			for u := range units {
				record := w[(i/tokens*units+u)*size:][:size]
				add(sums, record, x[i%tokens*stride+u*step:][:step])
			}
		}
	}
}

// finishGroup adds the result of one group to a row's sum.
func finishGroup(sum float32, products int32, d float32, x []byte) float32 {
	bias := int32(binary.LittleEndian.Uint32(x[recordBias:]))
	a := math.Float32frombits(binary.LittleEndian.Uint32(x[recordScale:]))
	return sum + float32(float32(float32(products+bias)*d)*a)
}

// laneT2 returns the products of the lane of a T2 block with sixteen codes.
func laneT2(lane, q []byte) int32 {
	var sum int32
	for b, v := range lane[:4] {
		sum += int32(v&3)*int32(int8(q[b])) + int32(v>>2&3)*int32(int8(q[4+b])) +
			int32(v>>4&3)*int32(int8(q[8+b])) + int32(v>>6)*int32(int8(q[12+b]))
	}
	return sum
}

func addG2(acc []float32, w, x []byte) {
	for r := range acc {
		var sum int32
		for k := range 8 {
			sum += laneT2(w[64*k+4*r:], x[16*k:])
		}
		d := math.Float32frombits(binary.LittleEndian.Uint32(w[512+4*r:]))
		acc[r] = finishGroup(acc[r], sum, d, x)
	}
}

func addG5(acc []float32, w, x []byte) {
	for r := range acc {
		var sum int32
		for k := range 6 {
			for b, v := range w[64*k+4*r:][:4] {
				digits, q := digits5[v], x[20*k+b:]
				for f := range 5 {
					sum += int32(digits>>(2*f)&3) * int32(int8(q[4*f]))
				}
			}
		}
		var h uint16
		for b, v := range w[384+4*r:][:4] {
			sum += int32(v&3)*int32(int8(x[120+b])) + int32(v>>2&3)*int32(int8(x[124+b]))
			h |= uint16(v>>4) << (4 * b)
		}
		acc[r] = finishGroup(acc[r], sum, half.F16ToF32(h), x)
	}
}

func addG1(acc []float32, w, x []byte) {
	for r := range acc {
		for g := range 2 {
			q := x[g*recordBytes:]
			var sum int32
			for k := range 4 {
				for b, v := range w[256*g+64*k+4*r:][:4] {
					for f := range 8 {
						sum += int32(v>>f&1) * int32(int8(q[32*k+4*f+b]))
					}
				}
			}
			h := binary.LittleEndian.Uint16(w[512+4*r+2*g:])
			acc[r] = finishGroup(acc[r], 2*sum, half.F16ToF32(h), q)
		}
	}
}
