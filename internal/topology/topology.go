// Package topology tells which processors a program may run on: their cores, their nodes
// of memory, and how fast they are.
package topology

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Machine is what the process may use of a machine.
type Machine struct {
	// CPUs are online and in the affinity mask of the process, in the order of their
	// nodes, then of their numbers; none if the system does not tell.
	CPUs []CPU
}

// CPU is a hardware thread.
type CPU struct {
	ID   int // the system's number
	Core int // the physical core: CPUs of the same one share it
	// Node is that of the memory which is closest, by the system's number.
	Node int
	// Capacity compares its speed with that of the fastest, which has 1.
	Capacity float64
}

const (
	cpuDir  = "sys/devices/system/cpu/"
	nodeDir = "sys/devices/system/node/"
)

// Read reads what Linux says. root is the root of the file system.
func Read(root fs.FS) Machine {
	allowed := status(root, "Cpus_allowed_list")
	cpus, ok := list(root, cpuDir+"online")
	switch {
	case !ok:
		cpus = allowed
	case allowed != nil:
		cpus = slices.DeleteFunc(cpus, func(cpu int) bool { return !slices.Contains(allowed, cpu) })
	}
	slow, _ := list(root, "sys/devices/cpu_atom/cpus")
	nodes := readNodes(root)
	cores := map[string]int{}
	var m Machine
	fastest := 0.0
	for _, id := range cpus {
		c := CPU{ID: id, Node: nodes[id], Capacity: speed(root, id)}
		if slices.Contains(slow, id) {
			c.Capacity /= 2 // its vector units are half as wide
		}
		fastest = max(fastest, c.Capacity)
		siblings := text(root, fmt.Sprintf("%scpu%d/topology/thread_siblings_list", cpuDir, id))
		if siblings == "" {
			siblings = strconv.Itoa(id)
		}
		core, ok := cores[siblings]
		if !ok {
			core = len(cores)
			cores[siblings] = core
		}
		c.Core = core
		m.CPUs = append(m.CPUs, c)
	}
	for i := range m.CPUs {
		if c := &m.CPUs[i].Capacity; *c == 0 || fastest == 0 {
			*c = 1 // unknown
		} else {
			*c /= fastest
		}
	}
	slices.SortStableFunc(m.CPUs, func(a, b CPU) int { return cmp.Or(a.Node-b.Node, a.ID-b.ID) })
	return m
}

// speed returns a number that is proportional to a CPU's speed, 0 if it is unknown: the
// capacity that ARM machines tell, or else the highest frequency.
func speed(root fs.FS, cpu int) float64 {
	for _, name := range []string{"cpu_capacity", "cpufreq/cpuinfo_max_freq"} {
		if n, err := strconv.ParseFloat(text(root, fmt.Sprintf("%scpu%d/%s", cpuDir, cpu, name)), 64); err == nil && n > 0 {
			return n
		}
	}
	return 0
}

// readNodes returns the node of each CPU: its own, or the closest to that which has
// memory and may be used.
func readNodes(root fs.FS) map[int]int {
	of := map[int]int{}
	online, ok := list(root, nodeDir+"online")
	if !ok {
		return of
	}
	usable := online
	for _, limit := range [][]int{listOf(root, nodeDir+"has_memory"), status(root, "Mems_allowed_list")} {
		if limit != nil {
			usable = slices.DeleteFunc(slices.Clone(usable), func(n int) bool { return !slices.Contains(limit, n) })
		}
	}
	for _, node := range online {
		dir := fmt.Sprintf("%snode%d/", nodeDir, node)
		home := node
		if !slices.Contains(usable, node) && len(usable) > 0 {
			// Distances to all nodes that are online, in their order.
			far := strings.Fields(text(root, dir+"distance"))
			home = slices.MinFunc(usable, func(a, b int) int { return distance(far, online, a) - distance(far, online, b) })
		}
		for _, cpu := range listOf(root, dir+"cpulist") {
			of[cpu] = home
		}
	}
	return of
}

