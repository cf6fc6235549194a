package quant

import (
	"encoding/binary"
	"unsafe"
)

const tqElems = 256

// blockTQ1_0 holds 256 trits, five to a byte (four in qh), and their scale.
// With trit 0 the most significant: elements 0–159 are qs[e mod 32] trit e div
// 32; elements 160–239 are qs[32 + (e−160) mod 16] trit (e−160) div 16; elements
// 240–255 are qh[(e−240) mod 4] trit (e−240) div 4.
type blockTQ1_0 struct {
	qs [48]byte
	qh [4]byte
	d  scale16
}

var _ [54]byte = [unsafe.Sizeof(blockTQ1_0{})]byte{}

func (b *blockTQ1_0) unpack(dst []byte) (invalid uint64) {
	out := (*[tqElems]byte)(dst)
	for i := 0; i < 32; i += 8 {
		unpackBase3(out[i:], 32, b.qs[i:])
	}
	for i := 0; i < 16; i += 8 {
		unpackBase3(out[160+i:], 16, b.qs[32+i:])
	}
	v := uint64(binary.LittleEndian.Uint32(b.qh[:]))
	even, odd := v&lowBytes, v>>8&lowBytes
	for at := 240; at < 256; at += 4 {
		even *= 3
		odd *= 3
		binary.LittleEndian.PutUint32(out[at:], uint32(even>>8&lowBytes|odd&^lowBytes))
		even &= lowBytes
		odd &= lowBytes
	}
	return 0
}

// lowBytes has the even bytes of a word.
const lowBytes = 0x00ff00ff00ff00ff

// unpackBase3 unpacks eight bytes of five trits each; trit n of them becomes the eight codes
// from n·step on. Every byte decodes to codes 0…2.
//
// A byte stores v = Σ tₙ·3^(4−n) as ceil(v·256/243), a fraction of 256: times 3,
// the overflow above bit 8 is the next trit and the rest the remaining fraction.
// That is done in 16-bit lanes, the even bytes in one word and the odd bytes in another.
func unpackBase3(dst []byte, step int, src []byte) {
	v := binary.LittleEndian.Uint64(src)
	even, odd := v&lowBytes, v>>8&lowBytes
	for n := range 5 {
		even *= 3
		odd *= 3
		binary.LittleEndian.PutUint64(dst[n*step:], even>>8&lowBytes|odd&^lowBytes)
		even &= lowBytes
		odd &= lowBytes
	}
}

func (b *blockTQ1_0) pack(codes []byte) error {
	for j := range 32 {
		b.qs[j] = packBase3(codes[j], codes[j+32], codes[j+64], codes[j+96], codes[j+128])
	}
	for j := range 16 {
		c := codes[160+j:]
		b.qs[32+j] = packBase3(c[0], c[16], c[32], c[48], c[64])
	}
	for j := range 4 {
		c := codes[240+j:]
		b.qh[j] = packBase3(c[0], c[4], c[8], c[12], 0)
	}
	return nil
}

// packBase3 packs five trits into a byte, the first the most significant.
func packBase3(t0, t1, t2, t3, t4 byte) byte {
	v := (((uint32(t0)*3+uint32(t1))*3+uint32(t2))*3+uint32(t3))*3 + uint32(t4)
	return byte((v*256 + 242) / 243)
}

func (b *blockTQ1_0) decode(dst []float32) error {
	var codes [tqElems]byte
	b.unpack(codes[:])
	decodeCodes(dst, codes[:], b.d.float32())
	return nil
}

func (b *blockTQ1_0) encode(src []float32) error {
	var codes [tqElems]byte
	if err := b.d.set(codesByAbsMax(codes[:], src)); err != nil {
		return err
	}
	return b.pack(codes[:])
}
