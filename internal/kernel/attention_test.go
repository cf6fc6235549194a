package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"trit/internal/half"
	"trit/internal/hugemem"
)

// attendCase is a chunk of attention with random operands. Its pages lie at the
// end of readable memory, one area each, and every slot that no query sees holds
// NaN.
type attendCase struct {
	AttendArgs
	keys, values [][]float32 // what was stored, by position
}

// chunkMemory is reused by the cases of a test.
type chunkMemory struct{ k, v [8][]byte }

func newChunkMemory(tb testing.TB) *chunkMemory {
	var m chunkMemory
	for i := range m.k {
		m.k[i] = guardedBytes(tb, KVF32.PageBytes(MaxHeadDim))
		m.v[i] = guardedBytes(tb, KVF32.PageBytes(MaxHeadDim))
	}
	return &m
}

// poison fills a page with NaN; int8 has none, so its scales are NaN.
func poison(page *KVPage) {
	for _, data := range [][]byte{page.K, page.V} {
		for i := range data {
			data[i] = 0xff
		}
	}
	for i := range page.KScale {
		page.KScale[i] = float32(math.NaN())
		page.VScale[i] = float32(math.NaN())
	}
}

func newAttendCase(m *chunkMemory, r *rand.Rand, typ KVType, d, nq int, valid, first []int32) *attendCase {
	longest := int32(0)
	for _, n := range valid {
		longest = max(longest, n)
	}
	c := &attendCase{AttendArgs: AttendArgs{
		HeadDim: d, Queries: nq, Scale: float32(1 / math.Sqrt(float64(d))),
		Q: make([]float32, nq*d), Valid: valid, First: first,
		O: make([]float32, nq*d), M: make([]float32, nq), L: make([]float32, nq),
		Scratch: make([]float32, AttendScratch(nq)),
	}}
	fill(c.Q, r, floatData["normal"])
	PrepareQueries(typ, c.Q, d)
	fill(c.Scratch, r, func(*rand.Rand) float32 { return float32(math.NaN()) })
	for p := range int(longest) {
		if p%PageTokens == 0 {
			i, size := p/PageTokens, typ.PageBytes(d)
			page := KVPage{Type: typ, K: m.k[i][len(m.k[i])-size:], V: m.v[i][len(m.v[i])-size:]}
			if typ.Scaled() {
				page.KScale, page.VScale = make([]float32, PageTokens), make([]float32, PageTokens)
			}
			poison(&page)
			c.Pages = append(c.Pages, page)
		}
		k, v := make([]float32, d), make([]float32, d)
		fill(k, r, floatData["normal"])
		fill(v, r, floatData["normal"])
		visible := false
		for j, n := range valid {
			visible = visible || p < int(n) && (first == nil || p >= int(first[j]))
		}
		if !visible {
			continue
		}
		page := &c.Pages[p/PageTokens]
		PrepareKeys(typ, k, d)
		StoreK(page, p%PageTokens, k)
		StoreV(page, p%PageTokens, v)
		for len(c.keys) <= p {
			c.keys, c.values = append(c.keys, nil), append(c.values, nil)
		}
		c.keys[p], c.values[p] = loadKV(page, p%PageTokens, d)
	}
	return c
}

// loadKV reads a position back as float32.
func loadKV(page *KVPage, slot, d int) (k, v []float32) {
	k, v = make([]float32, d), make([]float32, d)
	for i := range d {
		if page.Type == KVQ4 { // as its description says
			group, n := i/32*576, i%32
			at := func(data []byte, index, high int) float32 {
				codes := data[group+64+index]
				value := [16]float32{-127, -104, -84, -66, -50, -36, -23, -11, 0, 12, 25, 38, 53, 70, 90, 114}[codes>>(4*high)&15]
				return value * half.F16ToF32(view[uint16](data[group:], 32)[slot])
			}
			k[i] = at(page.K, n/2*32+slot, n%2)
			v[i] = at(page.V, slot*16+n%16, n/16)
			continue
		}
		at := func(data []byte, index int, scale []float32) float32 {
			switch page.Type {
			case KVF32:
				return view[float32](data, index+1)[index]
			case KVF16:
				return half.F16ToF32(view[uint16](data, index+1)[index])
			}
			return float32(view[int8](data, index+1)[index]) * scale[slot]
		}
		k[i] = at(page.K, i*PageTokens+slot, page.KScale)
		v[i] = at(page.V, slot*d+i, page.VScale)
	}
	if page.Type == KVQ4 {
		rotate(k) // back
	}
	return k, v
}

