package grammar

import (
	"fmt"
	"slices"
	"sync"
)

// sparseLimit is the number of tokens up to which a mask is kept as a list.
const sparseLimit = 1 << 10

// Matcher binds a grammar to a vocabulary. It keeps what it has found out
// about the positions that texts get to for all of its states, as long as its [Memory] has room
// for it. It is safe for concurrent use.
type Matcher struct {
	vocab *Vocabulary
	// tokens are the ids of the grammar's token references; −1 for none.
	tokens []int32
	// complete: every byte that the grammar can ask for has a token of its own.
	complete bool

	mu   sync.Mutex
	e    *engine
	gen  uint32    // how often the cache was emptied
	path []*config // scratch of fill and fillWithin, by depth in the trie
	deep []*config // the same of walk
}

// maskEntry is what a group of items in an anonymous frame allows.
type maskEntry struct {
	ids  []int32  // the tokens, if few
	bits []uint64 // otherwise
	// exits are the trie nodes where the group's rule may be left and longer
	// tokens exist.
	exits []int32
	// worst is the largest cost after one of the tokens, up to the end of the rule.
	worst int64
	depth int32 // of the deepest frame on the way
}

// group is the items of a configuration that share a frame, put into the anonymous one.
type group struct {
	frame  *frame
	config *config
}

// NewMatcher binds g to v. The matcher has a memory of [DefaultMemory] of its own. The error is [ErrVocabulary] if g
// names tokens that v does not have.
func NewMatcher(g *Grammar, v *Vocabulary) (*Matcher, error) {
	return NewMemory(DefaultMemory).NewMatcher(g, v)
}

func newMatcher(g *Grammar, v *Vocabulary, memory *Memory) (*Matcher, error) {
	m := &Matcher{vocab: v, complete: true, e: newEngine(g.net, memory), path: make([]*config, v.longest+1), deep: make([]*config, v.longest+1)}
	for b, used := range g.net.used {
		m.complete = m.complete && (!used || v.single[b])
	}
	for _, t := range g.net.tokens {
		id := t.id
		if id < 0 {
			id = -1
			if v.lookup != nil {
				if found, ok := v.lookup(t.text); ok {
					id = found
				}
			}
		}
		switch {
		case t.optional && (id < 0 || len(v.bytes(id)) > 0):
			id = -1
		case id < 0:
			return nil, fmt.Errorf("%w: the grammar needs a token %q, which it does not have", ErrVocabulary, t.text)
		case int(id) >= v.Len():
			return nil, fmt.Errorf("%w: the grammar needs token %d, it has %d", ErrVocabulary, id, v.Len())
		}
		m.tokens = append(m.tokens, id)
	}
	return m, nil
}

// Vocabulary returns the matcher's vocabulary.
func (m *Matcher) Vocabulary() *Vocabulary { return m.vocab }

// Start returns the state before any text.
func (m *Matcher) Start() *State {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &State{m: m, gen: m.gen, config: m.e.start(), budget: newBudget()}
	m.e.err = nil // one configuration cannot exceed a limit that compiling did not
	return s
}

// matches reports whether token number ref of the grammar allows id. A negated
// one allows every other token that has text and does not end it.
func (m *Matcher) matches(ref, id int32) bool {
	if m.e.w.tokens[ref].negate {
		return m.tokens[ref] != id && len(m.vocab.bytes(id)) > 0
	}
	return m.tokens[ref] == id
}

// accept returns the configuration after a token that does not end the text.
func (m *Matcher) accept(c *config, id int32) *config {
	next := m.e.dead
	if text := m.vocab.bytes(id); len(text) > 0 {
		next = m.e.text(c, text)
	}
	m.e.expand(c)
	if len(c.tokens) > 0 {
		next = m.e.union(next, m.e.token(c, func(ref int32) bool { return m.matches(ref, id) }))
	}
	return next
}

// mask sets the bits of the tokens that may follow c, without those that end the
// text. It returns the largest cost after one of them, or more.
func (m *Matcher) mask(dst []uint64, c *config) (worst int64) {
	e := m.e
	if c.groups == nil {
		c.groups = m.groupsOf(c)
	}
	for _, g := range c.groups {
		entry := m.entry(g.config)
		if g.frame.depth+entry.depth >= maxDepth {
			// The anonymous frame is not as deep as this one.
			worst = max(worst, m.fill(dst, c, 0, nil))
			continue
		}
		for i, w := range entry.bits {
			dst[i] |= w
		}
		for _, id := range entry.ids {
			dst[id/64] |= 1 << (id % 64)
		}
		worst = max(worst, addCost(entry.worst, g.frame.cost))
		if len(entry.exits) == 0 {
			continue
		}
		if exit := e.exit(g.frame); exit != e.dead && len(exit.items) > 0 {
			for _, node := range entry.exits {
				worst = max(worst, m.fill(dst, exit, node, nil))
			}
		}
	}
	return max(worst, m.maskTokens(dst, c))
}

