package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"trit/internal/kernel/gen/dot"
)

// prefetchAhead is how far ahead of its use memory is fetched, in bytes of the
// first plane. The hardware stops at the border of every 4 KB.
const prefetchAhead = 2048

// precision says how many planes a score reads.
type precision struct {
	bits   int
	codes  int // blocks of the first plane in a turn of the loop
	bias   int // field of the terms
	narrow int // the same for states of 8 bits
	unit   float32
}

var (
	fourBits = precision{bits: 4, codes: 1, bias: bias1, narrow: narrow1, unit: 16}
	sixBits  = precision{bits: 6, codes: 2, bias: bias2, narrow: narrow2, unit: 4}
)

// terms are the fields of coarseTerms.
const (
	bias1 = 4 * iota
	gain
	shift
	bias3
	bias2
	narrow1
	narrow2
	termsBytes
)

const scoreSignature = "func(y *float32, yStride int, codes, pairs *byte, blocks int, x *int8, xStride int, step *float32, terms *byte)"

// score512 makes the kernel for one panel and a number of states: each block of
// the first plane gives two vectors of codes, and each state two sums, of the
// products with the upper and with the lower bytes of x. A narrow kernel leaves
// the lower bytes out, and x has none between the upper ones.
func score512(states int, p precision, narrow bool) {
	name, of, bias, parts := "coarseScore", "states", p.bias, 2
	if narrow {
		name, of, bias, parts = "coarseNarrow", "the upper bytes of states", p.narrow, 1
	}
	function(fmt.Sprintf("%s%dx%dAVX512", name, p.bits, states), scoreSignature,
		fmt.Sprintf("multiplies the first %d bits of a panel with %s: %d of them.", p.bits, of, states))
	codes, blocks := Load(Param("codes"), GP64()), Load(Param("blocks"), GP64())
	var second Register
	if p == sixBits {
		second = Load(Param("pairs"), GP64())
	}
	x, xStride := Load(Param("x"), GP64()), Load(Param("xStride"), GP64())
	bases := []Register{x}
	for len(bases)*4 < states {
		next := GP64()
		LEAQ(Mem{Base: bases[len(bases)-1], Index: xStride, Scale: 4}, next)
		bases = append(bases, next)
	}
	triple := GP64()
	LEAQ(Mem{Base: xStride, Index: xStride, Scale: 2}, triple)
	at := func(t, disp int) Mem {
		m := Mem{Base: bases[t/4], Disp: disp}
		switch t % 4 {
		case 1, 2:
			m.Index, m.Scale = xStride, uint8(t%4)
		case 3:
			m.Index, m.Scale = triple, 1
		}
		return m
	}
	// With few states several sums per state hide the latency.
	chains := 1
	if states*parts <= 4 {
		chains = 2
	}
	sums := make([][][2]VecVirtual, states)
	for t := range sums {
		for range chains {
			var sum [2]VecVirtual
			for part := range parts {
				v := ZMM()
				VPXORD(v, v, v)
				sum[part] = v
			}
			sums[t] = append(sums[t], sum)
		}
	}
	mask, low := ZMM(), ZMM()
	if p == sixBits {
		VMOVDQU32(repeated(upperSix), mask)
		VMOVDQU32(repeated(pairs), low)
	} else {
		VMOVDQU32(repeated(lowNibbles), mask)
	}
	Label("loop")
	for half := range 2 * p.codes {
		if half%2 == 0 {
			PREFETCHT0(Mem{Base: codes, Disp: half/2*64 + prefetchAhead})
		}
		if p == sixBits && half == 0 {
			PREFETCHT0(Mem{Base: second, Disp: prefetchAhead / 2})
		}
		code, block := ZMM(), Mem{Base: codes, Disp: half / 2 * 64}
		if p == sixBits {
			VMOVDQU32(block, code)
			if half%2 == 0 {
				VPSLLW(U8(2), code, code)
			} else {
				VPSRLW(U8(2), code, code)
			}
			two := ZMM()
			if half == 0 {
				VPANDD(Mem{Base: second}, low, two)
			} else {
				VMOVDQU32(Mem{Base: second}, two)
				VPSRLW(U8(2*half), two, two)
				VPANDD(low, two, two)
			}
			VPTERNLOGD(U8(0xea), two, mask, code) // code&mask | two
		} else if half == 0 {
			VPANDD(block, mask, code)
		} else {
			VMOVDQU32(block, code)
			VPSRLW(U8(4), code, code)
			VPANDD(mask, code, code)
		}
		for t := range states {
			for part := range parts {
				VPDPBUSD_BCST(at(t, 4*(parts*half+part)), code, sums[t][half%chains][part])
			}
		}
	}
	ADDQ(U32(64*p.codes), codes)
	if p == sixBits {
		ADDQ(Imm(64), second)
	}
	for _, b := range bases {
		ADDQ(U32(8*parts*p.codes), b)
	}
	SUBQ(U32(p.codes), blocks)
	JNZ(LabelRef("loop"))

	y, yStride := Load(Param("y"), GP64()), Load(Param("yStride"), GP64())
	terms := Load(Param("terms"), GP64())
	step := ZMM()
	VMOVUPS(Mem{Base: Load(Param("step"), GP64())}, step)
	VMULPS(repeatedFloat(p.unit), step, step)
	for t := range states {
		for _, other := range sums[t][1:] {
			for part := range parts {
				VPADDD(other[part], sums[t][0][part], sums[t][0][part])
			}
		}
		f := sums[t][0][0]
		VCVTDQ2PS(f, f)
		VMULPS(repeatedFloat(256), f, f)
		if !narrow {
			lower := sums[t][0][1]
			VCVTDQ2PS(lower, lower)
			VADDPS(lower, f, f)
		}
		VSUBPS_BCST(Mem{Base: terms, Disp: termsBytes*t + bias}, f, f)
		factor := ZMM()
		VMULPS_BCST(Mem{Base: terms, Disp: termsBytes*t + gain}, step, factor)
		VMULPS(factor, f, f)
		VADDPS_BCST(Mem{Base: terms, Disp: termsBytes*t + shift}, f, f)
		VMOVUPS(f, Mem{Base: y})
		LEAQ(Mem{Base: y, Index: yStride, Scale: 4}, y)
	}
	VZEROUPPER()
	RET()
}

