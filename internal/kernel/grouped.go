package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"trit/internal/hugemem"
	"trit/internal/ternary"
)

// A record of activations holds the codes of one group of columns, minus their
// sum as an int32, the inverse of their scale as a float32, and minus the sum of the
// first half of them, for weights whose groups are as narrow. Kernels reach all of
// it from one address.
const (
	halfGroup   = ternary.GroupWidth / 2
	recordBias  = ternary.GroupWidth
	recordScale = recordBias + 4
	recordHalf  = recordScale + 4
	recordBytes = recordHalf + 4
)

// GroupedInt8 holds rows of activations, quantised to 8 bits with one scale for
// each ternary.GroupWidth columns: what models are given that were trained with
// full activations. Make one with NewGroupedInt8, give it a width with Reset, fill
// rows with QuantizeGroups.
type GroupedInt8 struct {
	Cols   int // the width of a row
	stride int // bytes from row to row, records of an even number of groups
	rows   int
	data   []byte
	buf    []byte // backs data
	wide   []byte // the rows as tiles are loaded from them, or nil without these
}

// NewGroupedInt8 returns room for maxRows rows of up to maxCols columns, with the
// width set to maxCols.
func NewGroupedInt8(maxRows, maxCols int) *GroupedInt8 {
	if maxRows < 1 || maxCols < 1 {
		panic(fmt.Sprintf("kernel: NewGroupedInt8(%d, %d): both must be positive", maxRows, maxCols))
	}
	stride := groupedStride(maxCols)
	x := &GroupedInt8{rows: maxRows, buf: hugemem.Bytes(maxRows * stride)}
	if withTiles && active.grouped.tiles != nil {
		x.wide = hugemem.Bytes(wideBytes(maxRows, stride))
	}
	x.Reset(maxCols)
	return x
}

// groupedStride returns the bytes of a row: layout G1 reads groups in pairs.
func groupedStride(cols int) int { return (groupCount(cols, 2*ternary.GroupWidth)) * 2 * recordBytes }

// GroupedInt8Bytes returns the memory that NewGroupedInt8 takes.
func GroupedInt8Bytes(maxRows, maxCols int) int64 {
	stride := groupedStride(maxCols)
	n := int64(maxRows) * int64(stride)
	if withTiles && active.grouped.tiles != nil {
		n += int64(wideBytes(maxRows, stride))
	}
	return n
}

// MaxRows returns how many rows fit.
func (x *GroupedInt8) MaxRows() int { return x.rows }

// Bytes returns the memory that the rows occupy.
func (x *GroupedInt8) Bytes() int64 { return int64(len(x.buf) + len(x.wide)) }

// Groups returns the number of scales per row.
func (x *GroupedInt8) Groups() int { return groupCount(x.Cols, ternary.GroupWidth) }

// Reset sets the width for rows that are quantised from now on; what was there is
// lost. It allocates nothing.
func (x *GroupedInt8) Reset(cols int) {
	stride := groupedStride(cols)
	if cols < 1 || stride*x.rows > len(x.buf) {
		panic(fmt.Sprintf("kernel: GroupedInt8.Reset to %d columns: made for %d bytes a row", cols, len(x.buf)/x.rows))
	}
	x.Cols, x.stride = cols, stride
	x.data = x.buf[:stride*x.rows]
}

// record returns group g of a row: its codes and what follows them.
func (x *GroupedInt8) record(row, g int) []byte {
	at := row*x.stride + g*recordBytes
	return x.data[at : at+recordBytes : at+recordBytes]
}

// CopyRow makes a row the same as one of from, which has the same width.
func (x *GroupedInt8) CopyRow(row int, from *GroupedInt8, at int) {
	copy(x.data[row*x.stride:(row+1)*x.stride], from.data[at*from.stride:(at+1)*from.stride])
	if withTiles && x.wide != nil {
		stride := wideStride(x.stride / recordBytes)
		copy(x.wide[row*stride:][:stride], from.wide[at*stride:])
	}
}

// Value returns the activation that stands for column c of a row, code/s.
func (x *GroupedInt8) Value(row, c int) float32 {
	record := x.record(row, c/ternary.GroupWidth)
	scale := math.Float32frombits(binary.LittleEndian.Uint32(record[recordScale:]))
	return float32(int8(record[c%ternary.GroupWidth])) * scale
}

