package grammar

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
)

// reOp is the kind of a node of a regular expression.
type reOp uint8

const (
	reSet      reOp = iota // one character of set
	reConcat               // sub, one after the other
	reAlt                  // one of sub
	reRepeat               // sub[0], min to max times
	reBegin                // ^
	reEnd                  // $
	reBoundary             // \b; with negate \B
	reLook                 // (?=sub[0]); with negate (?!sub[0])
	reDFA                  // what dfa matches as a whole; only made from reLook
)

// re is a node of a parsed regular expression.
type re struct {
	op       reOp
	set      charSet
	sub      []*re
	min, max int32
	negate   bool
	dfa      *dfa
	search   atomic.Pointer[renfa] // of matches; nil while it is in use
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

// asserts reports whether e contains ^, $, \b or \B.
func (e *re) asserts() bool { return e.has(reBegin) || e.has(reEnd) || e.has(reBoundary) }

// has reports whether e contains a node of a kind.
func (e *re) has(op reOp) bool {
	if e.op == op {
		return true
	}
	for _, s := range e.sub {
		if s.has(op) {
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
// Word boundaries are known, and so is look-ahead outside of repetitions without an end. Of Python's and
// Perl's spellings (?P<name>…), \A, \Z, \z, \a, \e, comments, sets such as [[:alpha:]], and the flags (?i) and (?s) at
// the beginning are known too. Look-behind, back-references and other flags are refused with [ErrUnsupported].
//
// Errors are [*PositionError] or wrap [ErrEmpty] or [ErrTooLarge].
func CompileRegexp(pattern string) (*Grammar, error) { return Compiler{}.CompileRegexp(pattern) }

// CompileRegexp is [CompileRegexp] until the context ends.
func (c Compiler) CompileRegexp(pattern string) (g *Grammar, err error) {
	m := c.meter()
	defer stop(&err)
	e, err := parseRegexp(pattern)
	if err != nil {
		return nil, err
	}
	if e, err = withoutLooks(m, reCat(&re{op: reBegin}, e, &re{op: reEnd})); err != nil {
		return nil, err
	}
	x, err := patternExpr(m, e, charsExpr)
	if err != nil {
		return nil, err
	}
	return newGrammar(m, []production{{"regular expression", x}})
}

// patternExpr returns the texts that contain a match of e; chars gives the form in which a
// character appears in the text.
func patternExpr(m *meter, e *re, chars func(charSet) *expr) (*expr, error) {
	if x, ok := unanchoredExpr(e, chars); ok {
		return x, nil
	}
	d, err := determinize(m, reCat(reAny, e, reAny))
	if err != nil {
		return nil, err
	}
	return d.minimize().expr(chars), nil
}

// unanchoredExpr is patternExpr where that needs no automaton.
func unanchoredExpr(e *re, chars func(charSet) *expr) (x *expr, ok bool) {
	alternatives, ok := unanchor(e)
	if !ok {
		return nil, false
	}
	var sub []*expr
	for _, a := range alternatives {
		sub = append(sub, a.expr(chars))
	}
	return alt(sub...), true
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
	case reDFA:
		return e.dfa.expr(chars)
	default:
		return repeat(sub[0], e.min, e.max)
	}
}

// matches reports whether s contains a match of e.
func (e *re) matches(m *meter, s string) (bool, error) {
	n := e.search.Swap(nil)
	if n == nil {
		var err error
		if n, err = newRENFA(reCat(reAny, e, reAny)); err != nil {
			return false, err
		}
		m.Spend(len(n.states))
	}
	set, at := []int32{n.start}, place{begin: true}
	for _, r := range s {
		at.next = setWord.contains(r)
		closed := n.closure(set, at)
		m.Spend(len(closed))
		set = nil
		for _, x := range closed {
			if n.states[x].set.contains(r) {
				set = append(set, n.states[x].out)
			}
		}
		at = place{before: at.next}
	}
	at.end = true
	ok := n.accepts(n.closure(set, at))
	e.search.Store(n)
	return ok, nil
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

	boundaries bool // there are \b or \B

	seen []int32 // scratch of closure: by state, the last mark
	mark int32
}

type renfaState struct {
	set        charSet // if not empty, leads to out
	out        int32
	empty      []int32
	begin, end []int32 // through ^ and $
	edge, flat []int32 // through \b and \B
}

// place is what assertions ask about a place in a text: whether it is at the ends, and whether
// the characters before and after it belong to words.
type place struct{ begin, end, before, next bool }

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
	case reBoundary:
		n.boundaries = true
		if e.negate {
			n.states[from].flat = append(n.states[from].flat, to)
		} else {
			n.states[from].edge = append(n.states[from].edge, to)
		}
	case reDFA:
		return n.embed(e.dfa, from, to)
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

// embed adds the paths of an automaton.
func (n *renfa) embed(d *dfa, from, to int32) bool {
	k := len(d.cuts)
	first := int32(len(n.states))
	for range d.final {
		n.state()
	}
	n.link(from, first)
	for s, final := range d.final {
		if final {
			n.link(first+int32(s), to)
		}
		ranges := map[int32][]runeRange{}
		for c, t := range d.next[s*k : (s+1)*k] {
			if t >= 0 {
				ranges[t] = append(ranges[t], d.class(c))
			}
		}
		for _, t := range slices.Sorted(maps.Keys(ranges)) {
			x := n.state()
			n.link(first+int32(s), x)
			n.states[x].set, n.states[x].out = newSet(ranges[t]...), first+t
		}
		if len(n.states) > maxNFAStates {
			return false
		}
	}
	return true
}

// closure returns the states that can be reached from others without consuming a character.
func (n *renfa) closure(from []int32, at place) []int32 {
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
		if at.begin {
			visit(s.begin)
		}
		if at.end {
			visit(s.end)
		}
		if at.before != (at.next && !at.end) {
			visit(s.edge)
		} else {
			visit(s.flat)
		}
	}
	return out
}

// shortest returns the least number of characters of a text that contains a match of e; false if there is
// none. It is no more than that where word boundaries matter.
func (e *re) shortest() (least int32, ok bool) {
	n, err := newRENFA(reCat(reAny, e, reAny))
	if err != nil || n.boundaries {
		return 0, true
	}
	set, later := []int32{n.start}, make([]bool, len(n.states))
	for length := int32(0); len(set) > 0; length++ {
		if n.accepts(n.closure(set, place{begin: length == 0, end: true})) {
			return length, true
		}
		var next []int32
		for _, s := range n.closure(set, place{begin: length == 0}) {
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
