package grammar

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

const (
	// neverEnds is the number of steps where no tokens complete the text.
	neverEnds = math.MaxInt32 - 1
	// searchCost is the cost up to which the tokens of a completion are
	// searched for; beyond, its bytes count as tokens.
	searchCost = 4096
	// searchWork bounds one search, in tokens, and searchConfigs in configurations.
	searchWork    = 1 << 22
	searchConfigs = 1 << 12
	// longestCompletion is the longest completion that is written out.
	longestCompletion = 1 << 20
)

// MaskWithin is [State.Mask] for a text that may have only left more tokens, not
// counting one that ends it: it allows only tokens after which some completion fits into
// left−1 tokens. If no completion fits into left tokens, fits is false and dst is as from
// Mask; the text will be cut.
//
// Lengths are those of the shortest completions in bytes, written with as few
// tokens as possible (where they have more than 4,096 bytes: one token per byte). So
// a text that is steered by MaskWithin from its start on is complete in time if fits was true
// at the start.
func (s *State) MaskWithin(dst []uint64, left int) (fits bool, err error) {
	if err := s.checkMask(dst); err != nil {
		return false, err
	}
	if s.ended {
		return true, nil
	}
	s.begin()
	fits = s.m.maskWithin(dst, s.config, int64(left))
	s.maskEOG(dst)
	return fits, s.finish()
}

// MinTokensToEnd returns into how few tokens the shortest completion (in bytes)
// fits, 0 if the text is complete. The error is [ErrNoCompletion] if the vocabulary
// lacks the bytes to complete the text, or [ErrLimit].
func (s *State) MinTokensToEnd() (int64, error) {
	if s.ended {
		return 0, nil
	}
	s.begin()
	n := s.m.steps(s.config)
	if err := s.finish(); err != nil {
		return 0, err
	}
	if n >= neverEnds {
		return 0, fmt.Errorf("%w: the vocabulary cannot write one", ErrNoCompletion)
	}
	return n, nil
}

// ShortestCompletion returns a completion of [State.MinTokensToEnd] tokens, and
// their bytes. The errors are those of MinTokensToEnd, and [ErrLimit] if it has more than 1 MiB.
func (s *State) ShortestCompletion() (text []byte, tokens []int32, err error) {
	if s.ended {
		return nil, nil, nil
	}
	s.begin()
	text, tokens, err = s.m.completion(s.config)
	if limit := s.finish(); limit != nil {
		return nil, nil, limit
	}
	return text, tokens, err
}

func (m *Matcher) maskWithin(dst []uint64, c *config, left int64) (fits bool) {
	if left <= 0 {
		return c.end
	}
	worst := m.mask(dst, c)
	if m.complete && worst < left || c.worst > 0 && int64(c.worst)-1 < left {
		return true
	}
	if m.steps(c) > left {
		return false
	}
	clear(dst)
	m.fillWithin(dst, c, left-1)
	return true
}

// fillWithin sets the bits of the tokens that leave at most left steps.
func (m *Matcher) fillWithin(dst []uint64, c *config, left int64) {
	var worst, steps int64
	var last *config
	judge := func(t *config) bool {
		if t != last {
			last = t
			switch {
			case m.complete && t.cost <= left:
				steps = t.cost // at most
			case t.cost > left*int64(m.vocab.longest):
				steps = neverEnds // too many
			default:
				steps = m.steps(t)
			}
			worst = max(worst, steps)
		}
		return steps <= left
	}
	m.successors(m.path, c, nil, func(ids []int32, t *config) {
		if judge(t) {
			for _, id := range ids {
				dst[id>>6] |= 1 << (id & 63)
			}
		}
	})
	if worst < neverEnds && m.e.err == nil {
		c.worst = int32(worst) + 1
	}
}

// successors calls yield with the tokens that may follow c and the configuration
// after them. With descend, only bytes to where it returns true are followed; depth is the
// number of bytes since c.
func (m *Matcher) successors(path []*config, c *config, descend func(t *config, depth int64) bool, yield func(ids []int32, t *config)) {
	m.e.expand(c)
	if len(c.tokens) > 0 {
		m.successorsByToken(c, yield)
		return
	}
	e, trie, class := m.e, m.vocab.trie, &m.e.w.class
	path[0] = c
	for i := int32(1); i < int32(len(trie)); {
		n := &trie[i]
		e.charge(1)
		t := e.step(path[n.depth-1], class[n.label])
		if t == e.dead || descend != nil && !descend(t, int64(n.depth)) {
			i = n.skip
			continue
		}
		path[n.depth] = t
		if n.count > 0 {
			yield(m.vocab.byID[n.first:n.first+n.count], t)
		}
		i++
	}
}

