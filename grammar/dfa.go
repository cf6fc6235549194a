package grammar

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"
)

// dfa is a deterministic automaton over characters. State 0 is the start. Characters
// fall into classes: class i is cuts[i] … cuts[i+1]−1.
type dfa struct {
	meter *meter  // counts the work on it; may be nil
	cuts  []rune  // the first is 0
	next  []int32 // state·len(cuts) + class; −1: no match any more
	final []bool
}

// anyText returns the automaton of all texts.
func anyText() *dfa { return &dfa{cuts: []rune{0}, next: []int32{0}, final: []bool{true}} }

// noText returns the automaton that matches nothing.
func noText() *dfa { return &dfa{cuts: []rune{0}, next: []int32{-1}, final: []bool{false}} }

// lengthDFA returns the automaton of the texts of lo to hi characters; hi may be
// unbounded.
func lengthDFA(lo, hi int32, limit int) (*dfa, error) {
	n := int64(hi) + 1
	if hi == unbounded {
		n = int64(lo) + 1
	}
	if n > int64(limit) {
		return nil, fmt.Errorf("%w: a pattern with lengths up to %d", ErrTooLarge, n-1)
	}
	d := &dfa{cuts: []rune{0}}
	for i := int32(0); int64(i) < n; i++ {
		next := i + 1
		if int64(next) == n {
			if next = -1; hi == unbounded {
				next = i
			}
		}
		d.next = append(d.next, next)
		d.final = append(d.final, i >= lo)
	}
	return d, nil
}

// determinize returns the automaton of the texts that e matches as a whole.
func determinize(m *meter, e *re) (*dfa, error) { return determinizeAt(m, e, place{begin: true}) }

// determinizeAt is determinize for the rest of a text, from a place on.
func determinizeAt(m *meter, e *re, start place) (*dfa, error) {
	n, err := newRENFA(e)
	if err != nil {
		return nil, err
	}
	m.Spend(len(n.states))
	d := &dfa{meter: m}
	var sets []charSet
	for _, s := range n.states {
		sets = append(sets, s.set)
	}
	if n.boundaries {
		sets = append(sets, setWord)
	}
	d.cuts = cutsOf(sets)
	// A state is what can be reached before a character of a word, and before another one: the same without word
	// boundaries. What $ leads to matters only if nothing follows.
	type state struct{ word, other []int32 }
	index := map[string]int32{}
	var states []state
	var key []byte
	add := func(from []int32, at place) int32 {
		var s state
		s.other = n.closure(from, at)
		m.Spend(len(s.other))
		slices.Sort(s.other)
		s.word = s.other
		key = appendStates(key[:0], s.other)
		if n.boundaries {
			s.word = n.closure(from, place{begin: at.begin, before: at.before, next: true})
			m.Spend(len(s.word))
			slices.Sort(s.word)
			key = appendStates(append(key, 0xff, 0xff, 0xff), s.word)
		}
		at.end = true
		final := n.accepts(n.closure(from, at))
		if final {
			key = append(key, 1)
		}
		if at.begin {
			key = append(key, 0)
		}
		i, ok := index[string(key)]
		if !ok {
			i = int32(len(states))
			index[string(key)] = i
			states = append(states, s)
			d.final = append(d.final, final)
		}
		return i
	}
	add([]int32{n.start}, start)
	raw := map[string]int32{} // next states by the states they are the closure of
	moves := n.moves(d.cuts)
	to := make([][]int32, len(d.cuts)) // by class
	var from []byte
	for i := 0; i < len(states); i++ {
		for side, set := range [][]int32{states[i].other, states[i].word} {
			if side == 1 && !n.boundaries {
				break
			}
			for _, s := range set {
				for _, class := range moves[s] {
					if !n.boundaries || setWord.contains(d.cuts[class]) == (side == 1) {
						to[class] = append(to[class], n.states[s].out)
					}
				}
				m.Spend(1 + len(moves[s]))
			}
		}
		for class := range to {
			next := int32(-1)
			if len(to[class]) > 0 {
				slices.Sort(to[class])
				to[class] = slices.Compact(to[class])
				word := n.boundaries && setWord.contains(d.cuts[class])
				from = appendStates(from[:0], to[class])
				if word {
					from = append(from, 0)
				}
				var ok bool
				if next, ok = raw[string(from)]; !ok {
					next = add(to[class], place{before: word})
					raw[string(from)] = next
				}
				to[class] = to[class][:0]
			}
			d.next = append(d.next, next)
		}
		if len(states) > maxDFAStates {
			return nil, fmt.Errorf("%w: the regular expression's automaton has more than %d states", ErrTooLarge, maxDFAStates)
		}
	}
	return d, nil
}

