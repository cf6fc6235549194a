package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// streamRead512 reads with nothing but loads and xors.
func streamRead512() {
	TEXT("streamReadAVX512", NOSPLIT, "func(p *byte, n int) uint64")
	Pragma("noescape")
	Doc("streamReadAVX512 returns the xor of the n·64 words of 64 bits at p.")
	p := Load(Param("p"), GP64())
	n := Load(Param("n"), GP64())
	acc := make([]reg.VecVirtual, 8)
	for i := range acc {
		acc[i] = ZMM()
		zero(acc[i])
	}
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range acc {
		VPXORQ(Mem{Base: p, Disp: 64 * i}, acc[i], acc[i])
	}
	ADDQ(U32(512), p)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	for step := 4; step > 0; step /= 2 {
		for i := range step {
			VPXORQ(acc[i+step], acc[i], acc[i])
		}
	}
	half := YMM()
	VEXTRACTI64X4(U8(1), acc[0], half)
	VPXOR(half, acc[0].AsY(), half)
	storeXor(half)
}

func streamRead256(of vectors) {
	TEXT("streamRead"+of.suffix, NOSPLIT, "func(p *byte, n int) uint64")
	Pragma("noescape")
	Doc("streamRead" + of.suffix + " returns the xor of the n·64 words of 64 bits at p.")
	p := Load(Param("p"), GP64())
	n := Load(Param("n"), GP64())
	acc := make([]reg.VecVirtual, 8)
	for i := range acc {
		acc[i] = of.new()
		VPXOR(acc[i], acc[i], acc[i])
	}
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range 512 / of.bytes {
		VPXOR(Mem{Base: p, Disp: of.bytes * i}, acc[i%8], acc[i%8])
	}
	ADDQ(U32(512), p)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	for step := 4; step > 0; step /= 2 {
		for i := range step {
			VPXOR(acc[i+step], acc[i], acc[i])
		}
	}
	storeXor(acc[0])
}

func storeXor(y reg.VecVirtual) {
	x, r0, r1 := XMM(), GP64(), GP64()
	if y.Size() == 16 {
		VMOVQ(y, r0)
		VMOVHLPS(y, y, x)
		VMOVQ(x, r1)
	} else {
		VEXTRACTI128(U8(1), y, x)
		VPXOR(x, y.AsX(), x)
		VMOVQ(x, r0)
		VPEXTRQ(U8(1), x, r1)
	}
	XORQ(r1, r0)
	VZEROUPPER()
	Store(r0, ReturnIndex(0))
	RET()
}

// int8Peak512 multiplies registers with registers.
func int8Peak512() {
	TEXT("int8PeakAVX512", NOSPLIT, "func(iters int) int64")
	Doc("int8PeakAVX512 runs iters rounds of independent VPDPBUSD and returns the multiply-accumulates done.")
	const chains = 24
	n := Load(Param("iters"), GP64())
	total := GP64()
	IMUL3Q(U32(chains*64), n, total)
	acc := make([]reg.VecVirtual, chains)
	for i := range acc {
		acc[i] = ZMM()
		zero(acc[i])
	}
	a, b := ZMM(), ZMM()
	zero(a)
	zero(b)
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range acc {
		VPDPBUSD(a, b, acc[i])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	Store(total, ReturnIndex(0))
	RET()
}

func int8Peak256(of vectors) {
	TEXT("int8Peak"+of.suffix, NOSPLIT, "func(iters int) int64")
	Doc("int8Peak" + of.suffix + " runs iters rounds of independent VPMADDUBSW and VPADDW and returns the multiply-accumulates done.")
	const chains = 8
	n := Load(Param("iters"), GP64())
	total := GP64()
	IMUL3Q(U32(uint32(chains*of.bytes)), n, total)
	acc := make([]reg.VecVirtual, chains)
	for i := range acc {
		acc[i] = of.new()
		VPXOR(acc[i], acc[i], acc[i])
	}
	a, b := of.new(), of.new()
	VPXOR(a, a, a)
	VPXOR(b, b, b)
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range acc {
		product := of.new()
		VPMADDUBSW(a, b, product)
		VPADDW(product, acc[i], acc[i])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	Store(total, ReturnIndex(0))
	RET()
}

func cpuidFunction() {
	TEXT("cpuid", NOSPLIT, "func(leaf uint32) (a, b, c, d uint32)")
	Doc("cpuid returns what the CPUID instruction tells for a leaf, subleaf 0.")
	Load(Param("leaf"), reg.EAX)
	XORL(reg.ECX, reg.ECX)
	CPUID()
	for i, r := range []reg.Register{reg.EAX, reg.EBX, reg.ECX, reg.EDX} {
		Store(r, ReturnIndex(i))
	}
	RET()
}
