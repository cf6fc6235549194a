package grammar

import (
	"fmt"
	"unicode/utf8"
)

// reOp is the kind of a node of a regular expression.
type reOp uint8

const (
	reSet    reOp = iota // one character of set
	reConcat             // sub, one after the other
	reAlt                // one of sub
	reRepeat             // sub[0], min to max times
	reBegin              // ^
	reEnd                // $
)

// re is a node of a parsed regular expression.
type re struct {
	op       reOp
	set      charSet
	sub      []*re
	min, max int32
}

func reCat(sub ...*re) *re { return &re{op: reConcat, sub: sub} }

// reAny matches any text.
var reAny = &re{op: reRepeat, sub: []*re{{op: reSet, set: allChars}}, max: unbounded}

func reLiteral(s string) *re {
	e := reCat()
	for _, r := range s {
		e.sub = append(e.sub, &re{op: reSet, set: oneChar(r)})
	}
	return e
}

// asserts reports whether e contains ^ or $.
func (e *re) asserts() bool {
	if e.op == reBegin || e.op == reEnd {
		return true
	}
	for _, s := range e.sub {
		if s.asserts() {
			return true
		}
	}
	return false
}

// CompileRegexp returns the grammar of the texts that a regular expression matches
// as a whole, from the first to the last character (^ and $ are allowed but not needed).
//
// The syntax is that of ECMA-262 with the flag u: alternatives, groups
// (plain, named, (?:…)), the quantifiers * + ? {m} {m,} {m,n} and their lazy forms (which match the
// same texts), sets, the dot (no line terminator), ^ and $ as the ends of the text,
// \d \D \w \W \s \S, \p{…} and \P{…} with general categories, scripts and the properties
// Any, ASCII and White_Space, and the escapes \t \n \v \f \r \0 \cX \xHH \uHHHH \u{…}.
// As in web browsers a { that begins no quantifier, and lone } and ], stand for themselves.
// Look-around, \b, \B, back-references and inline flags are refused with [ErrUnsupported].
//
// Errors are [*PositionError] or wrap [ErrEmpty] or [ErrTooLarge].
func CompileRegexp(pattern string) (g *Grammar, err error) {
	m := newMeter()
	defer m.stop(&err)
	e, err := parseRegexp(pattern)
	if err != nil {
		return nil, err
	}
	x, err := patternExpr(m, reCat(&re{op: reBegin}, e, &re{op: reEnd}), charsExpr)
	if err != nil {
		return nil, err
	}
	return newGrammar(m, []production{{"regular expression", x}})
}

// patternExpr returns the texts that contain a match of e; chars gives the form in which a
// character appears in the text.
func patternExpr(m *meter, e *re, chars func(charSet) *expr) (*expr, error) {
	if alternatives, ok := unanchor(e); ok {
		var sub []*expr
		for _, a := range alternatives {
			sub = append(sub, a.expr(chars))
		}
		return alt(sub...), nil
	}
	d, err := determinize(m, reCat(reAny, e, reAny))
	if err != nil {
		return nil, err
	}
	return d.minimize().expr(chars), nil
}

// unanchor turns the texts that contain a match of e into alternatives without ^ and $.
// It returns false if they are elsewhere than at the ends.
func unanchor(e *re) (alternatives []*re, ok bool) {
	switch e.op {
	case reAlt:
		for _, s := range e.sub {
			a, ok := unanchor(s)
			if !ok {
				return nil, false
			}
			alternatives = append(alternatives, a...)
		}
		return alternatives, true
	case reConcat:
	default:
		e = reCat(e)
	}
	sub := e.sub
	begin, end := false, false
	for len(sub) > 0 && sub[0].op == reBegin {
		begin, sub = true, sub[1:]
	}
	for len(sub) > 0 && sub[len(sub)-1].op == reEnd {
		end, sub = true, sub[:len(sub)-1]
	}
	if begin && end && len(sub) == 1 { // ^(^a$|b)$
		if sub[0].op == reConcat {
			return unanchor(reCat(append(append([]*re{{op: reBegin}}, sub[0].sub...), &re{op: reEnd})...))
		}
		if sub[0].op == reAlt {
			for _, s := range sub[0].sub {
				a, ok := unanchor(reCat(&re{op: reBegin}, reCat(s), &re{op: reEnd}))
				if !ok {
					return nil, false
				}
				alternatives = append(alternatives, a...)
			}
			return alternatives, true
		}
	}
	var out []*re
	if !begin {
		out = append(out, reAny)
	}
	for _, s := range sub {
		if s.asserts() {
			return nil, false
		}
		out = append(out, s)
	}
	if !end {
		out = append(out, reAny)
	}
	return []*re{reCat(out...)}, true
}

