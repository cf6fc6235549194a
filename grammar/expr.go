package grammar

import "math"

// exprKind is the kind of an expression.
type exprKind uint8

const (
	kindNever  exprKind = iota // matches nothing
	kindSeq                    // sub, one after the other; none: the empty text
	kindAlt                    // one of sub
	kindBytes                  // text
	kindSet                    // one character of set, in UTF-8
	kindRepeat                 // sub[0], min to max times
	kindRule                   // rule number rule
	kindToken                  // one token of the vocabulary
	kindGraph                  // a path through graph
)

// unbounded is the max of a repetition without one.
const unbounded = math.MaxInt32

// expr is a node of a grammar before compilation. Expressions are immutable and may be
// shared.
type expr struct {
	kind     exprKind
	sub      []*expr
	text     string
	set      charSet
	min, max int32
	rule     int32
	token    tokenRef
	graph    *graph
}

// tokenRef names a token of a vocabulary that is not known yet.
type tokenRef struct {
	text   string // looked up by text if id is negative
	id     int32
	negate bool // any token but this one
	// optional: a vocabulary without the token, or where the token carries text
	// of its own, is no error; the edge then leads nowhere.
	optional bool
}

// graph is an automaton whose edges are expressions; nil stands for the empty text.
type graph struct {
	nodes int // node 0 is the start
	edges []graphEdge
	final []int
}

type graphEdge struct {
	from, to int
	e        *expr
}

func (g *graph) node() int {
	g.nodes++
	return g.nodes - 1
}

func (g *graph) edge(from, to int, e *expr) {
	g.edges = append(g.edges, graphEdge{from, to, e})
}

var (
	never = &expr{kind: kindNever}
	empty = &expr{kind: kindSeq}
)

func lit(s string) *expr {
	if s == "" {
		return empty
	}
	return &expr{kind: kindBytes, text: s}
}

func charsExpr(s charSet) *expr {
	if len(s) == 0 {
		return never
	}
	return &expr{kind: kindSet, set: s}
}

func seq(sub ...*expr) *expr {
	var out []*expr
	for _, e := range sub {
		switch {
		case e.kind == kindNever:
			return never
		case e.kind == kindSeq:
			out = append(out, e.sub...)
		default:
			out = append(out, e)
		}
	}
	if len(out) == 1 {
		return out[0]
	}
	return &expr{kind: kindSeq, sub: out}
}

func alt(sub ...*expr) *expr {
	var out []*expr
	for _, e := range sub {
		switch e.kind {
		case kindNever:
		case kindAlt:
			out = append(out, e.sub...)
		default:
			out = append(out, e)
		}
	}
	switch len(out) {
	case 0:
		return never
	case 1:
		return out[0]
	}
	return &expr{kind: kindAlt, sub: out}
}

// repeat matches e from lo to hi times; hi may be unbounded.
func repeat(e *expr, lo, hi int32) *expr {
	switch {
	case hi == 0 || e == empty:
		return empty
	case lo == 1 && hi == 1:
		return e
	case e.kind == kindNever && lo == 0:
		return empty
	case e.kind == kindNever:
		return never
	}
	return &expr{kind: kindRepeat, sub: []*expr{e}, min: lo, max: hi}
}

func opt(e *expr) *expr  { return repeat(e, 0, 1) }
func star(e *expr) *expr { return repeat(e, 0, unbounded) }

func ruleRef(i int32) *expr { return &expr{kind: kindRule, rule: i} }

func graphExpr(g *graph) *expr { return &expr{kind: kindGraph, graph: g} }

// production is a named rule before compilation.
type production struct {
	name string
	body *expr
}
