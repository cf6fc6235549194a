package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// How far ahead lines are asked for: where the next ones are only the list knows.
const (
	linesAhead = 4  // rows, into the first cache
	linesFar   = 24 // rows, into the second
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
		"at has 24 places more, which are only prefetched.")
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
	var line, next, far [2]reg.GPVirtual
	for i := range line {
		line[i], next[i], far[i] = GP64(), GP64(), GP64()
		MOVL(Mem{Base: at, Disp: 4 * (i + linesFar)}, far[i].As32())
		ADDQ(w, far[i])
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
		PREFETCHT1(Mem{Base: far[i]})
		raw := ZMM()
		VMOVDQU64(Mem{Base: line[i]}, raw)
		decode(raw, func(f int, codes reg.VecVirtual) {
			VPDPBUSD(Mem{Base: q, Disp: 64 * f}, codes, sums[i][f])
		})
		ADDQ(U8(64), line[i])
		ADDQ(U8(64), next[i])
		ADDQ(U8(64), far[i])
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
	TEXT(name, NOSPLIT, "func(acc *int32, w *byte, at *uint32, q *int8, blocks, quads int)")
	Pragma("noescape")
	Doc(name+" adds the products of 4·quads > 0 columns of blocks > 0 blocks with their activations to the sums of",
		"all rows. Column i begins at w[at[i]]. at has 64 places more, which are only prefetched.")
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	places := Load(Param("at"), GP64())
	q := Load(Param("q"), GP64())
	blocks := Load(Param("blocks"), GP64())
	quads := Load(Param("quads"), GP64())
	decode := lineDecoder(d)
	sums := make([][4]reg.VecVirtual, d.fields)
	for f := range sums {
		for i := range sums[f] {
			sums[f][i] = ZMM()
		}
	}
	// Beside the products of a run of columns all lines of the next are asked for, column
	// by column, as they lie in memory.
	base, ahead, line, size := GP64(), GP64(), GP64(), GP64()
	MOVQ(w, base)
	LEAQ(Mem{Base: places, Disp: 4 * columnRun}, ahead)
	XORQ(line, line)
	MOVQ(blocks, size)
	SHLQ(U8(6), size)
	Label("block")
	for f := range sums {
		for i := range sums[f] {
			zero(sums[f][i])
		}
	}
	at, x, n := GP64(), GP64(), GP64()
	MOVQ(places, at)
	MOVQ(q, x)
	MOVQ(quads, n)
	Label("quad")
	next, far := GP64(), GP64()
	MOVL(Mem{Base: ahead}, next.As32())
	MOVL(Mem{Base: ahead, Disp: 4 * columnRun}, far.As32())
	ADDQ(base, next)
	ADDQ(base, far)
	for i := range 4 {
		PREFETCHT0(Mem{Base: next, Index: line, Scale: 1, Disp: 64 * i})
		PREFETCHT1(Mem{Base: far, Index: line, Scale: 1, Disp: 64 * i})
	}
	ADDQ(U32(256), line)
	CMPQ(line, size)
	JB(LabelRef("asked"))
	XORQ(line, line)
	ADDQ(U8(4), ahead)
	Label("asked")
	var column [4]reg.VecVirtual
	for i := range column {
		place := GP64()
		MOVL(Mem{Base: at, Disp: 4 * i}, place.As32())
		column[i] = ZMM()
		VMOVDQU64(Mem{Base: w, Index: place, Scale: 1}, column[i])
	}
	for _, rows := range interleave(column, ZMM) {
		decode(rows.codes, func(f int, codes reg.VecVirtual) {
			VPDPBUSD_BCST(Mem{Base: x}, codes, sums[f][rows.index])
		})
	}
	ADDQ(U8(16), at)
	ADDQ(U8(4), x)
	DECQ(n)
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
	ADDQ(U8(64), w)
	ADDQ(U32(256*d.fields), acc)
	DECQ(blocks)
	JNZ(LabelRef("block"))
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

// laneOffsets returns a vector of first, first+size, … and one of 16·size.
func laneOffsets() (offsets, step reg.VecVirtual) {
	first := Load(Param("first"), GP32())
	size := Load(Param("size"), GP32())
	offsets, step = ZMM(), ZMM()
	VPBROADCASTD(size, step)
	VPMULLD(table("lineLanes", 64, func(i int) Constant { return U32(i) }, 4), step, offsets)
	VPSLLD(U8(4), step, step)
	start := ZMM()
	VPBROADCASTD(first, start)
	VPADDD(start, offsets, offsets)
	return offsets, step
}

// listPositive512 emits the listing of positive gates.
func listPositive512() {
	TEXT("listPositiveAVX512", NOSPLIT, "func(at *uint32, gate *float32, n int, first, size uint32) int")
	Pragma("noescape")
	Doc("listPositiveAVX512 lists first + size·i for each of 16·n > 0 gates that is positive, and returns how many are.",
		"It may write 16 places beyond them.")
	at := Load(Param("at"), GP64())
	gate := Load(Param("gate"), GP64())
	n := Load(Param("n"), GP64())
	offsets, step := laneOffsets()
	none := ZMM()
	zero(none)
	begin := GP64()
	MOVQ(at, begin)
	Label("sixteen")
	k, count := K(), GP64()
	VCMPPS(U8(0x11), Mem{Base: gate}, none, k) // 0 < gate, ordered
	KMOVW(k, count.As32())
	POPCNTL(count.As32(), count.As32())
	packed := ZMM()
	VPCOMPRESSD_Z(offsets, k, packed)
	VMOVDQU32(packed, Mem{Base: at})
	LEAQ(Mem{Base: at, Index: count, Scale: 4}, at)
	VPADDD(step, offsets, offsets)
	ADDQ(U8(64), gate)
	DECQ(n)
	JNZ(LabelRef("sixteen"))
	SUBQ(begin, at)
	SHRQ(U8(2), at)
	Store(at, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// expandPositive512 emits the way back of results to their gates.
func expandPositive512() {
	TEXT("expandPositiveAVX512", NOSPLIT, "func(y, gate, from *float32, n int)")
	Pragma("noescape")
	Doc("expandPositiveAVX512 sets those of 16·n > 0 results y whose gate is positive to the numbers from on, others to 0.")
	y := Load(Param("y"), GP64())
	gate := Load(Param("gate"), GP64())
	from := Load(Param("from"), GP64())
	n := Load(Param("n"), GP64())
	none := ZMM()
	zero(none)
	Label("sixteen")
	k, count, spread := K(), GP64(), ZMM()
	VCMPPS(U8(0x11), Mem{Base: gate}, none, k)
	KMOVW(k, count.As32())
	POPCNTL(count.As32(), count.As32())
	VEXPANDPS_Z(Mem{Base: from}, k, spread)
	VMOVUPS(spread, Mem{Base: y})
	LEAQ(Mem{Base: from, Index: count, Scale: 4}, from)
	ADDQ(U8(64), gate)
	ADDQ(U8(64), y)
	DECQ(n)
	JNZ(LabelRef("sixteen"))
	VZEROUPPER()
	RET()
}

// listNonzero512 emits the listing of activations that are not zero.
func listNonzero512() {
	TEXT("listNonzeroAVX512", NOSPLIT, "func(at *uint32, list, q *int8, n int, first, size uint32) int")
	Pragma("noescape")
	Doc("listNonzeroAVX512 lists first + size·i, and the activation itself, for each of 16·n > 0 activations that is not",
		"zero, and returns how many are not. It may write 16 places beyond them.")
	at := Load(Param("at"), GP64())
	list := Load(Param("list"), GP64())
	q := Load(Param("q"), GP64())
	n := Load(Param("n"), GP64())
	offsets, step := laneOffsets()
	begin := GP64()
	MOVQ(at, begin)
	Label("sixteen")
	k, count := K(), GP64()
	values, packed := ZMM(), ZMM()
	VPMOVSXBD(Mem{Base: q}, values)
	VPTESTMD(values, values, k)
	KMOVW(k, count.As32())
	POPCNTL(count.As32(), count.As32())
	VPCOMPRESSD_Z(offsets, k, packed)
	VMOVDQU32(packed, Mem{Base: at})
	VPCOMPRESSD_Z(values, k, packed)
	VPMOVDB(packed, Mem{Base: list})
	LEAQ(Mem{Base: at, Index: count, Scale: 4}, at)
	ADDQ(count, list)
	VPADDD(step, offsets, offsets)
	ADDQ(U8(16), q)
	DECQ(n)
	JNZ(LabelRef("sixteen"))
	SUBQ(begin, at)
	SHRQ(U8(2), at)
	Store(at, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
