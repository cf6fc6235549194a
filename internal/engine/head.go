package engine

import (
	"fmt"
	"strings"
	"sync/atomic"

	"trit/gguf"
	"trit/internal/aligned"
	"trit/internal/arena"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/parallel"
	"trit/quant"
)

// HeadMode says how the logits of an output head are computed.
type HeadMode uint8

// The modes. Auto, Plain and Coarse give identical logits; the last three replace
// the stored head by a smaller one, which changes the logits a little.
const (
	// HeadAuto is HeadCoarse for a large head in F32, F16 or BF16 on a CPU that
	// is fast at it, and HeadPlain otherwise.
	HeadAuto HeadMode = iota
	// HeadPlain multiplies the rows as they are stored.
	HeadPlain
	// HeadCoarse keeps a copy of the head with 8 bits per weight in memory. A
	// row that wants Select reads the first 4 bits of all weights, which
	// prove most tokens to be out of reach, and more only of the others. What
	// cannot be decided for less than the whole head is computed plainly.
	HeadCoarse
	// HeadQ8, HeadQ6 and HeadQ4 requantise the head in memory to Q8_0, Q6_K or
	// Q4_0, with relative errors of about 0.5, 2 and 8 per cent of a row.
	HeadQ8
	HeadQ6
	HeadQ4
)

var headModeNames = [...]string{"auto", "plain", "coarse", "q8", "q6", "q4"}

// String returns the name that ParseHeadMode reads.
func (m HeadMode) String() string {
	if int(m) < len(headModeNames) {
		return headModeNames[m]
	}
	return fmt.Sprintf("HeadMode(%d)", uint8(m))
}

// ParseHeadMode returns the mode of that name, in either case of letters. The
// error is ErrOptions.
func ParseHeadMode(name string) (HeadMode, error) {
	for m, s := range headModeNames {
		if strings.EqualFold(s, name) {
			return HeadMode(m), nil
		}
	}
	return 0, fmt.Errorf("%w: head mode %q (known: %s)", ErrOptions, name, strings.Join(headModeNames[:], ", "))
}

// headTypes are the storage types of the modes that requantise.
var headTypes = map[HeadMode]gguf.Type{HeadQ8: gguf.TypeQ8_0, HeadQ6: gguf.TypeQ6_K, HeadQ4: gguf.TypeQ4_0}

// HeadInfo describes the output head of an engine and what the last selection
// read of it.
type HeadInfo struct {
	Mode       HeadMode  // never HeadAuto
	Type       gguf.Type // of the rows that logits are computed from
	Rows, Cols int
	// Resident is the memory that the mode adds to the stored head, in bytes.
	Resident int64
	// Bytes is the size of the rows: what is read for all logits.
	Bytes int64

	// Selections counts the rows that wanted Select, Complete those of them
	// for which all logits were computed, at once or later.
	Selections, Complete int64
	// LastBytes were read for the last selection. Of its tokens LastRefined
	// needed the second, the third plane of the coarse copy, and LastExact
	// logits were computed.
	LastBytes   int64
	LastRefined [kernel.CoarsePlanes - 1]int
	LastExact   int
}

// headRows is the number of vocabulary rows that one slice multiplies: some
// tens of microseconds of reading.
const headRows = 128

// head multiplies hidden states with the rows of the output head.
type head struct {
	table    *model.Table
	rowBytes int
	mode     HeadMode
	resident int64
	team     *parallel.Team
	mem      arena.Arena // all scratch memory of the head
	scratch  [][]float32 // per worker
	coarse   *coarseHead // nil unless the mode is HeadCoarse

	selections, complete, lastBytes, lastExact atomic.Int64
	lastRefined                                [kernel.CoarsePlanes - 1]atomic.Int64

	tracer    model.Tracer
	stepBytes int64 // read of the head in this step, for the tracer

	// operands of the running section
	y, x []float32
	n    int
}

func newHead(m *model.Model, team *parallel.Team, mode HeadMode) (*head, error) {
	t := m.Graph.Head()
	h := &head{table: t, mode: mode, team: team}
	if int(mode) >= len(headModeNames) {
		return nil, fmt.Errorf("%w: head mode %d", ErrOptions, uint8(mode))
	}
	if mode == HeadAuto {
		h.mode = autoHead(t)
	}
	typ, lossy := headTypes[mode]
	if lossy {
		if err := h.requantize(m, typ); err != nil {
			return nil, err
		}
	}
	if !kernel.HeadSupports(h.table.Type) {
		return nil, fmt.Errorf("%w: the output head is stored as %s, which cannot be multiplied; use head mode q8, or convert the file with an F16 head", ErrOptions, h.table.Type)
	}
	h.rowBytes = h.table.RowBytes()
	for range team.Size() {
		h.scratch = append(h.scratch, h.mem.Float32s(kernel.HeadScratch(t.Cols)))
	}
	if h.mode == HeadCoarse {
		var err error
		if h.coarse, err = newCoarseHead(m, h); err != nil {
			return nil, err
		}
		h.resident = h.coarse.copy.Bytes()
	}
	return h, nil
}

// minCoarseWeights is the least number of weights of a head that HeadAuto makes
// a coarse copy of. Smaller heads stay in the caches.
const minCoarseWeights = 1 << 23

