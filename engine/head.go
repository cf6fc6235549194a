package engine

import (
	"trit/kernel"
	"trit/model"
	"trit/parallel"
)

// headRows is the number of vocabulary rows that one slice multiplies: some
// tens of microseconds of reading.
const headRows = 128

// head multiplies hidden states with the rows of the output head.
type head struct {
	table   *model.Table
	team    *parallel.Team
	scratch [][]float32 // per worker

	// operands of the running section
	y, x []float32
	n    int
}

func newHead(t *model.Table, team *parallel.Team) *head {
	h := &head{table: t, team: team}
	for range team.Size() {
		h.scratch = append(h.scratch, make([]float32, kernel.HeadScratch(t.Cols)))
	}
	return h
}

// logits computes y [n, V] from the states x [n, D].
func (h *head) logits(y, x []float32, n int) {
	h.y, h.x, h.n = y, x, n
	h.team.Run(h, (h.table.Rows+headRows-1)/headRows)
}

func (h *head) Do(worker, slice int) {
	t := h.table
	from := slice * headRows
	to := min(from+headRows, t.Rows)
	rb := t.RowBytes()
	kernel.HeadRows(h.y[from:], t.Rows, t.Data[from*rb:to*rb], t.Type, to-from, t.Cols, h.x, t.Cols, h.n, h.scratch[worker])
}
