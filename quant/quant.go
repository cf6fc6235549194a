package quant

import (
	"errors"
	"fmt"
	"math"

	"trit/gguf"
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
	if c := rowCodecs[t]; c != nil {
		return c.rowBytes(t, cols)
	}
	f, err := codecOf(t)
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
	if c := rowCodecs[t]; c != nil {
		return c.decode(t, dst, src)
	}
	if err := checkLengths(t, len(dst), len(src)); err != nil {
		return err
	}
	return codecs[t].decode(dst, src)
}

// Encode converts float32 to whole blocks of type t: one row, or any number of
// consecutive rows. dst must be exactly as long as len(src) elements take. The
// bytes are those that llama.cpp's reference quantisers write.
//
// F32, F16 and BF16 store any value. The other types refuse values that are not
// finite, or whose block scale overflows binary16, with ErrRange; the contents of
// dst are then unspecified. Real-valued weights stored in a ternary type are
// rounded relative to the largest magnitude of each block (Q1_0: to the mean
// magnitude); to ternarise as BitNet models are trained, use [AbsMean] and
// [EncodeCodes]. STQ1_0 takes only values of its form. Q4_K and Q5_K and
// the types of ik_llama.cpp are not written (ErrType).
//
// For I2_S src and dst are a whole tensor, whose values must be ternary already
// (one magnitude besides zero); anything else is ErrNotTernary. Layout A is written.
func Encode(t gguf.Type, dst []byte, src []float32) error {
	if t == gguf.TypeI2S {
		return encodeI2SFloat(dst, src)
	}
	if rowCodecs[t] != nil {
		return onlyRead(t)
	}
	if err := checkLengths(t, len(src), len(dst)); err != nil {
		return err
	}
	c := codecs[t]
	if c.encode == nil {
		return onlyRead(t)
	}
	if !c.exact {
		if err := checkFinite(src); err != nil {
			return err
		}
	}
	return c.encode(dst, src)
}

func onlyRead(t gguf.Type) error {
	return fmt.Errorf("%w: %v is only read, not written", ErrType, t)
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
