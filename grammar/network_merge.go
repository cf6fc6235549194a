package grammar

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// merge makes equal nodes one, so that fewer configurations differ: in "x"*, for example, the
// node before the first x and the one after it. Nodes that lead to nodes that have become one are looked at again,
// until nothing changes.
func (w *network) merge(m *meter) {
	m.Spend(perNode * len(w.nodes))
	into := make([][]int32, len(w.nodes)) // the nodes that lead to a node
	counts := make([]int32, len(w.nodes))
	total := 0
	for i := range w.nodes {
		w.nodes[i].each(func(to *int32) { counts[*to]++; total++ })
	}
	all := make([]int32, total)
	for i, n := range counts {
		into[i], all = all[:0:n], all[n:]
	}
	for i := range w.nodes {
		w.nodes[i].each(func(to *int32) { into[*to] = append(into[*to], int32(i)) })
	}
	seed := maphash.MakeSeed()
	index := make([]int32, 1<<bits.Len(uint(len(w.nodes)))) // the latest node plus one, by the last bits of its hash
	slot := func(hash uint64) *int32 { return &index[hash&uint64(len(index)-1)] }
	hashes := make([]uint64, len(w.nodes))
	before := make([]int32, len(w.nodes)) // the node before in the same slot, or −1
	known := make([]bool, len(w.nodes))   // in the index
	to := make([]int32, len(w.nodes))
	var key []byte
	// find returns the node that i is equal to, which is i if there is none yet.
	find := func(i int32) int32 {
		n := &w.nodes[i]
		key = n.appendKey(key[:0])
		m.Spend(1 + len(key)/16)
		hash := maphash.Bytes(seed, key)
		last := *slot(hash) - 1
		for j := last; j >= 0; j = before[j] {
			if hashes[j] == hash && n.equal(&w.nodes[j]) {
				return j
			}
		}
		hashes[i], before[i], *slot(hash), known[i] = hash, last, i+1, true
		return i
	}
	// forget takes i out of the index.
	forget := func(i int32) {
		known[i] = false
		first := slot(hashes[i])
		last := *first - 1
		if last == i {
			*first = before[i] + 1
			return
		}
		for before[last] != i {
			last = before[last]
		}
		before[last] = before[i]
	}
	for i := range w.nodes {
		to[i] = int32(i)
	}
	// Nodes that others lead to come first: apart from circles, all that a node leads to is settled when
	// it is looked at.
	look := w.endsFirst()
	for len(look) > 0 {
		var again []int32
		for _, i := range look {
			n := &w.nodes[i]
			changed := false
			n.each(func(x *int32) {
				for to[*x] != *x {
					*x, changed = to[*x], true
				}
			})
			if changed {
				n.tidy()
			}
			j := find(i)
			if j == i {
				continue
			}
			to[i] = j
			m.Spend(1 + len(into[i]))
			for _, from := range into[i] {
				if to[from] == from && known[from] {
					again = append(again, from)
				}
			}
			into[j] = append(into[j], into[i]...)
			into[i] = nil
			w.nodes[i] = node{dist: -1} // nothing leads here any more
		}
		slices.Sort(again)
		look = look[:0]
		for _, i := range slices.Compact(again) {
			if to[i] == i {
				forget(i)
				look = append(look, i)
			}
		}
	}
	for i := range w.rules {
		start := &w.rules[i].start
		for to[*start] != *start {
			*start = to[*start]
		}
	}
}

// endsFirst returns the nodes that are left, each after those that it leads to, but for circles.
func (w *network) endsFirst() []int32 {
	out := make([]int32, 0, len(w.nodes))
	seen := make([]bool, len(w.nodes))
	type step struct{ node, first int32 } // first: of what it leads to, on the stack
	var stack []int32
	var path []step
	enter := func(i int32) {
		seen[i] = true
		path = append(path, step{i, int32(len(stack))})
		w.nodes[i].each(func(to *int32) { stack = append(stack, *to) })
	}
	for i := range w.nodes {
		if w.nodes[i].dist < 0 || seen[i] {
			continue
		}
		for enter(int32(i)); len(path) > 0; {
			top := path[len(path)-1]
			if last := int32(len(stack)) - 1; last >= top.first {
				next := stack[last]
				if stack = stack[:last]; !seen[next] {
					enter(next)
				}
				continue
			}
			path = path[:len(path)-1]
			out = append(out, top.node)
		}
	}
	return out
}

// each calls f with the number of each node that an edge of n leads to.
func (n *node) each(f func(to *int32)) {
	for j := range n.edges {
		f(&n.edges[j].to)
	}
	for j := range n.tokens {
		f(&n.tokens[j].to)
	}
	for j := range n.calls {
		f(&n.calls[j].ret)
	}
	for j := range n.repeats {
		f(&n.repeats[j])
	}
	if n.repeat != nil {
		f(&n.repeat.exit)
	}
}

// equal reports whether n and o are the same but for their numbers.
func (n *node) equal(o *node) bool {
	return n.final == o.final && slices.Equal(n.edges, o.edges) && slices.Equal(n.tokens, o.tokens) &&
		slices.Equal(n.repeats, o.repeats) && (n.repeat == nil) == (o.repeat == nil) &&
		(n.repeat == nil || *n.repeat == *o.repeat) &&
		slices.EqualFunc(n.calls, o.calls, func(a, b callEdge) bool { return a.rule == b.rule && a.ret == b.ret })
}

// appendKey appends all that makes n different from other nodes.
func (n *node) appendKey(key []byte) []byte {
	final := int64(1)
	if n.final {
		final = 2
	}
	key = key64(key, final, int64(len(n.edges)), int64(len(n.calls)), int64(len(n.tokens)), int64(len(n.repeats)))
	for _, e := range n.edges {
		key = key64(key, int64(e.lo), int64(e.hi), int64(e.to))
	}
	for _, e := range n.calls {
		key = key64(key, int64(e.rule), int64(e.ret))
	}
	for _, e := range n.tokens {
		key = key64(key, int64(e.token), int64(e.to))
	}
	for _, r := range n.repeats {
		key = key64(key, int64(r))
	}
	if r := n.repeat; r != nil {
		key = key64(key, int64(r.rule), int64(r.min), int64(r.max), int64(r.exit))
	}
	return key
}
