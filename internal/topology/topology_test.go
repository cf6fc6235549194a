package topology

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// machine is a fake of the files that Linux has: lines of "name content".
func machine(lines ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for _, line := range lines {
		name, content, _ := strings.Cut(line, " ")
		for old, dir := range map[string]string{"cpu/": cpuDir, "node/": nodeDir, "status": "proc/self/status"} {
			if rest, ok := strings.CutPrefix(name, old); ok {
				name = dir + rest
				break
			}
		}
		files[name] = &fstest.MapFile{Data: []byte(content + "\n")}
	}
	return files
}

// sockets is a machine with nodes of so many cores, numbered through, whose second
// threads have the numbers after all cores.
func sockets(nodes, cores int, smt bool, more ...string) fstest.MapFS {
	n := nodes * cores
	all := n
	if smt {
		all *= 2
	}
	lines := []string{fmt.Sprintf("cpu/online 0-%d", all-1), fmt.Sprintf("node/online 0-%d", nodes-1)}
	for i := range n {
		siblings := fmt.Sprint(i)
		if smt {
			siblings = fmt.Sprintf("%d,%d", i, n+i)
			lines = append(lines, fmt.Sprintf("cpu/cpu%d/topology/thread_siblings_list %s", n+i, siblings))
		}
		lines = append(lines, fmt.Sprintf("cpu/cpu%d/topology/thread_siblings_list %s", i, siblings))
	}
	for k := range nodes {
		cpus := fmt.Sprintf("%d-%d", k*cores, (k+1)*cores-1)
		if smt {
			cpus += fmt.Sprintf(",%d-%d", n+k*cores, n+(k+1)*cores-1)
		}
		lines = append(lines, fmt.Sprintf("node/node%d/cpulist %s", k, cpus))
	}
	return machine(append(lines, more...)...)
}

func TestRead(t *testing.T) {
	hybrid := []string{"cpu/online 0-7", "sys/devices/cpu_core/cpus 0-3", "sys/devices/cpu_atom/cpus 4-7"}
	for i := range 8 {
		siblings, freq := fmt.Sprint(i), 4300000
		if i < 4 {
			siblings, freq = []string{"0-1", "0-1", "2-3", "2-3"}[i], 5800000
		}
		hybrid = append(hybrid, fmt.Sprintf("cpu/cpu%d/topology/thread_siblings_list %s", i, siblings),
			fmt.Sprintf("cpu/cpu%d/cpufreq/cpuinfo_max_freq %d", i, freq))
	}
	little := []string{"cpu/online 0-7"}
	for i, capacity := range []int{250, 250, 250, 250, 760, 760, 760, 1024} {
		little = append(little, fmt.Sprintf("cpu/cpu%d/cpu_capacity %d", i, capacity))
	}
	for _, test := range []struct {
		name  string
		files fstest.MapFS
		cpus  int
		cores []int // CPUs that stand for them
		nodes []int // theirs
		// place is of a team with a worker for each core.
		place *Place
	}{
		{"one socket", sockets(1, 4, false), 4, []int{0, 1, 2, 3}, []int{0, 0, 0, 0}, nil},
		{"one socket, SMT", sockets(1, 2, true), 4, []int{0, 1}, []int{0, 0}, nil},
		{"two sockets, SMT", sockets(2, 2, true), 8, []int{0, 1, 2, 3}, []int{0, 0, 1, 1},
			&Place{[]int{2, 4}, []int{0, 1}, [][]int{{0, 1, 4, 5}, {2, 3, 6, 7}}}},
		{"four nodes of a socket", sockets(4, 2, false), 8, []int{0, 1, 2, 3, 4, 5, 6, 7}, []int{0, 0, 1, 1, 2, 2, 3, 3},
			&Place{[]int{2, 4, 6, 8}, []int{0, 1, 2, 3}, [][]int{{0, 1}, {2, 3}, {4, 5}, {6, 7}}}},
		{"performance and efficient cores", machine(hybrid...), 8, []int{0, 2}, []int{0, 0}, nil},
		{"big and little cores", machine(little...), 8, []int{4, 5, 6, 7}, []int{0, 0, 0, 0}, nil},
		{"cpuset of a node", sockets(2, 2, true, "status Cpus_allowed_list:\t2-3,6-7"), 4, []int{2, 3}, []int{1, 1}, nil},
		{"cpuset across nodes", sockets(2, 4, false, "status Name:\ttrit\nCpus_allowed_list:\t0-2,7"), 4, []int{0, 1, 2, 7}, []int{0, 0, 0, 1},
			&Place{[]int{3, 4}, []int{0, 1}, [][]int{{0, 1, 2}, {7}}}},
		{"memory of one node only", sockets(2, 2, false, "status Mems_allowed_list:\t1"), 4, []int{0, 1, 2, 3}, []int{1, 1, 1, 1}, nil},
		{"offline", sockets(2, 2, false, "cpu/online 0,3"), 2, []int{0, 3}, []int{0, 1}, &Place{[]int{1, 2}, []int{0, 1}, [][]int{{0}, {3}}}},
		{"memory without CPUs", sockets(2, 2, false, "node/online 0-2", "node/has_memory 0-2", "node/node2/cpulist "), 4,
			[]int{0, 1, 2, 3}, []int{0, 0, 1, 1}, &Place{[]int{2, 4}, []int{0, 1}, [][]int{{0, 1}, {2, 3}}}},
		{"CPUs without memory", sockets(3, 1, false, "node/has_memory 0,2", "node/node1/distance 20 10 15"), 3,
			[]int{0, 1, 2}, []int{0, 2, 2}, &Place{[]int{1, 3}, []int{0, 2}, [][]int{{0}, {1, 2}}}},
		{"without /sys", machine("status Cpus_allowed_list:\t0-2"), 3, []int{0, 1, 2}, []int{0, 0, 0}, nil},
		{"nothing", machine(), 0, nil, nil, nil},
		{"nonsense", machine("cpu/online all", "node/online 5-", "status Cpus_allowed_list:\t3-1"), 0, nil, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := Read(test.files)
			var cores, nodes []int
			for _, c := range m.Cores() {
				cores, nodes = append(cores, c.ID), append(nodes, c.Node)
			}
			if len(m.CPUs) != test.cpus || !slices.Equal(cores, test.cores) || !slices.Equal(nodes, test.nodes) {
				t.Errorf("%d CPUs, cores %v on nodes %v; want %d, %v, %v", len(m.CPUs), cores, nodes, test.cpus, test.cores, test.nodes)
			}
			if got := m.Place(len(cores)); !reflect.DeepEqual(got, test.place) {
				t.Errorf("placed %+v, want %+v", got, test.place)
			}
		})
	}
}

