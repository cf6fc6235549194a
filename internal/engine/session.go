package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"trit/internal/fault"
	"trit/internal/head"
	"trit/internal/kernel"
	"trit/internal/model"
)

// Session is one client's sequence on a scheduler. It belongs to one goroutine.
type Session struct {
	scheduler *Scheduler
	seq       *Sequence
	request   request
	closed    bool
	private   atomic.Bool // takes nothing from the prefix cache and leaves nothing there
	indexed   int         // full pages that the prefix cache knows
	serial    int64
	queued    bool      // has a request
	used      int64     // the step in which it was last answered
	engaged   int       // the scheduler's round in which it was answered, 0 if none
	spoke     time.Time // when it was last given logits

	hidden []float32
	logits []float32
	guess  guess
}

// Job asks to run tokens on a session; see [Scheduler.Run].
type Job struct {
	Session *Session
	// Tokens are appended to the session's.
	Tokens []int32
	// The tokens from index From on give back what Want says.
	Want Want
	From int
	// Selectors receive the results of these tokens if they want Select, one
	// each.
	Selectors []*head.Selector
	// Guesses is how many of the last tokens are likely to be taken back with
	// Truncate. The tokens of such a job are not looked up in the prefix cache, and
	// enter it only once the session goes on behind them.
	Guesses int
}

// request is a client's job on its way through the scheduler.
type request struct {
	Job
	observer model.Observer
	group    []*request // this and other requests that were made with it
	first    *request   // that one whose group this is in

	start     int      // the session's length before the request
	chain     []uint64 // of a prompt: a hash of the sequence up to the end of each page
	next      int      // tokens that have been run
	reused    int      // those of them that came from the prefix cache
	inBatch   int      // tokens that are in the current batch
	lost      int      // leading tokens that the session had lost
	parked    bool     // kept out of batches, for want of memory
	cancelled atomic.Bool
	err       error
	done      chan struct{} // receives one value when the request is answered

	progress func(done, reused int) // see Session.SetProgress
	moved    chan progress          // holds the last that the client does not know yet
}

// progress is how many tokens of a request have been run, and how many of them came from
// the prefix cache.
type progress struct{ done, reused int }

// decodes reports whether a request is part of a running generation rather than
// a prompt.
func (r *request) decodes() bool { return r.Guesses > 0 || len(r.Tokens)-r.next == 1 }

// waits reports whether a request is to be left out of a batch with others.
func (r *request) waits() bool { return r.parked || r.observer != nil }

func newSession(s *Scheduler) *Session {
	c := &Session{scheduler: s}
	c.request.done = make(chan struct{}, 1)
	return c
}

// Len returns the number of tokens that have been run.
func (c *Session) Len() int { return c.seq.Len() }

// Tokens returns the tokens that have been run. The slice must not be changed.
func (c *Session) Tokens() []int32 { return c.seq.Tokens() }

// Scheduler returns the scheduler that the session belongs to.
func (c *Session) Scheduler() *Scheduler { return c.scheduler }

// Reused returns how many tokens of the last Run came from the prefix cache.
func (c *Session) Reused() int { return c.request.reused }

// SetProgress has f told how many of the tokens that are being run have been, and how many
// of these came from the prefix cache, whenever some more are about to be. The goroutine
// that waits for them calls it. It must not be changed meanwhile; nil ends it.
func (c *Session) SetProgress(f func(done, reused int)) {
	r := &c.request
	if r.progress = f; f != nil && r.moved == nil {
		r.moved = make(chan progress, 1)
	}
}

// report tells a client that waits how far its request has come.
func (r *request) report() {
	if r.progress == nil {
		return
	}
	select {
	case <-r.moved:
	default:
	}
	r.moved <- progress{max(r.next-r.lost, 0), r.reused}
}

// SetPrivate keeps the session's tokens out of the prefix cache, from now on,
// and has it compute everything itself.
func (c *Session) SetPrivate(private bool) { c.private.Store(private) }

// SetSalt keeps the session apart, in the prefix cache, from sessions with another salt: they find
// nothing of each other. It must be called before the first Run.
func (c *Session) SetSalt(salt string) { c.seq.table.SetSalt(salt) }

// Run appends tokens and waits until they have been run. The tokens from index
// from on give back what want says, until the next Run. If ctx ends first, Run
// returns its error; some of the tokens may then have been run, as Len tells.
func (c *Session) Run(ctx context.Context, tokens []int32, want Want, from int) error {
	return c.run(ctx, Job{Tokens: tokens, Want: want, From: from}, nil)
}

// Select appends tokens and asks the selector for the largest logits of the
// last one.
func (c *Session) Select(ctx context.Context, tokens []int32, sel *head.Selector) error {
	return c.run(ctx, Job{Tokens: tokens, Want: Select, From: len(tokens) - 1, Selectors: []*head.Selector{sel}}, nil)
}

// Observe is Run with an observer. The tokens are run apart from other
// clients' tokens, and without the prefix cache.
func (c *Session) Observe(ctx context.Context, tokens []int32, want Want, from int, o model.Observer) error {
	return c.run(ctx, Job{Tokens: tokens, Want: want, From: from}, o)
}

func (c *Session) run(ctx context.Context, j Job, o model.Observer) error {
	j.Session = c
	r, err := c.prepare(ctx, j, o)
	if err != nil || len(j.Tokens) == 0 {
		return err
	}
	r.group = append(r.group[:0], r)
	return c.scheduler.submit(ctx, r)
}

