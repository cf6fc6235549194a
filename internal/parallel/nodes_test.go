package parallel

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"trit/internal/topology"
)

// placed starts a team whose nodes end at these workers, which run where they like.
func placed(t *testing.T, ends ...int) *Team {
	t.Helper()
	nodes := make([]int, len(ends))
	for i := range nodes {
		nodes[i] = i
	}
	team, err := NewTeamAt(ends[len(ends)-1], &topology.Place{Ends: ends, Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(team.Close)
	return team
}

// TestVictims: a worker looks at its own run first, then at its node's, then at all
// others, at none twice.
func TestVictims(t *testing.T) {
	for _, ends := range [][]int{{1, 2}, {2, 4}, {3, 5}, {1, 4}, {2, 4, 6, 8}, {3, 4, 9}} {
		team := placed(t, ends...)
		for w := range team.size {
			seen := map[int]bool{}
			_, own := team.workers(team.node(w))
			for i := range team.size {
				v := team.victim(w, i)
				if seen[v] || i == 0 && v != w || i < own != (team.node(v) == team.node(w)) {
					t.Errorf("%v: worker %d looks at %d after %d others", ends, w, v, i)
				}
				seen[v] = true
			}
		}
	}
}

// TestShares: the shares of nodes are all of the whole, in proportion to their workers, and
// those of workers are the same whether Run or RunNodes cuts a section there.
func TestShares(t *testing.T) {
	for _, ends := range [][]int{{4}, {1, 2}, {3, 5}, {2, 4, 6, 8}} {
		team := placed(t, ends...)
		if team.Nodes() != len(ends) {
			t.Errorf("%d nodes, want %d", team.Nodes(), len(ends))
		}
		for _, n := range []int{0, 1, 7, 160, 1003} {
			at := 0
			var cut []int
			for node := range ends {
				from, to := team.Share(n, node)
				_, workers := team.workers(node)
				if fair := float64(n) * float64(workers) / float64(team.size); from != at || float64(to-from) > fair+1 || float64(to-from) < fair-1 {
					t.Errorf("%v: node %d has %d to %d of %d", ends, node, from, to, n)
				}
				at = to
				cut = append(cut, to)
			}
			if at != n {
				t.Errorf("%v: %d of %d", ends, at, n)
			}
			for _, c := range [][]int{nil, cut} {
				team.cut, at = c, 0
				for w := range team.size {
					first, end := team.part(w, n, team.cut)
					if from, to := team.Share(n, team.node(w)); first != at || c != nil && (first < from || end > to) {
						t.Errorf("%v cut at %v: worker %d has %d to %d", ends, c, w, first, end)
					}
					at = end
				}
				if team.cut = nil; at != n {
					t.Errorf("%v: workers have %d of %d", ends, at, n)
				}
			}
		}
	}
	one, err := NewTeamAt(3, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if from, to := one.Share(7, 0); one.Nodes() != 1 || from != 0 || to != 7 {
		t.Errorf("%d nodes, the first with %d to %d of 7", one.Nodes(), from, to)
	}
}

// TestRunNodes: every slice runs once, wherever a section is cut.
func TestRunNodes(t *testing.T) {
	team := placed(t, 3, 4)
	for _, ends := range [][]int{{0, 1}, {1, 1}, {7, 9}, {100, 1000}, {0, 50}, {maxGrains, 2*maxGrains + 5}, {0, 0}} {
		count := make([]atomic.Int32, ends[1])
		team.RunNodes(taskFunc(func(_, slice int) { count[slice].Add(1) }), ends)
		for i := range count {
			if n := count[i].Load(); n != 1 {
				t.Fatalf("%v: slice %d ran %d times", ends, i, n)
			}
		}
	}
	ends := []int{10, 16}
	var task Task = taskFunc(func(_, _ int) {})
	if n := testing.AllocsPerRun(100, func() { team.RunNodes(task, ends) }); n != 0 {
		t.Errorf("RunNodes allocates %v times", n)
	}
}

// TestMemoryOfNodes: it is zeros, and stays what is written to it.
func TestMemoryOfNodes(t *testing.T) {
	for _, team := range []*Team{placed(t, 1, 2), placed(t, 2)} {
		var all [][]byte
		for i, n := range []int{1, 4096, 70_000, 3 << 20, 40 << 20} {
			data := team.Bytes(i%team.Nodes(), n)
			if len(data) != n || slices.ContainsFunc(data, func(b byte) bool { return b != 0 }) {
				t.Fatalf("%d bytes, or not zeros, of %d", len(data), n)
			}
			for j := range data {
				data[j] = byte(i + 1)
			}
			team.Spread(data[:0])
			all = append(all, data)
		}
		for i, data := range all {
			if slices.ContainsFunc(data, func(b byte) bool { return b != byte(i+1) }) {
				t.Errorf("array %d was overwritten", i)
			}
		}
	}
}

// TestStay: workers and the caller run on the processors of their nodes, and anywhere
// again afterwards.
func TestStay(t *testing.T) {
	all := whole().CPUs
	if runtime.GOOS != "linux" || len(all) < 2 {
		t.Skip("needs Linux and two processors")
	}
	cpus := [][]int{{all[0].ID}, {all[1].ID}}
	before := affinityOfAll(t, 8)
	team, err := NewTeamAt(2, &topology.Place{Ends: []int{1, 2}, Nodes: []int{0, 1}, CPUs: cpus})
	if err != nil {
		t.Fatal(err)
	}
	release := team.Stay()
	var mu sync.Mutex
	seen := map[int][]int{}
	for range 100 {
		team.Run(taskFunc(func(worker, _ int) {
			mu.Lock()
			defer mu.Unlock()
			seen[worker] = affinity()
		}), 8)
	}
	release()
	team.Close()
	for worker, got := range seen {
		if !slices.Equal(got, cpus[worker]) {
			t.Errorf("worker %d may run on %v, want %v", worker, got, cpus[worker])
		}
	}
	if after := affinityOfAll(t, 8); !slices.Equal(after, before) {
		t.Errorf("threads may run on %v afterwards, want %v", after, before)
	}
	placed(t, 1, 2).Stay()() // without processors
}

// affinityOfAll returns the processors that all of several threads may run on.
func affinityOfAll(t *testing.T, threads int) []int {
	t.Helper()
	var wg, here sync.WaitGroup
	masks := make([][]int, threads)
	here.Add(threads)
	for i := range masks {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			here.Done()
			here.Wait()
			masks[i] = affinity()
		})
	}
	wg.Wait()
	for _, mask := range masks[1:] {
		if !slices.Equal(mask, masks[0]) {
			t.Errorf("threads differ: %v", masks)
		}
	}
	return masks[0]
}

func TestNUMA(t *testing.T) {
	for name, want := range map[string]NUMA{"auto": NUMAAuto, "OFF": NUMAOff, "isolate": NUMAIsolate, "distribute": NUMAAuto, "numactl": NUMAAuto} {
		got, err := ParseNUMA(name)
		if err != nil || got != want {
			t.Errorf("%s is %v, %v", name, got, err)
		}
		if again, err := ParseNUMA(got.String()); err != nil || again != got {
			t.Errorf("%v is not read back: %v, %v", got, again, err)
		}
	}
	if _, err := ParseNUMA("mirror"); err == nil {
		t.Error("mirror is known")
	}
	defer SetNUMA(NUMAAuto)
	for _, n := range []NUMA{NUMAOff, NUMAIsolate, NUMAAuto} {
		SetNUMA(n)
		if threads := DefaultThreads(); threads < 1 || threads > runtime.GOMAXPROCS(0) {
			t.Errorf("%v: %d threads", n, threads)
		}
		team, err := NewTeam(2)
		if err != nil {
			t.Fatal(err)
		}
		team.Run(taskFunc(func(_, _ int) {}), 8)
		if n == NUMAOff && team.place != nil {
			t.Errorf("placed at %+v", team.place)
		}
		team.Close()
	}
}
