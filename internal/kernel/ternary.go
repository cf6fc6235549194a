package kernel

import (
	"errors"
	"fmt"
	"strings"

	"trit/internal/ternary"
)

// Variant names an implementation of the ternary products. All give identical
// bits; they differ in speed.
type Variant uint8

// The variants. The zero value, Auto, stands for SIMD.
const (
	Auto    Variant = iota
	Basic           // portable: decodes each weight where it is used
	Blocked         // portable: decodes a block once for many rows of activations
	LUT             // portable: looks up a byte's four or five products in mat-vecs; Blocked else
	SIMD            // assembly for the active Level; Blocked where there is none
)

var variantNames = [...]string{"auto", "basic", "blocked", "lut", "simd"}

// ErrVariant reports an unknown variant name.
var ErrVariant = errors.New("kernel: unknown variant")

// Variants lists the variants that differ on this CPU, without Auto.
func Variants() []Variant {
	if Active() == Generic {
		return []Variant{Basic, Blocked, LUT}
	}
	return []Variant{Basic, Blocked, LUT, SIMD}
}

// String returns the name that ParseVariant reads.
func (v Variant) String() string {
	if int(v) < len(variantNames) {
		return variantNames[v]
	}
	return fmt.Sprintf("variant(%d)", uint8(v))
}

// ParseVariant returns the variant of that name, in either case of letters. The
// error is ErrVariant.
func ParseVariant(s string) (Variant, error) {
	for v, name := range variantNames {
		if strings.EqualFold(s, name) {
			return Variant(v), nil
		}
	}
	return 0, fmt.Errorf("%w: %q (known: %s)", ErrVariant, s, strings.Join(variantNames[:], ", "))
}

// The sizes of a Workspace: results of a mat-vec are finished in chunks of
// chunkPanels panels, a mat-mat takes maxTile rows of activations at a time.
const (
	chunkPanels = 64
	chunkRows   = chunkPanels * ternary.PanelRows
	maxTile     = 32
)

// Workspace is the scratch memory of one worker; calls that run at the same time
// need one each. Variant selects the implementation.
type Workspace struct {
	tiles   tileScratch // these first, and so at the begin of cache lines
	groups  groupScratch
	Variant Variant

	acc    [chunkRows]int32   // Σ code·q, 16 per panel or per row of activations
	scale  [chunkRows]float32 // weight scales of the rows at hand
	same   bool               // all of scale holds the value filled
	filled float32
	gacc   [maxTile * 16]float32      // results of a grouped layout
	facc   [maxFloatTile * 64]float32 // partial sums of MatMulF32
	tail   [maxFloatTile * 20]float32 // its last activations, padded
	lut    [4 * 256]int16             // tables of the LUT kernels
	codes  [codeCols * 4]uint64       // unpacked codes of the Blocked kernels
}

// NewWorkspace returns the scratch memory for one worker.
func NewWorkspace() *Workspace { return new(Workspace) }

// MatMulI8 multiplies ternary weights with quantised activations. For every row t
// of x from row0 to row1−1 and every row r of w that lies in the panels panel0 to
// panel1−1 it sets
//
//	y[t*yStride+r] = (P − S)/s · scale
//
// where P = Σ code·q and S = Σ q are exact, s is x.Scale[t], scale the weights'
// scale and each operation after that is rounded to float32. With column groups
// it is the sum of that term over the groups in increasing order.
//
// One row of activations runs as a mat-vec, more as a mat-mat. It panics when
// shapes, column groups or ranges do not fit, and allocates nothing.
func MatMulI8(y []float32, yStride int, w *ternary.Matrix, x *Int8, row0, row1, panel0, panel1 int, ws *Workspace) {
	if x.Cols != w.Cols || x.GroupCols != w.GroupCols {
		panic(fmt.Sprintf("kernel: MatMulI8: weights of %d columns (groups of %d) × activations of %d columns (groups of %d)", w.Cols, w.GroupCols, x.Cols, x.GroupCols))
	}
	if row0 < 0 || row1 > x.MaxRows() || panel0 < 0 || panel1 > w.Panels() {
		panic(fmt.Sprintf("kernel: MatMulI8: rows %d…%d of %d, panels %d…%d of %d", row0, row1, x.MaxRows(), panel0, panel1, w.Panels()))
	}
	if row0 >= row1 || panel0 >= panel1 {
		return
	}
	rowEnd := min(panel1*ternary.PanelRows, w.Rows)
	if yStride < w.Rows && row1 > 1 || (row1-1)*yStride+rowEnd > len(y) {
		panic(fmt.Sprintf("kernel: MatMulI8: result of %d values with stride %d for row %d up to %d", len(y), yStride, row1-1, rowEnd))
	}
	m := matMul{k: active.variant(ws.Variant), ws: ws, w: w, x: x, y: y, yStride: yStride}
	switch {
	case w.GroupCols != 0 && row1-row0 == 1:
		m.vecGrouped(row0, panel0, panel1)
	case w.GroupCols != 0:
		m.matGrouped(row0, row1, panel0, panel1)
	case row1-row0 == 1:
		m.vec(row0, panel0, panel1)
	case withTiles && m.k.tiles != nil && row1-row0 >= m.k.tiles.least:
		m.tiles(row0, row1, panel0, panel1)
	default:
		m.mat(row0, row1, panel0, panel1)
	}
}

