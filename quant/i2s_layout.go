package quant

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// I2SLayout names one of the three ways in which I2_S tensors are packed. They
// share the type id, the size and the place of the scale, and nothing in a file
// tells them apart.
type I2SLayout uint8

const (
	// LayoutA: blocks of 128 elements in 32 bytes; element j of a block is in byte
	// j mod 32, in bits 6 − 2·(j div 32) and up. All official files and all Python
	// converters; the only layout that files should be written in.
	LayoutA I2SLayout = iota
	// LayoutB: blocks of 64 elements in 16 bytes; element j is in byte j mod 16, in
	// bits 6 − 2·(j div 16) and up. Written by llama-quantize of bitnet.cpp on ARM
	// since November 2025.
	LayoutB
	// LayoutC: four rows per byte; byte g·cols + c holds column c of rows 4g…4g+3,
	// the first in the high bits. Written by x86 builds of bitnet.cpp without
	// ACT_PARALLEL.
	LayoutC
)

var i2sLayoutNames = [...]string{LayoutA: "128/32", LayoutB: "64/16", LayoutC: "4-rows"}

// String returns the name of the layout: "128/32", "64/16" or "4-rows".
func (l I2SLayout) String() string {
	if int(l) < len(i2sLayoutNames) {
		return i2sLayoutNames[l]
	}
	return fmt.Sprintf("I2SLayout(%d)", uint8(l))
}

// ParseI2SLayout returns the layout called name: a letter a, b or c, or what
// String returns, in any case.
func ParseI2SLayout(name string) (I2SLayout, error) {
	switch strings.ToLower(name) {
	case "a", "128/32":
		return LayoutA, nil
	case "b", "64/16":
		return LayoutB, nil
	case "c", "4-rows":
		return LayoutC, nil
	}
	return 0, fmt.Errorf("%w: unknown I2_S layout %q (use a = 128/32, b = 64/16 or c = 4-rows)", ErrType, name)
}

// MarshalText returns the name of the layout.
func (l I2SLayout) MarshalText() ([]byte, error) {
	if int(l) >= len(i2sLayoutNames) {
		return nil, fmt.Errorf("%w: %v", ErrType, l)
	}
	return []byte(l.String()), nil
}

// UnmarshalText accepts what ParseI2SLayout accepts.
func (l *I2SLayout) UnmarshalText(text []byte) (err error) {
	*l, err = ParseI2SLayout(string(text))
	return err
}

// blockElems is the number of elements that layouts A and B pack together.
func (l I2SLayout) blockElems() int {
	if l == LayoutB {
		return 64
	}
	return i2sElems
}

// unpackBlocks unpacks whole blocks of layout A or B; len(dst) is 4·len(packed).
// It returns non-zero when a code is 3.
func (l I2SLayout) unpackBlocks(dst, packed []byte) (invalid uint64) {
	if l == LayoutB {
		return unpackI2SB(dst, packed)
	}
	return unpackI2SA(dst, packed)
}

func unpackI2SA(dst, packed []byte) (invalid uint64) {
	for len(packed) >= 32 && len(dst) >= 128 {
		in, out := (*[32]byte)(packed), (*[128]byte)(dst)
		for i := 0; i < 32; i += 8 {
			v := binary.LittleEndian.Uint64(in[i:])
			invalid |= invalid2(v)
			binary.LittleEndian.PutUint64(out[i:], v>>6&low2)
			binary.LittleEndian.PutUint64(out[i+32:], v>>4&low2)
			binary.LittleEndian.PutUint64(out[i+64:], v>>2&low2)
			binary.LittleEndian.PutUint64(out[i+96:], v&low2)
		}
		packed, dst = packed[32:], dst[128:]
	}
	return invalid
}

