package kernel

import (
	"fmt"
	"math"
	"unsafe"

	"trit/internal/hugemem"
)

// int8Align is the multiple that Int8.Stride keeps, in columns: whole blocks of
// both ternary layouts, four at a time (lcm(16, 20) · 4).
const int8Align = 320

// Int8 holds rows of activations, quantised to 8 bits with one scale per row.
// Make one with NewInt8, give it a width with Reset, fill rows with QuantizeRow;
// treat the fields as read-only.
type Int8 struct {
	// Cols is the width of a row. Stride, the distance between rows in Q, is
	// a larger multiple of 320; the columns between hold zeros.
	Cols, Stride int

	Q     []int8    // codes, row r at Q[r*Stride:], aligned to 64 bytes
	Scale []float32 // per row, s = 127/max|a|: a ≈ Q/s. NaN for a row that is not finite
	Sum   []int32   // per row, the sum of its codes

	// GroupCols is the width of the column groups that GroupSums is split
	// by, as in ternary.Matrix, or 0 for no groups.
	GroupCols int
	GroupSums []int32 // sum of row r's codes in group g at r*Groups()+g

	buf []int8 // backs Q
}

// NewInt8 returns room for maxRows rows of up to maxCols columns, with the width
// set to maxCols and no column groups.
func NewInt8(maxRows, maxCols int) *Int8 {
	if maxRows < 1 || maxCols < 1 {
		panic(fmt.Sprintf("kernel: NewInt8(%d, %d): both must be positive", maxRows, maxCols))
	}
	x := &Int8{
		Scale: make([]float32, maxRows),
		Sum:   make([]int32, maxRows),
		buf:   alignedInt8(maxRows * int8Stride(maxCols)),
	}
	x.Reset(maxCols, 0)
	return x
}

// Int8Bytes returns the memory that the values of NewInt8 take.
func Int8Bytes(maxRows, maxCols int) int64 { return int64(maxRows) * int64(int8Stride(maxCols)) }

// MaxRows returns how many rows fit.
func (x *Int8) MaxRows() int { return len(x.Scale) }

// Groups returns the number of column groups in a row, 1 without groups.
func (x *Int8) Groups() int { return groupCount(x.Cols, x.GroupCols) }

// Reset sets the width and the column groups (0: none) for rows that are
// quantised from now on; what was there is lost. It allocates only when a
// grouping needs more sums than any before it.
func (x *Int8) Reset(cols, groupCols int) {
	stride := int8Stride(cols)
	if cols < 1 || stride*x.MaxRows() > len(x.buf) {
		panic(fmt.Sprintf("kernel: Int8.Reset to %d columns: made for %d", cols, len(x.buf)/x.MaxRows()))
	}
	if groupCols < 0 || groupCols%16 != 0 {
		panic(fmt.Sprintf("kernel: Int8.Reset to groups of %d columns: not a multiple of 16", groupCols))
	}
	x.Cols, x.Stride, x.GroupCols = cols, stride, groupCols
	x.Q = x.buf[:stride*x.MaxRows()]
	if groupCols == 0 {
		x.GroupSums = x.GroupSums[:0]
		return
	}
	n := x.MaxRows() * x.Groups()
	if cap(x.GroupSums) < n {
		x.GroupSums = make([]int32, n)
	}
	x.GroupSums = x.GroupSums[:n]
}

// CopyRow makes a row the same as one of from, which has the same width and groups.
func (x *Int8) CopyRow(row int, from *Int8, at int) {
	copy(x.Q[row*x.Stride:(row+1)*x.Stride], from.Q[at*from.Stride:(at+1)*from.Stride])
	x.Scale[row], x.Sum[row] = from.Scale[at], from.Sum[at]
	if n := x.Groups(); x.GroupCols != 0 {
		copy(x.GroupSums[row*n:(row+1)*n], from.GroupSums[at*n:(at+1)*n])
	}
}

// QuantizeRow quantises a, x.Cols activations, into a row of x as BitNet models
// are trained to expect (formula of the Hugging Face reference and bitnet.cpp):
//
//	amax = max(1e-5, max|a|)        in float64
//	s    = float32(127 / amax)
//	q    = clamp(rne(float32(a·s)), −128, 127)
//
// with rne rounding to nearest, ties to even. A row with a NaN or an infinity
// has no such scale: its codes become 0 and its scale NaN, so that every product
// with it is NaN and the fault stays visible. Rows may be quantised concurrently.
func QuantizeRow(x *Int8, row int, a []float32) {
	if len(a) != x.Cols || row < 0 || row >= x.MaxRows() {
		panic(fmt.Sprintf("kernel: QuantizeRow: %d values into row %d of a %d×%d Int8", len(a), row, x.MaxRows(), x.Cols))
	}
	q := x.Q[row*x.Stride:][:x.Stride]
	clear(q[x.Cols:])
	bits := active.int8.absMaxBits(a)
	if bits >= infinityBits {
		clear(q)
		x.Scale[row], x.Sum[row] = float32(math.NaN()), 0
		if x.GroupCols != 0 {
			clear(x.GroupSums[row*x.Groups():][:x.Groups()])
		}
		return
	}
	s := float32(127 / max(1e-5, float64(math.Float32frombits(bits))))
	x.Scale[row] = s
	if x.GroupCols == 0 {
		x.Sum[row] = active.int8.convert(q[:len(a)], a, s)
		return
	}
	sums := x.GroupSums[row*x.Groups():][:x.Groups()]
	var total int32
	for g := range sums {
		lo := g * x.GroupCols
		hi := min(lo+x.GroupCols, len(a))
		sums[g] = active.int8.convert(q[lo:hi], a[lo:hi], s)
		total += sums[g]
	}
	x.Sum[row] = total
}

// infinityBits is the least bit pattern of |a| that is not a finite float32.
const infinityBits = 0x7F800000

// int8Kernels are the two passes of quantisation. They do not read or write
// past len(a).
type int8Kernels struct {
	// absMaxBits returns the largest bit pattern of |a|, which orders like
	// the values with infinities and NaNs on top.
	absMaxBits func(a []float32) uint32
	// convert stores clamp(rne(a·s)) and returns the sum of the codes.
	convert func(q []int8, a []float32, s float32) int32
}

// groupCount returns how many groups of groupCols columns cover cols.
func groupCount(cols, groupCols int) int {
	if groupCols == 0 {
		return 1
	}
	return (cols-1)/groupCols + 1
}

// int8Stride returns the stride for a width: an odd multiple of 320 bytes, so
// that the same column of neighbouring rows falls into different cache sets.
func int8Stride(cols int) int {
	return int8Align * ((cols+int8Align-1)/int8Align | 1)
}

// alignedInt8 returns n zeros that start at a multiple of 64 bytes.
func alignedInt8(n int) []int8 {
	buf := hugemem.Bytes(n)
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(buf))), n)
}
