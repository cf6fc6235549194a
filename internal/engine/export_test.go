package engine

import (
	"context"
	"testing"
	"time"

	"trit/internal/head"
)

// StepTime is how long a step lasts at most while somebody reads along.
const StepTime = passTime

// ByHand is a scheduler without a goroutine: a test says when it makes a step, and how
// long steps take by its clock.
type ByHand struct {
	s     *Scheduler
	clock time.Time
	cost  func(rows int) time.Duration
	rows  int64
	// Took is how long the last step took, Rows how many tokens it had.
	Took time.Duration
	Rows int
}

// NewByHand returns a scheduler of an engine, for which a step takes as long as cost
// says.
func NewByHand(e *Engine, cost func(rows int) time.Duration) *ByHand {
	h := &ByHand{s: newScheduler(e), clock: time.Unix(0, 0).Add(time.Hour), cost: cost}
	h.s.now = func() time.Time {
		if rows := h.s.rows.Load(); rows != h.rows { // a step has been made
			h.Rows, h.rows = int(rows-h.rows), rows
			h.Took = h.cost(h.Rows)
			h.clock = h.clock.Add(h.Took)
		}
		return h.clock
	}
	return h
}

// Session returns a new session.
func (h *ByHand) Session() *Session {
	c := newSession(h.s)
	h.s.open(c, h.s.engine.NewSequence())
	return c
}

// Sleep moves the clock.
func (h *ByHand) Sleep(d time.Duration) { h.clock = h.clock.Add(d) }

// Submit asks for something, which steps to come answer.
func (h *ByHand) Submit(t testing.TB, j Job) {
	t.Helper()
	r, err := j.Session.prepare(context.Background(), j, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.group = append(r.group[:0], r)
	h.s.receive(r)
}

// Step makes a step and returns the sessions that it has answered.
func (h *ByHand) Step(t testing.TB) (answered map[*Session]bool) {
	t.Helper()
	h.Rows, h.Took = 0, 0
	h.s.step()
	answered = map[*Session]bool{}
	for c := range h.s.sessions {
		select {
		case <-c.request.done:
			if c.request.err != nil {
				t.Fatal(c.request.err)
			}
			answered[c] = true
		default:
		}
	}
	return answered
}

// SubmitAll asks for several things together.
func (h *ByHand) SubmitAll(t testing.TB, jobs ...Job) {
	t.Helper()
	var first *request
	for _, j := range jobs {
		r, err := j.Session.prepare(context.Background(), j, nil)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first, r.group = r, r.group[:0]
		}
		first.group = append(first.group, r)
	}
	h.s.receive(first)
}

// Guess asks for a guess, and returns whether all are there that may want one.
func (h *ByHand) Guess(t testing.TB, c *Session, token int32, row int, sel *head.Selector) (ready bool) {
	t.Helper()
	g := c.wish(token, row, sel)
	if g == nil {
		t.Fatal("there is nothing to guess from")
	}
	h.s.receive(g)
	return h.s.guessersOnly()
}

// GuessersOnly reports whether guesses are to be made now.
func (h *ByHand) GuessersOnly() bool { return h.s.guessersOnly() }

// Guesses makes the guesses and returns how many there were, and in how many passes.
func (h *ByHand) Guesses(t testing.TB) (n, passes int) {
	t.Helper()
	before := h.s.guessed
	h.s.runGuesses()
	for c := range h.s.sessions {
		select {
		case <-c.guess.done:
			if n++; c.guess.err != nil {
				t.Fatal(c.guess.err)
			}
		default:
		}
	}
	return n, h.s.guessed - before
}

// Run runs a batch.
func Run(b *Batch) error { return b.engine.Step(b, nil) }
