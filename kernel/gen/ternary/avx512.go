package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A decoder512 emits the code that turns 64 packed bytes into vectors of codes.
type decoder512 struct {
	name   string // as in function names: T2, T5
	suffix string // of function names
	fields int    // vectors of codes per block, 4 columns each
	// setup loads constants and returns the emitter: called with the
	// address of a block, it hands the vectors to use one by one. A
	// scaled emitter saves shifts and leaves field f multiplied by
	// 4^f, and the fifth by 81, for sums that are kept per field.
	setup func(scaled bool) func(block Mem, use func(field int, codes reg.VecVirtual))
	// packed loads constants and returns an emitter that loads a block as
	// bytes of four 2-bit fields and, for five fields, bytes whose top two
	// bits are the fifth.
	packed func() func(block Mem) []reg.VecVirtual
}

var decodeT2 = decoder512{name: "T2", suffix: "AVX512", fields: 4, setup: func(scaled bool) func(Mem, func(int, reg.VecVirtual)) {
	masks := fieldMasks(scaled)
	return func(block Mem, use func(int, reg.VecVirtual)) {
		raw := ZMM()
		VMOVDQU64(block, raw)
		fields(raw, masks, use)
	}
}, packed: func() func(Mem) []reg.VecVirtual {
	return func(block Mem) []reg.VecVirtual {
		raw := ZMM()
		VMOVDQU64(block, raw)
		return []reg.VecVirtual{raw}
	}
}}

// fieldMasks loads the mask of the lowest field, or those of all four.
func fieldMasks(scaled bool) []reg.VecVirtual {
	masks := make([]reg.VecVirtual, 1)
	if scaled {
		masks = make([]reg.VecVirtual, 4)
	}
	for f := range masks {
		masks[f] = ZMM()
		broadcast(masks[f], 0x03030303<<(2*f))
	}
	return masks
}

// fields hands out the four 2-bit fields of each byte.
func fields(raw reg.VecVirtual, masks []reg.VecVirtual, use func(int, reg.VecVirtual)) {
	for f := range 4 {
		codes := ZMM()
		switch {
		case len(masks) == 4:
			VPANDD(raw, masks[f], codes)
		case f == 0:
			VPANDD(raw, masks[0], codes)
		default:
			VPSRLD(U8(2*f), raw, codes)
			VPANDD(codes, masks[0], codes)
		}
		use(f, codes)
	}
}

var decodeT5VBMI = decoder512{name: "T5", suffix: "AVX512VBMI", fields: 5, setup: func(scaled bool) func(Mem, func(int, reg.VecVirtual)) {
	masks := fieldMasks(scaled)
	packed := packedT5()
	return func(block Mem, use func(int, reg.VecVirtual)) {
		words := packed(block)
		top := words[1]
		if !scaled {
			VPSRLD(U8(6), top, top)
			VPANDD(top, masks[0], top)
		}
		use(4, top)
		fields(words[0], masks, use)
	}
}, packed: packedT5}

func packedT5() func(Mem) []reg.VecVirtual {
	table := digitTable()
	c81, lo, hi := ZMM(), ZMM(), ZMM()
	broadcast(c81, 81*0x01010101)
	VMOVDQU64(table, lo)
	VMOVDQU64(table.Offset(64), hi)
	return func(block Mem) []reg.VecVirtual {
		raw, v := ZMM(), ZMM()
		VMOVDQU64(block, raw)
		// byte = 81·c₄ + v. Below 81 the subtraction wraps around to a larger value.
		VPSUBB(c81, raw, v)
		VPMINUB(v, raw, v)
		again := ZMM()
		VPSUBB(c81, v, again)
		VPMINUB(again, v, v)
		// 81·c₄ is 0, 0b01010001 or 0b10100010.
		top := ZMM()
		VPSUBB(v, raw, top)
		VPERMI2B(hi, lo, v)
		return []reg.VecVirtual{v, top}
	}
}

// unscale undoes, in sums per field, what a scaled emitter does. The sums are
// exact multiples: dividing by 81 is multiplying by its inverse modulo 2³².
func unscale(sums []reg.VecVirtual) {
	for f := 1; f < 4; f++ {
		VPSRAD(U8(2*f), sums[f], sums[f])
	}
	if len(sums) == 5 {
		inverse := ZMM()
		broadcast(inverse, inverse81)
		VPMULLD(inverse, sums[4], sums[4])
	}
}