// score256 makes the kernel for one or two states. The number of blocks is a
// multiple of four: the sums of four blocks of 4-bit codes fit into 16 bits (2·4
// products of 15·128 twice), as do those of one block of 6-bit codes (2 of 63·128
// twice). Narrow kernels are as those of score512.
func score256(states int, p precision, narrow bool) {
	name, of, bias, parts := "coarseScore", "states", p.bias, 2
	if narrow {
		name, of, bias, parts = "coarseNarrow", "the upper bytes of states", p.narrow, 1
	}
	function(fmt.Sprintf("%s%dx%dAVX2", name, p.bits, states), scoreSignature,
		fmt.Sprintf("multiplies the first %d bits of a panel with %s: %d of them.", p.bits, of, states))
	codes, blocks := Load(Param("codes"), GP64()), Load(Param("blocks"), GP64())
	x := Load(Param("x"), GP64())
	var xStride Register
	if states == 2 {
		xStride = Load(Param("xStride"), GP64())
	}
	var second Register
	if p == sixBits {
		second = Load(Param("pairs"), GP64())
	}
	// Rows 0…7 and 8…15; for each state the sums of upper and of lower bytes.
	var sums [2][]VecVirtual
	for half := range sums {
		for range states * parts {
			v := YMM()
			VPXOR(v, v, v)
			sums[half] = append(sums[half], v)
		}
	}
	mask, low, ones := YMM(), YMM(), YMM()
	if p == sixBits {
		VMOVDQU(repeated(upperSix), mask)
		VMOVDQU(repeated(pairs), low)
	} else {
		VMOVDQU(repeated(lowNibbles), mask)
	}
	VMOVDQU(repeated(0x00010001), ones)
	Label("loop")
	for half := range 2 {
		words := make([]VecVirtual, states*parts)
		// add moves the sums of words to those of the half.
		add := func() {
			for i := range words {
				VPMADDWD(ones, words[i], words[i])
				VPADDD(words[i], sums[half][i], sums[half][i])
				words[i] = nil
			}
		}
		for block := range 4 {
			if half == 0 {
				PREFETCHT0(Mem{Base: codes, Disp: 64*block + prefetchAhead})
				if p == sixBits && block%2 == 0 {
					PREFETCHT0(Mem{Base: second, Disp: 32*block + prefetchAhead/2})
				}
			}
			for nibble := range 2 {
				code, from := YMM(), Mem{Base: codes, Disp: 64*block + 32*half}
				if p == sixBits {
					VMOVDQU(from, code)
					if nibble == 0 {
						VPSLLW(U8(2), code, code)
					} else {
						VPSRLW(U8(2), code, code)
					}
					VPAND(mask, code, code)
					two := YMM()
					VMOVDQU(Mem{Base: second, Disp: 64*(block/2) + 32*half}, two)
					if f := 2*(block%2) + nibble; f > 0 {
						VPSRLW(U8(2*f), two, two)
					}
					VPAND(low, two, two)
					VPOR(two, code, code)
				} else if nibble == 0 {
					VPAND(from, mask, code)
				} else {
					VMOVDQU(from, code)
					VPSRLW(U8(4), code, code)
					VPAND(mask, code, code)
				}
				for i := range words {
					from := Mem{Base: x, Disp: 4 * (parts*(2*block+nibble) + i%parts)}
					if i >= parts {
						from.Index, from.Scale = xStride, 1
					}
					product := YMM()
					VPBROADCASTD(from, product)
					VPMADDUBSW(product, code, product)
					if words[i] == nil {
						words[i] = product
					} else {
						VPADDW(product, words[i], words[i])
					}
				}
			}
			if p == sixBits {
				add()
			}
		}
		if p == fourBits {
			add()
		}
	}
	ADDQ(U32(256), codes)
	if p == sixBits {
		ADDQ(U32(128), second)
	}
	ADDQ(Imm(uint64(32*parts)), x)
	SUBQ(Imm(4), blocks)
	JNZ(LabelRef("loop"))

	logits256(ymm, sums[:], states, parts, p, bias)
}

