package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// runs is a format of 256 elements in eight runs of 32: value = scale·code − minimum,
// with scales and minima of 6 bits times a scale of the block, and codes of 4 bits, two
// runs in the halves of 32 bytes. The fifth bits of codes stand before these where the
// format has them.
type runs struct {
	name  string
	fifth bool
}

// decodeRuns widens whole blocks.
func decodeRuns(a isa, f runs) {
	a.function("decode"+f.name, "func(dst []float32, src *byte)", "widens whole blocks of "+f.name+".")
	dst, n, src := slice("dst"), length("dst"), Load(Param("src"), GP64())
	local := AllocLocal(64)
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("block")
	a.unpackScales(Mem{Base: src}, local)
	fifth := make([]VecVirtual, 32/a.lanes)
	header := 16
	if f.fifth {
		for i := range fifth {
			fifth[i] = a.vec()
			VPMOVZXBD(Mem{Base: src, Disp: header + i*a.lanes}, fifth[i])
		}
		header += 32
	}
	ADDQ(imm(header), src)
	scale, pairs := GP64(), GP64()
	LEAQ(local, scale)
	MOVQ(U32(4), pairs)

	Label("pair")
	for i := range fifth {
		low, high := a.vec(), a.vec()
		VPMOVZXBD(Mem{Base: src, Disp: i * a.lanes}, low)
		VPSRLD(U8(4), low, high)
		a.and(repeated(15), low, low)
		if f.fifth {
			for run, code := range []VecVirtual{low, high} {
				bit := a.vec()
				VPSLLD(U8(4-run), fifth[i], bit)
				a.and(repeated(16), bit, bit)
				a.or(bit, code, code)
			}
			VPSRLD(U8(2), fifth[i], fifth[i])
		}
		for run, code := range []VecVirtual{low, high} {
			VCVTDQ2PS(code, code)
			factor, minimum := Mem{Base: scale, Disp: 4 * run}, Mem{Base: scale, Disp: 32 + 4*run}
			if a.wide() {
				VMULPS_BCST(factor, code, code)
				VSUBPS_BCST(minimum, code, code)
			} else {
				v := a.vec()
				VBROADCASTSS(factor, v)
				VMULPS(v, code, code)
				VBROADCASTSS(minimum, v)
				VSUBPS(v, code, code)
			}
			VMOVUPS(code, Mem{Base: dst, Disp: 128*run + i*a.bytes()})
		}
	}
	ADDQ(imm(32), src)
	ADDQ(imm(256), dst)
	ADDQ(imm(8), scale)
	DECQ(pairs)
	JNZ(LabelRef("pair"))
	SUBQ(imm(256), n)
	JNZ(LabelRef("block"))
	Label("done")
	finish()
}

// unpackScales widens the eight scales and then the eight minima of a block, times
// those of the block, to float32 in local memory.
func (a isa) unpackScales(block, local Mem) {
	const low4, low6, top2 = 0x0f0f0f0f, 0x3f3f3f3f, 0x30303030
	words := make([]GPVirtual, 3)
	for i := range words {
		words[i] = GP32()
		MOVL(block.Offset(4+4*i), words[i])
	}
	for kind := range 2 {
		// The first four are six bits of a byte. Of the others four bits are in a half of
		// the last four bytes, and two above the first four.
		first, last, top := GP64(), GP64(), GP32()
		MOVL(words[kind], first.As32())
		ANDL(U32(low6), first.As32())
		MOVL(words[2], last.As32())
		if kind == 1 {
			SHRL(U8(4), last.As32())
		}
		ANDL(U32(low4), last.As32())
		MOVL(words[kind], top)
		SHRL(U8(2), top)
		ANDL(U32(top2), top)
		ORL(top, last.As32())
		SHLQ(U8(32), last)
		ORQ(last, first)
		bytes, v := XMM(), YMM()
		VMOVQ(first, bytes)
		VPMOVZXBD(bytes, v)
		VCVTDQ2PS(v, v)
		VMULPS(a.scale16(block.Offset(2*kind)).AsY(), v, v)
		VMOVUPS(v, local.Offset(32*kind))
	}
}
