//go:build !noasm

package kernel

// simdKernels returns the assembly kernels of a level.
func simdKernels(l Level) simd {
	switch l {
	case AVX512VBMI:
		k := simdAVX512
		k.ternary.matVec[1] = matVecT5I8VBMI
		k.ternary.tile[1] = matMulT5I8VBMI
		k.ternary.matMulF32[1] = matMulT5F32VBMI
		return k
	case AVX512:
		return simdAVX512
	case AVX2:
		return simdAVX2
	}
	return simdGeneric
}

// simdAVX512 decodes T5 with AVX2: only VBMI has the table look-up for it.
var simdAVX512 = simd{
	ternary: ternaryKernels{
		matVec:     [2]matVecFunc{matVecT2I8VNNI, matVecT5I8For256},
		tile:       [2]tileFunc{matMulT2I8VNNI, matMulT5I8For256},
		tileTokens: 24,
		finish:     finishI8For512,
		matMulF32:  [2]floatFunc{matMulT2F32For512, matMulT5F32For256},
	},
	int8:       int8Kernels{absMaxBits: absMaxBitsFor512, convert: convertInt8For512},
	streamRead: streamReadFor512,
	int8Peak:   func(iters int) int64 { return int8PeakAVX512(iters) },
}

var simdAVX2 = simd{
	ternary: ternaryKernels{
		matVec:     [2]matVecFunc{matVecT2I8For256, matVecT5I8For256},
		tile:       [2]tileFunc{matMulT2I8For256, matMulT5I8For256},
		tileTokens: 16,
		finish:     finishI8For256,
		matMulF32:  [2]floatFunc{matMulT2F32For256, matMulT5F32For256},
	},
	int8:       int8Kernels{absMaxBits: absMaxBitsFor256, convert: convertInt8For256},
	streamRead: streamReadFor256,
	int8Peak:   func(iters int) int64 { return int8PeakAVX2(iters) },
}

// The functions below put slices in place of the assembly's pointers. Slicing
// first to what a kernel touches keeps a wrong shape from becoming a wild access.

func matVecT2I8VNNI(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
	checkVec(acc, w, x, blocks, segments, xStep, 16)
	matVecT2I8AVX512(&acc[0], &w[0], &x[0], blocks, segments, xStep)
}

func matVecT5I8VBMI(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
	checkVec(acc, w, x, blocks, segments, xStep, 20)
	matVecT5I8AVX512VBMI(&acc[0], &w[0], &x[0], blocks, segments, xStep)
}

func matVecT2I8For256(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
	checkVec(acc, w, x, blocks, segments, xStep, 16)
	for i := range segments {
		matMulT2I8x1AVX2(&acc[16*i], &w[64*blocks*i], &x[xStep*i], 0, blocks)
	}
}

func matVecT5I8For256(acc []int32, w []byte, x []int8, blocks, segments, xStep int, _ *Workspace) {
	checkVec(acc, w, x, blocks, segments, xStep, 20)
	for i := range segments {
		matMulT5I8x1AVX2(&acc[16*i], &w[64*blocks*i], &x[xStep*i], 0, blocks)
	}
}

func checkVec(acc []int32, w []byte, x []int8, blocks, segments, xStep, width int) {
	_ = acc[16*segments-1]
	_ = w[64*blocks*segments-1]
	_ = x[xStep*(segments-1)+blocks*width-1]
}

// matMulAsm computes 16 sums for some rows of activations, stride apart.
type matMulAsm = func(acc *int32, w *byte, x *int8, stride, blocks int)

// The assembly of each layout by the number of rows of activations.
var (
	tilesT2AVX512 = [25]matMulAsm{
		1: func(acc *int32, w *byte, x *int8, _, blocks int) { matVecT2I8AVX512(acc, w, x, blocks, 1, 0) },
		2: matMulT2I8x2AVX512, 3: matMulT2I8x3AVX512, 4: matMulT2I8x4AVX512, 5: matMulT2I8x5AVX512, 6: matMulT2I8x6AVX512,
		7: matMulT2I8x7AVX512, 8: matMulT2I8x8AVX512, 12: matMulT2I8x12AVX512, 16: matMulT2I8x16AVX512, 24: matMulT2I8x24AVX512,
	}
	tilesT5VBMI = [25]matMulAsm{
		1: func(acc *int32, w *byte, x *int8, _, blocks int) { matVecT5I8AVX512VBMI(acc, w, x, blocks, 1, 0) },
		2: matMulT5I8x2AVX512VBMI, 3: matMulT5I8x3AVX512VBMI, 4: matMulT5I8x4AVX512VBMI, 5: matMulT5I8x5AVX512VBMI, 6: matMulT5I8x6AVX512VBMI,
		7: matMulT5I8x7AVX512VBMI, 8: matMulT5I8x8AVX512VBMI, 12: matMulT5I8x12AVX512VBMI, 16: matMulT5I8x16AVX512VBMI, 24: matMulT5I8x24AVX512VBMI,
	}
	tilesT2AVX2 = [25]matMulAsm{1: matMulT2I8x1AVX2, 2: matMulT2I8x2AVX2, 3: matMulT2I8x3AVX2, 4: matMulT2I8x4AVX2}
	tilesT5AVX2 = [25]matMulAsm{1: matMulT5I8x1AVX2, 2: matMulT5I8x2AVX2, 3: matMulT5I8x3AVX2, 4: matMulT5I8x4AVX2}
)

func matMulT2I8VNNI(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
	runTiles(&tilesT2AVX512, acc, w, x, stride, blocks, tokens, 16)
}

func matMulT5I8VBMI(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
	runTiles(&tilesT5VBMI, acc, w, x, stride, blocks, tokens, 20)
}

