package model

import (
	"sync/atomic"

	"trit/internal/ternary"
	"trit/quant"
)

// repack fills a matrix panel by panel on the team, with the rows of a view from
// first on, and scales where the layout keeps them among the codes.
func (b *Binder) repack(m *ternary.Matrix, view *quant.TernaryView, first int, scales []float32, group int) error {
	codes := view.Codes
	if m.Layout == ternary.G2 {
		codes = view.AllCodes
	}
	t := &repackTask{m: m, codes: codes, first: first, scales: scales, group: group}
	t.rows = make([][ternary.PanelRows][]byte, b.opts.Team.Size())
	for w := range t.rows {
		for r := range t.rows[w] {
			t.rows[w][r] = make([]byte, m.Cols)
		}
	}
	b.opts.Team.Run(t, m.Panels())
	if err := t.err.Load(); err != nil {
		return *err
	}
	return nil
}

type repackTask struct {
	m      *ternary.Matrix
	codes  func(dst []byte, row int) error
	first  int
	scales []float32
	group  int
	rows   [][ternary.PanelRows][]byte // codes, per worker
	err    atomic.Pointer[error]
}

func (t *repackTask) Do(worker, panel int) {
	rows := &t.rows[worker]
	n := min(ternary.PanelRows, t.m.Rows-panel*ternary.PanelRows)
	for r := range n {
		if err := t.codes(rows[r], t.first+panel*ternary.PanelRows+r); err != nil {
			t.err.CompareAndSwap(nil, &err)
			return
		}
	}
	err := t.m.SetPanel(panel, rows[:n])
	if err == nil && t.m.Layout.Grouped() {
		err = t.m.SetPanelScales(panel, t.scales, t.group)
	}
	if err != nil {
		t.err.CompareAndSwap(nil, &err)
	}
}
