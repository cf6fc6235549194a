// Package half converts between float32 and the two 16-bit float formats that
// model files use: IEEE 754 binary16 (F16: 5 exponent bits, 10 mantissa bits)
// and BF16 (the upper half of a float32).
//
// Widening is exact. Narrowing rounds to the nearest value, ties to even, keeps
// subnormals and signed zeros, and overflows to infinity. All conversions give
// the same bits on every platform: they are integer arithmetic except for two
// float operations that are exact or correctly rounded everywhere.
//
// The slice forms read and write little-endian bytes at any alignment, which is
// how GGUF and safetensors store them.
package half

import (
	"encoding/binary"
	"math"
)

const (
	f32SignMask = 0x80000000
	f32Inf      = 0x7f800000
	// exponentShift moves an exponent biased by 15 to one biased by 127.
	exponentShift = (127 - 15) << 23
)

// F16ToF32 returns the value of the binary16 number h. NaN payloads are kept in
// the upper mantissa bits.
func F16ToF32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	magnitude := uint32(h & 0x7fff)
	if magnitude-0x0400 < 0x7c00-0x0400 { // normal: one unsigned comparison
		return math.Float32frombits(sign | (magnitude<<13 + exponentShift))
	}
	if magnitude >= 0x7c00 { // infinity or NaN: the exponent becomes all ones
		return math.Float32frombits(sign | f32Inf | magnitude<<13)
	}
	// Zero or subnormal: magnitude counts units of 2^-24, an exact product.
	return math.Float32frombits(sign | math.Float32bits(float32(int32(magnitude))*0x1p-24))
}

// F32ToF16 returns the binary16 number nearest to f, ties to even. Magnitudes
// from 65520 up become infinity; a NaN stays a (quiet) NaN of the same sign with
// its upper payload bits.
func F32ToF16(f float32) uint16 {
	u := math.Float32bits(f)
	sign := uint16(u >> 16 & 0x8000)
	magnitude := u &^ f32SignMask
	switch {
	case magnitude < 0x38800000: // below 2^-14: subnormal or zero
		// One unit in the last place of 0.5 is 2^-24, the spacing of binary16
		// subnormals, so the addition does the rounding.
		rounded := math.Float32frombits(magnitude) + 0.5
		return sign | uint16(math.Float32bits(rounded)-0x3f000000)
	case magnitude < 0x477ff000: // below 65520: normal
		magnitude += 0x0fff + magnitude>>13&1
		return sign | uint16((magnitude-exponentShift)>>13)
	case magnitude <= f32Inf:
		return sign | 0x7c00
	default:
		return sign | 0x7e00 | uint16(magnitude>>13&0x01ff)
	}
}

// Exact returns the binary16 number nearest to f and whether it is f.
func Exact(f float32) (h uint16, ok bool) {
	u := math.Float32bits(f)
	if exponent := u >> 23 & 0xff; u&0x1fff == 0 && exponent > 127-15 && exponent < 127+16 { // it is normal
		return uint16(u>>16&0x8000) | uint16((u&^f32SignMask-exponentShift)>>13), true
	}
	h = F32ToF16(f)
	return h, math.Float32bits(F16ToF32(h)) == u
}

// BF16ToF32 returns the value of the BF16 number b.
func BF16ToF32(b uint16) float32 {
	return math.Float32frombits(uint32(b) << 16)
}

// F32ToBF16 returns the BF16 number nearest to f, ties to even. A NaN keeps its
// upper half with the quiet bit set.
func F32ToBF16(f float32) uint16 {
	u := math.Float32bits(f)
	if u&^f32SignMask > f32Inf {
		return uint16(u>>16) | 0x0040
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// DecodeF16 widens len(dst) little-endian binary16 numbers. src must hold at
// least 2·len(dst) bytes; otherwise DecodeF16 panics, as an index out of range
// would.
func DecodeF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for len(dst) >= 4 && len(src) >= 8 {
		v := binary.LittleEndian.Uint64(src)
		dst[0] = F16ToF32(uint16(v))
		dst[1] = F16ToF32(uint16(v >> 16))
		dst[2] = F16ToF32(uint16(v >> 32))
		dst[3] = F16ToF32(uint16(v >> 48))
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = F16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// EncodeF16 rounds src to binary16 and stores it little-endian. dst must hold at
// least 2·len(src) bytes; otherwise EncodeF16 panics.
func EncodeF16(dst []byte, src []float32) {
	dst = dst[:2*len(src)]
	for i, f := range src {
		binary.LittleEndian.PutUint16(dst[2*i:], F32ToF16(f))
	}
}

// DecodeBF16 widens len(dst) little-endian BF16 numbers. src must hold at least
// 2·len(dst) bytes; otherwise DecodeBF16 panics.
func DecodeBF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for len(dst) >= 4 && len(src) >= 8 {
		v := binary.LittleEndian.Uint64(src)
		dst[0] = math.Float32frombits(uint32(v) << 16)
		dst[1] = math.Float32frombits(uint32(v) & 0xffff0000)
		dst[2] = math.Float32frombits(uint32(v>>32) << 16)
		dst[3] = math.Float32frombits(uint32(v>>32) & 0xffff0000)
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = BF16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// EncodeBF16 rounds src to BF16 and stores it little-endian. dst must hold at
// least 2·len(src) bytes; otherwise EncodeBF16 panics.
func EncodeBF16(dst []byte, src []float32) {
	dst = dst[:2*len(src)]
	for i, f := range src {
		binary.LittleEndian.PutUint16(dst[2*i:], F32ToBF16(f))
	}
}
