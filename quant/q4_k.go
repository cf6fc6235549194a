package quant

import "unsafe"

const (
	q4_KElems = 256
	q5_KElems = 256
)

// scales6 holds eight scales and eight minima of 6 bits, as Q4_K and Q5_K pack
// them.
type scales6 [12]byte

// at returns scale and minimum of run j, 0 to 7.
func (s *scales6) at(j int) (scale, minimum float32) {
	if j < 4 {
		return float32(s[j] & 63), float32(s[j+4] & 63)
	}
	return float32(s[j+4]&15 | s[j-4]>>6<<4), float32(s[j+4]>>4 | s[j]>>6<<4)
}

// blockQ4_K holds 256 elements in eight runs of 32: value = d·scale·code −
// dmin·minimum with a 4-bit code. Run j is the low (even j) or high nibbles of
// qs[32·(j div 2)] and the 31 bytes after it.
type blockQ4_K struct {
	d, dmin scale16
	scales  scales6
	qs      [128]byte
}

var _ [144]byte = [unsafe.Sizeof(blockQ4_K{})]byte{}

func (b *blockQ4_K) decode(dst []float32) error {
	d, dmin := b.d.float32(), b.dmin.float32()
	for j := range 8 {
		scale, minimum := b.scales.at(j)
		ds, dm := float32(d*scale), float32(dmin*minimum)
		qs, shift := b.qs[j>>1<<5:], j&1<<2
		out := (*[32]float32)(dst[32*j:])
		for i := range out {
			out[i] = float32(ds*float32(qs[i]>>shift&15)) - dm
		}
	}
	return nil
}

// blockQ5_K is Q4_K with a fifth bit: bit j of qh[i] belongs to element i of run
// j.
type blockQ5_K struct {
	d, dmin scale16
	scales  scales6
	qh      [32]byte
	qs      [128]byte
}

var _ [176]byte = [unsafe.Sizeof(blockQ5_K{})]byte{}

func (b *blockQ5_K) decode(dst []float32) error {
	d, dmin := b.d.float32(), b.dmin.float32()
	for j := range 8 {
		scale, minimum := b.scales.at(j)
		ds, dm := float32(d*scale), float32(dmin*minimum)
		qs, shift := b.qs[j>>1<<5:], j&1<<2
		out := (*[32]float32)(dst[32*j:])
		for i := range out {
			code := qs[i]>>shift&15 | b.qh[i]>>j&1<<4
			out[i] = float32(ds*float32(code)) - dm
		}
	}
	return nil
}
