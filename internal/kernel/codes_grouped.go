package kernel

import (
	"unsafe"

	"trit/internal/ternary"
)

// groupCodes are the products of grouped layouts with many rows of activations where there
// are no matrix units: each record of weights is unpacked once for all of these, as
// tileKernels do it without groups, multiplied, scaled, and added to float32 sums as
// groupedFunc says.
type groupCodes struct {
	// least is the number of rows of activations from which on they are faster, by layout
	// from G2 on.
	least [3]int
	// unpack gives each code of a record a byte, group by group, in the order that mul wants
	// them, and the sixteen scales of each group a float32, or returns those of the record.
	// It may write overhang bytes behind the codes.
	unpack [3]unpackGroupFunc
	// mul adds to 16 sums for each of rows rows of activations, stride bytes apart, the
	// products of one group.
	mul func(sums []float32, codes []byte, scales []float32, x []byte, stride, rows int)
}

type unpackGroupFunc = func(codes []byte, scales []float32, record []byte) []float32

const (
	groupBytes = ternary.PanelRows * ternary.GroupWidth // unpacked codes of a group
	overhang   = 2 * ternary.BlockBytes
	maxGroups  = 2 // of a record
)

// multiply computes rows row0…row1−1 of MatMulGrouped's result.
func (k *groupCodes) multiply(y []float32, yStride int, w *ternary.Matrix, x *GroupedInt8, row0, row1, panel0, panel1 int, ws *Workspace) {
	size, groups := w.Layout.UnitBytes(), w.Layout.UnitCols()/ternary.GroupWidth
	unpack := k.unpack[w.Layout-ternary.G2]
	codes, sums := ws.tiles.codes[:maxGroups*groupBytes+overhang], ws.tiles.sums()
	ws.same = false
	for row0 < row1 {
		n := tileRowsAtATime(row1-row0, x.stride)
		for p := panel0; p < panel1; p++ {
			panel := w.Panel(p)
			sums := sums[:n*ternary.PanelRows]
			clear(sums)
			for u := range w.Units() {
				scales := unpack(codes, ws.scale[:maxGroups*ternary.PanelRows], panel[u*size:(u+1)*size])
				for g := range groups {
					records := x.data[row0*x.stride+(u*groups+g)*recordBytes:]
					k.mul(sums, codes[g*groupBytes:], scales[g*ternary.PanelRows:], records, x.stride, n)
				}
			}
			rows := min(ternary.PanelRows, w.Rows-p*ternary.PanelRows)
			for t := range n {
				copy(y[(row0+t)*yStride+p*ternary.PanelRows:][:rows], sums[t*ternary.PanelRows:])
			}
		}
		row0 += n
	}
}

// sums returns the place of sums as float32, 16 for each of tileRows rows.
func (s *tileScratch) sums() []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&s.acc[0])), tileRows*ternary.PanelRows)
}

// recordScales returns the scales of a record of layout G2, which are as they are needed.
func recordScales(record []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&record[groupBytes/4])), ternary.PanelRows)
}
