package grammar

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"trit/internal/order"
)

// network is a compiled grammar: automata without empty edges that call each
// other.
type network struct {
	nodes  []node
	rules  []rule
	tokens []tokenRef
	chain  int32 // how many rules may be called at one place, each by the one before

	// class maps bytes to classes that no edge tells apart. Classes are numbered
	// by their first byte, so a byte range is a class range.
	class   [256]uint8
	classes int
	used    [256]bool // bytes on some edge
}

type rule struct {
	name  string
	start int32
	// rank orders rules so that one that calls another before consuming anything
	// comes first.
	rank  int32
	chain int32 // of calls from here on, with this one
	null  bool
}

// node is a state of a rule's automaton. Every node can reach the end of its rule.
type node struct {
	final   bool // the rule may end here
	edges   []byteEdge
	calls   []callEdge
	tokens  []tokenEdge
	repeats []int32 // repeat nodes that start here, with count 0
	repeat  *repeatNode
	// dist is the least cost from here to the end of the rule: one for each
	// byte or token. A repeat node's is that of its exit.
	dist int64
}

// byteEdge consumes a byte of the classes lo … hi.
type byteEdge struct {
	lo, hi uint8
	to     int32
}

// callEdge calls a rule and continues at ret.
type callEdge struct {
	rule, ret int32
	tail      bool // nothing but the end of the rule follows at ret
}

// tokenEdge consumes token number token of the network's tokens.
type tokenEdge struct{ token, to int32 }

// repeatNode calls rule until an item's count has reached min, and up to max
// times; then the text goes on at exit. An unbounded max has the count stop at min.
type repeatNode struct {
	rule, min, max int32
	exit           int32
	cost           int64 // of the rule
}

// maxCost caps costs, so that sums cannot overflow.
const maxCost = int64(1) << 50

func addCost(a, b int64) int64 { return min(a+b, maxCost) }

func mulCost(n int32, c int64) int64 {
	if n > 0 && c > maxCost/int64(n) {
		return maxCost
	}
	return int64(n) * c
}

// costAt returns the cost from repeat node n, after count rounds, to the end of its rule.
func (w *network) costAt(n *node, count int32) int64 {
	if n.repeat == nil {
		return n.dist
	}
	return addCost(n.dist, mulCost(max(0, n.repeat.min-count), n.repeat.cost))
}

// kept reports whether an item at n can consume anything.
func (n *node) kept() bool {
	return len(n.edges)+len(n.calls)+len(n.tokens) > 0 || n.repeat != nil
}

// compile builds the network of rules, the first of which is the root.
func compile(m *meter, rules []production) (*network, error) {
	b, err := newBuilder(m, rules)
	if err != nil {
		return nil, err
	}
	w := &network{tokens: b.tokens}
	if err := w.eliminate(b); err != nil {
		return nil, err
	}
	m.Spend(perNode * len(w.nodes))
	w.measure()
	if w.nodes[w.rules[0].start].dist < 0 {
		return nil, fmt.Errorf("%w: rule %q", ErrEmpty, w.rules[0].name)
	}
	w.prune()
	w.merge(m)
	if err := w.rankRules(); err != nil {
		return nil, err
	}
	w.classify()
	return w, nil
}

