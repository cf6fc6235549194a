//go:build !noasm

package kernel

import "trit/internal/ternary"

var neonGrouped = groupedKernels{
	mul: [3]groupedFunc{
		groupedOf(ternary.G2, []groupedAsm{1: matMulG2I8x1NEON}),
		groupedOf(ternary.G5, []groupedAsm{1: matMulG5I8x1NEON}),
		groupedOf(ternary.G1, []groupedAsm{1: matMulG1I8x1NEON}),
	},
	decodes:    [3]bool{true, true, true},
	tileTokens: 12,
}

var neonDotGrouped = groupedKernels{
	mul: [3]groupedFunc{
		groupedOf(ternary.G2, []groupedAsm{1: matMulG2I8x1NEONDot, 4: matMulG2I8x4NEONDot}),
		groupedOf(ternary.G5, []groupedAsm{1: matMulG5I8x1NEONDot, 3: matMulG5I8x3NEONDot}),
		groupedOf(ternary.G1, []groupedAsm{1: matMulG1I8x1NEONDot, 4: matMulG1I8x4NEONDot}),
	},
	decodes:    neonGrouped.decodes,
	tileTokens: neonGrouped.tileTokens,
	codes:      &neonDotGroupCodes,
}

// Each computes what groupedFunc defines, for the number of rows of activations in
// its name.

//go:noescape
func matMulG2I8x1NEONDot(acc *float32, w, x *byte, stride, units, panels int)

//go:noescape
func matMulG2I8x4NEONDot(acc *float32, w, x *byte, stride, units, panels int)

//go:noescape
func matMulG5I8x1NEONDot(acc *float32, w, x *byte, stride, units, panels int)

//go:noescape
func matMulG5I8x3NEONDot(acc *float32, w, x *byte, stride, units, panels int)

//go:noescape
func matMulG1I8x1NEONDot(acc *float32, w, x *byte, stride, units, panels int)

//go:noescape
func matMulG1I8x4NEONDot(acc *float32, w, x *byte, stride, units, panels int)

//go:noescape
func matMulG2I8x1NEON(acc *float32, w, x *byte, stride, units, panels int)

//go:noescape
func matMulG5I8x1NEON(acc *float32, w, x *byte, stride, units, panels int)

//go:noescape
func matMulG1I8x1NEON(acc *float32, w, x *byte, stride, units, panels int)
