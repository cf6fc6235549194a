package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A matVecFrame is what all mat-vecs have in common: one row of activations is
// multiplied with many segments, runs of blocks that follow each other.
type matVecFrame struct {
	w, x   reg.Register     // the next block, its activations
	blocks reg.GPVirtual    // blocks left in the segment
	sums   []reg.VecVirtual // per field, scaled
}

// matVec512 emits the function around segment, which multiplies one segment and
// leaves w behind it.
func matVec512(d decoder512, constants func(), segment func(f matVecFrame)) {
	name := "matVec" + d.name + "I8" + d.suffix
	TEXT(name, NOSPLIT, "func(acc *int32, w *byte, x *int8, blocks, segments, xStep int)")
	Pragma("noescape")
	Doc(name + " computes 16 sums for each of segments ≥ 1 runs of blocks ≥ 1 blocks.")
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	x := Load(Param("x"), GP64())
	blocks := Load(Param("blocks"), GP64())
	segments := Load(Param("segments"), GP64())
	xStep := Load(Param("xStep"), GP64())
	constants()
	sums := make([]reg.VecVirtual, d.fields)
	for f := range sums {
		sums[f] = ZMM()
	}
	Label("segment")
	for f := range sums {
		zero(sums[f])
	}
	q, n := GP64(), GP64()
	MOVQ(x, q)
	MOVQ(blocks, n)
	segment(matVecFrame{w, q, n, sums})
	unscale(sums)
	reduce(sums)
	VMOVDQU32(sums[0], Mem{Base: acc})
	ADDQ(U8(64), acc)
	ADDQ(xStep, x)
	DECQ(segments)
	JNZ(LabelRef("segment"))
	VZEROUPPER()
	RET()
}

// matVecT2 works block by block: a block takes so few instructions that
// out-of-order execution looks far enough ahead.
func matVecT2() {
	var emit func(Mem, func(int, int, reg.VecVirtual))
	matVec512(decodeT2, func() { emit = decodeT2.setup(ownSums) }, func(f matVecFrame) {
		Label("block")
		prefetch(f.w, 0)
		emit(Mem{Base: f.w}, func(field, sum int, codes reg.VecVirtual) {
			VPDPBUSD_BCST(Mem{Base: f.x, Disp: 4 * field}, codes, f.sums[sum])
		})
		ADDQ(U8(64), f.w)
		ADDQ(U8(16), f.x)
		DECQ(f.blocks)
		JNZ(LabelRef("block"))
	})
}

// matVecT5 decodes a pair of blocks while it multiplies the pair before. Nine
// instructions depend on each other from a packed byte to its product; a core
// that meets them in that order fills its scheduler with instructions that wait.
// Spread over two rounds, with equal steps of both blocks side by side, they issue
// nearly as fast as the execution units take them. The order of the steps is the
// best of thousands measured on Zen 4, where others take up to a fifth longer.
func matVecT5() {
	var p pairT5
	matVec512(decodeT5VBMI, func() { p = newPairT5() }, func(f matVecFrame) {
		at := func(i int) Mem { return Mem{Base: f.w, Disp: 64 * i} }
		TESTQ(U32(1), f.blocks)
		JZ(LabelRef("pairs"))
		// The block that is not in a pair comes first.
		p.remainder(at, 0)
		p.digits(0)
		p.top(at, 0)
		p.fields(0)
		p.addTop(f, 0)
		p.addFields(f, 0)
		ADDQ(U8(64), f.w)
		ADDQ(U8(20), f.x)
		DECQ(f.blocks)
		JZ(LabelRef("done"))
		Label("pairs")
		p.remainder(at, 0, 1)
		p.digits(0, 1)
		p.top(at, 0, 1)
		ADDQ(U8(128), f.w)
		SUBQ(U8(2), f.blocks)
		JZ(LabelRef("last"))
		Label("pair")
		prefetch(f.w, 0)
		prefetch(f.w, 1)
		p.remainder(at, 0, 1)
		p.fields(0, 1)
		p.digits(0, 1)
		p.addTop(f, 0, 1)
		p.addFields(f, 0, 1)
		p.top(at, 0, 1)
		ADDQ(U8(128), f.w)
		ADDQ(U8(40), f.x)
		SUBQ(U8(2), f.blocks)
		JNZ(LabelRef("pair"))
		Label("last")
		p.fields(0, 1)
		p.addTop(f, 0, 1)
		p.addFields(f, 0, 1)
		Label("done")
	})
}

// A pairT5 holds the constants and the state of decoding two T5 blocks. Its
// methods emit one step for the blocks named.
type pairT5 struct {
	minus81, lo, hi reg.VecVirtual
	masks           []reg.VecVirtual

	v     [2]reg.VecVirtual    // bytes modulo 81
	four  [2]reg.VecVirtual    // bytes of four 2-bit fields
	fifth [2]reg.VecVirtual    // 81·c₄
	codes [2][4]reg.VecVirtual // the fields
}

func newPairT5() pairT5 {
	p := pairT5{minus81: ZMM(), lo: ZMM(), hi: ZMM(), masks: fieldMasks(ownSums)}
	broadcast(p.minus81, (256-81)*0x01010101)
	VMOVDQU64(digitTable(), p.lo)
	VMOVDQU64(digitTable().Offset(64), p.hi)
	for i := range 2 {
		p.v[i], p.four[i], p.fifth[i] = ZMM(), ZMM(), ZMM()
		for f := range p.codes[i] {
			p.codes[i][f] = ZMM()
		}
	}
	return p
}

// remainder loads blocks and takes their bytes modulo 81: below 81 a
// subtraction wraps around to a larger value.
func (p *pairT5) remainder(at func(int) Mem, blocks ...int) {
	var again [2]reg.VecVirtual
	for _, i := range blocks {
		VPADDB(at(i), p.minus81, p.v[i])
	}
	for _, i := range blocks {
		VPMINUB(at(i), p.v[i], p.v[i])
	}
	for _, i := range blocks {
		again[i] = ZMM()
		VPADDB(p.minus81, p.v[i], again[i])
	}
	for _, i := range blocks {
		VPMINUB(again[i], p.v[i], p.v[i])
	}
}

// digits looks up the four fields of each remainder.
func (p *pairT5) digits(blocks ...int) {
	for _, i := range blocks {
		VMOVDQA64(p.v[i], p.four[i])
		VPERMI2B(p.hi, p.lo, p.four[i])
	}
}

// top subtracts the remainders from the blocks.
func (p *pairT5) top(at func(int) Mem, blocks ...int) {
	for _, i := range blocks {
		VMOVDQU64(at(i), p.fifth[i])
		VPSUBB(p.v[i], p.fifth[i], p.fifth[i])
	}
}

// fields separates the four fields.
func (p *pairT5) fields(blocks ...int) {
	for _, i := range blocks {
		for f, mask := range p.masks {
			VPANDD(mask, p.four[i], p.codes[i][f])
		}
	}
}

// addTop and addFields multiply with the activations from f.x on.
func (p *pairT5) addTop(f matVecFrame, blocks ...int) {
	for _, i := range blocks {
		VPDPBUSD_BCST(Mem{Base: f.x, Disp: 20*i + 16}, p.fifth[i], f.sums[4])
	}
}

func (p *pairT5) addFields(f matVecFrame, blocks ...int) {
	for _, i := range blocks {
		for field, codes := range p.codes[i] {
			VPDPBUSD_BCST(Mem{Base: f.x, Disp: 20*i + 4*field}, codes, f.sums[field])
		}
	}
}
