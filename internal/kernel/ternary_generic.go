package kernel

import (
	"encoding/binary"

	"trit/internal/ternary"
)

// This file holds the portable kernels Basic and Blocked. They are the reference
// for every assembly kernel and serve CPUs that have none.

var basicTernary = ternaryKernels{
	matVec:     [2]matVecFunc{matVecT2I8Basic, matVecT5I8Basic},
	tile:       [2]tileFunc{matMulT2I8Basic, matMulT5I8Basic},
	tileTokens: maxTile,
	finish:     finishI8Generic,
	matMulF32:  [2]floatFunc{matMulT2F32Generic, matMulT5F32Generic},
}

var blockedTernary = ternaryKernels{
	matVec:     [2]matVecFunc{matVecT2I8Generic, matVecT5I8Generic},
	tile:       [2]tileFunc{matMulT2I8Generic, matMulT5I8Generic},
	tileTokens: maxTile,
	finish:     finishI8Generic,
	matMulF32:  [2]floatFunc{matMulT2F32Generic, matMulT5F32Generic},
}

func matVecT2I8Basic(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
	for i := range segments {
		panelT2I8Basic(acc[16*i:][:16], w[i*blocks*64:][:blocks*64], x[i*xStep:])
	}
}

func matVecT5I8Basic(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
	for i := range segments {
		panelT5I8Basic(acc[16*i:][:16], w[i*blocks*64:][:blocks*64], x[i*xStep:])
	}
}

func matMulT2I8Basic(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
	for t := range tokens {
		panelT2I8Basic(acc[16*t:][:16], w[:blocks*64], x[t*stride:])
	}
}

func matMulT5I8Basic(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
	for t := range tokens {
		panelT5I8Basic(acc[16*t:][:16], w[:blocks*64], x[t*stride:])
	}
}

// panelT2I8Basic computes the 16 sums of one panel and one row of activations.
func panelT2I8Basic(acc []int32, w []byte, x []int8) {
	for r := range acc {
		var sum int32
		for k, at := 0, 4*r; at < len(w); k, at = k+16, at+64 {
			q := x[k : k+16 : k+16]
			for b := range 4 {
				v := int32(w[at+b])
				sum += v&3*int32(q[b]) + v>>2&3*int32(q[4+b]) + v>>4&3*int32(q[8+b]) + v>>6*int32(q[12+b])
			}
		}
		acc[r] = sum
	}
}

// panelT5I8Basic is panelT2I8Basic for layout T5.
func panelT5I8Basic(acc []int32, w []byte, x []int8) {
	for r := range acc {
		var sum int32
		for k, at := 0, 4*r; at < len(w); k, at = k+20, at+64 {
			q := x[k : k+20 : k+20]
			for b := range 4 {
				v := uint32(w[at+b])
				for f := b; f < 20; f += 4 {
					sum += int32(v%3) * int32(q[f])
					v /= 3
				}
			}
		}
		acc[r] = sum
	}
}

// The Blocked kernels multiply four rows at once: a 64-bit word holds the codes of
// four rows for one column in 16-bit fields, and word × activation is four
// products. Sums of fields borrow from their neighbours when they turn
// negative, which the extraction undoes; a field holds 128 products exactly
// (|Σ| ≤ 2·128·128 = 2¹⁵).

// codeCols is the number of columns unpacked at a time, at most 128.
const codeCols = 128

// fieldMask keeps one code in each field.
const fieldMask = 0x0003_0003_0003_0003

// digits5 turns a T5 byte into its five codes, two bits each, c₀ lowest.
var digits5 = func() (table [256]uint16) {
	for v := range 243 {
		for f, rest := 0, v; f < 5; f, rest = f+1, rest/3 {
			table[v] |= uint16(rest%3) << (2 * f)
		}
	}
	return table
}()

// unpackT2 writes the fields of blocks T2 blocks: column c of rows 4i…4i+3 goes
// to codes[4*c+i].
func unpackT2(codes []uint64, w []byte, blocks int) {
	for k := range blocks {
		block := (*[64]byte)(w[64*k:])
		out := (*[64]uint64)(codes[64*k:])
		for i := range 4 {
			for b := range 4 {
				e := uint64(block[16*i+b]) | uint64(block[16*i+4+b])<<16 | uint64(block[16*i+8+b])<<32 | uint64(block[16*i+12+b])<<48
				out[4*b+i] = e & fieldMask
				out[4*(4+b)+i] = e >> 2 & fieldMask
				out[4*(8+b)+i] = e >> 4 & fieldMask
				out[4*(12+b)+i] = e >> 6 & fieldMask
			}
		}
	}
}

