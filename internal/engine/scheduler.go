package engine

import (
	"context"
	"errors"
	"hash/maphash"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"trit/internal/cache"
	"trit/internal/head"
	"trit/internal/model"
)

// ErrClosed reports the use of a scheduler or session that has been closed.
var ErrClosed = errors.New("engine: closed")

// Scheduler owns an engine and runs it for many clients at once: it is the one
// goroutine that an engine may be used by. Each client has a [Session]. In
// every step the scheduler batches what the clients have asked for: first the
// tokens of running generations, then as much of the waiting prompts as these
// have time for, short ones before long ones. Prompts share what they have in common,
// and when the KV cache is full some sequences have to wait and are run again later.
type Scheduler struct {
	engine *Engine
	inbox  chan any // *request, the first of its group, *guess, or call
	done   chan struct{}

	closing  chan struct{}
	closeOne sync.Once
	closeErr error // of the engine, once done is closed
	failure  atomic.Pointer[BrokenError]

	// state of the loop
	queue   []*request // in the order they came
	prompts []*request // of the queue, in the order of the step
	guesses []*guess   // that clients wait for
	guessed int        // passes of the layer that guesses
	batch   *Batch
	engaged int // clients that were just answered and may ask again at once
	round   int // counts the times that engaged was set back to zero
	steps   atomic.Int64
	rows    atomic.Int64
	dropped atomic.Int64

	pace      pace
	overtaken int // steps since the oldest prompt was the first
	now       func() time.Time
	onStep    func(rows int, took time.Duration)

	seed      maphash.Seed
	sessions  map[*Session]struct{} // that are open
	serial    int64                 // of the last one
	computing map[uint64]*request   // pages, by hash, that prompts of a batch compute
	prefix    PrefixStats

	gaugesMu sync.Mutex
	gauges   Gauges
}

// call is a function to run on the scheduler's goroutine.
type call struct {
	f    func()
	done chan struct{}
}

// NewScheduler starts the scheduler of an engine. The engine must not be used
// directly afterwards; Close closes it.
func NewScheduler(e *Engine) *Scheduler {
	s := newScheduler(e)
	s.publish()
	go s.loop()
	return s
}

// newScheduler returns a scheduler without its goroutine.
func newScheduler(e *Engine) *Scheduler {
	return &Scheduler{
		engine:  e,
		inbox:   make(chan any),
		done:    make(chan struct{}),
		closing: make(chan struct{}),
		batch:   e.NewBatch(),
		round:   1,
		now:     time.Now,

		seed:      maphash.MakeSeed(),
		sessions:  map[*Session]struct{}{},
		computing: map[uint64]*request{},
	}
}

// Engine returns the scheduler's engine, for its constants: model, context,
// threads.
func (s *Scheduler) Engine() *Engine { return s.engine }

// Steps returns the number of forward passes so far.
func (s *Scheduler) Steps() int64 { return s.steps.Load() }

// Rows returns the number of tokens that have been run so far, in all steps
// together. Tokens that came from the prefix cache are not among them.
func (s *Scheduler) Rows() int64 { return s.rows.Load() }

// Preemptions returns how often a session had to give its memory to others so
// far.
func (s *Scheduler) Preemptions() int64 { return s.dropped.Load() }

// Close answers all waiting requests with ErrClosed, stops the scheduler and
// closes its engine. It waits until that is done.
func (s *Scheduler) Close() error {
	s.closeOne.Do(func() { close(s.closing) })
	<-s.done
	return s.closeErr
}

// OnStep has f called after each step, with its rows and the time that it took, on the
// scheduler's goroutine.
func (s *Scheduler) OnStep(f func(rows int, took time.Duration)) {
	_ = s.do(func() { s.onStep = f }) // one that has been closed makes no steps
}

