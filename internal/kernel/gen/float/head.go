package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"trit/internal/kernel/gen/legacy"
)

func headKernels(a isa) {
	for _, e := range []element{{"F32", 4}, {"F16", 2}, {"BF16", 2}} {
		for _, rows := range []int{1, a.headRows()} {
			headFloat(a, e, rows)
		}
		if e.bytes == 2 {
			decodeFloat(a, e)
		}
	}
	blocks := []block{{"Q8_0", 32, 34, 0, q8_0}, {"Q6_K", 256, 210, 192, q6_K}, {"Q4_0", 32, 18, 0, q4_0}}
	if a.narrow() {
		// Of the others the twins widen blocks.
		headBlock(a, blocks[0])
		decodeBlock(a, blocks[0])
		tile(a, 1, 1)
		tile(a, 1, 2)
		tile(a, 2, 1)
		return
	}
	for _, b := range blocks {
		headBlock(a, b)
		decodeBlock(a, b)
	}
	for _, f := range []runs{{"Q4_K", false}, {"Q5_K", true}} {
		decodeRuns(a, f)
	}
	rows, tokens := []int{1, 2}, []int{1, 2}
	if a.wide() {
		rows, tokens = []int{1, 4}, []int{1, 4}
	}
	for _, r := range rows {
		for _, t := range tokens {
			tile(a, r, t)
		}
	}
}

// headRows is how many rows of a head are multiplied at a time: there are sums of sixteen
// lanes for each.
func (a isa) headRows() int {
	if a.narrow() {
		return 2
	}
	return 4
}

// headFloat multiplies rows of F32, F16 or BF16 with one vector.
func headFloat(a isa, e element, n int) {
	a.function(fmt.Sprintf("head%sx%d", e.name, n),
		"func(y *float32, rows *byte, rowBytes int, x *float32, cols int)",
		fmt.Sprintf("multiplies %d rows of %s with x.", n, e.name))
	x, cols := Load(Param("x"), GP64()), Load(Param("cols"), GP64())
	row := newByteRows(Load(Param("rows"), GP64()), Load(Param("rowBytes"), GP64()), n)
	ahead := row.ahead(n)
	acc := make([][]VecVirtual, n)
	for r := range acc {
		acc[r] = a.stripes()
	}
	step := func(load func(r, part int, v VecVirtual), loadX func(part int, v VecVirtual)) {
		for part := range acc[0] {
			xv := a.vec()
			loadX(part, xv)
			for r := range acc {
				v := a.vec()
				load(r, part, v)
				VMULPS(xv, v, v)
				VADDPS(v, acc[r][part], acc[r][part])
			}
		}
	}
	SUBQ(U8(16), cols)
	JLT(LabelRef("rest"))
	Label("loop")
	for r := range n {
		PREFETCHT1(ahead.at(r))
	}
	step(func(r, part int, v VecVirtual) {
		m := row.at(r)
		m.Disp += part * a.lanes * e.bytes
		e.load(m, v)
	}, func(part int, v VecVirtual) {
		VMOVUPS(Mem{Base: x, Disp: part * a.bytes()}, v)
	})
	row.advance(16 * e.bytes)
	ahead.advance(16 * e.bytes)
	ADDQ(U8(64), x)
	SUBQ(U8(16), cols)
	JGE(LabelRef("loop"))

	Label("rest")
	ADDQ(U8(16), cols)
	JZ(LabelRef("sum"))
	if a.narrow() {
		zero := a.zeroed()
		last := a.beside("copyX", Mem{Base: x}, cols, 4, zero)
		var of []Mem
		for r := range n {
			of = append(of, a.beside(fmt.Sprintf("copy%d", r), row.at(r), cols, e.bytes, zero))
		}
		step(func(r, part int, v VecVirtual) { e.load(of[r].Offset(part*a.lanes*e.bytes), v) },
			func(part int, v VecVirtual) { VMOVUPS(last.Offset(part*a.bytes()), v) })
		headSums(a, acc)
		return
	}
	var masks []tail
	for part := range acc[0] {
		masks = append(masks, a.tailMask(cols, part*a.lanes))
	}
	load := func(r, part int, v VecVirtual) {
		m := row.at(r)
		m.Disp += part * a.lanes * e.bytes
		if a.wide() {
			e.loadMasked(m, masks[part].k, v)
		} else {
			masks[part].load(m, v)
		}
	}
	if !a.wide() && e.bytes == 2 {
		// AVX2 has no masked loads of words: copy the tail beside zeros.
		const size = 32
		local := AllocLocal(size * n)
		zero := a.zeroed()
		for r := range n {
			VMOVUPS(zero, local.Offset(size*r))
		}
		to, word := GP64(), GP32()
		XORQ(to, to)
		Label("copy")
		for r := range n {
			MOVWLZX(row.at(r), word)
			MOVW(word.As16(), Mem{Base: local.Base, Index: to, Scale: 2, Disp: local.Disp + size*r})
		}
		row.advance(2)
		INCQ(to)
		CMPQ(to, cols)
		JLT(LabelRef("copy"))
		load = func(r, part int, v VecVirtual) {
			e.load(local.Offset(size*r+part*a.lanes*e.bytes), v)
		}
	}
	step(load, func(part int, v VecVirtual) {
		masks[part].load(Mem{Base: x, Disp: part * a.bytes()}, v)
	})
	headSums(a, acc)
}

