package kernel

import (
	"fmt"

	"trit/internal/ternary"
)

// maxFloatTile is the largest number of rows of activations that a matMulF32
// kernel takes at a time.
const maxFloatTile = 4

// MatMulF32 multiplies ternary weights with float32 activations: for every row
// t < nRows of x, row t at x[t*xStride:], and every row r of w that lies in the
// panels panel0 to panel1−1 it sets y[t*yStride+r] = (Σ trit·x)·scale.
//
// The sum has one order on all CPUs: four partial sums over the columns c with
// the same c%4, each in increasing order and every product and sum rounded to
// float32, then (a₀+a₁)+(a₂+a₃), then the scale. With column groups that is
// done per group and the groups' results are added in increasing order. Of the
// grouped layouts it takes G2. It panics when shapes, layout or ranges do not fit,
// and allocates nothing.
func MatMulF32(y []float32, yStride int, w *ternary.Matrix, x []float32, xStride, nRows, panel0, panel1 int, ws *Workspace) {
	if nRows <= 0 || panel0 >= panel1 {
		return
	}
	if xStride < w.Cols && nRows > 1 || (nRows-1)*xStride+w.Cols > len(x) {
		panic(fmt.Sprintf("kernel: MatMulF32: %d rows of %d activations with stride %d from %d values", nRows, w.Cols, xStride, len(x)))
	}
	rowEnd := min(panel1*ternary.PanelRows, w.Rows)
	if yStride < w.Rows && nRows > 1 || (nRows-1)*yStride+rowEnd > len(y) {
		panic(fmt.Sprintf("kernel: MatMulF32: result of %d values with stride %d for row %d up to %d", len(y), yStride, nRows-1, rowEnd))
	}
	if panel0 < 0 || panel1 > w.Panels() {
		panic(fmt.Sprintf("kernel: MatMulF32: panels %d…%d of %d", panel0, panel1, w.Panels()))
	}
	layout := w.Layout
	if layout.Grouped() {
		if layout != ternary.G2 {
			panic(fmt.Sprintf("kernel: MatMulF32: weights in layout %v", layout))
		}
		layout = ternary.T2 // a record begins with its blocks
	}
	mul := active.variant(ws.Variant).matMulF32[layout]
	width := layout.UnitCols()
	all := (w.Cols-1)/width + 1
	groups, blocks := w.Groups(), all
	if w.GroupCols != 0 {
		blocks = w.GroupCols / width
	}
	groupBytes := blocks * ternary.BlockBytes
	if w.Layout.Grouped() {
		groupBytes = w.Layout.UnitBytes()
	}
	for p := panel0; p < panel1; p++ {
		panel := w.Panel(p)
		r := p * ternary.PanelRows
		rows := min(ternary.PanelRows, w.Rows-r)
		for g := range groups {
			lo, hi := g*blocks, min((g+1)*blocks, all)
			group := panel[g*groupBytes:]
			scale := ws.scales(w, r, rows, g)
			// Blocks that lie wholly inside the row; at most one more
			// is read against activations padded with zeros.
			whole := min(hi, w.Cols/width)
			for t := 0; t < nRows; t += maxFloatTile {
				n := min(maxFloatTile, nRows-t)
				acc := ws.facc[:64*n]
				clear(acc)
				if lo < whole {
					mul(acc, group[:(whole-lo)*ternary.BlockBytes], x[t*xStride+lo*width:], xStride, whole-lo, n)
				}
				if whole < hi {
					clear(ws.tail[:])
					for i := range n {
						copy(ws.tail[i*width:], x[(t+i)*xStride+whole*width:(t+i)*xStride+w.Cols])
					}
					mul(acc, group[(whole-lo)*ternary.BlockBytes:(hi-lo)*ternary.BlockBytes], ws.tail[:], width, 1, n)
				}
				for i := range n {
					finishF32(y[(t+i)*yStride+r:][:rows], acc[64*i:][:64], scale, g > 0)
				}
			}
		}
	}
}

// finishF32 folds the partial sums of one row of activations and scales them.
func finishF32(y, acc, scale []float32, add bool) {
	for r := range y {
		v := float32(((acc[r] + acc[16+r]) + (acc[32+r] + acc[48+r])) * scale[r])
		if add {
			v = y[r] + v
		}
		y[r] = v
	}
}
