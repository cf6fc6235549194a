package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// field256 emits the code that keeps one 2-bit field of each byte of T2.
func field256(f int, packed, codes reg.VecVirtual) {
	code := byteMask(3)
	if f == 0 {
		VPAND(code, packed, codes)
		return
	}
	VPSRLW(U8(2*f), packed, codes)
	VPAND(code, codes, codes)
}

// wordOnes makes VPMADDWD add pairs of words.
func wordOnes() Mem {
	return table("ternaryOnes", 32, func(int) Constant { return U32(0x00010001) }, 4)
}

// dotLinesT2For256 emits what dotLines512 does, for T2.
func dotLinesT2For256(of vectors) {
	TEXT("dotLinesT2"+of.suffix, NOSPLIT, "func(acc *int32, w *byte, at *uint32, x *int8, blocks, pairs int)")
	Pragma("noescape")
	Doc("dotLinesT2"+of.suffix+" computes the sums of 2·pairs > 0 lines of blocks > 0 blocks, which begin at w[at[i]].",
		"at has 24 places more, which are only prefetched.")
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	at := Load(Param("at"), GP64())
	x := Load(Param("x"), GP64())
	blocks := Load(Param("blocks"), GP64())
	pairs := Load(Param("pairs"), GP64())
	sums := [2]reg.VecVirtual{of.new(), of.new()}
	Label("pair")
	var line, next [2]reg.GPVirtual
	for i := range line {
		line[i], next[i] = GP64(), GP64()
		MOVL(Mem{Base: at, Disp: 4 * i}, line[i].As32())
		ADDQ(w, line[i])
		MOVL(Mem{Base: at, Disp: 4 * (i + linesAhead)}, next[i].As32())
		ADDQ(w, next[i])
		VPXOR(sums[i], sums[i], sums[i])
	}
	q, n := GP64(), GP64()
	MOVQ(x, q)
	MOVQ(blocks, n)
	Label("block")
	for i := range line {
		PREFETCHT0(Mem{Base: next[i]})
		words := of.new()
		for part := 0; part < 64; part += of.bytes {
			raw := of.new()
			VMOVDQU(Mem{Base: line[i], Disp: part}, raw)
			for f := range 4 {
				codes := of.new()
				field256(f, raw, codes)
				if part == 0 && f == 0 {
					VPMADDUBSW(Mem{Base: q}, codes, words)
					continue
				}
				VPMADDUBSW(Mem{Base: q, Disp: 64*f + part}, codes, codes)
				VPADDW(codes, words, words)
			}
		}
		VPMADDWD(wordOnes(), words, words)
		VPADDD(words, sums[i], sums[i])
		ADDQ(U8(64), line[i])
		ADDQ(U8(64), next[i])
	}
	ADDQ(U32(256), q)
	DECQ(n)
	JNZ(LabelRef("block"))
	var both [2]reg.VecVirtual
	for i := range sums {
		if of.bytes == 16 {
			both[i] = sums[i]
			continue
		}
		both[i] = XMM()
		VEXTRACTI128(U8(1), sums[i], both[i])
		VPADDD(sums[i].AsX(), both[i], both[i])
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

// addColumnsT2For256 emits what addColumns512 does, for T2. A pass over a run of columns
// has sums of words, of two fields of half a block, or a quarter: as many as there are
// registers for.
func addColumnsT2For256(of vectors) {
	TEXT("addColumnsT2"+of.suffix, NOSPLIT, "func(acc *int32, w *byte, at *uint32, q *int8, blocks, quads int)")
	Pragma("noescape")
	Doc("addColumnsT2"+of.suffix+" adds the products of 4·quads columns, 0 < quads ≤ 8, of blocks > 0 blocks with their activations",
		"to the sums of all rows. Column i begins at w[at[i]]. at has 64 places more, which are only prefetched.")
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	places := Load(Param("at"), GP64())
	q := Load(Param("q"), GP64())
	blocks := Load(Param("blocks"), GP64())
	ahead, line, size, base := GP64(), GP64(), GP64(), GP64()
	MOVQ(w, base)
	LEAQ(Mem{Base: places, Disp: 4 * columnRun}, ahead)
	XORQ(line, line)
	MOVQ(blocks, size)
	SHLQ(U8(6), size)
	Label("block")
	// The quarters of a block that registers of 128 bits take are turns of a loop.
	passes, narrow, turns := 4, of.bytes == 16, GP64()
	if narrow {
		passes = 2
	}
	for pass := range passes {
		part, field := pass%2*of.bytes, pass/2*2
		if narrow {
			part, field = 0, 2*pass
			MOVQ(U32(4), turns)
			Label("turn" + string(rune('0'+pass)))
		}
		quad, asked := "quad"+string(rune('0'+pass)), "asked"+string(rune('0'+pass))
		var words [2][4]reg.VecVirtual
		for f := range words {
			for i := range words[f] {
				words[f][i] = of.new()
				VPXOR(words[f][i], words[f][i], words[f][i])
			}
		}
		at, x, n := GP64(), GP64(), Load(Param("quads"), GP64())
		MOVQ(places, at)
		MOVQ(q, x)
		Label(quad)
		if !narrow || pass == 0 { // then all of a run has been asked for
			next := GP64()
			MOVL(Mem{Base: ahead}, next.As32())
			ADDQ(base, next)
			PREFETCHT0(Mem{Base: next, Index: line, Scale: 1})
			ADDQ(U8(64), line)
			CMPQ(line, size)
			JB(LabelRef(asked))
			XORQ(line, line)
			ADDQ(U8(4), ahead)
			Label(asked)
		}
		var column [4]reg.VecVirtual
		for i := range column {
			place := GP64()
			MOVL(Mem{Base: at, Disp: 4 * i}, place.As32())
			column[i] = of.new()
			VMOVDQU(Mem{Base: w, Index: place, Scale: 1, Disp: part}, column[i])
		}
		rows := interleave(column, of.new)
		activations, codes := of.new(), of.new()
		VPBROADCASTD(Mem{Base: x}, activations)
		for _, r := range rows {
			for f := range words {
				field256(field+f, r.codes, codes)
				VPMADDUBSW(activations, codes, codes)
				VPADDW(codes, words[f][r.index], words[f][r.index])
			}
		}
		ADDQ(U8(16), at)
		ADDQ(U8(4), x)
		DECQ(n)
		JNZ(LabelRef(quad))
		for f := range words {
			for i, sum := range words[f] {
				place := Mem{Base: acc, Disp: 256*(field+f) + 64*i + part}
				VPMADDWD(wordOnes(), sum, sum)
				VPADDD(place, sum, sum)
				VMOVDQU(sum, place)
			}
		}
		if narrow {
			ADDQ(U8(16), w)
			ADDQ(U8(16), acc)
			DECQ(turns)
			JNZ(LabelRef("turn" + string(rune('0'+pass))))
			SUBQ(U8(64), w)
			SUBQ(U8(64), acc)
		}
	}
	ADDQ(U8(64), w)
	ADDQ(U32(1024), acc)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// addSums256 emits the sum of two vectors of integers.
func addSums256(of vectors) {
	TEXT("addSums"+of.suffix, NOSPLIT, "func(acc, from *int32, n int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("addSums%s adds %d·n > 0 sums to acc.", of.suffix, of.bytes/4))
	acc := Load(Param("acc"), GP64())
	from := Load(Param("from"), GP64())
	n := Load(Param("n"), GP64())
	sum := of.new()
	Label("loop")
	VMOVDQU(Mem{Base: acc}, sum)
	VPADDD(Mem{Base: from}, sum, sum)
	VMOVDQU(sum, Mem{Base: acc})
	ADDQ(U8(of.bytes), acc)
	ADDQ(U8(of.bytes), from)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
