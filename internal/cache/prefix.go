package cache

import (
	"hash/maphash"

	"trit/internal/kernel"
)

// The prefix index is a radix tree over token ids whose digits are whole pages:
// an edge is the PageTokens tokens of one page, a node the page that holds
// their keys and values behind the tokens on the way from the root. A table
// that runs a sequence looks there for pages that somebody has filled before.
//
// The index never owns a page. A page that it knows and that no table refers
// to is unreferenced memory like a free page, only that its contents are still
// good for something: it can be taken up again by its tokens, until the pool
// needs the page, least recently used first. A page in the index is never
// written to.

// PrefixStats describe the prefix index of a pool.
type PrefixStats struct {
	// Pages are known to the index; Unreferenced of them belong to no table
	// and can be evicted.
	Pages        int
	Unreferenced int
	// Evicted counts the pages that had to give way.
	Evicted int64
}

// edge is the way from a node to its child. Nodes are named by a serial number
// rather than by their page, so that an edge can never lead on from a page that
// was evicted and used again.
type edge struct {
	parent uint64 // 0 is the root, and what has the highest bit that of a salt
	tokens [kernel.PageTokens]int32
}

// node is what the index knows of a page. While the page is unreferenced it is
// in the list of evictable pages, between its neighbours.
type node struct {
	serial       uint64 // 0: the page is not in the index
	edge         edge
	older, newer Page
	since        uint64 // when it came into the list
	snapshot     State  // behind the page, whether it is in the index or not
}

// none is no page.
const none Page = -1

// prefixIndex is the index of one pool.
type prefixIndex struct {
	limit  int // unreferenced pages at most; 0 turns the index off
	pages  map[edge]Page
	found  []Page // memory of known
	nodes  []node // by page
	serial uint64
	seed   maphash.Seed // of salts: nobody can find two that are one

	oldest, newest Page // ends of the list of unreferenced pages
	unreferenced   int
	clock          uint64 // of the list, and that of parts for windows
	snapshots      int    // of unreferenced pages
	evicted        int64
}

func newPrefixIndex(limit int) *prefixIndex {
	return &prefixIndex{limit: limit, pages: map[edge]Page{}, seed: maphash.MakeSeed(), oldest: none, newest: none}
}

// Adopt takes pages from the prefix index. The table's positions hold the first
// tokens; as far as the index knows pages with the tokens that follow,
// the table refers to them and grows, to limit positions at most. A last page that
// is not full gives way to a full one. Of a model with state the table grows up to
// a snapshot of it, and with sliding windows to where there is all that they show.
// Adopt returns the number of positions then stored.
func (t *Table) Adopt(tokens []int32, limit int) int {
	known := t.known(tokens)
	first, n := t.n/kernel.PageTokens, len(known)
	if t.pool.config.StateSize > 0 {
		n = t.adoptState(known, limit)
	}
	if limit = t.seen(known, min(limit, (first+n)*kernel.PageTokens)); limit <= t.n {
		return t.n
	}
	low := t.pool.config.shows(limit)
	known = known[:pagesFor(limit)-first]
	for i, page := range known { // before anything is given back, which may let others go
		t.pool.Retain(page)
		if first+i >= low {
			t.pool.hold(page)
		}
	}
	t.shrink(first)
	t.slideTo(min(low, first))
	t.pages = append(t.pages, known...)
	t.low, t.n = low, limit
	return t.n
}

// SetSalt keeps the pages of an empty table apart, in the prefix index, from those of tables
// with another salt. The empty salt is that of all tables. Pages with a salt are not saved.
func (t *Table) SetSalt(salt string) {
	t.root = 0
	if salt != "" {
		t.root = 1<<63 | maphash.String(t.pool.prefix.seed, salt) // no page has such a number
	}
}

// Root tells the salts of tables apart.
func (t *Table) Root() uint64 { return t.root }

// known returns the pages of the index that go on where the table's full pages end.
// They are valid until the next call.
func (t *Table) known(tokens []int32) []Page {
	x := t.pool.prefix
	found := x.found[:0]
	i, parent := t.n/kernel.PageTokens, t.root
	if i > 0 {
		if parent = x.nodes[t.pages[i-1]].serial; parent == 0 {
			return nil
		}
	}
	for ; (i+1)*kernel.PageTokens <= len(tokens); i++ {
		page, ok := x.pages[makeEdge(parent, tokens, i)]
		if !ok {
			break
		}
		found, parent = append(found, page), x.nodes[page].serial
	}
	x.found = found
	return found
}