// expr returns the texts that e, which has no ^ or $, matches as a whole.
func (e *re) expr(chars func(charSet) *expr) *expr {
	var sub []*expr
	for _, s := range e.sub {
		sub = append(sub, s.expr(chars))
	}
	switch e.op {
	case reSet:
		return chars(e.set)
	case reConcat:
		return seq(sub...)
	case reAlt:
		return alt(sub...)
	default:
		return repeat(sub[0], e.min, e.max)
	}
}

// matches reports whether s contains a match of e.
func (e *re) matches(m *meter, s string) (bool, error) {
	n, err := newRENFA(reCat(reAny, e, reAny))
	if err != nil {
		return false, err
	}
	m.spend(len(n.states))
	set := n.closure([]int32{n.start}, true, s == "")
	for i, r := range s {
		m.spend(len(set))
		var next []int32
		for _, x := range set {
			if n.states[x].set.contains(r) {
				next = append(next, n.states[x].out)
			}
		}
		set = n.closure(next, false, i+utf8.RuneLen(r) == len(s))
	}
	return n.accepts(set), nil
}

// Limits on automata of regular expressions.
const (
	maxNFAStates = 1 << 16
	maxDFAStates = 1 << 14
)

// renfa is a nondeterministic automaton over characters.
type renfa struct {
	states []renfaState
	start  int32
	final  int32

	seen []int32 // scratch of closure: by state, the last mark
	mark int32
}

type renfaState struct {
	set        charSet // if not empty, leads to out
	out        int32
	empty      []int32
	begin, end []int32 // through ^ and $
}

// newRENFA builds the automaton of e.
func newRENFA(e *re) (*renfa, error) {
	n := &renfa{}
	n.start, n.final = n.state(), n.state()
	if !n.build(e, n.start, n.final) {
		return nil, fmt.Errorf("%w: the regular expression needs more than %d states", ErrTooLarge, maxNFAStates)
	}
	return n, nil
}

func (n *renfa) state() int32 {
	n.states = append(n.states, renfaState{})
	return int32(len(n.states) - 1)
}

func (n *renfa) link(from, to int32) { n.states[from].empty = append(n.states[from].empty, to) }

// build adds paths for e and returns false when there are too many states.
func (n *renfa) build(e *re, from, to int32) bool {
	if len(n.states) > maxNFAStates {
		return false
	}
	switch e.op {
	case reSet:
		s := n.state()
		n.link(from, s)
		n.states[s].set, n.states[s].out = e.set, to
	case reConcat:
		for _, s := range e.sub {
			next := n.state()
			if !n.build(s, from, next) {
				return false
			}
			from = next
		}
		n.link(from, to)
	case reAlt:
		for _, s := range e.sub {
			if !n.build(s, from, to) {
				return false
			}
		}
	case reBegin:
		n.states[from].begin = append(n.states[from].begin, to)
	case reEnd:
		n.states[from].end = append(n.states[from].end, to)
	case reRepeat:
		for range e.min {
			next := n.state()
			if !n.build(e.sub[0], from, next) {
				return false
			}
			from = next
		}
		if e.max == unbounded {
			loop, end := n.state(), n.state()
			n.link(from, loop)
			n.link(end, loop)
			n.link(loop, to)
			return n.build(e.sub[0], loop, end)
		}
		n.link(from, to)
		for i := e.min; i < e.max; i++ {
			next := n.state()
			if !n.build(e.sub[0], from, next) {
				return false
			}
			n.link(next, to)
			from = next
		}
	}
	return true
}

// closure returns the states that can be reached without consuming a character,
// at the begin or the end of the text, or neither.
func (n *renfa) closure(from []int32, begin, end bool) []int32 {
	if n.seen == nil {
		n.seen = make([]int32, len(n.states))
	}
	n.mark++
	var out []int32
	visit := func(to []int32) {
		for _, s := range to {
			if n.seen[s] != n.mark {
				n.seen[s] = n.mark
				out = append(out, s)
			}
		}
	}
	visit(from)
	for i := 0; i < len(out); i++ {
		s := &n.states[out[i]]
		visit(s.empty)
		if begin {
			visit(s.begin)
		}
		if end {
			visit(s.end)
		}
	}
	return out
}

// shortest returns the least number of characters of a text that contains a match of e; false if there is
// none.
func (e *re) shortest() (least int32, ok bool) {
	n, err := newRENFA(reCat(reAny, e, reAny))
	if err != nil {
		return 0, true
	}
	// The states at the begin of the text, after it, and, of either, at the end.
	set, later := []int32{n.start}, make([]bool, len(n.states))
	for length := int32(0); len(set) > 0; length++ {
		if n.accepts(n.closure(set, length == 0, true)) {
			return length, true
		}
		var next []int32
		for _, s := range n.closure(set, length == 0, false) {
			if out := n.states[s].out; len(n.states[s].set) > 0 && !later[out] {
				later[out] = true
				next = append(next, out)
			}
		}
		set = next
	}
	return 0, false
}

func (n *renfa) accepts(set []int32) bool {
	for _, s := range set {
		if s == n.final {
			return true
		}
	}
	return false
}
