package grammar

import (
	"testing"
)

// oracle decides by plain recursion over the rules, without any automaton, whether a text
// follows a grammar or can be continued so that it does.
type oracle struct {
	rules      []production
	productive map[*expr]bool
	memo       map[oracleKey]oracleEnds
	text       []byte
}

type oracleKey struct {
	e  *expr
	at int
}

// oracleEnds is where an expression can end when it begins at some place, and whether the
// text can end within it.
type oracleEnds struct {
	at   map[int]bool
	open bool
}

func newOracle(rules []production) *oracle {
	o := &oracle{rules: rules, productive: map[*expr]bool{}}
	for range len(rules) + 1 {
		o.productive = map[*expr]bool{}
		known := make([]bool, len(rules))
		for changed := true; changed; {
			changed = false
			for i, r := range rules {
				if !known[i] && o.yields(r.body, known) {
					known[i], changed = true, true
				}
			}
		}
		var visit func(e *expr)
		visit = func(e *expr) {
			if _, ok := o.productive[e]; ok {
				return
			}
			o.productive[e] = o.yields(e, known)
			for _, s := range e.sub {
				visit(s)
			}
			if e.graph != nil {
				panic("the oracle knows no graphs")
			}
		}
		for _, r := range rules {
			visit(r.body)
		}
	}
	return o
}

func (o *oracle) yields(e *expr, rules []bool) bool {
	switch e.kind {
	case kindNever:
		return false
	case kindAlt:
		for _, s := range e.sub {
			if o.yields(s, rules) {
				return true
			}
		}
		return false
	case kindSeq:
		for _, s := range e.sub {
			if !o.yields(s, rules) {
				return false
			}
		}
		return true
	case kindRepeat:
		return e.min == 0 || o.yields(e.sub[0], rules)
	case kindRule:
		return rules[e.rule]
	}
	return true
}

// judge reports whether text follows the grammar, and whether it is the beginning of
// one that does.
func (o *oracle) judge(text []byte) (complete, viable bool) {
	o.text, o.memo = text, map[oracleKey]oracleEnds{}
	ends := o.ends(o.rules[0].body, 0)
	return ends.at[len(text)], ends.at[len(text)] || ends.open
}

func (o *oracle) ends(e *expr, at int) oracleEnds {
	key := oracleKey{e, at}
	if r, ok := o.memo[key]; ok {
		return r
	}
	out := oracleEnds{at: map[int]bool{}}
	if !o.productive[e] {
		return out
	}
	switch e.kind {
	case kindSeq:
		from := map[int]bool{at: true}
		for _, s := range e.sub {
			next := map[int]bool{}
			for i := range from {
				r := o.ends(s, i)
				out.open = out.open || r.open
				for j := range r.at {
					next[j] = true
				}
			}
			from = next
		}
		out.at = from
	case kindAlt:
		for _, s := range e.sub {
			r := o.ends(s, at)
			out.open = out.open || r.open
			for j := range r.at {
				out.at[j] = true
			}
		}
	case kindBytes:
		rest := o.text[at:]
		switch n := min(len(rest), len(e.text)); {
		case string(rest[:n]) != e.text[:n]:
		case n == len(e.text):
			out.at[at+n] = true
		default:
			out.open = true
		}
	case kindSet:
		rest := o.text[at:]
		for _, s := range e.set.utf8() {
			n := 0
			for n < min(len(s), len(rest)) && rest[n] >= s[n].lo && rest[n] <= s[n].hi {
				n++
			}
			switch {
			case n == len(s):
				out.at[at+n] = true
			case n == len(rest):
				out.open = true
			}
		}
	case kindRepeat:
		type place struct{ at, n int }
		from := map[int]bool{at: true}
		if e.min == 0 {
			out.at[at] = true
		}
		seen := map[place]bool{}
		for n := 0; n < int(e.max) && len(from) > 0; n++ {
			next := map[int]bool{}
			for i := range from {
				r := o.ends(e.sub[0], i)
				out.open = out.open || r.open
				for j := range r.at {
					if p := (place{j, min(n, int(e.min)+1)}); !seen[p] {
						seen[p] = true
						next[j] = true
					}
					if n+1 >= int(e.min) {
						out.at[j] = true
					}
				}
			}
			from = next
		}
	case kindRule:
		out = o.ends(o.rules[e.rule].body, at)
	default:
		panic("the oracle does not know this kind")
	}
	o.memo[key] = out
	return out
}

// gbnfRules returns the rules of GBNF source before compilation.
func gbnfRules(t testing.TB, src string) []production {
	t.Helper()
	rules, err := (&gbnfParser{src: src, index: map[string]int{}}).parse()
	if err != nil {
		t.Fatal(err)
	}
	return rules
}
