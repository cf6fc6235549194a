package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// elementwise describes a kernel that maps slices to slices element by element.
type elementwise struct {
	name, signature, doc string
	outs, ins, scalars   []string
	// body computes the outputs from one vector of each input, the broadcast
	// scalars at hand. It may overwrite its inputs.
	body func(a isa, in, scalars []VecVirtual) (out []VecVirtual)
}

// generate emits the kernel: whole vectors, then one masked vector.
func (e elementwise) generate(a isa) {
	a.function(e.name, e.signature, e.doc)
	n := length(e.ins[0])
	bases := map[string]Register{}
	for _, names := range [][]string{e.ins, e.outs} {
		for _, name := range names {
			if bases[name] == nil {
				bases[name] = slice(name)
			}
		}
	}
	var scalars []VecVirtual
	for _, name := range e.scalars {
		scalars = append(scalars, a.broadcastParam(name))
	}
	i := GP64()
	XORQ(i, i)
	at := func(name string) Mem { return Mem{Base: bases[name], Index: i, Scale: 4} }
	SUBQ(U8(a.lanes), n)
	JLT(LabelRef("rest"))

	Label("loop")
	in := make([]VecVirtual, len(e.ins))
	for j, name := range e.ins {
		in[j] = a.vec()
		VMOVUPS(at(name), in[j])
	}
	for j, v := range e.body(a, in, scalars) {
		VMOVUPS(v, at(e.outs[j]))
	}
	ADDQ(U8(a.lanes), i)
	SUBQ(U8(a.lanes), n)
	JGE(LabelRef("loop"))

	Label("rest")
	ADDQ(U8(a.lanes), n)
	JZ(LabelRef("done"))
	if a.narrow() {
		Label("single")
		for j, name := range e.ins {
			in[j] = a.vec()
			VMOVSS(at(name), in[j])
		}
		for j, v := range e.body(a, in, scalars) {
			VMOVSS(v, at(e.outs[j]))
		}
		INCQ(i)
		DECQ(n)
		JNZ(LabelRef("single"))
		Label("done")
		finish()
		return
	}
	mask := a.tailMask(n, 0)
	for j, name := range e.ins {
		in[j] = a.vec()
		mask.load(at(name), in[j])
	}
	for j, v := range e.body(a, in, scalars) {
		mask.store(v, at(e.outs[j]))
	}
	Label("done")
	finish()
}

func vectorKernels(a isa) {
	dot(a)
	maximum(a)
	sumSquares(a)
	for _, e := range []elementwise{
		{
			name: "add", signature: "func(dst, a, b []float32)", doc: "is addGeneric.",
			outs: []string{"dst"}, ins: []string{"a", "b"},
			body: func(_ isa, in, _ []VecVirtual) []VecVirtual {
				VADDPS(in[1], in[0], in[0])
				return in[:1]
			},
		}, {
			name: "mul", signature: "func(dst, a, b []float32)", doc: "is mulGeneric.",
			outs: []string{"dst"}, ins: []string{"a", "b"},
			body: func(_ isa, in, _ []VecVirtual) []VecVirtual {
				VMULPS(in[1], in[0], in[0])
				return in[:1]
			},
		}, {
			name: "scale", signature: "func(dst, x []float32, s float32)", doc: "is scaleGeneric.",
			outs: []string{"dst"}, ins: []string{"x"}, scalars: []string{"s"},
			body: func(_ isa, in, s []VecVirtual) []VecVirtual {
				VMULPS(s[0], in[0], in[0])
				return in
			},
		}, {
			name: "clamp", signature: "func(x []float32, low, high float32)", doc: "is clampGeneric.",
			outs: []string{"x"}, ins: []string{"x"}, scalars: []string{"low", "high"},
			body: func(a isa, in, s []VecVirtual) []VecVirtual {
				// Of two operands one of which is not a number both return the first here.
				v := a.vec()
				VMINPS(in[0], s[1], v)
				VMAXPS(v, s[0], in[0])
				return in
			},
		}, {
			name: "normMul", signature: "func(dst, x, w []float32, r float32)", doc: "is normMulGeneric.",
			outs: []string{"dst"}, ins: []string{"x", "w"}, scalars: []string{"r"},
			body: func(_ isa, in, r []VecVirtual) []VecVirtual {
				VMULPS(r[0], in[0], in[0])
				VMULPS(in[1], in[0], in[0])
				return in[:1]
			},
		}, {
			name: "axpy", signature: "func(dst, x []float32, s float32)", doc: "is axpyGeneric.",
			outs: []string{"dst"}, ins: []string{"x", "dst"}, scalars: []string{"s"},
			body: func(_ isa, in, s []VecVirtual) []VecVirtual {
				VMULPS(s[0], in[0], in[0])
				VADDPS(in[0], in[1], in[1])
				return in[1:]
			},
		}, {
			name: "divide", signature: "func(dst []float32, s float32)", doc: "is divideGeneric.",
			outs: []string{"dst"}, ins: []string{"dst"}, scalars: []string{"s"},
			body: func(_ isa, in, s []VecVirtual) []VecVirtual {
				VDIVPS(s[0], in[0], in[0])
				return in
			},
		}, {
			name: "ropeNeox", signature: "func(x0, x1, cos, sin []float32)", doc: "is ropeNeoxGeneric.",
			outs: []string{"x0", "x1"}, ins: []string{"cos", "sin", "x0", "x1"},
			body: func(a isa, in, _ []VecVirtual) []VecVirtual {
				cos, sin, u, v := in[0], in[1], in[2], in[3]
				us, vs := a.vec(), a.vec()
				VMULPS(sin, u, us)
				VMULPS(sin, v, vs)
				VMULPS(cos, u, u)
				VMULPS(cos, v, v)
				VSUBPS(vs, u, u)
				VADDPS(v, us, us)
				return []VecVirtual{u, us}
			},
		},
	} {
		e.generate(a)
	}
	if a.lanes == 8 {
		ropeNorm(a)
	}
}

