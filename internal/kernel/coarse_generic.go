package kernel

import "encoding/binary"

var genericCoarse = coarseKernels{
	score:  [2][]coarseScore{{{1, coarseScore4Generic}}, {{1, coarseScore6Generic}}},
	narrow: narrowGeneric,
	refine: coarseRefineGeneric,
	center: coarseCenterGeneric,
	encode: coarseEncodeGeneric,
}

func coarseScore4Generic(y []float32, _ int, codes, _ []byte, blocks int, x []int8, _ int, step []float32, terms []coarseTerms) {
	var upper, lower [CoarsePanelRows]int32
	for k := range blocks {
		block, in := codes[k*coarseBlock:(k+1)*coarseBlock], x[16*k:16*k+16]
		for r := range CoarsePanelRows {
			for b, code := range block[4*r : 4*r+4] {
				c0, c1 := int32(code&15), int32(code>>4)
				upper[r] += c0*int32(in[b]) + c1*int32(in[8+b])
				lower[r] += c0*int32(in[4+b]) + c1*int32(in[12+b])
			}
		}
	}
	coarseLogits(y, &upper, &lower, step, 16, &terms[0], terms[0].bias1)
}

func coarseScore6Generic(y []float32, _ int, codes, pairs []byte, blocks int, x []int8, _ int, step []float32, terms []coarseTerms) {
	var upper, lower [CoarsePanelRows]int32
	for k := range blocks {
		block, in := codes[k*coarseBlock:(k+1)*coarseBlock], x[16*k:16*k+16]
		pair, shift := pairs[k/2*coarseBlock:(k/2+1)*coarseBlock], k%2*4
		for r := range CoarsePanelRows {
			for b, code := range block[4*r : 4*r+4] {
				two := pair[4*r+b] >> shift
				c0, c1 := int32(code&15<<2|two&3), int32(code>>4<<2|two>>2&3)
				upper[r] += c0*int32(in[b]) + c1*int32(in[8+b])
				lower[r] += c0*int32(in[4+b]) + c1*int32(in[12+b])
			}
		}
	}
	coarseLogits(y, &upper, &lower, step, 4, &terms[0], terms[0].bias2)
}

// narrowGeneric are the kernels of levels that have none of their own.
var narrowGeneric = [2][]coarseScore{{{1, coarseNarrow4Generic}}, {{1, coarseNarrow6Generic}}}

func coarseNarrow4Generic(y []float32, _ int, codes, _ []byte, blocks int, x []int8, _ int, step []float32, terms []coarseTerms) {
	var upper [CoarsePanelRows]int32
	for k := range blocks {
		block, in := codes[k*coarseBlock:(k+1)*coarseBlock], x[8*k:8*k+8]
		for r := range CoarsePanelRows {
			for b, code := range block[4*r : 4*r+4] {
				upper[r] += int32(code&15)*int32(in[b]) + int32(code>>4)*int32(in[4+b])
			}
		}
	}
	coarseLogits(y, &upper, nil, step, 16, &terms[0], terms[0].narrow1)
}

func coarseNarrow6Generic(y []float32, _ int, codes, pairs []byte, blocks int, x []int8, _ int, step []float32, terms []coarseTerms) {
	var upper [CoarsePanelRows]int32
	for k := range blocks {
		block, in := codes[k*coarseBlock:(k+1)*coarseBlock], x[8*k:8*k+8]
		pair, shift := pairs[k/2*coarseBlock:(k/2+1)*coarseBlock], k%2*4
		for r := range CoarsePanelRows {
			for b, code := range block[4*r : 4*r+4] {
				two := pair[4*r+b] >> shift
				upper[r] += int32(code&15<<2|two&3)*int32(in[b]) + int32(code>>4<<2|two>>2&3)*int32(in[4+b])
			}
		}
	}
	coarseLogits(y, &upper, nil, step, 4, &terms[0], terms[0].narrow2)
}

// coarseLogits turns a panel's sums of codes into logits; narrow scores have no
// lower sums.
func coarseLogits(y []float32, upper, lower *[CoarsePanelRows]int32, step []float32, unit float32, t *coarseTerms, bias float32) {
	for r := range CoarsePanelRows {
		f := float32(float32(upper[r]) * 256)
		if lower != nil {
			f += float32(lower[r])
		}
		y[r] = float32((f-bias)*float32(float32(step[r]*unit)*t.gain)) + t.shift
	}
}

func coarseRefineGeneric(y []float32, rows []int32, plane []byte, blocks int, x []int8, step []float32, factor, bias float32) {
	upper, lower := x[:len(x)/2], x[len(x)/2:]
	size := blocks * coarseBlock
	for _, r := range rows {
		row := plane[int(r)*size : (int(r)+1)*size]
		var sum int32
		for i, b := range row {
			at := i/coarseBlock*coarseRowBlock + i%coarseBlock
			for f := range 4 {
				code := int32(b >> (2 * f) & 3)
				sum += code * (int32(upper[at+64*f])<<8 + int32(lower[at+64*f]))
			}
		}
		y[r] += float32((float32(sum) - bias) * float32(step[r]*factor))
	}
}

func coarseCenterGeneric(v, w, inverse, center []float32) (squares, most float32) {
	var acc [stripes]float32
	for i := range v {
		d := float32(w[i]*inverse[i]) - center[i]
		v[i] = d
		acc[i%stripes] += float32(d * d)
		if d < 0 {
			d = -d
		}
		most = max(most, d)
	}
	return sumStripes(&acc), most
}

func coarseEncodeGeneric(codes []byte, v []float32, inv, step float32) [CoarsePlanes]float32 {
	var acc [CoarsePlanes][stripes]float32
	for i := range codes {
		q := int32(min(max(float32(v[i]*inv)+128, 0), 255))
		codes[i] = byte(q)
		for p, approx := range [...]float32{
			float32(q&0xf0) - 120, float32(q&0xfc) - 126, float32(q) - 127.5,
		} {
			e := v[i] - float32(step*approx)
			acc[p][i%stripes] += float32(e * e)
		}
	}
	var sums [CoarsePlanes]float32
	for p := range sums {
		sums[p] = sumStripes(&acc[p])
	}
	return sums
}

func le32(b []byte) uint32       { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64       { return binary.LittleEndian.Uint64(b) }
func putLE32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }
func putLE64(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }
