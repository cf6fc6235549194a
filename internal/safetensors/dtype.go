package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"

	"trit/internal/half"
)

// DType is the type of a tensor's elements, by its name in the header.
type DType string

// The element types. Floats are IEEE 754 except BF16, the upper half of a
// float32; integers are two's complement; a BOOL is a byte 0 or 1.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I64  DType = "I64"
	I32  DType = "I32"
	I16  DType = "I16"
	I8   DType = "I8"
	U8   DType = "U8"
	U32  DType = "U32"
	Bool DType = "BOOL"
)

// Size returns the bytes of one element, or 0 for an unknown type.
func (d DType) Size() int64 {
	switch d {
	case F64, I64:
		return 8
	case F32, I32, U32:
		return 4
	case F16, BF16, I16:
		return 2
	case I8, U8, Bool:
		return 1
	}
	return 0
}

// IsFloat reports whether Floats decodes the type.
func (d DType) IsFloat() bool {
	switch d {
	case F64, F32, F16, BF16:
		return true
	}
	return false
}

// Floats converts stored elements to float32: F32, F16 and BF16 exactly, F64 to the
// nearest. src holds as many elements as dst. Other types are ErrDType.
func (d DType) Floats(dst []float32, src []byte) error {
	switch d {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case F16:
		half.DecodeF16(dst, src)
	case BF16:
		half.DecodeBF16(dst, src)
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
	default:
		return fmt.Errorf("%w: %s, which are not floats", ErrDType, d)
	}
	return nil
}