// headSums stores the sums of all rows.
func headSums(a isa, acc [][]VecVirtual) {
	Label("sum")
	y := Load(Param("y"), GP64())
	for r := range acc {
		VMOVSS(a.sumStripes(acc[r]), Mem{Base: y, Disp: 4 * r})
	}
	finish()
}

// decodeFloat widens F16 or BF16; the length is a multiple of 16.
func decodeFloat(a isa, e element) {
	a.function("decode"+e.name, "func(dst []float32, src *byte)",
		"widens a multiple of sixteen elements of "+e.name+".")
	dst, n, src := slice("dst"), length("dst"), Load(Param("src"), GP64())
	SHRQ(U8(4), n)
	JZ(LabelRef("done"))
	Label("loop")
	for part := range 16 / a.lanes {
		v := a.vec()
		e.load(Mem{Base: src, Disp: part * a.lanes * e.bytes}, v)
		VMOVUPS(v, Mem{Base: dst, Disp: part * a.bytes()})
	}
	ADDQ(imm(16*e.bytes), src)
	ADDQ(U8(64), dst)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	finish()
}

// block is a quantised format.
type block struct {
	name         string
	elems, bytes int
	local        int // bytes of local memory that decode needs
	// decode emits the code that widens one block at src and hands every vector
	// of values to emit, with the index of its first element.
	decode func(a isa, local Mem, src Register, emit func(element int, v VecVirtual))
}

// allocate reserves the local memory of decode in the current function.
func (b block) allocate() Mem {
	if b.local == 0 {
		return Mem{}
	}
	return AllocLocal(b.local)
}

// headBlock multiplies one row of blocks with one vector. The arithmetic of a
// block takes longer than the additions' latency, so several rows at once would
// gain nothing.
func headBlock(a isa, b block) {
	a.function("head"+b.name, "func(row *byte, x []float32) float32",
		"multiplies a row of "+b.name+" with x.")
	row, x, n := Load(Param("row"), GP64()), slice("x"), length("x")
	acc := a.stripes()
	local := b.allocate()
	TESTQ(n, n)
	JZ(LabelRef("sum"))
	Label("loop")
	for line := 0; line < b.bytes; line += 64 {
		PREFETCHT1(Mem{Base: row, Disp: 4096 + line})
	}
	b.decode(a, local, row, func(element int, v VecVirtual) {
		sum := acc[element/a.lanes%len(acc)]
		VMULPS(Mem{Base: x, Disp: 4 * element}, v, v)
		VADDPS(v, sum, sum)
	})
	ADDQ(imm(b.bytes), row)
	ADDQ(imm(4*b.elems), x)
	SUBQ(imm(b.elems), n)
	JNZ(LabelRef("loop"))
	Label("sum")
	Store(a.sumStripes(acc), ReturnIndex(0))
	finish()
}

// decodeBlock widens whole blocks.
func decodeBlock(a isa, b block) {
	a.function("decode"+b.name, "func(dst []float32, src *byte)", "widens whole blocks of "+b.name+".")
	dst, n, src := slice("dst"), length("dst"), Load(Param("src"), GP64())
	local := b.allocate()
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	b.decode(a, local, src, func(element int, v VecVirtual) {
		VMOVUPS(v, Mem{Base: dst, Disp: 4 * element})
	})
	ADDQ(imm(b.bytes), src)
	ADDQ(imm(4*b.elems), dst)
	SUBQ(imm(b.elems), n)
	JNZ(LabelRef("loop"))
	Label("done")
	finish()
}

