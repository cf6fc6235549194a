package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A record of activations: 128 codes, minus their sum, their scale, and minus the
// sum of the first 64.
const (
	recordBias  = 128
	recordScale = 132
	recordBytes = 140
)

const groupedSignature = "func(acc *float32, w, x *byte, stride, units, panels int)"

// A grouping512 emits the code that multiplies one record of a grouped layout.
type grouping512 struct {
	name, suffix string
	groups       int // per record
	// vectors says how many sums each of n rows of activations has.
	vectors func(n int) int
	// prepare loads constants and returns the emitter, which leaves the record and
	// the activations behind.
	prepare func(vectors int) func(f groupedFrame)
}

// groupedFrame is what a grouping works with.
type groupedFrame struct {
	n    int
	w    reg.Register // the record
	row  rowAddresses // of the group's activations
	sums [][]reg.VecVirtual
	acc  reg.Register // of the panel
}

// dot multiplies codes with four activations of every row.
func (f groupedFrame) dot(disp, sum int, codes reg.VecVirtual) {
	for t := range f.n {
		VPDPBUSD_BCST(f.row.at(t, disp), codes, f.sums[t][sum])
	}
}

func (f groupedFrame) clear() {
	for t := range f.sums {
		for _, s := range f.sums[t] {
			zero(s)
		}
	}
}

// finish turns the first sums of a group into results and adds them to the panel's.
// disp is where the group's record of activations begins.
func (f groupedFrame) finish(disp int, scales reg.VecVirtual) {
	for t := range f.n {
		sum := f.sums[t][0]
		VPADDD_BCST(f.row.at(t, disp+recordBias), sum, sum)
		VCVTDQ2PS(sum, sum)
		VMULPS(scales, sum, sum)
		VMULPS_BCST(f.row.at(t, disp+recordScale), sum, sum)
		at := Mem{Base: f.acc, Disp: 64 * t}
		VADDPS(at, sum, sum)
		VMOVUPS(sum, at)
	}
}

// fold brings the sums of every row into its first: sum i counts 2^shift(i) times.
func (f groupedFrame) fold(shift func(i int) int) {
	for t := range f.sums {
		for i, s := range f.sums[t] {
			switch by := shift(i); {
			case by > 0:
				VPSRAD(U8(by), s, s)
			case by < 0:
				VPADDD(s, s, s)
			}
		}
		reduce(f.sums[t])
	}
}

// blocks emits a loop over count blocks; body may use the label.
func (f groupedFrame) blocks(label string, count, cols int, body func()) {
	left := GP64()
	MOVQ(U32(count), left)
	Label(label)
	prefetch(f.w, 0)
	body()
	ADDQ(U8(64), f.w)
	f.row.advance(cols)
	DECQ(left)
	JNZ(LabelRef(label))
}

// fieldSums is vectors for bytes of four fields.
func fieldSums(n int) int {
	switch {
	case n <= 2:
		return 4
	case n <= 8:
		return 2
	}
	return 1
}

// manyMasks loads the masks of fields of width bits that are left in their places.
func manyMasks(count, width int) []reg.VecVirtual {
	masks := make([]reg.VecVirtual, count)
	for i := range masks {
		masks[i] = ZMM()
		broadcast(masks[i], uint32(1<<width-1)*0x01010101<<(width*i))
	}
	return masks
}

// manyFields hands out fields of width bits: as many as there are masks stay where
// they are in their bytes.
func manyFields(raw reg.VecVirtual, masks []reg.VecVirtual, width, count int, use func(field, sum int, codes reg.VecVirtual)) {
	shifted := raw
	for i := range count {
		if i > 0 && i%len(masks) == 0 {
			shifted = ZMM()
			VPSRLD(U8(width*i), raw, shifted)
		}
		codes := ZMM()
		VPANDD(shifted, masks[i%len(masks)], codes)
		use(i, i%len(masks), codes)
	}
}

var groupG2 = grouping512{name: "G2", suffix: "AVX512", groups: 1, vectors: fieldSums, prepare: func(vectors int) func(groupedFrame) {
	masks := manyMasks(vectors, 2)
	return func(f groupedFrame) {
		f.clear()
		f.blocks("block", 8, 16, func() {
			raw := ZMM()
			VMOVDQU64(Mem{Base: f.w}, raw)
			manyFields(raw, masks, 2, 4, func(i, sum int, codes reg.VecVirtual) { f.dot(4*i, sum, codes) })
		})
		scales := ZMM()
		VMOVUPS(Mem{Base: f.w}, scales)
		ADDQ(U8(64), f.w)
		f.fold(func(i int) int { return 2 * i })
		f.finish(-128, scales)
		f.row.advance(recordBytes - 128)
	}
}}