// run computes the case with a table and returns copies of its results.
func (c *attendCase) run(k *kernels) (o, m, l []float32) {
	old := active
	active = k
	defer func() { active = old }()
	AttendChunk(&c.AttendArgs)
	return append([]float32(nil), c.O...), append([]float32(nil), c.M...), append([]float32(nil), c.L...)
}

func compareAttend(t *testing.T, c *attendCase, k *kernels) {
	t.Helper()
	o, m, l := c.run(&generic)
	o2, m2, l2 := c.run(k)
	for _, pair := range []struct {
		name      string
		got, want []float32
	}{{"m", m2, m}, {"l", l2, l}, {"o", o2, o}} {
		if i := firstDifference(pair.got, pair.want); i >= 0 {
			t.Fatalf("%s d=%d nq=%d valid=%v first=%v: %s[%d] is %g, the twin's %g",
				c.Pages[0].Type, c.HeadDim, c.Queries, c.Valid, c.First, pair.name, i, pair.got[i], pair.want[i])
		}
	}
	for i, v := range o {
		if v != v {
			t.Fatalf("%s d=%d valid=%v: o[%d] is NaN: a hidden position was used", c.Pages[0].Type, c.HeadDim, c.Valid, i)
		}
	}
}

// causal returns the counts of visible positions for tokens·heads queries, the
// last token seeing n positions.
func causal(tokens, heads, n int) []int32 {
	var valid []int32
	for t := range tokens {
		for range heads {
			valid = append(valid, int32(max(n-tokens+1+t, 0)))
		}
	}
	return valid
}

// TestAttendTwins compares AttendChunk with its twin: every head size with a few
// lengths, every length with a few head sizes, and many shapes of query groups.
func TestAttendTwins(t *testing.T) {
	memory := newChunkMemory(t)
	forEachLevel(t, attendPart, func(t *testing.T, k *kernels) {
		r := rand.New(rand.NewPCG(7, 8))
		for typ := range kvTypes {
			for d := 2; d <= MaxHeadDim; d += 2 {
				for _, n := range []int{1, 33, 61} {
					compareAttend(t, newAttendCase(memory, r, typ, d, 3, causal(1, 3, n), nil), k)
				}
			}
			for n := 1; n <= ChunkTokens; n++ {
				d := []int{64, 100, 128, 22}[n%4]
				compareAttend(t, newAttendCase(memory, r, typ, d, 2, causal(2, 1, n), nil), k)
			}
			for nq := 1; nq <= 19; nq++ {
				compareAttend(t, newAttendCase(memory, r, typ, 96, nq, causal(1, nq, 70), nil), k)
				compareAttend(t, newAttendCase(memory, r, typ, 34, nq, causal(nq, 1, 40), nil), k)
			}
			for _, heads := range []int{1, 3, 4} {
				compareAttend(t, newAttendCase(memory, r, typ, 128, 8*heads, causal(8, heads, 256), nil), k)
				compareAttend(t, newAttendCase(memory, r, typ, 66, 8*heads, causal(8, heads, 5), nil), k)
			}
			// Sliding windows, and a query that sees nothing.
			for n := range 40 {
				valid := causal(8, 2, 90+n)
				first := make([]int32, len(valid))
				for j := range first {
					first[j] = max(valid[j]-int32(3*n), 0)
				}
				compareAttend(t, newAttendCase(memory, r, typ, 64, 16, valid, first), k)
			}
		}
	})
}