// Run runs the tokens of several sessions, in the same steps as far as they fit
// into a batch, and waits for all of them. Each session may occur once. The
// error is that of the first job that failed.
func (s *Scheduler) Run(ctx context.Context, jobs []Job) error {
	var first *request
	for i := range jobs {
		c := jobs[i].Session
		if c.scheduler != s {
			return fmt.Errorf("%w: the session of job %d belongs to another scheduler", ErrBatch, i)
		}
		for k := range i {
			if jobs[k].Session == c {
				return fmt.Errorf("%w: jobs %d and %d have the same session", ErrBatch, k, i)
			}
		}
		r, err := c.prepare(ctx, jobs[i], nil)
		if err != nil {
			return err
		}
		if len(jobs[i].Tokens) == 0 {
			continue
		}
		if first == nil {
			first = r
			first.group = first.group[:0]
		}
		first.group = append(first.group, r)
	}
	if first == nil {
		return nil
	}
	return s.submit(ctx, first)
}

// prepare checks a job and makes it the session's request.
func (c *Session) prepare(ctx context.Context, j Job, o model.Observer) (*request, error) {
	r := &c.request
	r.reused = 0
	if len(j.Tokens) == 0 {
		return r, nil
	}
	if c.closed {
		return nil, fmt.Errorf("%w: the session", ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e := c.scheduler.engine
	if n := c.seq.Len() + len(j.Tokens); n > e.context {
		return nil, &fault.ContextError{What: "the text", Tokens: n, Room: e.context, Context: e.context}
	}
	for _, t := range j.Tokens {
		if t < 0 || int(t) >= e.config.Vocab {
			return nil, fmt.Errorf("%w: token %d, the vocabulary has %d", ErrToken, t, e.config.Vocab)
		}
	}
	j.From = max(j.From, 0)
	if want := len(j.Tokens) - j.From; j.Want == Select && want > 0 && len(j.Selectors) != want {
		return nil, fmt.Errorf("%w: %d selectors for %d tokens that want Select", ErrBatch, len(j.Selectors), want)
	}
	j.Guesses = min(max(j.Guesses, 0), len(j.Tokens))
	r.Job, r.observer = j, o
	r.start, r.chain, r.next, r.inBatch, r.err = c.seq.Len(), r.chain[:0], 0, 0, nil
	r.lost, r.parked = 0, false
	r.cancelled.Store(false)
	select {
	case <-r.moved: // of the request before
	default:
	}
	c.hidden, c.logits = c.hidden[:0], c.logits[:0]
	return r, nil
}

// submit hands a request's group to the loop and waits for the answers.
func (s *Scheduler) submit(ctx context.Context, first *request) error {
	select {
	case s.inbox <- first:
	case <-s.done:
		return s.closed()
	}
	var err error
	for _, r := range first.group {
		for waiting := true; waiting; {
			select {
			case p := <-r.moved:
				r.progress(p.done, p.reused)
				continue
			case <-r.done:
			case <-ctx.Done():
				// The scheduler looks at the flags before each step, so the
				// answers come within one step.
				for _, r := range first.group {
					r.cancelled.Store(true)
				}
				<-r.done
				if r.next < len(r.Tokens) {
					r.err = ctx.Err()
				}
			}
			waiting = false
		}
		if err == nil {
			err = r.err
		}
	}
	return err
}

// Hidden returns the hidden state of the i-th token of the last Run that
// wanted anything: [D]. It is valid until the next Run.
func (c *Session) Hidden(i int) []float32 {
	d := c.scheduler.engine.config.Hidden
	return c.hidden[i*d : (i+1)*d]
}

// Logits returns the logits of the i-th token of the last Run that wanted All:
// [V]. They are valid until the next Run, and the caller may change them.
func (c *Session) Logits(i int) []float32 {
	v := c.scheduler.engine.config.Vocab
	return c.logits[i*v : (i+1)*v]
}

// Fork returns a session with the same tokens. The two share the memory of
// what they have in common.
func (c *Session) Fork() (*Session, error) {
	f := newSession(c.scheduler)
	f.private.Store(c.private.Load())
	err := c.scheduler.do(func() {
		c.scheduler.open(f, c.seq.Fork())
		f.indexed = c.indexed
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Assign makes the session hold the same tokens as another one, sharing memory
// with it, instead of its own.
func (c *Session) Assign(from *Session) error {
	switch {
	case c == from:
		return nil
	case c.closed || from.closed:
		return fmt.Errorf("%w: the session", ErrClosed)
	case c.scheduler != from.scheduler:
		return fmt.Errorf("%w: the sessions belong to different schedulers", ErrBatch)
	}
	return c.scheduler.do(func() {
		c.seq.assign(from.seq)
		c.indexed = from.indexed
	})
}

// Truncate forgets all tokens from index n on.
func (c *Session) Truncate(n int) error {
	if n == c.seq.Len() {
		return nil
	}
	var err error
	e := c.scheduler.do(func() {
		err = c.seq.Truncate(n)
		c.indexed = min(c.indexed, c.seq.table.Len()/kernel.PageTokens)
	})
	if e != nil {
		return e
	}
	return err
}

// Close gives the session's memory back. Closing twice is harmless.
func (c *Session) Close() {
	if c.closed {
		return
	}
	c.closed = true
	// A scheduler that has been closed has no memory to give back to.
	_ = c.scheduler.do(func() {
		c.scheduler.disengage(c)
		delete(c.scheduler.sessions, c)
		c.index()
		c.seq.Close()
	})
}
