package parallel

import (
	"sync/atomic"
	"testing"
	"time"

	"trit/internal/topology"
)

// waitTask keeps a slice running until the worker that has no more has fetched all that it
// was told of.
type waitTask struct {
	team   *Team
	waits  int // the worker that fetches
	begun  atomic.Bool
	missed bool
}

func (w *waitTask) Do(worker, _ int) {
	if worker == w.waits {
		for !w.begun.Load() { // or it would take both slices
			pause()
		}
		return
	}
	w.begun.Store(true)
	a := &w.team.aheads[w.waits]
	for begin := time.Now(); a.from.Load() < a.end.Load(); pause() {
		if time.Since(begin) > 10*time.Second {
			w.missed = true
			return
		}
	}
}

// TestAhead: workers that wait, the one that calls Run among them, fetch what they were
// told of, all of it.
func TestAhead(t *testing.T) {
	team, err := NewTeam(2)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	data := make([]byte, 64<<10+100)
	for worker := range 2 {
		for range 20 {
			task := &waitTask{team: team, waits: worker}
			team.Ahead(worker, data)
			team.Run(task, 2)
			if task.missed {
				a := &team.aheads[worker]
				t.Fatalf("worker %d waited and left %d bytes", worker, a.end.Load()-a.from.Load())
			}
		}
	}
	team.Ahead(0, nil) // nothing
	if a := &team.aheads[0]; a.from.Load() < a.end.Load() {
		t.Error("no data are to be fetched")
	}
}

// TestFirst: what a worker is said to begin a section with is what its run begins with.
func TestFirst(t *testing.T) {
	for name, ends := range map[string][]int{"one": {11}, "few": {1}, "nodes": {8, 11}} {
		t.Run(name, func(t *testing.T) {
			place := &topology.Place{Nodes: []int{0, 1}, Ends: []int{3, 4}}
			if len(ends) == 1 {
				place = nil
			}
			team, err := NewTeamAt(4, place)
			if err != nil {
				t.Fatal(err)
			}
			defer team.Close()
			for worker := range 4 {
				if len(ends) > 1 {
					team.cut = ends
				}
				first, end := team.part(worker, ends[len(ends)-1], team.cut)
				team.cut = nil
				if slice, ok := team.First(worker, ends); ok != (first < end) || ok && slice != first {
					t.Errorf("worker %d: %d, %v; its run is from %d to %d", worker, slice, ok, first, end)
				}
			}
			if _, ok := team.First(0, []int{maxGrains + 1}); ok {
				t.Error("a section that is taken in larger pieces")
			}
		})
	}
}