func autoHead(t *model.Table) HeadMode {
	switch t.Type {
	case gguf.TypeF32, gguf.TypeF16, gguf.TypeBF16:
		if kernel.CoarseFast() && t.Cols <= kernel.MaxCoarseCols && int64(t.Rows)*int64(t.Cols) >= minCoarseWeights {
			return HeadCoarse
		}
	}
	return HeadPlain
}

// logits computes y [n, V] from the states x [n, D].
func (h *head) logits(y, x []float32, n int) {
	h.y, h.x, h.n = y, x, n
	h.stepBytes += int64(len(h.table.Data))
	h.team.Run(h, (h.table.Rows+headRows-1)/headRows)
}

func (h *head) Do(worker, slice int) {
	t := h.table
	from := slice * headRows
	to := min(from+headRows, t.Rows)
	h.rows(h.y[from:], from, to-from, h.x, h.n, worker)
}

// rows multiplies the rows from … from+count−1 with n states.
func (h *head) rows(y []float32, from, count int, x []float32, n, worker int) {
	t := h.table
	data := t.Data[from*h.rowBytes : (from+count)*h.rowBytes]
	kernel.HeadRows(y, t.Rows, data, t.Type, count, t.Cols, x, t.Cols, n, h.scratch[worker])
}

// lastPlain records that all rows were read.
func (h *head) lastPlain() {
	h.lastBytes.Store(int64(len(h.table.Data)))
	h.lastExact.Store(int64(h.table.Rows))
	for i := range h.lastRefined {
		h.lastRefined[i].Store(0)
	}
}

func (h *head) info() HeadInfo {
	info := HeadInfo{
		Mode: h.mode, Type: h.table.Type, Rows: h.table.Rows, Cols: h.table.Cols,
		Resident: h.resident, Bytes: int64(len(h.table.Data)),
		Selections: h.selections.Load(), Complete: h.complete.Load(),
		LastBytes: h.lastBytes.Load(), LastExact: int(h.lastExact.Load()),
	}
	for i := range h.lastRefined {
		info.LastRefined[i] = int(h.lastRefined[i].Load())
	}
	return info
}

// releaseEvery is the number of bytes of the stored head after which its pages
// are given back while it is copied.
const releaseEvery = 32 << 20

// walkHead runs task over the units of a head's rows, of unitRows rows each, and
// gives the stored rows' memory back to the system on the way: the peak of
// memory is the copy, not copy and original. first is set to the first unit of
// a run of slices.
func walkHead(m *model.Model, t *model.Table, team *parallel.Team, unitRows int, first *int, task parallel.Task) error {
	stored := headTensor(m, t)
	units := (t.Rows + unitRows - 1) / unitRows
	run := max(1, releaseEvery/(unitRows*t.RowBytes()))
	for *first = 0; *first < units; *first += run {
		team.Run(task, min(run, units-*first))
		if stored != nil {
			if err := stored.Release(); err != nil {
				return err
			}
		}
	}
	return nil
}

// headTensor finds the tensor that a head's rows are stored in; nil if they do
// not come from the model's file.
func headTensor(m *model.Model, t *model.Table) *gguf.Tensor {
	if m.File == nil {
		return nil
	}
	for _, name := range []string{"output.weight", "token_embd.weight"} {
		if tensor, ok := m.File.Tensor(name); ok && tensor.Type == t.Type && tensor.Size == int64(len(t.Data)) {
			return tensor
		}
	}
	return nil
}

// requantize replaces the head by one of another type in memory.
func (h *head) requantize(m *model.Model, typ gguf.Type) error {
	from := h.table
	if from.Type == typ {
		return nil
	}
	rowBytes, err := quant.RowBytes(typ, from.Cols)
	if err != nil {
		return fmt.Errorf("%w: head mode %s: %w", ErrOptions, h.mode, err)
	}
	to := &model.Table{Type: typ, Rows: from.Rows, Cols: from.Cols, Data: aligned.Bytes(from.Rows * rowBytes)}
	task := &requantizeTask{from: from, to: to, rowBytes: rowBytes}
	for range h.team.Size() {
		task.row = append(task.row, make([]float32, from.Cols))
	}
	if err := walkHead(m, from, h.team, headRows, &task.first, task); err != nil {
		return err
	}
	if err := task.err.Load(); err != nil {
		return fmt.Errorf("%w: head mode %s: %w", ErrOptions, h.mode, *err)
	}
	h.table, h.resident = to, int64(len(to.Data))
	return nil
}

// requantizeTask converts headRows rows per slice.
type requantizeTask struct {
	from, to *model.Table
	rowBytes int
	first    int
	row      [][]float32
	err      atomic.Pointer[error]
}

func (t *requantizeTask) Do(worker, slice int) {
	row := t.row[worker]
	from := (t.first + slice) * headRows
	for r := from; r < min(from+headRows, t.from.Rows); r++ {
		err := t.from.Row(r, row)
		if err == nil {
			err = quant.Encode(t.to.Type, t.to.Data[r*t.rowBytes:(r+1)*t.rowBytes], row)
		}
		if err != nil {
			err = fmt.Errorf("row %d: %w", r, err)
			t.err.CompareAndSwap(nil, &err)
			return
		}
	}
}
