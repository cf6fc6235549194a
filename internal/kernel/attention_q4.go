package kernel

import (
	"encoding/binary"
	"math"

	"trit/internal/half"
)

// Keys and values in four bits.
//
// 32 elements of a position make a group: 32 dimensions of its key, or 32 columns of its
// value, fewer in the last group. An element is the group's scale, which is binary16,
// times one of the sixteen numbers of q4Values, which lie closer together about zero,
// where most elements are.
//
// K and V are groups of q4Bytes, one after the other, each for all positions of the page:
// the scales, one for each position, and then rows of codes. A row of a key has a byte
// for each position, with the code of an even dimension in its low half and that of the
// next one in its high half; so two positions never share a byte. A row of a value is that
// of a position: byte b has column b in its low half and column b+16 in its high one.
//
// One dimension of keys is often many times larger than the others, in all positions, and
// would leave a scale that is too coarse for its neighbours. So keys are stored rotated,
// by the Hadamard transform of the largest block that divides the head, and queries are
// rotated likewise, which leaves their products as they are.
//
// Kernels multiply with q4Values, sum, and apply scales to the sums of a group, or to the
// weights of a position. Queries and weights are cut to q4Mantissa bits before, so that a
// product with a number of seven bits is exact: a fused multiply-add then rounds once as
// a product and a sum do, and assembly may use one.
const (
	q4Width = 32 // elements of a group
	q4Scale = 2 * PageTokens
	q4Bytes = q4Scale + q4Width*PageTokens/2
	// q4Columns is the memory for the columns of a last group that is not full.
	q4Columns  = 4 * q4Width
	q4Mantissa = 1<<32 - 1<<7
)

// q4Values are nearly those of IQ4_NL in GGUF files. Zero is among them, so that what is
// zero stays so.
var q4Values = [16]int8{-127, -104, -84, -66, -50, -36, -23, -11, 0, 12, 25, 38, 53, 70, 90, 114}

// q4Nearest holds for each int8, as uint8, the code of the nearest of q4Values, of two the
// lower, and q4Numbers what that stands for.
var q4Nearest, q4Numbers = func() (codes [256]uint8, numbers [256]float32) {
	code := 0
	for i := math.MinInt8; i <= math.MaxInt8; i++ {
		for code < 15 && 2*i > int(q4Values[code])+int(q4Values[code+1]) {
			code++
		}
		codes[uint8(i)], numbers[uint8(i)] = uint8(code), float32(q4Values[code])
	}
	return codes, numbers
}()

// q4Group sets codes to those of the elements of a group and returns their scale. The
// scale is chosen in two steps. The element of the largest magnitude, the first of
// several, is mapped to −127, and the others accordingly; for the codes that gives, the
// scale is Σ x·c / Σ c·c, rounded to binary16, and the codes follow from that. Elements
// are divided by the scale by multiplying with its inverse, and rounded to an integer,
// halves to even, and then to the nearest number of q4Values. The sum of x·c has four
// parts, of the elements that are 0, 1, 2, 3 modulo four, joined as (0+1)+(2+3).
//
// What is too small for a scale becomes zero; a group with an infinity or NaN becomes
// NaN.
func q4Group(codes *[q4Width]uint8, x *[q4Width]float32) (scale uint16) {
	var largest uint32
	var peak float32
	for _, v := range x {
		if m := math.Float32bits(v) &^ (1 << 31); m > largest {
			largest, peak = m, v
		}
	}
	switch {
	case largest >= 0x7f800000:
		return 0x7e00
	case largest < 0x03800000: // 2⁻¹²⁰
		return 0
	}
	inverse := -127 / peak
	var dot, norm [4]float32 // integers below 2²⁴ in norm
	for i := 0; i < q4Width; i += 4 {
		for j := range 4 {
			v := x[i+j]
			c := q4Numbers[uint8(math.Float32bits(float32(v*inverse)+roundMagic))]
			dot[j] += float32(v * c)
			norm[j] += float32(c * c)
		}
	}
	scale = half.F32ToF16(((dot[0] + dot[1]) + (dot[2] + dot[3])) / (norm[0] + norm[1] + norm[2] + norm[3]))
	d := half.F16ToF32(scale)
	if d == 0 {
		return 0
	}
	inverse = 1 / d
	for i, v := range x {
		y := float32(v * inverse)
		if y > 127 {
			y = 127
		} else if y < -127 {
			y = -127
		}
		codes[i] = q4Nearest[uint8(math.Float32bits(y+roundMagic))]
	}
	return scale
}