func unpackI2SB(dst, packed []byte) (invalid uint64) {
	for len(packed) >= 16 && len(dst) >= 64 {
		in, out := (*[16]byte)(packed), (*[64]byte)(dst)
		for i := 0; i < 16; i += 8 {
			v := binary.LittleEndian.Uint64(in[i:])
			invalid |= invalid2(v)
			binary.LittleEndian.PutUint64(out[i:], v>>6&low2)
			binary.LittleEndian.PutUint64(out[i+16:], v>>4&low2)
			binary.LittleEndian.PutUint64(out[i+32:], v>>2&low2)
			binary.LittleEndian.PutUint64(out[i+48:], v&low2)
		}
		packed, dst = packed[16:], dst[64:]
	}
	return invalid
}

// unpackRange unpacks the len(dst) elements from flat index first on, wherever
// they lie relative to the blocks (layouts A and B). It returns non-zero when one
// of them is 3.
func (l I2SLayout) unpackRange(dst, packed []byte, first int) (invalid uint64) {
	elems := l.blockElems()
	var block [i2sElems]byte
	partial := func(skip int) int {
		at := first / elems * (elems / 4)
		l.unpackBlocks(block[:elems], packed[at:at+elems/4])
		n := copy(dst, block[skip:elems])
		for _, c := range dst[:n] {
			invalid |= uint64(c) >> 1 & uint64(c)
		}
		return n
	}
	if skip := first % elems; skip != 0 {
		n := partial(skip)
		dst, first = dst[n:], first+n
	}
	if whole := len(dst) / elems * elems; whole > 0 {
		invalid |= l.unpackBlocks(dst[:whole], packed[first/4:(first+whole)/4])
		dst, first = dst[whole:], first+whole
	}
	if len(dst) > 0 {
		partial(0)
	}
	return invalid
}

// unpackRowC unpacks one row of layout C. It returns non-zero when a code is 3.
func unpackRowC(dst, packed []byte, row int) (invalid uint64) {
	cols := len(dst)
	group := packed[row/4*cols:]
	group = group[:cols]
	shift := uint(6 - 2*(row%4))
	for len(dst) >= 8 && len(group) >= 8 {
		v := binary.LittleEndian.Uint64(group) >> shift & low2
		invalid |= invalid2(v)
		binary.LittleEndian.PutUint64(dst, v)
		dst, group = dst[8:], group[8:]
	}
	for i := range dst {
		c := group[i] >> shift & 3
		invalid |= uint64(c>>1) & uint64(c)
		dst[i] = c
	}
	return invalid
}

// packBlocks packs codes with layout A or B; len(codes) is a multiple of 128.
func (l I2SLayout) packBlocks(packed, codes []byte) {
	elems := l.blockElems()
	width := elems / 4
	for len(codes) >= elems {
		for j := range width {
			packed[j] = codes[j]<<6 | codes[j+width]<<4 | codes[j+2*width]<<2 | codes[j+3*width]
		}
		packed, codes = packed[width:], codes[elems:]
	}
}

// PackI2S packs codes (trit + 1, one byte each) into whole blocks of LayoutA: a part
// of an I2_S tensor that begins at a multiple of 128 elements. The scale, which ends
// the tensor, is not written. len(codes) is a multiple of 128 and len(dst) a quarter
// of it, or the error is ErrLength; bytes other than 0, 1, 2 are ErrCode.
func PackI2S(dst, codes []byte) error {
	if len(codes)%i2sElems != 0 || len(dst) != len(codes)/4 {
		return fmt.Errorf("%w: %d codes are no whole blocks of %d that fill %d bytes", ErrLength, len(codes), i2sElems, len(dst))
	}
	if err := codeError(codes, 0); err != nil {
		return err
	}
	LayoutA.packBlocks(dst, codes)
	return nil
}

// packRowsC packs codes of rows × cols with layout C; rows is a multiple of 4.
func packRowsC(packed, codes []byte, rows, cols int) {
	for g := range rows / 4 {
		out, in := packed[g*cols:(g+1)*cols], codes[4*g*cols:4*(g+1)*cols]
		for c := range out {
			out[c] = in[c]<<6 | in[c+cols]<<4 | in[c+2*cols]<<2 | in[c+3*cols]
		}
	}
}
