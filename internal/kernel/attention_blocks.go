//go:build !noasm && (amd64 || arm64)

package kernel

import "unsafe"

// scoresBlock and valuesBlock are assembly kernels for a fixed number of queries
// and one element type; see attendKernels.
type (
	scoresBlock func(s, q *float32, k *byte, kscale *float32, d int, scale float32, soon, later *byte)
	valuesBlock func(o, e *float32, v *byte, d, n int)
	// valuesQ4Block has outputs that are stride apart, and full groups only.
	valuesQ4Block func(o, e *float32, v *byte, stride, groups, from, n int)
)

// scoresBlocks and valuesBlocks hold the kernels of one element type for 1, 2, 4
// and 8 queries; all but the first may be missing.
type (
	scoresBlocks   [4]scoresBlock
	valuesBlocks   [4]valuesBlock
	valuesQ4Blocks [3]valuesQ4Block
)

// largest returns the index of the largest kernel for at most nq queries.
func (b *scoresBlocks) largest(nq int) int {
	i := len(b) - 1
	for i > 0 && (b[i] == nil || 1<<i > nq) {
		i--
	}
	return i
}

// largest returns the index of the largest kernel for at most nq queries.
func (b *valuesBlocks) largest(nq int) int {
	i := len(b) - 1
	for i > 0 && (b[i] == nil || 1<<i > nq) {
		i--
	}
	return i
}

// largest returns the index of the largest kernel for at most nq queries.
func (b *valuesQ4Blocks) largest(nq int) int {
	i := len(b) - 1
	for i > 0 && (b[i] == nil || 1<<i > nq) {
		i--
	}
	return i
}

func (b *scoresBlocks) run(s, q []float32, k []byte, kscale []float32, d, nq int, scale float32, soon, later *byte) {
	for nq > 0 {
		i := b.largest(nq)
		n := 1 << i
		_ = s[(n-1)*ChunkTokens+PageTokens-1]
		b[i](&s[0], &q[:n*d][0], &k[0], unsafe.SliceData(kscale), d, scale, soon, later)
		if nq -= n; nq > 0 {
			s, q = s[n*ChunkTokens:], q[n*d:]
			soon, later = &k[0], &k[0] // once is enough
		}
	}
}

func (b *valuesBlocks) run(o, e []float32, v []byte, d, nq, n int) {
	for nq > 0 {
		i := b.largest(nq)
		queries := 1 << i
		_ = e[(queries-1)*ChunkTokens+n-1]
		b[i](&o[:queries*d][0], &e[0], &v[0], d, n)
		if nq -= queries; nq > 0 {
			o, e = o[queries*d:], e[queries*ChunkTokens:]
		}
	}
}

func (b *valuesQ4Blocks) run(o, e []float32, v []byte, d, nq, from, n int, columns []float32) {
	for nq > 0 {
		i := b.largest(nq)
		queries := 1 << i
		_, _ = e[(queries-1)*ChunkTokens+PageTokens-1], o[queries*d-1]
		groups, rest := d/q4Width, d%q4Width
		if groups > 0 {
			b[i](&o[0], &e[0], &v[0], d, groups, from, n)
		}
		if rest > 0 { // beside columns that nobody wants
			for j := range queries {
				copy(columns[j*q4Width:], o[j*d+d-rest:][:rest])
			}
			b[i](&columns[:queries*q4Width][0], &e[0], &v[groups*q4Bytes], q4Width, 1, from, n)
			for j := range queries {
				copy(o[j*d+d-rest:][:rest], columns[j*q4Width:])
			}
		}
		if nq -= queries; nq > 0 {
			o, e = o[queries*d:], e[queries*ChunkTokens:]
		}
	}
}
