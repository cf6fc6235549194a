package engine

import "trit/internal/cache"

// Gauges say what a scheduler has to do at a moment, and what it has done.
type Gauges struct {
	// Sessions are open; Queued of them wait for a step or are in one, of which
	// Parked have lost their pages and wait until there is room.
	Sessions, Queued, Parked int
	// Pages is the budget of the KV cache in pages of kernel.PageTokens
	// positions. UsedPages belong to sequences that are open. Beside them the prefix
	// cache keeps PrefixPages, which give way when pages are needed.
	Pages, UsedPages, PrefixPages int
	// PageBytes is the memory of a page; AllocatedPages have memory.
	PageBytes      int64
	AllocatedPages int
	// States are those of a model with recurrences. What sequences hold of them is among
	// UsedPages.
	States cache.StateStats
	// Steps, Rows and Preemptions are those of the scheduler's methods.
	Steps, Rows, Preemptions int64
	// Prefix counts what the prefix cache has been good for.
	Prefix PrefixStats
}

// FreePages returns the number of pages that a new sequence can have.
func (g Gauges) FreePages() int { return g.Pages - g.UsedPages }

// Gauges returns the state after the last step. Other than PrefixStats it does
// not wait for the step that is running.
func (s *Scheduler) Gauges() Gauges {
	s.gaugesMu.Lock()
	defer s.gaugesMu.Unlock()
	return s.gauges
}

// publish updates what Gauges returns.
func (s *Scheduler) publish() {
	pool := s.engine.pool
	prefix := pool.PrefixStats()
	g := Gauges{
		Sessions: len(s.sessions), Queued: len(s.queue),
		Pages: pool.Config().MaxPages, UsedPages: pool.InUse(), PrefixPages: prefix.Unreferenced,
		PageBytes: pool.PageBytes(), AllocatedPages: pool.Allocated(), States: pool.StateStats(),
		Steps: s.steps.Load(), Rows: s.rows.Load(), Preemptions: s.dropped.Load(), Prefix: s.prefix,
	}
	g.Prefix.Pages, g.Prefix.Unreferenced, g.Prefix.Evicted = prefix.Pages, prefix.Unreferenced, prefix.Evicted
	for _, r := range s.queue {
		if r.parked {
			g.Parked++
		}
	}
	s.gaugesMu.Lock()
	s.gauges = g
	s.gaugesMu.Unlock()
}