func matMulT2I8For256(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
	runTiles(&tilesT2AVX2, acc, w, x, stride, blocks, tokens, 16)
}

func matMulT5I8For256(acc []int32, w []byte, x []int8, stride, blocks, tokens int, _ *Workspace) {
	runTiles(&tilesT5AVX2, acc, w, x, stride, blocks, tokens, 20)
}

// runTiles covers tokens with the largest kernels that fit.
func runTiles(tiles *[25]matMulAsm, acc []int32, w []byte, x []int8, stride, blocks, tokens, width int) {
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

func finishI8For512(y []float32, yStride int, acc []int32, accStride int, sums []int32, sumStep int, s, scale []float32, tokens, rows int, add bool) {
	checkFinish(y, yStride, acc, accStride, sums, sumStep, s, scale, tokens, rows)
	finishI8AVX512(&y[0], yStride, &acc[0], accStride, &sums[0], sumStep, &s[0], &scale[0], tokens, rows, flag(add))
}

func finishI8For256(y []float32, yStride int, acc []int32, accStride int, sums []int32, sumStep int, s, scale []float32, tokens, rows int, add bool) {
	checkFinish(y, yStride, acc, accStride, sums, sumStep, s, scale, tokens, rows)
	whole := rows &^ 7
	if whole > 0 {
		finishI8AVX2(&y[0], yStride, &acc[0], accStride, &sums[0], sumStep, &s[0], &scale[0], tokens, whole, flag(add))
	}
	if whole < rows {
		finishI8Generic(y[whole:], yStride, acc[whole:], accStride, sums, sumStep, s, scale[whole:], tokens, rows-whole, add)
	}
}

func checkFinish(y []float32, yStride int, acc []int32, accStride int, sums []int32, sumStep int, s, scale []float32, tokens, rows int) {
	_ = y[(tokens-1)*yStride+rows-1]
	_ = acc[(tokens-1)*accStride+rows-1]
	_ = sums[(tokens-1)*sumStep]
	_ = s[tokens-1]
	_ = scale[rows-1]
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// matMulF32Asm adds to the partial sums of some rows of activations.
type matMulF32Asm = func(acc *float32, w *byte, x *float32, stride, blocks int)

func matMulT2F32For512(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
	runFloat512(matMulT2F32x1AVX512, matMulT2F32x4AVX512, acc, w, x, stride, blocks, tokens, 16)
}

func matMulT5F32VBMI(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
	runFloat512(matMulT5F32x1AVX512VBMI, matMulT5F32x4AVX512VBMI, acc, w, x, stride, blocks, tokens, 20)
}

func matMulT2F32For256(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
	runFloat256(matMulT2F32x1AVX2, matMulT2F32x2AVX2, acc, w, x, stride, blocks, tokens, 16)
}

func matMulT5F32For256(acc []float32, w []byte, x []float32, stride, blocks, tokens int) {
	runFloat256(matMulT5F32x1AVX2, matMulT5F32x2AVX2, acc, w, x, stride, blocks, tokens, 20)
}

func runFloat512(one, four matMulF32Asm, acc []float32, w []byte, x []float32, stride, blocks, tokens, width int) {
	checkFloat(acc, w, x, stride, blocks, tokens, width)
	if tokens == 4 {
		four(&acc[0], &w[0], &x[0], stride, blocks)
		return
	}
	for t := range tokens {
		one(&acc[64*t], &w[0], &x[t*stride], stride, blocks)
	}
}

// runFloat256 calls the assembly for each half of the panel.
func runFloat256(one, two matMulF32Asm, acc []float32, w []byte, x []float32, stride, blocks, tokens, width int) {
	checkFloat(acc, w, x, stride, blocks, tokens, width)
	for half := range 2 {
		t := 0
		for ; t+2 <= tokens; t += 2 {
			two(&acc[64*t+8*half], &w[32*half], &x[t*stride], stride, blocks)
		}
		if t < tokens {
			one(&acc[64*t+8*half], &w[32*half], &x[t*stride], stride, blocks)
		}
	}
}

func checkFloat(acc []float32, w []byte, x []float32, stride, blocks, tokens, width int) {
	_ = acc[64*tokens-1]
	_ = w[64*blocks-1]
	_ = x[stride*(tokens-1)+blocks*width-1]
}

func absMaxBitsFor512(a []float32) uint32 {
	if len(a) == 0 {
		return 0
	}
	return absMaxBitsAVX512(&a[0], len(a))
}

func absMaxBitsFor256(a []float32) uint32 {
	whole := len(a) &^ 31
	m := absMaxBitsGeneric(a[whole:])
	if whole > 0 {
		m = max(m, absMaxBitsAVX2(&a[0], whole))
	}
	return m
}

func convertInt8For512(q []int8, a []float32, s float32) int32 {
	if len(a) == 0 {
		return 0
	}
	_ = q[len(a)-1]
	return convertInt8AVX512(&q[0], &a[0], len(a), s)
}

func convertInt8For256(q []int8, a []float32, s float32) int32 {
	whole := len(a) &^ 31
	sum := convertInt8Generic(q[whole:], a[whole:], s)
	if whole > 0 {
		_ = q[whole-1]
		sum += convertInt8AVX2(&q[0], &a[0], whole, s)
	}
	return sum
}

func streamReadFor512(buf []byte) uint64 {
	whole := len(buf) &^ 511
	x := streamReadGeneric(buf[whole:])
	if whole > 0 {
		x ^= streamReadAVX512(&buf[0], whole/512)
	}
	return x
}

func streamReadFor256(buf []byte) uint64 {
	whole := len(buf) &^ 511
	x := streamReadGeneric(buf[whole:])
	if whole > 0 {
		x ^= streamReadAVX2(&buf[0], whole/512)
	}
	return x
}
