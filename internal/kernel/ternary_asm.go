//go:build !noasm && (amd64 || arm64)

package kernel

import "trit/internal/ternary"

// Assembly takes pointers. The functions of this file put slices in their place:
// touching the last element of what a kernel reads or writes keeps a wrong shape
// from becoming a wild access, and the twin does what does not fill a vector.

type (
	// segmentsAsm is matVecFunc for at least one segment and one block.
	segmentsAsm = func(acc *int32, w *byte, x *int8, blocks, segments, xStep int)
	// rowsAsm computes 16 sums for a fixed number of rows of activations, stride
	// apart, with at least one block.
	rowsAsm = func(acc *int32, w *byte, x *int8, stride, blocks int)
)

// matVecOf serves the products of one row of activations with a kernel that takes
// all segments at once.
func matVecOf(l ternary.Layout, all segmentsAsm) matVecFunc {
	width := l.UnitCols()
	return func(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
		touchSegments(acc, w, x, blocks, segments, xStep, width)
		all(&acc[0], &w[0], &x[0], blocks, segments, xStep)
	}
}

// matVecEach does the same with a kernel that takes one segment.
func matVecEach(l ternary.Layout, one rowsAsm) matVecFunc {
	width := l.UnitCols()
	return func(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
		touchSegments(acc, w, x, blocks, segments, xStep, width)
		for i := range segments {
			one(&acc[16*i], &w[64*blocks*i], &x[xStep*i], 0, blocks)
		}
	}
}

func touchSegments(acc []int32, w []byte, x []int8, blocks, segments, xStep, width int) {
	_ = acc[16*segments-1]
	_ = w[64*blocks*segments-1]
	_ = x[xStep*(segments-1)+blocks*width-1]
}

// tileOf serves products of many rows of activations with the largest kernels that
// fit: kernels[n] takes n rows; there is one for a single row.
func tileOf(l ternary.Layout, kernels []rowsAsm) tileFunc {
	width := l.UnitCols()
	return func(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
		_ = acc[16*tokens-1]
		_ = w[64*blocks-1]
		_ = x[stride*(tokens-1)+blocks*width-1]
		for at := 0; at < tokens; {
			n := min(tokens-at, len(kernels)-1)
			for kernels[n] == nil {
				n--
			}
			kernels[n](&acc[16*at], &w[0], &x[at*stride], stride, blocks)
			at += n
		}
	}
}

func touchFloats(acc []float32, w []byte, x []float32, stride, blocks, tokens, width int) {
	_ = acc[64*tokens-1]
	_ = w[64*blocks-1]
	_ = x[stride*(tokens-1)+blocks*width-1]
}

// absMaxBitsOf serves absMaxBits with a kernel for multiples of step elements, a power
// of two.
func absMaxBitsOf(step int, whole func(a *float32, n int) uint32) func(a []float32) uint32 {
	return func(a []float32) uint32 {
		n := len(a) &^ (step - 1)
		var m uint32
		if n > 0 {
			m = whole(&a[0], n)
		}
		if n < len(a) {
			m = max(m, absMaxBitsGeneric(a[n:]))
		}
		return m
	}
}

// convertOf serves convert with a kernel for multiples of step elements, a power
// of two.
func convertOf(step int, whole func(q *int8, a *float32, n int, s float32) int32) func(q []int8, a []float32, s float32) int32 {
	return func(q []int8, a []float32, s float32) int32 {
		n := len(a) &^ (step - 1)
		_ = q[:len(a)]
		var sum int32
		if n > 0 {
			sum = whole(&q[0], &a[0], n, s)
		}
		if n < len(a) {
			sum += convertInt8Generic(q[n:], a[n:], s)
		}
		return sum
	}
}

// streamReadOf serves streamRead with a kernel that reads n pieces of step bytes.
func streamReadOf(step int, whole func(p *byte, n int) uint64) func(buf []byte) uint64 {
	return func(buf []byte) uint64 {
		n := len(buf) / step
		x := streamReadGeneric(buf[n*step:])
		if n > 0 {
			x ^= whole(&buf[0], n)
		}
		return x
	}
}
