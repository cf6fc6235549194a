package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// How far ahead lines are asked for: where the next ones are only the list knows.
const (
	linesAhead = 8  // rows
	columnRun  = 32 // columns; package kernel knows it too
)

// lineFields emits the code that turns 64 packed bytes into vectors of codes, each
// scaled as ownSums says, and hands them out. raw is lost.
type lineFields func(raw reg.VecVirtual, use func(field int, codes reg.VecVirtual))

// lineDecoder loads constants for d. Masks are in memory: registers are for sums.
func lineDecoder(d decoder512) lineFields {
	fields := func(packed reg.VecVirtual, use func(int, reg.VecVirtual)) {
		codes := ZMM()
		for f := range 4 {
			VPANDD_BCST(table("ternaryFieldMasks", 16, func(i int) Constant { return U32(0x03030303 << (2 * i)) }, 4).Offset(4*f), packed, codes)
			use(f, codes)
		}
	}
	if d.fields == 4 {
		return fields
	}
	lo, hi := ZMM(), ZMM()
	VMOVDQU64(digitTable(), lo)
	VMOVDQU64(digitTable().Offset(64), hi)
	minus81 := table("ternaryMinus81", 64, func(int) Constant { return U32((256 - 81) * 0x01010101) }, 4)
	return func(raw reg.VecVirtual, use func(int, reg.VecVirtual)) {
		v, again := ZMM(), ZMM()
		VPADDB(minus81, raw, v)
		VPMINUB(raw, v, v)
		VPADDB(minus81, v, again)
		VPMINUB(again, v, v)
		VPSUBB(v, raw, raw)
		use(4, raw)
		VPERMI2B(hi, lo, v)
		fields(v, use)
	}
}

// dotLines512 emits the products of pairs of rows with one row of activations.
func dotLines512(d decoder512) {
	name := "dotLines" + d.name + d.suffix
	TEXT(name, NOSPLIT, "func(acc *int32, w *byte, at *uint32, x *int8, blocks, pairs int)")
	Pragma("noescape")
	Doc(name+" computes the sums of 2·pairs > 0 lines of blocks > 0 blocks, which begin at w[at[i]].",
		"at has 8 places more, which are only prefetched.")
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	at := Load(Param("at"), GP64())
	x := Load(Param("x"), GP64())
	blocks := Load(Param("blocks"), GP64())
	pairs := Load(Param("pairs"), GP64())
	decode := lineDecoder(d)
	var sums [2][]reg.VecVirtual
	for i := range sums {
		for range d.fields {
			sums[i] = append(sums[i], ZMM())
		}
	}
	Label("pair")
	var line, next [2]reg.GPVirtual
	for i := range line {
		line[i], next[i] = GP64(), GP64()
		MOVL(Mem{Base: at, Disp: 4 * i}, line[i].As32())
		ADDQ(w, line[i])
		MOVL(Mem{Base: at, Disp: 4 * (i + linesAhead)}, next[i].As32())
		ADDQ(w, next[i])
		for _, s := range sums[i] {
			zero(s)
		}
	}
	q, n := GP64(), GP64()
	MOVQ(x, q)
	MOVQ(blocks, n)
	Label("block")
	for i := range line {
		PREFETCHT0(Mem{Base: next[i]})
		raw := ZMM()
		VMOVDQU64(Mem{Base: line[i]}, raw)
		decode(raw, func(f int, codes reg.VecVirtual) {
			VPDPBUSD(Mem{Base: q, Disp: 64 * f}, codes, sums[i][f])
		})
		ADDQ(U8(64), line[i])
		ADDQ(U8(64), next[i])
	}
	ADDQ(U32(64*d.fields), q)
	DECQ(n)
	JNZ(LabelRef("block"))
	var both [2]reg.VecVirtual
	for i := range sums {
		unscale(sums[i])
		reduce(sums[i])
		half, quarter := YMM(), XMM()
		VEXTRACTI64X4(U8(1), sums[i][0], half)
		VPADDD(sums[i][0].AsY(), half, half)
		VEXTRACTI128(U8(1), half, quarter)
		VPADDD(half.AsX(), quarter, quarter)
		both[i] = quarter
	}
	VPHADDD(both[1], both[0], both[0])
	VPHADDD(both[0], both[0], both[0])
	VMOVQ(both[0], Mem{Base: acc})
	ADDQ(U8(8), acc)
	ADDQ(U8(8), at)
	DECQ(pairs)
	JNZ(LabelRef("pair"))
	VZEROUPPER()
	RET()
}

