package head

import (
	"fmt"
	"sync/atomic"

	"trit/gguf"
	"trit/internal/aligned"
	"trit/internal/model"
	"trit/internal/parallel"
	"trit/quant"
)

// releaseEvery is the number of bytes of the stored head after which its pages
// are given back while it is copied.
const releaseEvery = 32 << 20

// walk runs f over the units of a head's rows, of unitRows rows each, and gives the
// stored rows' memory back to the system on the way: the peak of memory is the copy,
// not copy and original.
func walk(m *model.Model, t *model.Table, team *parallel.Team, unitRows int, f func(worker, unit int)) error {
	stored := storedTensor(m, t)
	units := (t.Rows + unitRows - 1) / unitRows
	run := max(1, releaseEvery/(unitRows*t.RowBytes()))
	for first := 0; first < units; first += run {
		team.Run(task(func(worker, slice int) { f(worker, first+slice) }), min(run, units-first))
		if stored != nil {
			if err := stored.Release(); err != nil {
				return err
			}
		}
	}
	return nil
}

// storedTensor finds the tensor that a head's rows are read from; nil if they are not
// in the model's file.
func storedTensor(m *model.Model, t *model.Table) *gguf.Tensor {
	if m.File == nil || m.Copied {
		return nil
	}
	tensor, _ := m.File.Tensor(t.Name)
	return tensor
}

// requantize replaces the head by one of another type in memory.
func (h *Head) requantize(m *model.Model, typ gguf.Type) error {
	from := h.table
	if from.Type == typ {
		return nil
	}
	rowBytes, err := quant.RowBytes(typ, from.Cols)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMode, h.mode, err)
	}
	to := &model.Table{Type: typ, Rows: from.Rows, Cols: from.Cols, Data: aligned.Bytes(from.Rows * rowBytes)}
	wide := make([][]float32, h.team.Size())
	for i := range wide {
		wide[i] = make([]float32, from.Cols)
	}
	var failed atomic.Pointer[error]
	err = walk(m, from, h.team, logitRows, func(worker, unit int) {
		row := wide[worker]
		for r := unit * logitRows; r < min((unit+1)*logitRows, from.Rows); r++ {
			err := from.Row(r, row)
			if err == nil {
				err = quant.Encode(typ, to.Data[r*rowBytes:(r+1)*rowBytes], row)
			}
			if err != nil {
				err = fmt.Errorf("row %d: %w", r, err)
				failed.CompareAndSwap(nil, &err)
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMode, h.mode, *err)
	}
	h.table, h.resident = to, int64(len(to.Data))
	return nil
}