func appendStates(key []byte, set []int32) []byte {
	for _, s := range set {
		key = append(key, byte(s), byte(s>>8), byte(s>>16))
	}
	return key
}

// moves returns, by state, the classes of characters that its set has.
func (n *renfa) moves(cuts []rune) [][]int32 {
	known := map[*runeRange][]int32{} // many states share a set
	out := make([][]int32, len(n.states))
	for i, s := range n.states {
		if len(s.set) == 0 {
			continue
		}
		list, ok := known[&s.set[0]]
		if !ok {
			for _, r := range s.set {
				for c, _ := slices.BinarySearch(cuts, r.lo); c < len(cuts) && cuts[c] <= r.hi; c++ {
					list = append(list, int32(c))
				}
			}
			known[&s.set[0]] = list
		}
		out[i] = list
	}
	return out
}

// cutsOf returns the classes of characters that no set tells apart.
func cutsOf(sets []charSet) []rune {
	cuts := []rune{0, surrogateMin, surrogateMax + 1}
	for _, s := range sets {
		for _, r := range s {
			cuts = append(cuts, r.lo)
			if r.hi < utf8.MaxRune {
				cuts = append(cuts, r.hi+1)
			}
		}
	}
	slices.Sort(cuts)
	return slices.Compact(cuts)
}

// class returns the characters of a class.
func (d *dfa) class(i int) runeRange {
	hi := rune(utf8.MaxRune)
	if i+1 < len(d.cuts) {
		hi = d.cuts[i+1] - 1
	}
	return runeRange{d.cuts[i], hi}
}

// void reports whether there are no characters in a class: surrogates are none.
func (r runeRange) void() bool { return r.lo >= surrogateMin && r.hi <= surrogateMax }

// complement returns the automaton of all other texts.
func (d *dfa) complement() *dfa {
	k := len(d.cuts)
	c := &dfa{meter: d.meter, cuts: d.cuts, next: slices.Clone(d.next)}
	sink := int32(len(d.final))
	for i, to := range c.next {
		if to < 0 {
			c.next[i] = sink
		}
	}
	for range k {
		c.next = append(c.next, sink)
	}
	for _, f := range d.final {
		c.final = append(c.final, !f)
	}
	c.final = append(c.final, true)
	return c
}

// pair is states of two automata.
type pair struct{ a, b int32 }

// pairIndex numbers pairs as they come: in a table where that stays small.
type pairIndex struct {
	rows  [][]int32 // by states of a and b: the number plus one
	other map[pair]int32
	b     int
	n     int32
}

// maxPairTable is the most numbers in the table of a pairIndex.
const maxPairTable = 1 << 20

func newPairIndex(a, b int) *pairIndex {
	if a*b > maxPairTable {
		return &pairIndex{other: map[pair]int32{}}
	}
	return &pairIndex{rows: make([][]int32, a), b: b}
}

// at returns the number of a pair, the next one if it is new.
func (x *pairIndex) at(p pair) int32 {
	if x.rows == nil {
		i, ok := x.other[p]
		if !ok {
			i = int32(len(x.other))
			x.other[p] = i
		}
		return i
	}
	row := x.rows[p.a]
	if row == nil {
		row = make([]int32, x.b)
		x.rows[p.a] = row
	}
	if row[p.b] == 0 {
		x.n++
		row[p.b] = x.n
	}
	return row[p.b] - 1
}

// intersectDFA returns the automaton of the texts that both match.
func intersectDFA(a, b *dfa, limit int) (*dfa, error) {
	d := &dfa{meter: cmp.Or(a.meter, b.meter), cuts: slices.Clone(a.cuts)}
	d.cuts = append(d.cuts, b.cuts...)
	slices.Sort(d.cuts)
	d.cuts = slices.Compact(d.cuts)
	classA, classB := make([]int, len(d.cuts)), make([]int, len(d.cuts))
	for i := 1; i < len(d.cuts); i++ {
		classA[i], classB[i] = classA[i-1], classB[i-1]
		if classA[i]+1 < len(a.cuts) && a.cuts[classA[i]+1] == d.cuts[i] {
			classA[i]++
		}
		if classB[i]+1 < len(b.cuts) && b.cuts[classB[i]+1] == d.cuts[i] {
			classB[i]++
		}
	}
	index := newPairIndex(len(a.final), len(b.final))
	states := []pair{{0, 0}}
	index.at(states[0]) // is 0
	for i := 0; i < len(states); i++ {
		s := states[i]
		d.final = append(d.final, a.final[s.a] && b.final[s.b])
		d.meter.Spend(len(d.cuts))
		for c := range d.cuts {
			to := pair{a.next[int(s.a)*len(a.cuts)+classA[c]], b.next[int(s.b)*len(b.cuts)+classB[c]]}
			next := int32(-1)
			if to.a >= 0 && to.b >= 0 {
				if next = index.at(to); int(next) == len(states) {
					states = append(states, to)
				}
			}
			d.next = append(d.next, next)
		}
		if len(states) > limit {
			return nil, fmt.Errorf("%w: an intersection of patterns has more than %d states", ErrTooLarge, limit)
		}
	}
	return d, nil
}

