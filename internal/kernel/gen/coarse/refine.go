package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const refineSignature = "func(y *float32, rows *int32, n int, plane *byte, blocks int, x *int8, step *float32, factor, bias float32)"

// refineRows makes the loop over the listed rows around body, which returns a
// vector register with eight 32-bit parts of the sum, or four.
func refineRows(body func(row, upper, lower, blocks Register) VecVirtual) {
	y, rows := Load(Param("y"), GP64()), Load(Param("rows"), GP64())
	n, plane := Load(Param("n"), GP64()), Load(Param("plane"), GP64())
	x, step := Load(Param("x"), GP64()), Load(Param("step"), GP64())
	Label("rows")
	r := GP64()
	MOVLQSX(Mem{Base: rows}, r)
	row, blocks := GP64(), GP64()
	Load(Param("blocks"), blocks)
	MOVQ(blocks, row)
	SHLQ(U8(6), row)
	IMULQ(r, row)
	ADDQ(plane, row)
	upper, lower := GP64(), GP64()
	MOVQ(x, upper)
	MOVQ(blocks, lower)
	SHLQ(U8(8), lower)
	ADDQ(x, lower)

	v := body(row, upper, lower, blocks)
	t := XMM()
	if v.Size() > 16 {
		VEXTRACTI128(U8(1), v.AsY(), t)
		VPADDD(t, v.AsX(), v.AsX())
	}
	VPSHUFD(U8(0x4e), v.AsX(), t)
	VPADDD(t, v.AsX(), v.AsX())
	VPSHUFD(U8(0xb1), v.AsX(), t)
	VPADDD(t, v.AsX(), v.AsX())
	VCVTDQ2PS(v.AsX(), v.AsX())
	factor := XMM()
	bias, err := Param("bias").Resolve()
	if err != nil {
		panic(err)
	}
	VSUBSS(bias.Addr, v.AsX(), v.AsX())
	Load(Param("factor"), factor)
	VMULSS(Mem{Base: step, Index: r, Scale: 4}, factor, factor)
	VMULSS(factor, v.AsX(), v.AsX())
	VADDSS(Mem{Base: y, Index: r, Scale: 4}, v.AsX(), v.AsX())
	VMOVSS(v.AsX(), Mem{Base: y, Index: r, Scale: 4})
	ADDQ(Imm(4), rows)
	DECQ(n)
	JNZ(LabelRef("rows"))
	VZEROUPPER()
	RET()
}

func refine512() {
	function("coarseRefineAVX512", refineSignature, "adds a plane's share to the listed logits.")
	mask := ZMM()
	VMOVDQU32(repeated(pairs), mask)
	refineRows(func(row, upper, lower, blocks Register) VecVirtual {
		var sums [2][2]VecVirtual
		for i := range sums {
			for j := range sums[i] {
				sums[i][j] = ZMM()
				VPXORD(sums[i][j], sums[i][j], sums[i][j])
			}
		}
		Label("blocks")
		for f := range 4 {
			code := ZMM()
			if f == 0 {
				VPANDD(Mem{Base: row}, mask, code)
			} else {
				VMOVDQU32(Mem{Base: row}, code)
				VPSRLW(U8(2*f), code, code)
				VPANDD(mask, code, code)
			}
			VPDPBUSD(Mem{Base: upper, Disp: 64 * f}, code, sums[f%2][0])
			VPDPBUSD(Mem{Base: lower, Disp: 64 * f}, code, sums[f%2][1])
		}
		ADDQ(Imm(64), row)
		ADDQ(U32(256), upper)
		ADDQ(U32(256), lower)
		DECQ(blocks)
		JNZ(LabelRef("blocks"))
		sum := sums[0][0]
		VPADDD(sums[1][0], sum, sum)
		VPSLLD(U8(8), sum, sum)
		VPADDD(sums[0][1], sum, sum)
		VPADDD(sums[1][1], sum, sum)
		half := YMM()
		VEXTRACTI64X4(U8(1), sum, half)
		VPADDD(half, sum.AsY(), sum.AsY())
		return sum
	})
}

