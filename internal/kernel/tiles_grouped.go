package kernel

import "trit/internal/ternary"

// The products of tiles with weights that have scales for groups of columns: products of
// a group are scaled and added to float32 sums as groupedFunc says.

const (
	// tilePanels and tileGroups are how many panels and groups are unpacked at a time:
	// whole records of all layouts, and no more than the L1 cache holds beside 16 rows of
	// activations.
	tilePanels = 2
	tileGroups = 4
)

// groupScratch is the part of a Workspace that they use.
type groupScratch struct {
	trits    [tilePanels * tileGroups * ternary.PanelRows * ternary.GroupWidth]int8
	products [ternary.PanelRows * ternary.PanelRows]int32
	scales   [tilePanels * tileGroups * ternary.PanelRows]float32
	sums     [tileRows * tilePanels * ternary.PanelRows]float32
}

// groupTiles are the products of tiles of grouped layouts.
type groupTiles struct {
	least int // as in tileKernels
	// unpack gives each trit of a layout's records a byte, as unpack of tileKernels does
	// for codes, and each group of columns its scales. Layouts count from G2.
	unpack [3]func(trits []int8, scales []float32, w []byte, units int)
	// mul multiplies tokens ≤ tileRows rows of activations with panels of groups groups:
	// sums[((t/n*panels+p)*n+t%n)*16+r] is set to, or grows by, what groupedFunc adds to
	// acc for row t, panel p and row r. If n does not divide tokens, the last n rows
	// have places of their own, behind those of the other rows. It returns n.
	mul func(sums []float32, x []byte, stride int, trits []int8, scales []float32, groups, tokens, panels int, add bool, products []int32) int
}

// tiles computes rows row0…row1−1 of MatMulGrouped's result.
func (k *groupTiles) tiles(y []float32, yStride int, w *ternary.Matrix, x *GroupedInt8, row0, row1, panel0, panel1 int, ws *Workspace) {
	const groupTrits = ternary.PanelRows * ternary.GroupWidth
	s := &ws.groups
	perUnit := w.Layout.UnitCols() / ternary.GroupWidth
	unpack, size, units := k.unpack[w.Layout-ternary.G2], w.Layout.UnitBytes(), w.Units()
	for row0 < row1 {
		rows := tileRowsAtATime(row1-row0, x.stride)
		for p := panel0; p < panel1; p += tilePanels {
			panels, n := min(tilePanels, panel1-p), 0
			for u0 := 0; u0 < units; u0 += tileGroups / perUnit {
				part := min(tileGroups/perUnit, units-u0)
				groups := part * perUnit
				for i := range panels {
					unpack(s.trits[i*groups*groupTrits:], s.scales[i*groups*ternary.PanelRows:], w.Panel(p + i)[u0*size:], part)
				}
				n = k.mul(s.sums[:], x.data[row0*x.stride+u0*perUnit*recordBytes:], x.stride, s.trits[:], s.scales[:],
					groups, rows, panels, u0 > 0, s.products[:])
			}
			for i := range panels {
				r := (p + i) * ternary.PanelRows
				outs := min(ternary.PanelRows, w.Rows-r)
				for t := range rows {
					block, at := t/n, t%n
					if whole := rows / n; block == whole {
						at += n - rows%n
					}
					sums := s.sums[((block*panels+i)*n+at)*ternary.PanelRows:]
					copy(y[(row0+t)*yStride+r:][:outs], sums)
				}
			}
		}
		row0 += rows
	}
}