// QuantizeGroups quantises a, x.Cols activations, into a row of x: each group of
// columns by the formula of QuantizeRow, with a scale s of its own, and stands for
// q · float32(1/s). A group with a NaN or an infinity becomes NaN as a whole.
// Rows may be quantised concurrently.
func QuantizeGroups(x *GroupedInt8, row int, a []float32) {
	if len(a) != x.Cols || row < 0 || row >= x.rows {
		panic(fmt.Sprintf("kernel: QuantizeGroups: %d values into row %d of a %d×%d GroupedInt8", len(a), row, x.rows, x.Cols))
	}
	ops := active.int8
	for at := row * x.stride; at < (row+1)*x.stride; at += recordBytes {
		record := x.data[at : at+recordBytes]
		n := min(len(a), ternary.GroupWidth)
		q := unsafe.Slice((*int8)(unsafe.Pointer(&record[0])), ternary.GroupWidth)
		clear(q[n:])
		var sum, half int32
		var scale float32
		if n > 0 {
			if bits := ops.absMaxBits(a[:n]); bits >= infinityBits {
				clear(q)
				scale = float32(math.NaN())
			} else {
				s := float32(127 / max(1e-5, float64(math.Float32frombits(bits))))
				h := min(n, halfGroup)
				half = ops.convert(q[:h], a[:h], s)
				sum = half + ops.convert(q[h:n], a[h:n], s)
				scale = float32(1 / float64(s))
			}
			a = a[n:]
		}
		binary.LittleEndian.PutUint32(record[recordBias:], uint32(-sum))
		binary.LittleEndian.PutUint32(record[recordScale:], math.Float32bits(scale))
		binary.LittleEndian.PutUint32(record[recordHalf:], uint32(-half))
	}
	x.setWide(row)
}

// groupedFunc computes, for each of panels panels of a grouped layout and tokens
// rows of activations,
//
//	acc[(p*tokens+t)*16+r] = Σ_g float32(float32(float32(P−S)·d)·a)
//
// over the groups in increasing order, where P = Σ code·q and S = Σ q are exact, d
// is the scale of the group's weights and a that of its activations. units is the
// number of records in a panel, stride the bytes from one row of x to the next.
type groupedFunc = func(acc []float32, w, x []byte, stride, units, tokens, panels int)

// groupedKernels are the products of grouped layouts, indexed by layout − G2.
type groupedKernels struct {
	mul        [3]groupedFunc
	decodes    [3]bool // which of them are assembly
	tileTokens int     // most tokens of one call

	tiles *groupTiles // nil without them
	codes *groupCodes // nil without them
}