func distance(far []string, online []int, node int) int {
	if i := slices.Index(online, node); i < len(far) {
		if n, err := strconv.Atoi(far[i]); err == nil {
			return n
		}
	}
	return 255
}

// text returns a file's content, "" if it cannot be read.
func text(root fs.FS, name string) string {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func listOf(root fs.FS, name string) []int { l, _ := list(root, name); return l }

// list reads a file with a list of numbers.
func list(root fs.FS, name string) ([]int, bool) { return parseList(text(root, name)) }

// status returns a list of /proc/self/status, nil if there is none.
func status(root fs.FS, field string) []int {
	for line := range strings.Lines(text(root, "proc/self/status")) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			l, _ := parseList(strings.TrimSpace(value))
			return l
		}
	}
	return nil
}

// maxNumber bounds the numbers of CPUs and nodes, as Linux does.
const maxNumber = 1 << 13

// parseList reads a list such as "0-3,8,10-11".
func parseList(s string) (numbers []int, ok bool) {
	if s == "" {
		return nil, false
	}
	for part := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err != nil || err2 != nil || from < 0 || to < from || to >= maxNumber {
			return nil, false
		}
		for n := from; n <= to; n++ {
			numbers = append(numbers, n)
		}
	}
	return numbers, true
}

// slowest is the capacity below which a core is left out. A section of parallel work ends
// when the last slice does, and a tenth of a worker's share is one slice. What a core of
// less than half the speed adds, it takes away again where all wait for its last slice;
// and generating is bound by memory, which the fast cores exhaust.
const slowest = 0.5

// Cores returns one CPU of each physical core that is fast enough to take part, in the
// order of their nodes. The second hardware thread of a core shares the vector units that
// kernels saturate.
func (m Machine) Cores() []CPU {
	seen := map[int]bool{}
	var cores []CPU
	for _, c := range m.CPUs {
		if c.Capacity >= slowest && !seen[c.Core] {
			seen[c.Core] = true
			cores = append(cores, c)
		}
	}
	return cores
}

// Place is where the workers of a team run.
type Place struct {
	// Ends says, for each node, which worker is the first that does not belong to it.
	Ends []int
	// Nodes are the system's numbers of the nodes, CPUs those of each that are fast
	// enough. Without CPUs workers run where they like.
	Nodes []int
	CPUs  [][]int
}

// Place divides workers among the nodes, in proportion to their cores. It returns nil if
// all of them are on one node, where there is nothing to divide.
func (m Machine) Place(workers int) *Place {
	if p := m.Stay(workers); len(p.Ends) > 1 {
		return p
	}
	return nil
}

// Stay is Place also for workers that are all on one node, and are to stay there.
func (m Machine) Stay(workers int) *Place {
	cores := m.Cores()
	p, seen := &Place{}, 0
	for len(cores) > seen {
		node, n := cores[seen].Node, 0
		var cpus []int
		for _, c := range cores[seen:] {
			if c.Node == node {
				n++
			}
		}
		for _, c := range m.CPUs {
			if c.Node == node && c.Capacity >= slowest {
				cpus = append(cpus, c.ID)
			}
		}
		seen += n
		end, before := workers*seen/len(cores), 0
		if len(p.Ends) > 0 {
			before = p.Ends[len(p.Ends)-1]
		}
		if end > before {
			p.Ends, p.Nodes, p.CPUs = append(p.Ends, end), append(p.Nodes, node), append(p.CPUs, cpus)
		}
	}
	return p
}

// Isolate returns the part of the machine that is one node: the one with the most cores.
func (m Machine) Isolate() Machine {
	count := map[int]int{}
	for _, c := range m.Cores() {
		count[c.Node]++
	}
	best := 0
	for i, c := range m.CPUs {
		if count[c.Node] > count[m.CPUs[best].Node] {
			best = i
		}
	}
	return Machine{CPUs: slices.DeleteFunc(slices.Clone(m.CPUs), func(c CPU) bool { return c.Node != m.CPUs[best].Node })}
}
