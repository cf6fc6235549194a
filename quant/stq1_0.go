package quant

import (
	"fmt"
	"unsafe"
)

const stq1_0Elems = 256

// blockSTQ1_0 holds 64 groups of four elements, of which exactly one is zero and
// the others are ±d. Lane p of group g is element 64·(g div 16) + g mod 16 + 16·p.
// The slot of a group is a nibble of slots[g div 2], low for even g: its upper two
// bits name the zero lane, and of the other lanes in rising order the first is
// +1, the second −1 if bit 0 is set, the third −1 if bit 1 is. Bit g mod 8 of
// signs[g div 8] negates all three.
type blockSTQ1_0 struct {
	slots [32]byte
	signs [8]byte
	d     scale16
}

var _ [42]byte = [unsafe.Sizeof(blockSTQ1_0{})]byte{}

// stq1_0Lanes are the codes of the four lanes for every slot, for sign 0.
var stq1_0Lanes = func() (lanes [16][4]byte) {
	for slot := range lanes {
		signs := slot & 3 << 1 // bit k: the k-th lane that is not zero is −1
		for p := range 4 {
			if p == slot>>2 {
				lanes[slot][p] = 1
				continue
			}
			lanes[slot][p] = byte(2 - 2*(signs&1))
			signs >>= 1
		}
	}
	return lanes
}()

// stq1_0First returns the element of lane 0 of a group.
func stq1_0First(g int) int { return g>>4<<6 + g&15 }

func (b *blockSTQ1_0) unpack(dst []byte) (invalid uint64) {
	for g := range stq1_0Elems / 4 {
		lanes := &stq1_0Lanes[b.slots[g>>1]>>(g&1<<2)&15]
		negate := b.signs[g>>3] >> (g & 7) & 1 // 2 − code if set
		at := stq1_0First(g)
		for p, code := range lanes {
			dst[at+16*p] = (code ^ -negate) + 3*negate
		}
	}
	return 0
}

func (b *blockSTQ1_0) pack(codes []byte) error {
	b.slots, b.signs = [32]byte{}, [8]byte{}
	for g := range stq1_0Elems / 4 {
		at := stq1_0First(g)
		zero, zeros := 0, 0
		for p := range 4 {
			if codes[at+16*p] == 1 {
				zero = p
				zeros++
			}
		}
		if zeros != 1 {
			return fmt.Errorf("%w: elements %d, %d, %d and %d have %d zeros, and STQ1_0 stores groups with one", ErrNotTernary, at, at+16, at+32, at+48, zeros)
		}
		slot, k := zero<<2, 0
		var sign byte
		for p := range 4 {
			if p == zero {
				continue
			}
			negative := codes[at+16*p] == 0
			switch {
			case k == 0 && negative:
				sign = 1
			case k > 0 && negative == (sign == 0):
				slot |= 1 << (k - 1)
			}
			k++
		}
		b.slots[g>>1] |= byte(slot << (g & 1 << 2))
		b.signs[g>>3] |= sign << (g & 7)
	}
	return nil
}

func (b *blockSTQ1_0) decode(dst []float32) error {
	var codes [stq1_0Elems]byte
	b.unpack(codes[:])
	decodeCodes(dst, codes[:], b.d.float32())
	return nil
}

func (b *blockSTQ1_0) encode(src []float32) error {
	var codes [stq1_0Elems]byte
	if err := b.d.set(codesByAbsMax(codes[:], src)); err != nil {
		return err
	}
	return b.pack(codes[:])
}
