package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A decoder256 emits the code that turns half a block, the 32 bytes of eight rows, or with
// registers of 128 bits a quarter, into bytes of four 2-bit fields and, for five fields,
// bytes that hold the fifth code. Constants stay in memory: registers are for sums.
type decoder256 struct {
	name   string
	fields int
	packed func(part Mem, vec func() reg.VecVirtual) []reg.VecVirtual
}

var decodeT2For256 = decoder256{name: "T2", fields: 4, packed: func(part Mem, vec func() reg.VecVirtual) []reg.VecVirtual {
	raw := vec()
	VMOVDQU(part, raw)
	return []reg.VecVirtual{raw}
}}

// decodeT5For256 has no table of 81 entries to look codes up in. It computes
//
//	Σ 4^f·c_f = v + ⌊v/3⌋ + 4⌊v/9⌋ + 16⌊v/27⌋   for v = Σ 3^f·c_f
//
// with a multiplication and a shift for the first two quotients, and a table of
// 4q + 16⌊q/3⌋ for the nine values of q = ⌊v/9⌋.
var decodeT5For256 = decoder256{name: "T5", fields: 5, packed: func(part Mem, vec func() reg.VecVirtual) []reg.VecVirtual {
	c81 := bytes256("ternary81", 81*0x01010101)
	raw, v, t := vec(), vec(), vec()
	VMOVDQU(part, raw)
	VPSUBB(c81, raw, v)
	VPMINUB(v, raw, v)
	VPSUBB(c81, v, t)
	VPMINUB(t, v, v)
	// 81·c₄ is 0, 0b01010001 or 0b10100010.
	VPSUBB(v, raw, raw)
	VPSRLW(U8(6), raw, raw)
	VPAND(byteMask(3), raw, raw)
	// ⌊v/3⌋ = 86v >> 8 and ⌊v/9⌋ = 57v >> 9 for v ≤ 80, in the even and then
	// the odd byte of each word.
	sum, q := vec(), vec()
	VPMADDUBSW(bytes256("ternary86Even", 0x00560056), v, sum)
	VPSRLW(U8(8), sum, sum)
	VPADDB(v, sum, sum)
	VPMADDUBSW(bytes256("ternary86Odd", 0x56005600), v, t)
	VPAND(bytes256("ternaryOdd", 0xFF00FF00), t, t)
	VPADDB(t, sum, sum)
	VPMADDUBSW(bytes256("ternary57Even", 0x00390039), v, q)
	VPSRLW(U8(9), q, q)
	VPMADDUBSW(bytes256("ternary57Odd", 0x39003900), v, t)
	VPSRLW(U8(1), t, t)
	VPAND(bytes256("ternaryOdd", 0xFF00FF00), t, t)
	VPOR(t, q, q)
	VMOVDQU(table("ternaryNinths", 32, func(i int) Constant {
		if i %= 16; i <= 8 {
			return U8(4*i + 16*(i/3))
		}
		return U8(0)
	}, 1), t)
	VPSHUFB(q, t, t)
	VPADDB(t, sum, sum)
	return []reg.VecVirtual{sum, raw}
}}