// scale16 returns a vector of the binary16 number at m.
func (a isa) scale16(m Mem) VecVirtual {
	d := a.vec()
	if a.narrow() {
		half := GP32()
		MOVWLSX(m, half)
		VMOVD(half, d)
		VPSHUFD(U8(0), d, d)
		legacy.WidenF16(d, repeated)
		return d
	}
	VPBROADCASTW(m, d.AsX())
	VCVTPH2PS(d.AsX(), d.AsX())
	VBROADCASTSS(d.AsX(), d)
	return d
}

func q8_0(a isa, _ Mem, src Register, emit func(int, VecVirtual)) {
	d := a.scale16(Mem{Base: src})
	for i := 0; i < 32; i += a.lanes {
		v := a.vec()
		VPMOVSXBD(Mem{Base: src, Disp: 2 + i}, v)
		VCVTDQ2PS(v, v)
		VMULPS(d, v, v)
		emit(i, v)
	}
}

// nibbleValues holds the values −8…7 that a code of Q4_0 stands for.
var nibbleValues Mem

// q4_0 multiplies the sixteen possible values of a block with its scale and, on
// AVX-512, looks the elements up in them: VPERMPS reads four bits of an index.
func q4_0(a isa, _ Mem, src Register, emit func(int, VecVirtual)) {
	d := a.scale16(Mem{Base: src})
	if a.wide() {
		if nibbleValues.Base == nil {
			nibbleValues = GLOBL("nibbleValues", RODATA|NOPTR)
			for i := range 16 {
				DATA(4*i, F32(i-8))
			}
		}
		codes, low, high := a.vec(), a.vec(), a.vec()
		VMULPS(nibbleValues, d, d)
		VPMOVZXBD(Mem{Base: src, Disp: 2}, codes)
		VPERMPS(d, codes, low)
		emit(0, low)
		VPSRLD(U8(4), codes, codes)
		VPERMPS(d, codes, high)
		emit(16, high)
		return
	}
	codes := make([]VecVirtual, 16/a.lanes)
	for high := range 2 {
		for i := range codes {
			v := a.vec()
			if high == 0 {
				codes[i] = a.vec()
				VPMOVZXBD(Mem{Base: src, Disp: 2 + i*a.lanes}, codes[i])
				a.and(repeated(15), codes[i], v)
			} else {
				VPSRLD(U8(4), codes[i], v)
			}
			VPSUBD(repeated(8), v, v)
			VCVTDQ2PS(v, v)
			VMULPS(d, v, v)
			emit(16*high+i*a.lanes, v)
		}
	}
}

// q6_K spreads the codes of a block to bytes and the group scales to float32 in
// local memory and reads them back as vectors and broadcasts.
func q6_K(a isa, local Mem, src Register, emit func(int, VecVirtual)) {
	codes, scales := local, local.Offset(128)
	d := a.scale16(Mem{Base: src, Disp: 208})
	for i := 0; i < 16; i += a.lanes {
		v := a.vec()
		VPMOVSXBD(Mem{Base: src, Disp: 192 + i}, v)
		VCVTDQ2PS(v, v)
		VMULPS(d, v, v)
		VMOVUPS(v, scales.Offset(4*i))
	}
	nibble, pair, bias := repeated(0x0f0f0f0f), repeated(0x30303030), repeated(0x20202020)
	for half := range 2 {
		var low [2]VecVirtual
		high := YMM()
		for i := range low {
			low[i] = YMM()
			VMOVUPS(Mem{Base: src, Disp: 64*half + 32*i}, low[i])
		}
		VMOVUPS(Mem{Base: src, Disp: 128 + 32*half}, high)
		for quarter := range 4 {
			// Word shifts bring neighbours' bits in; the masks remove them.
			code, top := YMM(), YMM()
			if quarter < 2 {
				a.and(nibble, low[quarter], code)
				VPSLLW(U8(4-2*quarter), high, top)
				a.and(pair, top, top)
			} else {
				VPSRLW(U8(4), low[quarter-2], code)
				a.and(nibble, code, code)
				top = high
				if quarter == 3 {
					top = YMM()
					VPSRLW(U8(2), high, top)
				}
				masked := YMM()
				a.and(pair, top, masked)
				top = masked
			}
			a.or(top, code, code)
			VPSUBB(bias, code, code)
			VMOVUPS(code, codes.Offset(32*quarter))
		}
		for i := 0; i < 128; i += a.lanes {
			v, scale := a.vec(), scales.Offset(4*(8*half+i/16))
			VPMOVSXBD(codes.Offset(i), v)
			VCVTDQ2PS(v, v)
			if a.wide() {
				VMULPS_BCST(scale, v, v)
			} else {
				factor := a.vec()
				VBROADCASTSS(scale, factor)
				VMULPS(factor, v, v)
			}
			emit(128*half+i, v)
		}
	}
}

