package parallel

import (
	"runtime"

	"trit/internal/hugemem"
)

// On a machine with several nodes of memory the workers of a team are those of the first
// node, then of the next, and a section is cut at the same place as the memory that it
// reads: Share says where. Workers take slices of their own node first.

// Nodes returns the number of nodes that the workers are spread over.
func (t *Team) Nodes() int { return max(len(t.ends), 1) }

// Share returns which of n things, rows of a matrix in general, are a node's.
func (t *Team) Share(n, node int) (from, to int) {
	if len(t.ends) == 0 {
		return 0, n
	}
	if node > 0 {
		from = n * t.ends[node-1] / t.size
	}
	return from, n * t.ends[node] / t.size
}

// RunNodes is Run for slices that are divided among the nodes: ends has for each of them
// the first slice that is not its own, and is used until the section has ended.
func (t *Team) RunNodes(task Task, ends []int) {
	slices := ends[len(ends)-1]
	if len(ends) > 1 && slices <= maxGrains {
		t.cut = ends
		defer func() { t.cut = nil }()
	}
	t.Run(task, slices)
}

// part returns which grains of a section are a worker's, where it is cut between nodes.
func (t *Team) part(w, grains int, cut []int) (first, end int) {
	if cut == nil {
		return grains * w / t.size, grains * (w + 1) / t.size
	}
	node := t.node(w)
	low, high := 0, cut[node]
	if node > 0 {
		low = cut[node-1]
	}
	begin, n := t.workers(node)
	return low + (high-low)*(w-begin)/n, low + (high-low)*(w-begin+1)/n
}

// node returns the node of a worker.
func (t *Team) node(w int) int {
	for node, end := range t.ends {
		if w < end {
			return node
		}
	}
	return 0
}

// workers returns the first worker of a node and how many it has.
func (t *Team) workers(node int) (first, n int) {
	if node > 0 {
		first = t.ends[node-1]
	}
	return first, t.ends[node] - first
}

// victim returns whose run a worker looks at after i others, itself being the first:
// those of its own node come before the rest.
func (t *Team) victim(w, i int) int {
	if len(t.ends) == 0 {
		return (w + i) % t.size
	}
	first, n := t.workers(t.node(w))
	if i < n {
		return first + (w-first+i)%n
	}
	return (first + i) % t.size
}

// Bytes returns n zero bytes in the memory of a node.
func (t *Team) Bytes(node, n int) []byte {
	if len(t.ends) == 0 {
		return hugemem.Bytes(n)
	}
	data := hugemem.BytesOn(t.place.Nodes[node], n)
	t.touch(node, data)
	return data
}

// Spread has every node take its share of memory that nobody has written to, and that
// its workers will read.
func (t *Team) Spread(data []byte) {
	for node := range t.ends {
		from, to := t.Share(len(data), node)
		t.touch(node, data[from:to])
	}
}

// touch writes to memory that has been zeros on a node: Linux gives a page the memory of
// the processor that first writes to it.
func (t *Team) touch(node int, data []byte) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.pin(node)()
		const page = 4096
		for ; len(data) > 0; data = data[min(page, len(data)):] {
			data[0] = 0
		}
	}()
	<-done
}

// Stay keeps the goroutine that will call Run on the processors of the first node, as the
// team does with its workers, until release is called. It is for the time of many
// sections; where all workers are on one node it does nothing.
func (t *Team) Stay() (release func()) { return t.pin(0) }

// pin keeps the calling goroutine on a thread and this on the processors of a node.
func (t *Team) pin(node int) (release func()) {
	if len(t.ends) == 0 || len(t.place.CPUs) == 0 {
		return func() {}
	}
	// Go starts further threads from one that nobody locks, so none inherits the mask.
	runtime.LockOSThread()
	restore := setAffinity(t.place.CPUs[node])
	return func() {
		restore()
		runtime.UnlockOSThread()
	}
}
