package main

import (
	"fmt"
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const absBits = 0x7FFFFFFF

// tailMask sets k to the low n bits, n < 64.
func tailMask(n reg.Register) reg.OpmaskVirtual {
	ones, k := GP64(), K()
	MOVQ(I64(-1), ones)
	BZHIQ(n, ones, ones)
	KMOVQ(ones, k)
	return k
}

func absMaxBits512() {
	TEXT("absMaxBitsAVX512", NOSPLIT, "func(a *float32, n int) uint32")
	Pragma("noescape")
	Doc("absMaxBitsAVX512 returns the largest bit pattern of the |a[i]|.")
	a := Load(Param("a"), GP64())
	n := Load(Param("n"), GP64())
	var m [4]reg.VecVirtual
	for i := range m {
		m[i] = ZMM()
		zero(m[i])
	}
	mask := ZMM()
	broadcast(mask, absBits)
	Label("four")
	CMPQ(n, U8(64))
	JLT(LabelRef("one"))
	for i := range m {
		v := ZMM()
		VPANDD(Mem{Base: a, Disp: 64 * i}, mask, v)
		VPMAXUD(v, m[i], m[i])
	}
	ADDQ(I32(256), a)
	SUBQ(U8(64), n)
	JMP(LabelRef("four"))
	Label("one")
	CMPQ(n, U8(16))
	JLT(LabelRef("tail"))
	v := ZMM()
	VPANDD(Mem{Base: a}, mask, v)
	VPMAXUD(v, m[0], m[0])
	ADDQ(U8(64), a)
	SUBQ(U8(16), n)
	JMP(LabelRef("one"))
	Label("tail")
	k := tailMask(n)
	VMOVDQU32_Z(Mem{Base: a}, k, v)
	VPANDD(v, mask, v)
	VPMAXUD(v, m[1], m[1])
	VPMAXUD(m[1], m[0], m[0])
	VPMAXUD(m[3], m[2], m[2])
	VPMAXUD(m[2], m[0], m[0])
	half := YMM()
	VEXTRACTI64X4(U8(1), m[0], half)
	VPMAXUD(m[0].AsY(), half, half)
	storeMax(half)
}

func absMaxBits256(of vectors) {
	TEXT("absMaxBits"+of.suffix, NOSPLIT, "func(a *float32, n int) uint32")
	Pragma("noescape")
	Doc(fmt.Sprintf("absMaxBits%s returns the largest bit pattern of the first n/%d·%[2]d of the |a[i]|.", of.suffix, of.bytes))
	a := Load(Param("a"), GP64())
	n := Load(Param("n"), GP64())
	var m [4]reg.VecVirtual
	for i := range m {
		m[i] = of.new()
		VPXOR(m[i], m[i], m[i])
	}
	mask := of.new()
	VMOVDQU(bytes256("ternaryAbs", absBits), mask)
	SHRQ(U8(bits.TrailingZeros(uint(of.bytes))), n)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range m {
		v := of.new()
		VPAND(Mem{Base: a, Disp: of.bytes * i}, mask, v)
		VPMAXUD(v, m[i], m[i])
	}
	ADDQ(U8(4*of.bytes), a)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	VPMAXUD(m[1], m[0], m[0])
	VPMAXUD(m[3], m[2], m[2])
	VPMAXUD(m[2], m[0], m[0])
	storeMax(m[0])
}

// storeMax returns the largest of eight words, or four.
func storeMax(y reg.VecVirtual) {
	x, shuffled, r := XMM(), XMM(), GP32()
	if y.Size() == 16 {
		x = y
	} else {
		VEXTRACTI128(U8(1), y, x)
		VPMAXUD(y.AsX(), x, x)
	}
	VPSHUFD(U8(0b01001110), x, shuffled)
	VPMAXUD(shuffled, x, x)
	VPSHUFD(U8(0b10110001), x, shuffled)
	VPMAXUD(shuffled, x, x)
	VMOVD(x, r)
	VZEROUPPER()
	Store(r, ReturnIndex(0))
	RET()
}

// storeSum returns the sum of eight words, or four.
func storeSum(y reg.VecVirtual) {
	x, shuffled, r := XMM(), XMM(), GP32()
	if y.Size() == 16 {
		x = y
	} else {
		VEXTRACTI128(U8(1), y, x)
		VPADDD(y.AsX(), x, x)
	}
	VPSHUFD(U8(0b01001110), x, shuffled)
	VPADDD(shuffled, x, x)
	VPSHUFD(U8(0b10110001), x, shuffled)
	VPADDD(shuffled, x, x)
	VMOVD(x, r)
	VZEROUPPER()
	Store(r, ReturnIndex(0))
	RET()
}

// The conversions round to nearest even, the mode that Go programs run in.

func convertInt8512() {
	TEXT("convertInt8AVX512", NOSPLIT, "func(q *int8, a *float32, n int, s float32) int32")
	Pragma("noescape")
	Doc("convertInt8AVX512 stores n rounded products a·s as int8 and returns their sum.")
	q := Load(Param("q"), GP64())
	a := Load(Param("a"), GP64())
	n := Load(Param("n"), GP64())
	s, sum0, sum1 := ZMM(), ZMM(), ZMM()
	at, err := Param("s").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(at.Addr, s)
	zero(sum0)
	zero(sum1)
	v0, v1 := ZMM(), ZMM()
	Label("two")
	CMPQ(n, U8(32))
	JLT(LabelRef("one"))
	VMULPS(Mem{Base: a}, s, v0)
	VMULPS(Mem{Base: a, Disp: 64}, s, v1)
	VCVTPS2DQ(v0, v0)
	VCVTPS2DQ(v1, v1)
	VPMOVSDB(v0, Mem{Base: q})
	VPMOVSDB(v1, Mem{Base: q, Disp: 16})
	VPADDD(v0, sum0, sum0)
	VPADDD(v1, sum1, sum1)
	ADDQ(U8(128), a)
	ADDQ(U8(32), q)
	SUBQ(U8(32), n)
	JMP(LabelRef("two"))
	Label("one")
	// Up to two vectors of up to 16 values, the rest masked off.
	for range 2 {
		count := GP64()
		sixteen := GP64()
		MOVQ(U32(16), sixteen)
		MOVQ(n, count)
		CMPQ(count, sixteen)
		CMOVQGT(sixteen, count)
		k := tailMask(count)
		VMOVUPS_Z(Mem{Base: a}, k, v0)
		VMULPS(v0, s, v0)
		VCVTPS2DQ(v0, v0)
		VPMOVSDB(v0, k, Mem{Base: q})
		VPADDD(v0, sum0, sum0)
		ADDQ(U8(64), a)
		ADDQ(U8(16), q)
		SUBQ(count, n)
	}
	VPADDD(sum1, sum0, sum0)
	half := YMM()
	VEXTRACTI64X4(U8(1), sum0, half)
	VPADDD(sum0.AsY(), half, half)
	storeSum(half)
}

func convertInt8256(of vectors) {
	TEXT("convertInt8"+of.suffix, NOSPLIT, "func(q *int8, a *float32, n int, s float32) int32")
	Pragma("noescape")
	Doc(fmt.Sprintf("convertInt8%s stores the first n/%d·%[2]d rounded products a·s as int8 and returns their sum.", of.suffix, of.bytes))
	q := Load(Param("q"), GP64())
	a := Load(Param("a"), GP64())
	n := Load(Param("n"), GP64())
	s, sum := of.new(), of.new()
	at, err := Param("s").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(at.Addr, s)
	VPXOR(sum, sum, sum)
	order := of.new()
	if of.bytes == 32 {
		VMOVDQU(table("ternaryPackOrder", 32, func(i int) Constant { return U32([]uint32{0, 4, 1, 5, 2, 6, 3, 7}[i]) }, 4), order)
	}
	SHRQ(U8(bits.TrailingZeros(uint(of.bytes))), n)
	JZ(LabelRef("done"))
	Label("loop")
	var v [4]reg.VecVirtual
	for i := range v {
		v[i] = of.new()
		VMULPS(Mem{Base: a, Disp: of.bytes * i}, s, v[i])
		VCVTPS2DQ(v[i], v[i])
		VPADDD(v[i], sum, sum)
	}
	// The packs work within 128-bit halves; order sorts what they leave.
	VPACKSSDW(v[1], v[0], v[0])
	VPACKSSDW(v[3], v[2], v[2])
	VPACKSSWB(v[2], v[0], v[0])
	if of.bytes == 32 {
		VPERMD(v[0], order, v[0])
	}
	VMOVDQU(v[0], Mem{Base: q})
	ADDQ(U8(4*of.bytes), a)
	ADDQ(U8(of.bytes), q)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	storeSum(sum)
}
