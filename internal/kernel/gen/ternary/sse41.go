package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"trit/internal/kernel/gen/legacy"
)

// The products with registers of 128 bits, of which a panel takes four: as those of AVX2 are,
// but what is packed is loaded again for every field, as an instruction that keeps its
// sources would need a copy, and codes meet all rows of activations while they are in a
// register.

// sums128 are sums of words: for each row of activations one of each quarter of a panel.
type sums128 [][4]reg.VecVirtual

func newSums128(n int) sums128 {
	s := make(sums128, n)
	s.each(func(t, part int, _ reg.VecVirtual) { s[t][part] = XMM() })
	return s
}

func (s sums128) each(f func(t, part int, sum reg.VecVirtual)) {
	for t := range s {
		for part := range s[t] {
			f(t, part, s[t][part])
		}
	}
}

func (s sums128) clear() {
	s.each(func(_, _ int, sum reg.VecVirtual) { VPXOR(sum, sum, sum) })
}

// addTo adds words to sums of 32 bits in memory.
func (s sums128) addTo(at func(t, part int) Mem) {
	s.each(func(t, part int, sum reg.VecVirtual) {
		VPMADDWD(wordOnes(), sum, sum)
		VPADDD(at(t, part), sum, sum)
		VMOVDQU(sum, at(t, part))
	})
}

// dots multiplies count fields, four columns of codes each, with the activations from disp on.
func (s sums128) dots(row rowAddresses, disp, count int, codes func(field, part int) reg.VecVirtual) {
	sixteen, q := make([]reg.VecVirtual, len(s)), make([]reg.VecVirtual, len(s))
	for f := range count {
		for t := range s {
			q[t] = XMM()
			if f/4*4+4 > count {
				VPBROADCASTD(row.at(t, disp+4*f), q[t])
				continue
			}
			if f%4 == 0 {
				sixteen[t] = XMM()
				VMOVDQU(row.at(t, disp+4*f), sixteen[t])
			}
			VPSHUFD(U8(0b01010101*(f%4)), sixteen[t], q[t])
		}
		for part := range 4 {
			s.dot(part, q, codes(f, part))
		}
	}
}

// dot multiplies the codes of one part, which it overwrites.
func (s sums128) dot(part int, q []reg.VecVirtual, codes reg.VecVirtual) {
	for t := range s {
		product := codes
		if t < len(s)-1 {
			product = XMM()
		}
		VPMADDUBSW(q[t], codes, product)
		VPADDW(product, s[t][part], s[t][part])
	}
}

// fields returns what hands out the fields of width bits of a block.
func fields128(w reg.Register, width int) func(field, part int) reg.VecVirtual {
	m := masked256{width, 1}
	return func(f, part int) reg.VecVirtual {
		codes := XMM()
		m.field(f, Mem{Base: w, Disp: 16 * part}, codes)
		return codes
	}
}

// block multiplies a block of layout T2 or T5.
func (s sums128) block(d decoder256, row rowAddresses, w reg.Register) {
	if d.fields == 4 {
		s.dots(row, 0, 4, fields128(w, 2))
		return
	}
	// Quarter after quarter: a decoded one takes two registers.
	m := masked256{2, 1}
	for part := range 4 {
		words := d.packed(Mem{Base: w, Disp: 16 * part}, XMM)
		for f := range 5 {
			f = (f + 4) % 5 // the fifth field first: it frees its register
			q := make([]reg.VecVirtual, len(s))
			for t := range q {
				q[t] = XMM()
				VPBROADCASTD(row.at(t, 4*f), q[t])
			}
			codes := words[1]
			if f < 4 {
				codes = XMM()
				m.field(f, words[0], codes)
			}
			s.dot(part, q, codes)
		}
	}
}

// runs emits a loop over steps in runs of which words take the products.
func runs128(steps reg.Register, longest uint32, begin, step, end func()) {
	count := GP64()
	Label("run")
	begin()
	MOVQ(U32(longest), count)
	CMPQ(steps, count)
	CMOVQLT(steps, count)
	SUBQ(count, steps)
	Label("step")
	step()
	DECQ(count)
	JNZ(LabelRef("step"))
	end()
	TESTQ(steps, steps)
	JNZ(LabelRef("run"))
	RET()
}

// matMul128 emits what matMul256 does.
func matMul128(d decoder256, n int) {
	name := fmt.Sprintf("matMul%sI8x%d%s", d.name, n, xmm.suffix)
	TEXT(name, NOSPLIT, "func(acc *int32, w *byte, x *int8, stride, blocks int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes 16 sums for each of %d rows of activations, stride apart, with blocks ≥ 1 blocks.", name, n))
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	x := Load(Param("x"), GP64())
	s := Load(Param("stride"), GP64())
	blocks := Load(Param("blocks"), GP64())
	row := rows(x, s, n)
	sums := newSums128(n)
	at := func(t, part int) Mem { return Mem{Base: acc, Disp: 64*t + 16*part} }
	zero := XMM()
	VPXOR(zero, zero, zero)
	sums.each(func(t, part int, _ reg.VecVirtual) { VMOVDQU(zero, at(t, part)) })
	runs128(blocks, uint32(64/d.fields), sums.clear, func() {
		prefetch(w, 0)
		sums.block(d, row, w)
		ADDQ(U8(64), w)
		row.advance(4 * d.fields)
	}, func() { sums.addTo(at) })
}

