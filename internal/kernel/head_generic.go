package kernel

import (
	"encoding/binary"
	"math"

	"trit/gguf"
	"trit/internal/half"
	"trit/quant"
)

// Block sizes of the formats, as ggml defines them.
const (
	q8_0Elems, q8_0Bytes = 32, 34
	q6_KElems, q6_KBytes = 256, 210
	q4_0Elems, q4_0Bytes = 32, 18
	q4_KElems, q4_KBytes = 256, 144
	q5_KElems, q5_KBytes = 256, 176
)

var genericHead = headKernels{
	formats: [headFormats]headFormat{
		headF32:  {elems: 1, bytes: 4, decode: decodeF32Generic},
		headF16:  {elems: 1, bytes: 2, decode: half.DecodeF16},
		headBF16: {elems: 1, bytes: 2, decode: half.DecodeBF16},
		headQ8_0: {elems: q8_0Elems, bytes: q8_0Bytes, decode: decodeQ8_0Generic},
		headQ6_K: {elems: q6_KElems, bytes: q6_KBytes, decode: decodeQ6_KGeneric},
		headQ4_0: {elems: q4_0Elems, bytes: q4_0Bytes, decode: decodeQ4_0Generic},
		headQ4_K: {elems: q4_KElems, bytes: q4_KBytes, decode: decodeQuant(gguf.TypeQ4_K)},
		headQ5_K: {elems: q5_KElems, bytes: q5_KBytes, decode: decodeQuant(gguf.TypeQ5_K)},
	},
	tile: headTileGeneric,
}

func headTileGeneric(y []float32, yStride int, rows []float32, nRows, cols int, x []float32, xStride, nTok int) {
	for t := range nTok {
		for r := range nRows {
			y[t*yStride+r] = dotGeneric(rows[r*cols:][:cols], x[t*xStride:][:cols])
		}
	}
}

func decodeF32Generic(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

// f16At reads a binary16 number. Block scales have 11 significant bits and
// codes few enough that all products below are exact in float32.
func f16At(src []byte) float32 {
	return half.F16ToF32(binary.LittleEndian.Uint16(src))
}

// decodeQ8_0Generic: f16 d, then 32 int8 codes; value = code·d.
func decodeQ8_0Generic(dst []float32, src []byte) {
	for len(dst) > 0 {
		d := f16At(src)
		for j, c := range src[2:q8_0Bytes] {
			dst[j] = float32(int8(c)) * d
		}
		dst, src = dst[q8_0Elems:], src[q8_0Bytes:]
	}
}

// decodeQ4_0Generic: f16 d, then 16 bytes; byte j holds element j in its low
// nibble and element j+16 in its high one; value = (nibble − 8)·d.
func decodeQ4_0Generic(dst []float32, src []byte) {
	for len(dst) > 0 {
		d := f16At(src)
		for j, c := range src[2:q4_0Bytes] {
			dst[j] = float32(int32(c&15)-8) * d
			dst[j+16] = float32(int32(c>>4)-8) * d
		}
		dst, src = dst[q4_0Elems:], src[q4_0Bytes:]
	}
}

// decodeQuant widens blocks of a type as package quant does.
func decodeQuant(t gguf.Type) func(dst []float32, src []byte) {
	return func(dst []float32, src []byte) {
		if err := quant.Decode(t, dst, src); err != nil {
			panic(err) // whole blocks cannot fail
		}
	}
}

// decodeQ6_KGeneric: low nibbles (128 bytes), high bit pairs (64 bytes), sixteen
// int8 group scales, f16 d; value = d·scale·(code − 32). Each half of 128
// elements has its own 64 + 32 + 8 bytes; quarter k of a half takes its nibbles
// from the first or second 32 bytes (k odd) and the lower or upper nibble (k ≥ 2).
func decodeQ6_KGeneric(dst []float32, src []byte) {
	for len(dst) > 0 {
		d := f16At(src[208:])
		for h := range 2 {
			low, high, scales := src[64*h:][:64], src[128+32*h:][:32], src[192+8*h:][:8]
			out := dst[128*h:][:128]
			for k := range 4 {
				for l := range 32 {
					code := low[32*(k&1)+l]>>(4*(k>>1))&15 | high[l]>>(2*k)&3<<4
					scale := d * float32(int8(scales[2*k+l/16]))
					out[32*k+l] = scale * float32(int32(code)-32)
				}
			}
		}
		dst, src = dst[q6_KElems:], src[q6_KBytes:]
	}
}
