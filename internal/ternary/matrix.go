package ternary

import (
	"fmt"
	"unsafe"

	"trit/internal/hugemem"
)

// maxCols bounds the columns of a matrix so that sums of products with int8
// activations fit an int32, even those of a quarter of the columns with the bits
// of a byte's highest field left in place: 128·128·cols/4 < 2³¹.
const maxCols = 1<<19 - 16

// Matrix is a packed ternary matrix of Rows outputs × Cols inputs. The element
// at (r, c) is trit(r, c) · ScaleAt(r, c).
type Matrix struct {
	Rows, Cols int
	Layout     Layout

	// Data holds the panels one after another, Panels()·PanelBytes() bytes,
	// aligned to 64 bytes. It is nil where Parts hold them instead.
	Data []byte
	// Parts hold the panels in several pieces of memory, one after another.
	Parts []Part

	// Scales holds one scale for the whole matrix, or Rows scales, or, when
	// GroupCols is not 0, Rows·Groups() scales in row-major order. It is nil for
	// grouped layouts, whose scales are part of Data.
	Scales []float32

	// GroupCols is the number of consecutive columns that share a scale
	// within a row, or 0 when a scale covers whole rows. It is GroupWidth in
	// grouped layouts; otherwise it is a multiple of 16 and needs layout T2. The
	// last group of a row may be shorter.
	GroupCols int
}

// Part is a piece of a matrix: its panels up to, and without, End.
type Part struct {
	End  int
	Data []byte
}

// Home is memory that consists of nodes, each close to some of the workers that read it.
type Home interface {
	Nodes() int
	// Share returns which of n panels the workers of a node read.
	Share(n, node int) (from, to int)
	// Bytes returns n zero bytes in the memory of a node, aligned to 64 bytes.
	Bytes(node, n int) []byte
}

// NewAt is New with the panels where they will be read.
func NewAt(home Home, layout Layout, rows, cols int) (*Matrix, error) {
	if home.Nodes() == 1 {
		return New(layout, rows, cols)
	}
	return newMatrix(layout, rows, cols, func(m *Matrix, _ int) {
		for node := range home.Nodes() {
			if from, to := home.Share(m.Panels(), node); to > from {
				m.Parts = append(m.Parts, Part{to, home.Bytes(node, (to-from)*m.PanelBytes())})
			}
		}
	})
}

// New returns a matrix of the given shape with memory for its panels and one
// scale of 1, or in a grouped layout scales of 0. Each panel must be set with
// SetPanel before it is read. The error
// is ErrLayout or ErrShape (a shape below 1×1 or too large for the address space).
func New(layout Layout, rows, cols int) (*Matrix, error) {
	return newMatrix(layout, rows, cols, func(m *Matrix, size int) { m.Data = hugemem.Bytes(size) })
}

func newMatrix(layout Layout, rows, cols int, hold func(m *Matrix, size int)) (*Matrix, error) {
	if int(layout) >= len(layoutNames) {
		return nil, fmt.Errorf("%w: %v", ErrLayout, layout)
	}
	if rows < 1 || cols < 1 || cols > maxCols {
		return nil, fmt.Errorf("%w: %d×%d (rows must be positive and columns in 1…%d)", ErrShape, rows, cols, maxCols)
	}
	m := &Matrix{Rows: rows, Cols: cols, Layout: layout}
	if layout.Grouped() {
		m.GroupCols = GroupWidth
	} else {
		m.Scales = []float32{1}
	}
	panels := (int64(rows) + PanelRows - 1) / PanelRows
	size := panels * int64(m.PanelBytes())
	if size/panels != int64(m.PanelBytes()) || size > int64(^uint(0)>>1)-1<<22 {
		return nil, fmt.Errorf("%w: %d×%d does not fit the address space", ErrShape, rows, cols)
	}
	hold(m, int(size))
	return m, nil
}

// Panels returns the number of 16-row panels.
func (m *Matrix) Panels() int { return (m.Rows-1)/PanelRows + 1 }

// Units returns the number of units, blocks or records, in one panel.
func (m *Matrix) Units() int { return (m.Cols-1)/m.Layout.UnitCols() + 1 }

// PanelBytes returns the bytes of one panel.
func (m *Matrix) PanelBytes() int { return m.Units() * m.Layout.UnitBytes() }

// Bytes returns the memory that weights and scales occupy.
func (m *Matrix) Bytes() int64 {
	return int64(m.Panels())*int64(m.PanelBytes()) + 4*int64(len(m.Scales))
}

// Panel returns the packed bytes of panel p, which covers rows 16p…16p+15.
func (m *Matrix) Panel(p int) []byte {
	n := m.PanelBytes()
	data, first := m.Data, 0
	if m.Parts != nil {
		data, first = m.part(p)
	}
	p -= first
	return data[p*n : p*n+n : p*n+n]
}

// Run returns the packed bytes of at most n panels from p on, as far as they lie one after
// another in memory.
func (m *Matrix) Run(p, n int) []byte {
	size := m.PanelBytes()
	data, first := m.Data, 0
	if m.Parts != nil {
		data, first = m.part(p)
	}
	data = data[(p-first)*size:]
	return data[:min(n*size, len(data))]
}

