package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"trit/internal/kernel/gen/legacy"
)

// Sizes of the kernel package, in positions.
const (
	pageTokens  = 32
	chunkTokens = 256
)

// element is a storage type of keys and values.
type element struct {
	name  string
	bytes int
}

var elements = []element{{"F32", 4}, {"F16", 2}, {"I8", 1}}

// load widens a vector of elements to float32.
func (e element) load(m Mem, v VecVirtual) {
	switch e.name {
	case "F32":
		VMOVUPS(m, v)
	case "F16":
		if v.Size() == 16 {
			VPMOVSXWD(m, v)
			legacy.WidenF16(v, repeated)
			return
		}
		VCVTPH2PS(m, v)
	case "BF16":
		VPMOVZXWD(m, v)
		VPSLLD(U8(16), v, v)
	case "I8":
		VPMOVSXBD(m, v)
		VCVTDQ2PS(v, v)
	}
}

// loadMasked is load for the lanes in an AVX-512 mask; others become zero and
// their memory is not touched.
func (e element) loadMasked(m Mem, k Register, v VecVirtual) {
	switch e.name {
	case "F32":
		VMOVUPS_Z(m, k, v)
	case "F16":
		VCVTPH2PS_Z(m, k, v)
	case "BF16":
		VPMOVZXWD_Z(m, k, v)
		VPSLLD(U8(16), v, v)
	case "I8":
		VPMOVSXBD_Z(m, k, v)
		VCVTDQ2PS(v, v)
	}
}

// loadPair widens two elements into the lowest lanes of an XMM register.
func (e element) loadPair(m Mem, v VecVirtual, narrow bool) {
	switch e.name {
	case "F32":
		VMOVSD(m, v)
	case "F16":
		if narrow {
			VMOVD(m, v)
			VPMOVSXWD(v, v)
			legacy.WidenF16(v, repeated)
			return
		}
		VMOVD(m, v)
		VCVTPH2PS(v, v)
	case "I8":
		pair := GP32()
		MOVWLZX(m, pair)
		VMOVD(pair, v)
		VPMOVSXBD(v, v)
		VCVTDQ2PS(v, v)
	}
}

func attentionKernels(a isa) {
	queries := []int{1, 2, 4}
	for _, e := range elements {
		queries := queries
		if a.narrow() && e.name == "F32" {
			queries = queries[:1]
		}
		for _, nq := range queries {
			scores(a, e, nq)
		}
		if a.wide() {
			scores(a, e, 8)
		}
		for _, nq := range queries {
			values(a, e, nq)
		}
	}
	if a.lanes >= 8 { // the twins serve processors without AVX2
		q4Kernels(a)
	}
	if a.lanes == 8 {
		storeF16(a)
	}
}

// storeF16 rounds float32 to binary16, to consecutive elements and to one lane
// of a page of transposed keys.
func storeF16(a isa) {
	const lanes = 8
	for _, s := range []struct {
		name, doc string
		stride    int // bytes from one element to the next
	}{
		{"rowF16", "rounds a multiple of eight elements to binary16.", 2},
		{"laneF16", "rounds a multiple of eight elements to binary16, 64 bytes apart.", 2 * pageTokens},
	} {
		a.function(s.name, "func(dst *uint16, src []float32)", s.doc)
		dst, src, n := Load(Param("dst"), GP64()), slice("src"), length("src")
		SHRQ(U8(3), n)
		JZ(LabelRef("done"))
		Label("loop")
		v, h := YMM(), XMM()
		VMOVUPS(Mem{Base: src}, v)
		VCVTPS2PH(U8(0), v, h) // to nearest even
		if s.stride == 2 {
			VMOVUPS(h, Mem{Base: dst})
		} else {
			for i := range lanes {
				VPEXTRW(U8(i), h, Mem{Base: dst, Disp: i * s.stride})
			}
		}
		ADDQ(U8(4*lanes), src)
		ADDQ(imm(lanes*s.stride), dst)
		DECQ(n)
		JNZ(LabelRef("loop"))
		Label("done")
		finish()
	}
}

// rows addresses up to eight rows of a matrix whose row length in bytes is in a
// register.
type rows struct {
	first, fourth Register // pointers to rows 0 and 4
	one, three    Register // one and three row lengths
}

// newRows sets up addressing of n rows of d elements of four bytes from base.
func newRows(base, d Register, n int) rows {
	bytes := GP64()
	MOVQ(d, bytes)
	SHLQ(U8(2), bytes)
	return newByteRows(base, bytes, n)
}

// newByteRows is newRows for a row length in bytes.
func newByteRows(base, length Register, n int) rows {
	r := rows{first: base, one: length}
	if n > 3 {
		r.three = GP64()
		LEAQ(Mem{Base: r.one, Index: r.one, Scale: 2}, r.three)
	}
	if n > 4 {
		r.fourth = GP64()
		LEAQ(Mem{Base: base, Index: r.one, Scale: 4}, r.fourth)
	}
	return r
}

