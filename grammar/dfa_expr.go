package grammar

import (
	"slices"
	"unicode/utf8"
)

// exprParts are the characters that are built apart, since many edges to a state have the same of them: those that JSON
// escapes, others of one byte, those of several.
var exprParts = [...]charSet{
	setPlain.negate(),
	setPlain.intersect(newSet(runeRange{0, utf8.RuneSelf - 1})),
	newSet(runeRange{utf8.RuneSelf, utf8.MaxRune}),
}

// expr returns the texts that match; chars gives the form in which a character
// appears in the text.
func (d *dfa) expr(chars func(charSet) *expr) *expr {
	d.meter.Spend(len(d.next))
	g := &charGraph{graph: graph{nodes: len(d.final), edges: make([]graphEdge, 0, 2*len(d.final))}, chars: chars}
	for s, f := range d.final {
		if f {
			g.final = append(g.final, s)
		}
		for _, m := range d.movesFrom(int32(s)) {
			g.set(s, int(m.to), m.set)
		}
	}
	return graphExpr(&g.graph)
}

// dfaMove is where some characters lead.
type dfaMove struct {
	to  int32
	set charSet
}

// movesFrom returns what follows a state.
func (d *dfa) movesFrom(state int32) []dfaMove {
	var out []dfaMove
	k := len(d.cuts)
	whole := true // no class has surrogates among other characters
	for c, to := range d.next[int(state)*k : (int(state)+1)*k] {
		r := d.class(c)
		if to < 0 || r.void() {
			continue
		}
		whole = whole && (r.hi < surrogateMin || r.lo > surrogateMax)
		i := slices.IndexFunc(out, func(m dfaMove) bool { return m.to == to })
		if i < 0 {
			i = len(out)
			out = append(out, dfaMove{to: to})
		}
		if set := out[i].set; len(set) > 0 && set[len(set)-1].hi+1 == r.lo {
			set[len(set)-1].hi = r.hi
		} else {
			out[i].set = append(set, r)
		}
	}
	for i := range out {
		if !whole {
			out[i].set = newSet(out[i].set...)
		}
	}
	return out
}

// charGraph is a graph whose edges are characters.
type charGraph struct {
	graph
	chars func(charSet) *expr // the form in which a character appears in the text
	known map[string]*expr    // by set
}

// set adds edges for the characters of a set.
func (g *charGraph) set(from, to int, set charSet) {
	for _, part := range exprParts {
		if part = set.intersect(part); len(part) > 0 {
			key := part.key()
			e := g.known[key]
			if e == nil {
				e = g.chars(part)
				if g.known == nil {
					g.known = map[string]*expr{}
				}
				g.known[key] = e
			}
			g.edge(from, to, e)
		}
	}
}

// key identifies a set.
func (s charSet) key() string {
	var key []byte
	for _, r := range s {
		key = key64(key, int64(r.lo), int64(r.hi))
	}
	return string(key)
}

// maxCounted bounds the states of counted, each of which is a state of the automaton after a number of characters.
const maxCounted = 256

// counted returns the texts of lo to hi characters that match, without a state for each number of characters: in a
// state that can only be stayed in, the characters are counted. It returns false if there are many others. The
// automaton has no hopeless states.
func (d *dfa) counted(lo, hi int32, chars func(charSet) *expr) (e *expr, ok bool) {
	type place struct{ state, n int32 }
	g := &charGraph{chars: jsonChars}
	index := map[place]int{}
	var places []place
	most := hi
	if hi == unbounded {
		most = lo // more characters are not told apart
	}
	at := func(state, n int32) int {
		p := place{state, min(n, most)}
		i, ok := index[p]
		if !ok {
			i = g.node()
			index[p] = i
			places = append(places, p)
		}
		return i
	}
	at(0, 0)
	for i := 0; i < len(places); i++ {
		if len(places) > maxCounted {
			return nil, false
		}
		d.meter.Spend(1 + len(d.cuts))
		p := places[i]
		from := index[p]
		moves := d.movesFrom(p.state)
		if d.final[p.state] && (len(moves) == 0 || len(moves) == 1 && moves[0].to == p.state) {
			same := never
			if len(moves) > 0 {
				same = chars(moves[0].set)
			}
			left := hi
			if hi != unbounded {
				left -= p.n
			}
			end := g.node()
			g.edge(from, end, repeat(same, max(lo-p.n, 0), left))
			g.final = append(g.final, end)
			continue
		}
		if d.final[p.state] && p.n >= lo {
			g.final = append(g.final, from)
		}
		if hi != unbounded && p.n == hi {
			continue
		}
		for _, m := range moves {
			g.set(from, at(m.to, p.n+1), m.set)
		}
	}
	return graphExpr(&g.graph), true
}

// hasLength reports whether a text of lo to hi characters matches, or so long ones that it is not found out.
func (d *dfa) hasLength(lo, hi int32) bool {
	if lo > maxProductDFA {
		return true
	}
	// A longer text than this has a part that can be left out.
	hi = min(hi, lo+int32(len(d.final)))
	k := len(d.cuts)
	now, next := make([]bool, len(d.final)), make([]bool, len(d.final))
	now[0] = true
	for n := int32(0); ; n++ {
		any := false
		d.meter.Spend(len(now))
		for state, here := range now {
			if !here {
				continue
			}
			if d.final[state] && n >= lo {
				return true
			}
			d.meter.Spend(k)
			for c, to := range d.next[state*k : (state+1)*k] {
				if to >= 0 && !next[to] && !d.class(c).void() {
					next[to], any = true, true
				}
			}
		}
		if !any || n == hi {
			return false
		}
		now, next = next, now
		clear(next)
	}
}
