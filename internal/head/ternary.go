package head

import (
	"fmt"

	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/parallel"
	"trit/internal/ternary"
)

// ternaryHead multiplies a head of ternary weights like the projections of its
// model: states are rounded as the model's activations say.
type ternaryHead struct {
	w      *ternary.Matrix
	int8   *kernel.Int8        // rounded states, with a scale for each row, or
	groups *kernel.GroupedInt8 // with scales for groups of columns, or neither
	work   []*kernel.Workspace // per worker
	run    parallel.Task
	step   int // panels of a slice

	// The running product.
	y, x []float32
	rows int
}

// statesAtOnce bounds the states that are rounded together.
const statesAtOnce = 64

// slicesPerWorker is how finely a product is cut.
const slicesPerWorker = 10

func newTernaryHead(m *model.Model, team *parallel.Team) *ternaryHead {
	h := &ternaryHead{w: m.Head}
	switch m.Config.Activations {
	case model.Int8:
		h.int8 = kernel.NewInt8(statesAtOnce, m.Head.Cols)
		h.int8.Reset(m.Head.Cols, m.Head.GroupCols)
	case model.Int8Groups:
		h.groups = kernel.NewGroupedInt8(statesAtOnce, m.Head.Cols)
	}
	for range team.Size() {
		h.work = append(h.work, kernel.NewWorkspace())
	}
	h.step = max(1, m.Head.Panels()/(team.Size()*slicesPerWorker))
	h.run = task(h.slice)
	return h
}

// logits computes y [states, Rows] from x [states, Cols].
func (h *ternaryHead) logits(team *parallel.Team, y, x []float32, states int) {
	rows, cols := h.w.Rows, h.w.Cols
	for first := 0; first < states; first += statesAtOnce {
		h.rows = min(statesAtOnce, states-first)
		h.x, h.y = x[first*cols:], y[first*rows:]
		for i := range h.rows {
			state := h.x[i*cols : (i+1)*cols]
			switch {
			case h.int8 != nil:
				kernel.QuantizeRow(h.int8, i, state)
			case h.groups != nil:
				kernel.QuantizeGroups(h.groups, i, state)
			}
		}
		team.Run(h.run, (h.w.Panels()-1)/h.step+1)
	}
}

func (h *ternaryHead) slice(worker, slice int) {
	from := slice * h.step
	to := min(from+h.step, h.w.Panels())
	switch ws := h.work[worker]; {
	case h.int8 != nil:
		kernel.MatMulI8(h.y, h.w.Rows, h.w, h.int8, 0, h.rows, from, to, ws)
	case h.groups != nil:
		kernel.MatMulGrouped(h.y, h.w.Rows, h.w, h.groups, 0, h.rows, from, to, ws)
	default:
		kernel.MatMulF32(h.y, h.w.Rows, h.w, h.x, h.w.Cols, h.rows, from, to, ws)
	}
}

// checkTernary refuses modes that a ternary head does not have.
func checkTernary(mode Mode, t *model.Table) error {
	if mode == Coarse {
		return fmt.Errorf("%w: %s: the output head is stored as %s, of which no smaller copy is needed; use mode plain", ErrMode, mode, t.Type)
	}
	return nil
}