// refine512x4 makes the kernel for a multiple of four listed rows, which share the
// loads of x.
func refine512x4() {
	function("coarseRefinex4AVX512", refineSignature, "adds a plane's share to a multiple of four listed logits.")
	rows, n, upper := Load(Param("rows"), GP64()), Load(Param("n"), GP64()), Load(Param("x"), GP64())
	size, lower := GP64(), GP64()
	Load(Param("blocks"), size)
	SHLQ(U8(6), size)
	LEAQ(Mem{Base: upper, Index: size, Scale: 4}, lower)
	mask := ZMM()
	VMOVDQU32(repeated(pairs), mask)
	Label("rows")
	// The rows twelve places further on are fetched meanwhile, as far as there
	// are any: a row is too short for the hardware to see what comes next.
	ahead, none := GP64(), GP64()
	MOVQ(U32(48), ahead)
	XORQ(none, none)
	CMPQ(n, U8(12))
	CMOVQLE(none, ahead)
	plane := Load(Param("plane"), GP64())
	var row, next [4]Register
	var sums [4][2]VecVirtual
	for i := range row {
		row[i], next[i] = GP64(), GP64()
		MOVLQSX(Mem{Base: rows, Disp: 4 * i}, row[i].(GPVirtual))
		MOVLQSX(Mem{Base: rows, Index: ahead, Scale: 1, Disp: 4 * i}, next[i].(GPVirtual))
		for _, r := range []Register{row[i], next[i]} {
			IMULQ(size, r)
			ADDQ(plane, r)
		}
		for part := range sums[i] {
			v := ZMM()
			VPXORD(v, v, v)
			sums[i][part] = v
		}
	}
	at := GP64()
	XORQ(at, at)
	Label("blocks")
	var codes [4]VecVirtual
	for i := range codes {
		codes[i] = ZMM()
		VMOVDQU32(Mem{Base: row[i], Index: at, Scale: 1}, codes[i])
		PREFETCHT0(Mem{Base: next[i], Index: at, Scale: 1})
	}
	for f := range 4 {
		u, l := ZMM(), ZMM()
		VMOVDQU32(Mem{Base: upper, Index: at, Scale: 4, Disp: 64 * f}, u)
		VMOVDQU32(Mem{Base: lower, Index: at, Scale: 4, Disp: 64 * f}, l)
		for i := range codes {
			code := ZMM()
			VPANDD(mask, codes[i], code)
			if f < 3 {
				VPSRLW(U8(2), codes[i], codes[i])
			}
			VPDPBUSD(u, code, sums[i][0])
			VPDPBUSD(l, code, sums[i][1])
		}
	}
	ADDQ(Imm(64), at)
	CMPQ(at, size)
	JLT(LabelRef("blocks"))

	// Four vectors of sixteen parts become one of four sums.
	for i := range sums {
		v := sums[i][0]
		VPSLLD(U8(8), v, v)
		VPADDD(sums[i][1], v, v)
		half, quarter := YMM(), XMM()
		VEXTRACTI64X4(U8(1), v, half)
		VPADDD(half, v.AsY(), v.AsY())
		// The assembler's short form of VEXTRACTI128 reaches 16 registers only.
		VEXTRACTI32X4(U8(1), v.AsY(), quarter)
		VPADDD(quarter, v.AsX(), v.AsX())
	}
	a, b, f := XMM(), XMM(), XMM()
	VPHADDD(sums[1][0].AsX(), sums[0][0].AsX(), a)
	VPHADDD(sums[3][0].AsX(), sums[2][0].AsX(), b)
	VPHADDD(b, a, f)
	VCVTDQ2PS(f, f)
	bias, factor := XMM(), XMM()
	Load(Param("bias"), bias)
	VBROADCASTSS(bias, bias)
	VSUBPS(bias, f, f)
	Load(Param("factor"), factor)
	y, step := Load(Param("y"), GP64()), Load(Param("step"), GP64())
	for i := range row {
		r, m, part := GP64(), XMM(), XMM()
		MOVLQSX(Mem{Base: rows, Disp: 4 * i}, r)
		VMULSS(Mem{Base: step, Index: r, Scale: 4}, factor, m)
		VPERMILPS(U8(i), f, part)
		VMULSS(m, part, m)
		VADDSS(Mem{Base: y, Index: r, Scale: 4}, m, m)
		VMOVSS(m, Mem{Base: y, Index: r, Scale: 4})
	}
	ADDQ(Imm(16), rows)
	SUBQ(Imm(4), n)
	JNZ(LabelRef("rows"))
	VZEROUPPER()
	RET()
}

func refine256(a vectors) {
	function(a.name("coarseRefine"), refineSignature, "adds a plane's share to the listed logits.")
	mask, ones := a.new(), a.new()
	VMOVDQU(repeated(pairs), mask)
	VMOVDQU(repeated(0x00010001), ones)
	refineRows(func(row, upper, lower, blocks Register) VecVirtual {
		var sums [2]VecVirtual
		for part := range sums {
			sums[part] = a.new()
			VPXOR(sums[part], sums[part], sums[part])
		}
		Label("blocks")
		var words [2]VecVirtual // sixteen products of 3·128 twice fit into 16 bits
		for part := 0; part < 64; part += a.bytes {
			for f := range 4 {
				code := a.new()
				if f == 0 {
					VPAND(Mem{Base: row, Disp: part}, mask, code)
				} else {
					VMOVDQU(Mem{Base: row, Disp: part}, code)
					VPSRLW(U8(2*f), code, code)
					VPAND(mask, code, code)
				}
				for i, base := range []Register{upper, lower} {
					product := a.new()
					VPMADDUBSW(Mem{Base: base, Disp: 64*f + part}, code, product)
					if words[i] == nil {
						words[i] = product
					} else {
						VPADDW(product, words[i], words[i])
					}
				}
			}
		}
		for part := range sums {
			VPMADDWD(ones, words[part], words[part])
			VPADDD(words[part], sums[part], sums[part])
		}
		ADDQ(Imm(64), row)
		ADDQ(U32(256), upper)
		ADDQ(U32(256), lower)
		DECQ(blocks)
		JNZ(LabelRef("blocks"))
		VPSLLD(U8(8), sums[0], sums[0])
		VPADDD(sums[1], sums[0], sums[0])
		return sums[0]
	})
}