// ternaryKernels are the inner loops of one variant, indexed by layout where
// they read weights.
type ternaryKernels struct {
	// matVec computes one row of activations with many segments of weights:
	// segment i is the blocks at w[i*blocks*64:] and the activations at
	// x[i*xStep:]; its 16 sums go to acc[i*16:]. A step of 0 serves panels
	// of one matrix, a step of a group's columns the groups of one panel.
	matVec [2]matVecFunc

	// tile computes tokens rows of activations, stride apart, with the
	// blocks at w: the sums of row t go to acc[t*16:]. tokens ≤ tileTokens.
	tile       [2]tileFunc
	tileTokens int

	// finish turns sums into results: for t < tokens, r < rows
	//	v = float32(float32(acc[t*accStride+r] − sums[t*sumStep]) / s[t]) * scale[r]
	//	y[t*yStride+r] = v, or += v when add is set.
	finish finishFunc

	// matMulF32 adds to acc, 4 × 16 partial sums per row of activations, the
	// products with the blocks at w: acc[t*64+b*16+r] += trit·x over the
	// columns c with c%4 = b in increasing order. tokens ≤ maxFloatTile.
	matMulF32 [2]floatFunc

	tiles *tileKernels // nil without them
}

type (
	matVecFunc = func(acc []int32, w []byte, x []int8, blocks, segments, xStep int, ws *Workspace)
	tileFunc   = func(acc []int32, w []byte, x []int8, stride, blocks, tokens int, ws *Workspace)
	finishFunc = func(y []float32, yStride int, acc []int32, accStride int, sums []int32, sumStep int, s, scale []float32, tokens, rows int, add bool)
	floatFunc  = func(acc []float32, w []byte, x []float32, stride, blocks, tokens int)
)

// variant returns the kernels of a variant.
func (k *kernels) variant(v Variant) *ternaryKernels {
	switch v {
	case Basic:
		return &basicTernary
	case Blocked:
		return &blockedTernary
	case LUT:
		return &lutTernary
	}
	return k.ternary
}

// matMul is one call of MatMulI8.
type matMul struct {
	k       *ternaryKernels
	ws      *Workspace
	w       *ternary.Matrix
	x       *Int8
	y       []float32
	yStride int
}

// vec computes one row of activations without column groups.
func (m *matMul) vec(row, panel0, panel1 int) {
	w, x := m.w, m.x
	q := x.Q[row*x.Stride:][:x.Stride]
	size := w.PanelBytes()
	for p, n := panel0, 0; p < panel1; p += n {
		data := w.Run(p, min(chunkPanels, panel1-p))
		n = len(data) / size
		m.k.matVec[w.Layout](m.ws.acc[:], data, q, w.Units(), n, 0, m.ws)
		r := p * ternary.PanelRows
		rows := min(n*ternary.PanelRows, w.Rows-r)
		m.k.finish(m.y[row*m.yStride+r:], 0, m.ws.acc[:], 0, x.Sum[row:], 0, x.Scale[row:], m.scales(r, rows, 0), 1, rows, false)
	}
}

// cachedActivations bounds the activations, in bytes, that a mat-mat sweeps
// before it goes to the next panel: they should stay in the L2 cache.
const cachedActivations = 512 << 10