// part returns the memory that holds panel p, and its first panel.
func (m *Matrix) part(p int) (data []byte, first int) {
	for _, part := range m.Parts {
		if p < part.End {
			return part.Data, first
		}
		first = part.End
	}
	panic(fmt.Sprintf("ternary: panel %d of %d", p, m.Panels()))
}

// Packed returns the panels one after another, a copy of them where they lie in parts.
func (m *Matrix) Packed() []byte {
	if m.Parts == nil {
		return m.Data
	}
	var all []byte
	for _, part := range m.Parts {
		all = append(all, part.Data...)
	}
	return all
}

// Fill sets bytes of the panels from byte off of Packed on.
func (m *Matrix) Fill(off int, data []byte) {
	first, size := 0, m.PanelBytes()
	for _, part := range m.Parts {
		if at := off - first*size; len(data) > 0 && at < len(part.Data) {
			n := copy(part.Data[at:], data)
			off, data = off+n, data[n:]
		}
		first = part.End
	}
	if m.Parts == nil {
		copy(m.Data[off:], data)
	}
}

// Groups returns the number of scales per row: 1 without column groups.
func (m *Matrix) Groups() int {
	if m.GroupCols == 0 {
		return 1
	}
	return (m.Cols-1)/m.GroupCols + 1
}

// ScaleAt returns the scale of the element in row r and column c.
func (m *Matrix) ScaleAt(r, c int) float32 {
	switch {
	case m.Layout.Grouped():
		return m.recordScale(r, c/GroupWidth)
	case m.GroupCols != 0:
		return m.Scales[r*m.Groups()+c/m.GroupCols]
	case len(m.Scales) == 1:
		return m.Scales[0]
	}
	return m.Scales[r]
}

// SetScales gives the matrix one scale, one scale per row, or, with groupCols
// not 0, one scale per row and group of groupCols columns in row-major order. It
// keeps the slice. A grouped layout takes all of these, with groupCols a multiple
// of GroupWidth, and copies them; see FitsScales. The error is ErrScales.
func (m *Matrix) SetScales(scales []float32, groupCols int) error {
	if m.Layout.Grouped() {
		for p := range m.Panels() {
			if err := m.SetPanelScales(p, scales, groupCols); err != nil {
				return err
			}
		}
		return nil
	}
	next := *m
	next.Scales, next.GroupCols = scales, groupCols
	if err := next.validateScales(); err != nil {
		return err
	}
	*m = next
	return nil
}

// Validate checks that the fields fit one another, as kernels demand: use it on
// a Matrix that was not made by New. The error is ErrLayout, ErrShape or ErrScales.
func (m *Matrix) Validate() error {
	if int(m.Layout) >= len(layoutNames) {
		return fmt.Errorf("%w: %v", ErrLayout, m.Layout)
	}
	if m.Rows < 1 || m.Cols < 1 || m.Cols > maxCols {
		return fmt.Errorf("%w: %d×%d (rows must be positive and columns in 1…%d)", ErrShape, m.Rows, m.Cols, maxCols)
	}
	parts, first := m.Parts, 0
	if parts == nil {
		parts = []Part{{m.Panels(), m.Data}}
	}
	for _, part := range parts {
		if want := int64(part.End-first) * int64(m.PanelBytes()); int64(len(part.Data)) != want || want < 1 {
			return fmt.Errorf("%w: %d×%d in layout %v needs %d bytes of data, found %d", ErrShape, m.Rows, m.Cols, m.Layout, want, len(part.Data))
		}
		if addr := uintptr(unsafe.Pointer(unsafe.SliceData(part.Data))); addr%hugemem.Align != 0 {
			return fmt.Errorf("%w: data is not aligned to %d bytes", ErrShape, hugemem.Align)
		}
		first = part.End
	}
	if first != m.Panels() {
		return fmt.Errorf("%w: %d×%d has %d panels, its parts %d", ErrShape, m.Rows, m.Cols, m.Panels(), first)
	}
	return m.validateScales()
}

func (m *Matrix) validateScales() error {
	if m.Layout.Grouped() {
		if m.GroupCols != GroupWidth || len(m.Scales) != 0 {
			return fmt.Errorf("%w: layout %v holds the scales of groups of %d columns, found groups of %d and %d scales beside it", ErrScales, m.Layout, GroupWidth, m.GroupCols, len(m.Scales))
		}
		return nil
	}
	if m.GroupCols == 0 {
		if n := len(m.Scales); n != 1 && n != m.Rows {
			return fmt.Errorf("%w: a %d×%d matrix takes 1 or %d scales, found %d", ErrScales, m.Rows, m.Cols, m.Rows, n)
		}
		return nil
	}
	if m.GroupCols < 0 || m.GroupCols%16 != 0 {
		return fmt.Errorf("%w: groups of %d columns (must be a positive multiple of 16)", ErrScales, m.GroupCols)
	}
	if m.Layout != T2 {
		return fmt.Errorf("%w: groups of columns need layout %v, found %v", ErrScales, T2, m.Layout)
	}
	if want := int64(m.Rows) * int64(m.Groups()); int64(len(m.Scales)) != want {
		return fmt.Errorf("%w: a %d×%d matrix in groups of %d columns takes %d scales, found %d", ErrScales, m.Rows, m.Cols, m.GroupCols, want, len(m.Scales))
	}
	return nil
}
