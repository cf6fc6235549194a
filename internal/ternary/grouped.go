package ternary

import (
	"encoding/binary"
	"fmt"
	"math"

	"trit/internal/half"
)

// A lane is the four bytes that a block holds for one row; the lane of the next
// block is BlockBytes further on.

// setRecords packs the codes of a panel in a grouped layout.
func (m *Matrix) setRecords(p int, panel []byte, codes [][]byte) error {
	pack := m.packer()
	size, cols := m.Layout.UnitBytes(), m.Layout.UnitCols()
	var padded [2 * GroupWidth]byte
	pad := byte(1)
	if m.Layout == G1 {
		pad = 0
	}
	for i := range PanelRows {
		for u := range m.Units() {
			record := panel[u*size+4*i : (u+1)*size]
			var row []byte
			if i < len(codes) {
				row = codes[i][u*cols : min((u+1)*cols, m.Cols)]
			}
			if len(row) < cols {
				n := copy(padded[:], row)
				for c := n; c < cols; c++ {
					padded[c] = pad
				}
				row = padded[:cols]
			}
			if !pack(record, row) {
				return m.recordError(p*PanelRows+i, codes[i])
			}
		}
	}
	return nil
}

func (m *Matrix) packer() func(record, row []byte) bool {
	switch m.Layout {
	case G5:
		return packG5
	case G1:
		return packG1
	}
	return packG2
}

// recordError names the code that a packer refuses.
func (m *Matrix) recordError(r int, row []byte) error {
	for c, code := range row {
		switch {
		case m.Layout == G1 && code != 0 && code != 2:
			return fmt.Errorf("%w: %d in row %d, column %d (binary weights must be 0 or 2)", ErrCode, code, r, c)
		case m.Layout == G2 && code > 3:
			return fmt.Errorf("%w: %d in row %d, column %d (must be 0 to 3)", ErrCode, code, r, c)
		case m.Layout == G5 && code > 2:
			return codeError(r, row)
		}
	}
	return fmt.Errorf("%w: row %d", ErrCode, r)
}

// packG2 packs 128 codes into the lane at the start of record and in the seven
// blocks after it.
func packG2(record, row []byte) bool {
	var bad uint32
	for k := range 8 {
		var lane uint32
		for f := range 4 {
			w := binary.LittleEndian.Uint32(row[16*k+4*f:])
			bad |= w
			lane |= w << (2 * f)
		}
		binary.LittleEndian.PutUint32(record[BlockBytes*k:], lane)
	}
	return bad&0xFCFCFCFC == 0
}

// packG5 packs 128 codes, 120 of them in base 3. It keeps the scale.
func packG5(record, row []byte) bool {
	if !packT5(record[:6*BlockBytes-PanelRows*4+4], row[:120]) {
		return false
	}
	w0, w1 := binary.LittleEndian.Uint32(row[120:]), binary.LittleEndian.Uint32(row[124:])
	tail := record[6*BlockBytes:]
	scale := binary.LittleEndian.Uint32(tail) & 0xF0F0F0F0
	binary.LittleEndian.PutUint32(tail, w0|w1<<2|scale)
	return (invalid(w0)|invalid(w1))&invalidMask == 0
}

// packG1 packs 256 codes of −1 and +1.
func packG1(record, row []byte) bool {
	var bad uint32
	for k := range 8 {
		var lane uint32
		for f := range 8 {
			w := binary.LittleEndian.Uint32(row[32*k+4*f:])
			bad |= w
			lane |= w >> 1 << f
		}
		binary.LittleEndian.PutUint32(record[BlockBytes*k:], lane)
	}
	return bad&0xFDFDFDFD == 0
}

// unpackRecords is the inverse of the packers, for one row.
func (m *Matrix) unpackRecords(dst []int8, panel []byte) {
	size := m.Layout.UnitBytes()
	var block [2 * GroupWidth]int8
	for at := 0; len(dst) > 0; at += size {
		record := panel[at:]
		switch m.Layout {
		case G2:
			unpackT2(block[:GroupWidth], record)
		case G5:
			unpackT5(block[:120], record)
			for b, v := range record[6*BlockBytes : 6*BlockBytes+4] {
				block[120+b], block[124+b] = int8(v&3)-1, int8(v>>2&3)-1
			}
		case G1:
			for k := range 8 {
				for b, v := range record[BlockBytes*k : BlockBytes*k+4] {
					for f := range 8 {
						block[32*k+4*f+b] = int8(v>>f&1)*2 - 1
					}
				}
			}
		}
		dst = dst[copy(dst, block[:m.Layout.UnitCols()]):]
	}
}

