package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"trit/internal/kernel/gen/dot"
)

// Products of many rows of activations with weights that have been unpacked into a byte
// each, as products of tiles have them: unpacking costs nothing then, and as the codes
// come from memory there are registers for the sums of six rows.

// codes256 emits what codes512 does.
func codes256(d decoder256, v vectors) {
	name := fmt.Sprintf("codes%s%s", d.name, v.suffix)
	TEXT(name, NOSPLIT, "func(codes *byte, w *byte, blocks, ahead int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s unpacks blocks ≥ 1 blocks into a byte for each code, column by column in fours. It fetches", name),
		"as many that are ahead bytes behind these.")
	to := Load(Param("codes"), GP64())
	w := Load(Param("w"), GP64())
	blocks := Load(Param("blocks"), GP64())
	ahead := Load(Param("ahead"), GP64())
	m := masked256{2, 1}
	Label("block")
	PREFETCHT1(Mem{Base: w, Index: ahead, Scale: 1})
	for part := 0; part < 64; part += v.bytes {
		words := d.packed(Mem{Base: w, Disp: part}, v.new)
		for f := range 4 {
			codes := v.new()
			m.field(f, words[0], codes)
			VMOVDQU(codes, Mem{Base: to, Disp: 64*f + part})
		}
		if d.fields == 5 {
			VMOVDQU(words[1], Mem{Base: to, Disp: 64*4 + part})
		}
	}
	ADDQ(U8(64), w)
	ADDQ(U32(uint32(64*d.fields)), to)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// mulCodes256 emits the product of n rows of activations with the unpacked codes of one
// panel, by VPDPBUSD or, with AVX2, by sums of words that take the products of 64 steps.
func mulCodes256(n int, vnni bool) {
	name := fmt.Sprintf("mulCodesx%dAVX2", n)
	if vnni {
		name = fmt.Sprintf("mulCodesx%dAVXVNNI", n)
	}
	TEXT(name, NOSPLIT, "func(acc *int32, x *int8, stride int, codes *byte, steps int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s adds to 16 sums for each of %d rows of activations, stride apart, the products of their first", name, n),
		"16·steps > 0 columns. The sums of a row are 32 behind those of the one before.")
	acc := Load(Param("acc"), GP64())
	x := Load(Param("x"), GP64())
	s := Load(Param("stride"), GP64())
	codes := Load(Param("codes"), GP64())
	steps := Load(Param("steps"), GP64())
	row := rows(x, s, n)
	sums := make([][2]reg.VecVirtual, n)
	at := func(t, h int) Mem { return Mem{Base: acc, Disp: pairBytes*t + 32*h} }
	for t := range sums {
		for h := range 2 {
			sums[t][h] = YMM()
		}
	}
	each := func(f func(t, h int, sum reg.VecVirtual)) {
		for t := range sums {
			for h := range 2 {
				f(t, h, sums[t][h])
			}
		}
	}
	count := steps
	if vnni {
		each(func(t, h int, sum reg.VecVirtual) { VMOVDQU(at(t, h), sum) })
	} else {
		count = GP64()
		Label("run")
		MOVQ(U32(16), count)
		CMPQ(steps, count)
		CMOVQLT(steps, count)
		SUBQ(count, steps)
		each(func(t, h int, sum reg.VecVirtual) { VPXOR(sum, sum, sum) })
	}
	Label("step")
	for f := range 4 {
		c := [2]reg.VecVirtual{YMM(), YMM()}
		for h := range 2 {
			VMOVDQU(Mem{Base: codes, Disp: 64*f + 32*h}, c[h])
		}
		for t := range sums {
			q := YMM()
			VPBROADCASTD(row.at(t, 4*f), q)
			if vnni {
				dot.VEX(q, c[0], sums[t][0])
				dot.VEX(q, c[1], sums[t][1])
				continue
			}
			product := YMM()
			VPMADDUBSW(q, c[0], product)
			VPADDW(product, sums[t][0], sums[t][0])
			VPMADDUBSW(q, c[1], q)
			VPADDW(q, sums[t][1], sums[t][1])
		}
	}
	ADDQ(U32(256), codes)
	row.advance(16)
	DECQ(count)
	JNZ(LabelRef("step"))
	each(func(t, h int, sum reg.VecVirtual) {
		if !vnni {
			VPMADDWD(wordOnes(), sum, sum)
			VPADDD(at(t, h), sum, sum)
		}
		VMOVDQU(sum, at(t, h))
	})
	if !vnni {
		TESTQ(steps, steps)
		JNZ(LabelRef("run"))
	}
	VZEROUPPER()
	RET()
}
