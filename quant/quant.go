package quant

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"trit/gguf"
	"trit/internal/half"
)

// Errors that callers can test for with errors.Is.
var (
	// ErrType: the tensor type has no codec here, or the operation does not
	// apply to it.
	ErrType = errors.New("quant: unsupported tensor type")
	// ErrLength: a slice does not have the length that the shape demands.
	ErrLength = errors.New("quant: wrong length")
	// ErrShape: the shape cannot be stored in the format.
	ErrShape = errors.New("quant: shape does not fit the format")
	// ErrCode: packed data holds a 2-bit code of 3, or a byte given as a code is
	// none of 0, 1, 2.
	ErrCode = errors.New("quant: invalid ternary code")
	// ErrRange: a value or scale is not finite, or too large for the format.
	ErrRange = errors.New("quant: value out of range")
	// ErrNotTernary: values are not all of the form −s, 0, +s. Errors of this kind
	// are *NotTernaryError.
	ErrNotTernary = errors.New("quant: values are not ternary")
)

// format is the block geometry of a type that is stored row by row.
type format struct {
	elems, bytes int
}

// offset returns where the block that begins with column col lies in its row.
func (f format) offset(col int) int { return col / f.elems * f.bytes }

// formatOf returns the block geometry of t. I2_S has none: its tensors are
// packed as a whole.
func formatOf(t gguf.Type) (format, error) {
	switch t {
	case gguf.TypeF32:
		return format{1, 4}, nil
	case gguf.TypeF16, gguf.TypeBF16:
		return format{1, 2}, nil
	case gguf.TypeQ4_0:
		return format{q4_0Elems, int(unsafe.Sizeof(blockQ4_0{}))}, nil
	case gguf.TypeQ8_0:
		return format{q8_0Elems, int(unsafe.Sizeof(blockQ8_0{}))}, nil
	case gguf.TypeQ6_K:
		return format{q6_KElems, int(unsafe.Sizeof(blockQ6_K{}))}, nil
	case gguf.TypeTQ1_0:
		return format{tqElems, int(unsafe.Sizeof(blockTQ1_0{}))}, nil
	case gguf.TypeTQ2_0:
		return format{tqElems, int(unsafe.Sizeof(blockTQ2_0{}))}, nil
	}
	return format{}, fmt.Errorf("%w: %v (quant knows F32, F16, BF16, Q4_0, Q8_0, Q6_K, TQ1_0, TQ2_0 and I2_S)", ErrType, t)
}

// RowBytes returns the stored size in bytes of one row of cols elements. An I2_S
// row must have a multiple of 128 columns to be a run of bytes of its own; its
// scale is stored once per tensor and not counted (see [TensorBytes]).
func RowBytes(t gguf.Type, cols int) (int, error) {
	if cols < 0 {
		return 0, fmt.Errorf("%w: %d columns", ErrShape, cols)
	}
	if t == gguf.TypeI2S {
		if cols%i2sElems != 0 {
			return 0, fmt.Errorf("%w: a row of %d columns shares I2_S blocks with its neighbours (needs a multiple of %d)", ErrShape, cols, i2sElems)
		}
		return cols / 4, nil
	}
	f, err := formatOf(t)
	if err != nil {
		return 0, err
	}
	if cols%f.elems != 0 {
		return 0, fmt.Errorf("%w: %v rows need a multiple of %d columns, have %d", ErrShape, t, f.elems, cols)
	}
	blocks := cols / f.elems
	if blocks > math.MaxInt/f.bytes {
		return 0, fmt.Errorf("%w: a %v row of %d columns is too large", ErrShape, t, cols)
	}
	return blocks * f.bytes, nil
}

// TensorBytes returns the stored size in bytes of a tensor of rows × cols,
// including the 32-byte tail of I2_S.
func TensorBytes(t gguf.Type, rows, cols int) (int64, error) {
	if rows < 0 || cols < 0 {
		return 0, fmt.Errorf("%w: %d rows × %d columns", ErrShape, rows, cols)
	}
	if t == gguf.TypeI2S {
		n, err := i2sCount(rows, cols)
		if err != nil {
			return 0, err
		}
		return n/4 + i2sTail, nil
	}
	row, err := RowBytes(t, cols)
	if err != nil {
		return 0, err
	}
	if row > 0 && int64(rows) > math.MaxInt64/int64(row) {
		return 0, fmt.Errorf("%w: %d rows × %d columns of %v are too large", ErrShape, rows, cols, t)
	}
	return int64(rows) * int64(row), nil
}

