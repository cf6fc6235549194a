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

// encoder packs the codes (trit + 1) of projections with one scale. Its buffers serve
// one tensor after the other.
type encoder struct {
	floats *floatEncoder // for types that hold floats
	w      io.Writer
	j      *job
	scale  float32
	zeros  int64
	fresh  int // of the codes, how many came with the last room

	codes  []byte // that have not been written yet
	out    []byte
	values []float32
}

// begin prepares for the next tensor. What can be wrong is the scale.
func (e *encoder) begin(w io.Writer, j *job, scale float32) error {
	e.w, e.j, e.scale, e.zeros, e.fresh, e.codes = w, j, scale, 0, 0, e.codes[:0]
	return checkScale(j, scale)
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
	switch {
	case e.j.typ == gguf.TypeI2S:
	case quant.IsTernary(e.j.typ):
		unit, size = int(e.j.typ.BlockElements()), int(e.j.typ.BlockBytes())
	default:
		return e.flushFloats()
	}
	whole := len(e.codes) / unit * unit
	n := whole / unit * size
	e.out = slices.Grow(e.out[:0], n)[:n]
	err := e.floats.team.split(whole, unit, func(_, lo, hi int) error {
		dst, codes := e.out[lo/unit*size:hi/unit*size], e.codes[lo:hi]
		if e.j.typ == gguf.TypeI2S {
			return quant.PackI2S(dst, codes) // the scale comes once, at the end
		}
		return quant.EncodeCodes(e.j.typ, dst, codes, e.scale)
	})
	if err != nil {
		return fmt.Errorf("convert: %s: %w", e.j.from(), err)
	}
	e.codes = append(e.codes[:0], e.codes[whole:]...)
	_, err = e.w.Write(e.out)
	return err
}

// flushFloats writes the codes as the floats that they stand for.
func (e *encoder) flushFloats() error {
	values := [...]float32{-e.scale, 0, e.scale}
	e.values = slices.Grow(e.values[:0], len(e.codes))[:len(e.codes)]
	err := e.floats.team.split(len(e.values), 1, func(_, lo, hi int) error {
		for i, c := range e.codes[lo:hi] {
			e.values[lo+i] = values[c]
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.codes = e.codes[:0]
	return e.floats.encode(e.w, e.j, e.values, nil)
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

// close writes what follows the last code.
func (e *encoder) close() error {
	if e.j.typ != gguf.TypeI2S {
		return nil
	}
	var tail [i2sTail]byte
	binary.LittleEndian.PutUint32(tail[:], math.Float32bits(e.scale))
	_, err := e.w.Write(tail[:])
	return err
}

// floatEncoder writes floats in the types of tensors.
type floatEncoder struct {
	team team
	out  []byte
	back []float32
}

// encode writes whole rows of floats in the tensor's type, and adds what that loses
// to lost unless that is nil.
func (e *floatEncoder) encode(w io.Writer, j *job, rows []float32, lost *loss) error {
	n, err := quant.RowBytes(j.typ, len(rows))
	if err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	e.out = slices.Grow(e.out[:0], n)[:n]
	unit := int(j.typ.BlockElements())
	var losses []loss
	if lost != nil {
		losses = make([]loss, parts(len(rows), unit))
		e.back = slices.Grow(e.back[:0], len(rows))[:len(rows)]
	}
	err = e.team.split(len(rows), unit, func(part, lo, hi int) error {
		at := func(elem int) int { return int(int64(elem/unit) * j.typ.BlockBytes()) }
		if err := quant.Encode(j.typ, e.out[at(lo):at(hi)], rows[lo:hi]); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrTensor, j.from(), err)
		}
		if losses == nil {
			return nil
		}
		if err := quant.Decode(j.typ, e.back[lo:hi], e.out[at(lo):at(hi)]); err != nil {
			return fmt.Errorf("convert: %s: %w", j.from(), err)
		}
		losses[part].add(rows[lo:hi], e.back[lo:hi])
		return nil
	})
	if err != nil {
		return err
	}
	for i := range losses {
		lost.merge(&losses[i])
	}
	_, err = w.Write(e.out)
	return err
}

// rounder rounds master weights to trits.
type rounder struct {
	team   team
	method Method

	trits     []int8
	quotients []float32
}

// ternarize rounds master weights to trits, relative to a scale of the method in
// use, and writes trit + 1 to codes unless that is nil. The fidelity is that of trits
// times the scale that is stored.
func (r *rounder) ternarize(rows []float32, codes []byte, scale, stored float32, f *quant.Fidelity) error {
	r.trits = slices.Grow(r.trits[:0], len(rows))[:len(rows)]
	if r.method == AbsMax {
		r.quotients = slices.Grow(r.quotients[:0], len(rows))[:len(rows)]
	}
	fidelities := make([]quant.Fidelity, parts(len(rows), 1))
	err := r.team.split(len(rows), 1, func(part, lo, hi int) error {
		weights, trits := rows[lo:hi], r.trits[lo:hi]
		switch {
		case r.method != AbsMax:
			quant.Ternarize(trits, weights, 1/scale)
		case scale == 0:
			clear(trits)
		default:
			quotients := r.quotients[lo:hi]
			for i, x := range weights {
				quotients[i] = x / scale
			}
			quant.Ternarize(trits, quotients, 1)
		}
		fidelities[part].Add(weights, trits, stored)
		if codes != nil {
			part := codes[lo:hi]
			for i, t := range trits {
				part[i] = byte(t + 1)
			}
		}
		return nil
	})
	for i := range fidelities {
		f.Merge(&fidelities[i])
	}
	return err
}

// loss measures how far the values of a tensor are from what was written.
type loss struct {
	squared, dot, from, to float64
	count                  int64
}

// add compares values with what their encoded form decodes to.
func (l *loss) add(values, back []float32) {
	var part loss // local sums stay in registers
	for i, y := range back {
		x, y := float64(values[i]), float64(y)
		d := x - y
		part.squared += float64(d * d)
		part.dot += float64(x * y)
		part.from += float64(x * x)
		part.to += float64(y * y)
	}
	part.count = int64(len(values))
	l.merge(&part)
}

func (l *loss) merge(o *loss) {
	l.squared += o.squared
	l.dot += o.dot
	l.from += o.from
	l.to += o.to
	l.count += o.count
}

func (l *loss) rmse() float64 { return math.Sqrt(l.squared / float64(l.count)) }

func (l *loss) cosine() float64 {
	if l.from == 0 || l.to == 0 {
		if l.from == l.to {
			return 1
		}
		return 0
	}
	return l.dot / (math.Sqrt(l.from) * math.Sqrt(l.to))
}
