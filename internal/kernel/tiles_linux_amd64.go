//go:build !noasm

package kernel

import (
	"syscall"

	"trit/internal/ternary"
)

// permitTiles asks the kernel to let this process use tiles. It says no where it, or the
// hypervisor below it, does not keep them when it switches between threads. The runtime's
// stacks for signals have room for them.
func permitTiles() bool {
	const (
		requestPermission = 0x1023 // ARCH_REQ_XCOMP_PERM
		tileData          = 18     // XFEATURE_XTILEDATA
	)
	_, _, err := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return err == 0
}

func tiledKernels() *kernels { return &amx }

// amx differs where many rows of activations are multiplied with ternary weights.
var amx = withTileKernels(avx512VBMI)

func withTileKernels(k kernels) kernels {
	k.ternary, k.grouped, k.measure = &amxTernary, &amxGrouped, &amxMeasure
	return k
}

// amxTernary multiplies many rows of activations as tiles.
var amxTernary = addTiles(avx512VBMITernary, &amxTiles)

func addTiles(k ternaryKernels, t *tileKernels) ternaryKernels {
	k.tiles = t
	return k
}

var amxTiles = tileKernels{
	// Of five rows VPDPBUSD is as fast, of eight tiles are 1.6 to 1.8 times as fast.
	least: 6,
	unpack: [2]unpackFunc{
		unpackCodesOf(ternary.T2, codesT2AVX512), unpackCodesOf(ternary.T5, codesT5AVX512VBMI),
	},
	mul:    mulTilesAMX,
	finish: finishTilesAVX512,
}

func mulTilesAMX(acc []int32, x []int8, stride int, codes []byte, second, steps, tokens int, add bool) {
	_ = acc[tokens*pairRows-1]
	_ = x[(tokens-1)*stride+steps*tileStep-1]
	_ = codes[second+steps*tileStep*ternary.PanelRows-1]
	adding := 0
	if add {
		adding = 1
	}
	tileMulAMX(&acc[0], &x[0], stride, &codes[0], second, steps, tokens, adding, &tileShapes[0][0])
}

func finishTilesAVX512(y []float32, yStride int, acc, sums []int32, s, scale []float32, tokens, rows int) {
	_ = y[(tokens-1)*yStride+rows-1]
	_ = acc[tokens*pairRows-1]
	_ = sums[tokens-1]
	_ = s[tokens-1]
	_ = scale[rows-1]
	tileFinishAVX512(&y[0], yStride, &acc[0], &sums[0], &s[0], &scale[0], tokens, rows)
}

// amxGrouped multiplies many rows of activations as tiles.
var amxGrouped = addGroupTiles(avx512VBMIGrouped, &amxGroupTiles)

func addGroupTiles(k groupedKernels, t *groupTiles) groupedKernels {
	k.tiles = t
	return k
}

var amxGroupTiles = groupTiles{
	least: 3,
	mul: [3]groupTilesFunc{
		groupTilesOf(ternary.G2, [...]groupTilesAsm{tileMulG2x4AMX, tileMulG2x8AMX, tileMulG2x12AMX, tileMulG2x16AMX}),
		groupTilesOf(ternary.G5, [...]groupTilesAsm{tileMulG5x4AMX, tileMulG5x8AMX, tileMulG5x12AMX, tileMulG5x16AMX}),
		groupTilesOf(ternary.G1, [...]groupTilesAsm{tileMulG1x4AMX, tileMulG1x8AMX, tileMulG1x12AMX, tileMulG1x16AMX}),
	},
}

type groupTilesAsm = func(y *float32, yStride int, w, x, inverse *byte,
	stride, units, rows, panels, outs int, scratch, shapes *byte)

// groupTilesOf serves mul of groupTiles with kernels for all heights.
func groupTilesOf(l ternary.Layout, kernels [len(heights)]groupTilesAsm) groupTilesFunc {
	size, groups := l.UnitBytes(), l.UnitCols()/ternary.GroupWidth
	return func(y []float32, yStride int, w, x, inverse []byte,
		stride, units, rows, panels, outs int, scratch *groupScratch,
	) {
		height := (rows + heights[0] - 1) / heights[0] * heights[0]
		_ = y[(rows-1)*yStride+outs-1]
		_ = w[size*units*panels-1]
		_ = x[(rows-1)*stride+units*groups*ternary.GroupWidth-1]
		// Rows behind the last may be another worker's, who writes them meanwhile: what comes of
		// them is not stored.
		_ = inverse[:(height-1)*stride+4*units*groups]
		kernels[height/heights[0]-1](&y[0], 4*yStride, &w[0], &x[0], &inverse[0],
			stride, units, rows, panels, outs, &scratch[0], &tileShapes[rows][0])
	}
}

var amxMeasure = measureKernels{
	streamRead: avx512Measure.streamRead, int8Peak: avx512Measure.int8Peak,
	tilePeak: func(iters int) int64 { return tilePeakAMX(&tileShapes[pairRows][0], iters) },
}

// tileShapes holds the shapes of all tiles for n rows of activations, in the tiles before
// 6: all in each of them, or of more than 16 these in tiles 0, 1 and 4 and the rest in 2, 3
// and 5. A palette is followed by the bytes of a row of each tile as words from byte 16 on,
// and the numbers of rows from byte 48 on.
var tileShapes = func() (shapes [pairRows + 1][64]byte) {
	for n := range shapes {
		s := &shapes[n]
		s[0] = 1
		for i := range 8 {
			s[16+2*i], s[48+i] = tileStep, ternary.PanelRows
		}
		if n%ternary.PanelRows != 0 {
			tiles := []int{0, 1, 2, 3, 4, 5}
			if n > ternary.PanelRows {
				tiles = []int{2, 3, 5}
			}
			for _, i := range tiles {
				s[48+i] = byte(n % ternary.PanelRows)
			}
		}
	}
	return shapes
}()
