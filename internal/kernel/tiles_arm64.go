//go:build !noasm

package kernel

import "trit/internal/ternary"

// neonI8MMTernary multiplies many rows of activations as tiles of two.
var neonI8MMTernary = func() ternaryKernels {
	k := neonDotTernary
	k.tiles = &neonI8MMCodes
	return k
}()

// neonDotCodes take 90 instead of 95 instructions for 1,024 products of eight rows with
// layout T2, and 106 instead of 141 with T5.
var neonDotCodes = tileKernels{
	least:  8,
	unpack: [2]unpackFunc{unpackFoursOf(ternary.T2, codesT2NEON), unpackFoursOf(ternary.T5, codesT5NEON)},
	mul:    mulCodesOf([]codesAsm{1: mulCodesx1NEONDot, 4: mulCodesx4NEONDot}),
	finish: finishTilesOf(finishI8WithNEON),
}

// neonI8MMCodes keeps unpacked codes in an order of its own: pairCodesNEON has it.
var neonI8MMCodes = tileKernels{
	least:  8,
	unpack: [2]unpackFunc{unpackPairsOf(ternary.T2, codesT2NEON), unpackPairsOf(ternary.T5, codesT5NEON)},
	mul:    mulCodesOf([]codesAsm{1: mulCodesx1NEONI8MM, 2: mulCodesx2NEONI8MM, 4: mulCodesx4NEONI8MM}),
	finish: finishTilesOf(finishI8WithNEON),
}

var neonI8MMMeasure = measureKernels{streamRead: neonMeasure.streamRead, int8Peak: int8PeakNEONI8MM, tilePeak: noTiles}

// unpackFoursOf serves unpack of tileKernels.
func unpackFoursOf(l ternary.Layout, all func(codes, w *byte, blocks int)) unpackFunc {
	size := ternary.PanelRows * l.UnitCols()
	return func(codes, w []byte, blocks, _ int) {
		_, _ = codes[size*blocks-1], w[64*blocks-1]
		all(&codes[0], &w[0], blocks)
	}
}

func unpackPairsOf(l ternary.Layout, all func(codes, w *byte, blocks int)) unpackFunc {
	size := ternary.PanelRows * l.UnitCols()
	return func(codes, w []byte, blocks, _ int) {
		_ = w[64*blocks-1]
		const pair = 8 * ternary.PanelRows
		pairs := (size*blocks + pair - 1) / pair
		_ = codes[pairs*pair-1]
		all(&codes[0], &w[0], blocks)
		pairCodesNEON(&codes[0], pairs)
	}
}

//go:noescape
func codesT2NEON(codes, w *byte, blocks int)

//go:noescape
func codesT5NEON(codes, w *byte, blocks int)

//go:noescape
func pairCodesNEON(codes *byte, n int)

//go:noescape
func mulCodesx1NEONDot(acc *int32, x *int8, stride int, codes *byte, steps int)

//go:noescape
func mulCodesx4NEONDot(acc *int32, x *int8, stride int, codes *byte, steps int)

//go:noescape
func mulCodesx1NEONI8MM(acc *int32, x *int8, stride int, codes *byte, steps int)

//go:noescape
func mulCodesx2NEONI8MM(acc *int32, x *int8, stride int, codes *byte, steps int)

//go:noescape
func mulCodesx4NEONI8MM(acc *int32, x *int8, stride int, codes *byte, steps int)

func int8PeakNEONI8MM(iters int) int64
