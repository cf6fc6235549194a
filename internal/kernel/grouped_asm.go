//go:build !noasm && (amd64 || arm64)

package kernel

import "trit/internal/ternary"

// groupedAsm is groupedFunc for a fixed number of rows of activations.
type groupedAsm = func(acc *float32, w, x *byte, stride, units, panels int)

// groupedOf serves products of a grouped layout with the largest kernels that fit:
// kernels[n] takes n rows of activations; there is one for a single row.
func groupedOf(l ternary.Layout, kernels []groupedAsm) groupedFunc {
	size, step := l.UnitBytes(), l.UnitCols()/ternary.GroupWidth*recordBytes
	return func(acc []float32, w, x []byte, stride, units, tokens, panels int) {
		_ = acc[16*tokens*panels-1]
		_ = w[size*units*panels-1]
		_ = x[stride*(tokens-1)+step*units-1]
		if n := len(kernels) - 1; tokens <= n && kernels[tokens] != nil {
			kernels[tokens](&acc[0], &w[0], &x[0], stride, units, panels)
			return
		}
		for p := range panels {
			for at := 0; at < tokens; {
				n := min(tokens-at, len(kernels)-1)
				for kernels[n] == nil {
					n--
				}
				kernels[n](&acc[16*(p*tokens+at)], &w[p*size*units], &x[at*stride], stride, units, 1)
				at += n
			}
		}
	}
}
