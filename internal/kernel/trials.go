package kernel

import (
	"math"

	"trit/gguf"
	"trit/internal/hugemem"
	"trit/internal/ternary"
)

// trial is a computation with all kernels of a family, with lengths that need whole
// registers and the rest of one.
type trial struct {
	name string
	run  func(*digest)
}

var trials = []trial{
	{"float arithmetic", tryFloats},
	{"attention", tryAttention},
	{"the output head", tryHead},
	{"the coarse output head", tryCoarse},
	{"ternary products", tryTernary},
	{"ternary products in groups", tryGrouped},
}

// digest collects results, and makes up numbers to compute with.
type digest struct {
	sum  uint64
	last uint32
}

// add takes results in.
func (d *digest) add(v ...float32) {
	for _, f := range v {
		d.sum = (d.sum ^ uint64(math.Float32bits(f))) * 1099511628211 // FNV-1a
	}
}

// next returns a number of 16 bits.
func (d *digest) next() int {
	d.last = d.last*1664525 + 1013904223
	return int(d.last >> 16)
}

// floats returns n numbers between −2 and 2.
func (d *digest) floats(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(d.next()-1<<15) / (1 << 14)
	}
	return v
}

func tryFloats(d *digest) {
	const n = 103
	x, y, out := d.floats(n), d.floats(n), make([]float32, n)
	d.add(Dot(x, y), Max(x))
	for _, f := range []func(dst, a, b []float32){Add, SiLUMul, ReLU2Mul, GELUTanhMul, SigmoidMul} {
		f(out, x, y)
		d.add(out...)
	}
	for _, s := range []float32{.75, -1.5} {
		Scale(out, x, s)
		d.add(out...)
		AddScaled(out, y, s)
		d.add(out...)
	}
	RMSNorm(out, x, y, 1e-5)
	d.add(out...)
	Exp(out, x)
	d.add(out...)
	d.add(ExpSum(out))
	d.add(out...)
	RopeNeox(x, y[:44], out[:44])
	RopeNorm(x, out[:43], y[:43])
	d.add(x...)
	for _, block := range []int{2, 8, 128} {
		signs, v := make([]float32, 128), d.floats(128)
		for i := range signs {
			signs[i] = float32(1 - 2*(i%2))
		}
		Hadamard(v, signs, block)
		d.add(v...)
	}
	o, state := make([]float32, 2*DeltaLanes), d.floats(2*DeltaLanes*12)
	DeltaStep(o, state, d.floats(12), d.floats(12), d.floats(len(o)), .9, .4)
	d.add(o...)
	d.add(state...)
}

func tryAttention(d *digest) {
	const size, queries, positions = 42, 5, PageTokens + 7
	for typ := range KVType(kvTypes) {
		pages := make([]KVPage, 2)
		for i := range pages {
			bytes := typ.PageBytes(size)
			pages[i] = KVPage{Type: typ, K: hugemem.Bytes(bytes), V: hugemem.Bytes(bytes)}
			if typ.Scaled() {
				pages[i].KScale, pages[i].VScale = make([]float32, PageTokens), make([]float32, PageTokens)
			}
		}
		for p := range positions {
			StoreK(&pages[p/PageTokens], p%PageTokens, d.floats(size))
			StoreV(&pages[p/PageTokens], p%PageTokens, d.floats(size))
		}
		a := AttendArgs{
			HeadDim: size, Queries: queries, Scale: .125, Q: d.floats(queries * size),
			Valid: []int32{1, 20, PageTokens, positions, positions}, First: []int32{0, 3, 0, 30, 0}, Pages: pages,
			O: make([]float32, queries*size), M: make([]float32, queries), L: make([]float32, queries),
			Scratch: make([]float32, AttendScratch(queries)),
		}
		AttendChunk(&a)
		d.add(a.O...)
		d.add(a.M...)
		d.add(a.L...)
		out := make([]float32, size)
		MergeChunks(out, a.O, a.M, a.L, queries, size, 1)
		d.add(out...)
	}
}

