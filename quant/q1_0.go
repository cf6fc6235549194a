package quant

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

const q1_0Elems = 128

// blockQ1_0 holds 128 binary elements and their scale: element e is +d if bit e
// mod 8 of qs[e div 8] is set, else −d. There is no zero.
type blockQ1_0 struct {
	d  scale16
	qs [q1_0Elems / 8]byte
}

var _ [18]byte = [unsafe.Sizeof(blockQ1_0{})]byte{}

func (b *blockQ1_0) unpack(dst []byte) (invalid uint64) {
	for i, q := range &b.qs {
		// Bit n of q moves to bit 1 of byte n: codes 0 and 2.
		v := uint64(q) * 0x0101010101010101 & 0x8040201008040201
		v = (v + 0x7f7f7f7f7f7f7f7f) >> 6 & 0x0202020202020202
		binary.LittleEndian.PutUint64(dst[8*i:], v)
	}
	return 0
}

func (b *blockQ1_0) pack(codes []byte) error {
	for i := range b.qs {
		var q byte
		for n, c := range codes[8*i : 8*i+8] {
			if c == 1 {
				return fmt.Errorf("%w: element %d is zero, which Q1_0 cannot store", ErrNotTernary, 8*i+n)
			}
			q |= c >> 1 << n
		}
		b.qs[i] = q
	}
	return nil
}

func (b *blockQ1_0) decode(dst []float32) error {
	d := b.d.float32()
	values := [2]float32{-d, d}
	for i, q := range &b.qs {
		out := (*[8]float32)(dst[8*i:])
		for n := range out {
			out[n] = values[q>>n&1]
		}
	}
	return nil
}

// encode takes the mean magnitude for the scale and the sign for the bit, as
// ggml does; zero counts as positive. The sum is in element order.
func (b *blockQ1_0) encode(src []float32) error {
	var sum float32
	for _, x := range src {
		sum += abs(x)
	}
	if err := b.d.set(sum / q1_0Elems); err != nil {
		return err
	}
	for i := range b.qs {
		var q byte
		for n, x := range src[8*i : 8*i+8] {
			if x >= 0 {
				q |= 1 << n
			}
		}
		b.qs[i] = q
	}
	return nil
}
