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
		h := half.F32ToF16(v)
		if math.Float32bits(half.F16ToF32(h)) != math.Float32bits(v) {
			return false
		}
	}
	return true
}

// setRecordScales writes scales of any granularity that is not finer than a group.
func (m *Matrix) setRecordScales(scales []float32, groupCols int) error {
	perRow := 1
	switch {
	case groupCols == 0 && len(scales) == 1, groupCols == 0 && len(scales) == m.Rows:
	case groupCols == 0:
		return fmt.Errorf("%w: a %d×%d matrix takes 1 or %d scales, found %d", ErrScales, m.Rows, m.Cols, m.Rows, len(scales))
	case groupCols < 0 || groupCols%GroupWidth != 0:
		return fmt.Errorf("%w: groups of %d columns (layout %v needs a multiple of %d)", ErrScales, groupCols, m.Layout, GroupWidth)
	default:
		perRow = (m.Cols-1)/groupCols + 1
		if want := int64(m.Rows) * int64(perRow); int64(len(scales)) != want {
			return fmt.Errorf("%w: a %d×%d matrix in groups of %d columns takes %d scales, found %d", ErrScales, m.Rows, m.Cols, groupCols, want, len(scales))
		}
	}
	if !FitsScales(m.Layout, scales) {
		return fmt.Errorf("%w: layout %v stores binary16, which does not hold them all; use %v", ErrScales, m.Layout, G2)
	}
	for r := range m.Rows {
		for g := range m.Groups() {
			i := 0
			switch {
			case groupCols != 0:
				i = r*perRow + g*GroupWidth/groupCols
			case len(scales) > 1:
				i = r
			}
			m.setRecordScale(r, g, scales[i])
		}
	}
	return nil
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
			s := m.recordScale(r, g) * f
			if !FitsScales(m.Layout, []float32{s}) {
				return fmt.Errorf("%w: layout %v stores binary16, which does not hold %g", ErrScales, m.Layout, s)
			}
			m.setRecordScale(r, g, s)
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

func (m *Matrix) setRecordScale(r, g int, s float32) {
	lane := m.scaleLane(r, g)
	h := half.F32ToF16(s)
	switch m.Layout {
	case G2:
		binary.LittleEndian.PutUint32(lane, math.Float32bits(s))
	case G5:
		for b := range lane {
			lane[b] = lane[b]&15 | byte(h>>(4*b))<<4
		}
	case G1:
		binary.LittleEndian.PutUint16(lane[g%2*2:], h)
	}
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
