package convert

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync/atomic"

	"trit/gguf"
	"trit/internal/half"
	"trit/internal/model"
	"trit/internal/safetensors"
	"trit/quant"
)

// pieceElems is how many elements are converted at a time, give or take a row.
const pieceElems = 1 << 20

// specs describes the output's tensors for the GGUF writer.
func (c *converter) specs() []gguf.TensorSpec {
	specs := make([]gguf.TensorSpec, len(c.jobs))
	for i, j := range c.jobs {
		specs[i] = gguf.TensorSpec{Name: j.name, Dims: j.dims, Type: j.typ, Write: func(w io.Writer) error {
			c.done.Tensors = i
			c.done.Tensor = j.name
			if err := c.progress(0); err != nil {
				return err
			}
			return c.write(w, j)
		}}
	}
	return specs
}

// write converts one tensor.
func (c *converter) write(w io.Writer, j *job) error {
	c.out = c.out[:0]
	if j.tensor != nil {
		return c.writeTensor(w, j)
	}
	switch {
	case j.values != nil:
		return c.encode(w, j, j.values)
	case j.scale != nil:
		return c.writePacked(w, j)
	case j.role == model.RoleProjection:
		return c.writeFloats(w, j)
	}
	return c.writeValues(w, j)
}

// writeValues writes floats as they are, as far as the type can hold them.
func (c *converter) writeValues(w io.Writer, j *job) error {
	return c.eachRows(j, func(first int64, rows []float32) error {
		err := c.team.split(len(rows), 1, func(_, lo, hi int) error {
			if i := outOfRange(rows[lo:hi], j.typ); i >= 0 {
				x, i := rows[lo+i], int64(lo+i)
				if !finite(x) {
					return fmt.Errorf("%w: %s: row %d, column %d is %v", ErrTensor, j.from(), first+i/j.cols(), i%j.cols(), x)
				}
				return fmt.Errorf("%w: %s: row %d, column %d is %v, beyond the range of F16; use BF16 or F32", ErrType, j.from(), first+i/j.cols(), i%j.cols(), x)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := c.progress(j.bytesOf(len(rows))); err != nil {
			return err
		}
		return c.encode(w, j, rows)
	})
}

// outOfRange returns the index of the first value that is not finite, or that F16
// cannot hold if that is the type; −1 if there is none.
func outOfRange(values []float32, t gguf.Type) int {
	limit := uint32(0x7f800000) // magnitudes are in the order of their bits
	if t == gguf.TypeF16 {
		limit = math.Float32bits(65520) // what rounds to infinity
	}
	for i, x := range values {
		if math.Float32bits(x)&^(1<<31) >= limit {
			return i
		}
	}
	return -1
}

// encode writes whole rows of floats in the tensor's type, and measures what that
// loses if it is asked to.
func (c *converter) encode(w io.Writer, j *job, rows []float32) error {
	n, err := quant.RowBytes(j.typ, len(rows))
	if err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	c.out = slices.Grow(c.out[:0], n)[:n]
	unit := int(j.typ.BlockElements())
	var losses []loss
	if c.loss != nil {
		losses = make([]loss, parts(len(rows), unit))
		c.back = slices.Grow(c.back[:0], len(rows))[:len(rows)]
	}
	err = c.team.split(len(rows), unit, func(part, lo, hi int) error {
		at := func(elem int) int { return int(int64(elem/unit) * j.typ.BlockBytes()) }
		if err := quant.Encode(j.typ, c.out[at(lo):at(hi)], rows[lo:hi]); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrTensor, j.from(), err)
		}
		if losses == nil {
			return nil
		}
		if err := quant.Decode(j.typ, c.back[lo:hi], c.out[at(lo):at(hi)]); err != nil {
			return fmt.Errorf("convert: %s: %w", j.from(), err)
		}
		losses[part].add(rows[lo:hi], c.back[lo:hi])
		return nil
	})
	if err != nil {
		return err
	}
	for i := range losses {
		c.loss.merge(&losses[i])
	}
	_, err = w.Write(c.out)
	return err
}

// eachRows reads a float tensor and calls use with runs of whole rows, in the
// order of the output; first is the index of the first one. The slice is valid
// during the call.
func (c *converter) eachRows(j *job, use func(first int64, rows []float32) error) error {
	if j.tensor != nil {
		return c.eachTensorRows(j, use)
	}
	cols := j.cols()
	rows, step := j.rows(), j.step()
	if j.headRows > 0 && len(j.dims) == 1 { // a bias: its elements are what is reordered
		cols, rows, step = 1, cols, cols
	}
	for first := int64(0); first < rows; first += step {
		if err := c.ctx.Err(); err != nil {
			return fmt.Errorf("convert: stopped: %w", err)
		}
		n := min(step, rows-first)
		c.floats = slices.Grow(c.floats[:0], int(n*cols))[:n*cols]
		if err := c.in.floats(c.floats, j.source, first*cols); err != nil {
			return err
		}
		piece := c.floats
		if j.headRows > 0 {
			c.reordered = slices.Grow(c.reordered[:0], len(piece))[:len(piece)]
			interleave(c.reordered, piece, j.headRows, int(cols))
			piece = c.reordered
		}
		if err := use(first, piece); err != nil {
			return err
		}
	}
	return nil
}

// step returns how many rows make a piece: whole heads where heads are reordered.
func (j *job) step() int64 {
	step := max(1, pieceElems/j.cols())
	if heads := int64(j.headRows); heads > 0 {
		step = max(1, step/heads) * heads
	}
	return step
}

// interleave reorders the rows of each head from the half-split rotation of
// Hugging Face, which turns rows i and i+d/2 together, to the interleaved one of
// the llama architecture, rows 2i and 2i+1. src and dst hold whole heads of
// headRows rows.
func interleave[T float32 | byte](dst, src []T, headRows, cols int) {
	size := headRows * cols
	for len(src) >= size {
		for i := range headRows {
			from := i/2 + i%2*(headRows/2)
			copy(dst[i*cols:(i+1)*cols], src[from*cols:(from+1)*cols])
		}
		dst, src = dst[size:], src[size:]
	}
}

// writeFloats writes a projection that the checkpoint holds as floats.
func (c *converter) writeFloats(w io.Writer, j *job) error {
	a, err := c.analyse(j)
	if err != nil {
		return err
	}
	j.report.Form, j.report.Scale, j.report.Scales = a.form, a.scale, a.scales
	if !a.uniform() {
		return c.writeScales(w, j)
	}
	enc, err := c.newEncoder(w, j, a.scale)
	if err != nil {
		return err
	}
	var fidelity quant.Fidelity
	stored := storedScale(j.typ, a.scale)
	loss := c.loss
	c.loss = nil // what rounding to trits loses is measured as a whole
	defer func() { c.loss = loss }()
	err = c.eachRows(j, func(_ int64, rows []float32) error {
		codes := enc.room(len(rows))
		var err error
		if a.form == FormMaster {
			err = c.ternarize(rows, codes, a.scale, stored, &fidelity)
		} else {
			err = c.team.split(len(rows), 1, func(_, lo, hi int) error {
				signs(codes[lo:hi], rows[lo:hi])
				return nil
			})
		}
		if err != nil {
			return err
		}
		if err := c.progress(j.bytesOf(len(rows))); err != nil {
			return err
		}
		return enc.flush()
	})
	if err != nil {
		return err
	}
	j.report.Zeros = fraction(enc.zeros, j)
	if a.form == FormMaster {
		j.report.Cosine, j.report.RMSE = fidelity.Cosine(), fidelity.RMSE()
	} else {
		j.report.RMSE = math.Abs(float64(stored)-float64(a.scale)) * math.Sqrt(1-j.report.Zeros)
	}
	return enc.close()
}

func fraction(n int64, j *job) float64 { return float64(n) / float64(j.rows()*j.cols()) }

// writeScales writes a projection of trits with several scales.
func (c *converter) writeScales(w io.Writer, j *job) error {
	var zeros atomic.Int64
	err := c.eachRows(j, func(_ int64, rows []float32) error {
		err := c.team.split(len(rows), 1, func(_, lo, hi int) error {
			n := int64(0)
			for _, x := range rows[lo:hi] {
				u := math.Float32bits(x) << 1
				n += int64(1 - (u|-u)>>31)
			}
			zeros.Add(n)
			return checkMagnitudes(j, rows[lo:hi])
		})
		if err != nil {
			return err
		}
		if err := c.progress(j.bytesOf(len(rows))); err != nil {
			return err
		}
		return c.encode(w, j, rows)
	})
	j.report.Zeros = fraction(zeros.Load(), j)
	return err
}

// signs writes 0, 1 or 2 for a negative, zero or positive value. It has no
// branches, because signs are unpredictable.
func signs(codes []byte, values []float32) {
	codes = codes[:len(values)]
	for i, x := range values {
		u := math.Float32bits(x)
		nonzero := (u<<1 | -(u << 1)) >> 31 // 1 unless x is ±0
		codes[i] = byte(1 + nonzero - 2*(nonzero&(u>>31)))
	}
}

// checkMagnitudes verifies that scales survive rounding to the tensor's type.
func checkMagnitudes(j *job, values []float32) error {
	last := float32(0)
	for _, x := range values {
		if x != 0 && x != last && -x != last {
			if err := checkScale(j, x); err != nil {
				return err
			}
			last = x
		}
	}
	return nil
}

// checkScale refuses a scale that the tensor's type would turn into zero or
// infinity.
func checkScale(j *job, scale float32) error {
	stored := storedScale(j.typ, scale)
	if !finite(stored) || stored == 0 && scale != 0 {
		return fmt.Errorf("%w: %s has scale %g, beyond the range of %v; use I2_S or F32", ErrType, j.from(), scale, j.typ)
	}
	return nil
}

// storedScale returns a scale as tensors of the type store it.
func storedScale(t gguf.Type, scale float32) float32 {
	switch t {
	case gguf.TypeF16, gguf.TypeTQ1_0, gguf.TypeTQ2_0:
		return half.F16ToF32(half.F32ToF16(scale))
	case gguf.TypeBF16:
		return half.BF16ToF32(half.F32ToBF16(scale))
	case gguf.TypeQ8_0:
		return 127 * half.F16ToF32(half.F32ToF16(scale/127))
	}
	return scale
}

// ternarize rounds master weights to trits, relative to a scale of the method in
// use, and writes trit + 1 to codes unless that is nil. The fidelity is that of trits
// times the scale that is stored.
func (c *converter) ternarize(rows []float32, codes []byte, scale, stored float32, f *quant.Fidelity) error {
	c.trits = slices.Grow(c.trits[:0], len(rows))[:len(rows)]
	if c.method == AbsMax {
		c.values = slices.Grow(c.values[:0], len(rows))[:len(rows)]
	}
	fidelities := make([]quant.Fidelity, parts(len(rows), 1))
	err := c.team.split(len(rows), 1, func(part, lo, hi int) error {
		weights, trits := rows[lo:hi], c.trits[lo:hi]
		switch {
		case c.method != AbsMax:
			quant.Ternarize(trits, weights, 1/scale)
		case scale == 0:
			clear(trits)
		default:
			quotients := c.values[lo:hi]
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

// writePacked writes a projection of packed codes. The checkpoint stacks four
// planes: bits 2k and 2k+1 of packed row r belong to row k·(rows/4) + r.
func (c *converter) writePacked(w io.Writer, j *job) error {
	stored, err := c.in.scale(j.scale)
	if err != nil {
		return err
	}
	scale := c.multiplier(stored)
	j.report.Form, j.report.Scale, j.report.Scales = FormPacked, scale, 1
	enc, err := c.newEncoder(w, j, scale)
	if err != nil {
		return err
	}
	rows, cols, step := j.rows(), j.cols(), j.step()
	read := int64(0) // packed bytes that progress counts: a quarter of the codes
	for first := int64(0); first < rows; first += step {
		if err := c.ctx.Err(); err != nil {
			return fmt.Errorf("convert: stopped: %w", err)
		}
		n := min(step, rows-first)
		codes := enc.room(int(n * cols))
		unpacked := codes
		if j.headRows > 0 {
			c.codes = slices.Grow(c.codes[:0], len(codes))[:len(codes)]
			unpacked = c.codes
		}
		if err := c.in.codes(unpacked, j.source, first, rows, cols); err != nil {
			return err
		}
		if j.headRows > 0 {
			interleave(codes, unpacked, j.headRows, int(cols))
		}
		part := (first+n)*cols/4 - read
		read += part
		if err := c.progress(part); err != nil {
			return err
		}
		if err := enc.flush(); err != nil {
			return err
		}
	}
	j.report.Zeros = fraction(enc.zeros, j)
	return enc.close()
}

// codes unpacks the rows from index first on that fill dst.
func (s *source) codes(dst []byte, t *safetensors.Tensor, first, rows, cols int64) error {
	f, raw, err := s.open(t, len(dst))
	if err != nil {
		return err
	}
	return s.team.split(len(dst), int(cols), func(_, lo, hi int) error {
		return unpackPlanes(f, t, dst[lo:hi], raw[lo:hi], first+int64(lo)/cols, rows, cols)
	})
}

// unpackPlanes is codes for a part of the rows; raw is memory of the size of dst.
func unpackPlanes(f *os.File, t *safetensors.Tensor, dst, raw []byte, first, rows, cols int64) error {
	quarter := rows / 4
	for row := first; len(dst) > 0; {
		plane, r := row/quarter, row%quarter
		n := min(int64(len(dst))/cols, quarter-r)
		packed := raw[:n*cols]
		if err := readAt(f, t, packed, r*cols); err != nil {
			return err
		}
		shift, invalid := uint(2*plane), byte(0)
		for i, b := range packed {
			code := b >> shift & 3
			invalid |= code & (code >> 1)
			dst[i] = code
		}
		if invalid != 0 {
			i := int64(slices.Index(dst[:len(packed)], 3))
			return fmt.Errorf("%w: %s: row %d, column %d has code 3, want 0, 1 or 2", ErrTensor, t.Name, row+i/cols, i%cols)
		}
		dst = dst[len(packed):]
		row += n
	}
	return nil
}
