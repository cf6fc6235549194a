package quant

import (
	"encoding/binary"
	"unsafe"
)

// blockTQ2_0 holds 256 codes of 2 bits and their scale: element 128g + 32l + m
// is bits 2l and 2l+1 of qs[32g + m]. Code 3 is invalid.
type blockTQ2_0 struct {
	qs [64]byte
	d  scale16
}

var _ [66]byte = [unsafe.Sizeof(blockTQ2_0{})]byte{}

const (
	// low2 selects the low 2-bit field of each byte of a word.
	low2 = 0x0303030303030303
	// fields selects the low bit of every 2-bit field of a word.
	fields = 0x5555555555555555
)

// invalid2 marks the 2-bit fields of v that hold code 3.
func invalid2(v uint64) uint64 { return v & (v >> 1) & fields }

// unpack writes the 256 codes and returns non-zero when one of them is 3.
func (b *blockTQ2_0) unpack(dst []byte) (invalid uint64) {
	for g := range 2 {
		in, out := (*[32]byte)(b.qs[32*g:]), (*[128]byte)(dst[128*g:])
		for i := 0; i < 32; i += 8 {
			v := binary.LittleEndian.Uint64(in[i:])
			invalid |= invalid2(v)
			binary.LittleEndian.PutUint64(out[i:], v&low2)
			binary.LittleEndian.PutUint64(out[i+32:], v>>2&low2)
			binary.LittleEndian.PutUint64(out[i+64:], v>>4&low2)
			binary.LittleEndian.PutUint64(out[i+96:], v>>6&low2)
		}
	}
	return invalid
}

func (b *blockTQ2_0) pack(codes []byte) error {
	for g := range 2 {
		in := (*[128]byte)(codes[128*g:])
		for m := range 32 {
			b.qs[32*g+m] = in[m] | in[m+32]<<2 | in[m+64]<<4 | in[m+96]<<6
		}
	}
	return nil
}

func (b *blockTQ2_0) decode(dst []float32) error {
	var codes [tqElems]byte
	if b.unpack(codes[:]) != 0 {
		return codeError(codes[:], 0)
	}
	decodeCodes(dst, codes[:], b.d.float32())
	return nil
}

func (b *blockTQ2_0) encode(src []float32) error {
	var codes [tqElems]byte
	if err := b.d.set(codesByAbsMax(codes[:], src)); err != nil {
		return err
	}
	return b.pack(codes[:])
}
