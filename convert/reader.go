package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"trit/gguf"
	"trit/internal/model"
	"trit/quant"
)

// pieceElems is how many elements are converted at a time, give or take a row.
const pieceElems = 1 << 20

// rowSource reads the values of tensors by runs of whole rows. Its buffers serve one
// tensor after the other.
type rowSource struct {
	ctx        context.Context
	team       team
	checkpoint *source // of tensors that are not those of a GGUF file

	floats, reordered []float32
	raw               []byte
}

// each reads a float tensor and calls use with runs of whole rows, in the
// order of the output; first is the index of the first one. The slice is valid
// during the call.
func (s *rowSource) each(j *job, use func(first int64, rows []float32) error) error {
	if j.tensor != nil {
		return s.eachOfTensor(j, use)
	}
	cols := j.cols()
	rows, step := j.rows(), j.step()
	if j.headRows > 0 && len(j.dims) == 1 { // a bias: its elements are what is reordered
		cols, rows, step = 1, cols, cols
	}
	for first := int64(0); first < rows; first += step {
		if err := stopped(s.ctx); err != nil {
			return err
		}
		n := min(step, rows-first)
		s.floats = slices.Grow(s.floats[:0], int(n*cols))[:n*cols]
		if err := s.read(j, first, cols); err != nil {
			return err
		}
		piece := s.floats
		if j.headRows > 0 {
			s.reordered = slices.Grow(s.reordered[:0], len(piece))[:len(piece)]
			interleave(s.reordered, piece, j.headRows, int(cols))
			piece = s.reordered
		}
		if err := use(first, piece); err != nil {
			return err
		}
	}
	return nil
}

// read fills s.floats with rows of a checkpoint's tensor, in the tensor's form.
func (s *rowSource) read(j *job, first, cols int64) error {
	form := j.form
	if form == nil {
		form = &model.HFForm{}
	}
	if form.Rows == nil {
		if err := s.checkpoint.floats(s.floats, j.source, first*cols); err != nil {
			return err
		}
	}
	for at := int64(0); form.Rows != nil && at < int64(len(s.floats)); {
		order := form.Rows[first+at/cols:] // rows that are neighbours there too are read together
		run := int64(1)
		for run < int64(len(order)) && order[run] == order[0]+int32(run) {
			run++
		}
		end := min(at+run*cols, int64(len(s.floats)))
		if err := s.checkpoint.floats(s.floats[at:end], j.source, int64(order[0])*cols); err != nil {
			return err
		}
		at = end
	}
	if form.Cols != nil {
		row := make([]float32, cols)
		for dst := s.floats; len(dst) > 0; dst = dst[cols:] {
			copy(row, dst)
			for i, from := range form.Cols {
				dst[i] = row[from]
			}
		}
	}
	if form.Value != nil {
		for i, x := range s.floats {
			s.floats[i] = form.Value(x)
		}
	}
	return nil
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

// open opens a tensor of a GGUF file. An I2_S tensor ends in its scale, which is
// fetched first.
func (s *rowSource) open(t *gguf.Tensor, layout quant.I2SLayout) (*tensorReader, error) {
	r := &tensorReader{t: t, layout: layout, r: t.Reader(), raw: s.raw, team: s.team}
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

// eachOfTensor is each for the tensors of a GGUF file. Heads are brought
// from the interleaved order into that of checkpoints.
func (s *rowSource) eachOfTensor(j *job, use func(first int64, rows []float32) error) error {
	r, err := s.open(j.tensor, j.layout)
	if err != nil {
		return err
	}
	defer func() { s.raw = r.raw }()
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
		if err := stopped(s.ctx); err != nil {
			return err
		}
		n := min(step, rows-first)
		s.floats = slices.Grow(s.floats[:0], int(n*cols))[:n*cols]
		if err := r.floats(s.floats); err != nil {
			return readError(j.tensor, fmt.Errorf("rows from %d: %w", first, err))
		}
		piece := s.floats
		if j.headRows > 0 {
			s.reordered = slices.Grow(s.reordered[:0], len(piece))[:len(piece)]
			separate(s.reordered, piece, j.headRows, int(cols))
			piece = s.reordered
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

// codes unpacks the next rows of an I2_S tensor, as many as fill dst.
func (r *tensorReader) codes(dst []byte) error {
	b, rows, cols, err := r.i2s(len(dst))
	if err != nil {
		return err
	}
	view, err := quant.NewTernary(gguf.TypeI2S, r.layout, b, rows, cols)
	if err != nil {
		return err
	}
	for row := range rows {
		if err := view.Codes(dst[row*cols:(row+1)*cols], row); err != nil {
			return err
		}
	}
	return nil
}

// readError tells a broken source from broken contents.
func readError(t *gguf.Tensor, err error) error {
	if errors.Is(err, quant.ErrCode) {
		return fmt.Errorf("%w: %s: %w; another layout of I2_S tensors may be the right one", ErrTensor, t.Name, err)
	}
	if errors.Is(err, quant.ErrType) {
		return fmt.Errorf("%w: %s: %w", ErrType, t.Name, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrTensor, t.Name, err)
}
