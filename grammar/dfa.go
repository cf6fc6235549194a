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
func determinize(m *meter, e *re) (*dfa, error) {
	n, err := newRENFA(e)
	if err != nil {
		return nil, err
	}
	m.spend(len(n.states))
	d := &dfa{meter: m}
	var sets []charSet
	for _, s := range n.states {
		sets = append(sets, s.set)
	}
	d.cuts = cutsOf(sets)
	index := map[string]int32{}
	var states [][]int32
	// add numbers a set of states at which a character was just consumed, or at the
	// beginning. What $ leads to matters only if nothing follows.
	add := func(from []int32, begin bool) int32 {
		set := n.closure(from, begin, false)
		m.spend(len(set))
		slices.Sort(set)
		var key []byte
		for _, s := range set {
			key = append(key, byte(s), byte(s>>8), byte(s>>16))
		}
		if begin {
			key = append(key, 0)
		}
		i, ok := index[string(key)]
		if !ok {
			i = int32(len(states))
			index[string(key)] = i
			states = append(states, set)
			d.final = append(d.final, n.accepts(n.closure(set, begin, true)))
		}
		return i
	}
	add([]int32{n.start}, true)
	raw := map[string]int32{} // next states by the states they are the closure of
	for i := 0; i < len(states); i++ {
		for _, lo := range d.cuts {
			var to []int32
			for _, s := range states[i] {
				if n.states[s].set.contains(lo) {
					to = append(to, n.states[s].out)
				}
			}
			next := int32(-1)
			if len(to) > 0 {
				slices.Sort(to)
				to = slices.Compact(to)
				var key []byte
				for _, s := range to {
					key = append(key, byte(s), byte(s>>8), byte(s>>16))
				}
				var ok bool
				if next, ok = raw[string(key)]; !ok {
					next = add(to, false)
					raw[string(key)] = next
				}
			}
			d.next = append(d.next, next)
			m.spend(len(states[i]))
		}
		if len(states) > maxDFAStates {
			return nil, fmt.Errorf("%w: the regular expression's automaton has more than %d states", ErrTooLarge, maxDFAStates)
		}
	}
	return d, nil
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
	type pair struct{ a, b int32 }
	index := map[pair]int32{{0, 0}: 0}
	states := []pair{{0, 0}}
	for i := 0; i < len(states); i++ {
		s := states[i]
		d.final = append(d.final, a.final[s.a] && b.final[s.b])
		d.meter.spend(len(d.cuts))
		for c := range d.cuts {
			to := pair{a.next[int(s.a)*len(a.cuts)+classA[c]], b.next[int(s.b)*len(b.cuts)+classB[c]]}
			next := int32(-1)
			if to.a >= 0 && to.b >= 0 {
				var ok bool
				if next, ok = index[to]; !ok {
					next = int32(len(states))
					index[to] = next
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

// minimizeLimit is the number of states up to which an automaton is minimized:
// chains take quadratic time.
const minimizeLimit = 512

// minimize returns an automaton of the same texts without hopeless states, and
// with as few states as possible if there are not too many. It is Moore's algorithm: states
// are told apart first by whether they are final, then by where they lead.
func (d *dfa) minimize() *dfa {
	n, k := len(d.final), len(d.cuts)
	live := d.live()
	if !live[0] {
		return noText()
	}
	if n > minimizeLimit {
		return d.trim(live)
	}
	block := make([]int32, n)
	for i := range block {
		switch {
		case !live[i]:
			block[i] = -1
		case d.final[i]:
			block[i] = 1
		}
	}
	blocks := 0
	for {
		d.meter.spend(2 * n * k)
		index := map[string]int32{}
		next := make([]int32, n)
		var key []byte
		for i := range n {
			if block[i] < 0 {
				next[i] = -1
				continue
			}
			key = key64(key[:0], int64(block[i]))
			for _, to := range d.next[i*k : (i+1)*k] {
				if to >= 0 {
					to = block[to]
				}
				key = key64(key, int64(to))
			}
			b, ok := index[string(key)]
			if !ok {
				b = int32(len(index))
				index[string(key)] = b
			}
			next[i] = b
		}
		block = next
		if len(index) == blocks {
			break
		}
		blocks = len(index)
	}
	// States were numbered by their first member, so the start is block 0.
	m := &dfa{meter: d.meter, cuts: d.cuts, next: make([]int32, blocks*k), final: make([]bool, blocks)}
	for i := range n {
		if b := block[i]; b >= 0 {
			m.final[b] = d.final[i]
			for c, to := range d.next[i*k : (i+1)*k] {
				if to >= 0 {
					to = block[to]
				}
				m.next[int(b)*k+c] = to
			}
		}
	}
	return m.mergeClasses()
}

// trim removes the states that are not live.
func (d *dfa) trim(live []bool) *dfa {
	k := len(d.cuts)
	number := make([]int32, len(d.final))
	n := int32(0)
	for i := range number {
		if number[i] = -1; live[i] {
			number[i] = n
			n++
		}
	}
	t := &dfa{meter: d.meter, cuts: d.cuts}
	for i, f := range d.final {
		if !live[i] {
			continue
		}
		t.final = append(t.final, f)
		for _, to := range d.next[i*k : (i+1)*k] {
			if to >= 0 {
				to = number[to]
			}
			t.next = append(t.next, to)
		}
	}
	return t
}

// mergeClasses joins neighbouring classes that lead to the same states.
func (d *dfa) mergeClasses() *dfa {
	k := len(d.cuts)
	var keep []int
	for c := range k {
		if c > 0 {
			same := true
			for s := 0; s < len(d.final) && same; s++ {
				same = d.next[s*k+c] == d.next[s*k+c-1]
			}
			if same {
				continue
			}
		}
		keep = append(keep, c)
	}
	m := &dfa{meter: d.meter, final: d.final}
	for _, c := range keep {
		m.cuts = append(m.cuts, d.cuts[c])
	}
	for s := range d.final {
		for _, c := range keep {
			m.next = append(m.next, d.next[s*k+c])
		}
	}
	return m
}

// live reports which states can lead to a final one.
func (d *dfa) live() []bool {
	k := len(d.cuts)
	d.meter.spend(len(d.next))
	from := make([][]int32, len(d.final))
	for i, to := range d.next {
		if r := d.class(i % k); to >= 0 && len(newSet(r)) > 0 {
			from[to] = append(from[to], int32(i/k))
		}
	}
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
		for _, p := range from[s] {
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
	k := len(d.cuts)
	// The states by how many characters have been read; more than there are states
	// need a loop.
	now := map[int32]bool{0: true}
	least = -1
	for n := int32(0); int(n) <= len(d.final) && len(now) > 0; n++ {
		next := map[int32]bool{}
		d.meter.spend(len(now) * k)
		for s := range now {
			if d.final[s] {
				if most = n; least < 0 {
					least = n
				}
			}
			for _, to := range d.next[int(s)*k : (int(s)+1)*k] {
				if to >= 0 && live[to] {
					next[to] = true
				}
			}
		}
		now = next
	}
	if len(now) > 0 {
		most = unbounded
	}
	return least, most
}

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

// expr returns the texts that match; chars gives the form in which a character
// appears in the text.
func (d *dfa) expr(chars func(charSet) *expr) *expr {
	k := len(d.cuts)
	d.meter.spend(len(d.next))
	g := &graph{nodes: len(d.final)}
	cache := map[string]*expr{}
	for s, f := range d.final {
		if f {
			g.final = append(g.final, s)
		}
		to := map[int32][]runeRange{}
		var order []int32
		for c, t := range d.next[s*k : (s+1)*k] {
			if t >= 0 {
				if to[t] == nil {
					order = append(order, t)
				}
				to[t] = append(to[t], d.class(c))
			}
		}
		for _, t := range order {
			set := newSet(to[t]...)
			var key []byte
			for _, r := range set {
				key = key64(key, int64(r.lo), int64(r.hi))
			}
			e, ok := cache[string(key)]
			if !ok {
				e = chars(set)
				cache[string(key)] = e
			}
			g.edge(s, int(t), e)
		}
	}
	return graphExpr(g)
}
