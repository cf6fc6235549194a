package kernel

import (
	"encoding/binary"

	"trit/internal/ternary"
)

// The products of tiles with weights that have scales for groups of columns: products of
// a group are scaled and added to float32 sums as groupedFunc says. A record of
// activations is longer than a cache line by so little that a tile of sixteen takes
// twice the time to load, and longer to arrive; so rows are kept once more, as wide rows:
// the codes of all groups, each two lines, and behind them the inverse scales. A tile
// can begin with any row.

const (
	blockRows = ternary.PanelRows
	blockSums = blockRows * ternary.PanelRows

	// tilePanels and tileGroups are how many panels and groups are unpacked at a time:
	// whole records of all layouts, and no more than the L1 cache holds beside 16 rows of
	// activations.
	tilePanels = 2
	tileGroups = 4
)

// groupScratch is the part of a Workspace that they use.
type groupScratch struct {
	trits    [tilePanels * tileGroups * ternary.PanelRows * ternary.GroupWidth]int8
	products [blockSums]int32
	scales   [tilePanels * tileGroups * ternary.PanelRows]float32
	sums     [tileRows * tilePanels * ternary.PanelRows]float32
}

// groupTiles are the products of tiles of grouped layouts.
type groupTiles struct {
	least int // as in tileKernels
	// unpack gives each trit of a layout's records a byte, as unpack of tileKernels does
	// for codes, and each group of columns its scales. Layouts count from G2.
	unpack [3]func(trits []int8, scales []float32, w []byte, units, ahead int)
	// mul multiplies blocks of rows ≤ blockRows rows of activations, stride bytes apart,
	// whose inverse scales are as far apart, with panels of groups groups:
	// sums[((b*panels+p)*rows+t)*16+r] is set to, or grows by, what groupedFunc adds to
	// acc for row t of block b and row r of panel p. rows is one of heights.
	mul func(sums []float32, x, inverse []byte, stride int, trits []int8, scales []float32, groups, rows, blocks, panels int, add bool, products []int32)
}

// heights are the numbers of rows that tiles of activations have.
var heights = [...]int{blockRows / 2, blockRows}

// wideBytes returns the memory for wide rows of so many bytes of records. Behind the last
// there is room for what is loaded with it to fill a tile.
func wideBytes(rows, stride int) int { return (rows + heights[0] - 1) * wideStride(stride/recordBytes) }

// wideStride returns the bytes of a wide row of so many groups: lines of an odd number, so
// that those of a tile lie in different sets of a cache.
func wideStride(groups int) int {
	lines := groups*ternary.GroupWidth/tileStep + (4*groups+tileStep-1)/tileStep
	return (lines | 1) * tileStep
}

// setWide copies a row's records into its wide row.
func (x *GroupedInt8) setWide(row int) {
	if !withTiles || x.wide == nil {
		return
	}
	groups := x.stride / recordBytes
	to := x.wide[row*wideStride(groups):][:wideStride(groups)]
	for g := range groups {
		record := x.record(row, g)
		copy(to[g*ternary.GroupWidth:][:ternary.GroupWidth], record)
		binary.LittleEndian.PutUint32(to[groups*ternary.GroupWidth+4*g:], binary.LittleEndian.Uint32(record[recordScale:]))
	}
}

// tiles computes rows row0…row1−1 of MatMulGrouped's result.
func (k *groupTiles) tiles(y []float32, yStride int, w *ternary.Matrix, x *GroupedInt8, row0, row1, panel0, panel1 int, ws *Workspace) {
	const groupTrits = ternary.PanelRows * ternary.GroupWidth
	s := &ws.groups
	perUnit := w.Layout.UnitCols() / ternary.GroupWidth
	unpack, size, units := k.unpack[w.Layout-ternary.G2], w.Layout.UnitBytes(), w.Units()
	all := x.stride / recordBytes
	stride := wideStride(all)
	for row0 < row1 {
		n := tileRowsAtATime(row1-row0, x.stride)
		for p := panel0; p < panel1; p += tilePanels {
			panels := min(tilePanels, panel1-p)
			for u0 := 0; u0 < units; u0 += tileGroups / perUnit {
				part := min(tileGroups/perUnit, units-u0)
				groups := part * perUnit
				for i := range panels {
					unpack(s.trits[i*groups*groupTrits:], s.scales[i*groups*ternary.PanelRows:], w.Panel(p + i)[u0*size:], part, aheadOf(w, u0, part))
				}
				codes := x.wide[row0*stride+u0*perUnit*ternary.GroupWidth:]
				inverse := x.wide[row0*stride+all*ternary.GroupWidth+4*u0*perUnit:]
				// Results are stored after each block's last groups, as they wait for memory.
				last := u0+part == units
				for t := 0; t < n; {
					rows, blocks := blockRows, 1
					switch {
					case n-t <= heights[0]:
						rows = heights[0]
					case !last:
						blocks = (n - t + heights[0] - 1) / blockRows
					}
					sums := s.sums[t*panels*ternary.PanelRows:]
					k.mul(sums, codes[t*stride:], inverse[t*stride:], stride, s.trits[:], s.scales[:], groups, rows, blocks, panels, u0 > 0, s.products[:])
					if last {
						storeBlock(y[(row0+t)*yStride:], yStride, w.Rows, sums, rows, min(rows, n-t), p, panels)
					}
					t += rows * blocks
				}
			}
		}
		row0 += n
	}
}

// storeBlock stores the sums of the first n rows of a block of so many.
func storeBlock(y []float32, yStride, outs int, sums []float32, rows, n, panel, panels int) {
	for t := range n {
		for i := range panels {
			r := (panel + i) * ternary.PanelRows
			from := sums[(i*rows+t)*ternary.PanelRows:]
			if to := y[t*yStride+r:]; r+ternary.PanelRows <= outs {
				*(*[ternary.PanelRows]float32)(to) = [ternary.PanelRows]float32(from)
			} else {
				copy(to[:outs-r], from)
			}
		}
	}
}
