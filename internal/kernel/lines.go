package kernel

import (
	"fmt"
	"math"
	"unsafe"

	"trit/internal/ternary"
)

// Lines are multiplied in runs of so many. A run of columns stays in the nearest cache
// while block after block of it is multiplied. Lists are read beyond their ends, by
// requests for what comes next.
const (
	rowRun    = 64
	columnRun = 32
	listRoom  = 2*columnRun + 16
)

// lineKernels multiply with lines, indexed by layout where they read weights.
type lineKernels struct {
	// dot computes the sums of 2·pairs > 0 lines of blocks > 0 blocks, which begin at
	// w[at[i]], with the activations that SpreadRow has made. at is ascending.
	dot [2]dotLinesFunc
	// add adds the products of 4·quads > 0 columns of blocks > 0 blocks, which begin at
	// w[at[i]], with q to the sums of all rows. at is ascending.
	add [2]addColumnsFunc
	// sum adds from to acc.
	sum func(acc, from []int32)

	// listPositive lists first + size·i for each gate that is positive and returns
	// how many are; it may write 16 places beyond them. expandPositive sets the results
	// of those gates to the numbers of from, and the others to 0.
	listPositive   func(at []uint32, gate []float32, first, size uint32) int
	expandPositive func(y, gate, from []float32)
	// listNonzero lists first + size·i, and the activation, for each that is not zero.
	listNonzero func(at []uint32, list, q []int8, first, size uint32) int

	// columns is the layout in which columns are multiplied fastest, fast tells in
	// which layouts leaving out lines saves time.
	columns ternary.Layout
	fast    [2]bool
}

type (
	dotLinesFunc   = func(acc []int32, w []byte, at []uint32, x []int8, blocks, pairs int)
	addColumnsFunc = func(acc []int32, w []byte, at []uint32, q []int8, blocks, quads int)
)

// LinesPay reports whether products that leave out lines are worth their memory here,
// with rows in the given layout, and the layout for columns.
func LinesPay(rows ternary.Layout) (columns ternary.Layout, ok bool) {
	k := active.lines
	return k.columns, !rows.Grouped() && k.fast[rows]
}

// MaxLines is the largest number of lines, and of codes in a line, of which sums
// surely fit.
const MaxLines = 1 << 16

// SpreadBytes returns how many activations SpreadRow makes for lines.
func SpreadBytes(l *ternary.Lines) int { return l.Blocks() * l.BlockCodes() }

// SpreadRow puts a row of activations into the order of the codes of row lines.
func SpreadRow(dst []int8, l *ternary.Lines, x *Int8, row int) {
	q := x.Q[row*x.Stride:][:x.Stride]
	fields := l.Fields()
	to := words(dst[:SpreadBytes(l)])
	from := words(q)
	for j := range l.Blocks() {
		block := to[16*fields*j:][:16*fields]
		for k := range 16 {
			unit := fields * (16*j + k)
			for f := range fields {
				v := uint32(0)
				if unit+f < len(from) {
					v = from[unit+f]
				}
				block[16*f+k] = v
			}
		}
	}
}

// words are activations, four by four.
func words(q []int8) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(q))), len(q)/4)
}

// LargestScale returns the largest scale of w, without its sign.
func LargestScale(w *ternary.Matrix) float32 {
	var largest float32
	for _, s := range w.Scales {
		largest = max(largest, float32(math.Abs(float64(s))))
	}
	return largest
}

// Bounded reports whether all results of a product of a matrix, with so many columns and
// scales up to the given one, and a row of activations are surely finite: a factor of zero
// then makes zeros of them.
func Bounded(cols int, scale float32, x *Int8, row int) bool {
	most := float64(128*cols) / float64(x.Scale[row]) * float64(scale)
	return most < math.MaxFloat32/2 // and not NaN
}

// RowList lists the rows behind positive gates, and holds their products.
type RowList struct {
	at     []uint32 // where they begin
	result []float32
	n      int
}

// NewRowList returns a list for up to so many rows.
func NewRowList(rows int) *RowList {
	return &RowList{at: make([]uint32, rows+listRoom), result: make([]float32, rows+listRoom)}
}

// RowListBytes returns the memory of a list.
func RowListBytes(rows int) int64 { return 8 * int64(rows+listRoom) }

// Set makes the list for gates and returns how many rows are on it.
func (l *RowList) Set(lines *ternary.Lines, gate []float32) int {
	if len(gate) != lines.Count || len(gate)+listRoom > len(l.at) {
		panic(fmt.Sprintf("kernel: RowList.Set: %d gates for %d rows, a list of %d", len(gate), lines.Count, len(l.at)-listRoom))
	}
	l.n = active.lines.listPositive(l.at, gate, 0, uint32(lines.LineBytes()))
	if l.n > 0 {
		for i := range listRoom {
			l.at[l.n+i] = l.at[l.n-1]
		}
	}
	return l.n
}

