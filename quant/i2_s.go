package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// An I2_S tensor of n elements is n/4 bytes of codes (trit + 1, 2 bits each, see
// I2SLayout), one float32 scale, and 28 bytes without meaning.
const (
	i2sElems = 128
	i2sTail  = 32
)

// DecodeI2S converts a whole I2_S tensor of rows × cols, with its tail, to
// float32. Rows may straddle blocks; rows·cols must be a multiple of 128, and for
// LayoutC rows a multiple of 4.
func DecodeI2S(dst []float32, src []byte, layout I2SLayout, rows, cols int) error {
	scale, err := i2sScale(src, layout, rows, cols)
	if err != nil {
		return err
	}
	if len(dst) != rows*cols {
		return fmt.Errorf("%w: %d rows × %d columns are %d elements, the destination has %d", ErrLength, rows, cols, rows*cols, len(dst))
	}
	if len(dst) == 0 {
		return nil
	}
	if layout != LayoutC { // rows do not matter: the stream is flat
		rows, cols = 1, len(dst)
	}
	var codes [1024]byte
	for r := range rows {
		for c := 0; c < cols; c += len(codes) {
			part := codes[:min(len(codes), cols-c)]
			first := r*cols + c
			var invalid uint64
			if layout == LayoutC {
				invalid = unpackRowC(part, src[r/4*cols+c:], r%4)
			} else {
				invalid = layout.unpackRange(part, src, first)
			}
			if invalid != 0 {
				return codeError(part, int64(first))
			}
			decodeCodes(dst[first:first+len(part)], part, scale)
		}
	}
	return nil
}

// EncodeI2S packs the codes (trit + 1) of a whole tensor of rows × cols with its
// scale. Bytes of codes other than 0, 1, 2 are ErrCode. dst must have the n/4 + 32
// bytes of [TensorBytes]; the unused bytes of the tail become zero.
//
// Files should be written in LayoutA: readers assume it.
func EncodeI2S(dst, codes []byte, layout I2SLayout, rows, cols int, scale float32) error {
	if err := i2sCheck(len(dst), layout, rows, cols); err != nil {
		return err
	}
	if len(codes) != rows*cols {
		return fmt.Errorf("%w: %d rows × %d columns are %d codes, have %d", ErrLength, rows, cols, rows*cols, len(codes))
	}
	if !isFinite(scale) {
		return fmt.Errorf("%w: I2_S scale %g", ErrRange, scale)
	}
	if err := codeError(codes, 0); err != nil {
		return err
	}
	if layout == LayoutC {
		packRowsC(dst, codes, rows, cols)
	} else {
		layout.packBlocks(dst, codes)
	}
	tail := dst[len(codes)/4:]
	clear(tail)
	binary.LittleEndian.PutUint32(tail, math.Float32bits(scale))
	return nil
}

// encodeI2SFloat stores values of exactly one magnitude besides zero.
func encodeI2SFloat(dst []byte, src []float32) error {
	if err := i2sCheck(len(dst), LayoutA, 1, len(src)); err != nil {
		return err
	}
	var s groupScan
	if i := s.scan(src); i >= 0 {
		return s.notTernary(0, int64(i))
	}
	codes := [i2sElems]byte{}
	for i := 0; i < len(src); i += i2sElems {
		codesFromFloats(codes[:], src[i:i+i2sElems])
		LayoutA.packBlocks(dst[i/4:], codes[:])
	}
	tail := dst[len(src)/4:]
	clear(tail)
	binary.LittleEndian.PutUint32(tail, s.magnitude)
	return nil
}

// i2sCount returns rows·cols if an I2_S tensor can have that many elements.
func i2sCount(rows, cols int) (int64, error) {
	if rows < 0 || cols < 0 || cols > 0 && int64(rows) > math.MaxInt64/int64(cols) {
		return 0, fmt.Errorf("%w: %d rows × %d columns", ErrShape, rows, cols)
	}
	n := int64(rows) * int64(cols)
	if n%i2sElems != 0 {
		return 0, fmt.Errorf("%w: I2_S tensors need a multiple of %d elements, %d rows × %d columns are %d", ErrShape, i2sElems, rows, cols, n)
	}
	return n, nil
}

// i2sCheck verifies the shape and the stored size of a tensor. After it,
// rows·cols fits in an int.
func i2sCheck(size int, layout I2SLayout, rows, cols int) error {
	n, err := i2sCount(rows, cols)
	if err != nil {
		return err
	}
	if layout > LayoutC {
		return fmt.Errorf("%w: %v", ErrType, layout)
	}
	if layout == LayoutC && rows%4 != 0 {
		return fmt.Errorf("%w: I2_S layout %v needs a multiple of 4 rows, have %d", ErrShape, layout, rows)
	}
	if n > math.MaxInt {
		return fmt.Errorf("%w: %d rows × %d columns are too large for this machine's address space", ErrShape, rows, cols)
	}
	if want := n/4 + i2sTail; int64(size) != want {
		return fmt.Errorf("%w: %d rows × %d columns of I2_S take %d bytes, have %d", ErrLength, rows, cols, want, size)
	}
	return nil
}

// maxScale bounds scales: it is the largest number of the formats that store one in 16 bits, and
// thousands of times what any model has. Beyond it all logits become equal, which looks like an answer.
const maxScale = 65504

// CheckScale reports, with [ErrRange], a scale of a whole tensor or row that no model has: one that is not finite,
// negative, since scales are magnitudes of weights, or far too large. Formats whose blocks have scales bound
// those themselves, and some use their sign.
func CheckScale(scale float32) error {
	if !isFinite(scale) {
		return fmt.Errorf("%w: the scale is %g", ErrRange, scale)
	}
	if scale < 0 || scale > maxScale {
		return fmt.Errorf("%w: the scale is %g; it is a magnitude of weights, 0 to %g", ErrRange, scale, float32(maxScale))
	}
	return nil
}

// i2sScale verifies a tensor and returns its scale.
func i2sScale(src []byte, layout I2SLayout, rows, cols int) (float32, error) {
	if err := i2sCheck(len(src), layout, rows, cols); err != nil {
		return 0, err
	}
	scale := math.Float32frombits(binary.LittleEndian.Uint32(src[len(src)-i2sTail:]))
	if err := CheckScale(scale); err != nil {
		return 0, fmt.Errorf("I2_S: %w", err)
	}
	return scale, nil
}
