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
	// address of a block, it hands the vectors to use one by one, with the
	// sum that they belong to.
	setup func(s sharing) func(block Mem, use func(field, sum int, codes reg.VecVirtual))
	// packed loads constants and returns an emitter that loads a block as
	// bytes of four 2-bit fields and, for five fields, bytes whose top two
	// bits are the fifth.
	packed func() func(block Mem) []reg.VecVirtual
}

// sharing tells which fields are added up together. Fields that are left where they
// are in their bytes need no shifts, but sums of their own.
type sharing int

const (
	oneSum  sharing = iota
	twoSums         // fields 1 and 3 are multiplied by 4
	ownSums         // field f is multiplied by 4^f, the fifth by 81
)

// sums returns the number of sums per row of activations.
func (s sharing) sums(fields int) int { return [...]int{1, 2, fields}[s] }

// choose returns the sharing with the fewest shifts that n rows of activations leave
// registers for.
func choose(n int) sharing {
	switch {
	case n <= 4:
		return ownSums
	case n <= 8:
		return twoSums
	}
	return oneSum
}

var decodeT2 = decoder512{name: "T2", suffix: "AVX512", fields: 4, setup: func(s sharing) func(Mem, func(int, int, reg.VecVirtual)) {
	masks := fieldMasks(s)
	return func(block Mem, use func(int, int, reg.VecVirtual)) {
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

// fieldMasks loads the masks of the fields that are not shifted.
func fieldMasks(s sharing) []reg.VecVirtual {
	masks := make([]reg.VecVirtual, [...]int{1, 2, 4}[s])
	for f := range masks {
		masks[f] = ZMM()
		broadcast(masks[f], 0x03030303<<(2*f))
	}
	return masks
}

// fields hands out the four 2-bit fields of each byte.
func fields(raw reg.VecVirtual, masks []reg.VecVirtual, use func(int, int, reg.VecVirtual)) {
	shifted := raw
	for f := range 4 {
		if f > 0 && f%len(masks) == 0 {
			shifted = ZMM()
			VPSRLD(U8(2*f), raw, shifted)
		}
		codes := ZMM()
		VPANDD(shifted, masks[f%len(masks)], codes)
		use(f, f%len(masks), codes)
	}
}

var decodeT5VBMI = decoder512{name: "T5", suffix: "AVX512VBMI", fields: 5, setup: func(s sharing) func(Mem, func(int, int, reg.VecVirtual)) {
	masks := fieldMasks(s)
	packed := packedT5()
	return func(block Mem, use func(int, int, reg.VecVirtual)) {
		words := packed(block)
		top := words[1]
		if s == ownSums {
			use(4, 4, top)
		} else {
			// The lowest two bits of 81·c are c.
			VPANDD(top, masks[0], top)
			use(4, 0, top)
		}
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

// unscale divides sums by what their fields are multiplied by. They are exact
// multiples: dividing by 81 is multiplying by its inverse modulo 2³².
func unscale(sums []reg.VecVirtual) {
	for f := 1; f < min(len(sums), 4); f++ {
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

// prefetch asks for the blocks that mat-vecs need next: into the first cache those that
// come soon, into the second what is further away. On a Sapphire Rapids server T2, T5 and
// groups of T5 so read at 103, 93 and 92 % of the speed of plain reads, without it at 88,
// 65 and, with one request 2048 bytes ahead, 88 %. On Zen 4 no distance changes more than
// noise, as long as pages are huge.
func prefetch(w reg.Register, block int) {
	PREFETCHT0(Mem{Base: w, Disp: 1024 + 64*block})
	PREFETCHT1(Mem{Base: w, Disp: 4096 + 64*block})
}

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
	// With few rows several sums also give enough independent chains of additions.
	emit := d.setup(choose(n))
	sums := make([][]reg.VecVirtual, n)
	for t := range sums {
		sums[t] = make([]reg.VecVirtual, choose(n).sums(d.fields))
		for c := range sums[t] {
			sums[t][c] = ZMM()
			zero(sums[t][c])
		}
	}
	Label("block")
	PREFETCHT0(Mem{Base: w, Disp: prefetchAhead})
	emit(Mem{Base: w}, func(f, sum int, codes reg.VecVirtual) {
		for t := range n {
			VPDPBUSD_BCST(row.at(t, 4*f), codes, sums[t][sum])
		}
	})
	ADDQ(U8(64), w)
	row.advance(4 * d.fields)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	for t := range sums {
		unscale(sums[t])
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