// rotate applies the transform of keys and queries.
func rotate(x []float32) { Hadamard(x, nil, len(x)&-len(x)) }

// cutMantissa returns x with as many bits as products with q4Values can have.
func cutMantissa(x float32) float32 { return math.Float32frombits(math.Float32bits(x) & q4Mantissa) }

// PrepareKeys makes keys of size d ready for StoreK to pages of a type, in place.
func PrepareKeys(t KVType, k []float32, d int) {
	if t == KVQ4 {
		for i := 0; i < len(k); i += d {
			rotate(k[i : i+d])
		}
	}
}

// PrepareQueries makes queries of size d ready for AttendChunk over pages of a type, in
// place.
func PrepareQueries(t KVType, q []float32, d int) {
	if t == KVQ4 {
		PrepareKeys(t, q, d)
		for i, v := range q {
			q[i] = cutMantissa(v)
		}
	}
}

func storeKQ4(dst []byte, slot int, k []float32) {
	for len(k) > 0 {
		var x [q4Width]float32 // zeros take no part
		var codes [q4Width]uint8
		n := copy(x[:], k)
		binary.NativeEndian.PutUint16(dst[2*slot:], q4Group(&codes, &x))
		for i := 0; i < n; i += 2 {
			dst[q4Scale+i/2*PageTokens+slot] = codes[i] | codes[i+1]<<4
		}
		k, dst = k[n:], dst[q4Bytes:]
	}
}

func storeVQ4(dst []byte, slot int, v []float32) {
	for len(v) > 0 {
		var x [q4Width]float32
		var codes [q4Width]uint8
		n := copy(x[:], v)
		binary.NativeEndian.PutUint16(dst[2*slot:], q4Group(&codes, &x))
		row := dst[q4Scale+q4Width/2*slot:][:q4Width/2]
		for i := range row {
			row[i] = codes[i] | codes[i+q4Width/2]<<4
		}
		v, dst = v[n:], dst[q4Bytes:]
	}
}

// q4Lanes sets dst to what the low or, with shift 4, high halves of bytes stand for.
func q4Lanes(dst []float32, codes []byte, shift uint) {
	for i := range dst {
		dst[i] = float32(q4Values[codes[i]>>shift&15])
	}
}

// mulAdd returns sum + x·c for a product that is exact.
func mulAdd(sum, x, c float32) float32 { return float32(float64(sum) + float64(x)*float64(c)) }

func scoresQ4Generic(s, q []float32, k []byte, _ []float32, d, nq int, scale float32, _, _ *byte) {
	for j := range nq {
		clear(s[j*ChunkTokens:][:PageTokens])
	}
	for g := 0; g < d; g += q4Width {
		var key [PageTokens]float32
		for j := range nq {
			var acc [PageTokens]float32
			for i := range min(q4Width, d-g) {
				q4Lanes(key[:], k[q4Scale+i/2*PageTokens:], uint(i%2*4))
				x := q[j*d+g+i]
				for p := range acc {
					acc[p] = mulAdd(acc[p], x, key[p])
				}
			}
			sum := s[j*ChunkTokens:][:PageTokens]
			for p := range sum {
				sum[p] += float32(acc[p] * half.F16ToF32(binary.NativeEndian.Uint16(k[2*p:])))
			}
		}
		k = k[q4Bytes:]
	}
	for j := range nq {
		sum := s[j*ChunkTokens:][:PageTokens]
		for p := range sum {
			sum[p] *= scale
		}
	}
}

func valuesQ4Generic(o, e []float32, v []byte, d, nq, from, n int, _ []float32) {
	for g := 0; g < d; g += q4Width {
		for p := from; p < from+n; p++ {
			scale := half.F16ToF32(binary.NativeEndian.Uint16(v[2*p:]))
			var row [q4Width]float32
			codes := v[q4Scale+q4Width/2*p:]
			q4Lanes(row[:q4Width/2], codes, 0)
			q4Lanes(row[q4Width/2:], codes, 4)
			for j := range nq {
				weight := cutMantissa(float32(e[j*ChunkTokens+p] * scale))
				columns := o[j*d+g:][:min(q4Width, d-g)]
				for i := range columns {
					columns[i] = mulAdd(columns[i], weight, row[i])
				}
			}
		}
		v = v[q4Bytes:]
	}
}