// Index makes the table's full pages known to the prefix index. tokens holds the
// tokens of all stored positions. Where the index already has a page with the
// same tokens, the table refers to that one and gives its own back.
func (t *Table) Index(tokens []int32) {
	x := t.pool.prefix
	if x.limit == 0 {
		return
	}
	parent := t.root
	for i := range t.n / kernel.PageTokens {
		page := t.pages[i]
		if n := &x.nodes[page]; n.serial == 0 || n.edge.parent != parent {
			e := makeEdge(parent, tokens, i)
			if known, ok := x.pages[e]; ok {
				t.pool.Retain(known)
				if i >= t.low && !t.pool.moveWindow(known, page) {
					t.pool.Release(known)
					return // there is no room
				}
				t.pool.moveSnapshot(known, page)
				t.pool.Release(page)
				t.pages[i] = known
				page = known
			} else {
				x.remove(page)
				x.add(page, e)
			}
		}
		parent = x.nodes[page].serial
	}
}

// ForgetPrefixes empties the prefix index. Pages that no table refers to become
// free.
func (p *Pool) ForgetPrefixes() {
	x := p.prefix
	for x.oldest != none {
		p.freeOldest()
	}
	for page := range x.nodes {
		x.remove(Page(page))
	}
	for p.windows.kept > 0 {
		p.freeOldestWindow()
	}
}

// PrefixStats returns counts of the prefix index.
func (p *Pool) PrefixStats() PrefixStats {
	return PrefixStats{Pages: len(p.prefix.pages), Unreferenced: p.prefix.unreferenced, Evicted: p.prefix.evicted}
}

// makeEdge returns the edge of page i of a sequence.
func makeEdge(parent uint64, tokens []int32, i int) edge {
	return edge{parent, [kernel.PageTokens]int32(tokens[i*kernel.PageTokens:])}
}

// add puts a page that a table refers to into the index.
func (x *prefixIndex) add(page Page, e edge) {
	x.serial++
	x.nodes[page] = node{serial: x.serial, edge: e, older: none, newer: none, snapshot: x.nodes[page].snapshot}
	x.pages[e] = page
}

// remove forgets a page that is not in the list of unreferenced pages.
func (x *prefixIndex) remove(page Page) {
	if n := &x.nodes[page]; n.serial != 0 {
		delete(x.pages, n.edge)
		*n = node{older: none, newer: none, snapshot: n.snapshot}
	}
}

// has reports whether a page is in the index.
func (x *prefixIndex) has(page Page) bool { return x.nodes[page].serial != 0 }

// push appends a page to the list of unreferenced pages, as the newest.
func (x *prefixIndex) push(page Page) {
	n := &x.nodes[page]
	x.clock++
	n.older, n.newer, n.since = x.newest, none, x.clock
	if x.newest == none {
		x.oldest = page
	} else {
		x.nodes[x.newest].newer = page
	}
	x.newest = page
	x.unreferenced++
	if n.snapshot != NoState {
		x.snapshots++
	}
}

// unlink takes a page out of the list.
func (x *prefixIndex) unlink(page Page) {
	n := &x.nodes[page]
	if n.older == none {
		x.oldest = n.newer
	} else {
		x.nodes[n.older].newer = n.newer
	}
	if n.newer == none {
		x.newest = n.older
	} else {
		x.nodes[n.newer].older = n.older
	}
	n.older, n.newer = none, none
	x.unreferenced--
	if n.snapshot != NoState {
		x.snapshots--
	}
}

// freeOldest forgets the page that was used least recently. A table gives its last
// page back first, so a page is normally older in the list than the one before it
// in the sequence, and a sequence is eaten up from its end.
func (p *Pool) freeOldest() {
	page := p.prefix.oldest
	p.prefix.unlink(page)
	p.prefix.remove(page)
	p.dropSnapshotOf(page)
	if p.windows.has(page) {
		p.freeWindow(page)
	}
	p.free = append(p.free, page)
}

// evict takes the oldest of what is kept away for other use: a page from the index, or
// the part for windows of one that stays there.
func (p *Pool) evict() {
	if x := p.prefix; p.windows.kept > 0 && (x.oldest == none || p.windows.since() < x.nodes[x.oldest].since) {
		p.freeOldestWindow()
		return
	}
	p.prefix.evicted++
	p.freeOldest()
}
