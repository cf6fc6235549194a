package quant

import "unsafe"

const q4_0Elems = 32

// blockQ4_0 holds 32 elements: element j is the low nibble of qs[j], element
// j+16 the high nibble; its value is (nibble − 8)·d.
type blockQ4_0 struct {
	d  scale16
	qs [16]byte
}

var _ [18]byte = [unsafe.Sizeof(blockQ4_0{})]byte{}

func (b *blockQ4_0) decode(dst []float32) error {
	d, out := b.d.float32(), (*[q4_0Elems]float32)(dst)
	for j, q := range &b.qs {
		out[j] = float32(int32(q&15)-8) * d
		out[j+16] = float32(int32(q>>4)-8) * d
	}
	return nil
}

// encode quantises as ggml does: the element of largest magnitude becomes −8
// exactly, the others round half up. The inverse scale is the unrounded one.
func (b *blockQ4_0) encode(src []float32) error {
	_, m := absMax(src)
	d := m / -8
	if err := b.d.set(d); err != nil {
		return err
	}
	id := inverse(d)
	for j := range b.qs {
		low := min(15, int(float32(src[j]*id)+8.5))
		high := min(15, int(float32(src[j+16]*id)+8.5))
		b.qs[j] = byte(low | high<<4)
	}
	return nil
}
