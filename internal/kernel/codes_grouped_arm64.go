//go:build !noasm

package kernel

import "trit/internal/ternary"

// neonDotGroupCodes and neonI8MMGroupCodes are worth their unpacking, counted in
// instructions, from so many rows of activations on.
var (
	neonDotGroupCodes = groupCodes{
		least: [3]int{8, 6, 16},
		unpack: unpackGroupsOf([2]unpackFunc{unpackFoursOf(ternary.T2, codesT2NEON), unpackFoursOf(ternary.T5, codesT5NEON)},
			codesG1NEON, scalesG5NEON, scalesG1NEON),
		mul: mulGroupOf([]groupAsm{1: mulGroupx1NEONDot, 4: mulGroupx4NEONDot}),
	}
	neonI8MMGroupCodes = groupCodes{
		least:  [3]int{8, 6, 8},
		unpack: pairedGroups(neonDotGroupCodes.unpack),
		mul:    mulGroupOf([]groupAsm{1: mulGroupx1NEONI8MM, 2: mulGroupx2NEONI8MM, 4: mulGroupx4NEONI8MM}),
	}
)

// pairedGroups puts the codes of records in the order of SMMLA.
func pairedGroups(unpack [3]unpackGroupFunc) (paired [3]unpackGroupFunc) {
	for i, f := range unpack {
		const pairs = ternary.GroupWidth / 8
		groups := (ternary.G2 + ternary.Layout(i)).UnitCols() / ternary.GroupWidth
		paired[i] = func(codes []byte, scales []float32, record []byte) []float32 {
			scales = f(codes, scales, record)
			pairCodesNEON(&codes[0], groups*pairs)
			return scales
		}
	}
	return paired
}

func addGroupCodes(k groupedKernels, c *groupCodes) groupedKernels {
	k.codes = c
	return k
}

var neonI8MMGrouped = addGroupCodes(neonDotGrouped, &neonI8MMGroupCodes)

//go:noescape
func codesG1NEON(codes, w *byte)

//go:noescape
func scalesG1NEON(scales *float32, last *byte)

//go:noescape
func scalesG5NEON(scales *float32, last *byte)

//go:noescape
func mulGroupx1NEONDot(sums *float32, x *byte, stride int, codes *byte, scales *float32)

//go:noescape
func mulGroupx4NEONDot(sums *float32, x *byte, stride int, codes *byte, scales *float32)

//go:noescape
func mulGroupx1NEONI8MM(sums *float32, x *byte, stride int, codes *byte, scales *float32)

//go:noescape
func mulGroupx2NEONI8MM(sums *float32, x *byte, stride int, codes *byte, scales *float32)

//go:noescape
func mulGroupx4NEONI8MM(sums *float32, x *byte, stride int, codes *byte, scales *float32)
