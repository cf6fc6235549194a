package server

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"trit"
)

// job is one prompt to continue, in the terms that all APIs share.
type job struct {
	model   *lease
	prompt  []int32
	answers int // at least 1
	options []trit.GenerateOption
	stats   *trit.Stats // filled in when the job is over; may be nil
}

// run waits for its turn and continues the prompt. Its errors are for classify.
// Leaving the loop ends the generation and frees its memory.
func (s *Server) run(ctx context.Context, j *job) iter.Seq2[trit.Token, error] {
	return func(yield func(trit.Token, error) bool) {
		leave, err := j.model.gate.enter(ctx, j.answers)
		if err != nil {
			yield(trit.Token{}, err)
			return
		}
		defer leave()
		stats := j.stats
		if stats == nil {
			stats = new(trit.Stats)
		}
		slot := j.model.gate.slot(j)
		defer slot.close()
		options := append(j.options[:len(j.options):len(j.options)], trit.Answers(j.answers), trit.CollectStats(stats))
		for token, err := range j.model.Model.GenerateFrom(ctx, j.prompt, options...) {
			slot.generated.Add(1)
			if !yield(token, err) {
				return
			}
		}
	}
}

// gate lets a bounded number of generations run on a model at a time, and a
// bounded number wait, in the order they came.
type gate struct {
	places  int64 // generations at a time
	queue   int64 // requests that may wait
	running *semaphore.Weighted
	waiting atomic.Int64
	active  atomic.Int64

	mu    sync.Mutex
	slots []*slot // one per place; a slot without a job is idle
}

// slot is what clients may know about a running job.
type slot struct {
	gate      *gate
	id        int
	job       *job
	started   time.Time
	generated atomic.Int64
}

func newGate(places, queue int) *gate {
	return &gate{places: int64(places), queue: int64(queue), running: semaphore.NewWeighted(int64(places)), slots: make([]*slot, places)}
}

// errBusy is the answer when the queue is full.
func errBusy(queue int64) *apiError {
	return &apiError{status: http.StatusTooManyRequests, code: "queue_full", retry: time.Second,
		message: fmt.Sprintf("the server is busy and %d requests are waiting already; try again later", queue)}
}

// enter waits for room for n answers. leave must be called once if err is nil.
func (g *gate) enter(ctx context.Context, n int) (leave func(), err error) {
	weight := min(int64(max(n, 1)), g.places)
	if !g.running.TryAcquire(weight) {
		if g.waiting.Add(1) > g.queue {
			g.waiting.Add(-1)
			return nil, errBusy(g.queue)
		}
		err := g.running.Acquire(ctx, weight)
		g.waiting.Add(-1)
		if err != nil {
			return nil, err
		}
	}
	g.active.Add(weight)
	var once sync.Once
	return func() {
		once.Do(func() {
			g.active.Add(-weight)
			g.running.Release(weight)
		})
	}, nil
}

// slot shows a job among the running ones.
func (g *gate) slot(j *job) *slot {
	s := &slot{gate: g, id: -1, job: j, started: time.Now()}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.slots {
		if other == nil {
			s.id, g.slots[i] = i, s
			break
		}
	}
	return s
}

func (s *slot) close() {
	if s.id < 0 {
		return
	}
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.gate.slots[s.id] = nil
}

// snapshot returns the slots; idle ones are nil.
func (g *gate) snapshot() []*slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*slot(nil), g.slots...)
}
