package convert

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"trit/gguf"
	"trit/internal/half"
	"trit/internal/model"
	"trit/quant"
)

// meter counts what has been done, tells the caller, and notices when the context
// ends.
type meter struct {
	ctx  context.Context
	tell func(Progress) // or nil
	done Progress
}

// begin reports that the i-th tensor comes next.
func (m *meter) begin(i int, name string) error {
	m.done.Tensors, m.done.Tensor = i, name
	return m.add(0)
}

// add reports that n more bytes of the source have been converted, and returns an
// error when the conversion is to stop.
func (m *meter) add(n int64) error {
	m.done.Bytes += n
	if m.tell != nil {
		m.tell(m.done)
	}
	return stopped(m.ctx)
}

// stopped returns an error when the caller wants no more.
func stopped(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("convert: stopped: %w", err)
	}
	return nil
}

// end reports that all tensors have been written.
func (m *meter) end() {
	m.done.Tensors, m.done.Tensor = m.done.TotalTensors, ""
	if m.tell != nil {
		m.tell(m.done)
	}
}

// writer carries out a plan: it reads, converts and writes tensor by tensor, in
// memory that does not grow with them.
type writer struct {
	plan  *plan
	meter meter
	team  team

	rows    rowSource
	rounder rounder
	analyst analyst
	floats  floatEncoder
	trits   encoder

	codes []byte // of packed weights before their rows are reordered
}

// newWriter returns a writer for a plan. The checkpoint is nil if the sources are
// tensors of a GGUF file.
func newWriter(ctx context.Context, p *plan, t team, checkpoint *source, tell func(Progress)) *writer {
	w := &writer{
		plan: p, team: t, meter: meter{ctx: ctx, tell: tell},
		rows:    rowSource{ctx: ctx, team: t, checkpoint: checkpoint},
		rounder: rounder{team: t, method: p.rules.method},
		floats:  floatEncoder{team: t},
	}
	w.analyst = analyst{rows: &w.rows, rounder: &w.rounder, rules: &p.rules}
	w.trits.floats = &w.floats
	return w
}

// firstForms returns the forms of the projections that tell what a model is: those
// of the first layer, and all that are packed. A model that must not be converted is
// refused here, before anything is written.
func (w *writer) firstForms() (map[Form]bool, error) {
	forms := map[Form]bool{}
	for _, j := range w.plan.jobs {
		switch {
		case j.scale != nil:
			forms[FormPacked] = true
		case j.role != model.RoleProjection || j.how != converted || !strings.HasPrefix(j.name, "blk.0."):
		case j.tensor != nil && quant.IsTernary(j.tensor.Type):
		default:
			a, err := w.analyst.analyse(j)
			if err != nil {
				return nil, err
			}
			forms[a.form] = true
		}
	}
	return forms, nil
}

// writeFile writes the output and completes the report.
func (w *writer) writeFile(write writeFunc) error {
	w.start()
	specs := make([]gguf.TensorSpec, len(w.plan.jobs))
	for i, j := range w.plan.jobs {
		specs[i] = gguf.TensorSpec{Name: j.name, Dims: j.dims, Type: j.typ, Write: func(out io.Writer) error {
			if err := w.meter.begin(i, j.name); err != nil {
				return err
			}
			return w.write(out, j)
		}}
	}
	if err := write(w.plan.output, w.plan.meta, specs); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	r := w.plan.report
	for _, j := range w.plan.jobs {
		r.Tensors = append(r.Tensors, *j.report)
		r.SourceBytes += j.sourceBytes()
		if size, err := j.typ.Size(j.dims); err == nil { // gguf has checked it
			r.TensorBytes += size
		}
	}
	w.meter.end()
	return nil
}

// start tells the meter how much there is to do.
func (w *writer) start() {
	w.meter.done.TotalTensors, w.meter.done.TotalBytes = len(w.plan.jobs), w.plan.sourceBytes()
}

// write converts one tensor.
func (w *writer) write(out io.Writer, j *job) error {
	switch {
	case j.tensor != nil:
		return w.writeTensor(out, j)
	case j.values != nil:
		return w.floats.encode(out, j, j.values, nil)
	case j.scale != nil:
		return w.writePacked(out, j)
	case j.role == model.RoleProjection, quant.IsTernary(j.typ):
		return w.writeProjection(out, j, nil)
	}
	return w.writeValues(out, j, nil)
}

// writeTensor writes a tensor of a GGUF file and measures what that loses.
func (w *writer) writeTensor(out io.Writer, j *job) error {
	var lost loss
	var err error
	switch j.how {
	case copied:
		return w.copy(out, j)
	case repacked:
		return w.repack(out, j)
	case converted:
		err = w.writeProjection(out, j, &lost)
	default:
		err = w.writeValues(out, j, &lost)
	}
	if err == nil && lost.count > 0 {
		j.report.RMSE, j.report.Cosine = lost.rmse(), lost.cosine()
	}
	return err
}

// copy writes a tensor's own bytes.
func (w *writer) copy(out io.Writer, j *job) error {
	r := &tensorReader{t: j.tensor, r: j.tensor.Reader(), raw: w.rows.raw}
	defer func() { w.rows.raw = r.raw }()
	for left := j.tensor.Size; left > 0; {
		n := min(left, 1<<20)
		b, err := r.bytes(n)
		if err != nil {
			return err
		}
		if _, err := out.Write(b); err != nil {
			return err
		}
		left -= n
		if err := w.meter.add(n); err != nil {
			return err
		}
	}
	if err := j.tensor.Release(); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return nil
}