// mat computes several rows of activations without column groups.
func (m *matMul) mat(row0, row1, panel0, panel1 int) {
	w, x := m.w, m.x
	step := m.k.tileTokens * max(1, cachedActivations/(x.Stride*m.k.tileTokens))
	for ; row0 < row1; row0 += step {
		end := min(row0+step, row1)
		for p := panel0; p < panel1; p++ {
			panel := w.Panel(p)
			r := p * ternary.PanelRows
			rows := min(ternary.PanelRows, w.Rows-r)
			scale := m.scales(r, rows, 0)
			for t := row0; t < end; t += m.k.tileTokens {
				n := min(m.k.tileTokens, end-t)
				m.k.tile[w.Layout](m.ws.acc[:], panel, x.Q[t*x.Stride:], x.Stride, w.Units(), n, m.ws)
				m.k.finish(m.y[t*m.yStride+r:], m.yStride, m.ws.acc[:], ternary.PanelRows, x.Sum[t:], 1, x.Scale[t:], scale, n, rows, false)
			}
		}
	}
}

// vecGrouped computes one row of activations with column groups.
func (m *matMul) vecGrouped(row, panel0, panel1 int) {
	w, x := m.w, m.x
	q := x.Q[row*x.Stride:][:x.Stride]
	groups, blocks := w.Groups(), w.GroupCols/w.Layout.UnitCols()
	sums := x.GroupSums[row*groups:][:groups]
	for p := panel0; p < panel1; p++ {
		panel := w.Panel(p)
		r := p * ternary.PanelRows
		rows := min(ternary.PanelRows, w.Rows-r)
		for g := 0; g < groups; {
			// All whole groups share a length; the last may be shorter.
			n, length := min(chunkPanels, w.Units()/blocks-g), blocks
			if n == 0 {
				n, length = 1, w.Units()-g*blocks
			}
			at := g * blocks * ternary.BlockBytes
			m.k.matVec[w.Layout](m.ws.acc[:], panel[at:at+n*length*ternary.BlockBytes], q[g*w.GroupCols:], length, n, w.GroupCols, m.ws)
			for i := range n {
				acc := m.ws.acc[i*ternary.PanelRows:]
				m.k.finish(m.y[row*m.yStride+r:], 0, acc, 0, sums[g+i:], 0, x.Scale[row:], m.scales(r, rows, g+i), 1, rows, g+i > 0)
			}
			g += n
		}
	}
}

// matGrouped computes several rows of activations with column groups.
func (m *matMul) matGrouped(row0, row1, panel0, panel1 int) {
	w, x := m.w, m.x
	groups, blocks := w.Groups(), w.GroupCols/w.Layout.UnitCols()
	for p := panel0; p < panel1; p++ {
		panel := w.Panel(p)
		r := p * ternary.PanelRows
		rows := min(ternary.PanelRows, w.Rows-r)
		for g := range groups {
			lo, hi := g*blocks, min((g+1)*blocks, w.Units())
			part := panel[lo*ternary.BlockBytes : hi*ternary.BlockBytes]
			scale := m.scales(r, rows, g)
			for t := row0; t < row1; t += m.k.tileTokens {
				n := min(m.k.tileTokens, row1-t)
				m.k.tile[w.Layout](m.ws.acc[:], part, x.Q[t*x.Stride+g*w.GroupCols:], x.Stride, hi-lo, n, m.ws)
				m.k.finish(m.y[t*m.yStride+r:], m.yStride, m.ws.acc[:], ternary.PanelRows, x.GroupSums[t*groups+g:], groups, x.Scale[t:], scale, n, rows, g > 0)
			}
		}
	}
}

// scales returns the weight scales of rows r…r+n−1 in column group g.
func (m *matMul) scales(r, n, g int) []float32 { return m.ws.scales(m.w, r, n, g) }

func (ws *Workspace) scales(w *ternary.Matrix, r, n, g int) []float32 {
	if w.Layout.Grouped() {
		ws.same = false
		for i := range n {
			ws.scale[i] = w.ScaleAt(r+i, g*w.GroupCols)
		}
		return ws.scale[:n]
	}
	if w.GroupCols != 0 {
		ws.same = false
		groups := w.Groups()
		for i := range n {
			ws.scale[i] = w.Scales[(r+i)*groups+g]
		}
		return ws.scale[:n]
	}
	if len(w.Scales) != 1 {
		return w.Scales[r : r+n]
	}
	if s := w.Scales[0]; !ws.same || ws.filled != s {
		ws.same, ws.filled = true, s
		for i := range ws.scale {
			ws.scale[i] = s
		}
	}
	return ws.scale[:n]
}
