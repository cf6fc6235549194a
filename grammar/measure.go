package grammar

// measureItem is a candidate for a node's dist.
type measureItem struct {
	cost int64
	node int32
}

// measureHeap has the cheapest item first.
type measureHeap []measureItem

func (h *measureHeap) push(x measureItem) {
	*h = append(*h, x)
	q := *h
	i := len(q) - 1
	for ; i > 0 && x.cost < q[(i-1)/2].cost; i = (i - 1) / 2 {
		q[i] = q[(i-1)/2]
	}
	q[i] = x
}

func (h *measureHeap) pop() measureItem {
	q := *h
	first, last := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	*h = q
	i := 0
	for 2*i+1 < len(q) {
		next := 2*i + 1
		if next+1 < len(q) && q[next+1].cost < q[next].cost {
			next++
		}
		if last.cost <= q[next].cost {
			break
		}
		q[i] = q[next]
		i = next
	}
	if len(q) > 0 {
		q[i] = last
	}
	return first
}

// measure computes dist for all nodes, −1 for those that never reach the end of
// their rule. It is Knuth's generalisation of Dijkstra's algorithm to grammars: the
// cheapest node that is not settled yet cannot become cheaper.
func (w *network) measure() {
	type dependent struct{ node, other int32 } // other: what else has to be settled, or −1
	// What depends on node i is deps[first[i]:first[i+1]].
	first := make([]int32, len(w.nodes)+1)
	w.dependents(func(on, _, _ int32) { first[on+1]++ })
	for i := range w.nodes {
		first[i+1] += first[i]
	}
	deps, filled := make([]dependent, first[len(w.nodes)]), make([]int32, len(w.nodes))
	w.dependents(func(on, node, other int32) {
		deps[first[on]+filled[on]] = dependent{node, other}
		filled[on]++
	})
	var h measureHeap
	for i := range w.nodes {
		w.nodes[i].dist = -1
		if w.nodes[i].final {
			h.push(measureItem{0, int32(i)})
		}
	}
	for len(h) > 0 {
		x := h.pop()
		if w.nodes[x.node].dist >= 0 {
			continue
		}
		w.nodes[x.node].dist = x.cost
		for _, d := range deps[first[x.node]:first[x.node+1]] {
			n := &w.nodes[d.node]
			if n.dist >= 0 {
				continue
			}
			cost := x.cost
			switch {
			case n.repeat != nil:
				exit, start := w.nodes[n.repeat.exit].dist, w.nodes[w.rules[n.repeat.rule].start].dist
				if exit < 0 || n.repeat.min > 0 && start < 0 {
					continue
				}
				cost = exit
				if n.repeat.min > 0 {
					cost = addCost(exit, mulCost(n.repeat.min, start))
				}
			case d.other == x.node: // entering a repeat node
			case d.other >= 0:
				other := w.nodes[d.other].dist
				if other < 0 {
					continue
				}
				cost = addCost(cost, other)
			default:
				cost = addCost(cost, 1)
			}
			h.push(measureItem{cost, d.node})
		}
	}
}

// dependents calls f for every node whose dist depends on another one's, and on that of other, unless it is −1.
func (w *network) dependents(f func(on, node, other int32)) {
	for i := range w.nodes {
		n, id := &w.nodes[i], int32(i)
		for _, e := range n.edges {
			f(e.to, id, -1)
		}
		for _, e := range n.tokens {
			if !w.tokens[e.token].optional {
				f(e.to, id, -1)
			}
		}
		for _, e := range n.calls {
			start := w.rules[e.rule].start
			f(e.ret, id, start)
			f(start, id, e.ret)
		}
		for _, r := range n.repeats {
			f(r, id, r)
		}
		if r := n.repeat; r != nil {
			start := w.rules[r.rule].start
			f(r.exit, id, start)
			f(start, id, r.exit)
		}
	}
}
