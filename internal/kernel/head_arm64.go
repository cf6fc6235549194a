//go:build !noasm

package kernel

import (
	"trit/gguf"
	"trit/internal/half"
)

//go:noescape
func headF32NEON(acc *[2][16]float32, row0, row1 *byte, x *float32, n int)

//go:noescape
func headF16NEON(acc *[2][16]float32, row0, row1 *byte, x *float32, n int)

//go:noescape
func headBF16NEON(acc *[2][16]float32, row0, row1 *byte, x *float32, n int)

//go:noescape
func headQ8_0NEON(acc *[2][16]float32, row0, row1 *byte, x *float32, n int)

//go:noescape
func decodeF16NEON(dst *float32, src *byte, n int)

//go:noescape
func decodeBF16NEON(dst *float32, src *byte, n int)

//go:noescape
func decodeQ8_0NEON(dst *float32, src *byte, n int)

// neonHead has assembly for the float types and Q8_0; Q6_K, Q4_0, Q4_K and Q5_K are widened
// by the twins and multiplied by dotNEON.
var neonHead = headKernels{
	formats: [headFormats]headFormat{
		headF32:  {1, 4, decodeF32Little, matVecF32WithNEON},
		headF16:  {1, 2, decodeF16WithNEON, matVecF16WithNEON},
		headBF16: {1, 2, decodeBF16WithNEON, matVecBF16WithNEON},
		headQ8_0: {q8_0Elems, q8_0Bytes, decodeQ8_0WithNEON, matVecQ8_0WithNEON},
		headQ6_K: {q6_KElems, q6_KBytes, decodeQ6_KGeneric, nil},
		headQ4_0: {q4_0Elems, q4_0Bytes, decodeQ4_0Generic, nil},
		headQ4_K: {q4_KElems, q4_KBytes, decodeQuant(gguf.TypeQ4_K), nil},
		headQ5_K: {q5_KElems, q5_KBytes, decodeQuant(gguf.TypeQ5_K), nil},
	},
	tile: headTileWithNEON,
}

func headTileWithNEON(y []float32, yStride int, rows []float32, nRows, cols int, x []float32, xStride, nTok int) {
	for t := range nTok {
		for r := range nRows {
			y[t*yStride+r] = dotWithNEON(rows[r*cols:][:cols], x[t*xStride:][:cols])
		}
	}
}

// rowPair returns the two rows from row r of n on; the last one stands twice
// when it has no partner.
func rowPair(rows []byte, rowBytes, r, n int) (a, b []byte) {
	a = rows[r*rowBytes:][:rowBytes]
	if r+1 == n {
		return a, a
	}
	return a, rows[(r+1)*rowBytes:][:rowBytes]
}

// finishPair adds the tails of two rows and stores their sums.
func finishPair(y []float32, acc *[2][16]float32, a, b, x []float32) {
	addTail(&acc[0], a, x)
	y[0] = sumStripes(&acc[0])
	if len(y) > 1 {
		addTail(&acc[1], b, x)
		y[1] = sumStripes(&acc[1])
	}
}

func matVecF32WithNEON(y []float32, rows []byte, rowBytes int, x []float32) {
	n := len(x) &^ (stripes - 1)
	for r := 0; r < len(y); r += 2 {
		var acc [2][16]float32
		var tails [2][stripes]float32
		a, b := rowPair(rows, rowBytes, r, len(y))
		if n > 0 {
			headF32NEON(&acc, &a[0], &b[0], &x[0], n)
		}
		ta, tb := tails[0][:len(x)-n], tails[1][:len(x)-n]
		decodeF32Generic(ta, a[4*n:])
		decodeF32Generic(tb, b[4*n:])
		finishPair(y[r:], &acc, ta, tb, x[n:])
	}
}

func matVecF16WithNEON(y []float32, rows []byte, rowBytes int, x []float32) {
	n := len(x) &^ (stripes - 1)
	for r := 0; r < len(y); r += 2 {
		var acc [2][16]float32
		var tails [2][stripes]float32
		a, b := rowPair(rows, rowBytes, r, len(y))
		if n > 0 {
			headF16NEON(&acc, &a[0], &b[0], &x[0], n)
		}
		ta, tb := tails[0][:len(x)-n], tails[1][:len(x)-n]
		half.DecodeF16(ta, a[2*n:])
		half.DecodeF16(tb, b[2*n:])
		finishPair(y[r:], &acc, ta, tb, x[n:])
	}
}

func matVecBF16WithNEON(y []float32, rows []byte, rowBytes int, x []float32) {
	n := len(x) &^ (stripes - 1)
	for r := 0; r < len(y); r += 2 {
		var acc [2][16]float32
		var tails [2][stripes]float32
		a, b := rowPair(rows, rowBytes, r, len(y))
		if n > 0 {
			headBF16NEON(&acc, &a[0], &b[0], &x[0], n)
		}
		ta, tb := tails[0][:len(x)-n], tails[1][:len(x)-n]
		half.DecodeBF16(ta, a[2*n:])
		half.DecodeBF16(tb, b[2*n:])
		finishPair(y[r:], &acc, ta, tb, x[n:])
	}
}

func matVecQ8_0WithNEON(y []float32, rows []byte, rowBytes int, x []float32) {
	if len(x) == 0 {
		clear(y)
		return
	}
	for r := 0; r < len(y); r += 2 {
		var acc [2][16]float32
		a, b := rowPair(rows, rowBytes, r, len(y))
		headQ8_0NEON(&acc, &a[0], &b[0], &x[0], len(x))
		finishPair(y[r:], &acc, nil, nil, nil)
	}
}

func decodeF16WithNEON(dst []float32, src []byte) {
	n := len(dst) &^ (stripes - 1)
	if n > 0 {
		decodeF16NEON(&dst[0], &src[0], n)
	}
	half.DecodeF16(dst[n:], src[2*n:])
}

func decodeBF16WithNEON(dst []float32, src []byte) {
	n := len(dst) &^ (stripes - 1)
	if n > 0 {
		decodeBF16NEON(&dst[0], &src[0], n)
	}
	half.DecodeBF16(dst[n:], src[2*n:])
}

func decodeQ8_0WithNEON(dst []float32, src []byte) {
	if len(dst) > 0 {
		decodeQ8_0NEON(&dst[0], &src[0], len(dst))
	}
}
