package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// signMask returns the vector with the sign bit in the lanes that have a bit of
// stride in their number.
func signMask(stride int) Mem {
	m := GLOBL(fmt.Sprintf("hadamardSigns%d", stride), RODATA|NOPTR)
	for i := range 16 {
		v := uint32(0)
		if i&stride != 0 {
			v = 1 << 31
		}
		DATA(4*i, U32(v))
	}
	return m
}

var signMasks = map[int]Mem{}

func hadamardKernels(a isa) {
	a.function("hadamard", "func(x []float32, block int)", "is hadamardGeneric for blocks of at least 16 elements.")
	x, n := slice("x"), length("x")
	end := GP64()
	LEAQ(Mem{Base: x, Index: n, Scale: 4}, end)
	masks := map[int]VecVirtual{}
	for stride := 1; stride < a.lanes; stride *= 2 {
		if signMasks[stride].Base == nil {
			signMasks[stride] = signMask(stride)
		}
		masks[stride] = a.vec()
		VMOVUPS(signMasks[stride], masks[stride])
	}

	// Within a vector: every lane is added to its partner, or subtracted from it.
	at := GP64()
	MOVQ(x, at)
	Label("vector")
	v, t := a.vec(), a.vec()
	VMOVUPS(Mem{Base: at}, v)
	for stride := 1; stride < a.lanes; stride *= 2 {
		switch {
		case stride == 1:
			VPERMILPS(U8(0xB1), v, t)
		case stride == 2:
			VPERMILPS(U8(0x4E), v, t)
		case stride == 4 && a.wide():
			VSHUFF32X4(U8(0xB1), v, v, t)
		case stride == 4:
			VPERM2F128(U8(0x01), v, v, t)
		case stride == 8:
			VSHUFF32X4(U8(0x4E), v, v, t)
		}
		if a.wide() {
			VPXORD(masks[stride], v, v)
		} else {
			VXORPS(masks[stride], v, v)
		}
		VADDPS(v, t, v)
	}
	VMOVUPS(v, Mem{Base: at})
	ADDQ(U8(a.bytes()), at)
	CMPQ(at, end)
	JLT(LabelRef("vector"))

	// Between vectors that are stride bytes apart.
	stride, last := GP64(), Load(Param("block"), GP64())
	MOVQ(U32(a.bytes()), stride)
	SHLQ(U8(2), last)
	Label("stage")
	CMPQ(stride, last)
	JGE(LabelRef("done"))
	MOVQ(x, at)
	Label("pair")
	left := GP64()
	MOVQ(stride, left)
	Label("run")
	lo, hi, sum := a.vec(), a.vec(), a.vec()
	VMOVUPS(Mem{Base: at}, lo)
	VMOVUPS(Mem{Base: at, Index: stride, Scale: 1}, hi)
	VADDPS(hi, lo, sum)
	VSUBPS(hi, lo, lo)
	VMOVUPS(sum, Mem{Base: at})
	VMOVUPS(lo, Mem{Base: at, Index: stride, Scale: 1})
	ADDQ(U8(a.bytes()), at)
	SUBQ(U8(a.bytes()), left)
	JNZ(LabelRef("run"))
	ADDQ(stride, at)
	CMPQ(at, end)
	JLT(LabelRef("pair"))
	SHLQ(U8(1), stride)
	JMP(LabelRef("stage"))
	Label("done")
	finish()
}