// FitsScales reports whether the scales of a layout can hold s exactly: G5 and G1
// store binary16.
func FitsScales(l Layout, s []float32) bool {
	if l != G5 && l != G1 {
		return true
	}
	for _, v := range s {
		if _, ok := half.Exact(v); !ok {
			return false
		}
	}
	return true
}

// SetPanelScales is SetScales of a grouped layout for the rows of panel p; the scales are
// those of the whole matrix. Different panels can be set at the same time.
func (m *Matrix) SetPanelScales(p int, scales []float32, groupCols int) error {
	// Scale g of row r is scales[r·row + g·GroupWidth/span].
	row, span := 0, m.Cols
	switch {
	case groupCols == 0 && len(scales) == 1:
	case groupCols == 0 && len(scales) == m.Rows:
		row = 1
	case groupCols == 0:
		return fmt.Errorf("%w: a %d×%d matrix takes 1 or %d scales, found %d", ErrScales, m.Rows, m.Cols, m.Rows, len(scales))
	case groupCols < 0 || groupCols%GroupWidth != 0:
		return fmt.Errorf("%w: groups of %d columns (layout %v needs a multiple of %d)", ErrScales, groupCols, m.Layout, GroupWidth)
	default:
		row, span = (m.Cols-1)/groupCols+1, groupCols
		if want := int64(m.Rows) * int64(row); int64(len(scales)) != want {
			return fmt.Errorf("%w: a %d×%d matrix in groups of %d columns takes %d scales, found %d", ErrScales, m.Rows, m.Cols, groupCols, want, len(scales))
		}
	}
	first := p * PanelRows
	for g := range m.Groups() {
		at := first*row + g*GroupWidth/span
		for r := first; r < min(first+PanelRows, m.Rows); r++ {
			if !m.setRecordScale(r, g, scales[at]) {
				return m.scaleError(scales[at])
			}
			at += row
		}
	}
	return nil
}

func (m *Matrix) scaleError(s float32) error {
	return fmt.Errorf("%w: layout %v stores binary16, which does not hold %g; use %v", ErrScales, m.Layout, s, G2)
}

// MultiplyScales multiplies all scales by f. The error is ErrScales if the layout
// cannot hold a product.
func (m *Matrix) MultiplyScales(f float32) error {
	if !m.Layout.Grouped() {
		for i := range m.Scales {
			m.Scales[i] *= f
		}
		return nil
	}
	for r := range m.Rows {
		for g := range m.Groups() {
			if s := m.recordScale(r, g) * f; !m.setRecordScale(r, g, s) {
				return m.scaleError(s)
			}
		}
	}
	return nil
}

// scaleLane returns the lane of the last block of the record with group g of row r.
func (m *Matrix) scaleLane(r, g int) []byte {
	size := m.Layout.UnitBytes()
	unit := g * GroupWidth / m.Layout.UnitCols()
	at := (unit+1)*size - BlockBytes + 4*(r%PanelRows)
	return m.Panel(r / PanelRows)[at : at+4]
}

// setRecordScale reports whether the layout can hold the scale.
func (m *Matrix) setRecordScale(r, g int, s float32) bool {
	lane := m.scaleLane(r, g)
	if m.Layout == G2 {
		binary.LittleEndian.PutUint32(lane, math.Float32bits(s))
		return true
	}
	h, ok := half.Exact(s)
	if m.Layout == G1 {
		binary.LittleEndian.PutUint16(lane[g%2*2:], h)
		return ok
	}
	// A digit of four bits in the upper half of each byte.
	x := uint32(h)
	x = x&0xf | x&0xf0<<4 | x&0xf00<<8 | x&0xf000<<12
	binary.LittleEndian.PutUint32(lane, binary.LittleEndian.Uint32(lane)&0x0f0f0f0f|x<<4)
	return ok
}

// recordScale returns the scale of group g of row r.
func (m *Matrix) recordScale(r, g int) float32 {
	lane := m.scaleLane(r, g)
	var h uint16
	switch m.Layout {
	case G2:
		return math.Float32frombits(binary.LittleEndian.Uint32(lane))
	case G5:
		for b, v := range lane {
			h |= uint16(v>>4) << (4 * b)
		}
	case G1:
		h = binary.LittleEndian.Uint16(lane[g%2*2:])
	}
	return half.F16ToF32(h)
}