// do runs f on the scheduler's goroutine.
func (s *Scheduler) do(f func()) error {
	c := call{f, make(chan struct{})}
	select {
	case s.inbox <- c:
	case <-s.done:
		return s.closed()
	}
	select {
	case <-c.done:
		return nil
	case <-s.done:
	}
	select {
	case <-c.done: // before it closed
		return nil
	default: // f has stopped it
		return s.closed()
	}
}

// NewSession returns a session with an empty sequence.
func (s *Scheduler) NewSession() (*Session, error) {
	session := newSession(s)
	if err := s.do(func() { s.open(session, s.engine.NewSequence()) }); err != nil {
		return nil, err
	}
	return session, nil
}

// open makes a session known.
func (s *Scheduler) open(c *Session, seq *Sequence) {
	c.seq = seq
	s.serial++
	c.serial = s.serial
	s.sessions[c] = struct{}{}
}

// loop is the scheduler's goroutine.
func (s *Scheduler) loop() {
	defer close(s.done)
	defer func() { s.closeErr = s.engine.Close() }()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	debug.SetPanicOnFault(true) // see turn
	defer s.engine.team.Stay()()
	var lastStep time.Duration
	for s.turn(timer, &lastStep) {
	}
	for _, r := range s.queue {
		r.err = s.closed()
		s.answer(r)
	}
}

// Clients that have just been given a token are usually back with the next one
// within moments. Waiting for them, for a small part of a step, keeps them in
// one batch.
const (
	maxGrace      = 2 * time.Millisecond
	graceFraction = 8
)

// maxInbox bounds the messages that are received between two steps while nobody
// is waited for, so that clients who never stop asking do not stop the others.
const maxInbox = 1024

// gather receives requests until there is a batch to run: all engaged clients
// are back, or their grace is over. It returns false when the scheduler is to
// close.
func (s *Scheduler) gather(timer *time.Timer, lastStep time.Duration) bool {
	var grace <-chan time.Time
	for received := 0; ; received++ {
		select {
		case <-s.closing:
			return false
		default:
		}
		if s.guessersOnly() {
			s.runGuesses()
			grace = nil // they will be back
		}
		if len(s.queue)+len(s.guesses) > 0 {
			if s.engaged == 0 {
				// A long prompt goes on without any request being completed.
				// Requests that came in the meantime must not wait for its end.
				select {
				case m := <-s.inbox:
					s.receive(m)
				default:
					return true
				}
				if received == maxInbox {
					return true
				}
				continue
			}
			if grace == nil {
				timer.Reset(min(maxGrace, lastStep/graceFraction))
				grace = timer.C
			}
		}
		select {
		case m := <-s.inbox:
			s.receive(m)
		case <-grace:
			if len(s.guesses) > 0 {
				s.runGuesses() // without those who are late
				grace = nil
				continue
			}
			s.engaged = 0
			s.round++
			return true
		case <-s.closing:
			return false
		}
	}
}

// receive takes a message in.
func (s *Scheduler) receive(m any) {
	switch m := m.(type) {
	case *request:
		for _, r := range m.group {
			s.disengage(r.Session)
			r.Session.queued, r.first = true, m
			s.look(r)
			s.queue = append(s.queue, r)
		}
	case *guess:
		s.takeGuess(m)
	case call:
		m.f()
		s.publish()
		close(m.done)
	}
}

// disengage notes that a client is no longer waited for.
func (s *Scheduler) disengage(c *Session) {
	if c.engaged == s.round {
		s.engaged--
	}
	c.engaged = 0
}

// step runs one batch and answers the requests that it completes.
func (s *Scheduler) step() {
	s.dropCancelled()
	if len(s.queue) == 0 {
		return
	}
	s.unpark()
	err := s.run()
	for errors.Is(err, cache.ErrFull) && s.makeRoom() {
		err = s.run()
	}
	s.deliver(err)
}

