//go:build !noasm && (amd64 || arm64)

package kernel

import "trit/internal/ternary"

// groupAsm adds the products of one group with a fixed number of rows of activations to
// their sums.
type groupAsm = func(sums *float32, x *byte, stride int, codes *byte, scales *float32)

// mulGroupOf serves mul of groupCodes with the largest kernels that fit: kernels[n] takes
// n rows; there is one for a single row.
func mulGroupOf(kernels []groupAsm) func(sums []float32, codes []byte, scales []float32, x []byte, stride, rows int) {
	return func(sums []float32, codes []byte, scales []float32, x []byte, stride, rows int) {
		_ = sums[rows*ternary.PanelRows-1]
		_, _ = codes[groupBytes-1], scales[ternary.PanelRows-1]
		_ = x[(rows-1)*stride+recordBytes-1]
		for at := 0; at < rows; {
			n := min(rows-at, len(kernels)-1)
			for kernels[n] == nil {
				n--
			}
			kernels[n](&sums[at*ternary.PanelRows], &x[at*stride], stride, &codes[0], &scales[0])
			at += n
		}
	}
}

// unpackGroupsOf serves unpack of groupCodes with the kernels that unpack blocks of layouts
// T2 and T5, of which records consist, and some for what else is in them.
func unpackGroupsOf(unpack [2]unpackFunc, codesG1 func(codes, w *byte), scalesG5, scalesG1 func(scales *float32, last *byte)) [3]unpackGroupFunc {
	const (
		last5 = 6 * ternary.BlockBytes // where the last columns and the scales of a record are
		last1 = 8 * ternary.BlockBytes
		bytes = groupBytes - 8*ternary.PanelRows // unpacked before the last columns
	)
	return [3]unpackGroupFunc{
		func(codes []byte, _ []float32, record []byte) []float32 {
			unpack[ternary.T2](codes, record, groupBytes/256, len(record))
			return recordScales(record)
		},
		func(codes []byte, scales []float32, record []byte) []float32 {
			unpack[ternary.T5](codes, record, 6, len(record))
			unpack[ternary.T2](codes[bytes:], record[last5:], 1, len(record))
			_ = scales[ternary.PanelRows-1]
			scalesG5(&scales[0], &record[last5])
			return scales
		},
		func(codes []byte, scales []float32, record []byte) []float32 {
			_, _ = codes[maxGroups*groupBytes-1], scales[maxGroups*ternary.PanelRows-1]
			codesG1(&codes[0], &record[0])
			scalesG1(&scales[0], &record[last1])
			return scales
		},
	}
}
