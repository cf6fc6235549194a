package kernel

import (
	"fmt"
	"math"
	"unsafe"
)

// AttendArgs are the operands of AttendChunk.
type AttendArgs struct {
	HeadDim int     // d, even, at most MaxHeadDim
	Queries int     // nq: all heads that share a key/value head, for one token or several
	Scale   float32 // the softmax scale, usually 1/√d

	Q []float32 // [nq][d], as PrepareQueries left them
	// Valid [nq] is the number of positions of this chunk, from its start, that
	// each query sees: 0…ChunkTokens.
	Valid []int32
	// First [nq] is the first position of this chunk that each query sees, for
	// sliding windows. Nil means 0 for all. A query sees First…Valid−1.
	First []int32

	// Pages are the pages of the chunk in order, at most ChunkTokens/PageTokens,
	// at least enough for the largest Valid, all of one type. Positions that no
	// query sees may hold anything: they are not used.
	Pages []KVPage

	// Next, if not nil, is the first page's K of the call that probably comes next.
	// It is fetched from memory meanwhile.
	Next []byte

	O []float32 // [nq][d], out: Σ e_p·v_p, not normalised
	M []float32 // [nq], out: the largest score, −Inf where nothing is visible
	L []float32 // [nq], out: Σ e_p

	Scratch []float32 // at least AttendScratch(nq)
}

// AttendScratch returns the length of the scratch memory for nq queries.
func AttendScratch(nq int) int { return nq*ChunkTokens + q4Columns }

// attendKernels are the inner loops of attention, by KVType. Scores lie in rows
// of ChunkTokens.
type attendKernels struct {
	// scores computes, for one page and nq queries, the scaled scores of all
	// PageTokens lanes: s[j·ChunkTokens+p] = (Σ_i q[j·d+i]·k[i·32+p])·scale, the
	// sum multiplied by kscale[p] first for KVI8, those of groups by their scales for
	// KVQ4. As many bytes as k has are fetched into the cache from soon and from later,
	// and from there for KVI8 also what lies behind them, which are the scales if they
	// are laid out as a pool does.
	scores [kvTypes]func(s, q []float32, k []byte, kscale []float32, d, nq int, scale float32, soon, later *byte)
	// values adds n positions: o[j·d+i] += Σ_p e[j·ChunkTokens+p]·v[p·d+i], in
	// increasing p.
	values [kvTypes]func(o, e []float32, v []byte, d, nq, n int)
	// valuesQ4 is values for KVQ4, whose groups hold all positions of a page: v is the
	// page's whole V, e has the weights from its first position on, and n positions are
	// added from slot from on. The memory of columns, q4Columns long, may be used.
	valuesQ4 func(o, e []float32, v []byte, d, nq, from, n int, columns []float32)
	// rowF16 rounds src to binary16 at dst[0], dst[1], …; laneF16 at dst[0],
	// dst[PageTokens], dst[2·PageTokens], …
	rowF16, laneF16 func(dst []uint16, src []float32)
	// axpy is dst[i] += x[i]·s; divide is dst[i] /= s.
	axpy   func(dst, x []float32, s float32)
	divide func(dst []float32, s float32)
}

