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
	unpackBase3(out[0:72], 16, b.qs[0:])
	unpackBase3(out[8:80], 16, b.qs[8:])
	unpackBase3(out[80:120], 8, b.qs[16:])
	even, odd := uint32(b.qh[0]), uint32(b.qh[1])
	for at := 120; at < 128; at += 2 {
		even *= 3
		odd *= 3
		out[at], out[at+1] = byte(even>>8), byte(odd>>8)
		even &= 0xff
		odd &= 0xff
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
