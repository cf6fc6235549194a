package grammar

import "container/heap"

// rankHeap holds rules that are called, callers first.
type rankHeap struct {
	rules []rule
	heap  []int32
}

func (h *rankHeap) Len() int           { return len(h.heap) }
func (h *rankHeap) Less(i, j int) bool { return h.rules[h.heap[i]].rank < h.rules[h.heap[j]].rank }
func (h *rankHeap) Swap(i, j int)      { h.heap[i], h.heap[j] = h.heap[j], h.heap[i] }
func (h *rankHeap) Push(x any)         { h.heap = append(h.heap, x.(int32)) }
func (h *rankHeap) Pop() any {
	x := h.heap[len(h.heap)-1]
	h.heap = h.heap[:len(h.heap)-1]
	return x
}

// expand finds the nodes that c's items lead to by calls. Because a rule is expanded
// only after all that can call it here, all of its callers share one frame.
func (e *engine) expand(c *config) {
	if c.expanded || e.err != nil {
		return
	}
	for _, x := range c.items {
		e.expandNode(c, x.node, x.frame, x.count)
	}
	var seen map[int32]bool
	for e.calls.Len() > 0 {
		r := heap.Pop(&e.calls).(int32)
		conts := e.pending[r]
		delete(e.pending, r)
		f := e.internFrame(*conts)
		start := e.w.rules[r].start
		if len(e.w.nodes[start].repeats) == 0 {
			e.expandNode(c, start, f, 0)
		} else {
			if seen == nil {
				seen = map[int32]bool{}
			}
			clear(seen)
			e.predict(c, start, f, seen)
		}
	}
	if e.err != nil {
		c.active, c.tokens = nil, nil
		return
	}
	c.expanded = true
	e.grow(16 * int64(len(c.active)+2*len(c.tokens)))
}

// predict expands a node and the repeat nodes that start there.
func (e *engine) predict(c *config, n int32, f *frame, seen map[int32]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	e.expandNode(c, n, f, 0)
	for _, r := range e.w.nodes[n].repeats {
		if !seen[r] {
			seen[r] = true
			e.expandNode(c, r, f, 0)
		}
		if e.w.nodes[r].repeat.min == 0 {
			e.predict(c, e.w.nodes[r].repeat.exit, f, seen)
		}
	}
}

// expandNode notes what node n consumes and whom it calls.
func (e *engine) expandNode(c *config, n int32, f *frame, count int32) {
	node := &e.w.nodes[n]
	e.charge(1 + len(node.calls))
	if r := node.repeat; r != nil {
		next := count + 1
		if r.max == unbounded {
			next = min(next, r.min)
		}
		if count < r.max && (f.depth < maxDepth || count < r.min) {
			e.call(r.rule, cont{f, n, next})
		}
		return
	}
	if len(node.edges) > 0 {
		c.active = append(c.active, active{f, n})
	}
	for _, t := range node.tokens {
		if f.depth >= maxDepth && e.w.nodes[t.to].dist >= node.dist {
			continue
		}
		c.tokens = append(c.tokens, activeToken{f, t})
	}
	for _, call := range node.calls {
		switch {
		case call.tail && f != e.base:
			e.call(call.rule, f.conts...)
		case f.depth < maxDepth || addCost(e.w.nodes[e.w.rules[call.rule].start].dist, e.w.nodes[call.ret].dist) == node.dist:
			e.call(call.rule, cont{f, call.ret, 0})
		}
	}
}

func (e *engine) call(r int32, conts ...cont) {
	p := e.pending[r]
	if p == nil {
		p = new([]cont)
		e.pending[r] = p
		heap.Push(&e.calls, r)
	}
	e.charge(len(conts))
	*p = append(*p, conts...)
	if len(*p) > 2*maxItems {
		if *p = sortConts(*p); len(*p) > maxItems {
			e.fail("more than %d ways to read the text", maxItems)
			*p = (*p)[:maxItems]
		}
	}
}