// dot multiplies sixteen elements a step and adds them to sixteen sums.
func dot(a isa) {
	a.function("dot", "func(a, b []float32) float32", "is dotGeneric.")
	pa, pb, n := slice("a"), slice("b"), length("a")
	acc := a.stripes()
	SUBQ(U8(16), n)
	JLT(LabelRef("rest"))
	Label("loop")
	for j := range acc {
		v := a.vec()
		VMOVUPS(Mem{Base: pa, Disp: j * a.bytes()}, v)
		VMULPS(Mem{Base: pb, Disp: j * a.bytes()}, v, v)
		VADDPS(v, acc[j], acc[j])
	}
	ADDQ(U8(64), pa)
	ADDQ(U8(64), pb)
	SUBQ(U8(16), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(U8(16), n)
	JZ(LabelRef("sum"))
	var ua, ub Mem
	if a.narrow() {
		zero := a.zeroed()
		ua, ub = a.beside("copyA", Mem{Base: pa}, n, 4, zero), a.beside("copyB", Mem{Base: pb}, n, 4, zero)
	}
	for j := range acc {
		// Lanes beyond the end are zero; adding +0 leaves a sum as it is.
		var u, v VecVirtual
		if a.narrow() {
			u, v = a.vec(), a.vec()
			VMOVUPS(ua.Offset(j*a.bytes()), u)
			VMOVUPS(ub.Offset(j*a.bytes()), v)
		} else {
			mask := a.tailMask(n, j*a.lanes)
			u, v = a.vec(), a.vec()
			mask.load(Mem{Base: pa, Disp: j * a.bytes()}, u)
			mask.load(Mem{Base: pb, Disp: j * a.bytes()}, v)
		}
		VMULPS(u, v, v)
		VADDPS(v, acc[j], acc[j])
	}
	Label("sum")
	Store(a.sumStripes(acc), ReturnIndex(0))
	finish()
}

// negativeInfinity returns a vector of −Inf.
func (a isa) negativeInfinity() VecVirtual {
	v := a.vec()
	VMOVUPS(repeated(0xff800000), v)
	return v
}

// maxLoop reduces n elements from base to their maximum in the lowest lane of
// the returned register; base and n are kept. VMAXPS returns its second source
// unless the first is greater, so with the running maximum as second source NaN
// is ignored, as by the comparison v > m.
func (a isa) maxLoop(prefix string, base, n Register) Register {
	best := a.negativeInfinity()
	left, p, v := GP64(), GP64(), a.vec()
	MOVQ(n, left)
	MOVQ(base, p)
	SUBQ(U8(a.lanes), left)
	JLT(LabelRef(prefix + "Rest"))
	Label(prefix + "Loop")
	VMOVUPS(Mem{Base: p}, v)
	VMAXPS(best, v, best)
	ADDQ(U8(a.bytes()), p)
	SUBQ(U8(a.lanes), left)
	JGE(LabelRef(prefix + "Loop"))
	Label(prefix + "Rest")
	ADDQ(U8(a.lanes), left)
	JZ(LabelRef(prefix + "Fold"))
	if a.narrow() {
		Label(prefix + "Single")
		VBROADCASTSS(Mem{Base: p}, v)
		VMAXPS(best, v, best)
		ADDQ(U8(4), p)
		DECQ(left)
		JNZ(LabelRef(prefix + "Single"))
	} else {
		mask := a.tailMask(left, 0)
		mask.load(Mem{Base: p}, v)
		if a.wide() {
			VMAXPS(best, v, mask.k, best)
		} else {
			VMAXPS(best, v, v)
			VBLENDVPS(mask.v, v, best, best)
		}
	}
	Label(prefix + "Fold")
	if a.wide() {
		upper := YMM()
		VEXTRACTF64X4(U8(1), best, upper)
		VMAXPS(upper, best.AsY(), best.AsY())
	}
	x := a.foldHalves(best, func(t, x Register) { VMAXPS(t, x, x) })
	zero := XMM()
	VXORPS(zero, zero, zero)
	VADDSS(zero, x, x) // −0 becomes +0
	return x
}

func maximum(a isa) {
	a.function("max", "func(x []float32) float32", "is maxGeneric.")
	Store(a.maxLoop("max", slice("x"), length("x")), ReturnIndex(0))
	finish()
}

// sumSquares keeps eight float64 sums: one AVX-512, two AVX2 or four SSE vectors.
func sumSquares(a isa) {
	if a.narrow() {
		sumSquaresNarrow(a)
		return
	}
	a.function("sumSquares", "func(x []float32) float64", "is sumSquaresGeneric.")
	p, n := slice("x"), length("x")
	acc := make([]VecVirtual, 16/a.lanes)
	for i := range acc {
		acc[i] = a.zeroed()
	}
	step := func(eight VecVirtual) {
		for j := range acc {
			v := a.vec()
			switch {
			case a.wide():
				VCVTPS2PD(eight.AsY(), v)
			case j == 0:
				VCVTPS2PD(eight.AsX(), v)
			default:
				upper := XMM()
				VEXTRACTF128(U8(1), eight, upper)
				VCVTPS2PD(upper, v)
			}
			VMULPD(v, v, v)
			VADDPD(v, acc[j], acc[j])
		}
	}
	SUBQ(U8(8), n)
	JLT(LabelRef("rest"))
	Label("loop")
	eight := YMM()
	VMOVUPS(Mem{Base: p}, eight)
	step(eight)
	ADDQ(U8(32), p)
	SUBQ(U8(8), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(U8(8), n)
	JZ(LabelRef("sum"))
	eight = YMM()
	a.tailMask(n, 0).load(Mem{Base: p}, eight)
	step(eight)
	Label("sum")
	sum, t := acc[0].AsY(), XMM()
	if a.wide() {
		upper := YMM()
		VEXTRACTF64X4(U8(1), acc[0], upper)
		VADDPD(upper, sum, sum)
		VEXTRACTF64X2(U8(1), sum, t)
	} else {
		VADDPD(acc[1], sum, sum)
		VEXTRACTF128(U8(1), sum, t)
	}
	x := acc[0].AsX()
	VADDPD(t, x, x)
	VPERMILPD(U8(1), x, t)
	VADDSD(t, x, x)
	Store(x, ReturnIndex(0))
	finish()
}

func sumSquaresNarrow(a isa) {
	a.function("sumSquares", "func(x []float32) float64", "is sumSquaresGeneric.")
	p, n := slice("x"), length("x")
	acc := a.stripes()
	step := func(eight Mem) {
		for j := range acc {
			v := a.vec()
			VCVTPS2PD(eight.Offset(8*j), v)
			VMULPD(v, v, v)
			VADDPD(v, acc[j], acc[j])
		}
	}
	SUBQ(U8(8), n)
	JLT(LabelRef("rest"))
	Label("loop")
	step(Mem{Base: p})
	ADDQ(U8(32), p)
	SUBQ(U8(8), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(U8(8), n)
	JZ(LabelRef("sum"))
	step(a.beside("copy", Mem{Base: p}, n, 4, a.zeroed()))
	Label("sum")
	t := XMM()
	VADDPD(acc[2], acc[0], acc[0])
	VADDPD(acc[3], acc[1], acc[1])
	VADDPD(acc[1], acc[0], acc[0])
	VMOVHLPS(acc[0], acc[0], t)
	VADDSD(t, acc[0], acc[0])
	Store(acc[0], ReturnIndex(0))
	finish()
}

// ropeNorm rotates four interleaved pairs a step; the number of pairs is a
// multiple of four.
func ropeNorm(a isa) {
	a.function("ropeNorm", "func(x, cos, sin []float32)",
		"is ropeNormGeneric for a multiple of four pairs.")
	px, pc, ps, n := slice("x"), slice("cos"), slice("sin"), length("cos")
	SHRQ(U8(2), n)
	JZ(LabelRef("done"))
	Label("loop")
	x, swapped, c, s := YMM(), YMM(), YMM(), YMM()
	VMOVUPS(Mem{Base: px}, x)
	VPERMILPS(U8(0xb1), x, swapped)
	VPMOVZXDQ(Mem{Base: pc}, c)
	VMOVSLDUP(c, c)
	VPMOVZXDQ(Mem{Base: ps}, s)
	VMOVSLDUP(s, s)
	VMULPS(c, x, x)
	VMULPS(s, swapped, swapped)
	VADDSUBPS(swapped, x, x) // even lanes subtract, odd lanes add
	VMOVUPS(x, Mem{Base: px})
	ADDQ(U8(32), px)
	ADDQ(U8(16), pc)
	ADDQ(U8(16), ps)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	finish()
}
