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
	name   string
	lines  int // of 64 bytes, per record
	groups int // per record
	// prepare loads constants and returns the emitter, which moves w on and leaves to
	// behind: the trits are stored there, and the scales after them.
	prepare func() func(w, to reg.Register)
}

var unpackG2 = unpacking512{name: "G2", lines: 9, groups: 1, prepare: func() func(w, to reg.Register) {
	masks, minus := manyMasks(1, 2), tritOfCode()
	return func(w, to reg.Register) {
		for k := range 8 {
			raw := ZMM()
			prefetch(w, k)
			VMOVDQU64(Mem{Base: w, Disp: 64 * k}, raw)
			manyFields(raw, masks, 2, 4, func(i, _ int, codes reg.VecVirtual) { minus(codes, Mem{Base: to, Disp: 64 * (4*k + i)}) })
		}
		v := ZMM()
		prefetch(w, 8)
		VMOVUPS(Mem{Base: w, Disp: 512}, v)
		VMOVUPS(v, Mem{Base: to, Disp: groupTrits})
		ADDQ(U32(9*64), w)
	}
}}

var unpackG5 = unpacking512{name: "G5", lines: 7, groups: 1, prepare: func() func(w, to reg.Register) {
	// VGF2P8AFFINEQB, shifts and minima run on one port, permutes and comparisons on
	// another; what can run on both is in short supply.
	table := digitTable()
	digits := []reg.VecVirtual{ZMM(), ZMM()}
	for i, d := range digits {
		VMOVDQU64(table.Offset(64*i), d)
	}
	bounds, minus, one := []reg.VecVirtual{ZMM(), ZMM()}, ZMM(), ZMM()
	broadcast(bounds[0], 81*0x01010101)
	broadcast(bounds[1], 162*0x01010101)
	broadcast(minus, 0xFFFFFFFF)
	broadcast(one, 0x01010101)
	fields := make([]reg.VecVirtual, 4)
	for i := range fields {
		fields[i] = ZMM()
		at := GP64()
		MOVQ(U64(tritOfField(i)), at)
		VPBROADCASTQ(at, fields[i])
	}
	return func(w, to reg.Register) {
		// Bits of ones beside the lowest: code 0 is trit −1.
		store := func(raw reg.VecVirtual, field, line int) {
			v := ZMM()
			VGF2P8AFFINEQB(U8(0xFF), fields[field], raw, v)
			VMOVDQU64(v, Mem{Base: to, Disp: 64 * line})
		}
		for k := range 6 {
			prefetch(w, k)
			// A byte is 81·c₄ + four digits.
			v, last := ZMM(), ZMM()
			VMOVDQU64(Mem{Base: w, Disp: 64 * k}, v)
			above := []reg.OpmaskVirtual{K(), K()}
			for i, b := range bounds {
				VPCMPUB(U8(2), v, b, above[i])
			}
			VMOVDQA64(minus, last)
			for _, k := range above {
				VPADDB(one, last, k, last)
			}
			VMOVDQU64(last, Mem{Base: to, Disp: 64 * (5*k + 4)})
			for _, k := range above {
				VPSUBB(bounds[0], v, k, v)
			}
			VPERMI2B(digits[1], digits[0], v)
			for i := range 4 {
				store(v, i, 5*k+i)
			}
		}
		raw := ZMM()
		prefetch(w, 6)
		VMOVDQU64(Mem{Base: w, Disp: 384}, raw)
		for i := range 2 {
			store(raw, i, 30+i)
		}
		VMOVUPS(nibbleScales(raw), Mem{Base: to, Disp: groupTrits})
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

var unpackG1 = unpacking512{name: "G1", lines: 9, groups: 2, prepare: func() func(w, to reg.Register) {
	masks, minus := manyMasks(1, 1), tritOfCode()
	return func(w, to reg.Register) {
		for k := range 8 {
			raw := ZMM()
			prefetch(w, k)
			VMOVDQU64(Mem{Base: w, Disp: 64 * k}, raw)
			manyFields(raw, masks, 1, 8, func(i, _ int, codes reg.VecVirtual) {
				// A set bit stands for code 2.
				VPADDB(codes, codes, codes)
				minus(codes, Mem{Base: to, Disp: 64 * (8*k + i)})
			})
		}
		prefetch(w, 8)
		for g := range 2 {
			halves, v := ZMM(), ZMM()
			VMOVDQU64(Mem{Base: w, Disp: 512}, halves)
			if g == 1 {
				VPSRLD(U8(16), halves, halves)
			}
			VPMOVDW(halves, halves.AsY())
			VCVTPH2PS(halves.AsY(), v)
			VMOVUPS(v, Mem{Base: to, Disp: 2*groupTrits + 64*g})
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

// tileGroups emits the product of up to n ≤ 16 rows of activations with panels of a
// grouped layout. What depends on each other is far apart, as products of tiles take long
// and a tile cannot be loaded soon from where something was just stored: while a record is
// multiplied the second after it is unpacked, and the sums of the one before are scaled.
func tileGroups(u unpacking512, n int) {
	name := fmt.Sprintf("tileMul%sx%dAMX", u.name, n)
	TEXT(name, NOSPLIT, "func(y *float32, yStride int, w, x, inverse *byte, stride, units, rows, panels, outs int, scratch, shapes *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s sets the results of rows ≤ %d rows of activations, stride bytes apart, whose inverse scales are as far", name, n),
		"apart, with panels ≥ 1 panels of units ≥ 1 records, of which outs rows are wanted. Rows of results are yStride",
		fmt.Sprintf("bytes apart. It reads inverse scales of %d rows. The shapes of tiles of so many rows are at shapes.", n))
	w, x, stride, now, next, last := reg.RDX, reg.RSI, reg.R11, reg.RDI, reg.R8, reg.R12
	step, products := reg.R9, reg.R10
	param := func(name string) Mem {
		p, err := Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		return p.Addr
	}
	slot := u.groups * (groupTrits + 64)
	Load(Param("shapes"), step)
	tileConfigure(step)
	Load(Param("w"), w)
	Load(Param("x"), x)
	Load(Param("stride"), stride)
	Load(Param("scratch"), now)
	LEAQ(Mem{Base: now, Disp: slot}, next)
	LEAQ(Mem{Base: next, Disp: slot}, last)
	LEAQ(Mem{Base: last, Disp: slot}, products)
	MOVQ(U32(64), step)
	// What is left: records to unpack, records of x and of results in a panel.
	packed, columns, left := param("shapes"), param("w"), GP64()
	Load(Param("inverse"), left)
	inverse := rows(left, stride, n)
	Load(Param("units"), left)
	MOVQ(left, columns)
	IMULQ(param("panels"), left)
	MOVQ(left, packed)
	acc := make([]reg.VecVirtual, n)
	for t := range acc {
		acc[t] = ZMM()
	}
	emit := u.prepare()
	unpack := func(name string) {
		// Behind the last record there is none: it is unpacked once more.
		DECQ(packed)
		JGE(LabelRef(name))
		SUBQ(U32(uint32(64*u.lines)), w)
		Label(name)
		emit(w, last)
	}
	multiply := func(name string) {
		for g := range u.groups {
			sum := tile(g)
			tileZero(sum)
			for half := range 2 {
				a, b := tile(4+half), tile(6+half)
				tileLoad(b, now, step, g*groupTrits+half*tileBytes)
				tileLoad(a, x, stride, 128*g+64*half)
				tileMulSS(sum, a, b)
			}
		}
		ADDQ(U32(uint32(128*u.groups)), x)
		DECQ(columns)
		JNZ(LabelRef(name))
		Load(Param("x"), x)
		Load(Param("units"), left)
		MOVQ(left, columns)
		Label(name)
	}
	turn := func() {
		XCHGQ(now, next)
		XCHGQ(next, last)
	}
	MOVQ(U32(3), left)
	Label("first")
	turn()
	unpack("unpackFirst")
	DECQ(left)
	JNZ(LabelRef("first"))
	multiply("firstColumns")

	Label("panel")
	for t := range acc {
		zero(acc[t])
	}
	Load(Param("units"), left)
	MOVQ(left, param("scratch"))
	Label("record")
	turn()
	for g := range u.groups {
		tileStore(tile(g), products, step, 1024*g)
	}
	scales := make([]reg.VecVirtual, u.groups)
	for g := range scales {
		scales[g] = ZMM()
		VMOVUPS(Mem{Base: last, Disp: u.groups*groupTrits + 64*g}, scales[g])
		VMOVUPS(scales[g], Mem{Base: products, Disp: 1024*u.groups + 64*g})
	}
	multiply("columns")
	unpack("unpack")
	for g := range u.groups {
		d := ZMM()
		VMOVUPS(Mem{Base: products, Disp: 1024*u.groups + 64*g}, d)
		for t := range acc {
			v := ZMM()
			VCVTDQ2PS(Mem{Base: products, Disp: 1024*g + 64*t}, v)
			VMULPS(d, v, v)
			VMULPS_BCST(inverse.at(t, 4*g), v, v)
			VADDPS(v, acc[t], acc[t])
		}
	}
	inverse.advance(4 * u.groups)
	DECQ(param("scratch"))
	JNZ(LabelRef("record"))

	// The last panel may have fewer rows.
	y, rest, bits := GP64(), GP64(), GP32()
	MOVL(U32(0xFFFF), bits)
	Load(Param("outs"), rest)
	CMPQ(rest, U8(16))
	JGE(LabelRef("whole"))
	BZHIL(rest.As32(), bits, bits)
	Label("whole")
	k := K()
	KMOVW(bits, k)
	SUBQ(U8(16), param("outs"))
	Load(Param("y"), y)
	Load(Param("rows"), rest)
	for t := range acc {
		VMOVUPS(acc[t], k, Mem{Base: y})
		if t < n-1 {
			ADDQ(param("yStride"), y)
			DECQ(rest)
			JZ(LabelRef("stored"))
		}
	}
	Label("stored")
	ADDQ(U8(64), param("y"))
	Load(Param("units"), rest)
	IMUL3Q(U8(uint8(4*u.groups)), rest, rest)
	for _, b := range inverse.bases {
		SUBQ(rest, b)
	}
	DECQ(param("panels"))
	JNZ(LabelRef("panel"))
	tileRelease()
	VZEROUPPER()
	RET()
}
