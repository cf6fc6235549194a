package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"trit/internal/kernel/gen/dot"
)

// A grouping256 emits the code that multiplies a record of a grouped layout in two halves
// of eight rows. With AVX2 the products of a group are summed up in 16-bit words, whose 32
// pairs of products of codes up to 3 fit (32·2·3·128 < 2¹⁵).
type grouping256 struct {
	name   string
	groups int // per record
	record func(f *frame256)
}

// frame256 is a groupedFrame with sums for both halves of each row of activations: one of
// words with AVX2, several of 32 bits with VPDPBUSD.
type frame256 struct {
	*groupedFrame
	vnni bool
	sums [][2][]reg.VecVirtual
}

// groupedMul256 emits the product of n rows of activations with panels of a grouped
// layout.
func groupedMul256(g grouping256, n int, vnni bool) {
	suffix, sums := "AVX2", 1
	if vnni {
		suffix, sums = "AVXVNNI", sumsVNNI(n)
	}
	groupedFunction(g.name, suffix, g.groups, n, func(f *groupedFrame) func() {
		f256 := &frame256{groupedFrame: f, vnni: vnni, sums: make([][2][]reg.VecVirtual, n)}
		for t := range n {
			for h := range 2 {
				for range sums {
					f256.sums[t][h] = append(f256.sums[t][h], YMM())
				}
			}
		}
		return func() { g.record(f256) }
	}, func(acc reg.Register) {
		none := YMM()
		VPXOR(none, none, none)
		for t := range n {
			VMOVDQU(none, Mem{Base: acc, Disp: 64 * t})
			VMOVDQU(none, Mem{Base: acc, Disp: 64*t + 32})
		}
	})
}

// clear256 begins a group.
func (f *frame256) clear256() {
	for t := range f.sums {
		for h := range 2 {
			for _, s := range f.sums[t][h] {
				VPXOR(s, s, s)
			}
		}
	}
}

// dot256 multiplies the codes of both halves with four activations of every row.
func (f *frame256) dot256(disp, sum int, codes [2]reg.VecVirtual) {
	for t := range f.n {
		q, to := YMM(), f.sums[t]
		VPBROADCASTD(f.row.at(t, disp), q)
		if f.vnni {
			dot.VEX(q, codes[0], to[0][sum])
			dot.VEX(q, codes[1], to[1][sum])
			continue
		}
		product := YMM()
		VPMADDUBSW(q, codes[0], product)
		VPADDW(product, to[0][sum], to[0][sum])
		VPMADDUBSW(q, codes[1], q)
		VPADDW(q, to[1][sum], to[1][sum])
	}
}

// fields256 multiplies count fields of width bits of the words of both halves.
func (f *frame256) fields256(halves [2]Op, width, count int) {
	m := masked256{width, len(f.sums[0][0])}
	for i := range count {
		codes := [2]reg.VecVirtual{YMM(), YMM()}
		for h := range 2 {
			m.field(i, halves[h], codes[h])
		}
		f.dot256(4*i, i%m.sums, codes)
	}
}

// raw256 returns both halves of the block at w. With VPDPBUSD registers are for sums, and
// every field loads them.
func (f *frame256) raw256() [2]Op {
	if f.vnni {
		return [2]Op{Mem{Base: f.w}, Mem{Base: f.w, Disp: 32}}
	}
	halves := [2]reg.VecVirtual{YMM(), YMM()}
	VMOVDQU(Mem{Base: f.w}, halves[0])
	VMOVDQU(Mem{Base: f.w, Disp: 32}, halves[1])
	return [2]Op{halves[0], halves[1]}
}

// finish256 adds the results of a group, in fields of width bits, to those of the panel.
// scales loads the scales of a half; a field of one bit stands for code 2.
func (f *frame256) finish256(disp, width int, scales func(half int) reg.VecVirtual) {
	for h := range 2 {
		for t := range f.n {
			if !f.vnni {
				VPMADDWD(wordOnes(), f.sums[t][h][0], f.sums[t][h][0])
			}
			fold256(f.sums[t][h], func(i int) int {
				if width == 1 {
					return i - 1
				}
				return width * i
			})
		}
		d := scales(h)
		for t := range f.n {
			sum, other := f.sums[t][h][0], YMM()
			VPBROADCASTD(f.row.at(t, disp+recordBias), other)
			VPADDD(other, sum, sum)
			VCVTDQ2PS(sum, sum)
			VMULPS(d, sum, sum)
			VBROADCASTSS(f.row.at(t, disp+recordScale), other)
			VMULPS(other, sum, sum)
			at := Mem{Base: f.acc, Disp: 64*t + 32*h}
			VADDPS(at, sum, sum)
			VMOVUPS(sum, at)
		}
	}
}