// TestAttendOracle compares the twin with float64 attention on the stored values,
// over several chunks.
func TestAttendOracle(t *testing.T) {
	memory := newChunkMemory(t)
	r := rand.New(rand.NewPCG(9, 10))
	for typ := range kvTypes {
		for _, d := range []int{2, 64, 100, 128, 256} {
			const nq, chunks = 3, 3
			q := make([]float32, nq*d)
			fill(q, r, floatData["normal"])
			var o, m, l []float32
			var keys, values [][]float32
			for chunk := range chunks {
				n := ChunkTokens
				if chunk == chunks-1 {
					n = 77
				}
				c := newAttendCase(memory, r, typ, d, nq, causal(1, nq, n), nil)
				copy(c.Q, q)
				PrepareQueries(typ, c.Q, d)
				co, cm, cl := c.run(&generic)
				o, m, l = append(o, co...), append(m, cm...), append(l, cl...)
				keys, values = append(keys, c.keys...), append(values, c.values...)
			}
			for j := range nq {
				got := make([]float32, d)
				MergeChunks(got, o[j*d:], m[j:], l[j:], chunks, nq*d, nq)
				want := attendExactly(q[j*d:][:d], keys, values, 1/math.Sqrt(float64(d)))
				for i := range got {
					// Scores of magnitude 5 with sums of 256 terms err by some 1e-6;
					// int8 scales round once more. Four bits cut queries and weights to
					// seventeen.
					tolerance := 2e-6
					if typ == KVQ4 {
						tolerance = 4e-5
					}
					if math.Abs(float64(got[i])-want[i]) > tolerance {
						t.Fatalf("%s d=%d query %d: output %d is %g, want %g", typ, d, j, i, got[i], want[i])
					}
				}
			}
		}
	}
}

