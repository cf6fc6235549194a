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
	// Of four rows VPDPBUSD is about as fast.
	least: 5,
	unpack: [3]func(trits []int8, scales []float32, w []byte, units, ahead int){
		unpackGroupsOf(ternary.G2, tritsG2AVX512), unpackGroupsOf(ternary.G5, tritsG5GFNI), unpackGroupsOf(ternary.G1, tritsG1AVX512),
	},
	mul: mulGroupTilesAMX,
}

func unpackGroupsOf(l ternary.Layout, all func(trits *int8, scales *float32, w *byte, units, ahead int)) func(trits []int8, scales []float32, w []byte, units, ahead int) {
	weights, size, groups := ternary.PanelRows*l.UnitCols(), l.UnitBytes(), l.UnitCols()/ternary.GroupWidth
	return func(trits []int8, scales []float32, w []byte, units, ahead int) {
		_ = trits[weights*units-1]
		_ = scales[ternary.PanelRows*groups*units-1]
		_ = w[size*units-1]
		all(&trits[0], &scales[0], &w[0], units, ahead)
	}
}

func mulGroupTilesAMX(sums []float32, x, inverse []byte, stride int, trits []int8, scales []float32, groups, rows, blocks, panels int, add bool, products []int32) {
	_ = sums[blocks*panels*rows*ternary.PanelRows-1]
	_ = x[(rows*blocks-1)*stride+groups*ternary.GroupWidth-1]
	_ = inverse[(rows*blocks-1)*stride+4*groups-1]
	_ = trits[panels*groups*ternary.PanelRows*ternary.GroupWidth-1]
	_ = scales[panels*groups*ternary.PanelRows-1]
	_ = products[blockSums-1]
	adding := 0
	if add {
		adding = 1
	}
	mul := tileGroups16AMX
	if rows == heights[0] {
		mul = tileGroups8AMX
	}
	mul(&sums[0], &x[0], &inverse[0], stride, &trits[0], &scales[0], groups, blocks, panels, adding, &products[0], &tileShapes[rows][0])
}

var amxMeasure = measureKernels{
	streamRead: avx512Measure.streamRead, int8Peak: avx512Measure.int8Peak,
	tilePeak: func(iters int) int64 { return tilePeakAMX(&tileShapes[pairRows][0], iters) },
}

// tileShapes holds the shapes of all tiles for n rows of activations, 16 in tiles 0, 1
// and 4 and the rest in 2, 3 and 5: a palette, the bytes of a row of each tile as words
// from byte 16 on, and the numbers of rows from byte 48 on.
var tileShapes = func() (shapes [pairRows + 1][64]byte) {
	for n := range shapes {
		s := &shapes[n]
		s[0] = 1
		for i := range 8 {
			s[16+2*i], s[48+i] = tileStep, ternary.PanelRows
		}
		if n%ternary.PanelRows != 0 {
			tiles := []int{0, 1, 4}
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
