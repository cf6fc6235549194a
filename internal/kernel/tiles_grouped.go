package kernel

import (
	"encoding/binary"

	"trit/internal/hugemem"
	"trit/internal/ternary"
)

// The products of tiles with weights that have scales for groups of columns: products of
// a group are scaled and added to float32 sums as groupedFunc says. A record of
// activations is longer than a cache line by so little that a tile of sixteen takes
// twice the time to load, and longer to arrive; so rows are kept once more, in blocks of
// sixteen whose groups lie as they are read: two tiles and the inverse scales.

const (
	blockRows       = ternary.PanelRows
	blockSums       = blockRows * ternary.PanelRows
	tileGroupScales = blockRows * ternary.GroupWidth
	tileGroupBytes  = tileGroupScales + 4*blockRows

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
	// mul multiplies blocks of rows of activations, blockBytes apart, with panels of
	// groups groups: sums[((b*panels+p)*blockRows+t)*16+r] is set to, or grows by, what
	// groupedFunc adds to acc for row t of block b and row r of panel p.
	mul func(sums []float32, x []byte, blockBytes int, trits []int8, scales []float32, groups, blocks, panels int, add bool, products []int32)
}

// newBlocks returns the memory for blocks of rows of so many bytes of records.
func newBlocks(rows, stride int) []byte { return hugemem.Bytes(blocksBytes(rows, stride)) }

func blocksBytes(rows, stride int) int {
	return (rows + blockRows - 1) / blockRows * (stride / recordBytes) * tileGroupBytes
}

// blockBytes returns the bytes of one block.
func (x *GroupedInt8) blockBytes() int { return x.stride / recordBytes * tileGroupBytes }

// setBlocks copies a row's records into its block.
func (x *GroupedInt8) setBlocks(row int) {
	if !withTiles || x.blocks == nil {
		return
	}
	at := row % blockRows
	for g := range x.stride / recordBytes {
		record := x.record(row, g)
		to := x.blocks[row/blockRows*x.blockBytes()+g*tileGroupBytes:][:tileGroupBytes]
		copy(to[at*tileStep:][:tileStep], record[:tileStep])
		copy(to[(blockRows+at)*tileStep:][:tileStep], record[tileStep:])
		binary.LittleEndian.PutUint32(to[tileGroupScales+4*at:], binary.LittleEndian.Uint32(record[recordScale:]))
	}
}

// tiles computes rows row0…row1−1 of MatMulGrouped's result.
func (k *groupTiles) tiles(y []float32, yStride int, w *ternary.Matrix, x *GroupedInt8, row0, row1, panel0, panel1 int, ws *Workspace) {
	const groupTrits = ternary.PanelRows * ternary.GroupWidth
	s := &ws.groups
	perUnit := w.Layout.UnitCols() / ternary.GroupWidth
	unpack, size, units := k.unpack[w.Layout-ternary.G2], w.Layout.UnitBytes(), w.Units()
	first := row0 - row0%blockRows
	for first < row1 {
		// Rows of the last block that are not asked for hold what was there before.
		n := tileRowsAtATime(row1-first, x.stride)
		blocks := (n + blockRows - 1) / blockRows
		for p := panel0; p < panel1; p += tilePanels {
			panels := min(tilePanels, panel1-p)
			for u0 := 0; u0 < units; u0 += tileGroups / perUnit {
				part := min(tileGroups/perUnit, units-u0)
				groups := part * perUnit
				for i := range panels {
					unpack(s.trits[i*groups*groupTrits:], s.scales[i*groups*ternary.PanelRows:], w.Panel(p + i)[u0*size:], part, aheadOf(w, u0, part))
				}
				// Results are stored after each block's last groups, as they wait for memory.
				step := blocks
				if u0+part == units {
					step = 1
				}
				for b := 0; b < blocks; b += step {
					k.mul(s.sums[b*panels*blockSums:], x.blocks[(first/blockRows+b)*x.blockBytes()+u0*perUnit*tileGroupBytes:], x.blockBytes(),
						s.trits[:], s.scales[:], groups, step, panels, u0 > 0, s.products[:])
					if step == 1 {
						at := first + b*blockRows
						storeBlock(y, yStride, w.Rows, s.sums[b*panels*blockSums:], at, max(at, row0), min(at+blockRows, row1), p, panels)
					}
				}
			}
		}
		first += n
	}
}

// storeBlock stores the sums of a block that begins with row first: those of rows row0 to
// row1−1.
func storeBlock(y []float32, yStride, rows int, sums []float32, first, row0, row1, panel, panels int) {
	for t := row0; t < row1; t++ {
		for i := range panels {
			r := (panel + i) * ternary.PanelRows
			from := sums[(i*blockRows+t-first)*ternary.PanelRows:]
			if to := y[t*yStride+r:]; r+ternary.PanelRows <= rows {
				*(*[ternary.PanelRows]float32)(to) = [ternary.PanelRows]float32(from)
			} else {
				copy(to[:rows-r], from)
			}
		}
	}
}
