package quant

import (
	"fmt"
	"math"

	"trit/internal/half"
)

// scale16 is a binary16 block scale as files store it: two little-endian bytes
// at any alignment. Block structs use it so that their size and alignment are
// those of the file.
type scale16 [2]byte

func (s *scale16) float32() float32 {
	return half.F16ToF32(uint16(s[0]) | uint16(s[1])<<8)
}

// set stores d. It fails when d is too large for binary16, because every value
// of the block would then decode to an infinity or NaN.
func (s *scale16) set(d float32) error {
	h := half.F32ToF16(d)
	if h&0x7c00 == 0x7c00 {
		return fmt.Errorf("%w: block scale %g does not fit in 16-bit float", ErrRange, d)
	}
	s[0], s[1] = byte(h), byte(h>>8)
	return nil
}

// inverse returns 1/d, or 0 when d is zero or so small that 1/d overflows: such
// a scale rounds to zero in binary16 and the block decodes to zeros whatever its
// codes are.
func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	id := 1 / d
	if isInf(id) {
		return 0
	}
	return id
}

// absMax returns the largest magnitude in x and the element that has it, with
// its sign (the first one of several).
func absMax(x []float32) (magnitude, signed float32) {
	for _, v := range x {
		if a := abs(v); a > magnitude {
			magnitude, signed = a, v
		}
	}
	return magnitude, signed
}

func abs(x float32) float32 {
	return math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
}

func isInf(x float32) bool {
	return abs(x) > math.MaxFloat32
}

// isFinite reports whether x is neither an infinity nor NaN.
func isFinite(x float32) bool {
	return abs(x) <= math.MaxFloat32
}

// roundAway rounds to the nearest integer, halves away from zero (C's roundf).
// The float64 addition is exact for the magnitudes that quantisers meet.
func roundAway(x float32) int {
	if x < 0 {
		return -int(float64(-x) + 0.5)
	}
	return int(float64(x) + 0.5)
}

// roundEven rounds to the nearest integer, halves to even, for |x| ≤ 4194303:
// adding 1.5·2²³ leaves the integer in the low mantissa bits.
func roundEven(x float32) int {
	const magic = 12582912
	return int(math.Float32bits(x+magic)&0x007fffff) - 0x00400000
}