// logits256 turns sums of rows 0…7 and 8…15, or of four rows each, into logits: of each state
// one, or two, of upper and of lower bytes.
func logits256(a vectors, sums [][]VecVirtual, states, parts int, p precision, bias int) {
	y, terms, steps := Load(Param("y"), GP64()), Load(Param("terms"), GP64()), Load(Param("step"), GP64())
	for t := range states {
		term := func(field int) VecVirtual {
			v := a.new()
			VBROADCASTSS(Mem{Base: terms, Disp: termsBytes*t + field}, v)
			return v
		}
		for part := range sums {
			f := sums[part][parts*t]
			VCVTDQ2PS(f, f)
			VMULPS(repeatedFloat(256), f, f)
			if parts == 2 {
				lower := sums[part][parts*t+1]
				VCVTDQ2PS(lower, lower)
				VADDPS(lower, f, f)
			}
			VSUBPS(term(bias), f, f)
			factor := a.new()
			VMOVUPS(Mem{Base: steps, Disp: a.bytes * part}, factor)
			VMULPS(repeatedFloat(p.unit), factor, factor)
			VMULPS(term(gain), factor, factor)
			VMULPS(factor, f, f)
			VADDPS(term(shift), f, f)
			VMOVUPS(f, Mem{Base: y, Disp: a.bytes * part})
		}
		if t+1 < states {
			yStride := Load(Param("yStride"), GP64())
			LEAQ(Mem{Base: y, Index: yStride, Scale: 4}, y)
		}
	}
	VZEROUPPER()
	RET()
}

// scoreVNNI makes the narrow kernel for four states with AVX-VNNI: those of score256 are
// for fewer, as one or two keep no multiplier busy.
func scoreVNNI(p precision) {
	const states = 4
	function(fmt.Sprintf("coarseNarrow%dx%dAVXVNNI", p.bits, states), scoreSignature,
		fmt.Sprintf("multiplies the first %d bits of a panel with the upper bytes of states: %d of them.", p.bits, states))
	codes, blocks := Load(Param("codes"), GP64()), Load(Param("blocks"), GP64())
	var second Register
	if p == sixBits {
		second = Load(Param("pairs"), GP64())
	}
	x, xStride, triple := Load(Param("x"), GP64()), Load(Param("xStride"), GP64()), GP64()
	LEAQ(Mem{Base: xStride, Index: xStride, Scale: 2}, triple)
	var sums [2][]VecVirtual
	for half := range sums {
		for range states {
			v := YMM()
			VPXOR(v, v, v)
			sums[half] = append(sums[half], v)
		}
	}
	mask, low := YMM(), YMM()
	if p == sixBits {
		VMOVDQU(repeated(upperSix), mask)
		VMOVDQU(repeated(pairs), low)
	} else {
		VMOVDQU(repeated(lowNibbles), mask)
	}
	Label("loop")
	for i := range 2 * p.codes {
		if i%2 == 0 {
			PREFETCHT0(Mem{Base: codes, Disp: 32*i + prefetchAhead})
		}
		if p == sixBits && i == 0 {
			PREFETCHT0(Mem{Base: second, Disp: prefetchAhead / 2})
		}
		var code [2]VecVirtual
		for half := range code {
			code[half] = YMM()
			VMOVDQU(Mem{Base: codes, Disp: i/2*64 + 32*half}, code[half])
			switch {
			case p == sixBits && i%2 == 0:
				VPSLLW(U8(2), code[half], code[half])
			case p == sixBits:
				VPSRLW(U8(2), code[half], code[half])
			case i%2 == 1:
				VPSRLW(U8(4), code[half], code[half])
			}
			VPAND(mask, code[half], code[half])
			if p == sixBits {
				two := YMM()
				VMOVDQU(Mem{Base: second, Disp: 32 * half}, two)
				if i > 0 {
					VPSRLW(U8(2*i), two, two)
				}
				VPAND(low, two, two)
				VPOR(two, code[half], code[half])
			}
		}
		for t := range states {
			from := Mem{Base: x, Disp: 4 * i}
			switch t {
			case 1, 2:
				from.Index, from.Scale = xStride, uint8(t)
			case 3:
				from.Index, from.Scale = triple, 1
			}
			q := YMM()
			VPBROADCASTD(from, q)
			for half := range code {
				dot.VEX(q, code[half], sums[half][t])
			}
		}
	}
	ADDQ(U32(64*p.codes), codes)
	if p == sixBits {
		ADDQ(Imm(64), second)
	}
	ADDQ(Imm(uint64(8*p.codes)), x)
	SUBQ(Imm(uint64(p.codes)), blocks)
	JNZ(LabelRef("loop"))
	logits256(ymm, sums[:], states, 1, p, p.narrow)
}