// repack writes an I2_S tensor in layout A with the scale it has.
func (w *writer) repack(out io.Writer, j *job) error {
	r, err := w.rows.open(j.tensor, j.layout)
	if err != nil {
		return err
	}
	defer func() { w.rows.raw = r.raw }()
	cols, rows := j.cols(), j.rows()
	whole := wholeRows(j.tensor, j.layout)
	step := (max(1, pieceElems/cols) + whole - 1) / whole * whole
	var packed []byte
	for first := int64(0); first < rows; first += step {
		n := int(min(step, rows-first) * cols)
		w.codes = slices.Grow(w.codes[:0], n)[:n]
		if err := r.codes(w.codes); err != nil {
			return readError(j.tensor, fmt.Errorf("rows from %d: %w", first, err))
		}
		packed = slices.Grow(packed[:0], n/4+i2sTail)[:n/4+i2sTail]
		if err := quant.EncodeCodes(gguf.TypeI2S, packed, w.codes, 0); err != nil {
			return fmt.Errorf("convert: %s: %w", j.name, err)
		}
		if _, err := out.Write(packed[:n/4]); err != nil {
			return err
		}
		if err := w.meter.add(int64(n / 4)); err != nil {
			return err
		}
	}
	if _, err := out.Write(r.tail[:]); err != nil {
		return err
	}
	if err := j.tensor.Release(); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return w.meter.add(i2sTail)
}

// writeValues writes floats as they are, as far as the type can hold them.
func (w *writer) writeValues(out io.Writer, j *job, lost *loss) error {
	return w.rows.each(j, func(first int64, rows []float32) error {
		err := w.team.split(len(rows), 1, func(_, lo, hi int) error {
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
		if err := w.meter.add(j.bytesOf(len(rows))); err != nil {
			return err
		}
		return w.floats.encode(out, j, rows, lost)
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

// writeProjection writes a projection that the source holds as floats. What rounding
// to trits loses is in the tensor's report; what another change loses is added to
// lost unless that is nil.
func (w *writer) writeProjection(out io.Writer, j *job, lost *loss) error {
	a, err := w.analyst.analyse(j)
	if err != nil {
		return err
	}
	j.report.Form, j.report.Scale, j.report.Scales = a.form, a.scale, a.scales
	if !a.uniform() {
		return w.writeScales(out, j, lost)
	}
	enc := &w.trits
	if err := enc.begin(out, j, a.scale); err != nil {
		return err
	}
	var fidelity quant.Fidelity
	stored := storedScale(j.typ, a.scale)
	err = w.rows.each(j, func(_ int64, rows []float32) error {
		codes := enc.room(len(rows))
		var err error
		if a.form == FormMaster {
			err = w.rounder.ternarize(rows, codes, a.scale, stored, &fidelity)
		} else {
			err = w.team.split(len(rows), 1, func(_, lo, hi int) error {
				signs(codes[lo:hi], rows[lo:hi])
				return nil
			})
		}
		if err != nil {
			return err
		}
		if err := w.meter.add(j.bytesOf(len(rows))); err != nil {
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
func (w *writer) writeScales(out io.Writer, j *job, lost *loss) error {
	var zeros atomic.Int64
	err := w.rows.each(j, func(_ int64, rows []float32) error {
		err := w.team.split(len(rows), 1, func(_, lo, hi int) error {
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
		if err := w.meter.add(j.bytesOf(len(rows))); err != nil {
			return err
		}
		return w.floats.encode(out, j, rows, lost)
	})
	j.report.Zeros = fraction(zeros.Load(), j)
	return err
}

// writePacked writes a projection of packed codes. The checkpoint stacks four
// planes: bits 2k and 2k+1 of packed row r belong to row k·(rows/4) + r.
func (w *writer) writePacked(out io.Writer, j *job) error {
	checkpoint := w.rows.checkpoint
	stored, err := checkpoint.scale(j.scale)
	if err != nil {
		return err
	}
	scale := w.plan.rules.multiplier(stored)
	j.report.Form, j.report.Scale, j.report.Scales = FormPacked, scale, 1
	enc := &w.trits
	if err := enc.begin(out, j, scale); err != nil {
		return err
	}
	rows, cols, step := j.rows(), j.cols(), j.step()
	read := int64(0) // packed bytes that progress counts: a quarter of the codes
	for first := int64(0); first < rows; first += step {
		if err := stopped(w.meter.ctx); err != nil {
			return err
		}
		n := min(step, rows-first)
		codes := enc.room(int(n * cols))
		unpacked := codes
		if j.headRows > 0 {
			w.codes = slices.Grow(w.codes[:0], len(codes))[:len(codes)]
			unpacked = w.codes
		}
		if err := checkpoint.codes(unpacked, j.source, first, rows, cols); err != nil {
			return err
		}
		if j.headRows > 0 {
			interleave(codes, unpacked, j.headRows, int(cols))
		}
		part := (first+n)*cols/4 - read
		read += part
		if err := w.meter.add(part); err != nil {
			return err
		}
		if err := enc.flush(); err != nil {
			return err
		}
	}
	j.report.Zeros = fraction(enc.zeros, j)
	return enc.close()
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
	switch {
	case t == gguf.TypeF16, quant.HalfScales(t):
		return half.F16ToF32(half.F32ToF16(scale))
	case t == gguf.TypeBF16:
		return half.BF16ToF32(half.F32ToBF16(scale))
	case t == gguf.TypeQ8_0:
		return 127 * half.F16ToF32(half.F32ToF16(scale/127))
	}
	return scale
}
