package ternary

import (
	"encoding/binary"
	"fmt"
)

// SetPanel packs the rows of panel p. codes holds one slice per row, from row 16p
// up to row 16p+15 or the last row of the matrix, each of Cols bytes with the
// values 0, 1 and 2 for the trits −1, 0 and +1. Calls for different panels may
// run at the same time. The error is ErrShape, or ErrCode with the place of a
// byte above 2; the panel's contents are then undefined. Layout G2 takes a 3, too,
// for +2, and G1 no 1. The scales of a grouped layout stay as they are.
func (m *Matrix) SetPanel(p int, codes [][]byte) error {
	if p < 0 || p >= m.Panels() {
		return fmt.Errorf("%w: panel %d of %d", ErrShape, p, m.Panels())
	}
	if want := min(PanelRows, m.Rows-p*PanelRows); len(codes) != want {
		return fmt.Errorf("%w: panel %d has %d rows, found %d", ErrShape, p, want, len(codes))
	}
	for i, row := range codes {
		if len(row) != m.Cols {
			return fmt.Errorf("%w: row %d has %d columns, found %d", ErrShape, p*PanelRows+i, m.Cols, len(row))
		}
	}
	panel := m.Panel(p)
	if m.Layout.Grouped() {
		return m.setRecords(p, panel, codes)
	}
	pack, zeros := packT2, uint32(0x55555555)
	if m.Layout == T5 {
		pack, zeros = packT5, 121*0x01010101
	}
	for i, row := range codes {
		if !pack(panel[4*i:], row) {
			return codeError(p*PanelRows+i, row)
		}
	}
	for i := len(codes); i < PanelRows; i++ {
		for at := 4 * i; at < len(panel); at += BlockBytes {
			binary.LittleEndian.PutUint32(panel[at:], zeros)
		}
	}
	return nil
}

// Row unpacks row r into dst, which must hold Cols trits.
func (m *Matrix) Row(r int, dst []int8) error {
	if r < 0 || r >= m.Rows {
		return fmt.Errorf("%w: row %d of %d", ErrShape, r, m.Rows)
	}
	if len(dst) != m.Cols {
		return fmt.Errorf("%w: row %d has %d columns, the destination %d", ErrShape, r, m.Cols, len(dst))
	}
	panel := m.Panel(r / PanelRows)
	at := 4 * (r % PanelRows)
	switch {
	case m.Layout.Grouped():
		m.unpackRecords(dst, panel[at:])
	case m.Layout == T5:
		unpackT5(dst, panel[at:])
	default:
		unpackT2(dst, panel[at:])
	}
	return nil
}

// The packers treat a 32-bit word of four codes as a vector of bytes: the code
// bytes stay small enough that no sum or product carries into a neighbour.

// invalid gathers, in the bits that invalidMask keeps, whether any byte of a word
// is above 2: 3 becomes 4 when 1 is added, larger bytes show bits of their own, and
// 255 does so too before its carry spoils its neighbour.
func invalid(w uint32) uint32 { return w | (w + 0x01010101) }

// invalid2 is invalid of two words.
func invalid2(w uint64) uint64 { return w | (w + 0x0101010101010101) }

const invalidMask = 0xFCFCFCFC

// packT2 packs one row into the lane at the start of dst and every 64 bytes
// after it. It reports whether all codes are valid.
func packT2(dst, row []byte) bool {
	var bad uint32
	at := 0
	for len(row) >= 16 && at+4 <= len(dst) {
		w0 := binary.LittleEndian.Uint32(row)
		w1 := binary.LittleEndian.Uint32(row[4:])
		w2 := binary.LittleEndian.Uint32(row[8:])
		w3 := binary.LittleEndian.Uint32(row[12:])
		bad |= invalid(w0) | invalid(w1) | invalid(w2) | invalid(w3)
		binary.LittleEndian.PutUint32(dst[at:], w0|w1<<2|w2<<4|w3<<6)
		row = row[16:]
		at += BlockBytes
	}
	if len(row) > 0 {
		tail := [16]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
		copy(tail[:], row)
		return packT2(dst[at:], tail[:]) && bad&invalidMask == 0
	}
	return bad&invalidMask == 0
}

// packT5 is packT2 for layout T5.
func packT5(dst, row []byte) bool {
	var bad uint32
	at := 0
	// Two blocks share five loads. What is above the lower half of a sum is dropped.
	var bad2 uint64
	for len(row) >= 40 && at+BlockBytes+4 <= len(dst) {
		in, out := (*[40]byte)(row), (*[BlockBytes + 4]byte)(dst[at:])
		q0 := binary.LittleEndian.Uint64(in[:])
		q1 := binary.LittleEndian.Uint64(in[8:])
		q2 := binary.LittleEndian.Uint64(in[16:])
		q3 := binary.LittleEndian.Uint64(in[24:])
		q4 := binary.LittleEndian.Uint64(in[32:])
		bad2 |= invalid2(q0) | invalid2(q1) | invalid2(q2) | invalid2(q3) | invalid2(q4)
		binary.LittleEndian.PutUint32(out[:], uint32(q0+3*(q0>>32+3*(q1+3*(q1>>32+3*q2)))))
		binary.LittleEndian.PutUint32(out[BlockBytes:], uint32(q2>>32+3*(q3+3*(q3>>32+3*(q4+3*(q4>>32))))))
		row = row[40:]
		at += 2 * BlockBytes
	}
	bad = uint32(bad2) | uint32(bad2>>32)
	for len(row) >= 20 && at+4 <= len(dst) {
		w0 := binary.LittleEndian.Uint32(row)
		w1 := binary.LittleEndian.Uint32(row[4:])
		w2 := binary.LittleEndian.Uint32(row[8:])
		w3 := binary.LittleEndian.Uint32(row[12:])
		w4 := binary.LittleEndian.Uint32(row[16:])
		bad |= invalid(w0) | invalid(w1) | invalid(w2) | invalid(w3) | invalid(w4)
		binary.LittleEndian.PutUint32(dst[at:], w0+3*(w1+3*(w2+3*(w3+3*w4))))
		row = row[20:]
		at += BlockBytes
	}
	if len(row) > 0 {
		tail := [20]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
		copy(tail[:], row)
		return packT5(dst[at:], tail[:]) && bad&invalidMask == 0
	}
	return bad&invalidMask == 0
}

func codeError(r int, row []byte) error {
	for c, code := range row {
		if code > 2 {
			return fmt.Errorf("%w: %d in row %d, column %d (must be 0, 1 or 2)", ErrCode, code, r, c)
		}
	}
	return fmt.Errorf("%w: row %d", ErrCode, r)
}

func unpackT2(dst []int8, lane []byte) {
	var block [16]int8
	for at := 0; len(dst) > 0; at += BlockBytes {
		w := binary.LittleEndian.Uint32(lane[at:])
		for b := range 4 {
			v := byte(w >> (8 * b))
			for f := range 4 {
				block[4*f+b] = int8(v>>(2*f)&3) - 1
			}
		}
		dst = dst[copy(dst, block[:]):]
	}
}

func unpackT5(dst []int8, lane []byte) {
	var block [20]int8
	for at := 0; len(dst) > 0; at += BlockBytes {
		w := binary.LittleEndian.Uint32(lane[at:])
		for b := range 4 {
			v := byte(w >> (8 * b))
			for f := range 5 {
				block[4*f+b] = int8(v%3) - 1
				v /= 3
			}
		}
		dst = dst[copy(dst, block[:]):]
	}
}
