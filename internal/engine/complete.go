package engine

import (
	"fmt"

	"trit/internal/head"
)

// HeadInfo returns a description of the engine's output head. It may be called
// from any goroutine.
func (e *Engine) HeadInfo() head.Info { return e.head.Info() }

// Complete computes all logits of a row that wanted Select, for Logits to
// return; the model is not run again. It is for the selections that turn out to
// be too small. For rows whose logits are there already it does nothing.
func (b *Batch) Complete(i int) error {
	if i < 0 || i >= len(b.rows) || b.rows[i].want != Select && b.rows[i].want != All {
		return fmt.Errorf("%w: logits of row %d, which wants none", ErrBatch, i)
	}
	r := &b.rows[i]
	if len(b.hidden) < (r.kept+1)*b.engine.config.Hidden {
		return fmt.Errorf("%w: logits of row %d before the step", ErrBatch, i)
	}
	if r.out < 0 {
		b.rest = append(b.rest[:0], i)
		b.computeAll(b.rest)
		b.engine.head.NotEnough(r.sel)
	}
	return nil
}

// computeAll computes all logits of the given rows.
func (b *Batch) computeAll(rows []int) {
	d, v := b.engine.config.Hidden, b.engine.config.Vocab
	b.states = resize(b.states, len(rows)*d)
	have := len(b.complete)
	for to, i := range rows {
		copy(b.states[to*d:(to+1)*d], b.Hidden(i))
		b.rows[i].out = len(b.complete)
		b.complete = append(b.complete, i)
	}
	if n := len(b.complete) * v; cap(b.logits) < n {
		b.logits = append(make([]float32, 0, n), b.logits[:have*v]...)
	}
	b.logits = b.logits[:len(b.complete)*v]
	b.engine.head.Logits(b.logits[have*v:], b.states, len(rows))
}

// Complete returns all logits of the last token of the last Select or Run, [V],
// without running the model again: for a selection that turned out to be too
// small. They are valid until the next Run or Complete, and the caller may
// change them.
func (c *Session) Complete() ([]float32, error) {
	return c.CompleteRow(len(c.hidden)/c.scheduler.engine.config.Hidden - 1)
}

// CompleteRow is Complete for the i-th token of the last Run that wanted
// anything.
func (c *Session) CompleteRow(i int) ([]float32, error) {
	e := c.scheduler.engine
	d, v := e.config.Hidden, e.config.Vocab
	if i < 0 || (i+1)*d > len(c.hidden) {
		return nil, fmt.Errorf("%w: logits of token %d of a run in which %d wanted anything", ErrBatch, i, len(c.hidden)/d)
	}
	c.logits = resize(c.logits, v)
	var sel *head.Selector
	if i < len(c.request.Selectors) {
		sel = c.request.Selectors[i]
	}
	err := c.scheduler.do(func() {
		e.head.Logits(c.logits, c.hidden[i*d:(i+1)*d], 1)
		e.head.NotEnough(sel)
	})
	if err != nil {
		return nil, err
	}
	return c.logits, nil
}
