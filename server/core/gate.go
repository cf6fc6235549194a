package core

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// gate lets a bounded number of answers be generated on a model at a time, and a
// bounded number of requests wait. Whose client has the fewest answers running
// goes first, and among equals who came first, so that one client with many
// requests does not keep the others out.
type gate struct {
	places int // answers at a time
	queue  int // requests that may wait
	most   int // places of one client

	mu      sync.Mutex
	free    int            // places
	waiting []*waiter      // in the order they came
	next    *waiter        // whose turn it is as soon as there is room; nil: not decided
	running map[string]int // places by client
	slots   []*slot        // one per place; nil: idle
}

// waiter is a request that waits.
type waiter struct {
	client string
	places int
	turn   chan struct{} // closed when it has its places
}

// slot is what clients may know about a running job.
type slot struct {
	gate      *gate
	id        int
	prompt    int // tokens
	generated atomic.Int64
}

func newGate(places, queue int) *gate {
	return &gate{places: places, queue: queue, free: places, running: map[string]int{}, slots: make([]*slot, places),
		most: places}
}

// errBusy is the answer when the queue is full.
func errBusy(queue int) *Error {
	return &Error{Status: http.StatusTooManyRequests, Code: "queue_full", Retry: time.Second,
		Message: fmt.Sprintf("the server is busy and %d requests are waiting already; try again later", queue)}
}

// enter waits for room for n answers of a client. leave must be called once if
// err is nil.
func (g *gate) enter(ctx context.Context, client string, n int) (leave func(), err error) {
	w := &waiter{client: client, places: min(max(n, 1), g.places), turn: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	g.admit()
	if slices.Contains(g.waiting, w) && (len(g.waiting) > g.queue || g.crowds(client)) {
		g.remove(w)
		g.mu.Unlock()
		return nil, errBusy(g.queue)
	}
	g.mu.Unlock()
	select {
	case <-w.turn:
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		select {
		case <-w.turn: // just now
			g.giveBack(w)
		default:
			g.remove(w)
		}
		return nil, ctx.Err()
	}
	var once sync.Once
	return func() {
		once.Do(func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.giveBack(w)
		})
	}, nil
}

// admit gives free places to those who wait, as long as their clients may have more. Once it is somebody's turn nobody
// overtakes, or who wants many places would wait for ever.
func (g *gate) admit() {
	for len(g.waiting) > 0 && g.free > 0 {
		if g.next == nil {
			w := slices.MinFunc(g.waiting,
				func(a, b *waiter) int { return g.running[a.client] - g.running[b.client] })
			if n := g.running[w.client]; n > 0 && n+w.places > g.most {
				return // as have all the others
			}
			g.next = w
		}
		w := g.next
		if w.places > g.free {
			return
		}
		g.free -= w.places
		g.running[w.client] += w.places
		g.take(w)
		close(w.turn)
	}
}

// crowds reports whether a client whose places are bounded has more than three quarters of the queue.
func (g *gate) crowds(client string) bool {
	n := 0
	for _, w := range g.waiting {
		if w.client == client {
			n++
		}
	}
	return g.most < g.places && n > max(1, g.queue*3/4)
}

// take takes a waiter out of the queue.
func (g *gate) take(w *waiter) {
	if i := slices.Index(g.waiting, w); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	if g.next == w {
		g.next = nil
	}
}

// remove takes a waiter out of the queue who has given up.
func (g *gate) remove(w *waiter) {
	g.take(w)
	g.admit()
}

// giveBack frees a waiter's places.
func (g *gate) giveBack(w *waiter) {
	g.free += w.places
	if g.running[w.client] -= w.places; g.running[w.client] == 0 {
		delete(g.running, w.client)
	}
	g.admit()
}

// counts returns how many answers are generated and how many requests wait.
func (g *gate) counts() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.places - g.free, len(g.waiting)
}

// full reports whether a request would be turned away.
func (g *gate) full() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.free == 0 && len(g.waiting) >= g.queue
}

// slot shows a job among the running ones.
func (g *gate) slot(j *Job) *slot {
	s := &slot{gate: g, id: -1, prompt: len(j.Prompt)}
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

// Slot is one of the places for generations of a model.
type Slot struct {
	Busy         bool
	PromptTokens int   // of the job that is running there
	Generated    int64 // tokens so far, of all its answers
}

// Slots returns the places for generations of a model.
func (l *Loaded) Slots() []Slot {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	out := make([]Slot, len(l.gate.slots))
	for i, s := range l.gate.slots {
		if s != nil {
			out[i] = Slot{Busy: true, PromptTokens: s.prompt, Generated: s.generated.Load()}
		}
	}
	return out
}

// Counts returns how many answers of the model are generated and how many
// requests wait for their turn.
func (l *Loaded) Counts() (running, waiting int) { return l.gate.counts() }

// Enter waits until n answers may be generated for the client of a request.
// leave must be called once if err is nil.
func (l *Lease) Enter(ctx context.Context, n int) (leave func(), err error) {
	l.prepared()
	recordIn(ctx).taken()
	if leave, err = l.gate.enter(ctx, recordIn(ctx).client, n); err != nil {
		return nil, stopped(ctx, err)
	}
	return leave, nil
}

// Full reports whether a model would turn a request away.
func (ms *Models) Full(name string) bool {
	ms.mu.Lock()
	l := ms.loaded[ms.Weights(name)]
	ms.mu.Unlock()
	return l != nil && l.gate.full()
}
