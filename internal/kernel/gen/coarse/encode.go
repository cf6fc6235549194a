package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"trit/internal/kernel/gen/legacy"
)

// vectors are the registers of one level: sixteen floats are one AVX-512, two AVX2 or four
// SSE registers.
type vectors struct {
	suffix string
	bytes  int
	new    func() VecVirtual
}

var (
	xmm = vectors{legacy.Suffix, 16, XMM}
	ymm = vectors{"AVX2", 32, YMM}
	zmm = vectors{"AVX512", 64, ZMM}
)

func (a vectors) wide() bool { return a.bytes == 64 }

func (a vectors) name(base string) string { return base + a.suffix }

// stripes returns sixteen zeroed partial sums.
func (a vectors) stripes() []VecVirtual {
	s := make([]VecVirtual, 64/a.bytes)
	for i := range s {
		s[i] = a.new()
		if a.wide() {
			VPXORD(s[i], s[i], s[i])
		} else {
			VXORPS(s[i], s[i], s[i])
		}
	}
	return s
}

// fold combines sixteen lanes with op by halves.
func (a vectors) fold(s []VecVirtual, op func(t, v Op)) Register {
	switch a.bytes {
	case 64:
		upper := YMM()
		VEXTRACTF64X4(U8(1), s[0], upper)
		op(upper, s[0].AsY())
	case 32:
		op(s[1], s[0])
	default:
		op(s[2], s[0])
		op(s[3], s[1])
	}
	t, x := XMM(), s[0].AsX()
	if a.bytes == 16 {
		op(s[1], x)
	} else {
		VEXTRACTF128(U8(1), s[0].AsY(), t)
		op(t, x)
	}
	VMOVHLPS(x, x, t)
	op(t, x)
	VPERMILPS(U8(1), x, t)
	op(t, x)
	return x
}

func addTo(t, v Op) { VADDPS(t, v, v) }
func maxTo(t, v Op) { VMAXPS(t, v, v) }

// center makes v = w·inverse − center with its sum of squares and its largest
// magnitude.
func center(a vectors) {
	function(a.name("coarseCenter"), "func(v, w, inverse, center *float32, n int) (squares, most float32)",
		"centres a multiple of sixteen weights.")
	v, w := Load(Param("v"), GP64()), Load(Param("w"), GP64())
	inverse, center := Load(Param("inverse"), GP64()), Load(Param("center"), GP64())
	n := Load(Param("n"), GP64())
	squares, most := a.stripes(), a.stripes()
	magnitude := a.new()
	VMOVUPS(repeated(0x7fffffff), magnitude)
	at := GP64()
	XORQ(at, at)
	Label("loop")
	for i := range squares {
		place := func(base Register) Mem {
			return Mem{Base: base, Index: at, Scale: 4, Disp: i * a.bytes}
		}
		d := a.new()
		VMOVUPS(place(w), d)
		VMULPS(place(inverse), d, d)
		VSUBPS(place(center), d, d)
		VMOVUPS(d, place(v))
		square := a.new()
		VMULPS(d, d, square)
		VADDPS(square, squares[i], squares[i])
		if a.wide() {
			VPANDD(magnitude, d, d)
		} else {
			VANDPS(magnitude, d, d)
		}
		VMAXPS(d, most[i], most[i])
	}
	ADDQ(Imm(16), at)
	CMPQ(at, n)
	JLT(LabelRef("loop"))
	Store(a.fold(squares, addTo), Return("squares"))
	Store(a.fold(most, maxTo), Return("most"))
	VZEROUPPER()
	RET()
}