// maskTokens sets the bits of the tokens on c's token edges.
func (m *Matcher) maskTokens(dst []uint64, c *config) (worst int64) {
	m.e.expand(c)
	for _, a := range c.tokens {
		worst = max(worst, addCost(m.e.w.nodes[a.edge.to].dist, a.frame.cost))
		id := m.tokens[a.edge.token]
		if !m.e.w.tokens[a.edge.token].negate {
			if id >= 0 {
				dst[id/64] |= 1 << (id % 64)
			}
			continue
		}
		for _, other := range m.vocab.byID {
			if other != id {
				dst[other/64] |= 1 << (other % 64)
			}
		}
	}
	return worst
}

// groupsOf splits c by frame. Because a configuration is a union of
// possibilities, so is its mask.
func (m *Matcher) groupsOf(c *config) []group {
	groups := []group{}
	for i := 0; i < len(c.items); {
		j := i
		f := c.items[i].frame
		m.e.begin()
		for ; j < len(c.items) && c.items[j].frame == f; j++ {
			x := c.items[j]
			m.e.put(item{m.e.base, x.node, m.sameMask(x)})
		}
		if g := m.e.intern(); g != m.e.dead {
			groups = append(groups, group{f, g})
		}
		i = j
	}
	return groups
}

// sameMask returns a count with which the item allows the same tokens: how far away
// min and max are matters only within the longest token.
func (m *Matcher) sameMask(x item) int32 {
	r := m.e.w.nodes[x.node].repeat
	if r == nil {
		return 0
	}
	far := int32(m.vocab.longest) + 1
	toMin, toMax := max(0, r.min-x.count), r.max-x.count
	switch {
	case toMin > far:
		return 0
	case toMin == 0 && toMax > far:
		return r.min
	}
	return x.count
}

// entry returns what c, whose items are in the anonymous frame, allows.
func (m *Matcher) entry(c *config) *maskEntry {
	if c.entry != nil {
		return c.entry
	}
	bits := make([]uint64, m.vocab.MaskWords())
	entry := &maskEntry{depth: m.e.w.chain}
	entry.worst = m.fill(bits, c, 0, entry)
	if n := popCount(bits); n <= sparseLimit {
		entry.ids = slices.AppendSeq(make([]int32, 0, n), bitsOf(bits))
	} else {
		entry.bits = bits
	}
	entry.exits = slices.Clip(entry.exits)
	if m.e.err == nil {
		c.entry = entry
		m.e.grow(128 + 8*int64(len(entry.bits)) + 4*int64(len(entry.ids)+len(entry.exits)))
	}
	return entry
}

// fill sets the bits of the tokens below a trie node that may follow it, c being the
// configuration there. It returns the largest cost after one of them. If entry is not nil, it
// appends to its exits and sets its depth.
func (m *Matcher) fill(dst []uint64, c *config, root int32, entry *maskEntry) (worst int64) {
	e, trie, class := m.e, m.vocab.trie, &m.e.w.class
	m.path[trie[root].depth] = c
	visited := 0
	for i, end := root+1, trie[root].skip; i < end; {
		n := &trie[i]
		visited++
		parent := m.path[n.depth-1]
		cl := class[n.label]
		t := parent.next[cl]
		if t == nil {
			t = e.step(parent, cl)
		}
		if t == e.dead {
			i = n.skip
			continue
		}
		m.path[n.depth] = t
		if t == parent && n.skip > i+1 && !(t.end && entry != nil) && n.below&^m.loops(t) == 0 {
			// Whatever comes below leads back here.
			worst = max(worst, t.cost)
			for _, id := range m.vocab.tokensBelow(i) {
				dst[id>>6] |= 1 << (id & 63)
			}
			i = n.skip
			continue
		}
		if n.count > 0 {
			worst = max(worst, t.cost)
			for _, id := range m.vocab.byID[n.first : n.first+n.count] {
				dst[id>>6] |= 1 << (id & 63)
			}
		}
		i++
		if entry != nil {
			entry.depth = max(entry.depth, t.depth+e.w.chain)
			if t.end && n.skip > i {
				entry.exits = append(entry.exits, i-1)
			}
		}
	}
	e.charge(visited)
	return worst
}

// loops returns the groups of bytes that all lead from c to c.
func (m *Matcher) loops(c *config) groups {
	if !c.loopsKnown {
		var not groups
		for b := range 256 {
			if m.e.step(c, m.e.w.class[b]) != c {
				not |= 1 << groupOf[b]
			}
		}
		c.loops, c.loopsKnown = ^not, m.e.err == nil
	}
	return c.loops
}
