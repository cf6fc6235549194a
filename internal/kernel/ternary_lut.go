package kernel

// The LUT kernels replace multiplications by table look-ups: a packed byte
// selects, from a table built for its four or five activations, the sum of all
// their products. A table is built once and used by all panels at hand, so that
// it takes many panels per call to pay for it. Where a table would serve one
// panel only, in mat-mats and with column groups, LUT does what Blocked does.

var lutTernary = ternaryKernels{
	matVec:     [2]matVecFunc{matVecT2I8LUT, matVecT5I8LUT},
	tile:       blockedTernary.tile,
	tileTokens: blockedTernary.tileTokens,
	finish:     finishI8Generic,
	matMulF32:  blockedTernary.matMulF32,
}

func matVecT2I8LUT(acc []int32, w []byte, x []int8, blocks, segments, xStep int, ws *Workspace) {
	if xStep != 0 {
		matVecT2I8Generic(acc, w, x, blocks, segments, xStep, ws)
		return
	}
	matVecLUT(acc, w, x, blocks, segments, 4, 4, ws)
}

func matVecT5I8LUT(acc []int32, w []byte, x []int8, blocks, segments, xStep int, ws *Workspace) {
	if xStep != 0 {
		matVecT5I8Generic(acc, w, x, blocks, segments, xStep, ws)
		return
	}
	matVecLUT(acc, w, x, blocks, segments, 5, 3, ws)
}

// matVecLUT serves layouts whose bytes hold fields digits of the given radix.
func matVecLUT(acc []int32, w []byte, x []int8, blocks, panels, fields, radix int, ws *Workspace) {
	acc = acc[:16*panels]
	clear(acc)
	for k := range blocks {
		for b := range 4 {
			buildLUT((*[256]int16)(ws.lut[256*b:]), x[4*fields*k+b:], fields, radix)
		}
		t0, t1 := (*[256]int16)(ws.lut[:]), (*[256]int16)(ws.lut[256:])
		t2, t3 := (*[256]int16)(ws.lut[512:]), (*[256]int16)(ws.lut[768:])
		for p := range panels {
			block := (*[64]byte)(w[(p*blocks+k)*64:])
			sums := (*[16]int32)(acc[16*p:])
			for r := range sums {
				sums[r] += int32(t0[block[4*r]]) + int32(t1[block[4*r+1]]) + int32(t2[block[4*r+2]]) + int32(t3[block[4*r+3]])
			}
		}
	}
}

// buildLUT sets table[Σ radix^f·c_f] = Σ c_f·x[4f] for all digits c_f. The sums
// stay within 3·4·128 and 2·5·128.
func buildLUT(table *[256]int16, x []int8, fields, radix int) {
	table[0] = 0
	size := 1
	for f := range fields {
		v := int16(x[4*f])
		for i := size; i < size*radix; i++ {
			table[i] = table[i-size] + v
		}
		size *= radix
	}
}