// AttendChunk computes attention of several query vectors over one chunk of up
// to ChunkTokens positions: for each query the scores s_p = (q·k_p)·scale, their
// maximum m, the weights e_p = exp(s_p − m), l = Σ e_p and o = Σ e_p·v_p.
// MergeChunks combines chunks and normalises. Every page is read once for all
// queries; the result of a query does not depend on the others.
func AttendChunk(a *AttendArgs) {
	d, nq := a.HeadDim, a.Queries
	if d <= 0 || d > MaxHeadDim || d%2 != 0 {
		panic(fmt.Sprintf("kernel: head size %d, want an even number up to %d", d, MaxHeadDim))
	}
	q, o, s := a.Q[:nq*d], a.O[:nq*d], a.Scratch[:nq*ChunkTokens]
	clear(o)
	longest := int32(0)
	for _, n := range a.Valid[:nq] {
		longest = max(longest, n)
	}
	pages := a.Pages[:(longest+PageTokens-1)/PageTokens]
	for i := range pages {
		page := &pages[i]
		if lo, hi := a.touching(i); lo < hi {
			k := page.K[:page.Type.PageBytes(d)]
			soon, later := unsafe.SliceData(page.V), unsafe.SliceData(a.Next)
			if i+1 < len(pages) {
				later = unsafe.SliceData(pages[i+1].K)
			} else if later == nil {
				later = soon
			}
			active.attend.scores[page.Type](s[lo*ChunkTokens+i*PageTokens:], q[lo*d:], k, page.KScale, d, hi-lo, a.Scale, soon, later)
		}
	}
	for j := range nq {
		row := s[j*ChunkTokens:][:a.Valid[j]]
		if a.First != nil {
			hidden := row[:min(int(a.First[j]), len(row))]
			for p := range hidden {
				hidden[p] = float32(math.Inf(-1))
			}
			if len(hidden) == len(row) {
				row = nil
			}
		}
		a.M[j], a.L[j] = active.float.expSum(row, row)
	}
	for i := range pages {
		a.addValues(i)
	}
}

// addValues adds the values of page i to the outputs. Queries in a row that see
// the same positions share one pass.
func (a *AttendArgs) addValues(i int) {
	d, page := a.HeadDim, &a.Pages[i]
	rowBytes := d * page.Type.elemBytes()
	for j := 0; j < a.Queries; {
		from, to := a.visible(j, i)
		n := 1
		for j+n < a.Queries {
			if f, t := a.visible(j+n, i); f != from || t != to {
				break
			}
			n++
		}
		switch e := a.Scratch[j*ChunkTokens+i*PageTokens:]; {
		case from >= to:
		case page.Type == KVQ4:
			columns := a.Scratch[a.Queries*ChunkTokens:][:q4Columns]
			active.attend.valuesQ4(a.O[j*d:], e, page.V[:page.Type.PageBytes(d)], d, n, from, to-from, columns)
		default:
			e = e[from:]
			if page.Type.Scaled() {
				for k := range n {
					row := e[k*ChunkTokens:][:to-from]
					active.float.mul(row, row, page.VScale[from:to])
				}
			}
			v := page.V[from*rowBytes : to*rowBytes]
			active.attend.values[page.Type](a.O[j*d:], e, v, d, n, to-from)
		}
		j += n
	}
}

// visible returns the range of slots of page i that query j sees.
func (a *AttendArgs) visible(j, i int) (from, to int) {
	if a.First != nil {
		from = max(int(a.First[j])-i*PageTokens, 0)
	}
	return from, min(int(a.Valid[j])-i*PageTokens, PageTokens)
}

// touching returns the smallest range of queries that contains all that see some
// position of page i.
func (a *AttendArgs) touching(i int) (lo, hi int) {
	for lo < a.Queries {
		if from, to := a.visible(lo, i); from < to {
			break
		}
		lo++
	}
	for hi = a.Queries; hi > lo; hi-- {
		if from, to := a.visible(hi-1, i); from < to {
			break
		}
	}
	return lo, hi
}

// MergeChunks joins the results that AttendChunk gave for the chunks of one query
// vector, in increasing order of chunks, and normalises:
// dst = (Σ_c w_c·o_c) / (Σ_c w_c·l_c), with w_c = exp(m_c − max m).
//
// dst is one head vector. Chunk c's output starts at o[c·oStride], its m and l
// are m[c·mStride] and l[c·mStride]. A query that saw no position in any chunk
// gets zeros.
func MergeChunks(dst, o, m, l []float32, chunks, oStride, mStride int) {
	largest := float32(math.Inf(-1))
	for c := range chunks {
		if m[c*mStride] > largest {
			largest = m[c*mStride]
		}
	}
	clear(dst)
	sum, seen := float32(0), false
	for c := range chunks {
		lc := l[c*mStride]
		if lc == 0 {
			continue // nothing visible: m is −Inf and o is zero
		}
		w := exp32(m[c*mStride] - largest)
		sum += float32(w * lc)
		active.attend.axpy(dst, o[c*oStride:][:len(dst)], w)
		seen = true
	}
	if seen {
		active.attend.divide(dst, sum)
	}
}