// addColumns512 emits the products of four columns at a time with four activations.
// Their bytes are interleaved before they are decoded, so that a dot product adds up
// four columns of a row.
func addColumns512(d decoder512) {
	name := "addColumns" + d.name + d.suffix
	TEXT(name, NOSPLIT, "func(acc *int32, w *byte, at *uint32, q *int8, quads int)")
	Pragma("noescape")
	Doc(name+" adds the products of 4·quads > 0 columns with their activations to the sums of a block's rows. The",
		"block of column i begins at w[at[i]]. at has 32 places more, which are only prefetched.")
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	at := Load(Param("at"), GP64())
	x := Load(Param("q"), GP64())
	quads := Load(Param("quads"), GP64())
	decode := lineDecoder(d)
	sums := make([][4]reg.VecVirtual, d.fields)
	for f := range sums {
		for i := range sums[f] {
			sums[f][i] = ZMM()
			zero(sums[f][i])
		}
	}
	Label("quad")
	var column [4]reg.VecVirtual
	for i := range column {
		place := GP64()
		MOVL(Mem{Base: at, Disp: 4 * i}, place.As32())
		column[i] = ZMM()
		VMOVDQU64(Mem{Base: w, Index: place, Scale: 1}, column[i])
		MOVL(Mem{Base: at, Disp: 4 * (i + columnRun)}, place.As32())
		PREFETCHT0(Mem{Base: w, Index: place, Scale: 1})
	}
	for _, rows := range interleave(column, ZMM) {
		decode(rows.codes, func(f int, codes reg.VecVirtual) {
			VPDPBUSD_BCST(Mem{Base: x}, codes, sums[f][rows.index])
		})
	}
	ADDQ(U8(16), at)
	ADDQ(U8(4), x)
	DECQ(quads)
	JNZ(LabelRef("quad"))
	for i := range 4 {
		own := make([]reg.VecVirtual, d.fields)
		for f := range own {
			own[f] = sums[f][i]
		}
		unscale(own)
		for f := range own {
			place := Mem{Base: acc, Disp: 64 * (4*f + i)}
			VPADDD(place, own[f], own[f])
			VMOVDQU32(own[f], place)
		}
	}
	VZEROUPPER()
	RET()
}

// interleaved is a vector with the bytes of four columns for rows 16·index….
type interleaved struct {
	index int
	codes reg.VecVirtual
}

// interleave makes of the bytes of four columns four vectors, whose 32-bit lanes belong
// to one row each.
func interleave(c [4]reg.VecVirtual, register func() reg.VecVirtual) []interleaved {
	high01, high23 := register(), register()
	VPUNPCKHBW(c[1], c[0], high01)
	VPUNPCKHBW(c[3], c[2], high23)
	VPUNPCKLBW(c[1], c[0], c[0])
	VPUNPCKLBW(c[3], c[2], c[2])
	VPUNPCKLWD(c[2], c[0], c[1])
	VPUNPCKHWD(c[2], c[0], c[0])
	VPUNPCKLWD(high23, high01, c[3])
	VPUNPCKHWD(high23, high01, high01)
	return []interleaved{{0, c[1]}, {1, c[0]}, {2, c[3]}, {3, high01}}
}

// addSums512 emits the sum of two vectors of integers.
func addSums512() {
	TEXT("addSumsAVX512", NOSPLIT, "func(acc, from *int32, n int)")
	Pragma("noescape")
	Doc("addSumsAVX512 adds 16·n > 0 sums to acc.")
	acc := Load(Param("acc"), GP64())
	from := Load(Param("from"), GP64())
	n := Load(Param("n"), GP64())
	sum := ZMM()
	Label("sixteen")
	VMOVDQU32(Mem{Base: acc}, sum)
	VPADDD(Mem{Base: from}, sum, sum)
	VMOVDQU32(sum, Mem{Base: acc})
	ADDQ(U8(64), acc)
	ADDQ(U8(64), from)
	DECQ(n)
	JNZ(LabelRef("sixteen"))
	VZEROUPPER()
	RET()
}
