package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products of many rows of activations with unpacked weights that have a scale for each
// group of columns.

// codesG1 emits what gives each bit of a record of layout G1 a byte, 0 or 2.
func codesG1(v vectors) {
	name := "codesG1" + v.suffix
	TEXT(name, NOSPLIT, "func(codes, w *byte)")
	Pragma("noescape")
	Doc(name + " unpacks the codes of a record of two groups into a byte each, column by column in fours.")
	to := Load(Param("codes"), GP64())
	w := Load(Param("w"), GP64())
	blocks := GP64()
	MOVQ(U32(8), blocks)
	Label("block")
	for part := 0; part < 64; part += v.bytes {
		raw := v.new()
		VMOVDQU(Mem{Base: w, Disp: part}, raw)
		for f := range 8 {
			codes := v.new()
			switch {
			case f == 0:
				VPADDB(raw, raw, codes)
				VPAND(byteMask(0x02020202), codes, codes)
			case f == 1:
				VPAND(byteMask(0x02020202), raw, codes)
			default:
				VPSRLW(U8(f-1), raw, codes)
				VPAND(byteMask(0x02020202), codes, codes)
			}
			VMOVDQU(codes, Mem{Base: to, Disp: 64*f + part})
		}
	}
	ADDQ(U8(64), w)
	ADDQ(U32(512), to)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// groupScales emits what widens the scales of a record.
func groupScales(layout string, v vectors, groups int, scales func(last reg.Register, group, part int) reg.VecVirtual) {
	name := "scales" + layout + v.suffix
	TEXT(name, NOSPLIT, "func(scales *float32, last *byte)")
	Pragma("noescape")
	Doc(name + " gives the scales in the last block of a record a float32 each, group by group.")
	to := Load(Param("scales"), GP64())
	last := Load(Param("last"), GP64())
	for g := range groups {
		for part := range 64 / v.bytes {
			VMOVUPS(scales(last, g, part), Mem{Base: to, Disp: 64*g + v.bytes*part})
		}
	}
	VZEROUPPER()
	RET()
}

// mulGroup emits the product of n rows of activations with one unpacked group. multiply has
// the product of the sixteen columns at codes, finish that with the scales at scales.
func mulGroup(suffix string, n int, begin func(f *groupedFrame), multiply func(codes reg.Register), finish func(scales reg.Register)) {
	name := fmt.Sprintf("mulGroupx%d%s", n, suffix)
	TEXT(name, NOSPLIT, "func(sums *float32, x *byte, stride int, codes *byte, scales *float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s adds to 16 sums for each of %d rows of activations, whose records are stride apart, the", name, n),
		"products of a group, scaled.")
	acc := Load(Param("sums"), GP64())
	x := Load(Param("x"), GP64())
	s := Load(Param("stride"), GP64())
	codes := Load(Param("codes"), GP64())
	scales := Load(Param("scales"), GP64())
	f := &groupedFrame{n: n, row: rows(x, s, n), acc: acc}
	begin(f)
	steps := GP64()
	MOVQ(U32(8), steps)
	Label("step")
	multiply(codes)
	ADDQ(U32(256), codes)
	f.row.advance(16)
	DECQ(steps)
	JNZ(LabelRef("step"))
	finish(scales)
	VZEROUPPER()
	RET()
}

func mulGroup256(n int, vnni bool) {
	suffix := ymm.suffix
	if vnni {
		suffix = "AVXVNNI"
	}
	var f *frame256
	mulGroup(suffix, n, func(frame *groupedFrame) {
		f = &frame256{groupedFrame: frame, vnni: vnni, sums: make([][2][]reg.VecVirtual, n)}
		for t := range n {
			f.sums[t] = [2][]reg.VecVirtual{{YMM()}, {YMM()}}
		}
		f.clear256()
	}, func(codes reg.Register) {
		for i := range 4 {
			c := [2]reg.VecVirtual{YMM(), YMM()}
			for h := range 2 {
				VMOVDQU(Mem{Base: codes, Disp: 64*i + 32*h}, c[h])
			}
			f.dot256(4*i, 0, c)
		}
	}, func(scales reg.Register) {
		f.finish256(-128, 2, func(half int) reg.VecVirtual {
			d := YMM()
			VMOVUPS(Mem{Base: scales, Disp: 32 * half}, d)
			return d
		})
	})
}

func mulGroup128(n int) {
	var f *frame128
	mulGroup(xmm.suffix, n, func(frame *groupedFrame) {
		f = &frame128{frame, newSums128(n)}
		f.sums.clear()
	}, func(codes reg.Register) {
		f.sums.dots(f.row, 0, 4, func(field, part int) reg.VecVirtual {
			c := XMM()
			VMOVDQU(Mem{Base: codes, Disp: 64*field + 16*part}, c)
			return c
		})
	}, func(scales reg.Register) {
		f.finish128(-128, false, func(part int) reg.VecVirtual {
			d := XMM()
			VMOVUPS(Mem{Base: scales, Disp: 16 * part}, d)
			return d
		})
	})
}
