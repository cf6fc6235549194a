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
// reason others can adopt pages only as far as there is a snapshot.
type recurrences struct {
	batch *Batch
	spans []span
	next  []int // by row: the next row of its sequence, −1 for none
	run   model.Recurrence
	parts int
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
// too, when its numbers are at hand.
func (r *recurrences) Do(_, slice int) {
	s, part := &r.spans[slice/r.parts], slice%r.parts
	from, n := r.run.Numbers(part)
	state := s.state.To[from : from+n]
	if s.state.From == nil {
		clear(state)
	} else {
		copy(state, s.state.From[from:from+n]) // nothing, if it is the same
	}
	saves, at := s.state.Saves, s.at
	for row := s.first; row >= 0; row = r.next[row] {
		for len(saves) > 0 && saves[0].At == at {
			copy(saves[0].Data[from:from+n], state)
			saves = saves[1:]
		}
		r.run.Step(s.state.To, row, part)
		at++
	}
}

// Recur implements model.Attention.
func (a *attention) Recur(run model.Recurrence) {
	a.recur.run, a.recur.parts = run, run.Parts()
	a.e.team.Run(&a.recur, len(a.recur.spans)*a.recur.parts)
}
