package engine

import "trit/internal/model"

// recurrences implements model.Attention.Recur: it takes each sequence of a batch
// through a recurrence.
//
// A state cannot be rolled back. A sequence that is cut back, or whose step failed in
// the middle, forgets what it holds and its tokens count as lost, as if it had been
// preempted: the scheduler runs them again. For the same reason pages of keys and
// values alone are of no use to another sequence, and there is no prefix cache.
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
		r.spans = append(r.spans, span{seq: s, first: i, last: i})
	}
}

// Do implements parallel.Task for a part of a sequence.
func (r *recurrences) Do(_, slice int) {
	s, part := &r.spans[slice/r.parts], slice%r.parts
	for row := s.first; row >= 0; row = r.next[row] {
		r.run.Step(s.seq.state, row, part)
	}
}

// Recur implements model.Attention.
func (a *attention) Recur(run model.Recurrence) {
	a.recur.run, a.recur.parts = run, run.Parts()
	a.e.team.Run(&a.recur, len(a.recur.spans)*a.recur.parts)
}

// needState gives a sequence zeros to start from, if the model keeps state.
func (s *Sequence) needState() {
	if n := s.engine.stateSize; n > 0 && s.state == nil {
		s.state = make([]float32, n)
		s.engine.states++
	}
}

// forget takes keys, values and state away.
func (s *Sequence) forget() {
	s.table.Release()
	if s.state != nil {
		s.state = nil
		s.engine.states--
	}
}