// and is the bitwise AND in a form that all registers of the level allow.
func (a isa) and(x Op, y, dst Register) {
	if a.wide() {
		VPANDD(x, y, dst)
	} else {
		VPAND(x, y, dst)
	}
}

// or is the bitwise OR, likewise.
func (a isa) or(x Op, y, dst Register) {
	if a.wide() {
		VPORD(x, y, dst)
	} else {
		VPOR(x, y, dst)
	}
}

// tile multiplies n rows of float32 with t vectors; all sums are in registers.
func tile(a isa, n, t int) {
	a.function(fmt.Sprintf("tile%dx%d", n, t),
		"func(y *float32, yStride int, rows, x *float32, xStride, cols int)",
		fmt.Sprintf("multiplies %d rows of float32 with %d vectors.", n, t))
	cols := Load(Param("cols"), GP64())
	row := newRows(Load(Param("rows"), GP64()), cols, n)
	x := newRows(Load(Param("x"), GP64()), Load(Param("xStride"), GP64()), t)
	acc := make([][][]VecVirtual, n)
	for r := range acc {
		for range t {
			acc[r] = append(acc[r], a.stripes())
		}
	}
	step := func(load func(part int, m Mem, v VecVirtual)) {
		for part := range acc[0][0] {
			weights := make([]VecVirtual, n)
			for r := range weights {
				weights[r] = a.vec()
				load(part, row.at(r), weights[r])
			}
			for j := range t {
				v := a.vec()
				load(part, x.at(j), v)
				for r := range n {
					product := a.vec()
					VMULPS(weights[r], v, product)
					VADDPS(product, acc[r][j][part], acc[r][j][part])
				}
			}
		}
	}
	SUBQ(U8(16), cols)
	JLT(LabelRef("rest"))
	Label("loop")
	step(func(part int, m Mem, v VecVirtual) {
		m.Disp += part * a.bytes()
		VMOVUPS(m, v)
	})
	row.advance(64)
	x.advance(64)
	SUBQ(U8(16), cols)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(U8(16), cols)
	JZ(LabelRef("sum"))
	if a.narrow() {
		zero, local := a.zeroed(), map[Mem]Mem{}
		for r := range n {
			local[row.at(r)] = a.beside(fmt.Sprintf("copyRow%d", r), row.at(r), cols, 4, zero)
		}
		for j := range t {
			local[x.at(j)] = a.beside(fmt.Sprintf("copyX%d", j), x.at(j), cols, 4, zero)
		}
		step(func(part int, m Mem, v VecVirtual) { VMOVUPS(local[m].Offset(part*a.bytes()), v) })
		tileSums(a, n, t, acc)
		return
	}
	var masks []tail
	for part := range acc[0][0] {
		masks = append(masks, a.tailMask(cols, part*a.lanes))
	}
	step(func(part int, m Mem, v VecVirtual) {
		m.Disp += part * a.bytes()
		masks[part].load(m, v)
	})
	tileSums(a, n, t, acc)
}

// tileSums stores the sums of all rows and tokens.
func tileSums(a isa, n, t int, acc [][][]VecVirtual) {
	Label("sum")
	y := newRows(Load(Param("y"), GP64()), Load(Param("yStride"), GP64()), t)
	for j := range t {
		for r := range n {
			m := y.at(j)
			m.Disp += 4 * r
			VMOVSS(a.sumStripes(acc[r][j]), m)
		}
	}
	finish()
}
