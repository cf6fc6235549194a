package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const finishSignature = "func(y *float32, yStride int, acc *int32, accStride int, sums *int32, sumStep int, s, scale *float32, tokens, rows, add int)"

// finishLoop emits the loop over rows of activations; body handles one.
func finishLoop(body func(y, acc, scale, rows, add reg.Register, sum, s Mem)) {
	y := Load(Param("y"), GP64())
	acc := Load(Param("acc"), GP64())
	sums := Load(Param("sums"), GP64())
	s := Load(Param("s"), GP64())
	scale := Load(Param("scale"), GP64())
	tokens := Load(Param("tokens"), GP64())
	rows := Load(Param("rows"), GP64())
	Label("token")
	yRow, accRow, scaleRow, left, add := GP64(), GP64(), GP64(), GP64(), GP64()
	MOVQ(y, yRow)
	MOVQ(acc, accRow)
	MOVQ(scale, scaleRow)
	MOVQ(rows, left)
	Load(Param("add"), add)
	body(yRow, accRow, scaleRow, left, add, Mem{Base: sums}, Mem{Base: s})
	for _, step := range []struct {
		place reg.Register
		by    string
	}{{y, "yStride"}, {acc, "accStride"}, {sums, "sumStep"}} {
		by := Load(Param(step.by), GP64())
		LEAQ(Mem{Base: step.place, Index: by, Scale: 4}, step.place)
	}
	ADDQ(U8(4), s)
	DECQ(tokens)
	JNZ(LabelRef("token"))
	VZEROUPPER()
	RET()
}

func finish512() {
	TEXT("finishI8AVX512", NOSPLIT, finishSignature)
	Pragma("noescape")
	Doc("finishI8AVX512 is finishI8Generic for tokens, rows ≥ 1.")
	finishLoop(func(y, acc, scale, rows, add reg.Register, sum, s Mem) {
		sums, div := ZMM(), ZMM()
		VPBROADCASTD(sum, sums)
		VBROADCASTSS(s, div)
		v := ZMM()
		k := K()
		KXNORQ(k, k, k)
		Label("rows")
		CMPQ(rows, U8(16))
		JGE(LabelRef("whole"))
		ones := GP64()
		MOVQ(I64(-1), ones)
		BZHIQ(rows, ones, ones)
		KMOVQ(ones, k)
		Label("whole")
		VMOVDQU32_Z(Mem{Base: acc}, k, v)
		VPSUBD(sums, v, v)
		VCVTDQ2PS(v, v)
		VDIVPS(div, v, v)
		VMULPS_Z(Mem{Base: scale}, v, k, v)
		TESTQ(add, add)
		JZ(LabelRef("store"))
		VADDPS_Z(Mem{Base: y}, v, k, v)
		Label("store")
		VMOVUPS(v, k, Mem{Base: y})
		ADDQ(U8(64), acc)
		ADDQ(U8(64), scale)
		ADDQ(U8(64), y)
		SUBQ(U8(16), rows)
		JG(LabelRef("rows"))
	})
}

func finish256(of vectors) {
	TEXT("finishI8"+of.suffix, NOSPLIT, finishSignature)
	Pragma("noescape")
	Doc(fmt.Sprintf("finishI8%s is finishI8Generic for tokens ≥ 1 and rows a positive multiple of %d.", of.suffix, of.bytes/4))
	finishLoop(func(y, acc, scale, rows, add reg.Register, sum, s Mem) {
		sums, div := of.new(), of.new()
		VPBROADCASTD(sum, sums)
		VBROADCASTSS(s, div)
		v := of.new()
		Label("rows")
		VMOVDQU(Mem{Base: acc}, v)
		VPSUBD(sums, v, v)
		VCVTDQ2PS(v, v)
		VDIVPS(div, v, v)
		VMULPS(Mem{Base: scale}, v, v)
		TESTQ(add, add)
		JZ(LabelRef("store"))
		VADDPS(Mem{Base: y}, v, v)
		Label("store")
		VMOVUPS(v, Mem{Base: y})
		ADDQ(U8(of.bytes), acc)
		ADDQ(U8(of.bytes), scale)
		ADDQ(U8(of.bytes), y)
		SUBQ(U8(of.bytes/4), rows)
		JG(LabelRef("rows"))
	})
}