// live reports which states can lead to a final one.
func (d *dfa) live() []bool {
	k := len(d.cuts)
	d.meter.Spend(len(d.next))
	counts := make([]int32, len(d.final)+1)
	each := func(f func(from, to int32)) {
		for i, to := range d.next {
			if to >= 0 && !d.class(i%k).void() {
				f(int32(i/k), to)
			}
		}
	}
	each(func(_, to int32) { counts[to+1]++ })
	for i := range d.final {
		counts[i+1] += counts[i]
	}
	before := make([]int32, counts[len(d.final)])
	end := slices.Clone(counts)
	each(func(from, to int32) {
		before[end[to]] = from
		end[to]++
	})
	live := slices.Clone(d.final)
	var stack []int32
	for i, f := range d.final {
		if f {
			stack = append(stack, int32(i))
		}
	}
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, p := range before[counts[s]:counts[s+1]] {
			if !live[p] {
				live[p] = true
				stack = append(stack, p)
			}
		}
	}
	return live
}

// lengths returns the least and the greatest number of characters of a text that matches;
// unbounded if there is no greatest, 0 and 0 if none matches.
func (d *dfa) lengths() (least, most int32) {
	live := d.live()
	if !live[0] {
		return 0, 0
	}
	// after are the live states that one more character leads to.
	k := len(d.cuts)
	after := func(s int32) []int32 {
		var out []int32
		for c, to := range d.next[int(s)*k : (int(s)+1)*k] {
			if to >= 0 && live[to] && !d.class(c).void() {
				out = append(out, to)
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	least = -1
	seen := make([]bool, len(d.final))
	seen[0] = true
	for level := []int32{0}; least < 0; most++ {
		var next []int32
		for _, s := range level {
			if d.final[s] {
				least = most
			}
			for _, to := range after(s) {
				if !seen[to] {
					seen[to] = true
					next = append(next, to)
				}
			}
		}
		level = next
	}
	// The greatest is the longest path from the start, and there is none if a path comes back to a state.
	const active = -1
	longest := make([]int32, len(d.final)) // plus one, once it is known
	type place struct {
		state int32
		after []int32
	}
	for path := []place{{0, after(0)}}; len(path) > 0; {
		top := &path[len(path)-1]
		if longest[top.state] == 0 {
			longest[top.state] = active
		}
		if len(top.after) > 0 {
			to := top.after[len(top.after)-1]
			top.after = top.after[:len(top.after)-1]
			switch longest[to] {
			case active:
				return least, unbounded
			case 0:
				path = append(path, place{to, after(to)})
			}
			continue
		}
		n := int32(1)
		for _, to := range after(top.state) {
			n = max(n, longest[to]+1)
		}
		longest[top.state] = n
		path = path[:len(path)-1]
	}
	return least, longest[0] - 1
}

// prefix returns how many characters all texts that match, which has no hopeless states, have in common at
// their beginning.
func (d *dfa) prefix() int32 {
	k, state := len(d.cuts), int32(0)
	for n := int32(0); ; n++ {
		next := int32(-1)
		for c, to := range d.next[int(state)*k : (int(state)+1)*k] {
			if r := newSet(d.class(c)); to >= 0 && len(r) > 0 {
				if next >= 0 || !r.single() {
					return n
				}
				next = to
			}
		}
		if next < 0 || d.final[state] {
			return n
		}
		state = next
	}
}

// anything reports whether every text matches, if the automaton is minimal.
func (d *dfa) anything() bool { return len(d.cuts) == 1 && d.final[0] && d.next[0] == 0 }

// isEmpty reports whether no text matches.
func (d *dfa) isEmpty() bool { return !d.live()[0] }

// matches reports whether s matches.
func (d *dfa) matches(s string) bool {
	state := int32(0)
	for _, r := range s {
		c, ok := slices.BinarySearch(d.cuts, r)
		if !ok {
			c--
		}
		if state = d.next[int(state)*len(d.cuts)+c]; state < 0 {
			return false
		}
	}
	return d.final[state]
}
