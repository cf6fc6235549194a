package quant

import (
	"encoding/binary"
	"fmt"

	"trit/gguf"
	"trit/internal/half"
)

// TernaryView gives access to a stored matrix of ternary weights: its codes, row
// by row, and its scales. It keeps a reference to the data it was made from and
// copies nothing but scales. A view is immutable: any number of goroutines may
// read rows at the same time.
type TernaryView struct {
	typ        gguf.Type
	layout     I2SLayout
	data       []byte
	rows, cols int
	codec      *codec    // nil for I2_S, which has no rows of its own,
	rowCodec   *rowCodec // and for types whose rows have a scale in front
	rowBytes   int
	scales     []float32
	groupCols  int
}

// NewTernary returns a view of a tensor of a type that stores codes ([IsTernary]).
// data is the whole tensor, for I2_S with its 32-byte tail; layout matters for I2_S
// only.
//
// The size and all scales are checked here; codes are checked when they are read.
func NewTernary(t gguf.Type, layout I2SLayout, data []byte, rows, cols int) (*TernaryView, error) {
	if err := checkNotEmpty(rows, cols); err != nil {
		return nil, err
	}
	v := &TernaryView{typ: t, layout: layout, data: data, rows: rows, cols: cols, groupCols: cols}
	if t == gguf.TypeI2S {
		scale, err := i2sScale(data, layout, rows, cols)
		if err != nil {
			return nil, err
		}
		v.scales = []float32{scale}
		return v, nil
	}
	if IsTernary(t) {
		if err := v.checkRows(); err != nil {
			return nil, err
		}
		if v.rowCodec != nil {
			return v, v.collectRowScales()
		}
		return v, v.collectBlockScales()
	}
	return nil, fmt.Errorf("%w: %v does not store ternary codes (use NewTernaryFloat for values that happen to be ternary)", ErrType, t)
}

// Type returns the storage type of the tensor.
func (v *TernaryView) Type() gguf.Type { return v.typ }

// Rows returns the number of rows: the output features of a linear layer.
func (v *TernaryView) Rows() int { return v.rows }

// Cols returns the number of columns: the input features of a linear layer.
func (v *TernaryView) Cols() int { return v.cols }

// Scales returns what a trit is multiplied with, in the coarsest form that is
// exact:
//
//   - one scale for the whole matrix: len(scales) = 1, groupCols = Cols();
//   - one scale per row: len(scales) = Rows(), groupCols = Cols();
//   - one scale per group of groupCols columns: scales[row·(Cols()/groupCols) +
//     col/groupCols].
//
// Rows and groups whose trits are all zero take part in any common scale; where
// scales differ such a row has scale 0. The caller must not modify the slice.
func (v *TernaryView) Scales() (scales []float32, groupCols int) {
	return v.scales, v.groupCols
}

// Codes writes the codes of one row to dst, one byte each: trit + 1, so 0, 1 or
// 2. len(dst) must be Cols(). It allocates nothing. Stored codes of 3 are ErrCode.
func (v *TernaryView) Codes(dst []byte, row int) error {
	invalid, err := v.codes(dst, row)
	if err == nil && invalid {
		return fmt.Errorf("row %d: %w", row, codeError(dst, 0))
	}
	return err
}

// AllCodes is Codes for kernels that know the code 3 of the types in which it has a
// meaning, +2: Q2_0, PQ2_0.
func (v *TernaryView) AllCodes(dst []byte, row int) error {
	switch v.typ {
	case gguf.TypeQ2_0, gguf.TypeQ2_0G128, gguf.TypePQ2_0:
		_, err := v.codes(dst, row)
		return err
	}
	return v.Codes(dst, row)
}

// codes is Codes without a judgement of codes of 3.
func (v *TernaryView) codes(dst []byte, row int) (three bool, err error) {
	if row < 0 || row >= v.rows {
		return false, fmt.Errorf("%w: row %d of a matrix of %d rows", ErrShape, row, v.rows)
	}
	if len(dst) != v.cols {
		return false, fmt.Errorf("%w: a row has %d columns, the destination has %d", ErrLength, v.cols, len(dst))
	}
	var invalid uint64
	switch {
	case v.typ == gguf.TypeI2S && v.layout == LayoutC:
		invalid = unpackRowC(dst, v.data, row)
	case v.typ == gguf.TypeI2S:
		invalid = v.layout.unpackRange(dst, v.data, row*v.cols)
	case v.rowCodec != nil:
		return v.rowCodec.codes(dst, v.data, row), nil
	case v.codec.trits != nil:
		invalid = v.codec.trits.unpack(dst, v.rowData(row))
	default:
		return false, v.floatCodes(dst, row)
	}
	return invalid != 0, nil
}

