package ternary

import (
	"encoding/binary"
	"fmt"

	"trit/internal/hugemem"
)

// Lines holds the rows or the columns of a matrix one after another, without scales,
// for products that leave some of them out: a panel interleaves sixteen rows, so that
// leaving one out would save no reading.
//
// A line is a sequence of blocks of 64 bytes, each byte with four codes of 2 bits (in
// layout T2) or five digits of base 3 (in T5), padded with zero trits. So a block has
// 256 or 320 codes. Where they are in it suits the two ways of multiplying:
//
//   - Rows: bytes 4k…4k+3 of block j are those that the matrix has of the row in
//     block 16j+k of its panel. A row's product is made of sums in 16 lanes.
//   - Columns: digit f of byte 16a+4i+b of block j is the code of row
//     n·j+64f+16i+4a+b, with n codes in a block. The bytes of four columns,
//     interleaved, are in vector i those of 16 rows in their order, for each f.
type Lines struct {
	Count, Width int // lines, codes in each
	Layout       Layout
	Data         []byte // Count·LineBytes() bytes, aligned to 64 bytes
}

// HasLines reports whether there are Lines of matrices like m: those with whole rows
// under one scale.
func HasLines(m *Matrix) bool { return m.GroupCols == 0 && !m.Layout.Grouped() }

// RowLines returns lines for the rows of m, each of which SetRows must set.
func RowLines(m *Matrix) (*Lines, error) { return newLines(m, m.Layout, m.Rows, m.Cols) }

// ColumnLines returns lines for the columns of m, each of which SetColumns must set.
func ColumnLines(m *Matrix, layout Layout) (*Lines, error) {
	return newLines(m, layout, m.Cols, m.Rows)
}

func newLines(m *Matrix, layout Layout, count, width int) (*Lines, error) {
	if !HasLines(m) || layout.Grouped() {
		return nil, fmt.Errorf("%w: lines of a matrix in layout %v with groups of %d columns", ErrLayout, m.Layout, m.GroupCols)
	}
	l := &Lines{Count: count, Width: width, Layout: layout}
	size := int64(count) * int64(l.LineBytes())
	if size > int64(^uint(0)>>1)-1<<22 {
		return nil, fmt.Errorf("%w: %d lines of %d do not fit the address space", ErrShape, count, width)
	}
	l.Data = hugemem.Bytes(int(size))
	return l, nil
}

// LinesBytes returns the memory of count lines of width codes.
func LinesBytes(layout Layout, count, width int) int64 {
	l := Lines{Count: count, Width: width, Layout: layout}
	return int64(count) * int64(l.LineBytes())
}

// Fields returns how many codes a byte holds.
func (l *Lines) Fields() int { return l.Layout.UnitCols() / 4 }

// BlockCodes returns how many codes a block of 64 bytes holds.
func (l *Lines) BlockCodes() int { return BlockBytes * l.Fields() }

// Blocks returns the number of blocks in a line.
func (l *Lines) Blocks() int { return (l.Width-1)/l.BlockCodes() + 1 }

// LineBytes returns the bytes of a line.
func (l *Lines) LineBytes() int { return l.Blocks() * BlockBytes }

// Bytes returns the memory that the lines take; that of none is 0.
func (l *Lines) Bytes() int64 {
	if l == nil {
		return 0
	}
	return int64(l.Count) * int64(l.LineBytes())
}

// SetRows sets the lines of the rows in panel p of the matrix that the lines were made
// for. Calls for different panels may run at the same time.
func (l *Lines) SetRows(m *Matrix, p int) {
	size := l.LineBytes()
	panel, units := m.Panel(p), m.Units()
	for r := range min(PanelRows, m.Rows-p*PanelRows) {
		line := l.Data[(p*PanelRows+r)*size:][:size]
		for k := range units {
			copy(line[4*k:4*k+4], panel[BlockBytes*k+4*r:])
		}
		for at := 4 * units; at < size; at += 4 {
			binary.LittleEndian.PutUint32(line[at:], zeroWord(l.Layout))
		}
	}
}

// zeroWord is four bytes of zero trits.
func zeroWord(l Layout) uint32 {
	if l == T5 {
		return 121 * 0x01010101
	}
	return 0x55555555
}

// fieldMask keeps a code in each 16-bit lane.
const fieldMask = 0x0003_0003_0003_0003

// codesOf turns a packed byte into its codes, two bits each, the first lowest.
var codesOf = func() (table [2][256]uint16) {
	for v := range 256 {
		table[T2][v] = uint16(v)
		for f, rest := 0, v; f < 5; f, rest = f+1, rest/3 {
			table[T5][v] |= uint16(rest%3) << (2 * f)
		}
	}
	return table
}()

// SetColumns sets block j of the lines of all columns of the matrix that the lines were
// made for. Calls for different blocks may run at the same time.
func (l *Lines) SetColumns(m *Matrix, j int) {
	size, fields, width := l.LineBytes(), l.Fields(), m.Layout.UnitCols()
	radix := uint64(4)
	if l.Layout == T5 {
		radix = 3
	}
	zero := uint64(codesOf[m.Layout][byte(zeroWord(m.Layout))])
	table := &codesOf[m.Layout]
	var block [20][BlockBytes]byte
	for k := range m.Units() {
		for i := range 4 {
			for r := range PanelRows {
				// The codes of 4·fields rows, of which this is one in 4 for each
				// field: sums of their digits, for four columns in a word.
				var sums [5]uint64
				for f := fields - 1; f >= 0; f-- {
					word := zero * 0x0001_0001_0001_0001
					if p := 4*fields*j + 4*f + i; p < m.Panels() {
						w := m.Panel(p)[BlockBytes*k+4*r:][:4]
						word = uint64(table[w[0]]) | uint64(table[w[1]])<<16 | uint64(table[w[2]])<<32 | uint64(table[w[3]])<<48
					}
					for c := range sums {
						sums[c] = sums[c]*radix + word>>(2*c)&fieldMask
					}
				}
				n := r/4*16 + 4*i + r%4
				for c := range width / 4 {
					for b := range 4 {
						block[4*c+b][n] = byte(sums[c] >> (16 * b))
					}
				}
			}
		}
		for c := range min(width, m.Cols-k*width) {
			copy(l.Data[(k*width+c)*size+j*BlockBytes:], block[c][:])
		}
	}
}
