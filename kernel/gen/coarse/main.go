// Command coarse generates the amd64 assembly of the coarse copy of an output
// head, for AVX2 and for AVX-512 with VNNI. The float operations are those of the
// pure-Go twins in the same order; no fused multiply-add is emitted.
//
// Run it through go generate in the kernel package.
package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!noasm")
	for _, p := range []precision{fourBits, sixBits} {
		for _, states := range []int{1, 2, 4, 8} {
			score512(states, p, false)
			score512(states, p, true)
		}
		score256(1, p, false)
		score256(1, p, true)
		score256(2, p, true)
	}
	refine512()
	refine512x4()
	refine256()
	for _, wide := range []bool{true, false} {
		center(wide)
		encode(wide)
	}
	Generate()
}

func function(name, signature, doc string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + " " + doc)
}

// constants holds 64-byte constants of one repeated 32-bit value.
var constants = map[uint32]Mem{}

func repeated(v uint32) Mem {
	m, ok := constants[v]
	if !ok {
		m = GLOBL(fmt.Sprintf("coarse%08x", v), RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(v))
		}
		constants[v] = m
	}
	return m
}

func repeatedFloat(f float32) Mem { return repeated(math.Float32bits(f)) }

const (
	lowNibbles = 0x0f0f0f0f
	upperSix   = 0x3c3c3c3c
	pairs      = 0x03030303
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

	y, terms, steps := Load(Param("y"), GP64()), Load(Param("terms"), GP64()), Load(Param("step"), GP64())
	for t := range states {
		term := func(field int) VecVirtual {
			v := YMM()
			VBROADCASTSS(Mem{Base: terms, Disp: termsBytes*t + field}, v)
			return v
		}
		for half := range 2 {
			f := sums[half][parts*t]
			VCVTDQ2PS(f, f)
			VMULPS(repeatedFloat(256), f, f)
			if !narrow {
				lower := sums[half][parts*t+1]
				VCVTDQ2PS(lower, lower)
				VADDPS(lower, f, f)
			}
			VSUBPS(term(bias), f, f)
			factor := YMM()
			VMOVUPS(Mem{Base: steps, Disp: 32 * half}, factor)
			VMULPS(repeatedFloat(p.unit), factor, factor)
			VMULPS(term(gain), factor, factor)
			VMULPS(factor, f, f)
			VADDPS(term(shift), f, f)
			VMOVUPS(f, Mem{Base: y, Disp: 32 * half})
		}
		if t+1 < states {
			yStride := Load(Param("yStride"), GP64())
			LEAQ(Mem{Base: y, Index: yStride, Scale: 4}, y)
		}
	}
	VZEROUPPER()
	RET()
}

const refineSignature = "func(y *float32, rows *int32, n int, plane *byte, blocks int, x *int8, step *float32, factor, bias float32)"

// refineRows makes the loop over the listed rows around body, which returns a
// vector register with eight 32-bit parts of the sum.
func refineRows(body func(row, upper, lower, blocks Register) VecVirtual) {
	y, rows := Load(Param("y"), GP64()), Load(Param("rows"), GP64())
	n, plane := Load(Param("n"), GP64()), Load(Param("plane"), GP64())
	x, step := Load(Param("x"), GP64()), Load(Param("step"), GP64())
	Label("rows")
	r := GP64()
	MOVLQSX(Mem{Base: rows}, r)
	row, blocks := GP64(), GP64()
	Load(Param("blocks"), blocks)
	MOVQ(blocks, row)
	SHLQ(U8(6), row)
	IMULQ(r, row)
	ADDQ(plane, row)
	upper, lower := GP64(), GP64()
	MOVQ(x, upper)
	MOVQ(blocks, lower)
	SHLQ(U8(8), lower)
	ADDQ(x, lower)

	v := body(row, upper, lower, blocks)
	t := XMM()
	VEXTRACTI128(U8(1), v.AsY(), t)
	VPADDD(t, v.AsX(), v.AsX())
	VPSHUFD(U8(0x4e), v.AsX(), t)
	VPADDD(t, v.AsX(), v.AsX())
	VPSHUFD(U8(0xb1), v.AsX(), t)
	VPADDD(t, v.AsX(), v.AsX())
	VCVTDQ2PS(v.AsX(), v.AsX())
	factor := XMM()
	bias, err := Param("bias").Resolve()
	if err != nil {
		panic(err)
	}
	VSUBSS(bias.Addr, v.AsX(), v.AsX())
	Load(Param("factor"), factor)
	VMULSS(Mem{Base: step, Index: r, Scale: 4}, factor, factor)
	VMULSS(factor, v.AsX(), v.AsX())
	VADDSS(Mem{Base: y, Index: r, Scale: 4}, v.AsX(), v.AsX())
	VMOVSS(v.AsX(), Mem{Base: y, Index: r, Scale: 4})
	ADDQ(Imm(4), rows)
	DECQ(n)
	JNZ(LabelRef("rows"))
	VZEROUPPER()
	RET()
}