var groupG5 = grouping512{name: "G5", suffix: "AVX512VBMI", groups: 1, vectors: fieldSums, prepare: func(vectors int) func(groupedFrame) {
	masks := manyMasks(vectors, 2)
	packed := packedT5()
	return func(f groupedFrame) {
		f.clear()
		f.blocks("block", 6, 20, func() {
			words := packed(Mem{Base: f.w})
			// The lowest two bits of 81·c are c.
			VPANDD(masks[0], words[1], words[1])
			f.dot(16, 0, words[1])
			manyFields(words[0], masks, 2, 4, func(i, sum int, codes reg.VecVirtual) { f.dot(4*i, sum, codes) })
		})
		raw := ZMM()
		VMOVDQU64(Mem{Base: f.w}, raw)
		ADDQ(U8(64), f.w)
		manyFields(raw, masks, 2, 2, func(i, sum int, codes reg.VecVirtual) { f.dot(4*i, sum, codes) })
		f.fold(func(i int) int { return 2 * i })
		f.finish(-120, nibbleScales(raw))
		f.row.advance(recordBytes - 120)
	}
}}

// nibbleScales gathers binary16 scales from the upper halves of the bytes of each
// lane.
func nibbleScales(raw reg.VecVirtual) reg.VecVirtual {
	high := ZMM()
	VPSRLD(U8(4), raw, raw)
	VPANDD_BCST(mask512("ternaryNibbles", 0x0F0F0F0F), raw, raw)
	VPSRLD(U8(4), raw, high)
	VPORD(high, raw, raw)
	// The low byte of each word is a byte of the scales.
	halves, scales := YMM(), ZMM()
	VPMOVWB(raw, halves)
	VCVTPH2PS(halves, scales)
	return scales
}

var groupG1 = grouping512{name: "G1", suffix: "AVX512", groups: 2, vectors: func(n int) int {
	switch {
	case n <= 2:
		return 8
	case n <= 4:
		return 4
	case n <= 8:
		return 2
	}
	return 1
}, prepare: func(vectors int) func(groupedFrame) {
	masks := manyMasks(vectors, 1)
	return func(f groupedFrame) {
		for g := range 2 {
			f.clear()
			f.blocks([]string{"first", "second"}[g], 4, 32, func() {
				raw := ZMM()
				VMOVDQU64(Mem{Base: f.w}, raw)
				manyFields(raw, masks, 1, 8, func(i, sum int, codes reg.VecVirtual) { f.dot(4*i, sum, codes) })
			})
			// A set bit stands for code 2.
			f.fold(func(i int) int { return i - 1 })
			// The scales of the first group are the lower halves of the lanes of the
			// block behind both groups.
			halves, scales := ZMM(), ZMM()
			at := Mem{Base: f.w, Disp: 256 * (1 - g)}
			if g == 0 {
				VMOVDQU64(at, halves)
			} else {
				VPSRLD(U8(16), at, halves)
			}
			VPMOVDW(halves, halves.AsY())
			VCVTPH2PS(halves.AsY(), scales)
			f.finish(-128, scales)
			f.row.advance(recordBytes - 128)
		}
		ADDQ(U8(64), f.w)
	}
}}

// groupedMul512 emits the product of n rows of activations with panels of a grouped
// layout: func(acc *float32, w, x *byte, stride, units, panels int).
func groupedMul512(g grouping512, n int) {
	groupedFunction(g.name, g.suffix, g.groups, n, func(f *groupedFrame) func() {
		f.sums = make([][]reg.VecVirtual, n)
		for t := range f.sums {
			f.sums[t] = make([]reg.VecVirtual, g.vectors(n))
			for i := range f.sums[t] {
				f.sums[t][i] = ZMM()
			}
		}
		emit := g.prepare(g.vectors(n))
		return func() { emit(*f) }
	}, func(acc reg.Register) {
		none := ZMM()
		zero(none)
		for t := range n {
			VMOVUPS(none, Mem{Base: acc, Disp: 64 * t})
		}
	})
}

// groupedFunction emits the loops over panels and records. prepare loads constants and
// returns the emitter for a record, clear zeroes the results of a panel.
func groupedFunction(layout, suffix string, groups, n int, prepare func(f *groupedFrame) func(), clear func(acc reg.Register)) {
	name := fmt.Sprintf("matMul%sI8x%d%s", layout, n, suffix)
	TEXT(name, NOSPLIT, groupedSignature)
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes 16 results for each of %d rows of activations, stride bytes apart, with", name, n),
		"panels ≥ 1 panels of units ≥ 1 records.")
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	s := Load(Param("stride"), GP64())
	start := GP64()
	Load(Param("x"), start)
	f := groupedFrame{n: n, w: w, row: rows(start, s, n), acc: acc}
	record := prepare(&f)
	Label("panel")
	units := GP64()
	Load(Param("units"), units)
	clear(acc)
	Label("record")
	record()
	DECQ(units)
	JNZ(LabelRef("record"))
	// Back to the first activations.
	back := GP64()
	Load(Param("units"), back)
	IMUL3Q(U32(groups*recordBytes), back, back)
	for _, b := range f.row.bases {
		SUBQ(back, b)
	}
	ADDQ(U32(64*n), acc)
	panels, err := Param("panels").Resolve()
	if err != nil {
		panic(err)
	}
	DECQ(panels.Addr)
	JNZ(LabelRef("panel"))
	VZEROUPPER()
	RET()
}

// mask512 returns a constant that instructions broadcast from memory.
func mask512(name string, v uint32) Mem {
	return table(name, 4, func(int) Constant { return U32(v) }, 4)
}
