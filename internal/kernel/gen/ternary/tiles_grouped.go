package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The bytes of the trits of a group of sixteen rows.
const groupTrits = 16 * 128

// A unpacking512 emits the code that turns one record into trits and scales.
type unpacking512 struct {
	name, suffix string
	lines        int // of 64 bytes, per record
	groups       int // per record
	// prepare loads constants and returns the emitter, which moves w on and leaves to
	// and scales behind.
	prepare func() func(w, to, scales reg.Register)
}

var unpackG2 = unpacking512{name: "G2", suffix: "AVX512", lines: 9, groups: 1, prepare: func() func(w, to, scales reg.Register) {
	masks, minus := manyMasks(1, 2), tritOfCode()
	return func(w, to, scales reg.Register) {
		for k := range 8 {
			raw := ZMM()
			VMOVDQU64(Mem{Base: w, Disp: 64 * k}, raw)
			manyFields(raw, masks, 2, 4, func(i, _ int, codes reg.VecVirtual) { minus(codes, Mem{Base: to, Disp: 64 * (4*k + i)}) })
		}
		v := ZMM()
		VMOVUPS(Mem{Base: w, Disp: 512}, v)
		VMOVUPS(v, Mem{Base: scales})
		ADDQ(U32(9*64), w)
	}
}}

var unpackG5 = unpacking512{name: "G5", suffix: "GFNI", lines: 7, groups: 1, prepare: func() func(w, to, scales reg.Register) {
	packed := packedT5()
	fields := make([]reg.VecVirtual, 4)
	for i := range fields {
		fields[i] = ZMM()
		at := GP64()
		MOVQ(U64(tritOfField(i)), at)
		VPBROADCASTQ(at, fields[i])
	}
	return func(w, to, scales reg.Register) {
		// Bits of ones beside the lowest: code 0 is trit −1.
		store := func(raw reg.VecVirtual, field, line int) {
			v := ZMM()
			VGF2P8AFFINEQB(U8(0xFF), fields[field], raw, v)
			VMOVDQU64(v, Mem{Base: to, Disp: 64 * line})
		}
		for k := range 6 {
			words := packed(Mem{Base: w, Disp: 64 * k})
			for i := range 4 {
				store(words[0], i, 5*k+i)
			}
			// The lowest two bits of 81·c are c.
			store(words[1], 0, 5*k+4)
		}
		raw := ZMM()
		VMOVDQU64(Mem{Base: w, Disp: 384}, raw)
		for i := range 2 {
			store(raw, i, 30+i)
		}
		VMOVUPS(nibbleScales(raw), Mem{Base: scales})
		ADDQ(U32(7*64), w)
	}
}}

// tritOfField returns the matrix of bits that turns bytes with a code 0, 1 or 2 in bits
// 2i and 2i+1 into the complement of the code's trit. With b₁b₀ for the code that is b₀
// in bit 0 and b₀ + b₁ in all others. The first byte of the matrix is for bit 7.
func tritOfField(i int) uint64 {
	b0, b1 := uint64(1)<<(2*i), uint64(2)<<(2*i)
	m := b0 << 56
	for bit := 1; bit < 8; bit++ {
		m |= (b0 | b1) << (8 * (7 - bit))
	}
	return m
}

var unpackG1 = unpacking512{name: "G1", suffix: "AVX512", lines: 9, groups: 2, prepare: func() func(w, to, scales reg.Register) {
	masks, minus := manyMasks(1, 1), tritOfCode()
	return func(w, to, scales reg.Register) {
		for k := range 8 {
			raw := ZMM()
			VMOVDQU64(Mem{Base: w, Disp: 64 * k}, raw)
			manyFields(raw, masks, 1, 8, func(i, _ int, codes reg.VecVirtual) {
				// A set bit stands for code 2.
				VPADDB(codes, codes, codes)
				minus(codes, Mem{Base: to, Disp: 64 * (8*k + i)})
			})
		}
		for g := range 2 {
			halves, v := ZMM(), ZMM()
			VMOVDQU64(Mem{Base: w, Disp: 512}, halves)
			if g == 1 {
				VPSRLD(U8(16), halves, halves)
			}
			VPMOVDW(halves, halves.AsY())
			VCVTPH2PS(halves.AsY(), v)
			VMOVUPS(v, Mem{Base: scales, Disp: 64 * g})
		}
		ADDQ(U32(9*64), w)
	}
}}

// tritOfCode returns the emitter that stores trits of codes.
func tritOfCode() func(codes reg.VecVirtual, to Mem) {
	ones := ZMM()
	broadcast(ones, 0x01010101)
	return func(codes reg.VecVirtual, to Mem) {
		VPSUBB(ones, codes, codes)
		VMOVDQU64(codes, to)
	}
}