func refine512() {
	function("coarseRefineAVX512", refineSignature, "adds a plane's share to the listed logits.")
	mask := ZMM()
	VMOVDQU32(repeated(pairs), mask)
	refineRows(func(row, upper, lower, blocks Register) VecVirtual {
		var sums [2][2]VecVirtual
		for i := range sums {
			for j := range sums[i] {
				sums[i][j] = ZMM()
				VPXORD(sums[i][j], sums[i][j], sums[i][j])
			}
		}
		Label("blocks")
		for f := range 4 {
			code := ZMM()
			if f == 0 {
				VPANDD(Mem{Base: row}, mask, code)
			} else {
				VMOVDQU32(Mem{Base: row}, code)
				VPSRLW(U8(2*f), code, code)
				VPANDD(mask, code, code)
			}
			VPDPBUSD(Mem{Base: upper, Disp: 64 * f}, code, sums[f%2][0])
			VPDPBUSD(Mem{Base: lower, Disp: 64 * f}, code, sums[f%2][1])
		}
		ADDQ(Imm(64), row)
		ADDQ(U32(256), upper)
		ADDQ(U32(256), lower)
		DECQ(blocks)
		JNZ(LabelRef("blocks"))
		sum := sums[0][0]
		VPADDD(sums[1][0], sum, sum)
		VPSLLD(U8(8), sum, sum)
		VPADDD(sums[0][1], sum, sum)
		VPADDD(sums[1][1], sum, sum)
		half := YMM()
		VEXTRACTI64X4(U8(1), sum, half)
		VPADDD(half, sum.AsY(), sum.AsY())
		return sum
	})
}