// unpackT5 is unpackT2 for layout T5.
func unpackT5(codes []uint64, w []byte, blocks int) {
	for k := range blocks {
		block := (*[64]byte)(w[64*k:])
		out := (*[80]uint64)(codes[80*k:])
		for i := range 4 {
			for b := range 4 {
				e := uint64(digits5[block[16*i+b]]) | uint64(digits5[block[16*i+4+b]])<<16 |
					uint64(digits5[block[16*i+8+b]])<<32 | uint64(digits5[block[16*i+12+b]])<<48
				for f := range 5 {
					out[4*(4*f+b)+i] = e >> (2 * f) & fieldMask
				}
			}
		}
	}
}

// addFields adds to acc the products of unpacked codes with len(codes)/4
// activations.
func addFields(acc *[16]int32, codes []uint64, x []int8) {
	var a0, a1, a2, a3 uint64
	for _, q := range x {
		v := uint64(int64(q))
		c := codes[:4:4]
		a0 += c[0] * v
		a1 += c[1] * v
		a2 += c[2] * v
		a3 += c[3] * v
		codes = codes[4:]
	}
	for i, a := range [4]uint64{a0, a1, a2, a3} {
		for f := range 4 {
			v := int16(a)
			acc[4*i+f] += int32(v)
			a = (a - uint64(int64(v))) >> 16
		}
	}
}

// blockedTile is the common body of the Blocked kernels: row i of the results is
// the product with the activations at x[i*stride:].
func blockedTile(acc []int32, w []byte, x []int8, stride, blocks, tokens, width int, unpack func([]uint64, []byte, int), codes []uint64) {
	clear(acc[:16*tokens])
	step := codeCols / width
	for k := 0; k < blocks; k += step {
		n := min(step, blocks-k)
		unpack(codes, w[64*k:], n)
		for t := range tokens {
			at := t*stride + k*width
			addFields((*[16]int32)(acc[16*t:]), codes, x[at:at+n*width])
		}
	}
}

func matVecT2I8Generic(acc []int32, w []byte, x []int8, blocks, segments, xStep int, ws *Workspace) {
	for i := range segments {
		blockedTile(acc[16*i:], w[i*blocks*64:], x[i*xStep:], 0, blocks, 1, 16, unpackT2, ws.codes[:])
	}
}

func matVecT5I8Generic(acc []int32, w []byte, x []int8, blocks, segments, xStep int, ws *Workspace) {
	for i := range segments {
		blockedTile(acc[16*i:], w[i*blocks*64:], x[i*xStep:], 0, blocks, 1, 20, unpackT5, ws.codes[:])
	}
}

func matMulT2I8Generic(acc []int32, w []byte, x []int8, stride, blocks, tokens int, ws *Workspace) {
	blockedTile(acc, w, x, stride, blocks, tokens, 16, unpackT2, ws.codes[:])
}

func matMulT5I8Generic(acc []int32, w []byte, x []int8, stride, blocks, tokens int, ws *Workspace) {
	blockedTile(acc, w, x, stride, blocks, tokens, 20, unpackT5, ws.codes[:])
}

func finishI8Generic(y []float32, yStride int, acc []int32, accStride int, sums []int32, sumStep int, s, scale []float32, tokens, rows int, add bool) {
	for t := range tokens {
		out, in := y[t*yStride:][:rows], acc[t*accStride:][:rows]
		sum, div := sums[t*sumStep], s[t]
		for r, p := range in {
			v := float32(float32(float32(p-sum)/div) * scale[r])
			if add {
				v = out[r] + v
			}
			out[r] = v
		}
	}
}

// tritOf maps a code to its trit as a float. Code 3, of layout G2, is +2.
var tritOf = [4]float32{-1, 0, 1, 2}

func matMulT2F32Generic(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
	for t := range tokens {
		a := (*[64]float32)(acc[64*t:])
		for k := range blocks {
			q := x[t*stride+16*k:][:16]
			for r := range ternary.PanelRows {
				lane := binary.LittleEndian.Uint32(w[64*k+4*r:])
				for b := range 4 {
					v := lane >> (8 * b)
					sum := a[16*b+r]
					sum += float32(tritOf[v&3] * q[b])
					sum += float32(tritOf[v>>2&3] * q[4+b])
					sum += float32(tritOf[v>>4&3] * q[8+b])
					sum += float32(tritOf[v>>6&3] * q[12+b])
					a[16*b+r] = sum
				}
			}
		}
	}
}

func matMulT5F32Generic(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
	for t := range tokens {
		a := (*[64]float32)(acc[64*t:])
		for k := range blocks {
			q := x[t*stride+20*k:][:20]
			for r := range ternary.PanelRows {
				for b := range 4 {
					v := digits5[w[64*k+4*r+b]]
					sum := a[16*b+r]
					for f := range 5 {
						sum += float32(tritOf[v>>(2*f)&3] * q[4*f+b])
					}
					a[16*b+r] = sum
				}
			}
		}
	}
}
