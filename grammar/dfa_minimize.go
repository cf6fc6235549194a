package grammar

import "slices"

// minimize returns an automaton of the same texts without hopeless states, and with as few states as possible. It is
// Hopcroft's algorithm, for automata whose states lead nowhere with some characters: states are told apart first by
// whether they are final, then by which of them lead to the states of a block.
func (d *dfa) minimize() *dfa {
	live := d.live()
	if !live[0] {
		return noText()
	}
	d = d.trim(live)
	n, k := len(d.final), len(d.cuts)
	d.meter.Spend(n * k)
	p := newPartition(d.final)
	// Which states lead to a state with a class of characters.
	ends := make([]int32, n*k+1)
	for i, to := range d.next {
		if to >= 0 {
			ends[int(to)*k+i%k+1]++
		}
	}
	for i := range n * k {
		ends[i+1] += ends[i]
	}
	from := make([]int32, ends[n*k])
	filled := slices.Clone(ends)
	for i, to := range d.next {
		if to >= 0 {
			at := &filled[int(to)*k+i%k]
			from[*at] = int32(i / k)
			*at++
		}
	}
	var members []int32
	for len(p.todo) > 0 {
		b := p.todo[len(p.todo)-1]
		p.todo = p.todo[:len(p.todo)-1]
		members = append(members[:0], p.states[p.first[b]:p.end[b]]...)
		d.meter.Spend(len(members))
		for c := range k {
			for _, s := range members {
				leading := from[ends[int(s)*k+c]:ends[int(s)*k+c+1]]
				d.meter.Spend(len(leading))
				for _, x := range leading {
					p.mark(x)
				}
			}
			p.split()
		}
	}
	// Blocks are numbered by their first member, so the start is block 0.
	number := make([]int32, len(p.first))
	blocks := 0
	block := make([]int32, n)
	for i := range block {
		b := &number[p.block[i]]
		if *b == 0 {
			blocks++
			*b = int32(blocks)
		}
		block[i] = *b - 1
	}
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

// partition is states in blocks, some of whose states are marked.
type partition struct {
	states, at []int32 // by block; where a state is
	block      []int32 // of a state
	first, end []int32 // of a block's states
	marked     []int32 // how many of them are marked, which come first
	touched    []int32 // blocks with marked states
	todo       []int32 // blocks that others have not been told apart by
}

// newPartition has a block of the final states, and one of the others.
func newPartition(final []bool) *partition {
	p := &partition{block: make([]int32, len(final)), at: make([]int32, len(final))}
	for _, kind := range []bool{false, true} {
		first := int32(len(p.states))
		for i, f := range final {
			if f == kind {
				p.block[i], p.at[i] = int32(len(p.first)), int32(len(p.states))
				p.states = append(p.states, int32(i))
			}
		}
		if end := int32(len(p.states)); end > first {
			p.add(first, end)
		}
	}
	return p
}

// add adds a block, which is to do.
func (p *partition) add(first, end int32) {
	p.todo = append(p.todo, int32(len(p.first)))
	p.first, p.end, p.marked = append(p.first, first), append(p.end, end), append(p.marked, 0)
}

// mark moves a state to the marked ones of its block.
func (p *partition) mark(s int32) {
	b := p.block[s]
	to := p.first[b] + p.marked[b]
	if p.at[s] < to {
		return // it is marked
	}
	if p.marked[b] == 0 {
		p.touched = append(p.touched, b)
	}
	p.marked[b]++
	other := p.states[to]
	p.states[to], p.states[p.at[s]] = s, other
	p.at[other], p.at[s] = p.at[s], to
}

// split makes the smaller part of each block with marked and other states a block of its own, and forgets the marks.
func (p *partition) split() {
	for _, b := range p.touched {
		first, middle, end := p.first[b], p.first[b]+p.marked[b], p.end[b]
		p.marked[b] = 0
		if middle == end {
			continue
		}
		fresh := int32(len(p.first))
		if middle-first <= end-middle {
			p.first[b] = middle
			p.add(first, middle)
		} else {
			p.end[b] = middle
			p.add(middle, end)
		}
		for _, s := range p.states[p.first[fresh]:p.end[fresh]] {
			p.block[s] = fresh
		}
	}
	p.touched = p.touched[:0]
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
	if int(n) == len(live) {
		return d
	}
	t := &dfa{meter: d.meter, cuts: d.cuts, next: make([]int32, 0, int(n)*k), final: make([]bool, 0, n)}
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
	if len(keep) == k {
		return d
	}
	m := &dfa{meter: d.meter, final: d.final, next: make([]int32, 0, len(d.final)*len(keep))}
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
