package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"trit/internal/kernel/gen/legacy"
)

// rowAddresses addresses rows of activations that lie a stride apart.
type rowAddresses struct {
	bases  []reg.GPVirtual // of rows 0, 4, 8, …
	s1, s3 reg.Register    // one stride, three strides
}

// rows prepares the addresses of n rows from x on, s bytes apart.
func rows(x, s reg.Register, n int) rowAddresses {
	r := rowAddresses{bases: []reg.GPVirtual{GP64()}, s1: s}
	MOVQ(x, r.bases[0])
	if n > 3 {
		s3 := GP64()
		LEAQ(Mem{Base: s, Index: s, Scale: 2}, s3)
		r.s3 = s3
	}
	for 4*len(r.bases) < n {
		next := GP64()
		LEAQ(Mem{Base: r.bases[len(r.bases)-1], Index: s, Scale: 4}, next)
		r.bases = append(r.bases, next)
	}
	return r
}

// at returns the place disp bytes into row t.
func (r rowAddresses) at(t, disp int) Mem {
	m := Mem{Base: r.bases[t/4], Disp: disp}
	switch t % 4 {
	case 1:
		m.Index, m.Scale = r.s1, 1
	case 2:
		m.Index, m.Scale = r.s1, 2
	case 3:
		m.Index, m.Scale = r.s3, 1
	}
	return m
}

// advance moves all rows on by n bytes.
func (r rowAddresses) advance(n int) {
	for _, b := range r.bases {
		ADDQ(U8(n), b)
	}
}

// vectors are the registers of one level.
type vectors struct {
	suffix string
	bytes  int
	new    func() reg.VecVirtual
}

var (
	xmm = vectors{legacy.Suffix, 16, XMM}
	ymm = vectors{"AVX2", 32, YMM}
)

// constants defines each table once per file.
var constants = map[string]Mem{}

func table(name string, size int, element func(i int) Constant, width int) Mem {
	m, ok := constants[name]
	if !ok {
		m = GLOBL(name, RODATA|NOPTR)
		for i := 0; i < size; i += width {
			DATA(i, element(i/width))
		}
		constants[name] = m
	}
	return m
}

// digitTable maps Σ 3^f·c_f to Σ 4^f·c_f for four digits.
func digitTable() Mem {
	return table("ternaryDigits", 128, func(i int) Constant {
		code, rest := 0, i
		for f := range 4 {
			code |= rest % 3 << (2 * f)
			rest /= 3
		}
		return U8(code)
	}, 1)
}

// tritTable maps indices whose low two bits are a code to the trit as float32; code
// 3, of layout G2, is +2.
func tritTable() Mem {
	return table("ternaryTrits", 64, func(i int) Constant {
		return F32([]float32{-1, 0, 1, 2}[i%4])
	}, 4)
}

// bytes256 returns 32 bytes that repeat the bytes of v.
func bytes256(name string, v uint32) Mem {
	return table(name, 32, func(int) Constant { return U32(v) }, 4)
}

// broadcast fills a 512-bit register with v.
func broadcast(z reg.VecVirtual, v uint32) {
	r := GP32()
	MOVL(U32(v), r)
	VPBROADCASTD(r, z)
}