// matMul256 emits the product of n rows of activations with one panel.
//
// VPMADDUBSW adds pairs of products to 16-bit words. A word takes 64 of them,
// |Σ| ≤ 64·2·2·128 = 2¹⁵ with the one bad sign impossible, before VPMADDWD adds
// its pairs to 32-bit sums.
func matMul256(d decoder256, n int) {
	name := fmt.Sprintf("matMul%sI8x%dAVX2", d.name, n)
	TEXT(name, NOSPLIT, "func(acc *int32, w *byte, x *int8, stride, blocks int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes 16 sums for each of %d rows of activations, stride apart, with blocks ≥ 1 blocks.", name, n))
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	x := Load(Param("x"), GP64())
	s := Load(Param("stride"), GP64())
	blocks := Load(Param("blocks"), GP64())
	row := rows(x, s, n)
	words := make([][2]reg.VecVirtual, n)
	zero := YMM()
	VPXOR(zero, zero, zero)
	for t := range words {
		for h := range 2 {
			words[t][h] = YMM()
			VMOVDQU(zero, Mem{Base: acc, Disp: 64*t + 32*h})
		}
	}
	count, run := GP64(), U32(64/d.fields)
	Label("run")
	for t := range words {
		for h := range 2 {
			VPXOR(words[t][h], words[t][h], words[t][h])
		}
	}
	MOVQ(run, count)
	CMPQ(blocks, count)
	CMOVQLT(blocks, count)
	SUBQ(count, blocks)
	Label("block")
	if n == 1 {
		prefetch(w, 0)
	} else {
		PREFETCHT0(Mem{Base: w, Disp: prefetchAhead})
	}
	halves := [2][]reg.VecVirtual{d.packed(Mem{Base: w}, YMM), d.packed(Mem{Base: w, Disp: 32}, YMM)}
	code := byteMask(3)
	for i := range d.fields {
		// The fifth field first: it frees its registers.
		f := (i + d.fields - 1) % d.fields
		if d.fields == 4 {
			f = i
		}
		var codes [2]reg.VecVirtual
		for h := range 2 {
			if f == 4 {
				codes[h] = halves[h][1]
				continue
			}
			codes[h] = YMM()
			if f == 0 {
				VPAND(code, halves[h][0], codes[h])
			} else {
				VPSRLD(U8(2*f), halves[h][0], codes[h])
				VPAND(code, codes[h], codes[h])
			}
		}
		for t := range words {
			q, product := YMM(), YMM()
			VPBROADCASTD(row.at(t, 4*f), q)
			VPMADDUBSW(q, codes[0], product)
			VPADDW(product, words[t][0], words[t][0])
			VPMADDUBSW(q, codes[1], q)
			VPADDW(q, words[t][1], words[t][1])
		}
	}
	ADDQ(U8(64), w)
	row.advance(4 * d.fields)
	DECQ(count)
	JNZ(LabelRef("block"))
	ones := YMM()
	VMOVDQU(wordOnes(), ones)
	for t := range words {
		for h := range 2 {
			at := Mem{Base: acc, Disp: 64*t + 32*h}
			VPMADDWD(ones, words[t][h], words[t][h])
			VPADDD(at, words[t][h], words[t][h])
			VMOVDQU(words[t][h], at)
		}
	}
	TESTQ(blocks, blocks)
	JNZ(LabelRef("run"))
	VZEROUPPER()
	RET()
}

// matMulF32256 emits the product of n rows of float32 activations with half a
// panel, eight rows.
func matMulF32256(d decoder256, n int) {
	name := fmt.Sprintf("matMul%sF32x%dAVX2", d.name, n)
	TEXT(name, NOSPLIT, "func(acc *float32, w *byte, x *float32, stride, blocks int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s adds the products with the first eight rows of blocks ≥ 1 blocks to the partial sums of %d", name, n),
		"rows of activations, stride elements apart.")
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	x := Load(Param("x"), GP64())
	s := Load(Param("stride"), GP64())
	blocks := Load(Param("blocks"), GP64())
	SHLQ(U8(2), s)
	row := rows(x, s, n)
	trits := YMM()
	VMOVUPS(tritTable(), trits)
	sums := make([][4]reg.VecVirtual, n)
	for t := range sums {
		for b := range 4 {
			sums[t][b] = YMM()
			VMOVUPS(Mem{Base: acc, Disp: 256*t + 64*b}, sums[t][b])
		}
	}
	Label("block")
	words := d.packed(Mem{Base: w}, YMM)
	for f := range d.fields {
		for b := range 4 {
			word, shift := words[0], 8*b+2*f
			if f == 4 {
				word, shift = words[1], 8*b
			}
			index := YMM()
			if shift == 0 {
				VMOVDQA(word, index)
			} else {
				VPSRLD(U8(shift), word, index)
			}
			VPERMPS(trits, index, index)
			for t := range n {
				product := YMM()
				VBROADCASTSS(row.at(t, 4*(4*f+b)), product)
				VMULPS(product, index, product)
				VADDPS(product, sums[t][b], sums[t][b])
			}
		}
	}
	ADDQ(U8(64), w)
	row.advance(16 * d.fields)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	for t := range sums {
		for b := range 4 {
			VMOVUPS(sums[t][b], Mem{Base: acc, Disp: 256*t + 64*b})
		}
	}
	VZEROUPPER()
	RET()
}
