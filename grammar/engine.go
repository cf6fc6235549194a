package grammar

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"sync/atomic"
)

const (
	// maxItems bounds the items of a configuration and the returns of a frame.
	maxItems = 1 << 12
	// maxDepth bounds how deeply calls nest: beyond it only the way to the
	// cheapest completion is followed.
	maxDepth = 4096
	// maxWork bounds the items and edges that one operation follows, to less than
	// about a quarter of a second.
	maxWork = 1 << 22
	// textWork bounds what all operations on one text follow. Every token that is
	// accepted adds tokenWork, but no more than there was at the start.
	textWork  = 1 << 23
	tokenWork = 1 << 19
)

// frame is an activation of a rule: the places to go on at after its end. Equal
// frames are the same object.
type frame struct {
	id    uint64
	conts []cont
	cost  int64 // the least cost after the end of the rule
	depth int32
	exits *config // the configuration at the end of the rule
}

// cont is a place to return to. If ret is a repeat node, count is its new count.
type cont struct {
	parent     *frame
	ret, count int32
}

// item is a node that reading the text may have led to.
type item struct {
	frame       *frame
	node, count int32
}

func compareItems(a, b item) int {
	return cmp.Or(cmp.Compare(a.frame.id, b.frame.id), cmp.Compare(a.node, b.node), cmp.Compare(a.count, b.count))
}

// config is a position in a text: everything that decides what may follow. Equal
// configurations are the same object.
type config struct {
	items []item // sorted
	end   bool   // the text is complete here (of an anonymous frame's rule: it ends here)
	cost  int64  // the least cost of a completion
	depth int32  // the deepest frame of items

	// next is indexed by byte class; nil means not computed. It is shared and all
	// nil until the first one is.
	next     []*config
	active   []active // set once expanded is
	tokens   []activeToken
	expanded bool

	loops      groups // groups of bytes that lead back here
	loopsKnown bool

	groups []group    // for masks; nil means not computed
	entry  *maskEntry // if this is a group's configuration
	steps  int32      // tokens to the end, + 1; 0 means not computed
	// worst is the largest steps after one more token, + 1, where known.
	worst int32
}

// active is a node some of whose edges consume a byte.
type active struct {
	frame *frame
	node  int32
}

type activeToken struct {
	frame *frame
	edge  tokenEdge
}

// engine follows texts through a network. It is not safe for concurrent use.
type engine struct {
	w       *network
	base    *frame // of the root, and the anonymous frame of groups
	dead    *config
	nilNext []*config

	seed    maphash.Seed
	frames  map[uint64][]*frame
	configs map[uint64][]*config
	nextID  uint64
	memory  *Memory
	mem     int64         // bytes, roughly
	kept    *atomic.Int64 // mem, as far as memory has heard of it
	// err is why the current operation cannot go on. Once it is set every step
	// leads to dead, and nothing is remembered.
	err    error
	work   int     // items and edges followed in the current operation
	budget *budget // of the text that is followed; nil: none

	// Scratch of add and intern.
	items  []item
	popped []*frame
	end    bool
	seen   map[item]struct{}
	seenP  map[*frame]struct{}
	// Scratch of expand.
	calls   rankHeap
	pending map[int32]*[]cont
}

func newEngine(w *network, memory *Memory) *engine {
	e := &engine{w: w, memory: memory, kept: new(atomic.Int64), seed: maphash.MakeSeed(), nextID: 1}
	e.base = &frame{}
	e.dead = &config{cost: maxCost}
	e.nilNext = make([]*config, w.classes)
	e.seen = map[item]struct{}{}
	e.seenP = map[*frame]struct{}{}
	e.pending = map[int32]*[]cont{}
	e.calls.rules = w.rules
	e.reset()
	return e
}

// reset forgets all frames and configurations. Those still in use stay valid, but are
// no longer equal to new ones.
func (e *engine) reset() {
	e.frames = map[uint64][]*frame{}
	e.configs = map[uint64][]*config{}
	e.base.exits = nil
	e.mem = 0
	e.tell()
}

// start returns the configuration before any text.
func (e *engine) start() *config {
	e.begin()
	e.add(e.w.rules[0].start, e.base)
	return e.intern()
}