func attendExactly(q []float32, keys, values [][]float32, scale float64) []float64 {
	scores, largest := make([]float64, len(keys)), math.Inf(-1)
	for p, k := range keys {
		for i := range q {
			scores[p] += float64(q[i]) * float64(k[i])
		}
		scores[p] *= scale
		largest = max(largest, scores[p])
	}
	out, sum := make([]float64, len(q)), 0.0
	for p, v := range values {
		e := math.Exp(scores[p] - largest)
		sum += e
		for i := range out {
			out[i] += e * float64(v[i])
		}
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// TestAttendIndependence: a query's result does not depend on which other
// queries share the call.
func TestAttendIndependence(t *testing.T) {
	memory := newChunkMemory(t)
	check := func(t *testing.T, k *kernels) {
		r := rand.New(rand.NewPCG(11, 12))
		for typ := range kvTypes {
			c := newAttendCase(memory, r, typ, 64, 15, causal(5, 3, 100), nil)
			o, m, l := c.run(k)
			for j := range c.Queries {
				one := c.AttendArgs
				one.Queries, one.Q, one.Valid = 1, c.Q[j*64:], c.Valid[j:]
				alone := attendCase{AttendArgs: one}
				oj, mj, lj := alone.run(k)
				if i := firstDifference(oj[:64], o[j*64:]); i >= 0 || mj[0] != m[j] || lj[0] != l[j] {
					t.Fatalf("%s: query %d alone differs", typ, j)
				}
			}
		}
	}
	forEachLevel(t, attendPart, check)
}

func TestMergeChunks(t *testing.T) {
	inf := float32(math.Inf(1))
	tests := []struct {
		name    string
		o, m, l []float32
		want    float32
	}{
		{"one", []float32{6}, []float32{5}, []float32{2}, 3},
		{"equal maxima", []float32{2, 4}, []float32{1, 1}, []float32{1, 2}, 2},
		{"first hidden", []float32{0, 4}, []float32{-inf, -20}, []float32{0, 2}, 2},
		{"far smaller", []float32{1e30, 4}, []float32{-200, 0}, []float32{2, 2}, 2},
		{"nothing", []float32{0, 0}, []float32{-inf, -inf}, []float32{0, 0}, 0},
	}
	for _, test := range tests {
		dst := []float32{99}
		MergeChunks(dst, test.o, test.m, test.l, len(test.o), 1, 1)
		if dst[0] != test.want {
			t.Errorf("%s: got %g, want %g", test.name, dst[0], test.want)
		}
	}
	dst := []float32{0}
	MergeChunks(dst, []float32{1, 1}, []float32{0, 0}, []float32{1, float32(math.NaN())}, 2, 1, 1)
	if dst[0] == dst[0] {
		t.Errorf("a NaN sum gives %g", dst[0])
	}
}

func TestStoreKV(t *testing.T) {
	const d = 6
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	tests := []struct {
		name  string
		typ   KVType
		x     [d]float32
		want  [d]float32
		isNaN bool
	}{
		{"f32", KVF32, [d]float32{1, -2, 1e-40, 3e38, 0, inf}, [d]float32{1, -2, 1e-40, 3e38, 0, inf}, false},
		{"f16 rounds to even", KVF16, [d]float32{2049, 2051, -2049, 65520, 6e-8, 0}, [d]float32{2048, 2052, -2048, inf, 5.9604645e-8, 0}, false},
		{"i8", KVI8, [d]float32{127, -127, 0.5, 1.5, -2.5, 100.4}, [d]float32{127, -127, 0, 2, -2, 100}, false},
		{"i8 zero", KVI8, [d]float32{}, [d]float32{}, false},
		{"i8 tiny", KVI8, [d]float32{1e-40, -1e-38}, [d]float32{}, false},
		{"i8 infinite", KVI8, [d]float32{1, inf}, [d]float32{}, true},
		{"i8 NaN", KVI8, [d]float32{1, nan}, [d]float32{}, true},
		{"q4", KVQ4, [d]float32{-63.5, 0, 57, -52, 6, 12.5}, [d]float32{-63.5, 0, 57, -52, 6, 12.5}, false},
		{"q4 of the other sign", KVQ4, [d]float32{254, 0, 0, 0, 0, 0}, [d]float32{254, 0, 0, 0, 0, 0}, false},
		{"q4 tiny", KVQ4, [d]float32{1e-7, -1e-38}, [d]float32{}, false},
		{"q4 infinite", KVQ4, [d]float32{1, inf}, [d]float32{}, true},
		{"q4 NaN", KVQ4, [d]float32{1, nan}, [d]float32{}, true},
	}
	for _, test := range tests {
		for slot := range PageTokens {
			page := KVPage{
				Type: test.typ, K: make([]byte, test.typ.PageBytes(d)), V: make([]byte, test.typ.PageBytes(d)),
				KScale: make([]float32, PageTokens), VScale: make([]float32, PageTokens),
			}
			StoreK(&page, slot, test.x[:])
			StoreV(&page, slot, test.x[:])
			k, v := loadKV(&page, slot, d)
			if test.typ == KVQ4 {
				k = v // of keys this page has no more than their rotation; see TestStoreQ4
			}
			for i := range d {
				if test.isNaN {
					if k[i] == k[i] || v[i] == v[i] {
						t.Fatalf("%s slot %d: element %d is %g and %g, want NaN", test.name, slot, i, k[i], v[i])
					}
				} else if k[i] != test.want[i] || v[i] != test.want[i] {
					t.Fatalf("%s slot %d: element %d is %g and %g, want %g", test.name, slot, i, k[i], v[i], test.want[i])
				}
			}
		}
	}
	for _, slot := range []int{-1, PageTokens} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("slot %d was accepted", slot)
				}
			}()
			StoreK(&KVPage{K: make([]byte, KVF32.PageBytes(2))}, slot, make([]float32, 2))
		}()
	}
}

