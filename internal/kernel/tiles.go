package kernel

import "trit/internal/ternary"

// Processors with matrix units multiply tiles: sixteen rows of activations with sixteen
// rows of weights. Weights are unpacked for them into a byte each, so that a mat-mat
// unpacks a few columns of two panels and then takes all rows of activations through
// these, which stay in the L1 cache. Without matrix units that pays off where unpacking
// takes long beside the products.

const (
	// tileCols is how many columns are unpacked at a time: whole blocks of both
	// layouts, a multiple of 64, and no more than the L1 cache holds of two panels
	// beside 32 rows of activations.
	tileCols = 640
	// tileRows is how many rows of activations are multiplied with what was unpacked,
	// if they do not take more than tileActivations bytes: each pair of panels goes
	// through all of them, so they should stay in the L2 cache, which has 2 MB wherever
	// there are tiles.
	tileRows        = 256
	tileActivations = 1 << 20
	// pairRows is how many rows of weights are unpacked at a time.
	pairRows = 2 * ternary.PanelRows
	// tileStep is how many columns a tile has.
	tileStep = 64
)

// tileScratch is the part of a Workspace that products of tiles use.
type tileScratch struct {
	codes [pairRows * tileCols]byte  // panel by panel, for four columns at a time 16 lanes
	acc   [tileRows * pairRows]int32 // Σ code·q, pairRows per row of activations
}

// tileKernels are the products of tiles of one variant.
type tileKernels struct {
	// least is the number of rows of activations from which on they are faster.
	least int
	// unpack gives each code of a layout's blocks a byte: for each four columns 64
	// bytes, of which byte 4r+b is the code of row r in column b. What will be unpacked
	// next is ahead bytes behind w; while it is not needed, it can be fetched.
	unpack [2]func(codes, w []byte, blocks, ahead int)
	// mul multiplies tokens ≤ tileRows rows of activations, stride apart, with the
	// first steps·64 columns of two panels of codes, the second of which begins at
	// codes[second:], or with the first if nobody wants it. Row t's sums go to
	// acc[t*pairRows:], or are added to them.
	mul func(acc []int32, x []int8, stride int, codes []byte, second, steps, tokens int, add bool)
	// finish is finish of ternaryKernels for sums that are pairRows apart, rows ≤
	// pairRows, and s within 2^±tileScaleBits.
	finish func(y []float32, yStride int, acc, sums []int32, s, scale []float32, tokens, rows int)
}

// tiles computes several rows of activations without column groups.
func (m *matMul) tiles(row0, row1, panel0, panel1 int) {
	w, x, k, ws := m.w, m.x, m.k.tiles, &m.ws.tiles
	finish := k.finish
	if !moderate(x.Scale[row0:row1]) {
		finish = m.finishTiles
	}
	width, size := w.Layout.UnitCols(), w.Layout.UnitBytes()
	for row0 < row1 {
		n := tileRowsAtATime(row1-row0, x.Stride)
		for p := panel0; p < panel1; p += 2 {
			// A single panel stands for its neighbour, too.
			panels, second := min(2, panel1-p), 0
			if panels == 2 {
				second = ternary.PanelRows * tileCols
			}
			for k0 := 0; k0 < w.Units(); k0 += tileCols / width {
				units := min(tileCols/width, w.Units()-k0)
				for i := range panels {
					k.unpack[w.Layout](ws.codes[i*second:], w.Panel(p + i)[k0*size:], units, aheadOf(w, k0, units))
				}
				// Behind the last columns codes of earlier ones meet activations of zero.
				steps := (units*width + tileStep - 1) / tileStep
				k.mul(ws.acc[:], x.Q[row0*x.Stride+k0*width:], x.Stride, ws.codes[:], second, steps, n, k0 > 0)
			}
			r := p * ternary.PanelRows
			outs := min(panels*ternary.PanelRows, w.Rows-r)
			finish(m.y[row0*m.yStride+r:], m.yStride, ws.acc[:], x.Sum[row0:], x.Scale[row0:], m.scales(r, outs, 0), n, outs)
		}
		row0 += n
	}
}

// aheadOf returns how far behind a panel's units from one on those are that are unpacked
// after them: the next ones, or the first of the panel after the neighbour.
func aheadOf(w *ternary.Matrix, from, units int) int {
	if from+units < w.Units() {
		return units * w.Layout.UnitBytes()
	}
	return 2*w.PanelBytes() - from*w.Layout.UnitBytes()
}

// finishTiles is finish of tileKernels for all scales.
func (m *matMul) finishTiles(y []float32, yStride int, acc, sums []int32, s, scale []float32, tokens, rows int) {
	m.k.finish(y, yStride, acc, pairRows, sums, 1, s, scale, tokens, rows, false)
}

// Tiles reports whether MatMulI8 and MatMulGrouped multiply so many rows of activations
// as tiles.
func Tiles(rows int) bool {
	t := active.ternary.tiles
	return withTiles && t != nil && rows >= t.least
}

// tileScaleBits bounds the scales by whose inverse sums are multiplied: no quotient and
// no remainder of a quotient is too large or too small for a float32.
const tileScaleBits = 60

// moderate reports whether all scales are positive and within 2^±tileScaleBits.
func moderate(scales []float32) bool {
	for _, s := range scales {
		if !(s >= 1.0/(1<<tileScaleBits) && s <= 1<<tileScaleBits) {
			return false
		}
	}
	return true
}

// tileRowsAtATime returns how many of n rows of activations, stride bytes apart, to take
// first: all, or one of nearly equal parts, of whole tiles.
func tileRowsAtATime(n, stride int) int {
	limit := max(pairRows, min(tileRows, tileActivations/stride)) / pairRows * pairRows
	parts := (n + limit - 1) / limit
	step := (n + parts - 1) / parts
	return min(n, (step+pairRows-1)/pairRows*pairRows)
}
