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

// add takes results in. Inlined everywhere it would be half of the trials' code.
//
//go:noinline
func (d *digest) add(v []float32) {
	for _, f := range v {
		d.sum = (d.sum ^ uint64(math.Float32bits(f))) * 1099511628211 // FNV-1a
	}
}

// next returns a number of 16 bits.
//
//go:noinline
func (d *digest) next() int {
	d.last = d.last*1664525 + 1013904223
	return int(d.last >> 16)
}

// floats returns n numbers between −2 and 2.
//
//go:noinline
func (d *digest) floats(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(d.next()-1<<15) / (1 << 14)
	}
	return v
}

func tryFloats(d *digest) {
	const n = 103
	f := active.float
	x, y, out := d.floats(n), d.floats(n), make([]float32, n)
	for _, three := range []func(dst, a, b []float32){f.add, f.mul, f.siluMul, f.relu2Mul, f.geluTanhMul} {
		three(out, x, y)
		d.add(out)
	}
	f.scale(out, x, .75)
	d.add(out)
	f.normMul(out, x, y, .75)
	d.add(out)
	f.exp(out, x)
	out[0], out[1], out[2] = f.dot(x, y), f.max(x), float32(f.sumSquares(x))
	d.add(out)
	out[0], out[1] = f.expSum(out, x)
	d.add(out)
	f.ropeNeox(x[:44], x[44:88], y[:44], y[44:88])
	f.ropeNorm(x[:86], y[:43], y[43:86])
	f.hadamard(x[:64], 64)
	d.add(x)
	state := d.floats(2 * DeltaLanes * 12)
	f.deltaStep(out[:2*DeltaLanes], state, x[:12], x[12:24], y[:2*DeltaLanes], .9, .4)
	d.add(out)
	d.add(state)
}

func tryAttention(d *digest) {
	const size, queries, positions = 42, 5, 31
	f := active.attend
	for typ := range KVType(kvTypes) {
		bytes := typ.PageBytes(size)
		page := KVPage{Type: typ, K: hugemem.Bytes(bytes), V: hugemem.Bytes(bytes)}
		if typ.Scaled() {
			page.KScale, page.VScale = make([]float32, PageTokens), make([]float32, PageTokens)
		}
		for p := range PageTokens {
			StoreK(&page, p, d.floats(size))
			StoreV(&page, p, d.floats(size))
		}
		s, o := make([]float32, AttendScratch(queries)), d.floats(queries*size)
		q := d.floats(queries * size)
		PrepareQueries(typ, q, size)
		f.scores[typ](s, q, page.K, page.KScale, size, queries, .125, &page.V[0], &page.V[0])
		if typ == KVQ4 {
			f.valuesQ4(o, s, page.V, size, queries, PageTokens-positions, positions, s[queries*ChunkTokens:])
		} else {
			f.values[typ](o, s, page.V[:positions*size*typ.elemBytes()], size, queries, positions)
		}
		f.axpy(o[:size], s[:size], .3)
		f.divide(o[size:], .7)
		d.add(s[:queries*ChunkTokens])
		d.add(o)
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
			d.add(y)
		}
		DecodeRow(scratch[:cols], data, typ)
		d.add(scratch[:cols])
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
	c, err := NewCoarse(gguf.TypeF32, rows, cols)
	if err != nil {
		panic(err)
	}
	c.Survey(data, gguf.TypeF32)
	c.Fill(data, gguf.TypeF32, 0, c.Panels(), c.NewWorkspace())
	in := c.NewInput(states)
	for t := range states {
		in.Set(t, d.floats(cols))
	}
	n := c.PaddedRows()
	y := make([]float32, states*n)
	for i := range 4 {
		plane, narrow := i%2, i < 2
		c.Score(y, n, plane, narrow, in, 1, states, 0, c.Panels())
		c.Score(y, n, plane, narrow, in, 0, 1, 0, c.Panels())
		d.add(y)
	}
	c.Refine(y[2*n:], in, 2, []int32{0, 7, 10})
	d.add(y)
}

// Rows of weights, columns, and rows of activations: one, and as many as need kernels of
// several sizes.
const (
	trialRows   = 9
	trialCols   = 136
	trialTokens = 39
)

// trialRuns are the numbers of rows of activations that products are tried with, so that
// kernels for many, for few and for what these leave have their turn.
var trialRuns = []int{trialTokens, 10, 6, 1}

// weights returns made-up ones.
func (d *digest) weights(l ternary.Layout) *ternary.Matrix {
	m, err := ternary.New(l, trialRows, trialCols)
	if err == nil {
		codes := make([][]byte, trialRows)
		for i := range codes {
			codes[i] = make([]byte, trialCols)
			for c := range codes[i] {
				if codes[i][c] = byte(d.next() % 3); l == ternary.G1 {
					codes[i][c] &^= 1
				}
			}
		}
		err = m.SetPanel(0, codes)
	}
	if err == nil && l.Grouped() {
		err = m.SetScales([]float32{.75}, 0)
	}
	if err != nil {
		panic(err)
	}
	return m
}

func tryTernary(d *digest) {
	ws := &Workspace{Variant: SIMD}
	x, y, a := NewInt8(trialTokens, trialCols), make([]float32, trialTokens*trialRows), d.floats(trialTokens*trialCols)
	x.Reset(trialCols, 0)
	for t := range trialTokens {
		QuantizeRow(x, t, a[t*trialCols:][:trialCols])
	}
	for _, l := range ternary.Layouts() {
		w := d.weights(l)
		for _, n := range trialRuns {
			MatMulI8(y, trialRows, w, x, 0, n, 0, 1, ws)
			d.add(y)
		}
		MatMulF32(y, trialRows, w, a, trialCols, 5, 0, 1, ws)
		d.add(y)
	}
}

func tryGrouped(d *digest) {
	ws := &Workspace{Variant: SIMD}
	x, y := NewGroupedInt8(trialTokens, trialCols), make([]float32, trialTokens*trialRows)
	for t := range trialTokens {
		QuantizeGroups(x, t, d.floats(trialCols))
	}
	for _, l := range ternary.GroupedLayouts() {
		w := d.weights(l)
		for _, n := range trialRuns {
			MatMulGrouped(y, trialRows, w, x, 0, n, 0, 1, ws)
			d.add(y)
		}
	}
}
