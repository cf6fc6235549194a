package grammar

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits on what is compiled.
const (
	maxBuildNodes = 1 << 19
	maxBuildEdges = 1 << 21
	// inlineLimit is the size up to which a repetition is unrolled instead of
	// counted, ruleInlineLimit that up to which a rule without calls is copied to
	// its callers.
	inlineLimit     = 64
	ruleInlineLimit = 8
)

// edgeKind is the kind of an edge under construction.
type edgeKind uint8

const (
	edgeEmpty edgeKind = iota
	edgeByte
	edgeCall   // arg: rule
	edgeRepeat // arg: index into repeats
	edgeToken  // arg: index into tokens
)

type buildEdge struct {
	to, arg, next int32
	kind          edgeKind
	bytes         byteRange
}

type buildRule struct {
	name       string
	body       *expr
	start, end int32
	inline     bool
}

type buildRepeat struct{ rule, min, max int32 }

// builder turns expressions into one automaton with empty edges. The edges of a
// node are a linked list: most nodes have one.
type builder struct {
	meter   *meter
	head    []int32 // per node: the first edge, or −1
	edges   []buildEdge
	rules   []buildRule
	repeats []buildRepeat
	tokens  []tokenRef

	sizes     map[*expr]int
	anonymous map[*expr]int32
	current   string // the rule being built
	full      bool   // a limit was hit: nothing is added any more
}

// newBuilder builds all rules.
func newBuilder(m *meter, rules []production) (*builder, error) {
	b := &builder{meter: m, sizes: map[*expr]int{}, anonymous: map[*expr]int32{}}
	for _, p := range rules {
		b.rules = append(b.rules, buildRule{name: p.name, body: p.body, inline: isLeaf(p.body) && b.size(p.body) <= ruleInlineLimit})
	}
	for i := 0; i < len(b.rules) && !b.full; i++ { // building adds rules for repetitions
		r := &b.rules[i]
		r.start, r.end = b.node(), b.node()
		b.current = r.name
		b.build(r.body, r.start, r.end)
	}
	if b.full {
		return nil, fmt.Errorf("%w: it needs more than %d nodes or %d edges (in rule %q); shorten literal texts, sets or repeated parts", ErrTooLarge, maxBuildNodes, maxBuildEdges, b.current)
	}
	return b, nil
}

// isLeaf reports whether e contains neither rules nor repetitions that could be
// large.
func isLeaf(e *expr) bool {
	switch e.kind {
	case kindRule, kindGraph, kindToken:
		return false
	}
	for _, s := range e.sub {
		if !isLeaf(s) {
			return false
		}
	}
	return true
}

// size estimates how many nodes e becomes.
func (b *builder) size(e *expr) int {
	switch e.kind {
	case kindBytes:
		return len(e.text)
	case kindSet:
		if len(e.set) > 0 && e.set[len(e.set)-1].hi >= 0x80 {
			return 1 + 2*len(e.set)
		}
		return 1
	case kindRule, kindToken:
		return 1
	}
	if n, ok := b.sizes[e]; ok {
		return n
	}
	n := 1
	switch e.kind {
	case kindGraph:
		n = e.graph.nodes
		for _, edge := range e.graph.edges {
			if edge.e != nil {
				n += b.size(edge.e)
			}
		}
	case kindRepeat:
		copies := int64(e.max)
		if e.max == unbounded {
			copies = int64(e.min) + 1
		}
		if n = b.size(e.sub[0]); int64(n)*copies <= inlineLimit {
			n *= int(copies)
		}
	default:
		for _, s := range e.sub {
			n = min(n+b.size(s), 1<<24)
		}
	}
	b.sizes[e] = n
	return n
}

func (b *builder) node() int32 {
	if len(b.head) >= maxBuildNodes {
		b.full = true
		return 0
	}
	b.meter.Spend(perNode)
	b.head = append(b.head, -1)
	return int32(len(b.head) - 1)
}

func (b *builder) edge(from int32, e buildEdge) {
	if len(b.edges) >= maxBuildEdges {
		b.full = true
	}
	if b.full {
		return
	}
	b.meter.Spend(perNode)
	e.next = b.head[from]
	b.head[from] = int32(len(b.edges))
	b.edges = append(b.edges, e)
}

