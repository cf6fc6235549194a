package convert

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"

	"trit/gguf"
	"trit/quant"
)

// encoder packs the codes (trit + 1) of a projection with one scale.
type encoder struct {
	c     *converter
	w     io.Writer
	j     *job
	scale float32
	zeros int64
	codes []byte // codes that have not been written yet
	fresh int    // of these, how many came with the last room
}

func (c *converter) newEncoder(w io.Writer, j *job, scale float32) (*encoder, error) {
	return &encoder{c: c, w: w, j: j, scale: scale, codes: c.pending[:0]}, checkScale(j, scale)
}

// room returns a slice for the next n codes, which flush then takes.
func (e *encoder) room(n int) []byte {
	kept := len(e.codes)
	e.codes = slices.Grow(e.codes, n)[:kept+n]
	e.fresh = n
	return e.codes[kept:]
}

// flush writes what makes whole blocks.
func (e *encoder) flush() error {
	e.zeros += countZeros(e.codes[len(e.codes)-e.fresh:])
	unit, size := 128, 32 // of a block of I2_S; blocks follow one another without regard to rows
	switch e.j.typ {
	case gguf.TypeI2S:
	case gguf.TypeTQ1_0, gguf.TypeTQ2_0:
		unit, size = int(e.j.typ.BlockElements()), int(e.j.typ.BlockBytes())
	default:
		return e.flushFloats()
	}
	whole := len(e.codes) / unit * unit
	n := whole / unit * size
	out := slices.Grow(e.c.out[:0], n)[:n]
	e.c.out = out
	err := e.c.team.split(whole, unit, func(_, lo, hi int) error {
		dst, codes := out[lo/unit*size:hi/unit*size], e.codes[lo:hi]
		if e.j.typ == gguf.TypeI2S {
			return quant.PackI2S(dst, codes) // the scale comes once, at the end
		}
		return quant.EncodeCodes(e.j.typ, dst, codes, e.scale)
	})
	if err != nil {
		return fmt.Errorf("convert: %s: %w", e.j.from(), err)
	}
	e.codes = append(e.codes[:0], e.codes[whole:]...)
	_, err = e.w.Write(out)
	return err
}

// flushFloats writes the codes as the floats that they stand for.
func (e *encoder) flushFloats() error {
	values := [...]float32{-e.scale, 0, e.scale}
	floats := slices.Grow(e.c.values[:0], len(e.codes))[:len(e.codes)]
	e.c.values = floats
	err := e.c.team.split(len(floats), 1, func(_, lo, hi int) error {
		for i, c := range e.codes[lo:hi] {
			floats[lo+i] = values[c]
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.codes = e.codes[:0]
	return e.c.encode(e.w, e.j, floats)
}

// countZeros counts the codes 1 among codes 0, 1 and 2.
func countZeros(codes []byte) (zeros int64) {
	for ; len(codes) >= 8; codes = codes[8:] {
		zeros += int64(bits.OnesCount64(binary.LittleEndian.Uint64(codes) & 0x0101010101010101))
	}
	for _, c := range codes {
		zeros += int64(c & 1)
	}
	return zeros
}

// i2sTail is what follows the codes of an I2_S tensor: the scale and 28 unused
// bytes.
const i2sTail = 32

// close writes what follows the last code, and keeps the buffer for the next
// tensor.
func (e *encoder) close() error {
	e.c.pending = e.codes
	if e.j.typ != gguf.TypeI2S {
		return nil
	}
	var tail [i2sTail]byte
	binary.LittleEndian.PutUint32(tail[:], math.Float32bits(e.scale))
	_, err := e.w.Write(tail[:])
	return err
}
