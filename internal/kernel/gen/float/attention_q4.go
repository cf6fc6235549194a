package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The groups of pages in four bits: scales, then rows of codes.
const (
	q4Width    = 32
	q4Scale    = 2 * pageTokens
	q4Row      = q4Width / 2
	q4Bytes    = q4Scale + q4Row*pageTokens
	q4Mantissa = 1<<32 - 1<<7
)

// q4Values are the numbers that codes stand for.
var q4Values = [16]int{-127, -104, -84, -66, -50, -36, -23, -11, 0, 12, 25, 38, 53, 70, 90, 114}

// q4Tables hold q4Values as float32 and as bytes.
var q4Tables [2]Mem

func q4Kernels(a isa) {
	if q4Tables[0].Base == nil {
		q4Tables[0] = GLOBL("q4Floats", RODATA|NOPTR)
		for i, v := range q4Values {
			DATA(4*i, F32(v))
		}
		q4Tables[1] = GLOBL("q4Codebook", RODATA|NOPTR)
		for i, v := range q4Values {
			DATA(i, I8(v))
		}
	}
	for _, nq := range []int{1, 2, 4} {
		scoresQ4(a, nq)
		valuesQ4(a, nq)
	}
	if a.wide() {
		scoresQ4(a, 8)
	}
}

// q4Codes looks up what codes stand for. AVX-512 has all values in a vector of float32:
// VPERMPS reads four bits of an index. AVX2 looks up bytes and widens them.
type q4Codes struct {
	isa         isa
	table, mask VecVirtual
	raw         []VecVirtual
}

func newQ4Codes(a isa) *q4Codes {
	c := &q4Codes{isa: a}
	if a.wide() {
		c.table = a.vec()
		VMOVUPS(q4Tables[0], c.table)
		return c
	}
	c.table, c.mask = XMM(), XMM()
	VMOVDQU(q4Tables[1], c.table)
	VMOVDQU(repeated(0x0f0f0f0f), c.mask)
	return c
}

// load reads vectors of bytes at m; AVX2 reads sixteen bytes for two vectors.
func (c *q4Codes) load(m Mem, vectors int) {
	if !c.isa.wide() {
		c.raw = []VecVirtual{XMM()}
		VMOVDQU(m, c.raw[0])
		return
	}
	c.raw = nil
	for i := range vectors {
		v := c.isa.vec()
		m := m
		m.Disp += 16 * i
		VPMOVZXBD(m, v)
		c.raw = append(c.raw, v)
	}
}

// half returns the values of the low or of the high halves of what was loaded, the low
// ones first.
func (c *q4Codes) half(high bool) []VecVirtual {
	var out []VecVirtual
	if c.isa.wide() {
		for _, raw := range c.raw {
			v := c.isa.vec()
			if high {
				VPSRLD(U8(4), raw, raw)
			}
			VPERMPS(c.table, raw, v)
			out = append(out, v)
		}
		return out
	}
	codes := XMM()
	if high {
		VPSRLW(U8(4), c.raw[0], codes)
		VPAND(c.mask, codes, codes)
	} else {
		VPAND(c.mask, c.raw[0], codes)
	}
	VPSHUFB(codes, c.table, codes)
	for part := range 2 {
		v := c.isa.vec()
		if part == 1 {
			VPSRLDQ(U8(8), codes, codes)
		}
		VPMOVSXBD(codes, v)
		VCVTDQ2PS(v, v)
		out = append(out, v)
	}
	return out
}

// addProducts adds x, a number in memory, times values to sums.
func (a isa) addProducts(x Mem, values, sums []VecVirtual) {
	if a.wide() {
		for i, v := range values {
			VFMADD231PS_BCST(x, v, sums[i])
		}
		return
	}
	factor := a.vec()
	VBROADCASTSS(x, factor)
	for i, v := range values {
		VFMADD231PS(v, factor, sums[i])
	}
}

// zeros returns n vectors of zeros.
func (a isa) zeros(n int) (v []VecVirtual) {
	for range n {
		v = append(v, a.zeroed())
	}
	return v
}