// refine512x4 makes the kernel for a multiple of four listed rows, which share the
// loads of x.
func refine512x4() {
	function("coarseRefinex4AVX512", refineSignature, "adds a plane's share to a multiple of four listed logits.")
	rows, n, upper := Load(Param("rows"), GP64()), Load(Param("n"), GP64()), Load(Param("x"), GP64())
	size, lower := GP64(), GP64()
	Load(Param("blocks"), size)
	SHLQ(U8(6), size)
	LEAQ(Mem{Base: upper, Index: size, Scale: 4}, lower)
	mask := ZMM()
	VMOVDQU32(repeated(pairs), mask)
	Label("rows")
	// The rows twelve places further on are fetched meanwhile, as far as there
	// are any: a row is too short for the hardware to see what comes next.
	ahead, none := GP64(), GP64()
	MOVQ(U32(48), ahead)
	XORQ(none, none)
	CMPQ(n, U8(12))
	CMOVQLE(none, ahead)
	plane := Load(Param("plane"), GP64())
	var row, next [4]Register
	var sums [4][2]VecVirtual
	for i := range row {
		row[i], next[i] = GP64(), GP64()
		MOVLQSX(Mem{Base: rows, Disp: 4 * i}, row[i].(GPVirtual))
		MOVLQSX(Mem{Base: rows, Index: ahead, Scale: 1, Disp: 4 * i}, next[i].(GPVirtual))
		for _, r := range []Register{row[i], next[i]} {
			IMULQ(size, r)
			ADDQ(plane, r)
		}
		for part := range sums[i] {
			v := ZMM()
			VPXORD(v, v, v)
			sums[i][part] = v
		}
	}
	at := GP64()
	XORQ(at, at)
	Label("blocks")
	var codes [4]VecVirtual
	for i := range codes {
		codes[i] = ZMM()
		VMOVDQU32(Mem{Base: row[i], Index: at, Scale: 1}, codes[i])
		PREFETCHT0(Mem{Base: next[i], Index: at, Scale: 1})
	}
	for f := range 4 {
		u, l := ZMM(), ZMM()
		VMOVDQU32(Mem{Base: upper, Index: at, Scale: 4, Disp: 64 * f}, u)
		VMOVDQU32(Mem{Base: lower, Index: at, Scale: 4, Disp: 64 * f}, l)
		for i := range codes {
			code := ZMM()
			VPANDD(mask, codes[i], code)
			if f < 3 {
				VPSRLW(U8(2), codes[i], codes[i])
			}
			VPDPBUSD(u, code, sums[i][0])
			VPDPBUSD(l, code, sums[i][1])
		}
	}
	ADDQ(Imm(64), at)
	CMPQ(at, size)
	JLT(LabelRef("blocks"))

	// Four vectors of sixteen parts become one of four sums.
	for i := range sums {
		v := sums[i][0]
		VPSLLD(U8(8), v, v)
		VPADDD(sums[i][1], v, v)
		half, quarter := YMM(), XMM()
		VEXTRACTI64X4(U8(1), v, half)
		VPADDD(half, v.AsY(), v.AsY())
		// The assembler's short form of VEXTRACTI128 reaches 16 registers only.
		VEXTRACTI32X4(U8(1), v.AsY(), quarter)
		VPADDD(quarter, v.AsX(), v.AsX())
	}
	a, b, f := XMM(), XMM(), XMM()
	VPHADDD(sums[1][0].AsX(), sums[0][0].AsX(), a)
	VPHADDD(sums[3][0].AsX(), sums[2][0].AsX(), b)
	VPHADDD(b, a, f)
	VCVTDQ2PS(f, f)
	bias, factor := XMM(), XMM()
	Load(Param("bias"), bias)
	VBROADCASTSS(bias, bias)
	VSUBPS(bias, f, f)
	Load(Param("factor"), factor)
	y, step := Load(Param("y"), GP64()), Load(Param("step"), GP64())
	for i := range row {
		r, m, part := GP64(), XMM(), XMM()
		MOVLQSX(Mem{Base: rows, Disp: 4 * i}, r)
		VMULSS(Mem{Base: step, Index: r, Scale: 4}, factor, m)
		VPERMILPS(U8(i), f, part)
		VMULSS(m, part, m)
		VADDSS(Mem{Base: y, Index: r, Scale: 4}, m, m)
		VMOVSS(m, Mem{Base: y, Index: r, Scale: 4})
	}
	ADDQ(Imm(16), rows)
	SUBQ(Imm(4), n)
	JNZ(LabelRef("rows"))
	VZEROUPPER()
	RET()
}

func refine256() {
	function("coarseRefineAVX2", refineSignature, "adds a plane's share to the listed logits.")
	mask, ones := YMM(), YMM()
	VMOVDQU(repeated(pairs), mask)
	VMOVDQU(repeated(0x00010001), ones)
	refineRows(func(row, upper, lower, blocks Register) VecVirtual {
		var sums [2]VecVirtual
		for part := range sums {
			sums[part] = YMM()
			VPXOR(sums[part], sums[part], sums[part])
		}
		Label("blocks")
		var words [2]VecVirtual // eight products of 3·128 twice fit into 16 bits
		for half := range 2 {
			for f := range 4 {
				code := YMM()
				if f == 0 {
					VPAND(Mem{Base: row, Disp: 32 * half}, mask, code)
				} else {
					VMOVDQU(Mem{Base: row, Disp: 32 * half}, code)
					VPSRLW(U8(2*f), code, code)
					VPAND(mask, code, code)
				}
				for part, base := range []Register{upper, lower} {
					product := YMM()
					VPMADDUBSW(Mem{Base: base, Disp: 64*f + 32*half}, code, product)
					if words[part] == nil {
						words[part] = product
					} else {
						VPADDW(product, words[part], words[part])
					}
				}
			}
		}
		for part := range sums {
			VPMADDWD(ones, words[part], words[part])
			VPADDD(words[part], sums[part], sums[part])
		}
		ADDQ(Imm(64), row)
		ADDQ(U32(256), upper)
		ADDQ(U32(256), lower)
		DECQ(blocks)
		JNZ(LabelRef("blocks"))
		VPSLLD(U8(8), sums[0], sums[0])
		VPADDD(sums[1], sums[0], sums[0])
		return sums[0]
	})
}
