package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"trit/internal/kernel/gen/dot"
)

// A masked256 hands out fields of width bits of bytes: as many as there are sums stay
// where they are in their bytes, field f then counts 2^shift(f) times.
type masked256 struct{ width, sums int }

func (m masked256) shift(field int) int { return m.width * (field % m.sums) }

// field keeps one field of what from holds, which may be codes itself.
func (m masked256) field(f int, from Op, codes reg.VecVirtual) {
	mask := uint32(1<<m.width-1) * 0x01010101 << m.shift(f)
	by := m.width*f - m.shift(f)
	if by == 0 {
		if from == Op(codes) {
			VPAND(byteMask(mask), codes, codes)
			return
		}
		loaded := from
		if _, ok := from.(Mem); ok {
			VMOVDQU(from, codes)
			loaded = codes
		}
		VPAND(byteMask(mask), loaded, codes)
		return
	}
	if _, ok := from.(Mem); ok {
		VMOVDQU(from, codes)
		from = codes
	}
	VPSRLD(U8(by), from, codes)
	VPAND(byteMask(mask), codes, codes)
}

// byteMask returns 32 bytes that hold the lowest byte of v.
func byteMask(v uint32) Mem { return bytes256(fmt.Sprintf("ternaryMask%02X", v&0xFF), v) }

// fold256 brings sums, of which sum i counts 2^shift(i) times, into the first.
func fold256(sums []reg.VecVirtual, shift func(i int) int) {
	for i, s := range sums {
		switch by := shift(i); {
		case by > 0:
			VPSRAD(U8(by), s, s)
		case by < 0:
			VPADDD(s, s, s)
		}
	}
	reduce(sums)
}

// sumsVNNI returns how many sums each of n rows of activations has in each half of a
// panel: as many as there are registers for, so that fields need few shifts and enough
// products are under way at a time.
func sumsVNNI(n int) int { return max(1, 4/n) }

// matMulVNNI emits the product of n rows of activations with one panel. What is packed in
// layout T2 is loaded again for every field, which leaves registers for six rows.
func matMulVNNI(d decoder256, n int) {
	name := fmt.Sprintf("matMul%sI8x%dAVXVNNI", d.name, n)
	TEXT(name, NOSPLIT, "func(acc *int32, w *byte, x *int8, stride, blocks int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes 16 sums for each of %d rows of activations, stride apart, with blocks ≥ 1 blocks.", name, n))
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	x := Load(Param("x"), GP64())
	s := Load(Param("stride"), GP64())
	blocks := Load(Param("blocks"), GP64())
	row := rows(x, s, n)
	m := masked256{2, sumsVNNI(n)}
	sums := make([][2][]reg.VecVirtual, n)
	for t := range sums {
		for h := range 2 {
			for range m.sums {
				v := YMM()
				VPXOR(v, v, v)
				sums[t][h] = append(sums[t][h], v)
			}
		}
	}
	Label("block")
	if n == 1 {
		prefetch(w, 0)
	} else {
		PREFETCHT0(Mem{Base: w, Disp: prefetchAhead})
	}
	halves := [2]Mem{{Base: w}, {Base: w, Disp: 32}}
	dots := func(half, field, sum int, codes [2]reg.VecVirtual) {
		for t := range n {
			q := YMM()
			VPBROADCASTD(row.at(t, 4*field), q)
			for h := range 2 {
				if half < 0 || half == h {
					dot.VEX(q, codes[h], sums[t][h][sum])
				}
			}
		}
	}
	switch {
	case d.fields == 4:
		for f := range 4 {
			codes := [2]reg.VecVirtual{YMM(), YMM()}
			for h := range 2 {
				m.field(f, halves[h], codes[h])
			}
			dots(-1, f, f%m.sums, codes)
		}
	case n == 1:
		// One half after the other takes fewer registers.
		for h := range 2 {
			words := d.packed(halves[h], YMM)
			var codes [2]reg.VecVirtual
			codes[h] = words[1]
			dots(h, 4, 0, codes)
			for f := range 4 {
				codes[h] = YMM()
				m.field(f, words[0], codes[h])
				dots(h, f, f%m.sums, codes)
			}
		}
	default:
		words := [2][]reg.VecVirtual{d.packed(halves[0], YMM), d.packed(halves[1], YMM)}
		dots(-1, 4, 0, [2]reg.VecVirtual{words[0][1], words[1][1]})
		for f := range 4 {
			codes := [2]reg.VecVirtual{YMM(), YMM()}
			for h := range 2 {
				m.field(f, words[h][0], codes[h])
			}
			dots(-1, f, f%m.sums, codes)
		}
	}
	ADDQ(U8(64), w)
	row.advance(4 * d.fields)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	for t := range sums {
		for h := range 2 {
			fold256(sums[t][h], m.shift)
			VMOVDQU(sums[t][h][0], Mem{Base: acc, Disp: 64*t + 32*h})
		}
	}
	VZEROUPPER()
	RET()
}

// int8PeakVNNI multiplies registers with registers.
func int8PeakVNNI() {
	TEXT("int8PeakAVXVNNI", NOSPLIT, "func(iters int) int64")
	Doc("int8PeakAVXVNNI runs iters rounds of independent VPDPBUSD and returns the multiply-accumulates done.")
	const chains = 12
	n := Load(Param("iters"), GP64())
	total := GP64()
	IMUL3Q(U32(chains*32), n, total)
	acc := make([]reg.VecVirtual, chains)
	for i := range acc {
		acc[i] = YMM()
		VPXOR(acc[i], acc[i], acc[i])
	}
	a, b := YMM(), YMM()
	VPXOR(a, a, a)
	VPXOR(b, b, b)
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range acc {
		dot.VEX(a, b, acc[i])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	Store(total, ReturnIndex(0))
	RET()
}