// scoresQ4 is scores for keys in four bits: two dimensions at a time, whose codes share
// their bytes. The sums of a group are multiplied by its scales and added to those of the
// groups before, which are in memory.
func scoresQ4(a isa, nq int) {
	a.function(fmt.Sprintf("scoresQ4x%d", nq),
		"func(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)",
		fmt.Sprintf("is scoresQ4Generic for %d queries.", nq))
	const vectors = 2
	s := Load(Param("s"), GP64())
	factor, codes := a.broadcastParam("scale"), newQ4Codes(a)
	full := GP64()
	MOVQ(U32(q4Width/2), full)
	for pass := range pageTokens / (vectors * a.lanes) {
		position := pass * vectors * a.lanes
		q, k, pairs := Load(Param("q"), GP64()), Load(Param("k"), GP64()), Load(Param("d"), GP64())
		query := newRows(q, pairs, nq)
		SHRQ(U8(1), pairs)
		at := func(j, v int) Mem {
			return Mem{Base: s, Disp: 4 * (position + v*a.lanes + chunkTokens*j)}
		}
		zero := a.zeroed()
		for j := range nq {
			for v := range vectors {
				VMOVUPS(zero, at(j, v))
			}
		}
		var fetch []Register
		if pass == 0 {
			for _, name := range []string{"soon", "later"} {
				distance := GP64()
				Load(Param(name), distance)
				SUBQ(k, distance)
				fetch = append(fetch, distance)
			}
		}
		group, loop := fmt.Sprintf("group%d", pass), fmt.Sprintf("loop%d", pass)
		Label(group)
		var acc [8][]VecVirtual
		for j := range nq {
			acc[j] = a.zeros(vectors)
		}
		for _, distance := range fetch {
			PREFETCHT0(Mem{Base: k, Index: distance, Scale: 1})
		}
		row, count := GP64(), GP64()
		LEAQ(Mem{Base: k, Disp: q4Scale}, row)
		MOVQ(pairs, count)
		CMPQ(pairs, full)
		CMOVQGT(full, count)
		Label(loop)
		codes.load(Mem{Base: row, Disp: position}, vectors)
		for odd := range 2 {
			key := codes.half(odd == 1)
			for j := range nq {
				x := query.at(j)
				x.Disp += 4 * odd
				a.addProducts(x, key, acc[j])
			}
		}
		for _, distance := range fetch {
			PREFETCHT0(Mem{Base: row, Index: distance, Scale: 1})
		}
		ADDQ(imm(pageTokens), row)
		query.advance(8)
		DECQ(count)
		JNZ(LabelRef(loop))

		for v := range vectors {
			scales := a.vec()
			VCVTPH2PS(Mem{Base: k, Disp: 2 * (position + v*a.lanes)}, scales)
			for j := range nq {
				VMULPS(scales, acc[j][v], acc[j][v])
				VADDPS(at(j, v), acc[j][v], acc[j][v])
				VMOVUPS(acc[j][v], at(j, v))
			}
		}
		ADDQ(U32(q4Bytes), k)
		SUBQ(full, pairs)
		JGT(LabelRef(group))
		for j := range nq {
			for v := range vectors {
				sum := a.vec()
				VMULPS(at(j, v), factor, sum)
				VMOVUPS(sum, at(j, v))
			}
		}
	}
	finish()
}

// valuesQ4 is values for full groups of columns in four bits. The weights of all
// positions are multiplied by the group's scales, and cut, into local memory.
func valuesQ4(a isa, nq int) {
	a.function(fmt.Sprintf("valuesQ4x%d", nq),
		"func(o, e *float32, v *byte, stride, groups, from, n int)",
		fmt.Sprintf("is valuesQ4Generic for %d queries and full groups.", nq))
	const vectors = 2
	weights := AllocLocal(4 * pageTokens * nq)
	v, e := Load(Param("v"), GP64()), Load(Param("e"), GP64())
	stride, groups := Load(Param("stride"), GP64()), Load(Param("groups"), GP64())
	out := newRows(Load(Param("o"), GP64()), stride, nq)
	codes, cut := newQ4Codes(a), a.vec()
	VMOVUPS(repeated(q4Mantissa), cut)
	Label("group")
	for p := 0; p < pageTokens; p += a.lanes {
		scales := a.vec()
		VCVTPH2PS(Mem{Base: v, Disp: 2 * p}, scales)
		for j := range nq {
			w := a.vec()
			VMULPS(Mem{Base: e, Disp: 4 * (p + chunkTokens*j)}, scales, w)
			a.and(cut, w, w)
			VMOVUPS(w, weights.Offset(4*(p+pageTokens*j)))
		}
	}
	for pass := range q4Width / (vectors * a.lanes) {
		at := func(j, i int) Mem {
			m := out.at(j)
			m.Disp += 4 * a.lanes * (vectors*pass + i)
			return m
		}
		var acc [4][]VecVirtual
		for j := range nq {
			for i := range vectors {
				sum := a.vec()
				VMOVUPS(at(j, i), sum)
				acc[j] = append(acc[j], sum)
			}
		}
		row, weight, count := Load(Param("from"), GP64()), GP64(), Load(Param("n"), GP64())
		LEAQ(weights, weight)
		LEAQ(Mem{Base: weight, Index: row, Scale: 4}, weight)
		SHLQ(U8(4), row)
		LEAQ(Mem{Base: v, Index: row, Scale: 1, Disp: q4Scale}, row)
		loop := fmt.Sprintf("row%d", pass)
		Label(loop)
		codes.load(Mem{Base: row}, 1)
		var values []VecVirtual
		for high := range 2 {
			if a.wide() || high == pass {
				values = append(values, codes.half(high == 1)...)
			}
		}
		for j := range nq {
			a.addProducts(Mem{Base: weight, Disp: 4 * pageTokens * j}, values, acc[j])
		}
		ADDQ(U8(q4Row), row)
		ADDQ(U8(4), weight)
		DECQ(count)
		JNZ(LabelRef(loop))
		for j := range nq {
			for i, sum := range acc[j] {
				VMOVUPS(sum, at(j, i))
			}
		}
	}
	ADDQ(U32(q4Bytes), v)
	out.advance(4 * q4Width)
	DECQ(groups)
	JNZ(LabelRef("group"))
	finish()
}
