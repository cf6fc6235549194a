package quant

import (
	"fmt"
	"unsafe"
)

const q6_KElems = 256

// blockQ6_K holds 256 elements in 16 groups of 16: value = d · scales[group] ·
// (code − 32) with a 6-bit code. Each half of 128 elements uses 64 bytes of ql,
// 32 of qh and 8 scales; see decode for the interleaving.
type blockQ6_K struct {
	ql     [128]byte
	qh     [64]byte
	scales [16]int8
	d      scale16
}

var _ [210]byte = [unsafe.Sizeof(blockQ6_K{})]byte{}

func (b *blockQ6_K) decode(dst []float32) error {
	d := b.d.float32()
	for h := range 2 {
		ql, qh := (*[64]byte)(b.ql[64*h:]), (*[32]byte)(b.qh[32*h:])
		out := (*[128]float32)(dst[128*h:])
		for s := range 2 {
			// The product d·scale is rounded before it meets the code, as in ggml.
			d0 := d * float32(b.scales[8*h+s])
			d2 := d * float32(b.scales[8*h+s+2])
			d4 := d * float32(b.scales[8*h+s+4])
			d6 := d * float32(b.scales[8*h+s+6])
			for l := 16 * s; l < 16*s+16; l++ {
				low, next, high := ql[l&31], ql[l&31+32], qh[l&31]
				out[l&31] = d0 * float32(int32(low&15|high&3<<4)-32)
				out[l&31+32] = d2 * float32(int32(next&15|high>>2&3<<4)-32)
				out[l&31+64] = d4 * float32(int32(low>>4|high>>4&3<<4)-32)
				out[l&31+96] = d6 * float32(int32(next>>4|high>>6<<4)-32)
			}
		}
	}
	return nil
}

// q6_KEpsilon is the magnitude below which ggml writes zeros.
const q6_KEpsilon = 1e-15

// q6_KLimit bounds the inputs whose scale can fit in binary16 (65504·128·33 is
// below 2²⁸·1.04); beyond it the search would overflow float32.
const q6_KLimit = 1 << 29

// encode quantises bit for bit as ggml's reference does: sixteen group scales
// from a weighted least-squares search, themselves quantised to 8 bits, then
// every code rounded again under its final scale.
func (b *blockQ6_K) encode(src []float32) error {
	if magnitude, _ := absMax(src); magnitude >= q6_KLimit {
		return fmt.Errorf("%w: magnitude %g is too large for Q6_K", ErrRange, magnitude)
	}
	var codes [q6_KElems]uint8
	var scales [16]float32
	for g := range scales {
		scales[g] = searchQ6_K((*[16]uint8)(codes[16*g:]), (*[16]float32)(src[16*g:]))
	}
	magnitude, largest := absMax(scales[:])
	if magnitude < q6_KEpsilon {
		*b = blockQ6_K{}
		return nil
	}
	inverseScale := -128 / largest
	if err := b.d.set(1 / inverseScale); err != nil {
		return err
	}
	stored := b.d.float32()
	for g := range scales {
		b.scales[g] = int8(min(127, roundEven(float32(inverseScale*scales[g]))))
		d := stored * float32(b.scales[g])
		if d == 0 {
			continue // the group keeps the codes that the search found
		}
		for i := 16 * g; i < 16*g+16; i++ {
			codes[i] = codeQ6_K(src[i] / d)
		}
	}
	b.pack(&codes)
	return nil
}

func (b *blockQ6_K) pack(codes *[q6_KElems]uint8) {
	for h := range 2 {
		in := (*[128]uint8)(codes[128*h:])
		for l := range 32 {
			c0, c1, c2, c3 := in[l], in[l+32], in[l+64], in[l+96]
			b.ql[64*h+l] = c0&15 | c2&15<<4
			b.ql[64*h+l+32] = c1&15 | c3&15<<4
			b.qh[32*h+l] = c0>>4 | c1>>4<<2 | c2>>4<<4 | c3>>4<<6
		}
	}
}

// codeQ6_K rounds x, measured in units of the group scale, to a 6-bit code. The
// clamp comes first, so that no input leaves the range of roundEven.
func codeQ6_K(x float32) uint8 {
	return uint8(roundEven(max(-32, min(31, x))) + 32)
}

// searchQ6_K finds codes for one group and returns its scale. It tries nineteen
// scales around −32/m, where m is the element of largest magnitude, and keeps the
// one that maximises A²/B with A = Σ x²·x·l and B = Σ x²·l². The order of the
// float32 operations is ggml's.
func searchQ6_K(codes *[16]uint8, x *[16]float32) float32 {
	magnitude, m := absMax(x[:])
	if magnitude < q6_KEpsilon {
		*codes = [16]uint8{} // zero, not 32: these codes reach the file
		return 0
	}
	var scale, best float32
	try := func(inverseScale float32) (a, b float32) {
		for _, v := range x {
			l := float32(int32(codeQ6_K(float32(inverseScale*v))) - 32)
			w := v * v
			a += float32(float32(w*v) * l)
			b += float32(float32(w*l) * l)
		}
		return a, b
	}
	keep := func(inverseScale float32) {
		for i, v := range x {
			codes[i] = codeQ6_K(float32(inverseScale * v))
		}
	}
	first := -32 / m
	a, b := try(first)
	if b != 0 {
		scale = a / b
	}
	best = scale * a
	keep(first)
	for k := -9; k <= 9; k++ {
		if k == 0 {
			continue
		}
		inverseScale := -(32 + float32(0.1*float32(k))) / m
		a, b := try(inverseScale)
		if b > 0 && float32(a*a) > float32(best*b) {
			keep(inverseScale)
			scale = a / b
			best = scale * a
		}
	}
	return scale
}
