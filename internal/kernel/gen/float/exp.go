package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// exp replaces every lane of x by its exponential: exp32 of the kernel package,
// operation by operation.
func (a isa) exp(x VecVirtual) {
	bound, n, shifted, r, p := a.vec(), a.vec(), a.vec(), a.vec(), a.vec()
	// VMINPS and VMAXPS return their second source for NaN, so x keeps its NaN.
	VMOVUPS(repeatedFloat(89), bound)
	VMINPS(x, bound, x)
	VMOVUPS(repeatedFloat(-104), bound)
	VMAXPS(x, bound, x)

	magic := repeatedFloat(12582912)
	VMULPS(repeatedFloat(1.44269504088896341), x, shifted)
	VADDPS(magic, shifted, shifted)
	VSUBPS(magic, shifted, n)
	VMULPS(repeatedFloat(0.693359375), n, r)
	VSUBPS(r, x, r)
	VMULPS(repeatedFloat(-2.12194440e-4), n, n)
	VSUBPS(n, r, r)

	VMULPS(repeatedFloat(1.9875691500e-4), r, p)
	VADDPS(repeatedFloat(1.3981999507e-3), p, p)
	for _, c := range []float32{8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		VMULPS(r, p, p)
		VADDPS(repeatedFloat(c), p, p)
	}
	VMULPS(r, r, n)
	VMULPS(n, p, p)
	VADDPS(r, p, p)
	VADDPS(repeatedFloat(1), p, p)

	VPSUBD(repeated(0x4b400000), shifted, shifted)
	VPSRAD(U8(1), shifted, n)
	VPSUBD(n, shifted, shifted)
	for _, k := range []VecVirtual{n, shifted} {
		VPADDD(repeated(127), k, k)
		VPSLLD(U8(23), k, k)
		VMULPS(k, p, p)
	}
	VMOVAPS(p, x)
}

// gated is a kernel dst = f(gate)·up.
func gated(name string, f func(a isa, z VecVirtual)) elementwise {
	return elementwise{
		name: name, signature: "func(dst, gate, up []float32)", doc: "is " + name + "Generic.",
		outs: []string{"dst"}, ins: []string{"gate", "up"},
		body: func(a isa, in, _ []VecVirtual) []VecVirtual {
			f(a, in[0])
			VMULPS(in[1], in[0], in[0])
			return in[:1]
		},
	}
}

// overOnePlusExp sets z to z/(1 + e^u).
func (a isa) overOnePlusExp(z, u VecVirtual) {
	a.exp(u)
	VADDPS(repeatedFloat(1), u, u)
	VDIVPS(u, z, z)
}

func expKernels(a isa) {
	for _, e := range []elementwise{
		{
			name: "exp", signature: "func(dst, src []float32)", doc: "is expGeneric.",
			outs: []string{"dst"}, ins: []string{"src"},
			body: func(a isa, in, _ []VecVirtual) []VecVirtual {
				a.exp(in[0])
				return in
			},
		},
		gated("siluMul", func(a isa, z VecVirtual) {
			u := a.vec()
			if a.wide() {
				VPXORD(repeated(1<<31), z, u)
			} else {
				VXORPS(repeated(1<<31), z, u)
			}
			a.overOnePlusExp(z, u)
		}),
		gated("relu2Mul", func(a isa, z VecVirtual) {
			// VMAXPS(z, +0) is +0 for NaN and for −0.
			VMAXPS(a.zeroed(), z, z)
			VMULPS(z, z, z)
		}),
		gated("geluTanhMul", func(a isa, z VecVirtual) {
			u := a.vec()
			VMULPS(z, z, u)
			VMULPS(z, u, u)
			VMULPS(repeatedFloat(0.044715), u, u)
			VADDPS(z, u, u)
			VMULPS(repeatedFloat(-1.5957691216057308), u, u)
			a.overOnePlusExp(z, u)
		}),
	} {
		e.generate(a)
	}
	expSum(a)
}

// expSum is the softmax without its division: maximum, exponentials, sum.
func expSum(a isa) {
	a.function("expSum", "func(dst, src []float32) (m, l float32)", "is expSumGeneric.")
	src, n := slice("src"), length("src")
	m := a.maxLoop("max", src, n)
	Store(m, ReturnIndex(0))
	largest := a.vec()
	if a.narrow() {
		VPSHUFD(U8(0), m, largest)
	} else {
		VBROADCASTSS(m, largest)
	}
	dst, acc := slice("dst"), a.stripes()
	// Without masks what is left is made a run of sixteen of its own.
	home, left := GP64(), GP64()
	if a.narrow() {
		XORQ(left, left)
	}
	SUBQ(U8(16), n)
	JLT(LabelRef("rest"))
	Label("loop")
	for j := range acc {
		v := a.vec()
		VMOVUPS(Mem{Base: src, Disp: j * a.bytes()}, v)
		VSUBPS(largest, v, v)
		a.exp(v)
		VMOVUPS(v, Mem{Base: dst, Disp: j * a.bytes()})
		VADDPS(v, acc[j], acc[j])
	}
	ADDQ(U8(64), src)
	ADDQ(U8(64), dst)
	SUBQ(U8(16), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(U8(16), n)
	if a.narrow() {
		JZ(LabelRef("back"))
		MOVQ(dst, home)
		MOVQ(n, left)
		local := a.beside("copy", Mem{Base: src}, n, 4, a.negativeInfinity())
		LEAQ(local, src)
		MOVQ(src, dst)
		XORQ(n, n)
		JMP(LabelRef("loop"))
		Label("back")
		TESTQ(left, left)
		JZ(LabelRef("sum"))
		a.copyElements("copyBack", Mem{Base: dst, Disp: -64}, Mem{Base: home}, left, 4)
		JMP(LabelRef("sum"))
	} else {
		expSumRest(a, src, dst, n, largest, acc)
	}
	Label("sum")
	Store(a.sumStripes(acc), ReturnIndex(1))
	finish()
}

// expSumRest takes n < 16 elements.
func expSumRest(a isa, src, dst, n Register, largest VecVirtual, acc []VecVirtual) {
	JZ(LabelRef("sum"))
	for j := range acc {
		v, mask := a.vec(), a.tailMask(n, j*a.lanes)
		mask.load(Mem{Base: src, Disp: j * a.bytes()}, v)
		VSUBPS(largest, v, v)
		a.exp(v)
		mask.store(v, Mem{Base: dst, Disp: j * a.bytes()})
		mask.keep(v)
		VADDPS(v, acc[j], acc[j])
	}
}