// step returns the configuration after a byte of class cl, or dead.
func (e *engine) step(c *config, cl uint8) *config {
	if c == e.dead {
		return c
	}
	if t := c.next[cl]; t != nil {
		return t
	}
	if e.err != nil {
		return e.dead
	}
	e.expand(c)
	e.begin()
	for _, a := range c.active {
		n := &e.w.nodes[a.node]
		for _, edge := range n.edges {
			if edge.lo > cl {
				break
			}
			e.charge(1)
			if edge.hi >= cl && (a.frame.depth < maxDepth || e.w.nodes[edge.to].dist < n.dist) {
				e.add(edge.to, a.frame)
			}
		}
	}
	t := e.intern()
	if e.err != nil {
		return e.dead
	}
	if &c.next[0] == &e.nilNext[0] {
		c.next = make([]*config, e.w.classes)
		e.grow(8 * int64(e.w.classes))
	}
	c.next[cl] = t
	return t
}

// text returns the configuration after several bytes.
func (e *engine) text(c *config, text []byte) *config {
	for _, b := range text {
		c = e.step(c, e.w.class[b])
	}
	return c
}

// token returns the configuration after taking token edges of c that match.
func (e *engine) token(c *config, match func(token int32) bool) *config {
	e.expand(c)
	e.begin()
	for _, a := range c.tokens {
		if match(a.edge.token) {
			e.add(a.edge.to, a.frame)
		}
	}
	return e.intern()
}

// union returns the configuration that is in any of the two.
func (e *engine) union(a, b *config) *config {
	switch {
	case a == e.dead:
		return b
	case b == e.dead:
		return a
	}
	e.begin()
	e.end = a.end || b.end
	for _, c := range []*config{a, b} {
		for _, x := range c.items {
			e.put(x)
		}
	}
	return e.intern()
}

// exit returns the configuration at the end of f's rule.
func (e *engine) exit(f *frame) *config {
	if f == e.base {
		return e.dead
	}
	if f.exits == nil {
		e.begin()
		e.pop(f)
		c := e.intern()
		if e.err != nil {
			return e.dead
		}
		f.exits = c
	}
	return f.exits
}

// begin starts to collect the items of a configuration.
func (e *engine) begin() {
	e.items, e.popped, e.end = e.items[:0], e.popped[:0], false
	clear(e.seen)
	clear(e.seenP)
}

// add collects node n in frame f and all that follows without consuming anything.
func (e *engine) add(n int32, f *frame) {
	node := &e.w.nodes[n]
	if (node.kept() || len(node.repeats) > 0) && !e.put(item{f, n, 0}) {
		return
	}
	for _, r := range node.repeats {
		e.addRepeat(r, f, 0)
	}
	if node.final {
		e.pop(f)
	}
}

// addRepeat collects a repeat node after count rounds.
func (e *engine) addRepeat(n int32, f *frame, count int32) {
	r := e.w.nodes[n].repeat
	if !e.put(item{f, n, count}) {
		return
	}
	if count >= r.min {
		e.add(r.exit, f)
	}
}

// pop leaves f's rule.
func (e *engine) pop(f *frame) {
	if f == e.base {
		e.end = true
		return
	}
	if len(e.popped) < 16 {
		if slices.Contains(e.popped, f) {
			return
		}
	} else {
		if len(e.popped) == 16 {
			for _, x := range e.popped {
				e.seenP[x] = struct{}{}
			}
		}
		if _, ok := e.seenP[f]; ok {
			return
		}
		e.seenP[f] = struct{}{}
	}
	e.popped = append(e.popped, f)
	for _, c := range f.conts {
		if e.w.nodes[c.ret].repeat != nil {
			e.addRepeat(c.ret, c.parent, c.count)
		} else {
			e.add(c.ret, c.parent)
		}
	}
}

// put collects an item and reports whether it is new.
func (e *engine) put(x item) bool {
	if e.charge(1); e.err != nil {
		return false
	}
	if len(e.items) < 16 {
		if slices.Contains(e.items, x) {
			return false
		}
	} else {
		if len(e.items) == 16 {
			for _, y := range e.items {
				e.seen[y] = struct{}{}
			}
		}
		if _, ok := e.seen[x]; ok {
			return false
		}
		if len(e.items) >= maxItems {
			e.fail("more than %d ways to read the text", maxItems)
			return false
		}
		e.seen[x] = struct{}{}
	}
	e.items = append(e.items, x)
	return true
}

// budget is the work that following one text may still take. The matcher's lock
// guards it.
type budget struct{ left int }

func newBudget() *budget { return &budget{textWork} }

// earn adds what an accepted token is worth.
func (b *budget) earn() { b.left = min(b.left+tokenWork, textWork) }

