package quant

import (
	"fmt"

	"trit/gguf"
)

// EncodeCodes packs codes (trit + 1, one byte each) that share one scale: for
// I2_S a whole tensor in LayoutA, for the other ternary types one row or any number
// of whole rows. It gives the bytes that Encode gives for the values scale·trit
// with a positive scale: a block of zero trits has scale 0. All but I2_S store the
// scale rounded to binary16. Bytes other than 0, 1, 2 are ErrCode; trits that a type
// cannot store (zeros in Q1_0, groups of STQ1_0 without exactly one) ErrNotTernary.
func EncodeCodes(t gguf.Type, dst, codes []byte, scale float32) error {
	if t == gguf.TypeI2S {
		return EncodeI2S(dst, codes, LayoutA, 1, len(codes), scale)
	}
	if !IsTernary(t) {
		return fmt.Errorf("%w: %v does not store ternary codes", ErrType, t)
	}
	if rowCodecs[t] != nil {
		return onlyRead(t)
	}
	if err := checkLengths(t, len(codes), len(dst)); err != nil {
		return err
	}
	if err := codeError(codes, 0); err != nil {
		return err
	}
	if !isFinite(scale) {
		return fmt.Errorf("%w: scale %g", ErrRange, scale)
	}
	c := codecs[t]
	for i := range len(codes) / c.elems {
		block, trits := dst[i*c.bytes:(i+1)*c.bytes], codes[i*c.elems:(i+1)*c.elems]
		if err := c.trits.pack(block, trits); err != nil {
			return blockError(err, i*c.elems)
		}
		var d scale16
		if !allZero(trits) {
			if err := d.set(scale); err != nil {
				return err
			}
		}
		*c.trits.scale(block) = d
	}
	return nil
}

// allZero reports whether no trit is −1 or +1.
func allZero(codes []byte) bool {
	for _, c := range codes {
		if c != 1 {
			return false
		}
	}
	return true
}

// CodesFromTrits writes trit + 1 for each trit; the slices have the same length.
// A value other than −1, 0, +1 is ErrCode.
func CodesFromTrits(dst []byte, trits []int8) error {
	if len(dst) != len(trits) {
		return fmt.Errorf("%w: %d trits, room for %d codes", ErrLength, len(trits), len(dst))
	}
	for i, t := range trits {
		if t < -1 || t > 1 {
			return fmt.Errorf("%w: trit %d is %d", ErrCode, i, t)
		}
		dst[i] = byte(t + 1)
	}
	return nil
}

// TritsFromCodes writes code − 1 for each code; the slices have the same length.
// A byte other than 0, 1, 2 is ErrCode.
func TritsFromCodes(dst []int8, codes []byte) error {
	if len(dst) != len(codes) {
		return fmt.Errorf("%w: %d codes, room for %d trits", ErrLength, len(codes), len(dst))
	}
	for i, c := range codes {
		if c > 2 {
			return codeError(codes[i:i+1], int64(i))
		}
		dst[i] = int8(c) - 1
	}
	return nil
}

// CodesHF unpacks one output row of a weight of a Hugging Face "bitnet"
// checkpoint, an uint8 tensor of shape [rows/4, cols]: bits 2k and 2k+1 of packed
// row r belong to output row k·(rows/4) + r, and a code is trit + 1. rows is the
// number of output rows, a multiple of 4; dst has cols bytes.
func CodesHF(dst, data []byte, rows, cols, row int) error {
	if rows < 0 || cols < 0 || rows%4 != 0 {
		return fmt.Errorf("%w: packed uint8 weights have a multiple of 4 rows, not %d × %d", ErrShape, rows, cols)
	}
	if int64(len(data)) != int64(rows/4)*int64(cols) {
		return fmt.Errorf("%w: %d × %d packed uint8 weights take %d bytes, have %d", ErrLength, rows, cols, int64(rows/4)*int64(cols), len(data))
	}
	if row < 0 || row >= rows {
		return fmt.Errorf("%w: row %d of a matrix of %d rows", ErrShape, row, rows)
	}
	if len(dst) != cols {
		return fmt.Errorf("%w: a row has %d columns, the destination has %d", ErrLength, cols, len(dst))
	}
	plane, r := row/(rows/4), row%(rows/4)
	packed := data[r*cols : (r+1)*cols]
	shift, invalid := uint(2*plane), byte(0)
	for i, b := range packed {
		c := b >> shift & 3
		invalid |= c & (c >> 1)
		dst[i] = c
	}
	if invalid != 0 {
		return fmt.Errorf("row %d: %w", row, codeError(dst, 0))
	}
	return nil
}