func (b *builder) empty(from, to int32) { b.edge(from, buildEdge{to: to, kind: edgeEmpty}) }

// build adds paths for e. It adds no edge into from and none out of to.
func (b *builder) build(e *expr, from, to int32) {
	if b.full {
		return
	}
	switch e.kind {
	case kindNever:
	case kindSeq:
		for i, s := range e.sub {
			next := to
			if i < len(e.sub)-1 {
				next = b.node()
			}
			b.build(s, from, next)
			from = next
		}
		if len(e.sub) == 0 {
			b.empty(from, to)
		}
	case kindAlt:
		var texts []string
		for _, s := range e.sub {
			if s.kind == kindBytes {
				texts = append(texts, s.text)
			} else {
				b.build(s, from, to)
			}
		}
		b.buildTexts(texts, from, to)
	case kindBytes:
		for i := range len(e.text) {
			next := to
			if i < len(e.text)-1 {
				next = b.node()
			}
			b.edge(from, buildEdge{to: next, kind: edgeByte, bytes: byteRange{e.text[i], e.text[i]}})
			from = next
		}
	case kindSet:
		b.buildSet(e.set, from, to)
	case kindRepeat:
		b.buildRepeat(e, from, to)
	case kindRule:
		if r := &b.rules[e.rule]; r.inline {
			b.build(r.body, from, to)
		} else {
			b.edge(from, buildEdge{to: to, kind: edgeCall, arg: e.rule})
		}
	case kindToken:
		b.tokens = append(b.tokens, e.token)
		b.edge(from, buildEdge{to: to, kind: edgeToken, arg: int32(len(b.tokens) - 1)})
	case kindGraph:
		b.buildGraph(e.graph, from, to)
	}
}

// buildTexts shares the bytes that texts begin with, so that many of them do not
// make many items.
func (b *builder) buildTexts(texts []string, from, to int32) {
	slices.Sort(texts)
	path := []int32{from}
	last := ""
	for i, text := range texts {
		common := 0
		for i > 0 && common < min(len(last), len(text)) && last[common] == text[common] {
			common++
		}
		path = path[:common+1]
		longer := i+1 < len(texts) && strings.HasPrefix(texts[i+1], text) // or the same
		for j := common; j < len(text); j++ {
			next := to
			if j < len(text)-1 || longer {
				next = b.node()
				path = append(path, next)
			}
			b.edge(path[j], buildEdge{to: next, kind: edgeByte, bytes: byteRange{text[j], text[j]}})
		}
		if len(text) == 0 && i == 0 || longer && text != last {
			b.empty(path[len(text)], to)
		}
		last = text
	}
}

// buildSet shares the continuation bytes that several leading bytes have in
// common.
func (b *builder) buildSet(s charSet, from, to int32) {
	for len(s) > 0 && s[0].hi < utf8.RuneSelf {
		b.edge(from, buildEdge{to: to, kind: edgeByte, bytes: byteRange{byte(s[0].lo), byte(s[0].hi)}})
		s = s[1:]
	}
	if len(s) == 0 {
		return
	}
	suffixes := map[string]int32{}
	for _, sequence := range s.utf8() {
		next := to
		var key []byte
		for i := len(sequence) - 1; i > 0; i-- {
			key = append(key, sequence[i].lo, sequence[i].hi)
			node, ok := suffixes[string(key)]
			if !ok {
				node = b.node()
				suffixes[string(key)] = node
				b.edge(node, buildEdge{to: next, kind: edgeByte, bytes: sequence[i]})
			}
			next = node
		}
		b.edge(from, buildEdge{to: next, kind: edgeByte, bytes: sequence[0]})
	}
}

