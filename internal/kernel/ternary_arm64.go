//go:build !noasm

package kernel

// simdKernels returns the assembly kernels of a level.
func simdKernels(l Level) simd {
	switch l {
	case NEONDot:
		k := simdNEON
		k.ternary.matVec = [2]matVecFunc{matVecT2I8Dot, matVecT5I8Dot}
		k.ternary.tile = [2]tileFunc{matMulT2I8Dot, matMulT5I8Dot}
		k.int8Peak = func(iters int) int64 { return int8PeakNEONDot(iters) }
		return k
	case NEON:
		return simdNEON
	}
	return simdGeneric
}

var simdNEON = simd{
	ternary: ternaryKernels{
		matVec:     [2]matVecFunc{matVecT2I8ForNEON, matVecT5I8ForNEON},
		tile:       [2]tileFunc{matMulT2I8ForNEON, matMulT5I8ForNEON},
		tileTokens: 12,
		finish:     finishI8ForNEON,
		matMulF32:  [2]floatFunc{matMulT2F32ForNEON, matMulT5F32ForNEON},
	},
	int8:       int8Kernels{absMaxBits: absMaxBitsForNEON, convert: convertInt8ForNEON},
	streamRead: streamReadForNEON,
	int8Peak:   func(iters int) int64 { return int8PeakNEON(iters) },
}

// Each computes 16 sums for the number of rows of activations in its name, stride
// apart, with blocks ≥ 1 blocks.

