package quant

import "unsafe"

const ptq1_0Elems = 128

// blockPTQ1_0 holds 128 trits, five to a byte (four in qh), in the byte code of
// TQ1_0: elements 0–79 are qs[e mod 16] trit e div 16; elements 80–119 are
// qs[16 + (e−80) mod 8] trit (e−80) div 8; elements 120–127 are qh[(e−120) mod 2]
// trit (e−120) div 2.
type blockPTQ1_0 struct {
	qs [24]byte
	qh [2]byte
	d  scale16
}

var _ [28]byte = [unsafe.Sizeof(blockPTQ1_0{})]byte{}

func (b *blockPTQ1_0) unpack(dst []byte) (invalid uint64) {
	out := (*[ptq1_0Elems]byte)(dst)
	for m := range 16 {
		v := uint32(b.qs[m])
		for n := range 5 {
			v *= 3
			out[m+16*n] = byte(v >> 8)
			v &= 0xff
		}
	}
	for m := range 8 {
		v := uint32(b.qs[16+m])
		for n := range 5 {
			v *= 3
			out[80+m+8*n] = byte(v >> 8)
			v &= 0xff
		}
	}
	for h := range 2 {
		v := uint32(b.qh[h])
		for n := range 4 {
			v *= 3
			out[120+h+2*n] = byte(v >> 8)
			v &= 0xff
		}
	}
	return 0
}

func (b *blockPTQ1_0) pack(codes []byte) error {
	for m := range 16 {
		b.qs[m] = packBase3(codes[m], codes[m+16], codes[m+32], codes[m+48], codes[m+64])
	}
	for m := range 8 {
		c := codes[80+m:]
		b.qs[16+m] = packBase3(c[0], c[8], c[16], c[24], c[32])
	}
	for h := range 2 {
		c := codes[120+h:]
		b.qh[h] = packBase3(c[0], c[2], c[4], c[6], 0)
	}
	return nil
}

func (b *blockPTQ1_0) decode(dst []float32) error {
	var codes [ptq1_0Elems]byte
	b.unpack(codes[:])
	decodeCodes(dst, codes[:], b.d.float32())
	return nil
}

func (b *blockPTQ1_0) encode(src []float32) error {
	var codes [ptq1_0Elems]byte
	if err := b.d.set(codesByAbsMax(codes[:], src)); err != nil {
		return err
	}
	return b.pack(codes[:])
}
