package quant

import (
	"encoding/binary"
	"math"

	"trit/gguf"
	"trit/internal/half"
)

// F16 and BF16 agree in what matters here: 16 bits with the sign on top, and zero
// where the other 15 bits are zero. Ternary values in them are recognised and
// turned into codes four at a time, without widening.

const halfSigns = 0x8000800080008000

// widener returns the conversion of a 16-bit float type, or nil for other types.
func widener(t gguf.Type) func(uint16) float32 {
	switch t {
	case gguf.TypeF16:
		return half.F16ToF32
	case gguf.TypeBF16:
		return half.BF16ToF32
	}
	return nil
}

// nonzeroLanes returns bit 15 of every 16-bit lane of v that is not zero; the
// lanes must be below 0x8000, so that no carry crosses.
func nonzeroLanes(v uint64) uint64 { return (v + ^uint64(halfSigns)) & halfSigns }

// codesFromHalves writes 0, 1 or 2 for a negative, zero or positive value.
func codesFromHalves(dst, src []byte) {
	for len(dst) >= 4 && len(src) >= 8 {
		v := binary.LittleEndian.Uint64(src)
		nonzero := nonzeroLanes(v&^halfSigns) >> 15
		negative := v >> 15 & nonzero
		c := 0x0001000100010001 + nonzero - 2*negative
		c = (c | c>>8) & 0x0000ffff0000ffff
		binary.LittleEndian.PutUint32(dst, uint32(c|c>>16))
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		h := binary.LittleEndian.Uint16(src[2*i:])
		switch {
		case h&0x7fff == 0:
			dst[i] = 1
		case h&0x8000 != 0:
			dst[i] = 0
		default:
			dst[i] = 2
		}
	}
}

// scanHalves is scan for 16-bit floats in their stored form.
func (s *groupScan) scanHalves(src []byte, widen func(uint16) float32) int {
	for i := 0; i < len(src); {
		if len(src)-i >= 8 {
			magnitudes := binary.LittleEndian.Uint64(src[i:]) &^ halfSigns
			others := magnitudes ^ uint64(s.half)*0x0001000100010001
			if nonzeroLanes(magnitudes)&nonzeroLanes(others) == 0 {
				i += 8
				continue
			}
		}
		h := binary.LittleEndian.Uint16(src[i:])
		if m := h & 0x7fff; m != 0 && m != s.half {
			x := widen(h)
			if s.half != 0 || !isFinite(x) {
				s.bad = x
				return i / 2
			}
			s.half, s.magnitude = m, math.Float32bits(abs(x))
		}
		i += 2
	}
	return -1
}
