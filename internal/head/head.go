// Package head multiplies hidden states with the rows of a model's output head: the
// logits of the vocabulary, or only the largest of them.
//
// [Head.Logits] reads the whole head. [Head.Select] answers requests for the largest
// logits from a coarse copy of the head with 8 bits per weight, which tells every
// logit up to a proven error (see [kernel.Coarse]), and from the few stored rows that
// these bounds leave in question. The answer is exact. One selection goes through
// four steps:
//
//   - scan (scan.go): the first bit plane of the copy, or the first two, give every
//     token an approximate logit and a bound of its error;
//   - floor (scan.go): the tokens with the largest approximate logits are computed
//     exactly. The K-th largest of these is a floor that no selected token is below;
//   - refine (refine.go): a token whose upper bound is below the floor is settled. Of
//     the survivors the next plane is read, which makes the bound tighter, and in the
//     end the stored row;
//   - choose (selector.go): among the exact logits; mass.go bounds the mass of the
//     tokens that are left out.
//
// What is read, and when all logits are cheaper after all, is decided in policy.go.
package head

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"trit/gguf"
	"trit/internal/arena"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/parallel"
)

// ErrMode reports a mode that does not exist or that a head cannot have.
var ErrMode = errors.New("unusable mode of the output head")

// Mode says how the logits of an output head are computed.
type Mode uint8

// The modes. Auto, Plain and Coarse give identical logits; the last three replace
// the stored head by a smaller one, which changes the logits a little.
const (
	// Auto is Coarse for a large head, unless its weights are ternary, on a CPU that is
	// fast at it, and Plain otherwise.
	Auto Mode = iota
	// Plain multiplies the rows as they are stored.
	Plain
	// Coarse keeps a copy of the head with 8 bits per weight in memory. Select reads
	// the first 4 bits of all weights, which prove most tokens to be out of reach,
	// and more only of the others. What cannot be decided for less than the whole
	// head is computed plainly.
	Coarse
	// Q8, Q6 and Q4 requantise the head in memory to Q8_0, Q6_K or Q4_0, with
	// relative errors of about 0.5, 2 and 8 per cent of a row.
	Q8
	Q6
	Q4
)

var modeNames = [...]string{"auto", "plain", "coarse", "q8", "q6", "q4"}