// pick256 is a shuffle that gathers two bytes of each 32-bit lane in the lower half of
// each 128-bit lane.
func pick256(name string, first, second int) Mem {
	return table(name, 32, func(i int) Constant {
		if i %= 16; i < 8 {
			return U8(4*(i/2) + []int{first, second}[i%2])
		}
		return U8(0x80)
	}, 1)
}

// halves256 turns eight binary16, two bytes of each lane, into float32.
func halves256(lanes reg.VecVirtual, pick Mem) reg.VecVirtual {
	VPSHUFB(pick, lanes, lanes)
	VPERMQ(U8(0b1000), lanes, lanes)
	VCVTPH2PS(lanes.AsX(), lanes)
	return lanes
}

// scalesG5For256 returns half of the scales in the last block of a record.
func scalesG5For256(last reg.Register, _, half int) reg.VecVirtual {
	d, high := YMM(), YMM()
	VMOVDQU(Mem{Base: last, Disp: 32 * half}, d)
	VPSRLD(U8(4), d, d)
	VPAND(bytes256("ternaryLowNibbles", 0x0F0F0F0F), d, d)
	VPSRLD(U8(4), d, high)
	VPOR(high, d, d)
	return halves256(d, pick256("ternaryEvenBytes", 0, 2))
}

// scalesG1For256 does so for one of the two groups of a record.
func scalesG1For256(last reg.Register, group, half int) reg.VecVirtual {
	d := YMM()
	VMOVDQU(Mem{Base: last, Disp: 32 * half}, d)
	if group == 0 {
		return halves256(d, pick256("ternaryLowHalves", 0, 1))
	}
	return halves256(d, pick256("ternaryHighHalves", 2, 3))
}

var groupG2For256 = grouping256{name: "G2", groups: 1, record: func(f *frame256) {
	f.clear256()
	f.blocks("block", 8, 16, func() { f.fields256(f.raw256(), 2, 4) })
	f.finish256(-128, 2, func(half int) reg.VecVirtual {
		d := YMM()
		VMOVUPS(Mem{Base: f.w, Disp: 32 * half}, d)
		return d
	})
	ADDQ(U8(64), f.w)
	f.row.advance(recordBytes - 128)
}}

var groupG5For256 = grouping256{name: "G5", groups: 1, record: func(f *frame256) {
	f.clear256()
	f.blocks("block", 6, 20, func() {
		packed := [2][]reg.VecVirtual{decodeT5For256.packed(Mem{Base: f.w}, YMM), decodeT5For256.packed(Mem{Base: f.w, Disp: 32}, YMM)}
		f.dot256(16, 0, [2]reg.VecVirtual{packed[0][1], packed[1][1]})
		f.fields256([2]Op{packed[0][0], packed[1][0]}, 2, 4)
	})
	f.fields256(f.raw256(), 2, 2)
	f.finish256(-120, 2, func(half int) reg.VecVirtual { return scalesG5For256(f.w, 0, half) })
	ADDQ(U8(64), f.w)
	f.row.advance(recordBytes - 120)
}}

var groupG1For256 = grouping256{name: "G1", groups: 2, record: func(f *frame256) {
	for g := range 2 {
		f.clear256()
		f.blocks([]string{"first", "second"}[g], 4, 32, func() { f.fields256(f.raw256(), 1, 8) })
		last := GP64()
		LEAQ(Mem{Base: f.w, Disp: 256 * (1 - g)}, last)
		f.finish256(-128, 1, func(half int) reg.VecVirtual { return scalesG1For256(last, g, half) })
		f.row.advance(recordBytes - 128)
	}
	ADDQ(U8(64), f.w)
}}