// MatMulGrouped multiplies weights with activations in groups: for every row t of x
// from row0 to row1−1 and every row r of w that lies in the panels panel0 to
// panel1−1 it sets y[t*yStride+r] to the sum that groupedFunc defines. The weights
// have a grouped layout, or layout T2 and a scale for each 64 columns, which are
// then the groups of the sum. All CPUs give the same bits. It panics when shapes,
// layout or ranges do not fit, and allocates nothing.
func MatMulGrouped(y []float32, yStride int, w *ternary.Matrix, x *GroupedInt8, row0, row1, panel0, panel1 int, ws *Workspace) {
	if x.Cols != w.Cols || !TakesGroups(w) {
		panic(fmt.Sprintf("kernel: MatMulGrouped: weights of %d columns in layout %v, groups of %d × activations of %d columns", w.Cols, w.Layout, w.GroupCols, x.Cols))
	}
	if row0 < 0 || row1 > x.rows || panel0 < 0 || panel1 > w.Panels() {
		panic(fmt.Sprintf("kernel: MatMulGrouped: rows %d…%d of %d, panels %d…%d of %d", row0, row1, x.rows, panel0, panel1, w.Panels()))
	}
	if row0 >= row1 || panel0 >= panel1 {
		return
	}
	rowEnd := min(panel1*ternary.PanelRows, w.Rows)
	if yStride < w.Rows && row1 > 1 || (row1-1)*yStride+rowEnd > len(y) {
		panic(fmt.Sprintf("kernel: MatMulGrouped: result of %d values with stride %d for row %d up to %d", len(y), yStride, row1-1, rowEnd))
	}
	if !w.Layout.Grouped() {
		matMulHalves(y, yStride, w, x, row0, row1, panel0, panel1, ws)
		return
	}
	ops := groupedOps(ws.Variant)
	mul, size, units := ops.mul[w.Layout-ternary.G2], w.PanelBytes(), w.Units()
	if row1-row0 == 1 {
		// Whole panels go straight to their place.
		whole := min(panel1, w.Rows/ternary.PanelRows)
		for panel0 < whole {
			data := w.Run(panel0, whole-panel0)
			n := len(data) / size
			mul(y[row0*yStride+panel0*ternary.PanelRows:], data, x.data[row0*x.stride:], x.stride, units, 1, n)
			panel0 += n
		}
	}
	if withTiles && ops.tiles != nil && x.wide != nil && row1-row0 >= ops.tiles.least {
		ops.tiles.tiles(y, yStride, w, x, row0, row1, panel0, panel1, ws)
		return
	}
	if withTiles && ops.codes != nil && row1-row0 >= ops.codes.least[w.Layout-ternary.G2] {
		ops.codes.multiply(y, yStride, w, x, row0, row1, panel0, panel1, ws)
		return
	}
	step := ops.tileTokens * max(1, cachedActivations/(x.stride*ops.tileTokens))
	for ; row0 < row1; row0 += step {
		end := min(row0+step, row1)
		for p := panel0; p < panel1; p++ {
			rows := min(ternary.PanelRows, w.Rows-p*ternary.PanelRows)
			for t := row0; t < end; t += ops.tileTokens {
				n := min(ops.tileTokens, end-t)
				mul(ws.gacc[:], w.Panel(p), x.data[t*x.stride:], x.stride, units, n, 1)
				for i := range n {
					copy(y[(t+i)*yStride+p*ternary.PanelRows:][:rows], ws.gacc[i*ternary.PanelRows:])
				}
			}
		}
	}
}

// TakesGroups reports whether MatMulGrouped multiplies weights like these.
func TakesGroups(w *ternary.Matrix) bool {
	return w.Layout.Grouped() || w.Layout == ternary.T2 && w.GroupCols == halfGroup
}

// Decodes reports whether this processor has assembly for a grouped layout. Without,
// G2 is the one that its kernels multiply fastest.
func Decodes(l ternary.Layout) bool { return active.grouped.decodes[l-ternary.G2] }

// matMulHalves is MatMulGrouped for layout T2 with a scale for each 64 columns.
func matMulHalves(y []float32, yStride int, w *ternary.Matrix, x *GroupedInt8, row0, row1, panel0, panel1 int, ws *Workspace) {
	const blocks = halfGroup / 16
	mul := active.variant(ws.Variant).matVec[ternary.T2]
	for p := panel0; p < panel1; p++ {
		r := p * ternary.PanelRows
		rows := min(ternary.PanelRows, w.Rows-r)
		for t := row0; t < row1; t++ {
			sums := ws.gacc[:ternary.PanelRows]
			clear(sums)
			for g := range w.Groups() {
				record := x.record(t, g/2)
				half := int32(binary.LittleEndian.Uint32(record[recordHalf:]))
				bias := half
				if g%2 == 1 {
					bias = int32(binary.LittleEndian.Uint32(record[recordBias:])) - half
				}
				a := math.Float32frombits(binary.LittleEndian.Uint32(record[recordScale:]))
				at := g * blocks * ternary.BlockBytes
				end := min(at+blocks*ternary.BlockBytes, w.PanelBytes())
				codes := unsafe.Slice((*int8)(unsafe.Pointer(&record[g%2*halfGroup])), halfGroup)
				mul(ws.acc[:ternary.PanelRows], w.Panel(p)[at:end], codes, (end-at)/ternary.BlockBytes, 1, 0, ws)
				for i, d := range ws.scales(w, r, rows, g) {
					sums[i] += float32(float32(float32(ws.acc[i]+bias)*d) * a)
				}
			}
			copy(y[t*yStride+r:][:rows], sums)
		}
	}
}

// groupedOps returns the kernels of a variant: the portable ones for all but SIMD.
func groupedOps(v Variant) *groupedKernels {
	if v == Auto || v == SIMD {
		return active.grouped
	}
	return &genericGrouped
}