// successorsByToken is successors where c has token edges, so that a token may
// mean more than its bytes.
func (m *Matcher) successorsByToken(c *config, yield func(ids []int32, t *config)) {
	ids := slices.Clone(m.vocab.byID)
	for _, a := range c.tokens {
		if id := m.tokens[a.edge.token]; id >= 0 && len(m.vocab.bytes(id)) == 0 {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		m.e.charge(1)
		if t := m.accept(c, id); t != m.e.dead {
			yield([]int32{id}, t)
		}
	}
}

// cheaper calls yield with the tokens every byte of which is on a cheapest way to the
// end.
func (m *Matcher) cheaper(c *config, yield func(ids []int32, t *config)) {
	m.successors(m.deep, c,
		func(t *config, depth int64) bool { return t.cost == c.cost-depth },
		func(ids []int32, t *config) {
			if t.cost < c.cost {
				yield(ids, t)
			}
		})
}

// steps returns how many tokens the cheapest completion of c needs, neverEnds or more
// if there is none.
func (m *Matcher) steps(c *config) int64 {
	switch {
	case c.end:
		return 0
	case c.steps > 0:
		return int64(c.steps) - 1
	case c.cost <= searchCost:
		if !m.search(c) {
			break
		}
		if c.steps-1 < neverEnds {
			return int64(c.steps) - 1
		}
	}
	if m.complete {
		return min(c.cost, neverEnds-1)
	}
	m.searchAll(c)
	return int64(c.steps) - 1
}

// search computes the steps of c and of all configurations on its cheapest ways to the
// end. It returns false if that is too much work.
func (m *Matcher) search(c *config) bool {
	index := map[*config]int{c: 0}
	order := []*config{c}
	var after [][]int32
	work := 0
	for i := 0; i < len(order); i++ {
		var to []int32
		if x := order[i]; !x.end && x.steps == 0 {
			last := int32(-1)
			m.cheaper(x, func(_ []int32, t *config) {
				j, ok := index[t]
				if !ok {
					j = len(order)
					index[t] = j
					order = append(order, t)
				}
				if int32(j) != last {
					last = int32(j)
					to = append(to, last)
				}
				work++
			})
		}
		after = append(after, to)
		if len(order) > searchConfigs || work > searchWork || m.e.err != nil {
			return false
		}
	}
	sorted := make([]int, len(order))
	for i := range sorted {
		sorted[i] = i
	}
	sort.Slice(sorted, func(i, j int) bool { return order[sorted[i]].cost < order[sorted[j]].cost })
	for _, i := range sorted {
		x := order[i]
		switch {
		case x.steps > 0:
		case x.end:
			x.steps = 1
		default:
			best := int32(neverEnds)
			for _, j := range after[i] {
				best = min(best, order[j].steps) // already the steps, + 1
			}
			x.steps = min(best+1, neverEnds+1)
		}
	}
	return true
}

// searchAll looks for the fewest tokens to the end, whatever their bytes. It is
// for vocabularies that cannot write every byte.
func (m *Matcher) searchAll(c *config) {
	from := map[*config]*config{c: nil}
	work := 0
	var found *config
	for level := []*config{c}; len(level) > 0 && found == nil && work < searchWork; {
		var next []*config
		for _, x := range level {
			m.successors(m.deep, x, nil, func(ids []int32, t *config) {
				work += len(ids)
				if _, ok := from[t]; !ok {
					from[t] = x
					next = append(next, t)
					if t.end && found == nil {
						found = t
					}
				}
			})
			if found != nil || m.e.err != nil || work >= searchWork {
				break
			}
		}
		level = next
	}
	c.steps = neverEnds + 1
	steps := int32(1)
	for x := found; x != nil; x = from[x] {
		x.steps = steps
		steps++
	}
}

// completion writes the cheapest completion of c.
func (m *Matcher) completion(c *config) (text []byte, tokens []int32, err error) {
	if m.steps(c) >= neverEnds {
		return nil, nil, fmt.Errorf("%w: the vocabulary cannot write one", ErrNoCompletion)
	}
	if c.cost > longestCompletion {
		return nil, nil, fmt.Errorf("%w: the shortest completion has %d bytes", ErrLimit, c.cost)
	}
	for !c.end && m.e.err == nil {
		var next *config
		var id int32
		best := int64(math.MaxInt64)
		choose := func(ids []int32, t *config) {
			// Where tokens were not searched for, the longest one is as good as any.
			n := t.cost
			if c.cost <= searchCost {
				n = m.stepsKnown(t)
			}
			if n < best {
				best, next, id = n, t, ids[0]
			}
		}
		m.successors(m.path, c, func(t *config, depth int64) bool { return t.cost == c.cost-depth }, func(ids []int32, t *config) {
			if t.cost < c.cost {
				choose(ids, t)
			}
		})
		if c.steps > 0 && best != int64(c.steps)-2 {
			m.successors(m.path, c, nil, choose)
		}
		if next == nil {
			return nil, nil, fmt.Errorf("%w: the vocabulary cannot write one", ErrNoCompletion)
		}
		text = append(text, m.vocab.bytes(id)...)
		tokens = append(tokens, id)
		c = next
	}
	return text, tokens, nil
}

// stepsKnown is steps for a configuration that a search has met.
func (m *Matcher) stepsKnown(c *config) int64 {
	switch {
	case c.end:
		return 0
	case c.steps > 0:
		return int64(c.steps) - 1
	case m.complete:
		return min(c.cost, neverEnds-1)
	}
	return neverEnds
}
