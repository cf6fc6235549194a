package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The instructions on tiles, which neither avo nor Go's assembler knows. All addresses
// are a base and an index register, as tiles are rows that lie so far apart.

// A tile is one of the eight registers of 16 rows of 64 bytes.
type tile byte

// prefixes of VEX encodings.
const (
	prefixNone = iota
	prefix66
	prefixF3
	prefixF2
)

// vex emits an instruction of the map 0F 38: its prefix, the register in vvvv, the
// extensions of index and base, the opcode and what follows.
func vex(comment string, prefix int, v tile, index, base byte, inputs []Op, opcode byte, rest ...byte) {
	code := []byte{
		0xC4, 0x80 | (1-index>>3)<<6 | (1-base>>3)<<5 | 2,
		(15-byte(v))<<3 | byte(prefix), opcode,
	}
	Comment(comment)
	code = append(code, rest...)
	for len(code) > 0 {
		word, n := uint32(0), 4
		for n > len(code) {
			n /= 2
		}
		for i, b := range code[:n] {
			word |= uint32(b) << (8 * i)
		}
		Instruction(&ir.Instruction{
			Opcode: map[int]string{4: "LONG", 2: "WORD", 1: "BYTE"}[n],
			// Constants are printed in full, so that their width shows.
			Operands: []Op{map[int]Op{4: U32(word), 2: U16(uint16(word)), 1: U8(uint8(word))}[n]},
			Inputs:   inputs,
		})
		code, inputs = code[n:], nil
	}
}

// number returns the number of a register in encodings.
func number(r reg.GPPhysical) byte { return byte(r.PhysicalIndex()) }

// memory emits an instruction with one memory operand: base, index and a constant.
func memory(name string, prefix int, opcode byte, t tile, base, index reg.GPPhysical, disp int) {
	vex(fmt.Sprintf("%s %d(%s)(%s*1), TMM%d", name, disp, base.Asm(), index.Asm(), t), prefix, 0,
		number(index), number(base), []Op{base, index}, opcode,
		0x84|byte(t)<<3, number(index)&7<<3|number(base)&7, byte(disp), byte(disp>>8), byte(disp>>16), byte(disp>>24))
}

// tileLoad loads a tile whose rows are index bytes apart.
func tileLoad(t tile, base, index reg.GPPhysical, disp int) {
	memory("TILELOADD", prefixF2, 0x4B, t, base, index, disp)
}

// tileStore stores a tile.
func tileStore(t tile, base, index reg.GPPhysical, disp int) {
	memory("TILESTORED", prefixF3, 0x4B, t, base, index, disp)
}

// tileZero clears a tile.
func tileZero(t tile) {
	vex(fmt.Sprintf("TILEZERO TMM%d", t), prefixF2, 0, 0, 0, nil, 0x49, 0xC0|byte(t)<<3)
}

// tileMulSU adds to sum the products of the signed bytes of a with the unsigned bytes of
// b, four to each element; tileMulSS takes those of b as signed.
func tileMulSU(sum, a, b tile) {
	vex(fmt.Sprintf("TDPBSUD TMM%d, TMM%d, TMM%d", b, a, sum), prefixF3, b, 0, 0, nil, 0x5E, 0xC0|byte(sum)<<3|byte(a))
}

func tileMulSS(sum, a, b tile) {
	vex(fmt.Sprintf("TDPBSSD TMM%d, TMM%d, TMM%d", b, a, sum), prefixF2, b, 0, 0, nil, 0x5E, 0xC0|byte(sum)<<3|byte(a))
}

// tileConfigure sets the shapes of all tiles; tileRelease gives them back.
func tileConfigure(from reg.GPPhysical) {
	vex(fmt.Sprintf("LDTILECFG (%s)", from.Asm()), prefixNone, 0, 0, number(from), []Op{from}, 0x49,
		0x84, 0x20|number(from)&7, 0, 0, 0, 0)
}

func tileRelease() { vex("TILERELEASE", prefixNone, 0, 0, 0, nil, 0x49, 0xC0) }

