package convert

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"

	"trit/gguf"
	"trit/internal/half"
	"trit/model"
	"trit/quant"
	"trit/safetensors"
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
		for i, x := range rows {
			if !finite(x) {
				return fmt.Errorf("%w: %s: row %d, column %d is %v", ErrTensor, j.from(), first+int64(i)/j.cols(), int64(i)%j.cols(), x)
			}
			if j.typ == gguf.TypeF16 && math.Abs(float64(x)) >= 65520 {
				return fmt.Errorf("%w: %s: row %d, column %d is %v, beyond the range of F16; use BF16 or F32", ErrType, j.from(), first+int64(i)/j.cols(), int64(i)%j.cols(), x)
			}
		}
		if err := c.progress(j.bytesOf(len(rows))); err != nil {
			return err
		}
		return c.encode(w, j, rows)
	})
}

// encode writes whole rows of floats in the tensor's type.
func (c *converter) encode(w io.Writer, j *job, rows []float32) error {
	n, err := quant.RowBytes(j.typ, len(rows))
	if err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	c.out = slices.Grow(c.out[:0], n)[:n]
	if err := quant.Encode(j.typ, c.out, rows); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrTensor, j.from(), err)
	}
	if c.loss != nil {
		if err := c.loss.add(j.typ, rows, c.out); err != nil {
			return fmt.Errorf("convert: %s: %w", j.from(), err)
		}
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
	var zeros int64
	if !a.uniform() {
		err := c.eachRows(j, func(_ int64, rows []float32) error {
			for _, x := range rows {
				u := math.Float32bits(x) << 1
				zeros += int64(1 - (u|-u)>>31)
			}
			if err := c.checkMagnitudes(j, rows); err != nil {
				return err
			}
			if err := c.progress(j.bytesOf(len(rows))); err != nil {
				return err
			}
			return c.encode(w, j, rows)
		})
		j.report.Zeros = fraction(zeros, j)
		return err
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
		if a.form == FormMaster {
			c.ternarize(rows, a.scale)
			fidelity.Add(rows, c.trits, stored)
			for i, t := range c.trits {
				codes[i] = byte(t + 1)
			}
		} else {
			signs(codes, rows)
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
func (c *converter) checkMagnitudes(j *job, values []float32) error {
	for _, x := range values {
		if x != 0 && x != c.lastMagnitude && -x != c.lastMagnitude {
			if err := checkScale(j, x); err != nil {
				return err
			}
			c.lastMagnitude = x
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

// ternarize fills c.trits from master weights, relative to a scale of the method
// in use.
func (c *converter) ternarize(rows []float32, scale float32) {
	c.trits = slices.Grow(c.trits[:0], len(rows))[:len(rows)]
	if c.method != AbsMax {
		quant.Ternarize(c.trits, rows, 1/scale)
		return
	}
	if scale == 0 {
		clear(c.trits)
		return
	}
	c.values = slices.Grow(c.values[:0], len(rows))[:len(rows)]
	for i, x := range rows {
		c.values[i] = x / scale
	}
	quant.Ternarize(c.trits, c.values, 1)
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
	quarter := rows / 4
	for row := first; len(dst) > 0; {
		plane, r := row/quarter, row%quarter
		n := min(int64(len(dst))/cols, quarter-r)
		packed, err := s.bytes(t, r*cols, n*cols)
		if err != nil {
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
	for _, c := range e.codes[len(e.codes)-e.fresh:] {
		e.zeros += int64(c & 1) // of the codes 0, 1 and 2 the one for a zero
	}
	switch e.j.typ {
	case gguf.TypeI2S:
		// Blocks follow one another without regard to rows.
		whole := len(e.codes) &^ 127
		size := whole / 4
		out := e.grow(size + i2sTail)
		if err := quant.EncodeCodes(gguf.TypeI2S, out, e.codes[:whole], e.scale); err != nil {
			return fmt.Errorf("convert: %s: %w", e.j.from(), err)
		}
		e.codes = append(e.codes[:0], e.codes[whole:]...)
		_, err := e.w.Write(out[:size]) // the scale comes once, at the end
		return err
	case gguf.TypeTQ1_0, gguf.TypeTQ2_0:
		n, err := quant.RowBytes(e.j.typ, len(e.codes))
		if err != nil {
			return fmt.Errorf("convert: %w", err)
		}
		out := e.grow(n)
		if err := quant.EncodeCodes(e.j.typ, out, e.codes, e.scale); err != nil {
			return fmt.Errorf("convert: %s: %w", e.j.from(), err)
		}
		e.codes = e.codes[:0]
		_, err = e.w.Write(out)
		return err
	}
	values := [...]float32{-e.scale, 0, e.scale}
	e.c.values = slices.Grow(e.c.values[:0], len(e.codes))[:len(e.codes)]
	for i, c := range e.codes {
		e.c.values[i] = values[c]
	}
	e.codes = e.codes[:0]
	return e.c.encode(e.w, e.j, e.c.values)
}

func (e *encoder) grow(n int) []byte {
	e.c.out = slices.Grow(e.c.out[:0], n)[:n]
	return e.c.out
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