func (b *builder) buildRepeat(e *expr, from, to int32) {
	x := e.sub[0]
	if e.max == unbounded && e.min <= 1 {
		b.buildLoop(x, from, to)
		if e.min == 0 {
			b.empty(from, to)
		}
		return
	}
	copies := int64(e.max)
	if e.max == unbounded {
		copies = int64(e.min) + 1
	}
	if copies*int64(b.size(x)) > inlineLimit {
		b.repeats = append(b.repeats, buildRepeat{b.ruleOf(x), e.min, e.max})
		b.edge(from, buildEdge{to: to, kind: edgeRepeat, arg: int32(len(b.repeats) - 1)})
		return
	}
	for range e.min {
		next := b.node()
		b.build(x, from, next)
		from = next
	}
	if e.max == unbounded {
		b.buildLoop(x, from, to)
	}
	b.empty(from, to)
	for i := e.min; i < e.max && e.max != unbounded; i++ {
		next := b.node()
		b.build(x, from, next)
		b.empty(next, to)
		from = next
	}
}

// buildLoop adds paths for one or more x.
func (b *builder) buildLoop(x *expr, from, to int32) {
	start, end := b.node(), b.node()
	b.empty(from, start)
	b.build(x, start, end)
	b.empty(end, start)
	b.empty(end, to)
}

// ruleOf returns the rule whose body is x, adding one if needed.
func (b *builder) ruleOf(x *expr) int32 {
	if x.kind == kindRule {
		return x.rule
	}
	i, ok := b.anonymous[x]
	if !ok {
		i = int32(len(b.rules))
		b.anonymous[x] = i
		b.rules = append(b.rules, buildRule{name: b.current, body: x})
	}
	return i
}

func (b *builder) buildGraph(g *graph, from, to int32) {
	nodes := make([]int32, g.nodes)
	b.head = slices.Grow(b.head, min(g.nodes, maxBuildNodes))
	b.edges = slices.Grow(b.edges, min(len(g.edges), maxBuildEdges))
	for i := range nodes {
		nodes[i] = b.node()
	}
	if b.full {
		return
	}
	b.empty(from, nodes[0])
	type way struct {
		e  *expr
		to int
	}
	ways := map[way]int32{} // where the paths of an expression to a node begin: many edges of automata share them
	for _, e := range g.edges {
		switch {
		case e.e == nil:
			b.empty(nodes[e.from], nodes[e.to])
		case b.size(e.e) == 1:
			b.build(e.e, nodes[e.from], nodes[e.to])
		default:
			w := way{e.e, e.to}
			start, ok := ways[w]
			if !ok {
				start = b.node()
				ways[w] = start
				b.build(e.e, start, nodes[e.to])
			}
			b.empty(nodes[e.from], start)
		}
	}
	for _, f := range g.final {
		b.empty(nodes[f], to)
	}
}

// nullable finds the rules that match the empty text. A node belongs to one
// rule, so marking what a rule's start reaches without consuming anything needs
// one pass; a call waits until its rule turns out to be nullable.
func (b *builder) nullable() []bool {
	null := make([]bool, len(b.rules))
	seen := make([]bool, len(b.head))
	ends := make(map[int32]int32, len(b.rules))
	waiting := make([][]int32, len(b.rules))
	var stack []int32
	visit := func(n int32) {
		if !seen[n] {
			seen[n] = true
			stack = append(stack, n)
		}
	}
	for i, r := range b.rules {
		ends[r.end] = int32(i)
		visit(r.start)
	}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for k := b.head[n]; k >= 0; k = b.edges[k].next {
			e := &b.edges[k]
			switch {
			case b.passable(e, null):
				visit(e.to)
			case e.kind == edgeCall:
				waiting[e.arg] = append(waiting[e.arg], e.to)
			case e.kind == edgeRepeat:
				r := b.repeats[e.arg].rule
				waiting[r] = append(waiting[r], e.to)
			}
		}
		if r, ok := ends[n]; ok {
			null[r] = true
			for _, to := range waiting[r] {
				visit(to)
			}
			waiting[r] = nil
		}
	}
	return null
}

// passable reports whether e can be passed without consuming anything.
func (b *builder) passable(e *buildEdge, null []bool) bool {
	switch e.kind {
	case edgeEmpty:
		return true
	case edgeCall:
		return null[e.arg]
	case edgeRepeat:
		return b.repeats[e.arg].min == 0 || null[b.repeats[e.arg].rule]
	}
	return false
}

// key64 appends numbers to a map key.
func key64(key []byte, v ...int64) []byte {
	for _, x := range v {
		key = binary.AppendVarint(key, x)
	}
	return key
}