// String returns the name that ParseMode reads.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// ParseMode returns the mode of that name, in either case of letters. The error is
// ErrMode.
func ParseMode(name string) (Mode, error) {
	for m, s := range modeNames {
		if strings.EqualFold(s, name) {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("%w: %q (known: %s)", ErrMode, name, strings.Join(modeNames[:], ", "))
}

// storageTypes are those of the modes that requantise.
var storageTypes = map[Mode]gguf.Type{Q8: gguf.TypeQ8_0, Q6: gguf.TypeQ6_K, Q4: gguf.TypeQ4_0}

// resolve returns what Auto stands for, for a head of that type and size.
func (m Mode) resolve(typ gguf.Type, rows, cols int) Mode {
	if m != Auto {
		return m
	}
	if kernel.HeadSupports(typ) && kernel.CoarseFast() && cols <= kernel.MaxCoarseCols &&
		int64(rows)*int64(cols) >= minCoarseWeights {
		return Coarse
	}
	return Plain
}

// Estimate returns the memory, in bytes, of a head that is stored in typ as rows of
// cols elements: what the mode keeps beside it, and what selecting computes in.
func Estimate(m Mode, typ gguf.Type, rows, cols int) (resident, scratch int64) {
	switch m = m.resolve(typ, rows, cols); m {
	case Coarse:
		resident = int64(rows) * int64(cols+32) // 8 bits per weight and some words per row
	case Q8, Q6, Q4:
		// New says why a size is not possible.
		if size, err := storageTypes[m].Size([]int64{int64(cols), int64(rows)}); err == nil {
			resident = size
		}
	}
	return resident, maxGroup * 9 * int64(rows)
}

// Info describes a head and what the last selection read of it.
type Info struct {
	Mode       Mode      // never Auto
	Type       gguf.Type // of the rows that logits are computed from
	Rows, Cols int
	// Resident is the memory that the mode adds to the stored head, in bytes.
	Resident int64
	// Bytes is the size of the rows: what is read for all logits.
	Bytes int64

	// Selections counts the selectors that were answered, Complete those of them
	// for which all logits were computed, at once or later.
	Selections, Complete int64
	// LastBytes were read for the last selection. Of its tokens LastRefined
	// needed the second, the third plane of the coarse copy, and LastExact
	// logits were computed.
	LastBytes   int64
	LastRefined [kernel.CoarsePlanes - 1]int
	LastExact   int
}

// The operations of a head, for a tracer. OpLogits multiplies the whole head, OpCopy
// makes a part of the coarse copy; the others are the steps of a selection, with
// OpCandidates for the floor.
const (
	OpLogits     = model.OpHead
	OpCopy       = "head_copy"
	OpScan       = "head_scan"
	OpCandidates = "head_candidates"
	OpRefine     = "head_refine"
	OpSelect     = "head_select"
)

// Head multiplies hidden states with the rows of an output head. It belongs to one
// goroutine; only Info may be called by others.
type Head struct {
	table    *model.Table
	rowBytes int
	mode     Mode
	resident int64
	team     *parallel.Team
	mem      arena.Arena
	scratch  [][]float32  // per worker
	coarse   *coarse      // nil unless the mode is Coarse
	ternary  *ternaryHead // nil unless the weights are ternary, and used as they are
	tracer   model.Tracer
	// What states go through before they are multiplied, nil for nothing, and where
	// they are then.
	transform *model.Transform
	turned    []float32
	read      int64 // bytes since TakeBytes

	selections, complete, lastBytes, lastExact atomic.Int64
	lastRefined                                [kernel.CoarsePlanes - 1]atomic.Int64

	// The running Logits: its slices, and its operands.
	logitTask parallel.Task
	y, x      []float32
	states    int
}

// New prepares the head of a model. The error is ErrMode.
func New(m *model.Model, team *parallel.Team, mode Mode) (*Head, error) {
	if int(mode) >= len(modeNames) {
		return nil, fmt.Errorf("%w: %v", ErrMode, mode)
	}
	t := m.Graph.Head()
	if t.Rotated != nil && mode != Auto && mode != Plain {
		// What is read from the table would not be what is stored.
		return nil, fmt.Errorf("%w: %s: the output head is rotated; use mode plain", ErrMode, mode)
	}
	h := &Head{table: t, transform: m.HeadTransform, mode: mode.resolve(t.Type, t.Rows, t.Cols), team: team}
	if typ, ok := storageTypes[mode]; ok {
		if err := h.requantize(m, typ); err != nil {
			return nil, err
		}
	}
	if m.Head != nil && h.table == t {
		if err := checkTernary(mode, t); err != nil {
			return nil, err
		}
		h.ternary, h.resident = newTernaryHead(m, team), m.Head.Bytes()
		return h, nil
	}
	if !kernel.HeadSupports(h.table.Type) {
		return nil, fmt.Errorf("%w: the output head is stored as %s, which cannot be multiplied; use mode q8, or convert the file with an F16 head",
			ErrMode, h.table.Type)
	}
	h.rowBytes, h.logitTask = h.table.RowBytes(), task(h.logitSlice)
	for range team.Size() {
		h.scratch = append(h.scratch, h.mem.Float32s(kernel.HeadScratch(t.Cols)))
	}
	if h.mode == Coarse {
		var err error
		if h.coarse, err = newCoarse(m, h); err != nil {
			return nil, err
		}
		h.resident = h.coarse.copy.Bytes()
	}
	return h, nil
}

// Prepare makes the coarse copy, if the mode has one. Without it the selections after
// the first make it, part by part, and are answered from all logits until it is whole.
func (h *Head) Prepare() {
	if h.coarse != nil {
		h.coarse.build.finish()
	}
}

// Row is a hidden state and, unless it is nil, what is wanted of its logits.
type Row struct {
	X []float32 // [Cols]
	*Selector
}

// Select answers the selectors of the rows where that is cheaper than all logits. The
// indices of the other rows, ascending, are appended to rest: their logits are left to
// Logits, and their selectors to SelectFrom.
func (h *Head) Select(rows []Row, rest []int) []int {
	selections := 0
	for i := range rows {
		if rows[i].Selector != nil {
			selections++
		}
	}
	h.selections.Add(int64(selections))
	if h.coarse != nil && selections > 0 && h.coarse.build.advance() {
		if h.transform != nil {
			h.turnRows(rows)
		}
		return h.coarse.answer(rows, rest)
	}
	for i := range rows {
		rest = append(rest, i)
	}
	return rest
}

// SelectFrom answers a selector from all logits.
func (h *Head) SelectFrom(s *Selector, logits []float32) {
	h.begin(OpSelect, 1)
	s.fill(logits)
	h.end()
	h.complete.Add(1)
	h.lastBytes.Store(h.allBytes())
	h.lastExact.Store(int64(h.table.Rows))
	for i := range h.lastRefined {
		h.lastRefined[i].Store(0)
	}
}

// NotEnough records that a selection proved too small, so that all logits were computed
// after it. The selector may be nil.
func (h *Head) NotEnough(s *Selector) {
	h.complete.Add(1)
	if s != nil {
		s.backoff.fail()
	}
}

// Logits computes all logits y [states, Rows] of the states x [states, Cols].
func (h *Head) Logits(y, x []float32, states int) {
	h.begin(OpLogits, states)
	if h.transform != nil {
		x = h.turn(x, states)
	}
	if h.ternary != nil {
		h.read += h.resident
		h.ternary.logits(h.team, y, x, states)
		h.end()
		return
	}
	h.y, h.x, h.states = y, x, states
	h.read += int64(len(h.table.Data))
	h.team.Run(h.logitTask, (h.table.Rows+logitRows-1)/logitRows)
	h.end()
}

func (h *Head) logitSlice(worker, slice int) {
	from := slice * logitRows
	to := min(from+logitRows, h.table.Rows)
	h.rows(h.y[from:], from, to-from, h.x, h.states, worker)
}

// rows multiplies the rows from … from+count−1 with some states.
func (h *Head) rows(y []float32, from, count int, x []float32, states, worker int) {
	t := h.table
	data := t.Data[from*h.rowBytes : (from+count)*h.rowBytes]
	kernel.HeadRows(y, t.Rows, data, t.Type, count, t.Cols, x, t.Cols, states, h.scratch[worker])
}

// turn returns the transformed states.
func (h *Head) turn(x []float32, states int) []float32 {
	d := h.table.Cols
	h.turned = slices.Grow(h.turned[:0], states*d)[:states*d]
	for i := range states {
		h.transform.Apply(h.turned[i*d:(i+1)*d], x[i*d:(i+1)*d])
	}
	return h.turned
}

// turnRows has rows refer to transformed states.
func (h *Head) turnRows(rows []Row) {
	d := h.table.Cols
	h.turned = slices.Grow(h.turned[:0], len(rows)*d)[:len(rows)*d]
	for i := range rows {
		turned := h.turned[i*d : (i+1)*d]
		h.transform.Apply(turned, rows[i].X)
		rows[i].X = turned
	}
}

// allBytes is what is read for all logits.
func (h *Head) allBytes() int64 {
	if h.ternary != nil {
		return h.resident
	}
	return int64(len(h.table.Data))
}

// Info returns a description of the head. It may be called from any goroutine.
func (h *Head) Info() Info {
	info := Info{
		Mode: h.mode, Type: h.table.Type, Rows: h.table.Rows, Cols: h.table.Cols,
		Resident: h.resident, Bytes: h.allBytes(),
		Selections: h.selections.Load(), Complete: h.complete.Load(),
		LastBytes: h.lastBytes.Load(), LastExact: int(h.lastExact.Load()),
	}
	for i := range h.lastRefined {
		info.LastRefined[i] = int(h.lastRefined[i].Load())
	}
	return info
}

// Scratch returns the books of the memory that the head computes in.
func (h *Head) Scratch() arena.Stats { return h.mem.Stats() }

// TakeBytes returns how many bytes of the head and its copy have been read since the
// last call.
func (h *Head) TakeBytes() int64 {
	n := h.read
	h.read = 0
	return n
}

// SetTracer has t follow the operations of the head; nil ends that.
func (h *Head) SetTracer(t model.Tracer) { h.tracer = t }

// begin and end surround an operation.
func (h *Head) begin(op string, rows int) {
	if h.tracer != nil {
		h.tracer.Begin(model.LayerOut, op, rows)
	}
}

func (h *Head) end() {
	if h.tracer != nil {
		h.tracer.End()
	}
}

// task makes a parallel.Task of a function. Those of the decode step are made once,
// because making a method value allocates.
type task func(worker, slice int)

func (f task) Do(worker, slice int) { f(worker, slice) }