// TestPlace: teams of any size are divided in proportion, to nobody's worker twice.
func TestPlace(t *testing.T) {
	m := Read(sockets(2, 3, true, "cpu/online 0-4,6-10")) // three cores and two
	for workers, ends := range map[int][]int{1: nil, 2: {1, 2}, 3: {1, 3}, 4: {2, 4}, 5: {3, 5}, 10: {6, 10}} {
		p := m.Place(workers)
		if p == nil {
			p = &Place{}
		}
		if !slices.Equal(p.Ends, ends) {
			t.Errorf("%d workers end at %v, want %v", workers, p.Ends, ends)
		}
	}
}

func TestIsolate(t *testing.T) {
	m := Read(sockets(2, 3, true, "cpu/online 1-5,7-11")).Isolate() // two cores and three
	if cores := m.Cores(); len(cores) != 3 || len(m.CPUs) != 6 || cores[0].Node != 1 || m.Place(3) != nil {
		t.Errorf("%+v", m)
	}
	want := &Place{Ends: []int{2}, Nodes: []int{1}, CPUs: [][]int{{3, 4, 5, 9, 10, 11}}}
	if got := m.Stay(2); !reflect.DeepEqual(got, want) {
		t.Errorf("placed %+v, want %+v", got, want)
	}
	if m := (Machine{}).Isolate(); len(m.CPUs) != 0 {
		t.Errorf("%+v of nothing", m)
	}
}

// TestThisMachine: what is read here fits what Go knows.
func TestThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	m := Read(os.DirFS("/"))
	if n := len(m.CPUs); n < 1 || len(m.Cores()) > n {
		t.Errorf("%d CPUs, %d cores", n, len(m.Cores()))
	}
	t.Logf("%+v", m)
}

func FuzzParseList(f *testing.F) {
	f.Add("0-3,8,10-11")
	f.Fuzz(func(t *testing.T, s string) {
		for _, n := range first(parseList(s)) {
			if n < 0 || n >= maxNumber {
				t.Fatalf("%d of %q", n, s)
			}
		}
	})
}

func first(l []int, _ bool) []int { return l }
