package grammar

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
		d.meter.Spend(2 * n * k)
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