// Runs returns into how many parts MulRows divides the list.
func (l *RowList) Runs() int { return (l.n + rowRun - 1) / rowRun }

// MulRows multiplies the rows in some runs of the list, which are those of w, with a row
// of activations. spread is what SpreadRow has made of that.
func MulRows(w *ternary.Matrix, lines *ternary.Lines, l *RowList, x *Int8, row int, spread []int8, run0, run1 int, ws *Workspace) {
	if w.Rows != lines.Count || w.Cols != lines.Width || x.Cols != w.Cols {
		panic(fmt.Sprintf("kernel: MulRows: %d×%d, lines %d×%d, %d activations", w.Rows, w.Cols, lines.Count, lines.Width, x.Cols))
	}
	size := uint32(lines.LineBytes())
	for from := run0 * rowRun; from < min(l.n, run1*rowRun); from += rowRun {
		n := min(rowRun, l.n-from)
		at := l.at[from:]
		active.lines.dot[lines.Layout](ws.acc[:], lines.Data, at, spread, lines.Blocks(), (n+1)/2)
		scale := w.Scales
		if len(scale) == 1 {
			scale = ws.scales(w, 0, n, 0)
		} else {
			ws.same = false
			scale = ws.scale[:n]
			for i, from := range at[:n] {
				scale[i] = w.Scales[from/size]
			}
		}
		active.ternary.finish(l.result[from:], 0, ws.acc[:], 0, x.Sum[row:], 0, x.Scale[row:], scale, 1, n, false)
	}
}

// ExpandRows sets those results whose gate is positive to the products on the list, and
// the others to 0.
func (l *RowList) ExpandRows(y, gate []float32) { active.lines.expandPositive(y, gate, l.result) }

// ColumnSums returns how many sums AddColumns needs.
func ColumnSums(l *ternary.Lines) int { return l.Blocks() * l.BlockCodes() }

// ColumnList lists the columns whose activation is not zero.
type ColumnList struct {
	at []uint32 // where they begin
	q  []int8
	n  int
}

// NewColumnList returns a list for up to so many columns.
func NewColumnList(columns int) *ColumnList {
	return &ColumnList{at: make([]uint32, columns+listRoom), q: make([]int8, columns+listRoom)}
}

// ColumnListBytes returns the memory of a list.
func ColumnListBytes(columns int) int64 { return 5 * int64(columns+listRoom) }

// Set makes the list for a row of activations and returns how many columns are on it.
func (l *ColumnList) Set(lines *ternary.Lines, x *Int8, row int) int {
	if x.Cols != lines.Count || x.Cols+listRoom > len(l.at) {
		panic(fmt.Sprintf("kernel: ColumnList.Set: %d activations for %d columns, a list of %d", x.Cols, lines.Count, len(l.at)-listRoom))
	}
	l.n = active.lines.listNonzero(l.at, l.q, x.Q[row*x.Stride:][:x.Cols], 0, uint32(lines.LineBytes()))
	if l.n > 0 {
		for i := range listRoom {
			l.at[l.n+i], l.q[l.n+i] = l.at[l.n-1], 0
		}
	}
	return l.n
}

// Runs returns into how many parts AddColumns divides the list.
func (l *ColumnList) Runs() int { return (l.n + columnRun - 1) / columnRun }

// AddColumns adds to sums, of the rows of a matrix, the products of codes and activations
// in the columns of some runs of the list.
func AddColumns(sums []int32, lines *ternary.Lines, l *ColumnList, run0, run1 int) {
	add := active.lines.add[lines.Layout]
	for from := run0 * columnRun; from < min(l.n, run1*columnRun); from += columnRun {
		quads := (min(columnRun, l.n-from) + 3) / 4
		add(sums, lines.Data, l.at[from:], l.q[from:], lines.Blocks(), quads)
	}
}

// FinishColumns turns sums of columns that workers have added up, each in its own, into
// the product of w with a row of activations, to the bits that MatMulI8 gives. The sums
// of the first worker are lost.
func FinishColumns(y []float32, sums [][]int32, w *ternary.Matrix, x *Int8, row int, ws *Workspace) {
	for _, s := range sums[1:] {
		active.lines.sum(sums[0], s)
	}
	for r := 0; r < w.Rows; r += chunkRows {
		n := min(chunkRows, w.Rows-r)
		active.ternary.finish(y[r:], 0, sums[0][r:], 0, x.Sum[row:], 0, x.Scale[row:], ws.scales(w, r, n, 0), 1, n, false)
	}
}