// trits512 emits the unpacking of records, as codes512 does of blocks.
func trits512(u unpacking512) {
	name := fmt.Sprintf("trits%s%s", u.name, u.suffix)
	TEXT(name, NOSPLIT, "func(trits *int8, scales *float32, w *byte, units, ahead int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s unpacks units ≥ 1 records into a byte for each trit, column by column in fours, and", name),
		"scales, 16 for each group. It fetches as many that are ahead bytes behind these.")
	to := Load(Param("trits"), GP64())
	scales := Load(Param("scales"), GP64())
	w := Load(Param("w"), GP64())
	units := Load(Param("units"), GP64())
	ahead := Load(Param("ahead"), GP64())
	emit := u.prepare()
	Label("record")
	for line := range u.lines {
		PREFETCHT1(Mem{Base: w, Index: ahead, Scale: 1, Disp: 64 * line})
	}
	emit(w, to, scales)
	ADDQ(U32(uint32(u.groups*groupTrits)), to)
	ADDQ(U32(uint32(u.groups*64)), scales)
	DECQ(units)
	JNZ(LabelRef("record"))
	VZEROUPPER()
	RET()
}

// tileGroups emits the product of rows of activations, n ≤ 16 at a time, with panels of
// trits.
func tileGroups(n int) {
	name := fmt.Sprintf("tileGroups%dAMX", n)
	TEXT(name, NOSPLIT, "func(sums *float32, x, inverse *byte, stride int, trits *int8, scales *float32, groups, blocks, panels, add int, products *int32, shapes *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes 16 sums of groups ≥ 1 groups for each row of each of blocks ≥ 1 blocks of %d rows of", name, n),
		"activations, stride bytes apart, whose inverse scales are as far apart, and each of panels ≥ 1 panels, and adds",
		fmt.Sprintf("them to what is at sums if add is not 0. It has room for a tile at products. The shapes of tiles of %d rows", n),
		"are at shapes.")
	sums, x, trits, scales, groups := reg.RAX, reg.RSI, reg.RDI, reg.R8, reg.RCX
	step, products, stride := reg.R9, reg.R10, reg.R11
	param := func(name string) Mem {
		p, err := Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		return p.Addr
	}
	Load(Param("shapes"), step)
	tileConfigure(step)
	Load(Param("sums"), sums)
	Load(Param("products"), products)
	Load(Param("stride"), stride)
	MOVQ(U32(64), step)
	left := GP64() // panels
	Load(Param("inverse"), left)
	inverse := rows(left, stride, n)
	acc := make([]reg.VecVirtual, n)
	for t := range acc {
		acc[t] = ZMM()
	}
	Label("block")
	Load(Param("trits"), trits)
	Load(Param("scales"), scales)
	Load(Param("panels"), left)
	Label("panel")
	Load(Param("x"), x)
	Load(Param("groups"), groups)
	CMPQ(param("add"), U8(0))
	JE(LabelRef("zero"))
	for t := range acc {
		VMOVUPS(Mem{Base: sums, Disp: 64 * t}, acc[t])
	}
	JMP(LabelRef("group"))
	Label("zero")
	for t := range acc {
		zero(acc[t])
	}
	Label("group")
	tileZero(0)
	tileLoad(4, x, stride, 0)
	tileLoad(6, trits, step, 0)
	tileMulSS(0, 4, 6)
	tileLoad(1, x, stride, 64)
	tileLoad(7, trits, step, tileBytes)
	tileMulSS(0, 1, 7)
	tileStore(0, products, step, 0)
	d := ZMM()
	VMOVUPS(Mem{Base: scales}, d)
	for t := range acc {
		v := ZMM()
		VCVTDQ2PS(Mem{Base: products, Disp: 64 * t}, v)
		VMULPS(d, v, v)
		VMULPS_BCST(inverse.at(t, 0), v, v)
		VADDPS(v, acc[t], acc[t])
	}
	inverse.advance(4)
	ADDQ(U32(128), x)
	ADDQ(U32(groupTrits), trits)
	ADDQ(U8(64), scales)
	DECQ(groups)
	JNZ(LabelRef("group"))
	for t := range acc {
		VMOVUPS(acc[t], Mem{Base: sums, Disp: 64 * t})
	}
	ADDQ(U32(64*n), sums)
	Load(Param("groups"), groups)
	SHLQ(U8(2), groups)
	for _, b := range inverse.bases {
		SUBQ(groups, b)
	}
	DECQ(left)
	JNZ(LabelRef("panel"))
	next := reg.RSI
	IMUL3Q(U8(uint8(n)), stride, next)
	ADDQ(next, param("x"))
	for _, b := range inverse.bases {
		ADDQ(next, b)
	}
	DECQ(param("blocks"))
	JNZ(LabelRef("block"))
	tileRelease()
	VZEROUPPER()
	RET()
}