// at addresses the current element of row j.
func (r rows) at(j int) Mem {
	base := r.first
	if j >= 4 {
		base = r.fourth
	}
	switch j % 4 {
	case 0:
		return Mem{Base: base}
	case 3:
		return Mem{Base: base, Index: r.three, Scale: 1}
	default:
		return Mem{Base: base, Index: r.one, Scale: uint8(j % 4)}
	}
}

// ahead addresses the same bytes n rows further on, with n up to 4.
func (r rows) ahead(n int) rows {
	next := r
	next.first = GP64()
	LEAQ(Mem{Base: r.first, Index: r.one, Scale: uint8(n)}, next.first)
	return next
}

// advance moves all rows by some bytes.
func (r rows) advance(n int) {
	ADDQ(imm(n), r.first)
	if r.fourth != nil {
		ADDQ(imm(n), r.fourth)
	}
}

// scores multiplies nq queries with the 32 transposed keys of a page. Two
// vectors of positions per query stay in registers while the dimensions go by;
// AVX2 makes two passes of sixteen positions. As k goes by, the memory at the same
// distance from soon and later is fetched: the pieces of a sequence in the cache are
// too short, and too far apart, for the hardware to do that.
//
// AVX-512 takes the broadcasts as memory operands of the products: as instructions of
// their own they keep the multipliers busy (scores of 4 queries took 1.45 times as
// long on Zen 4, which then is as much as fused multiply-adds would save).
func scores(a isa, e element, nq int) {
	a.function(fmt.Sprintf("scores%sx%d", e.name, nq),
		"func(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)",
		fmt.Sprintf("is scoresGeneric for %d queries of a page of %s.", nq, e.name))
	vectors := 2
	if a.narrow() {
		vectors = 8 / nq // as registers are left for
	}
	s := Load(Param("s"), GP64())
	var factor VecVirtual
	if !a.narrow() {
		factor = a.broadcastParam("scale")
	}
	for pass := range pageTokens / (vectors * a.lanes) {
		position := pass * vectors * a.lanes
		q, k, d := Load(Param("q"), GP64()), Load(Param("k"), GP64()), Load(Param("d"), GP64())
		query := newRows(q, d, nq)
		var acc [8][]VecVirtual
		for j := range nq {
			for range vectors {
				acc[j] = append(acc[j], a.zeroed())
			}
		}
		fetch := []Register{}
		if pass == 0 {
			for _, name := range []string{"soon", "later"} {
				distance := GP64()
				Load(Param(name), distance)
				SUBQ(k, distance)
				fetch = append(fetch, distance)
			}
		}
		loop := fmt.Sprintf("loop%d", pass)
		Label(loop)
		keys := Mem{Base: k, Disp: position * e.bytes}
		if a.narrow() {
			scoresNarrow(a, e, nq, query, acc, keys)
		} else {
			scoresWide(a, e, nq, query, acc, keys)
		}
		for _, distance := range fetch {
			for line := 0; line < pageTokens*e.bytes; line += 64 {
				PREFETCHT0(Mem{Base: k, Index: distance, Scale: 1, Disp: line})
			}
		}
		ADDQ(imm(pageTokens*e.bytes), k)
		query.advance(4)
		DECQ(d)
		JNZ(LabelRef(loop))
		if e.name == "I8" && len(fetch) > 0 { // the scales lie behind K
			for line := 0; line < 2*4*pageTokens; line += 64 {
				PREFETCHT0(Mem{Base: k, Index: fetch[1], Scale: 1, Disp: line})
			}
		}

		if a.narrow() {
			factor = a.broadcastParam("scale")
		}
		var scaleBase Register
		if e.name == "I8" {
			scaleBase = Load(Param("kscale"), GP64())
		}
		for j := range nq {
			for v, sum := range acc[j] {
				offset := 4 * (position + v*a.lanes)
				if scaleBase != nil {
					VMULPS(Mem{Base: scaleBase, Disp: offset}, sum, sum)
				}
				VMULPS(factor, sum, sum)
				VMOVUPS(sum, Mem{Base: s, Disp: offset + 4*chunkTokens*j})
			}
		}
	}
	finish()
}

// scoresWide multiplies two vectors of keys with all queries.
func scoresWide(a isa, e element, nq int, query rows, acc [8][]VecVirtual, keys Mem) {
	var key [2]VecVirtual
	for v := range key {
		key[v] = a.vec()
		e.load(keys.Offset(v*a.lanes*e.bytes), key[v])
	}
	for j := range nq {
		x, product := a.vec(), a.vec()
		if a.wide() {
			VMULPS_BCST(query.at(j), key[0], product)
			VMULPS_BCST(query.at(j), key[1], x)
		} else {
			VBROADCASTSS(query.at(j), x)
			VMULPS(x, key[0], product)
			VMULPS(x, key[1], x)
		}
		VADDPS(product, acc[j][0], acc[j][0])
		VADDPS(x, acc[j][1], acc[j][1])
	}
}

