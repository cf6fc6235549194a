// Package parallel runs short pieces of work on a fixed team of workers.
//
// A decode step of a language model is a few hundred parallel sections of
// some ten to a hundred microseconds each. Starting goroutines or sending on
// channels for every section would cost as much as the work, so a [Team]
// keeps its workers: between sections they spin for a moment, then yield to
// other goroutines, and after a while park, so that an idle program uses no
// processor time.
//
// A section is a number of equal slices. Each worker has a run of neighbouring
// ones to itself, which it works through from the front: what they read is one
// stream of memory, taking a slice costs no traffic between processors, and equal
// sections give a worker the same slices, whose data may still be in its caches.
// A worker that has no more takes slices from the back of another one's run, so a
// slow or preempted core delays the section by at most one slice; choose slices
// well under 200 µs. Which worker runs which slice is not defined and must not
// matter for the result.
package parallel

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"trit/internal/topology"
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
	size  int
	place *topology.Place // nil: all workers are on one node
	ends  []int           // of the place, of the workers of each node

	// Written by Run before it publishes a ticket, read by a worker only
	// while it holds a slice of that section.
	task   Task
	slices int
	grain  int   // slices that are taken together
	cut    []int // of RunNodes
	epoch  uint32
	tracer Tracer // nil unless SetTracer has set one
	spans  []Span // of the running section, one per worker, for the tracer

	runs   []run // one per worker
	aheads []ahead

	_      [64]byte      // the counters below are written by all workers
	done   atomic.Uint32 // slices, or grains of them, finished in this section
	_      [60]byte
	parked atomic.Int32 // workers that are parked or about to be
	closed atomic.Bool

	panicked atomic.Pointer[workerPanic]
	mu       sync.Mutex
	wake     *sync.Cond
	exited   sync.WaitGroup
}

// A run is what is left of a worker's part of a section. The word holds the epoch
// of the section in its upper half and below it the first grain and the one after
// the last. Because all change in one atomic step, a worker that was asleep during
// a section cannot take anything of the next one in its name, and Run need not
// wait for sleepers.
type run struct {
	atomic.Uint64
	_ [56]byte // neighbours are written by other workers
}

// maxGrains is the largest number of grains that the word of a run can tell apart.
const maxGrains = 1<<16 - 1

func runWord(epoch uint32, first, end int) uint64 {
	return uint64(epoch)<<32 | uint64(first)<<16 | uint64(end)
}

// take takes the first grain of the run, or its last one.
func (r *run) take(epoch uint32, last bool) (grain int, ok bool) {
	for {
		v := r.Load()
		first, end := int(v>>16&0xffff), int(v&0xffff)
		if uint32(v>>32) != epoch || first >= end {
			return 0, false
		}
		grain = first
		if last {
			end--
			grain = end
		} else {
			first++
		}
		if r.CompareAndSwap(v, runWord(epoch, first, end)) {
			return grain, true
		}
	}
}

// workerPanic carries a panic from a worker to the goroutine that called Run.
type workerPanic struct{ value any }

// NewTeam starts a team of the given size, counting the caller of Run, where SetNUMA
// wants it.
func NewTeam(size int) (*Team, error) {
	return NewTeamAt(size, place(size))
}

// NewTeamAt is NewTeam for workers with places, nil for any.
func NewTeamAt(size int, place *topology.Place) (*Team, error) {
	if size < 1 || size > MaxThreads {
		return nil, fmt.Errorf("%w: %d, want 1 to %d", ErrThreads, size, MaxThreads)
	}
	t := &Team{size: size, place: place, runs: make([]run, size), aheads: make([]ahead, size)}
	if place != nil {
		t.ends = place.Ends
	}
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
	t.task, t.slices, t.grain = task, slices, (slices+maxGrains-1)/maxGrains
	t.epoch++
	t.done.Store(0)
	grains := (slices + t.grain - 1) / t.grain
	for w := t.size - 1; w >= 0; w-- { // the first worker is here already
		first, end := t.part(w, grains, t.cut)
		t.runs[w].Store(runWord(t.epoch, first, end)) // publishes the section
	}
	if t.parked.Load() > 0 {
		t.mu.Lock()
		t.wake.Broadcast()
		t.mu.Unlock()
	}
	t.takeSlices(0, t.epoch)
	for i := 0; t.done.Load() != uint32(grains); i++ {
		if i < spinRounds {
			t.linger(0)
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
	// Tasks read mapped files, which can be cut short: a panic that Run raises again,
	// not the end of the program.
	debug.SetPanicOnFault(true)
	if t.place != nil {
		defer t.pin(t.node(w))()
	}
	epoch, ok := uint32(0), false
	for {
		if epoch, ok = t.await(w, epoch); !ok {
			return
		}
		t.takeSlices(w, epoch)
	}
}

// takeSlices runs slices of the section until none are left.
func (t *Team) takeSlices(w int, epoch uint32) {
	for !t.drain(w, epoch) {
	}
}

// drain is takeSlices up to a panic, which it keeps for Run. It returns false then.
func (t *Team) drain(w int, epoch uint32) (dry bool) {
	finished := uint32(0)
	defer func() {
		if !dry {
			if v := recover(); v != nil {
				t.panicked.CompareAndSwap(nil, &workerPanic{v})
			}
			finished++ // as far as it will be
		}
		if finished == 0 {
			return // too late: the section may have ended
		}
		if t.tracer != nil {
			t.spans[w].End = Now()
		}
		t.done.Add(finished)
	}()
	for victim, i := w, 0; ; {
		grain, ok := t.runs[victim].take(epoch, victim != w)
		if !ok {
			if i++; i == t.size {
				return true
			}
			victim = t.victim(w, i)
			continue
		}
		for slice := grain * t.grain; slice < min((grain+1)*t.grain, t.slices); slice++ {
			if t.tracer != nil {
				t.beginSlice(w)
			}
			t.task.Do(w, slice)
		}
		finished++
	}
}

// await returns the epoch of a section after the given one. It returns false when
// the team is closed.
func (t *Team) await(w int, last uint32) (epoch uint32, ok bool) {
	r := &t.runs[w]
	for i := range spinRounds + yieldRounds {
		if epoch := uint32(r.Load() >> 32); epoch != last {
			return epoch, true
		}
		if i < spinRounds {
			t.linger(w)
			continue
		}
		if t.closed.Load() {
			return 0, false
		}
		runtime.Gosched()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Announce the intention before the last look: Run publishes the section
	// before it looks at parked, so one of the two sees the other.
	t.parked.Add(1)
	defer t.parked.Add(-1)
	for {
		if epoch := uint32(r.Load() >> 32); epoch != last {
			return epoch, true
		}
		if t.closed.Load() {
			return 0, false
		}
		t.wake.Wait()
	}
}
