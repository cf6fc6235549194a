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

// A byte stores v = Σ tₙ·3^(4−n) as ceil(v·256/243), a fraction of 256: times 3,
// the overflow above bit 8 is the next trit and the rest the remaining fraction.
// unpack does that for eight bytes at a time in 16-bit lanes, the even bytes in
// one word and the odd bytes in another. Every byte decodes to trits 0…2.
func (b *blockTQ1_0) unpack(dst []byte) (invalid uint64) {
	const low = 0x00ff00ff00ff00ff
	const evenTrit, oddTrit = 0x0003000300030003, 0x0300030003000300
	for i := 0; i < 48; i += 8 {
		v := binary.LittleEndian.Uint64(b.qs[i:])
		at, step := i, 32
		if i >= 32 {
			at, step = 160+i-32, 16
		}
		even, odd := v&low, v>>8&low
		for range 5 {
			even *= 3
			odd *= 3
			binary.LittleEndian.PutUint64(dst[at:], even>>8&evenTrit|odd&oddTrit)
			even &= low
			odd &= low
			at += step
		}
	}
	v := uint64(binary.LittleEndian.Uint32(b.qh[:]))
	even, odd := v&low, v>>8&low
	for at := 240; at < 256; at += 4 {
		even *= 3
		odd *= 3
		binary.LittleEndian.PutUint32(dst[at:], uint32(even>>8&evenTrit|odd&oddTrit))
		even &= low
		odd &= low
	}
	return 0
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