func tryHead(d *digest) {
	const rows, cols, tokens = 6, 256, 3
	x, y, scratch := d.floats(tokens*cols), make([]float32, tokens*rows), make([]float32, HeadScratch(cols))
	for _, typ := range []gguf.Type{
		gguf.TypeF32, gguf.TypeF16, gguf.TypeBF16, gguf.TypeQ8_0, gguf.TypeQ6_K, gguf.TypeQ4_0, gguf.TypeQ4_K,
	} {
		f := mustHeadFormat(typ, cols)
		data := make([]byte, rows*cols/f.elems*f.bytes)
		for i := range data {
			data[i] = byte(d.next()) & 0xbb // as numbers of any type: neither large, nor infinite, nor none
		}
		for _, n := range []int{1, tokens} {
			HeadRows(y, rows, data, typ, rows, cols, x, cols, n, scratch)
			d.add(y...)
		}
		DecodeRow(scratch[:cols], data, typ)
		d.add(scratch[:cols]...)
	}
}

func tryCoarse(d *digest) {
	const rows, cols, states = 11, 50, 13
	w := d.floats(rows * cols)
	data := make([]byte, 4*len(w))
	for i, v := range w {
		bits := math.Float32bits(v)
		for k := range 4 {
			data[4*i+k] = byte(bits >> (8 * k))
		}
	}
	c, err := NewCoarse(data, gguf.TypeF32, rows, cols)
	if err != nil {
		panic(err)
	}
	c.Fill(data, gguf.TypeF32, 0, c.Panels(), c.NewWorkspace())
	in := c.NewInput(states)
	for t := range states {
		in.Set(t, d.floats(cols))
	}
	n := c.PaddedRows()
	y := make([]float32, states*n)
	for _, narrow := range []bool{true, false} {
		for plane := range 2 {
			c.Score(y, n, plane, narrow, in, 0, states, 0, c.Panels())
			d.add(y...)
			c.Score(y, n, plane, narrow, in, 4, 5, 0, c.Panels())
			d.add(y[4*n : 5*n]...)
		}
	}
	c.Refine(y[2*n:], in, 2, []int32{0, 7, 10})
	d.add(y[2*n : 3*n]...)
}

// tokenCounts are numbers of rows of activations that need kernels of all sizes.
var tokenCounts = []int{1, 39}

// trialMatrix returns made-up weights.
func trialMatrix(d *digest, l ternary.Layout, rows, cols int) *ternary.Matrix {
	m, err := ternary.New(l, rows, cols)
	for p := 0; err == nil && p < m.Panels(); p++ {
		codes := make([][]byte, min(ternary.PanelRows, rows-p*ternary.PanelRows))
		for i := range codes {
			codes[i] = make([]byte, cols)
			for c := range codes[i] {
				if codes[i][c] = byte(d.next() % 3); l == ternary.G1 {
					codes[i][c] &^= 1
				}
			}
		}
		err = m.SetPanel(p, codes)
	}
	if err != nil {
		panic(err)
	}
	return m
}

func tryTernary(d *digest) {
	const rows, cols = 20, 200
	most := tokenCounts[len(tokenCounts)-1]
	ws := &Workspace{Variant: SIMD}
	x, y, a := NewInt8(most, cols), make([]float32, most*rows), d.floats(most*cols)
	for _, l := range ternary.Layouts() {
		w := trialMatrix(d, l, rows, cols)
		x.Reset(cols, 0)
		for t := range most {
			QuantizeRow(x, t, a[t*cols:][:cols])
		}
		for _, n := range tokenCounts {
			MatMulI8(y, rows, w, x, 0, n, 0, w.Panels(), ws)
			d.add(y[:n*rows]...)
		}
		MatMulF32(y, rows, w, a, cols, 5, 0, w.Panels(), ws)
		d.add(y[:5*rows]...)
	}
}

func tryGrouped(d *digest) {
	const rows, cols = 9, 136
	most := tokenCounts[len(tokenCounts)-1]
	ws := &Workspace{Variant: SIMD}
	x, y := NewGroupedInt8(most, cols), make([]float32, most*rows)
	for t := range most {
		QuantizeGroups(x, t, d.floats(cols))
	}
	for _, l := range ternary.GroupedLayouts() {
		w := trialMatrix(d, l, rows, cols)
		scales := d.floats(rows * w.Groups())
		for i := range scales {
			scales[i] = float32(int(scales[i]*256)) / 256 // of 16 bits
		}
		if err := w.SetScales(scales, ternary.GroupWidth); err != nil {
			panic(err)
		}
		for _, n := range tokenCounts {
			MatMulGrouped(y, rows, w, x, 0, n, 0, w.Panels(), ws)
			d.add(y[:n*rows]...)
		}
	}
}