// eliminate takes over b's automaton without its empty edges.
func (w *network) eliminate(b *builder) error {
	null := b.nullable()
	ends := make(map[int32]bool, len(b.rules))
	number := make([]int32, len(b.head)) // new number + 1
	var queue []int32                    // old numbers, by new number
	keep := func(old int32) int32 {
		if number[old] == 0 {
			queue = append(queue, old)
			number[old] = int32(len(queue))
		}
		return number[old] - 1
	}
	for i, r := range b.rules {
		ends[r.end] = true
		w.rules = append(w.rules, rule{name: r.name, start: keep(r.start), null: null[i]})
	}
	seen := make([]int32, len(b.head))
	most := len(b.rules) + len(b.repeats) // nodes that there can be
	for i := range b.edges {
		if e := &b.edges[i]; e.kind != edgeEmpty && seen[e.to] == 0 {
			seen[e.to] = -1
			most++
		}
	}
	w.nodes = make([]node, 0, most)
	var stack []int32
	var repeatNodes []node
	var edges []byteEdge // of one node
	var calls []callEdge
	var keptEdges arena[byteEdge]
	var keptCalls arena[callEdge]
	work := 0
	for i := 0; i < len(queue); i++ {
		n := node{edges: edges[:0], calls: calls[:0]}
		mark := int32(i + 1)
		seen[queue[i]] = mark
		for stack = append(stack[:0], queue[i]); len(stack) > 0; {
			old := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			n.final = n.final || ends[old]
			for k := b.head[old]; k >= 0; k = b.edges[k].next {
				e := &b.edges[k]
				switch e.kind {
				case edgeByte:
					n.edges = append(n.edges, byteEdge{e.bytes.lo, e.bytes.hi, keep(e.to)})
				case edgeCall:
					n.calls = append(n.calls, callEdge{rule: e.arg, ret: keep(e.to)})
				case edgeToken:
					n.tokens = append(n.tokens, tokenEdge{e.arg, keep(e.to)})
				case edgeRepeat:
					// The node is appended to the others below; until then its
					// number is negative.
					r := b.repeats[e.arg]
					if null[r.rule] {
						r.min = 0
					}
					repeatNodes = append(repeatNodes, node{repeat: &repeatNode{rule: r.rule, min: r.min, max: r.max, exit: keep(e.to)}})
					n.repeats = append(n.repeats, -int32(len(repeatNodes)))
					continue // leaving it is up to the repeat node
				}
				if b.passable(e, null) && seen[e.to] != mark {
					seen[e.to] = mark
					stack = append(stack, e.to)
				}
				work++
				b.meter.Spend(1)
			}
		}
		b.meter.Spend(1 + len(n.edges) + len(n.calls))
		if work += len(n.edges) + len(n.calls); work > 8*maxBuildEdges {
			return fmt.Errorf("%w: too many optional parts follow each other", ErrTooLarge)
		}
		n.tidy()
		edges, calls = n.edges, n.calls
		n.edges, n.calls = keptEdges.clone(edges), keptCalls.clone(calls)
		w.nodes = append(w.nodes, n)
	}
	base := int32(len(w.nodes))
	for i := range w.nodes {
		for j, r := range w.nodes[i].repeats {
			w.nodes[i].repeats[j] = base - r - 1
		}
	}
	w.nodes = append(w.nodes, repeatNodes...)
	return nil
}

// arena holds copies of many short slices together.
type arena[T any] struct {
	free []T
	size int // of the latest piece
}

// clone returns a copy of list that nothing can be appended to in place; nil if it is empty.
func (a *arena[T]) clone(list []T) []T {
	if len(list) == 0 {
		return nil
	}
	if len(list) > len(a.free) {
		a.size = min(2*a.size+16, 4096)
		a.free = make([]T, max(len(list), a.size))
	}
	copied := a.free[:len(list):len(list)]
	a.free = a.free[len(list):]
	copy(copied, list)
	return copied
}

// tidy sorts edges and removes duplicates.
func (n *node) tidy() {
	slices.SortFunc(n.edges, func(a, b byteEdge) int {
		return cmp.Or(cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi), cmp.Compare(a.to, b.to))
	})
	n.edges = slices.Compact(n.edges)
	if len(n.calls) > 1 {
		order.Stable(n.calls, func(a, b callEdge) int {
			return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.ret, b.ret))
		})
	}
	n.calls = slices.Compact(n.calls)
}