// Decode converts whole blocks of type t to float32: one row, or any number of
// consecutive rows. src must be exactly as long as len(dst) elements take.
//
// For I2_S dst and src are a whole tensor with its scale, in layout A; use
// [DecodeI2S] for the other layouts.
func Decode(t gguf.Type, dst []float32, src []byte) error {
	if t == gguf.TypeI2S {
		return DecodeI2S(dst, src, LayoutA, 1, len(dst))
	}
	if err := checkLengths(t, len(dst), len(src)); err != nil {
		return err
	}
	switch t {
	case gguf.TypeF32:
		decodeF32(dst, src)
	case gguf.TypeF16:
		half.DecodeF16(dst, src)
	case gguf.TypeBF16:
		half.DecodeBF16(dst, src)
	case gguf.TypeQ4_0:
		s := blocks[blockQ4_0](src)
		for i := range s {
			s[i].decode((*[q4_0Elems]float32)(dst[i*q4_0Elems:]))
		}
	case gguf.TypeQ8_0:
		s := blocks[blockQ8_0](src)
		for i := range s {
			s[i].decode((*[q8_0Elems]float32)(dst[i*q8_0Elems:]))
		}
	case gguf.TypeQ6_K:
		s := blocks[blockQ6_K](src)
		for i := range s {
			s[i].decode((*[q6_KElems]float32)(dst[i*q6_KElems:]))
		}
	case gguf.TypeTQ1_0:
		s := blocks[blockTQ1_0](src)
		for i := range s {
			s[i].decode((*[tqElems]float32)(dst[i*tqElems:]))
		}
	case gguf.TypeTQ2_0:
		var codes [tqElems]byte
		s := blocks[blockTQ2_0](src)
		for i := range s {
			if s[i].unpack(&codes) != 0 {
				return codeError(codes[:], int64(i)*tqElems)
			}
			decodeCodes(dst[i*tqElems:(i+1)*tqElems], codes[:], s[i].d.float32())
		}
	}
	return nil
}

// Encode converts float32 to whole blocks of type t: one row, or any number of
// consecutive rows. dst must be exactly as long as len(src) elements take. The
// bytes are those that llama.cpp's reference quantisers write.
//
// F32, F16 and BF16 store any value. The other types refuse values that are not
// finite, or whose block scale overflows binary16, with ErrRange; the contents of
// dst are then unspecified. Real-valued weights stored as TQ1_0 or TQ2_0 are
// rounded relative to the largest magnitude of each block; to ternarise as BitNet
// models are trained, use [AbsMean] and [EncodeCodes].
//
// For I2_S src and dst are a whole tensor, whose values must be ternary already
// (one magnitude besides zero); anything else is ErrNotTernary. Layout A is written.
func Encode(t gguf.Type, dst []byte, src []float32) error {
	if t == gguf.TypeI2S {
		return encodeI2SFloat(dst, src)
	}
	if err := checkLengths(t, len(src), len(dst)); err != nil {
		return err
	}
	switch t {
	case gguf.TypeF32:
		encodeF32(dst, src)
		return nil
	case gguf.TypeF16:
		half.EncodeF16(dst, src)
		return nil
	case gguf.TypeBF16:
		half.EncodeBF16(dst, src)
		return nil
	}
	if err := checkFinite(src); err != nil {
		return err
	}
	switch t {
	case gguf.TypeQ4_0:
		s := blocks[blockQ4_0](dst)
		for i := range s {
			if err := s[i].encode((*[q4_0Elems]float32)(src[i*q4_0Elems:])); err != nil {
				return blockError(err, i*q4_0Elems)
			}
		}
	case gguf.TypeQ8_0:
		s := blocks[blockQ8_0](dst)
		for i := range s {
			if err := s[i].encode((*[q8_0Elems]float32)(src[i*q8_0Elems:])); err != nil {
				return blockError(err, i*q8_0Elems)
			}
		}
	case gguf.TypeQ6_K:
		s := blocks[blockQ6_K](dst)
		for i := range s {
			if err := s[i].encode((*[q6_KElems]float32)(src[i*q6_KElems:])); err != nil {
				return blockError(err, i*q6_KElems)
			}
		}
	case gguf.TypeTQ1_0:
		s := blocks[blockTQ1_0](dst)
		for i := range s {
			if err := s[i].encode((*[tqElems]float32)(src[i*tqElems:])); err != nil {
				return blockError(err, i*tqElems)
			}
		}
	case gguf.TypeTQ2_0:
		s := blocks[blockTQ2_0](dst)
		for i := range s {
			if err := s[i].encode((*[tqElems]float32)(src[i*tqElems:])); err != nil {
				return blockError(err, i*tqElems)
			}
		}
	}
	return nil
}

// blocks views data as block structs. Their fields are bytes, so no alignment
// is asked of data; a partial block at the end is left out.
func blocks[B blockQ4_0 | blockQ8_0 | blockQ6_K | blockTQ1_0 | blockTQ2_0](data []byte) []B {
	var b B
	return unsafe.Slice((*B)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/int(unsafe.Sizeof(b)))
}

func checkLengths(t gguf.Type, elems, bytes int) error {
	want, err := RowBytes(t, elems)
	if err != nil {
		return err
	}
	if bytes != want {
		return fmt.Errorf("%w: %d elements of %v take %d bytes, have %d", ErrLength, elems, t, want, bytes)
	}
	return nil
}

func checkFinite(src []float32) error {
	for i, x := range src {
		if !isFinite(x) {
			return fmt.Errorf("%w: element %d is %g", ErrRange, i, x)
		}
	}
	return nil
}

func blockError(err error, first int) error {
	return fmt.Errorf("block at element %d: %w", first, err)
}

// decodeCodes writes (code − 1)·d for codes 0, 1, 2.
func decodeCodes(dst []float32, codes []byte, d float32) {
	values := [4]float32{-d, 0, d}
	dst = dst[:len(codes)]
	for i, c := range codes {
		dst[i] = values[c&3]
	}
}

// codeError names the first byte of codes that is not 0, 1 or 2; codes[0] is
// element first of the tensor or row.
func codeError(codes []byte, first int64) error {
	for i, c := range codes {
		if c > 2 {
			return fmt.Errorf("%w: element %d has code %d (valid codes are 0, 1, 2; the data is corrupt or in another layout)", ErrCode, first+int64(i), c)
		}
	}
	return nil
}
