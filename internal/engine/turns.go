package engine

import (
	"slices"

	"trit/internal/kernel"
)

// The prompt of which the least is left goes first, so that a question is not held up
// by the documents of others, and prompts that come together are not all done late.
// A prompt that others keep overtaking has its turn all the same: the oldest goes first
// in one step of turnAfter.
const turnAfter = 4

// takeTurns puts the waiting prompts, which are in the order they came, into the order
// of a step.
func (s *Scheduler) takeTurns() {
	if len(s.prompts) < 2 {
		return
	}
	oldest := s.prompts[0]
	for i, r := range s.prompts { // by insertion: they are few, or nearly in order
		for ; i > 0 && s.prompts[i-1].left() > r.left(); i-- {
			s.prompts[i] = s.prompts[i-1]
		}
		s.prompts[i] = r
	}
	if s.prompts[0] != oldest {
		if s.overtaken++; s.overtaken < turnAfter {
			return
		}
	}
	s.overtaken = 0
	i := slices.Index(s.prompts, oldest)
	copy(s.prompts[1:], s.prompts[:i])
	s.prompts[0] = oldest
}

// left returns how many tokens of a request have not been run.
func (r *request) left() int { return len(r.Tokens) - r.next }

// addPrompts puts the waiting prompts into the batch until it has limit rows.
func (s *Scheduler) addPrompts(limit int) {
	s.prompts = s.prompts[:0]
	for _, r := range s.queue {
		if r.waits() || r.decodes() {
			continue
		}
		s.adopt(r)
		s.prompts = append(s.prompts, r)
	}
	s.takeTurns()
	s.claim()
	for _, r := range s.prompts {
		for other := s.awaited(r); other != nil; other = s.awaited(r) {
			r = other
		}
		if r.inBatch == 0 {
			s.add(r, limit)
		}
	}
}

// claim notes which prompt computes each page: of those that need it the one that has
// come furthest.
func (s *Scheduler) claim() {
	clear(s.computing)
	for _, r := range s.prompts {
		at := r.Session.seq.Len()
		page := at / kernel.PageTokens
		if s.engine.pool.Config().StateSize > 0 && at == page*kernel.PageTokens && page > 0 {
			page-- // the state behind it is kept in the next step
		}
		for _, h := range r.chain[min(page, len(r.chain)):] {
			if other := s.computing[h]; other == nil || other.Session.seq.Len() < at {
				s.computing[h] = r
			}
		}
	}
}

// awaited returns the prompt that computes what a prompt needs next, nil if that is
// itself. What it returns has come further, or as far and is before it in the order.
func (s *Scheduler) awaited(r *request) *request {
	at := r.Session.seq.Len()
	page := at / kernel.PageTokens
	limit := r.start + r.reusable()
	if s.engine.pool.Config().StateSize > 0 {
		return s.awaitedState(r, at, limit)
	}
	if page < len(r.chain) && at < limit {
		if other := s.computing[r.chain[page]]; other != r {
			return other
		}
	}
	return nil
}

// awaitedState is awaited for a model with state. Pages are of use only up to a
// snapshot, so the prompt waits until the other one is where the two part, and has that
// one leave a snapshot there.
func (s *Scheduler) awaitedState(r *request, at, limit int) *request {
	for page := at / kernel.PageTokens; page < len(r.chain); page++ {
		other := s.computing[r.chain[page]]
		if other == nil || other == r {
			continue
		}
		for page < min(len(r.chain), len(other.chain)) && r.chain[page] == other.chain[page] {
			page++
		}
		parting := min(page, limit/kernel.PageTokens) * kernel.PageTokens
		if parting <= at || parting < other.Session.seq.Len() {
			return nil
		}
		other.Session.seq.table.Wish(parting)
		return other
	}
	return nil
}
