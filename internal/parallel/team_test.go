package parallel

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counts records how often each slice ran and whether two calls of one worker
// overlapped.
type counts struct {
	runs []atomic.Int32
	busy []atomic.Int32
	bad  atomic.Bool
}

func (c *counts) Do(worker, slice int) {
	if c.busy[worker].Add(1) != 1 {
		c.bad.Store(true)
	}
	c.runs[slice].Add(1)
	c.busy[worker].Add(-1)
}

func TestRunEverySliceOnce(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7} {
		team, err := NewTeam(size)
		if err != nil {
			t.Fatal(err)
		}
		for section := range 3000 {
			n := section % 41
			c := &counts{runs: make([]atomic.Int32, n), busy: make([]atomic.Int32, size)}
			team.Run(c, n)
			for i := range c.runs {
				if got := c.runs[i].Load(); got != 1 {
					t.Fatalf("size %d, section %d: slice %d ran %d times, want 1", size, section, i, got)
				}
			}
			if c.bad.Load() {
				t.Fatalf("size %d, section %d: one worker ran two slices at once", size, section)
			}
			if section%500 == 0 {
				time.Sleep(5 * time.Millisecond) // long enough for workers to park
			}
		}
		team.Close()
		team.Close()
	}
}

// TestRunManySlices has more slices than the word of a run can count.
func TestRunManySlices(t *testing.T) {
	for _, size := range []int{1, 2, 5} {
		team, err := NewTeam(size)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{maxGrains - 1, maxGrains, maxGrains + 1, 2*maxGrains + 1, 3*maxGrains + 7} {
			c := &counts{runs: make([]atomic.Int32, n), busy: make([]atomic.Int32, size)}
			team.Run(c, n)
			for i := range c.runs {
				if got := c.runs[i].Load(); got != 1 {
					t.Fatalf("size %d: slice %d of %d ran %d times, want 1", size, i, n, got)
				}
			}
		}
		team.Close()
	}
}

// TestRunsAreNeighbours: a worker takes its own slices from the front, and then those
// of one that is held up from the back.
func TestRunsAreNeighbours(t *testing.T) {
	team, err := NewTeam(2)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	const n = 40
	var others sync.WaitGroup
	others.Add(n - 1)
	var order []int
	team.Run(taskFunc(func(worker, slice int) {
		if slice == 0 {
			others.Wait()
			return
		}
		if worker == 1 {
			order = append(order, slice)
		}
		others.Done()
	}), n)
	var want []int
	for i := range n / 2 {
		want = append(want, n/2+i)
	}
	for i := n/2 - 1; i > 0; i-- {
		want = append(want, i)
	}
	if !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
}

type taskFunc func(worker, slice int)

func (f taskFunc) Do(worker, slice int) { f(worker, slice) }

func TestPanicReachesCaller(t *testing.T) {
	team, err := NewTeam(2)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	var ran atomic.Int32
	func() {
		defer func() {
			if v := recover(); v != "boom" {
				t.Errorf("recovered %v, want boom", v)
			}
		}()
		team.Run(taskFunc(func(_, slice int) {
			ran.Add(1)
			if slice == 3 {
				panic("boom")
			}
		}), 8)
	}()
	if ran.Load() != 8 {
		t.Errorf("%d slices ran, want 8", ran.Load())
	}
	team.Run(taskFunc(func(_, _ int) { ran.Add(1) }), 4)
	if ran.Load() != 12 {
		t.Errorf("the team does not work after a panic")
	}
}

func TestBadSize(t *testing.T) {
	for _, size := range []int{-1, 0, MaxThreads + 1} {
		if _, err := NewTeam(size); err == nil {
			t.Errorf("NewTeam(%d) succeeded", size)
		}
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	team, err := NewTeam(2)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	var sum atomic.Int64
	task := taskFunc(func(_, slice int) { sum.Add(int64(slice)) })
	var asTask Task = task
	if n := testing.AllocsPerRun(100, func() { team.Run(asTask, 16) }); n != 0 {
		t.Errorf("Run allocates %v times", n)
	}
}

func TestIdleTeamParks(t *testing.T) {
	team, err := NewTeam(3)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	team.Run(taskFunc(func(_, _ int) {}), 8)
	deadline := time.Now().Add(10 * time.Second)
	for team.parked.Load() != 2 {
		if time.Now().After(deadline) {
			t.Fatalf("%d of 2 workers are parked", team.parked.Load())
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWorkers(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	for threads, want := range map[int]int{0: DefaultThreads(), 1: 1, procs: procs, procs + 1: procs, MaxThreads + 1: MaxThreads + 1, -1: -1} {
		if got := Workers(threads); got != want {
			t.Errorf("Workers(%d) = %d, want %d of %d processors", threads, got, want, procs)
		}
	}
}

func TestDefaultThreads(t *testing.T) {
	if n := DefaultThreads(); n < 1 || n > runtime.GOMAXPROCS(0) {
		t.Errorf("DefaultThreads() = %d, want 1 to %d", n, runtime.GOMAXPROCS(0))
	}
}

// BenchmarkSection measures what an empty section costs.
func BenchmarkSection(b *testing.B) {
	team, err := NewTeam(2)
	if err != nil {
		b.Fatal(err)
	}
	defer team.Close()
	var task Task = taskFunc(func(_, _ int) {})
	b.ReportAllocs()
	for b.Loop() {
		team.Run(task, 16)
	}
}