// prune removes what leads nowhere, so that every item of a configuration can be
// completed.
func (w *network) prune() {
	dead := func(n int32) bool { return w.nodes[n].dist < 0 }
	for i := range w.nodes {
		n := &w.nodes[i]
		n.edges = slices.DeleteFunc(n.edges, func(e byteEdge) bool { return dead(e.to) })
		n.tokens = slices.DeleteFunc(n.tokens, func(e tokenEdge) bool { return dead(e.to) })
		n.calls = slices.DeleteFunc(n.calls, func(e callEdge) bool { return dead(e.ret) || dead(w.rules[e.rule].start) })
		n.repeats = slices.DeleteFunc(n.repeats, dead)
		if n.dist < 0 {
			*n = node{dist: -1}
		}
	}
	for i := range w.nodes {
		n := &w.nodes[i]
		for j := range n.calls {
			ret := &w.nodes[n.calls[j].ret]
			n.calls[j].tail = ret.final && !ret.kept() && len(ret.repeats) == 0
		}
		if r := n.repeat; r != nil {
			n.dist = w.nodes[r.exit].dist
			if r.cost = w.nodes[w.rules[r.rule].start].dist; r.cost < 0 {
				r.max, r.cost = 0, 0 // min is 0, or the node would be dead
			}
		}
	}
}

// rankRules orders the rules by who calls whom before consuming anything, which must
// not be circular.
func (w *network) rankRules() error {
	const active = -1
	mark := make([]int32, len(w.rules)) // 0 new, active, or 1 done
	next := int32(len(w.rules))
	type frame struct {
		rule  int32
		calls []int32
	}
	for i := range w.rules {
		if mark[i] != 0 {
			continue
		}
		mark[i] = active
		for stack := []frame{{int32(i), w.leftCalls(int32(i))}}; len(stack) > 0; {
			top := &stack[len(stack)-1]
			if len(top.calls) == 0 {
				next--
				r := &w.rules[top.rule]
				r.rank = next
				r.chain++
				w.chain = max(w.chain, r.chain)
				mark[top.rule] = 1
				if stack = stack[:len(stack)-1]; len(stack) > 0 {
					caller := &w.rules[stack[len(stack)-1].rule]
					caller.chain = max(caller.chain, r.chain)
				}
				continue
			}
			callee := top.calls[0]
			top.calls = top.calls[1:]
			switch mark[callee] {
			case 1:
				top := &w.rules[top.rule]
				top.chain = max(top.chain, w.rules[callee].chain)
			case 0:
				mark[callee] = active
				stack = append(stack, frame{callee, w.leftCalls(callee)})
			case active:
				var path []string
				for j := range stack {
					if stack[j].rule == callee {
						stack = stack[j:]
						break
					}
				}
				for _, f := range stack {
					path = append(path, w.rules[f.rule].name)
				}
				path = append(path, w.rules[callee].name)
				return fmt.Errorf("%w: rule %s can call itself before it has consumed anything (%s); write the recursion on the right, or as a repetition",
					ErrLeftRecursion, w.rules[callee].name, strings.Join(slices.Compact(path), " → "))
			}
		}
	}
	return nil
}

// leftCalls returns the rules that rule r can call before it consumes anything.
func (w *network) leftCalls(r int32) []int32 {
	var out []int32
	seen := map[int32]bool{}
	var visit func(n int32)
	visit = func(i int32) {
		if seen[i] {
			return
		}
		seen[i] = true
		n := &w.nodes[i]
		for _, e := range n.calls {
			out = append(out, e.rule)
		}
		for _, k := range n.repeats {
			rep := w.nodes[k].repeat
			if rep.max > 0 {
				out = append(out, rep.rule)
			}
			if rep.min == 0 {
				visit(rep.exit)
			}
		}
	}
	visit(w.rules[r].start)
	slices.Sort(out)
	return slices.Compact(out)
}

// classify finds the byte classes and renames the edges' bytes to them.
func (w *network) classify() {
	var cut [257]bool
	for i := range w.nodes {
		for _, e := range w.nodes[i].edges {
			cut[e.lo], cut[int(e.hi)+1] = true, true
			for c := int(e.lo); c <= int(e.hi); c++ {
				w.used[c] = true
			}
		}
	}
	id := 0
	for c := range 256 {
		if c > 0 && cut[c] {
			id++
		}
		w.class[c] = uint8(id)
	}
	w.classes = id + 1
	for i := range w.nodes {
		for j := range w.nodes[i].edges {
			e := &w.nodes[i].edges[j]
			e.lo, e.hi = w.class[e.lo], w.class[e.hi]
		}
	}
}