// mulCodes128 emits what mulCodes256 does.
func mulCodes128(n int) {
	name := fmt.Sprintf("mulCodesx%d%s", n, xmm.suffix)
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
	sums := newSums128(n)
	runs128(steps, 16, sums.clear, func() {
		sums.dots(row, 0, 4, func(field, part int) reg.VecVirtual {
			c := XMM()
			VMOVDQU(Mem{Base: codes, Disp: 64*field + 16*part}, c)
			return c
		})
		ADDQ(U32(256), codes)
		row.advance(16)
	}, func() { sums.addTo(func(t, part int) Mem { return Mem{Base: acc, Disp: pairBytes*t + 16*part} }) })
}

// A grouping128 is a grouping256 for registers of 128 bits.
type grouping128 struct {
	name   string
	groups int // per record
	record func(f *frame128)
}

type frame128 struct {
	*groupedFrame
	sums sums128
}

// groupedMul128 emits what groupedMul256 does.
func groupedMul128(g grouping128, n int) {
	groupedFunction(g.name, xmm.suffix, g.groups, n, func(f *groupedFrame) func() {
		f128 := &frame128{f, newSums128(n)}
		return func() { g.record(f128) }
	}, func(acc reg.Register) {
		none := XMM()
		VPXOR(none, none, none)
		for i := range 4 * n {
			VMOVDQU(none, Mem{Base: acc, Disp: 16 * i})
		}
	})
}

// finish128 adds the results of a group to those of the panel: doubled ones, if a code of
// one bit stands for 2. scales loads the scales of a part.
func (f *frame128) finish128(disp int, doubled bool, scales func(part int) reg.VecVirtual) {
	for part := range 4 {
		d := scales(part)
		for t := range f.sums {
			sum, other := f.sums[t][part], XMM()
			VPMADDWD(wordOnes(), sum, sum)
			if doubled {
				VPADDD(sum, sum, sum)
			}
			VPBROADCASTD(f.row.at(t, disp+recordBias), other)
			VPADDD(other, sum, sum)
			VCVTDQ2PS(sum, sum)
			VMULPS(d, sum, sum)
			VBROADCASTSS(f.row.at(t, disp+recordScale), other)
			VMULPS(other, sum, sum)
			at := Mem{Base: f.acc, Disp: 64*t + 16*part}
			VADDPS(at, sum, sum)
			VMOVUPS(sum, at)
		}
	}
}

// halves128 turns four binary16, in the upper halves of the lanes, into float32.
func halves128(v reg.VecVirtual) reg.VecVirtual {
	VPSRAD(U8(16), v, v)
	legacy.WidenF16(v, func(bits uint32) Mem { return bytes256(fmt.Sprintf("ternary%08X", bits), bits) })
	return v
}

var groupG2For128 = grouping128{name: "G2", groups: 1, record: func(f *frame128) {
	f.sums.clear()
	f.blocks("block", 8, 16, func() { f.sums.block(decodeT2For256, f.row, f.w) })
	f.finish128(-128, false, func(part int) reg.VecVirtual {
		d := XMM()
		VMOVUPS(Mem{Base: f.w, Disp: 16 * part}, d)
		return d
	})
	ADDQ(U8(64), f.w)
	f.row.advance(recordBytes - 128)
}}

// scalesG5For128 returns a part of the scales in the last block of a record.
func scalesG5For128(last reg.Register, _, part int) reg.VecVirtual {
	d, high := XMM(), XMM()
	VMOVDQU(Mem{Base: last, Disp: 16 * part}, d)
	VPSRLD(U8(4), d, d)
	VPAND(bytes256("ternaryLowNibbles", 0x0F0F0F0F), d, d)
	VPSRLD(U8(4), d, high)
	VPOR(high, d, d)
	// Bytes 0 and 2 of each lane, to its upper half.
	VPSHUFB(table("ternaryUpperEven", 16, func(i int) Constant {
		if i%4 < 2 {
			return U8(0x80)
		}
		return U8(i/4*4 + 2*(i%4-2))
	}, 1), d, d)
	return halves128(d)
}

// scalesG1For128 does so where those of the first group are in the lower halves of lanes:
// two bytes before these, upper ones begin.
func scalesG1For128(last reg.Register, group, part int) reg.VecVirtual {
	d := XMM()
	VMOVDQU(Mem{Base: last, Disp: 16*part + 2*group - 2}, d)
	return halves128(d)
}

var groupG5For128 = grouping128{name: "G5", groups: 1, record: func(f *frame128) {
	f.sums.clear()
	f.blocks("block", 6, 20, func() { f.sums.block(decodeT5For256, f.row, f.w) })
	f.sums.dots(f.row, 0, 2, fields128(f.w, 2))
	f.finish128(-120, false, func(part int) reg.VecVirtual { return scalesG5For128(f.w, 0, part) })
	ADDQ(U8(64), f.w)
	f.row.advance(recordBytes - 120)
}}

var groupG1For128 = grouping128{name: "G1", groups: 2, record: func(f *frame128) {
	// The scales of the first group are in the lower halves of lanes: two bytes before these,
	// upper ones begin.
	scales, group := GP64(), GP64()
	LEAQ(Mem{Base: f.w, Disp: 512 - 2}, scales)
	MOVQ(U32(2), group)
	Label("group")
	f.sums.clear()
	f.blocks("block", 4, 32, func() { f.sums.dots(f.row, 0, 8, fields128(f.w, 1)) })
	f.finish128(-128, true, func(part int) reg.VecVirtual { return scalesG1For128(scales, 1, part) })
	f.row.advance(recordBytes - 128)
	ADDQ(U8(2), scales)
	DECQ(group)
	JNZ(LabelRef("group"))
	ADDQ(U8(64), f.w)
}}
