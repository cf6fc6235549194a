package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"trit/gguf"
	"trit/internal/half"
)

// bnElems is the number of columns of a block of the BN types.
const bnElems = 64

// rowCodec describes a type of ik_llama.cpp, whose rows begin with a scale of their
// own. They are read, not written.
type rowCodec struct {
	head     int // bytes of the scale in front of a row; 0: the file has it elsewhere
	block    int // bytes of bnElems columns of a row
	together int // rows that are interleaved, their scales in front of them all
	// unpack writes the codes of a row's columns from the blocks of the rows that are
	// together. three reports a code of 3.
	unpack func(dst, blocks []byte, row int) (three bool)
}

var rowCodecs = map[gguf.Type]*rowCodec{
	gguf.TypeIQ1BN:     {head: 2, block: 13, together: 1, unpack: unpackIQ1BN},
	gguf.TypeIQ1BNBare: {head: 0, block: 13, together: 1, unpack: unpackIQ1BN},
	gguf.TypeIQ2BN:     {head: 4, block: 16, together: 1, unpack: unpackIQ2BN},
	gguf.TypeIQ2BNBare: {head: 0, block: 16, together: 1, unpack: unpackIQ2BN},
	gguf.TypeIQ2BNR4:   {head: 4, block: 16, together: 4, unpack: unpackIQ2BNR4},
}

// rowBytes is the size of a row.
func (c *rowCodec) rowBytes(t gguf.Type, cols int) (int, error) {
	if cols%bnElems != 0 {
		return 0, fmt.Errorf("%w: %v rows need a multiple of %d columns, have %d", ErrShape, t, bnElems, cols)
	}
	return c.head + cols/bnElems*c.block, nil
}

// group returns the scales and the blocks of the rows that a row is interleaved with,
// and its place among them.
func (c *rowCodec) group(data []byte, cols, row int) (heads, blocks []byte, place int) {
	size := c.together * (c.head + cols/bnElems*c.block)
	g := data[row/c.together*size:][:size]
	return g[:c.together*c.head], g[c.together*c.head:], row % c.together
}

// scale returns what the trits of a row are multiplied with.
func (c *rowCodec) scale(data []byte, cols, row int) float32 {
	heads, _, place := c.group(data, cols, row)
	switch head := heads[place*c.head:]; c.head {
	case 2:
		return half.F16ToF32(binary.LittleEndian.Uint16(head))
	case 4:
		return math.Float32frombits(binary.LittleEndian.Uint32(head))
	}
	return 1
}

// codes writes the codes of a row.
func (c *rowCodec) codes(dst, data []byte, row int) (three bool) {
	_, blocks, place := c.group(data, len(dst), row)
	return c.unpack(dst, blocks, place)
}

// decode is Decode for rows whose number the length of src tells.
func (c *rowCodec) decode(t gguf.Type, dst []float32, src []byte) error {
	codes := len(dst) / bnElems * c.block
	rows := 1
	if c.head > 0 && len(src) > codes {
		rows = max(1, (len(src)-codes)/c.head)
	}
	if len(dst)%(bnElems*rows) != 0 || rows%c.together != 0 || len(src) != codes+rows*c.head {
		return fmt.Errorf("%w: %d bytes are no whole rows of %v with %d elements", ErrLength, len(src), t, len(dst))
	}
	cols := len(dst) / rows
	row := make([]byte, cols)
	for r := range rows {
		if c.codes(row, src, r) {
			return fmt.Errorf("row %d: %w", r, codeError(row, 0))
		}
		decodeCodes(dst[r*cols:(r+1)*cols], row, c.scale(src, cols, r))
	}
	return nil
}

// collectRowScales reads the scale of every row.
func (v *TernaryView) collectRowScales() error {
	scales := make([]float32, v.rows)
	same := true
	for r := range scales {
		d := v.rowCodec.scale(v.data, v.cols, r)
		if err := CheckScale(d); err != nil {
			return fmt.Errorf("%v, row %d: %w", v.typ, r, err)
		}
		scales[r] = d
		same = same && d == scales[0]
	}
	if same {
		scales = scales[:1:1]
	}
	v.scales = scales
	return nil
}

// bnTrits are the five trits, as codes, that a byte of IQ1_BN stores as the number
// ⌈256·(t₀ + 3·t₁ + 9·t₂ + 27·t₃ + 81·t₄)/243⌉.
var bnTrits = func() (trits [256][5]byte) {
	powers := [5]byte{81, 27, 9, 3, 1}
	for b := range trits {
		for j, power := range powers {
			v := int(byte(b) * power)
			trits[b][j] = byte((v + v>>1) >> 7)
		}
	}
	return trits
}()

// unpackIQ1BN: of the 13 bytes of a block, three hold the first 15 elements of each
// sixteen, and the last one the sixteenth of all four.
func unpackIQ1BN(dst, blocks []byte, _ int) (three bool) {
	for ; len(dst) > 0; dst, blocks = dst[bnElems:], blocks[13:] {
		for i := range 4 {
			for k := range 3 {
				copy(dst[16*i+5*k:], bnTrits[blocks[3*i+k]][:])
			}
			dst[16*i+15] = bnTrits[blocks[12]][i]
		}
	}
	return false
}

// unpackIQ2BN: element e is in byte e mod 16, lower bits first.
func unpackIQ2BN(dst, blocks []byte, _ int) (three bool) {
	var invalid byte
	for ; len(dst) > 0; dst, blocks = dst[bnElems:], blocks[16:] {
		for i, b := range blocks[:16] {
			for plane := range 4 {
				code := b >> (2 * plane) & 3
				invalid |= code & (code >> 1)
				dst[i+16*plane] = code
			}
		}
	}
	return invalid != 0
}

// unpackIQ2BNR4: of the 64 bytes that a block of four rows takes, each sixteen hold
// sixteen elements of every row, four bytes a row; byte i of these has elements i, 4+i,
// 8+i and 12+i.
func unpackIQ2BNR4(dst, blocks []byte, row int) (three bool) {
	var invalid byte
	for ; len(dst) > 0; dst, blocks = dst[bnElems:], blocks[64:] {
		for l := range 4 {
			for i, b := range blocks[16*l+4*row:][:4] {
				for j := range 4 {
					code := b >> (2 * j) & 3
					invalid |= code & (code >> 1)
					dst[16*l+4*j+i] = code
				}
			}
		}
	}
	return invalid != 0
}