// scoresNarrow multiplies keys, one vector after the other, with all queries: there are few
// registers.
func scoresNarrow(a isa, e element, nq int, query rows, acc [8][]VecVirtual, keys Mem) {
	x := make([]VecVirtual, nq)
	for j := range x {
		x[j] = a.vec()
		VBROADCASTSS(query.at(j), x[j])
	}
	for v := range acc[0] {
		key := a.vec()
		e.load(keys.Offset(v*a.lanes*e.bytes), key)
		for j := range x {
			product := key
			if j < nq-1 {
				product = a.vec()
			}
			VMULPS(x[j], key, product)
			VADDPS(product, acc[j][v], acc[j][v])
		}
	}
}

// values adds n weighted rows of values to nq outputs. A block of columns stays
// in registers while the rows go by: several vectors, then single ones, then the
// last columns: masked on AVX-512, in pairs on AVX2.
func values(a isa, e element, nq int) {
	a.function(fmt.Sprintf("values%sx%d", e.name, nq),
		"func(o, e *float32, v *byte, d, n int)",
		fmt.Sprintf("is valuesGeneric for %d queries and rows of %s.", nq, e.name))
	vectors := 4
	if !a.wide() && nq == 4 {
		vectors = 2
	}
	o, v := Load(Param("o"), GP64()), Load(Param("v"), GP64())
	d := Load(Param("d"), GP64())
	out := newRows(o, d, nq)
	stride, columns := GP64(), GP64()
	MOVQ(d, stride)
	if e.bytes > 1 {
		SHLQ(U8(map[int]int{2: 1, 4: 2}[e.bytes]), stride)
	}
	MOVQ(d, columns)

	// block emits the passes over width columns at once, as often as they fit.
	block := func(name string, width, parts int, reg func() VecVirtual, load func(Mem, VecVirtual), read func(Mem, VecVirtual), write func(VecVirtual, Mem)) {
		lanes := width / parts
		acc := make([][]VecVirtual, nq)
		for j := range acc {
			for p := range parts {
				sum, m := reg(), out.at(j)
				m.Disp += 4 * lanes * p
				read(m, sum)
				acc[j] = append(acc[j], sum)
			}
		}
		row, weight, count := GP64(), Load(Param("e"), GP64()), Load(Param("n"), GP64())
		MOVQ(v, row)
		Label(name)
		value := make([]VecVirtual, parts)
		for p := range value {
			value[p] = reg()
			load(Mem{Base: row, Disp: lanes * e.bytes * p}, value[p])
		}
		for j := range acc {
			if a.wide() {
				for p, sum := range acc[j] {
					product := reg()
					VMULPS_BCST(Mem{Base: weight, Disp: 4 * chunkTokens * j}, value[p], product)
					VADDPS(product, sum, sum)
				}
				continue
			}
			x := reg()
			VBROADCASTSS(Mem{Base: weight, Disp: 4 * chunkTokens * j}, x)
			for p, sum := range acc[j] {
				product := x
				if p < parts-1 {
					product = reg()
				}
				VMULPS(value[p], x, product)
				VADDPS(product, sum, sum)
			}
		}
		ADDQ(stride, row)
		ADDQ(U8(4), weight)
		DECQ(count)
		JNZ(LabelRef(name))
		for j := range acc {
			for p, sum := range acc[j] {
				m := out.at(j)
				m.Disp += 4 * lanes * p
				write(sum, m)
			}
		}
	}
	advance := func(width int) {
		out.advance(4 * width)
		ADDQ(imm(width*e.bytes), v)
	}
	whole := func(m Mem, r VecVirtual) { VMOVUPS(m, r) }
	wholeBack := func(r VecVirtual, m Mem) { VMOVUPS(r, m) }
	// repeat runs the block while width columns are left.
	repeat := func(name string, width int, body func()) {
		SUBQ(imm(width), columns)
		JLT(LabelRef(name + "End"))
		Label(name)
		body()
		advance(width)
		SUBQ(imm(width), columns)
		JGE(LabelRef(name))
		Label(name + "End")
		ADDQ(imm(width), columns)
	}
	repeat("wide", vectors*a.lanes, func() {
		block("wideRow", vectors*a.lanes, vectors, a.vec, e.load, whole, wholeBack)
	})
	repeat("single", a.lanes, func() {
		block("singleRow", a.lanes, 1, a.vec, e.load, whole, wholeBack)
	})
	if a.wide() {
		TESTQ(columns, columns)
		JZ(LabelRef("done"))
		mask := a.tailMask(columns, 0)
		block("tailRow", a.lanes, 1, a.vec,
			func(m Mem, r VecVirtual) { e.loadMasked(m, mask.k, r) }, mask.load, mask.store)
		Label("done")
	} else {
		xmm := func() VecVirtual { return XMM() }
		repeat("pair", 2, func() {
			block("pairRow", 2, 1, xmm, func(m Mem, r VecVirtual) { e.loadPair(m, r, a.narrow()) },
				func(m Mem, r VecVirtual) { VMOVSD(m, r) },
				func(r VecVirtual, m Mem) { VMOVSD(r, m) })
		})
	}
	finish()
}
