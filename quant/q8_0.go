package quant

import "unsafe"

const q8_0Elems = 32

// blockQ8_0 holds 32 elements of value q·d.
type blockQ8_0 struct {
	d  scale16
	qs [q8_0Elems]int8
}

var _ [34]byte = [unsafe.Sizeof(blockQ8_0{})]byte{}

func (b *blockQ8_0) decode(dst []float32) error {
	d, out := b.d.float32(), (*[q8_0Elems]float32)(dst)
	for j, q := range &b.qs {
		out[j] = float32(q) * d
	}
	return nil
}

// encode quantises with d = absmax/127, halves away from zero. The inverse scale
// is the unrounded one.
func (b *blockQ8_0) encode(src []float32) error {
	magnitude, _ := absMax(src)
	d := magnitude / 127
	if err := b.d.set(d); err != nil {
		return err
	}
	id := inverse(d)
	for j, x := range src {
		b.qs[j] = int8(roundAway(x * id))
	}
	return nil
}
