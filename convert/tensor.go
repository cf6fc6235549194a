package convert

import (
	"fmt"
	"io"
	"math"
	"slices"

	"trit/gguf"
	"trit/quant"
)

// treatment says how the tensor of a GGUF file is written to another.
type treatment uint8

const (
	converted treatment = iota // projections: as trits, rounded where need be
	recoded                    // the values in another type
	copied                     // byte by byte
	repacked                   // I2_S codes from another layout
)

// keepMapped bounds the bytes of a mapped file that stay in memory behind a
// reader: the system counts them as ours.
const keepMapped = 32 << 20

// tensorReader decodes a tensor from its first row to its last.
type tensorReader struct {
	t      *gguf.Tensor
	layout quant.I2SLayout
	r      io.Reader
	raw    []byte
	tail   [i2sTail]byte // of I2_S
	since  int64         // bytes read since the pages were given back
	team   team
}

// newTensorReader opens a tensor. An I2_S tensor ends in its scale, which is fetched
// first.
func (c *converter) newTensorReader(t *gguf.Tensor, layout quant.I2SLayout) (*tensorReader, error) {
	r := &tensorReader{t: t, layout: layout, r: t.Reader(), raw: c.raw, team: c.team}
	if t.Type != gguf.TypeI2S {
		return r, nil
	}
	for left := t.Size - i2sTail; left > 0; {
		n := min(left, 1<<20)
		if _, err := r.bytes(n); err != nil {
			return nil, err
		}
		left -= n
	}
	if _, err := io.ReadFull(r.r, r.tail[:]); err != nil {
		return nil, readError(t, err)
	}
	r.r = t.Reader()
	return r, nil
}

// bytes reads n bytes into r.raw, with room for a tail.
func (r *tensorReader) bytes(n int64) ([]byte, error) {
	r.raw = slices.Grow(r.raw[:0], int(n)+i2sTail)[:n]
	if _, err := io.ReadFull(r.r, r.raw); err != nil {
		return nil, readError(r.t, err)
	}
	if r.since += n; r.since > keepMapped {
		r.since = 0
		if err := r.t.Release(); err != nil {
			return nil, fmt.Errorf("convert: %w", err)
		}
	}
	return r.raw, nil
}

// i2s reads the next n elements of an I2_S tensor and its tail behind them, as a
// tensor of rows and columns. Only in layout C does the shape matter.
func (r *tensorReader) i2s(n int) (data []byte, rows, cols int, err error) {
	b, err := r.bytes(int64(n / 4))
	if err != nil {
		return nil, 0, 0, err
	}
	rows, cols = 1, n
	if r.layout == quant.LayoutC {
		cols = int(r.t.Cols())
		rows = n / cols
	}
	return append(b, r.tail[:]...), rows, cols, nil
}

// floats decodes the next rows, as many as fill dst: a multiple of step rows.
func (r *tensorReader) floats(dst []float32) error {
	if r.t.Type == gguf.TypeI2S {
		b, rows, cols, err := r.i2s(len(dst))
		if err != nil {
			return err
		}
		return quant.DecodeI2S(dst, b, r.layout, rows, cols)
	}
	n, err := quant.RowBytes(r.t.Type, len(dst))
	if err != nil {
		return err
	}
	b, err := r.bytes(int64(n))
	if err != nil {
		return err
	}
	return r.team.split(len(dst), int(r.t.Type.BlockElements()), func(_, lo, hi int) error {
		from, err := quant.RowBytes(r.t.Type, lo)
		if err != nil {
			return err
		}
		to, err := quant.RowBytes(r.t.Type, hi)
		if err != nil {
			return err
		}
		return quant.Decode(r.t.Type, dst[lo:hi], b[from:to])
	})
}

// wholeRows returns the smallest number of rows that the stored form keeps
// together.
func wholeRows(t *gguf.Tensor, layout quant.I2SLayout) int64 {
	if t.Type != gguf.TypeI2S {
		return 1
	}
	n := int64(1)
	for n*t.Cols()%128 != 0 {
		n *= 2
	}
	if layout == quant.LayoutC {
		n = max(n, 4)
	}
	return n
}

// eachTensorRows is eachRows for the tensors of a GGUF file. Heads are brought
// from the interleaved order into that of checkpoints.
func (c *converter) eachTensorRows(j *job, use func(first int64, rows []float32) error) error {
	r, err := c.newTensorReader(j.tensor, j.layout)
	if err != nil {
		return err
	}
	defer func() { c.raw = r.raw }()
	cols, rows := j.cols(), j.rows()
	whole := wholeRows(j.tensor, j.layout)
	if whole > maxPiece/cols {
		return fmt.Errorf("%w: %s has dimensions %v; its rows are too wide to be converted", ErrUnsupported, j.name, j.dims)
	}
	if heads := int64(j.headRows); heads%whole == 0 {
		whole = max(whole, heads)
	} else {
		whole *= heads
	}
	step := (max(1, pieceElems/cols) + whole - 1) / whole * whole
	for first := int64(0); first < rows; first += step {
		if err := c.ctx.Err(); err != nil {
			return fmt.Errorf("convert: stopped: %w", err)
		}
		n := min(step, rows-first)
		c.floats = slices.Grow(c.floats[:0], int(n*cols))[:n*cols]
		if err := r.floats(c.floats); err != nil {
			return readError(j.tensor, fmt.Errorf("rows from %d: %w", first, err))
		}
		piece := c.floats
		if j.headRows > 0 {
			c.reordered = slices.Grow(c.reordered[:0], len(piece))[:len(piece)]
			separate(c.reordered, piece, j.headRows, int(cols))
			piece = c.reordered
		}
		if err := use(first, piece); err != nil {
			return err
		}
	}
	if err := j.tensor.Release(); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return nil
}

// writeTensor writes a tensor of a GGUF file and measures what that loses.
func (c *converter) writeTensor(w io.Writer, j *job) error {
	switch j.how {
	case copied:
		return c.copyTensor(w, j)
	case repacked:
		return c.repack(w, j)
	}
	c.loss = &loss{}
	defer func() { c.loss = nil }()
	var err error
	if j.how == converted {
		err = c.writeFloats(w, j)
	} else {
		err = c.writeValues(w, j)
	}
	if l := c.loss; err == nil && l.count > 0 {
		j.report.RMSE, j.report.Cosine = l.rmse(), l.cosine()
	}
	return err
}

// copyTensor writes a tensor's own bytes.
func (c *converter) copyTensor(w io.Writer, j *job) error {
	r := &tensorReader{t: j.tensor, r: j.tensor.Reader(), raw: c.raw}
	defer func() { c.raw = r.raw }()
	for left := j.tensor.Size; left > 0; {
		n := min(left, 1<<20)
		b, err := r.bytes(n)
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		left -= n
		if err := c.progress(n); err != nil {
			return err
		}
	}
	if err := j.tensor.Release(); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return nil
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
