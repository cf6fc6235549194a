package engine

import (
	"trit/internal/cache"
	"trit/internal/model"
)

// recurrences implements model.Attention.Recur: it takes each sequence of a batch
// through a recurrence.
//
// A state does not go back. A sequence that is cut back, or whose step failed in the
// middle, goes back to a snapshot (see package cache), and the tokens behind that count
// as lost, as if it had been preempted: the scheduler runs them again. For the same
// reason others can adopt pages only as far as there is a snapshot. Only guesses can be
// taken back at once, because the state does not follow them until they prove right.
type recurrences struct {
	batch *Batch
	spans []span
	next  []int // by row: the next row of its sequence, −1 for none
	run   model.Recurrence
	parts int

	record  int         // numbers of a row's record
	scratch [][]float32 // by worker: twice the numbers of the largest part
}

// span is the rows of one sequence.
type span struct {
	seq         *Sequence
	first, last int
	at          int // position of the first
	state       cache.StateRun
}

// begin finds the rows of each sequence.
func (r *recurrences) begin(b *Batch) {
	r.record = b.engine.pool.Config().RecordSize
	r.batch, r.spans, r.next = b, r.spans[:0], r.next[:0]
	for i := range b.rows {
		s := b.rows[i].seq
		r.next = append(r.next, -1)
		if s.span < len(r.spans) && r.spans[s.span].seq == s {
			known := &r.spans[s.span]
			r.next[known.last] = i
			known.last = i
			continue
		}
		s.span = len(r.spans)
		r.spans = append(r.spans, span{seq: s, first: i, last: i, at: int(b.positions[i]), state: s.table.StateRun()})
	}
}

// Do implements parallel.Task for a part of a sequence. Copies are made part by part
// too, when its numbers are at hand; guesses go on from one that nobody keeps.
func (r *recurrences) Do(worker, slice int) {
	s, part := &r.spans[slice/r.parts], slice%r.parts
	step, scratch := &s.state, r.scratch[worker]
	from, n := r.run.Numbers(part)
	at, width := r.run.Operands(part)
	noted := func(records []float32, i int) []float32 { return records[i*r.record+at:][:width] }
	copied, scratch := scratch[:n], scratch[len(scratch)/2:][:n]
	state := copied
	if step.To != nil {
		state = step.To[from : from+n]
	}
	if step.From == nil {
		clear(state)
	} else {
		copy(state, step.From[from:from+n]) // nothing, if it is the same
	}
	saves := step.Saves
	for pos, row := step.Base, s.first; pos < s.at || row >= 0; pos++ {
		for len(saves) > 0 && saves[0].At == pos {
			copy(saves[0].Data[from:from+n], state)
			saves = saves[1:]
		}
		if pos == step.Hold && step.To != nil {
			copy(copied, state)
			state = copied
		}
		if pos < s.at {
			r.run.Replay(state, noted(step.Replay, pos-step.Base), scratch, part)
			continue
		}
		if i := pos - step.Hold; i >= 0 && i < step.Records {
			r.run.Record(noted(step.Record, i), row, part)
		}
		r.run.Step(state, row, part)
		row = r.next[row]
	}
}

// Recur implements model.Attention.
func (a *attention) Recur(run model.Recurrence) {
	a.recur.prepare(run, a.e.team.Size())
	a.e.team.Run(&a.recur, len(a.recur.spans)*a.recur.parts)
}

// prepare notes the recurrence that runs, and finds memory for it.
func (r *recurrences) prepare(run model.Recurrence, workers int) {
	r.run, r.parts = run, run.Parts()
	if _, n := run.Numbers(0); len(r.scratch) == 0 || len(r.scratch[0]) < 2*n {
		r.scratch = r.scratch[:0]
		for range workers {
			r.scratch = append(r.scratch, make([]float32, 2*n))
		}
	}
}