// encode makes codes and the sums of squares that 4, 6 and 8 bits leave.
func encode(a vectors) {
	function(a.name("coarseEncode"), "func(codes *byte, v *float32, n int, inv, step float32, sums *float32)",
		"encodes a multiple of sixteen weights.")
	codes, v, n := Load(Param("codes"), GP64()), Load(Param("v"), GP64()), Load(Param("n"), GP64())
	param := func(name string) VecVirtual {
		c, err := Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		r := a.new()
		VBROADCASTSS(c.Addr, r)
		return r
	}
	inv, step := param("inv"), param("step")
	planes := []struct {
		bits  uint32
		shift float32
	}{{0xf0, 120}, {0xfc, 126}, {0, 127.5}}
	// Of SSE there are too few registers for sums.
	var sums [][]VecVirtual
	var local Mem
	if a.bytes == 16 {
		local = AllocLocal(64 * len(planes))
		zero := a.new()
		VXORPS(zero, zero, zero)
		for i := range 4 * len(planes) {
			VMOVUPS(zero, local.Offset(16*i))
		}
	} else {
		for range planes {
			sums = append(sums, a.stripes())
		}
	}
	Label("loop")
	for i := range 64 / a.bytes {
		w, q := a.new(), a.new()
		VMOVUPS(Mem{Base: v, Disp: i * a.bytes}, w)
		VMULPS(w, inv, q)
		VADDPS(repeatedFloat(128), q, q)
		zero := a.new()
		if a.wide() {
			VPXORD(zero, zero, zero)
		} else {
			VXORPS(zero, zero, zero)
		}
		VMAXPS(zero, q, q)
		VMINPS(repeatedFloat(255), q, q)
		VCVTTPS2DQ(q, q)
		switch {
		case a.wide():
			VPMOVDB(q, Mem{Base: codes})
		case a.bytes == 16:
			b := XMM()
			VPSHUFB(firstBytes(), q, b)
			VMOVD(b, Mem{Base: codes, Disp: 4 * i})
		default:
			// The bytes of each 128-bit half, then both halves.
			b := YMM()
			VPSHUFB(firstBytes(), q, b)
			t := XMM()
			VEXTRACTI128(U8(1), b, t)
			VPUNPCKLDQ(t, b.AsX(), t)
			VMOVQ(t, Mem{Base: codes, Disp: 8 * i})
		}
		for p, plane := range planes {
			e := a.new()
			switch {
			case plane.bits == 0:
				VCVTDQ2PS(q, e)
			case a.wide():
				VPANDD(repeated(plane.bits), q, e)
				VCVTDQ2PS(e, e)
			default:
				VPAND(repeated(plane.bits), q, e)
				VCVTDQ2PS(e, e)
			}
			VSUBPS(repeatedFloat(plane.shift), e, e)
			VMULPS(e, step, e)
			VSUBPS(e, w, e)
			VMULPS(e, e, e)
			if a.bytes == 16 {
				sum := local.Offset(64*p + 16*i)
				VADDPS(sum, e, e)
				VMOVUPS(e, sum)
				continue
			}
			VADDPS(e, sums[p][i], sums[p][i])
		}
	}
	ADDQ(Imm(16), codes)
	ADDQ(Imm(64), v)
	SUBQ(Imm(16), n)
	JNZ(LabelRef("loop"))
	out := Load(Param("sums"), GP64())
	for p := range planes {
		if a.bytes == 16 {
			sums = append(sums, nil)
			for i := range 4 {
				v := a.new()
				VMOVUPS(local.Offset(64*p+16*i), v)
				sums[p] = append(sums[p], v)
			}
		}
		VMOVSS(a.fold(sums[p], addTo), Mem{Base: out, Disp: 4 * p})
	}
	VZEROUPPER()
	RET()
}

var firstBytesTable Mem

// firstBytes is a shuffle that moves the first byte of each dword of a half to
// its lowest four bytes.
func firstBytes() Mem {
	if firstBytesTable.Base == nil {
		firstBytesTable = GLOBL("coarseFirstBytes", RODATA|NOPTR)
		for i := range 8 {
			v := uint32(0x80808080)
			if i%4 == 0 {
				v = 0x0c080400
			}
			DATA(4*i, U32(v))
		}
	}
	return firstBytesTable
}
