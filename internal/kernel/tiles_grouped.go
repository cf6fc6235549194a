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

// blockRows is how many rows of activations a tile has at most.
const blockRows = 16

// groupScratch is the part of a Workspace that they use: records of trits with their
// scales, and products.
type groupScratch [4*2*64 + 3*2*ternary.PanelRows*ternary.GroupWidth + 2*blockRows*64]byte

// groupTiles are the products of tiles of grouped layouts.
type groupTiles struct {
	least int               // as in tileKernels
	mul   [3]groupTilesFunc // layouts count from G2
}

// groupTilesFunc multiplies rows ≤ blockRows rows of activations, stride bytes apart, whose
// inverse scales are as far apart, with panels of units records, as groupedFunc says. The
// result of row t and row r of the weights goes to y[t*yStride+r], if r < outs. Inverse
// scales of as many rows as fill a tile can be read.
type groupTilesFunc = func(y []float32, yStride int, w, x, inverse []byte,
	stride, units, rows, panels, outs int, scratch *groupScratch)

// heights are the numbers of rows that there are kernels for.
var heights = [...]int{4, 8, 12, 16}

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
	groups := x.stride / recordBytes
	stride := wideStride(groups)
	mul := k.mul[w.Layout-ternary.G2]
	for panel0 < panel1 {
		data := w.Run(panel0, panel1-panel0)
		panels := len(data) / w.PanelBytes()
		from := panel0 * ternary.PanelRows
		outs := min(panels*ternary.PanelRows, w.Rows-from)
		for row := row0; row < row1; {
			// Blocks of nearly equal heights.
			blocks := (row1 - row + blockRows - 1) / blockRows
			n := (row1 - row + blocks - 1) / blocks
			codes := x.wide[row*stride:]
			mul(y[row*yStride+from:], yStride, data, codes, codes[groups*ternary.GroupWidth:],
				stride, w.Units(), n, panels, outs, &ws.groups)
			row += n
		}
		panel0 += panels
	}
}