func TestAttendAllocations(t *testing.T) {
	memory := newChunkMemory(t)
	for typ := range kvTypes {
		const d = 72
		c := newAttendCase(memory, rand.New(rand.NewPCG(1, 1)), typ, d, 4, causal(1, 4, 256), nil)
		dst := make([]float32, d)
		if n := testing.AllocsPerRun(10, func() {
			StoreK(&c.Pages[0], 5, dst)
			StoreV(&c.Pages[0], 5, dst)
			PrepareQueries(typ, c.Q, d)
			AttendChunk(&c.AttendArgs)
			MergeChunks(dst, c.O, c.M, c.L, 1, d, 1)
		}); n != 0 {
			t.Errorf("%v: %g allocations", typ, n)
		}
	}
}

// BenchmarkAttend reports multiply-accumulates (scores and values) per second
// and page bytes per second, for decoding (4 queries) and prompts (32).
func BenchmarkAttend(b *testing.B) {
	for typ := range kvTypes {
		for _, nq := range []int{1, 4, 32} {
			b.Run(fmt.Sprintf("%s/nq%d", typ, nq), func(b *testing.B) {
				const d = 128
				c := newAttendCase(newChunkMemory(b), rand.New(rand.NewPCG(1, 1)), typ, d, nq, causal(1, nq, 256), nil)
				for b.Loop() {
					AttendChunk(&c.AttendArgs)
				}
				reportMACs(b, 2*nq*d*256)
				b.SetBytes(int64(2 * 8 * typ.PageBytes(d)))
			})
		}
	}
}

// BenchmarkAttendCold decodes behind 2,048 positions of a model in the shape of
// bitnet-2b (30 layers, 5 key/value heads, groups of 4 queries), laid out as a
// cache's pages are: everything comes from memory.
func BenchmarkAttendCold(b *testing.B) {
	const layers, heads, pages, d, nq = 30, 5, 2048 / PageTokens, 128, 4
	for typ := range kvTypes {
		k := typ.PageBytes(d)
		plane := 2 * k
		if typ.Scaled() {
			plane += 8 * PageTokens
		}
		memory := hugemem.Bytes(pages * layers * heads * plane)
		for i := range memory {
			memory[i] = byte(i % 50)
		}
		at := func(page, layer, head int) []byte {
			return memory[((page*layers+layer)*heads+head)*plane:][:plane]
		}
		const chunk = ChunkTokens / PageTokens
		a := &AttendArgs{
			HeadDim: d, Queries: nq, Scale: 0.1, Valid: []int32{ChunkTokens, ChunkTokens, ChunkTokens, ChunkTokens},
			Q: make([]float32, nq*d), Pages: make([]KVPage, chunk),
			O: make([]float32, nq*d), M: make([]float32, nq), L: make([]float32, nq), Scratch: make([]float32, AttendScratch(nq)),
		}
		b.Run(typ.String(), func(b *testing.B) {
			for b.Loop() {
				for i := range layers * heads {
					for first := 0; first < pages; first += chunk {
						for p := range chunk {
							m := at(first+p, i/heads, i%heads)
							a.Pages[p] = KVPage{Type: typ, K: m[:k], V: m[plane-k:]}
							if typ.Scaled() {
								scales := view[float32](m[k:], 2*PageTokens)
								a.Pages[p].KScale, a.Pages[p].VScale = scales[:PageTokens], scales[PageTokens:]
							}
						}
						a.Next = nil
						if first+chunk < pages {
							a.Next = at(first+chunk, i/heads, i%heads)[:k]
						}
						AttendChunk(a)
					}
				}
			}
			reportMACs(b, 2*layers*heads*pages*PageTokens*d*nq)
			b.SetBytes(int64(len(memory)))
		})
	}
}

// reportMACs reports billions of multiply-accumulates per second.
func reportMACs(b *testing.B, perOp int) {
	b.ReportMetric(float64(perOp)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
}