func checkNotEmpty(rows, cols int) error {
	if rows <= 0 || cols <= 0 {
		return fmt.Errorf("%w: a weight matrix of %d rows × %d columns", ErrShape, rows, cols)
	}
	return nil
}

// checkRows verifies the shape and size of a tensor stored row by row.
func (v *TernaryView) checkRows() error {
	want, err := TensorBytes(v.typ, v.rows, v.cols)
	if err != nil {
		return err
	}
	if int64(len(v.data)) != want {
		return fmt.Errorf("%w: %d rows × %d columns of %v take %d bytes, have %d", ErrLength, v.rows, v.cols, v.typ, want, len(v.data))
	}
	if v.rowCodec = rowCodecs[v.typ]; v.rowCodec != nil {
		if n := v.rowCodec.together; v.rows%n != 0 {
			return fmt.Errorf("%w: %v interleaves %d rows, which does not divide %d", ErrShape, v.typ, n, v.rows)
		}
		return nil
	}
	v.codec = codecs[v.typ]
	v.rowBytes = v.codec.offset(v.cols)
	return nil
}

func (v *TernaryView) rowData(row int) []byte {
	return v.data[row*v.rowBytes : (row+1)*v.rowBytes]
}

// blockScales is the access to the scales of a tensor of ternary blocks.
type blockScales struct {
	codec *codec
	data  []byte
}

func (b blockScales) block(i int) []byte { return b.data[i*b.codec.bytes : (i+1)*b.codec.bytes] }

func (b blockScales) scale(i int) float32 { return half.F16ToF32(b.half(i)) }

func (b blockScales) half(i int) uint16 {
	return binary.LittleEndian.Uint16(b.data[i*b.codec.bytes+b.codec.trits.scaleAt:])
}

// idle reports whether all trits of block i are zero, so that its scale means
// nothing. codes has room for a block.
func (b blockScales) idle(i int, codes []byte) bool {
	b.codec.trits.unpack(codes, b.block(i))
	for _, c := range codes {
		if c != 1 {
			return false
		}
	}
	return true
}

// collectBlockScales reads the scale of every block and keeps the coarsest form
// that is exact.
func (v *TernaryView) collectBlockScales() error {
	s, elems := blockScales{v.codec, v.data}, v.codec.elems
	codes := make([]byte, elems)
	perRow := v.cols / elems
	n := v.rows * perRow
	for i := range n {
		if s.half(i)&0x7c00 == 0x7c00 { // infinite or no number
			return fmt.Errorf("%w: row %d, columns from %d: %v block scale is %g", ErrRange, i/perRow, i%perRow*elems, v.typ, s.scale(i))
		}
	}
	if d, ok := s.common(0, n, codes); ok {
		v.scales = []float32{d}
		return nil
	}
	scales := make([]float32, v.rows)
	perRowAgrees := true
	for r := 0; r < v.rows && perRowAgrees; r++ {
		scales[r], perRowAgrees = s.common(r*perRow, (r+1)*perRow, codes)
	}
	if perRowAgrees {
		v.scales = scales
		return nil
	}
	scales = make([]float32, n)
	for i := range scales {
		scales[i] = s.scale(i)
	}
	v.scales, v.groupCols = scales, elems
	// Blocks of 64 are often cut from groups of 128 that the model was trained with.
	if elems == q2_0Elems && perRow%2 == 0 {
		pairs := make([]float32, n/2)
		for i := range pairs {
			var ok bool
			if pairs[i], ok = s.common(2*i, 2*i+2, codes); !ok {
				return nil
			}
		}
		v.scales, v.groupCols = pairs, 2*elems
	}
	return nil
}

// common returns the scale shared by all blocks from lo to hi that hold a
// non-zero trit; 0 if there is none.
func (b blockScales) common(lo, hi int, codes []byte) (scale float32, ok bool) {
	found := false
	for i := lo; i < hi; i++ {
		d := b.scale(i)
		if found && d == scale || b.idle(i, codes) {
			continue
		}
		if found {
			return 0, false
		}
		scale, found = d, true
	}
	return scale, true
}
