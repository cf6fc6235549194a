// Package parallel runs short pieces of work on a fixed team of workers.
//
// A decode step of a language model is a few hundred parallel sections of
// some ten to a hundred microseconds each. Starting goroutines or sending on
// channels for every section would cost as much as the work, so a [Team]
// keeps its workers: between sections they spin for a moment, then yield to
// other goroutines, and after a while park, so that an idle program uses no
// processor time.
//
// A section is a number of equal slices. Workers take slices one at a time
// from a shared counter, so a slow or preempted core delays the section by at
// most one slice; choose slices well under 200 µs. Which worker runs which
// slice is not defined and must not matter for the result.
package parallel

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Task is the work of a section. Do is called once for every slice in
// [0, slices), from several workers at once. worker is in [0, Team.Size())
// and no two concurrent calls share it, so it can index scratch memory.
type Task interface {
	Do(worker, slice int)
}

// MaxThreads bounds the size of a team.
const MaxThreads = 1024

// ErrThreads reports a team size outside [1, MaxThreads].
var ErrThreads = errors.New("parallel: bad number of threads")

// How long a waiting worker spins and yields before it parks. Spinning covers
// the serial stretches inside a decode step (tens of microseconds), yielding
// the choice of a token between two steps while it lets other goroutines run,
// and parking makes idleness free.
const (
	spinRounds  = 4000
	yieldRounds = 1000
)

// A Team is a set of persistent workers. The goroutine that calls Run is
// worker 0; the others are goroutines of the team. A Team may be used by one
// goroutine at a time.
type Team struct {
	size int

	// Written by Run before it publishes a ticket, read by a worker only
	// while it holds a slice of that section.
	task   Task
	slices uint32
	epoch  uint32
	tracer Tracer // nil unless SetTracer has set one
	spans  []Span // of the running section, one per worker, for the tracer

	_ [64]byte // the counters below are written by all workers

	// ticket holds the section's epoch in its upper half and the number of
	// slices not yet taken in its lower half. Because both change in one
	// atomic step, a worker that was asleep during a section cannot take a
	// slice of the next one in its name, and Run need not wait for sleepers.
	ticket atomic.Uint64
	_      [56]byte
	done   atomic.Uint32 // slices finished in this section
	_      [60]byte
	parked atomic.Int32 // workers that are parked or about to be
	closed atomic.Bool

	panicked atomic.Pointer[workerPanic]
	mu       sync.Mutex
	wake     *sync.Cond
	exited   sync.WaitGroup
}

// workerPanic carries a panic from a worker to the goroutine that called Run.
type workerPanic struct{ value any }

// NewTeam starts a team of the given size, counting the caller of Run.
func NewTeam(size int) (*Team, error) {
	if size < 1 || size > MaxThreads {
		return nil, fmt.Errorf("%w: %d, want 1 to %d", ErrThreads, size, MaxThreads)
	}
	t := &Team{size: size}
	t.wake = sync.NewCond(&t.mu)
	t.exited.Add(size - 1)
	for w := 1; w < size; w++ {
		go t.work(w)
	}
	return t, nil
}

// Size returns the number of workers.
func (t *Team) Size() int { return t.size }

// Run calls task.Do for every slice in [0, slices) and returns when all calls
// have returned. If calls panic, the first panic is raised again here after
// the section has ended. Run does not allocate.
func (t *Team) Run(task Task, slices int) {
	switch {
	case slices <= 0:
	case t.tracer != nil:
		t.runTraced(task, slices)
	case t.size == 1 || slices == 1:
		for i := range slices {
			task.Do(0, i)
		}
	default:
		t.runTogether(task, slices)
	}
}

// runTogether runs a section on all workers.
func (t *Team) runTogether(task Task, slices int) {
	t.task, t.slices = task, uint32(slices)
	t.epoch++
	t.done.Store(0)
	t.ticket.Store(uint64(t.epoch)<<32 | uint64(slices)) // publishes the section
	if t.parked.Load() > 0 {
		t.mu.Lock()
		t.wake.Broadcast()
		t.mu.Unlock()
	}
	t.takeSlices(0, t.epoch)
	for i := 0; t.done.Load() != uint32(slices); i++ {
		if i < spinRounds {
			pause()
		} else {
			runtime.Gosched()
		}
	}
	t.task = nil
	if p := t.panicked.Swap(nil); p != nil {
		panic(p.value)
	}
}

// Close stops the workers and waits until they have exited. Run must not be
// called afterwards. Closing twice is harmless.
func (t *Team) Close() {
	t.closed.Store(true)
	t.mu.Lock()
	t.wake.Broadcast()
	t.mu.Unlock()
	t.exited.Wait()
}

// work is the life of worker w: wait for a section, take slices, repeat.
func (t *Team) work(w int) {
	defer t.exited.Done()
	for {
		epoch, ok := t.await()
		if !ok {
			return
		}
		t.takeSlices(w, epoch)
	}
}

// takeSlices runs slices of the section until none are left.
func (t *Team) takeSlices(w int, epoch uint32) {
	for {
		v := t.ticket.Load()
		left := uint32(v)
		if uint32(v>>32) != epoch || left == 0 {
			return
		}
		if t.ticket.CompareAndSwap(v, v-1) {
			t.do(w, int(t.slices-left))
		}
	}
}

// do runs one slice, keeps its panic for Run, and counts it as finished.
func (t *Team) do(w, slice int) {
	defer func() {
		if v := recover(); v != nil {
			t.panicked.CompareAndSwap(nil, &workerPanic{v})
		}
		if t.tracer != nil {
			t.spans[w].End = Now()
		}
		t.done.Add(1)
	}()
	if t.tracer != nil {
		t.beginSlice(w)
	}
	t.task.Do(w, slice)
}

// await returns the epoch of a section that has slices left. It returns false
// when the team is closed.
func (t *Team) await() (epoch uint32, ok bool) {
	for i := range spinRounds + yieldRounds {
		if v := t.ticket.Load(); uint32(v) != 0 {
			return uint32(v >> 32), true
		}
		if i < spinRounds {
			pause()
			continue
		}
		if t.closed.Load() {
			return 0, false
		}
		runtime.Gosched()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Announce the intention before the last look: Run publishes the ticket
	// before it looks at parked, so one of the two sees the other.
	t.parked.Add(1)
	defer t.parked.Add(-1)
	for {
		if v := t.ticket.Load(); uint32(v) != 0 {
			return uint32(v >> 32), true
		}
		if t.closed.Load() {
			return 0, false
		}
		t.wake.Wait()
	}
}