//go:noescape
func matMulT2I8x1NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT2I8x4NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT5I8x1NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT5I8x3NEONDot(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT2I8x1NEON(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT2I8x2NEON(acc *int32, w *byte, x *int8, stride, blocks int)

//go:noescape
func matMulT5I8x1NEON(acc *int32, w *byte, x *int8, stride, blocks int)

// These add to the 4·16 partial sums of one row of activations.

//go:noescape
func matMulT2F32x1NEON(acc *float32, w *byte, x *float32, blocks int)

//go:noescape
func matMulT5F32x1NEON(acc *float32, unpacked *byte, x *float32, blocks int)

//go:noescape
func unpackT5NEON(dst *byte, w *byte, blocks int)

//go:noescape
func finishI8NEON(y *float32, acc *int32, sum int32, s float32, scale *float32, rows, add int)

//go:noescape
func absMaxBitsNEON(a *float32, n int) uint32

//go:noescape
func convertInt8NEON(q *int8, a *float32, n int, s float32) int32

//go:noescape
func streamReadNEON(p *byte, n int) uint64

func int8PeakNEONDot(iters int) int64

func int8PeakNEON(iters int) int64

// matMulAsm computes 16 sums for some rows of activations, stride apart.
type matMulAsm = func(acc *int32, w *byte, x *int8, stride, blocks int)

// The assembly of each layout by the number of rows of activations.
var (
	tilesT2Dot  = [5]matMulAsm{1: matMulT2I8x1NEONDot, 4: matMulT2I8x4NEONDot}
	tilesT5Dot  = [5]matMulAsm{1: matMulT5I8x1NEONDot, 3: matMulT5I8x3NEONDot}
	tilesT2NEON = [5]matMulAsm{1: matMulT2I8x1NEON, 2: matMulT2I8x2NEON}
	tilesT5NEON = [5]matMulAsm{1: matMulT5I8x1NEON}
)

func matVecT2I8Dot(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
	runSegments(matMulT2I8x1NEONDot, acc, w, x, blocks, segments, xStep, 16)
}

func matVecT5I8Dot(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
	runSegments(matMulT5I8x1NEONDot, acc, w, x, blocks, segments, xStep, 20)
}

func matVecT2I8ForNEON(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
	runSegments(matMulT2I8x1NEON, acc, w, x, blocks, segments, xStep, 16)
}

func matVecT5I8ForNEON(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
	runSegments(matMulT5I8x1NEON, acc, w, x, blocks, segments, xStep, 20)
}

func matMulT2I8Dot(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
	runTiles(&tilesT2Dot, acc, w, x, stride, blocks, tokens, 16)
}

func matMulT5I8Dot(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
	runTiles(&tilesT5Dot, acc, w, x, stride, blocks, tokens, 20)
}

func matMulT2I8ForNEON(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
	runTiles(&tilesT2NEON, acc, w, x, stride, blocks, tokens, 16)
}

func matMulT5I8ForNEON(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
	runTiles(&tilesT5NEON, acc, w, x, stride, blocks, tokens, 20)
}

// The functions below put slices in place of the assembly's pointers. Slicing
// first to what a kernel touches keeps a wrong shape from becoming a wild access.

func runSegments(f matMulAsm, acc []int32, w []byte, x []int8, blocks, segments, xStep, width int) {
	_ = acc[16*segments-1]
	_ = w[64*blocks*segments-1]
	_ = x[xStep*(segments-1)+blocks*width-1]
	for i := range segments {
		f(&acc[16*i], &w[64*blocks*i], &x[xStep*i], 0, blocks)
	}
}

// runTiles covers tokens with the largest kernels that fit.
func runTiles(tiles *[5]matMulAsm, acc []int32, w []byte, x []int8, stride, blocks, tokens, width int) {
	_ = acc[16*tokens-1]
	_ = w[64*blocks-1]
	_ = x[stride*(tokens-1)+blocks*width-1]
	for at := 0; at < tokens; {
		n := min(tokens-at, len(tiles)-1)
		for tiles[n] == nil {
			n--
		}
		tiles[n](&acc[16*at], &w[0], &x[at*stride], stride, blocks)
		at += n
	}
}

func finishI8ForNEON(y []float32, yStride int, acc []int32, accStride int, sums []int32, sumStep int, s, scale []float32, tokens, rows int, add bool) {
	whole := rows &^ 3
	adding := 0
	if add {
		adding = 1
	}
	for t := range tokens {
		if whole > 0 {
			out, in := y[t*yStride:][:whole], acc[t*accStride:][:whole]
			finishI8NEON(&out[0], &in[0], sums[t*sumStep], s[t], &scale[:whole][0], whole, adding)
		}
	}
	if whole < rows {
		finishI8Generic(y[whole:], yStride, acc[whole:], accStride, sums, sumStep, s, scale[whole:], tokens, rows-whole, add)
	}
}

func matMulT2F32ForNEON(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
	_ = acc[64*tokens-1]
	_ = w[64*blocks-1]
	_ = x[stride*(tokens-1)+blocks*16-1]
	for t := range tokens {
		matMulT2F32x1NEON(&acc[64*t], &w[0], &x[t*stride], blocks)
	}
}

func matMulT5F32ForNEON(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
	_ = acc[64*tokens-1]
	_ = w[64*blocks-1]
	_ = x[stride*(tokens-1)+blocks*20-1]
	const step = 8
	var unpacked [128 * step]byte
	for k := 0; k < blocks; k += step {
		n := min(step, blocks-k)
		unpackT5NEON(&unpacked[0], &w[64*k], n)
		for t := range tokens {
			matMulT5F32x1NEON(&acc[64*t], &unpacked[0], &x[t*stride+20*k], n)
		}
	}
}

func absMaxBitsForNEON(a []float32) uint32 {
	whole := len(a) &^ 15
	m := absMaxBitsGeneric(a[whole:])
	if whole > 0 {
		m = max(m, absMaxBitsNEON(&a[0], whole))
	}
	return m
}

func convertInt8ForNEON(q []int8, a []float32, s float32) int32 {
	whole := len(a) &^ 15
	sum := convertInt8Generic(q[whole:], a[whole:], s)
	if whole > 0 {
		_ = q[whole-1]
		sum += convertInt8NEON(&q[0], &a[0], whole, s)
	}
	return sum
}

func streamReadForNEON(buf []byte) uint64 {
	whole := len(buf) &^ 127
	x := streamReadGeneric(buf[whole:])
	if whole > 0 {
		x ^= streamReadNEON(&buf[0], whole/128)
	}
	return x
}