// tilePeak multiplies tiles with tiles.
func tilePeak() {
	TEXT("tilePeakAMX", NOSPLIT, "func(shapes *byte, iters int) int64")
	Doc("tilePeakAMX runs iters rounds of independent TDPBSUD and returns the multiply-accumulates done.")
	const chains = 6
	Load(Param("shapes"), reg.RAX)
	n := Load(Param("iters"), GP64())
	total := GP64()
	IMUL3Q(U32(chains*16*16*64), n, total)
	tileConfigure(reg.RAX)
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range tile(chains) {
		tileMulSU(i, 6, 7)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	tileRelease()
	Store(total, ReturnIndex(0))
	RET()
}

// codes512 emits the unpacking of blocks into bytes, as the second operand of products
// of tiles: a vector holds four columns of sixteen rows, as the lanes of a block do.
func codes512(d decoder512) {
	name := fmt.Sprintf("codes%s%s", d.name, d.suffix)
	TEXT(name, NOSPLIT, "func(codes *byte, w *byte, blocks, ahead int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s unpacks blocks ≥ 1 blocks into a byte for each code, column by column in fours. It fetches", name),
		"as many that are ahead bytes behind these.")
	to := Load(Param("codes"), GP64())
	w := Load(Param("w"), GP64())
	blocks := Load(Param("blocks"), GP64())
	ahead := Load(Param("ahead"), GP64())
	emit := d.setup(oneSum)
	Label("block")
	PREFETCHT1(Mem{Base: w, Index: ahead, Scale: 1})
	emit(Mem{Base: w}, func(f, _ int, codes reg.VecVirtual) {
		VMOVDQU64(codes, Mem{Base: to, Disp: 64 * f})
	})
	ADDQ(U8(64), w)
	ADDQ(U32(uint32(64*d.fields)), to)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// The bytes of a tile of codes, of a row of sums of two panels, and of sixteen of these.
const (
	tileBytes   = 1024
	pairBytes   = 2 * 64
	pairOfTiles = 16 * pairBytes
)

// tileMul emits the product of rows of activations with two panels. Sums of 32 rows with
// 32 are in four tiles, so that each tile that is loaded serves two products.
func tileMul() {
	TEXT("tileMulAMX", NOSPLIT, "func(acc *int32, x *int8, stride int, codes *byte, second, steps, tokens, add int, shapes *byte)")
	Pragma("noescape")
	Doc("tileMulAMX computes, for tokens ≥ 1 rows of activations, 16 sums with the steps ≥ 1 tiles at codes and 16",
		"with those second bytes behind them, and adds them to what is at acc if add is not 0. The shapes for n",
		"rows, up to 32, are at shapes[64*n].")
	acc, x, stride, n, tokens := reg.RAX, reg.RSI, reg.R8, reg.RDX, reg.RCX
	x0, x1, w0, w1, left, add, shape := reg.RDI, reg.RBX, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13
	step, accStep := reg.R14, reg.R15
	Load(Param("acc"), acc)
	Load(Param("x"), x)
	Load(Param("stride"), stride)
	Load(Param("tokens"), tokens)
	Load(Param("add"), add)
	MOVQ(U32(64), step)
	MOVQ(U32(pairBytes), accStep)

	// wide and narrow are the products with up to 32 and up to 16 rows.
	product := func(name string, tall tile) {
		MOVQ(x, x0)
		if tall == 2 {
			MOVQ(stride, x1)
			SHLQ(U8(4), x1)
			ADDQ(x, x1)
		}
		Load(Param("codes"), w0)
		Load(Param("second"), w1)
		ADDQ(w0, w1)
		Load(Param("steps"), left)
		TESTQ(add, add)
		JZ(LabelRef(name + "Zero"))
		for i := range 2 * tall {
			tileLoad(i, acc, accStep, pairOfTiles*int(i/2)+64*int(i%2))
		}
		JMP(LabelRef(name + "Step"))
		Label(name + "Zero")
		for i := range 2 * tall {
			tileZero(i)
		}
		Label(name + "Step")
		tileLoad(6, w0, step, 0)
		tileLoad(4, x0, stride, 0)
		tileMulSU(0, 4, 6)
		tileLoad(7, w1, step, 0)
		tileMulSU(1, 4, 7)
		if tall == 2 {
			tileLoad(5, x1, stride, 0)
			tileMulSU(2, 5, 6)
			tileMulSU(3, 5, 7)
			ADDQ(U8(64), x1)
		}
		ADDQ(U8(64), x0)
		ADDQ(U32(tileBytes), w0)
		ADDQ(U32(tileBytes), w1)
		DECQ(left)
		JNZ(LabelRef(name + "Step"))
		for i := range 2 * tall {
			tileStore(i, acc, accStep, pairOfTiles*int(i/2)+64*int(i%2))
		}
	}

	Label("shape")
	MOVQ(tokens, n)
	CMPQ(n, U8(32))
	JLE(LabelRef("configure"))
	MOVQ(U32(32), n)
	Label("configure")
	MOVQ(n, shape)
	SHLQ(U8(6), shape)
	shapes, err := Param("shapes").Resolve()
	if err != nil {
		panic(err)
	}
	ADDQ(shapes.Addr, shape)
	tileConfigure(shape)
	CMPQ(n, U8(16))
	JLE(LabelRef("narrow"))
	Label("wide")
	product("wide", 2)
	MOVQ(stride, x1)
	SHLQ(U8(5), x1)
	ADDQ(x1, x)
	ADDQ(U32(2*pairOfTiles), acc)
	SUBQ(U8(32), tokens)
	JLE(LabelRef("done"))
	CMPQ(tokens, U8(32))
	JGE(LabelRef("wide"))
	JMP(LabelRef("shape"))
	Label("narrow")
	product("narrow", 1)
	Label("done")
	tileRelease()
	RET()
}

// tileFinish emits finish for two panels at a time. Instead of dividing it multiplies by
// the inverse and corrects the quotient twice by its remainder, which gives the same bits.
func tileFinish() {
	TEXT("tileFinishAVX512", NOSPLIT, "func(y *float32, yStride int, acc *int32, sums *int32, s, scale *float32, tokens, rows int)")
	Pragma("noescape")
	Doc("tileFinishAVX512 is finishI8Generic for tokens ≥ 1 rows of sums, 32 apart, and 1 ≤ rows ≤ 32, with s within 2^±60.")
	y := Load(Param("y"), GP64())
	yStride := Load(Param("yStride"), GP64())
	acc := Load(Param("acc"), GP64())
	sums := Load(Param("sums"), GP64())
	s := Load(Param("s"), GP64())
	scale := Load(Param("scale"), GP64())
	tokens := Load(Param("tokens"), GP64())
	rows := Load(Param("rows"), GP64())
	SHLQ(U8(2), yStride)
	ones, bits := GP64(), GP64()
	MOVQ(I64(-1), ones)
	BZHIQ(rows, ones, bits)
	k := []reg.OpmaskVirtual{K(), K()}
	KMOVW(bits.As32(), k[0])
	SHRQ(U8(16), bits)
	KMOVW(bits.As32(), k[1])
	scales, one := []reg.VecVirtual{ZMM(), ZMM()}, XMM()
	for i := range scales {
		VMOVUPS_Z(Mem{Base: scale, Disp: 64 * i}, k[i], scales[i])
	}
	VMOVSS(table("ternaryOne", 4, func(int) Constant { return F32(1) }, 4), one)
	Label("token")
	inverse, sum, div, inverses := XMM(), ZMM(), ZMM(), ZMM()
	VDIVSS(Mem{Base: s}, one, inverse)
	VBROADCASTSS(inverse, inverses)
	VBROADCASTSS(Mem{Base: s}, div)
	VPBROADCASTD(Mem{Base: sums}, sum)
	for i := range scales {
		v, q, rest := ZMM(), ZMM(), ZMM()
		VMOVDQU32(Mem{Base: acc, Disp: 64 * i}, v)
		VPSUBD(sum, v, v)
		VCVTDQ2PS(v, v)
		VMULPS(inverses, v, q)
		for range 2 {
			VMOVAPS(v, rest)
			VFNMADD231PS(div, q, rest)
			VFMADD231PS(inverses, rest, q)
		}
		VMULPS(scales[i], q, q)
		VMOVUPS(q, k[i], Mem{Base: y, Disp: 64 * i})
	}
	ADDQ(U8(4), s)
	ADDQ(U8(4), sums)
	ADDQ(U32(pairBytes), acc)
	ADDQ(yStride, y)
	DECQ(tokens)
	JNZ(LabelRef("token"))
	VZEROUPPER()
	RET()
}
