package quant

import (
	"encoding/binary"
	"unsafe"
)

const (
	q2_0Elems  = 64
	pq2_0Elems = 128
)

// blockQ2_0 holds 64 codes of 2 bits and their scale: element e is bits 2·(e mod
// 4) of qs[e div 4], its value (code − 1)·d. Code 3 would be +2·d; a ternary model
// has none.
type blockQ2_0 struct {
	d  scale16
	qs [q2_0Elems / 4]byte
}

var _ [18]byte = [unsafe.Sizeof(blockQ2_0{})]byte{}

// blockPQ2_0 is a block of Q2_0 with 128 elements: type PQ2_0, and Q2_0 as Prism
// wrote it first.
type blockPQ2_0 struct {
	d  scale16
	qs [pq2_0Elems / 4]byte
}

var _ [34]byte = [unsafe.Sizeof(blockPQ2_0{})]byte{}

// unpackPairs writes the codes of bytes that hold four neighbours each, the first
// in the low bits, and returns non-zero when one of them is 3.
func unpackPairs(dst, src []byte) (invalid uint64) {
	for i, q := range src {
		v := uint64(q)
		invalid |= invalid2(v)
		// Spread the four fields over four bytes.
		v = (v | v<<12) & 0x000f000f
		v = (v | v<<6) & 0x03030303
		binary.LittleEndian.PutUint32(dst[4*i:], uint32(v))
	}
	return invalid
}

func packPairs(dst, codes []byte) {
	for i := range dst {
		c := codes[4*i : 4*i+4]
		dst[i] = c[0] | c[1]<<2 | c[2]<<4 | c[3]<<6
	}
}

// decodePairs decodes all four codes: code 3 is +2·d.
func decodePairs(dst []float32, qs []byte, d float32) {
	values := [4]float32{-d, 0, d, 2 * d}
	for i, q := range qs {
		out := dst[4*i : 4*i+4]
		out[0], out[1], out[2], out[3] = values[q&3], values[q>>2&3], values[q>>4&3], values[q>>6]
	}
}

func (b *blockQ2_0) unpack(dst []byte) (invalid uint64) { return unpackPairs(dst, b.qs[:]) }

func (b *blockQ2_0) pack(codes []byte) error { packPairs(b.qs[:], codes); return nil }

func (b *blockQ2_0) decode(dst []float32) error {
	decodePairs(dst, b.qs[:], b.d.float32())
	return nil
}

func (b *blockQ2_0) encode(src []float32) error {
	var codes [q2_0Elems]byte
	if err := b.d.set(codesByAbsMax(codes[:], src)); err != nil {
		return err
	}
	return b.pack(codes[:])
}

func (b *blockPQ2_0) unpack(dst []byte) (invalid uint64) { return unpackPairs(dst, b.qs[:]) }

func (b *blockPQ2_0) pack(codes []byte) error { packPairs(b.qs[:], codes); return nil }

func (b *blockPQ2_0) decode(dst []float32) error {
	decodePairs(dst, b.qs[:], b.d.float32())
	return nil
}

func (b *blockPQ2_0) encode(src []float32) error {
	var codes [pq2_0Elems]byte
	if err := b.d.set(codesByAbsMax(codes[:], src)); err != nil {
		return err
	}
	return b.pack(codes[:])
}