// run fills a batch and runs it.
func (s *Scheduler) run() error {
	observer := s.fill()
	start := s.now()
	if err := s.engine.Step(s.batch, observer); err != nil {
		return err
	}
	rows := s.batch.Len()
	if rows == 0 {
		return nil
	}
	s.steps.Add(1)
	s.rows.Add(int64(rows))
	took := s.now().Sub(start)
	if observer == nil {
		s.pace.observe(rows, took)
	}
	if s.onStep != nil {
		s.onStep(rows, took)
	}
	return nil
}

// dropCancelled answers the requests whose clients have gone.
func (s *Scheduler) dropCancelled() {
	kept := s.queue[:0]
	for _, r := range s.queue {
		if r.cancelled.Load() {
			r.err = context.Canceled
			s.answer(r)
			continue
		}
		kept = append(kept, r)
	}
	s.queue = kept
}

// fill builds a batch from the requests of the queue.
func (s *Scheduler) fill() (observer model.Observer) {
	s.batch.Reset()
	for _, r := range s.queue {
		r.inBatch = 0
	}
	first := s.queue[slices.IndexFunc(s.queue, func(r *request) bool { return !r.parked })]
	if first.observer != nil {
		s.restore(first)
		s.add(first, s.engine.maxRows)
		if first.next < first.lost {
			return nil
		}
		return first.observer
	}
	// Running generations first: they want one token or a few, and their
	// readers are watching. Then prompts.
	for _, r := range s.queue {
		if r.waits() {
			continue
		}
		s.restore(r)
		if r.decodes() {
			s.add(r, s.engine.maxRows)
		}
	}
	s.addPrompts(s.pace.limit(s.batch.Len(), s.streams(), s.engine.maxRows))
	return nil
}

// add puts as many tokens of a request into the batch as fit, until it has limit rows.
func (s *Scheduler) add(r *request, limit int) {
	end := len(r.Tokens)
	if r.observer != nil && r.next < r.lost {
		end = r.lost // without the observer
	}
	seq := r.Session.seq
	guesses, guess := len(r.Tokens)-r.Guesses, -1
	for i := r.next; i < end && s.batch.Len() < limit; i++ {
		if i >= guesses && guess < 0 {
			guess = seq.table.Len() + seq.pending
		}
		want, sel := None, (*head.Selector)(nil)
		if i >= r.From {
			if want = r.Want; want == Select {
				sel = r.Selectors[i-r.From]
			}
		}
		if _, err := s.batch.Add(seq, r.Tokens[i], want, sel); err != nil {
			r.err = err
			return
		}
		r.inBatch++
	}
	seq.Guesses(guess)
	if r.inBatch > 0 {
		r.report()
	}
}

// deliver hands out the results of a batch and answers the requests that are
// complete or have failed.
func (s *Scheduler) deliver(err error) {
	for i, row := range s.batch.rows {
		if err != nil || row.want == None {
			continue
		}
		c := s.owner(row.seq)
		c.hidden = append(c.hidden, s.batch.Hidden(i)...)
		if row.want == All {
			c.logits = append(c.logits, s.batch.Logits(i)...)
		}
	}
	now := s.now()
	kept := s.queue[:0]
	for _, r := range s.queue {
		switch {
		case err != nil && r.inBatch > 0:
			r.err = err
		case r.inBatch > 0:
			r.next += r.inBatch
			if r.Guesses > 0 {
				break
			}
			r.Session.index()
			if r.next == len(r.Tokens) && r.next-r.lost > 1 {
				r.Session.seq.table.Keep()
			}
		}
		r.inBatch = 0
		if r.err == nil && r.next < len(r.Tokens) {
			kept = append(kept, r)
			continue
		}
		if r.Want >= Select {
			r.Session.spoke = now
		}
		r.Session.engaged = s.round
		s.engaged++
		s.answer(r)
	}
	s.queue = kept
	s.batch.Reset()
}

// owner finds the session of a sequence in the batch.
func (s *Scheduler) owner(q *Sequence) *Session {
	for _, r := range s.queue {
		if r.Session.seq == q {
			return r.Session
		}
	}
	panic("engine: a row without a request")
}
