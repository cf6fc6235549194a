package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// deltaKernels emits one step of the gated delta rule for one head: sixteen values
// at a time, in one vector or two, whose part of the state is read twice. Of SSE there are
// registers for four of the sixteen at a time.
func deltaKernels(a isa) {
	a.function("deltaStep", "func(o, state, q, k, v []float32, decay, beta float32)", "is deltaStepGeneric.")
	o, state, q, k, v := slice("o"), slice("state"), slice("q"), slice("k"), slice("v")
	keys, values := length("k"), length("v")
	decay, beta := a.broadcastParam("decay"), a.broadcastParam("beta")
	parts := 16 / a.lanes
	if a.narrow() {
		parts = 1
	}
	at := func(base Register, part int) Mem { return Mem{Base: base, Disp: part * a.bytes()} }
	// times multiplies x with a number in memory.
	times := func(m Mem, x, to VecVirtual) {
		if a.wide() {
			VMULPS_BCST(m, x, to)
			return
		}
		f := a.vec()
		VBROADCASTSS(m, f)
		VMULPS(f, x, to)
	}
	// loop runs body for all keys, four at a time, with state and the operands of
	// the four in s and x.
	loop := func(label string, xs []Register, body func(j int)) {
		left := GP64()
		MOVQ(keys, left)
		Label(label)
		for j := range 4 {
			body(j)
		}
		ADDQ(U32(4*64), state)
		for _, x := range xs {
			ADDQ(U8(16), x)
		}
		SUBQ(U8(4), left)
		JNZ(LabelRef(label))
		back := GP64()
		MOVQ(keys, back)
		SHLQ(U8(2), back)
		for _, x := range xs {
			SUBQ(back, x)
		}
	}
	var sums [4][]VecVirtual
	clear := func() {
		for j := range sums {
			sums[j] = nil
			for range parts {
				sums[j] = append(sums[j], a.zeroed())
			}
		}
	}
	total := func(part int) VecVirtual {
		VADDPS(sums[1][part], sums[0][part], sums[0][part])
		VADDPS(sums[3][part], sums[2][part], sums[2][part])
		VADDPS(sums[2][part], sums[0][part], sums[0][part])
		return sums[0][part]
	}

	Label("values")
	clear()
	loop("predict", []Register{k}, func(j int) {
		for p := range parts {
			s := a.vec()
			VMOVUPS(at(state, p).Offset(64*j), s)
			times(Mem{Base: k, Disp: 4 * j}, s, s)
			VADDPS(s, sums[j][p], sums[j][p])
		}
	})
	correction := make([]VecVirtual, parts)
	for p := range parts {
		predicted := total(p)
		correction[p] = a.vec()
		VMULPS(decay, predicted, predicted)
		VMOVUPS(at(v, p), correction[p])
		VSUBPS(predicted, correction[p], correction[p])
		VMULPS(beta, correction[p], correction[p])
	}
	// Back to the beginning of these values' state.
	size := GP64()
	MOVQ(keys, size)
	SHLQ(U8(6), size)
	SUBQ(size, state)
	clear()
	loop("update", []Register{k, q}, func(j int) {
		for p := range parts {
			s, t := a.vec(), a.vec()
			VMULPS(at(state, p).Offset(64*j), decay, s)
			times(Mem{Base: k, Disp: 4 * j}, correction[p], t)
			VADDPS(t, s, s)
			VMOVUPS(s, at(state, p).Offset(64*j))
			times(Mem{Base: q, Disp: 4 * j}, s, s)
			VADDPS(s, sums[j][p], sums[j][p])
		}
	})
	for p := range parts {
		VMOVUPS(total(p), at(o, p))
	}
	if a.narrow() {
		// On to the next four of the same keys, or behind them.
		ADDQ(U8(16), o)
		ADDQ(U8(16), v)
		SUBQ(U8(48), state)
		SUBQ(U8(4), values)
		TESTQ(U32(15), values)
		JZ(LabelRef("behind"))
		SUBQ(size, state)
		ADDQ(U8(64), state)
		Label("behind")
		TESTQ(values, values)
		JNZ(LabelRef("values"))
		finish()
		return
	}
	ADDQ(U8(64), o)
	ADDQ(U8(64), v)
	SUBQ(U8(16), values)
	JNZ(LabelRef("values"))
	finish()
}