// inverse81 · 81 = 1 modulo 2³².
const inverse81 = 0x7819_48B1

func zero(z reg.VecVirtual) { VPXORQ(z, z, z) }

// reduce adds all vectors into the first.
func reduce(v []reg.VecVirtual) {
	for n := len(v); n > 1; n = (n + 1) / 2 {
		for i := 0; i < n/2; i++ {
			VPADDD(v[(n+1)/2+i], v[i], v[i])
		}
	}
}

// prefetchAhead is how far ahead mat-mats ask for weights, in bytes.
// Hardware prefetchers stop at the end of a page, and a mat-mat works so long on
// a block that out-of-order execution does not look past it.
const prefetchAhead = 2048

// matMul512 emits the product of n rows of activations with one panel.
func matMul512(d decoder512, n int) {
	name := fmt.Sprintf("matMul%sI8x%d%s", d.name, n, d.suffix)
	TEXT(name, NOSPLIT, "func(acc *int32, w *byte, x *int8, stride, blocks int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes 16 sums for each of %d rows of activations, stride apart, with blocks ≥ 1 blocks.", name, n))
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	x := Load(Param("x"), GP64())
	s := Load(Param("stride"), GP64())
	blocks := Load(Param("blocks"), GP64())
	row := rows(x, s, n)
	// Few rows leave registers for one sum per field, which saves decoding
	// and gives enough independent chains of additions.
	scaled := n <= 4
	emit := d.setup(scaled)
	chains := 1
	if scaled {
		chains = d.fields
	}
	sums := make([][]reg.VecVirtual, n)
	for t := range sums {
		sums[t] = make([]reg.VecVirtual, chains)
		for c := range sums[t] {
			sums[t][c] = ZMM()
			zero(sums[t][c])
		}
	}
	Label("block")
	PREFETCHT0(Mem{Base: w, Disp: prefetchAhead})
	emit(Mem{Base: w}, func(f int, codes reg.VecVirtual) {
		for t := range n {
			VPDPBUSD_BCST(row.at(t, 4*f), codes, sums[t][f%chains])
		}
	})
	ADDQ(U8(64), w)
	row.advance(4 * d.fields)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	for t := range sums {
		if scaled {
			unscale(sums[t])
		}
		reduce(sums[t])
		VMOVDQU32(sums[t][0], Mem{Base: acc, Disp: 64 * t})
	}
	VZEROUPPER()
	RET()
}

// matMulF32512 emits the product of n rows of float32 activations with one panel.
func matMulF32512(d decoder512, n int) {
	name := fmt.Sprintf("matMul%sF32x%d%s", d.name, n, d.suffix)
	TEXT(name, NOSPLIT, "func(acc *float32, w *byte, x *float32, stride, blocks int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s adds the products with blocks ≥ 1 blocks to the 4·16 partial sums of %d rows of", name, n),
		"activations, stride elements apart.")
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	x := Load(Param("x"), GP64())
	s := Load(Param("stride"), GP64())
	blocks := Load(Param("blocks"), GP64())
	SHLQ(U8(2), s)
	row := rows(x, s, n)
	raw := d.packed()
	table := ZMM()
	VMOVUPS(tritTable(), table)
	sums := make([][4]reg.VecVirtual, n)
	for t := range sums {
		for b := range 4 {
			sums[t][b] = ZMM()
			VMOVUPS(Mem{Base: acc, Disp: 256*t + 64*b}, sums[t][b])
		}
	}
	Label("block")
	words := raw(Mem{Base: w})
	for f := range d.fields {
		for b := range 4 {
			trits := ZMM()
			word, shift := words[0], 8*b+2*f
			if f == 4 {
				word, shift = words[1], 8*b+6
			}
			index := word
			if shift != 0 {
				index = ZMM()
				VPSRLD(U8(shift), word, index)
			}
			VPERMPS(table, index, trits)
			for t := range n {
				product := ZMM()
				VMULPS_BCST(row.at(t, 4*(4*f+b)), trits, product)
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