// charge counts work.
func (e *engine) charge(n int) {
	if e.work += n; e.work > maxWork {
		e.fail("following it takes too long")
	}
	if e.budget != nil {
		if e.budget.left -= n; e.budget.left < 0 {
			e.fail("following it takes too long")
		}
	}
}

func (e *engine) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf("%w: "+format, append([]any{ErrLimit}, args...)...)
	}
}

// intern returns the configuration of the collected items, or dead. Items that
// can consume nothing were collected only to meet them once.
func (e *engine) intern() *config {
	e.items = slices.DeleteFunc(e.items, func(x item) bool {
		n := &e.w.nodes[x.node]
		return !n.kept() || n.repeat != nil && x.count >= n.repeat.max
	})
	if e.err != nil || len(e.items) == 0 && !e.end {
		return e.dead
	}
	e.charge(len(e.items))
	slices.SortFunc(e.items, compareItems)
	var h maphash.Hash
	h.SetSeed(e.seed)
	if e.end {
		h.WriteByte(1)
	}
	for _, x := range e.items {
		writeHash(&h, x.frame.id, x.node, x.count)
	}
	sum := h.Sum64()
	for _, c := range e.configs[sum] {
		if c.end == e.end && slices.Equal(c.items, e.items) {
			return c
		}
	}
	c := &config{items: slices.Clone(e.items), end: e.end, next: e.nilNext, cost: maxCost}
	if c.end {
		c.cost = 0
	}
	for _, x := range c.items {
		c.depth = max(c.depth, x.frame.depth)
		c.cost = min(c.cost, addCost(e.w.costAt(&e.w.nodes[x.node], x.count), x.frame.cost))
	}
	e.configs[sum] = append(e.configs[sum], c)
	e.grow(256 + 24*int64(len(c.items)))
	return c
}

func writeHash(h *maphash.Hash, id uint64, a, b int32) {
	var buf [16]byte
	for i := range 8 {
		buf[i] = byte(id >> (8 * i))
	}
	for i := range 4 {
		buf[8+i] = byte(a >> (8 * i))
		buf[12+i] = byte(b >> (8 * i))
	}
	h.Write(buf[:])
}

// sortConts sorts conts and removes duplicates.
func sortConts(conts []cont) []cont {
	slices.SortFunc(conts, func(a, b cont) int {
		return cmp.Or(cmp.Compare(a.parent.id, b.parent.id), cmp.Compare(a.ret, b.ret), cmp.Compare(a.count, b.count))
	})
	return slices.Compact(conts)
}

// internFrame returns the frame that returns to conts, which it sorts.
func (e *engine) internFrame(conts []cont) *frame {
	e.charge(len(conts))
	conts = sortConts(conts)
	if len(conts) > maxItems {
		e.fail("more than %d ways to read the text", maxItems)
		conts = conts[:maxItems]
	}
	var h maphash.Hash
	h.SetSeed(e.seed)
	for _, c := range conts {
		writeHash(&h, c.parent.id, c.ret, c.count)
	}
	sum := h.Sum64()
	for _, f := range e.frames[sum] {
		if slices.Equal(f.conts, conts) {
			return f
		}
	}
	f := &frame{id: e.nextID, conts: slices.Clone(conts), cost: maxCost}
	e.nextID++
	for _, c := range conts {
		f.cost = min(f.cost, addCost(e.w.costAt(&e.w.nodes[c.ret], c.count), c.parent.cost))
		f.depth = max(f.depth, c.parent.depth+1)
	}
	e.frames[sum] = append(e.frames[sum], f)
	e.grow(160 + 16*int64(len(conts)))
	return f
}

// migrate makes a configuration from before a reset equal to new ones.
func (e *engine) migrate(c *config) *config {
	if c == e.dead {
		return c
	}
	frames := map[*frame]*frame{e.base: e.base}
	var move func(f *frame) *frame
	move = func(f *frame) *frame {
		if g, ok := frames[f]; ok {
			return g
		}
		conts := slices.Clone(f.conts)
		for i := range conts {
			conts[i].parent = move(conts[i].parent)
		}
		g := e.internFrame(conts)
		frames[f] = g
		return g
	}
	items := make([]item, len(c.items))
	for i, x := range c.items {
		items[i] = item{move(x.frame), x.node, x.count}
	}
	e.begin()
	e.end = c.end
	for _, x := range items {
		e.put(x)
	}
	return e.intern()
}
