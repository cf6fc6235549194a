package engine

import "slices"

// When the KV cache is full, the scheduler takes pages away from sequences that
// can wait: first from sessions that nobody is running, the one that has been idle
// longest first, then from the youngest of those that want to run. Their tokens
// are kept, and before such a session goes on they are run again, as far as the
// prefix cache has not kept the pages. So a request fails for want of memory
// only if it does not fit alone.

// lost returns how many of the sequence's tokens have to be run again.
func (s *Sequence) lost() int { return len(s.tokens) - s.table.Len() }

// drop takes the session's pages away.
func (c *Session) drop() {
	if len(c.seq.table.Pages()) > 0 {
		c.scheduler.dropped.Add(1)
	}
	c.index()
	c.indexed = 0
	c.seq.table.Release()
}

// makeRoom takes pages away from one session, or keeps one request out of the
// batch. It returns false when only the oldest request is left.
func (s *Scheduler) makeRoom() bool {
	s.batch.Reset()
	var idle *Session
	for c := range s.sessions {
		if s.isIdle(c) && len(c.seq.table.Pages()) > 0 && (idle == nil || c.used < idle.used || c.used == idle.used && c.serial < idle.serial) {
			idle = c
		}
	}
	if idle != nil {
		idle.drop()
		return true
	}
	oldest := s.oldest()
	var victim *request
	for _, r := range s.queue {
		if r != oldest && !r.parked && (victim == nil || r.Session.serial > victim.Session.serial) {
			victim = r
		}
	}
	if victim == nil {
		return false
	}
	victim.parked = true
	victim.Session.drop()
	return true
}

// isIdle reports whether nobody is running a session: it has no request, and has
// not just been answered.
func (s *Scheduler) isIdle(c *Session) bool { return !c.queued && c.engaged != s.round }

// oldest returns the request of the session that was made first.
func (s *Scheduler) oldest() *request {
	first := s.queue[0]
	for _, r := range s.queue[1:] {
		if r.Session.serial < first.Session.serial {
			first = r
		}
	}
	return first
}

// unpark lets requests run again for which there is room beside the others, and
// always the oldest.
func (s *Scheduler) unpark() {
	parked := false
	for _, r := range s.queue {
		parked = parked || r.parked
	}
	if !parked {
		return
	}
	s.oldest().parked = false
	pool := s.engine.pool
	room, state := pool.Config().MaxPages, pool.StateStats().Pages
	for c := range s.sessions {
		if len(c.seq.table.Pages()) > 0 && !s.isIdle(c) {
			room -= pool.Config().Room(c.seq.table.Len()) + 1 + state
		}
	}
	for _, r := range s.queue {
		if need := pool.Config().Room(r.Session.seq.Len()+len(r.Tokens)-r.next+1) + state; r.parked && need <= room {
			r.parked = false
			room -= need
		}
	}
}

// restore prepends the tokens to a request that its session has lost.
func (s *Scheduler) restore(r *request) {
	seq := r.Session.seq
	n := seq.lost()
	if n == 0 {
		return
	}
	held := seq.table.Len()
	tokens := slices.Concat(seq.tokens[held:], r.Tokens[r.next:])
	seq.tokens = seq.tokens[:held]
	r.Session.indexed = 0
	if r.Want == Select {
		r.Selectors = r.Selectors[max(r.next-r.From, 0):]
	}
	r.From = n + max(r.From-r.next, 0)
	r.lost = n + max(r.lost-r.next, 0)
	r.Tokens, r.start, r.next = tokens, held, 0
	if r.Guesses == 0 {
		s.hash(r)
	}
}

// answer ends a request. Tokens that should have been run again, but were not,
// are the session's all the same.
func (s *Scheduler) answer(r *request) {
	c := r.Session
	if r.next < r.lost {
		c.seq.tokens = append(c.seq.tokens, r.Tokens[r.next:r.lost]...)
	}
	c.queued = false
	c.used = s.steps.Load()
	r.done <- struct{}{}
}
