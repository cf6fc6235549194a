package cache

import (
	"fmt"

	"trit/internal/kernel"
	"trit/internal/vmem"
)

// Layers with a sliding window read the last positions of a sequence only. What a page
// has of them is a part with memory of its own: tables refer to it apart from the page,
// and give it back when the window has moved on. A part that no table refers to is free,
// or, if its page is in the prefix index, kept there until the memory is needed, least
// recently used first: who branches off in a page needs the parts before it, and goes
// on from an earlier place, where these are, without them.
//
// A table holds the parts of all pages from one on, some more than its window shows, so
// that guesses can be taken back.

// windowSlack is how many positions behind its window a table holds on to.
const windowSlack = 2 * kernel.PageTokens

// windows are the parts of a pool's pages that belong to layers with a sliding window.
type windows struct {
	region *vmem.Region // nil for models without
	bytes  int          // of a part
	parts  []part       // by page; empty for models without
	slots  int          // places in the region that have been used so far
	free   []int32      // of them, those that have memory, and
	cold   []int32      // those whose memory has been given back

	oldest, newest Page // ends of the list of parts that are only kept
	kept           int  // in it
}

// part is the part of one page.
type part struct {
	slot         int32 // its place in the region, −1 if there is none
	refs         int32 // of tables
	older, newer Page  // in the list, while there are none
	since        uint64
}

// windowed reports whether what a configuration says of windows makes sense. States
// and windows go back to different places, so no pool has both.
func (c Config) windowed() bool {
	return c.WindowLayers == 0 || c.WindowLayers > 0 && c.Window > 0 && c.StateSize == 0
}

// shows returns the first page whose part the position n, and those that follow it, see.
func (c Config) shows(n int) int {
	if c.WindowLayers == 0 {
		return 0
	}
	return max(0, n+1-c.Window) / kernel.PageTokens
}

// WindowPages returns how many pages of a sequence have parts for windows at most.
func (c Config) WindowPages() int { return pagesFor(c.Window+windowSlack+c.Rows) + 1 }

// Room returns the number of whole pages whose memory a sequence of so many positions
// takes.
func (c Config) Room(positions int) int {
	pages := int64(pagesFor(positions))
	bytes := pages * c.leanBytes()
	if c.WindowLayers > 0 {
		bytes += min(pages, int64(c.WindowPages())) * c.WindowBytes()
	}
	return int((bytes + c.PageBytes() - 1) / c.PageBytes())
}

// Shared returns how many whole pages at least sequences that have so many positions in
// common do not need twice. Parts for windows are not among them: each sequence will have
// its own.
func (c Config) Shared(positions int) int {
	return int(int64(positions/kernel.PageTokens) * c.leanBytes() / c.PageBytes())
}

// reserveWindows reserves address space for as many parts as the budget allows.
func (p *Pool) reserveWindows() error {
	c, w := p.config, &p.windows
	w.oldest, w.newest = none, none
	if c.WindowLayers == 0 {
		return nil
	}
	w.bytes = int(c.WindowBytes())
	region, err := vmem.Reserve(w.bytes * c.MaxPages) // there is no part without its page
	if err != nil {
		return fmt.Errorf("cache: the KV cache of %d pages: %w; ask for a smaller context", c.MaxPages, err)
	}
	w.region = region
	w.parts, w.free = make([]part, 0, p.most), make([]int32, 0, c.MaxPages)
	return nil
}

func (w *windows) close() error {
	if w.region == nil {
		return nil
	}
	return w.region.Close()
}

// grow makes place for another page.
func (w *windows) grow() {
	if w.region != nil {
		w.parts = append(w.parts, part{slot: -1, older: none, newer: none})
	}
}

// has reports whether a page has its part.
func (w *windows) has(page Page) bool { return w.region != nil && w.parts[page].slot >= 0 }

// taken returns the number of parts, and backed that of those and of the free ones that
// have memory.
func (w *windows) taken() int  { return w.slots - len(w.free) - len(w.cold) }
func (w *windows) backed() int { return w.slots - len(w.cold) }

func (p *Pool) windowData(page Page) []byte {
	w := &p.windows
	return w.region.Bytes()[int(w.parts[page].slot)*w.bytes:][:w.bytes]
}

// newWindow gives a page that has none a part, for which there is room, with one
// reference.
func (p *Pool) newWindow(page Page) error {
	w := &p.windows
	if w.region == nil {
		return nil
	}
	if n := len(w.free); n > 0 {
		w.parts[page].slot, w.parts[page].refs = w.free[n-1], 1
		w.free = w.free[:n-1]
		return nil
	}
	if err := p.coolFor(w.bytes); err != nil {
		return err
	}
	slot := int32(w.slots)
	if n := len(w.cold); n > 0 {
		slot = w.cold[n-1]
	}
	if err := w.region.Commit(int(slot)*w.bytes, w.bytes); err != nil {
		return err
	}
	if int(slot) < w.slots {
		w.cold = w.cold[:len(w.cold)-1]
	} else {
		w.slots++
	}
	w.parts[page].slot, w.parts[page].refs = slot, 1
	return nil
}

// coolWindow gives the memory of a free part back.
func (p *Pool) coolWindow() error {
	w := &p.windows
	slot := w.free[len(w.free)-1]
	if err := w.region.Decommit(int(slot)*w.bytes, w.bytes); err != nil {
		return err
	}
	w.free = w.free[:len(w.free)-1]
	w.cold = append(w.cold, slot)
	return nil
}

// hold adds a reference to the part of a page, which it has.
func (p *Pool) hold(page Page) {
	w := &p.windows
	if w.region == nil {
		return
	}
	if w.parts[page].refs == 0 {
		w.unlink(page)
	}
	w.parts[page].refs++
}

// drop gives a reference to the part of a page back.
func (p *Pool) drop(page Page) {
	w := &p.windows
	if w.region == nil {
		return
	}
	x := &w.parts[page]
	x.refs--
	switch {
	case x.refs > 0:
	case x.refs < 0:
		panic(fmt.Sprintf("cache: part of page %d released more often than retained", page))
	case p.prefix.has(page):
		p.prefix.clock++
		x.older, x.newer, x.since = w.newest, none, p.prefix.clock
		if w.newest == none {
			w.oldest = page
		} else {
			w.parts[w.newest].newer = page
		}
		w.newest = page
		w.kept++
		p.trim()
	default:
		w.give(page)
	}
}

// give makes the place of a part free.
func (w *windows) give(page Page) {
	w.free = append(w.free, w.parts[page].slot)
	w.parts[page].slot = -1
}

// unlink takes a part out of the list of those that are only kept.
func (w *windows) unlink(page Page) {
	x := &w.parts[page]
	if x.older == none {
		w.oldest = x.newer
	} else {
		w.parts[x.older].newer = x.newer
	}
	if x.newer == none {
		w.newest = x.older
	} else {
		w.parts[x.newer].older = x.older
	}
	x.older, x.newer = none, none
	w.kept--
}

// since returns when the oldest part in the list came there.
func (w *windows) since() uint64 { return w.parts[w.oldest].since }

// freeWindow gives up a part that is only kept.
func (p *Pool) freeWindow(page Page) {
	p.windows.unlink(page)
	p.windows.give(page)
}

func (p *Pool) freeOldestWindow() { p.freeWindow(p.windows.oldest) }

// moveWindow gives a page the part of another one with the same tokens, whose part the
// table refers to, and the table's reference with it. It returns false if there is no
// room for a copy that it would take.
func (p *Pool) moveWindow(to, from Page) bool {
	w := &p.windows
	switch {
	case w.region == nil:
		return true
	case w.has(to):
		p.hold(to)
	case w.parts[from].refs == 1:
		w.parts[to].slot, w.parts[to].refs = w.parts[from].slot, 1
		w.parts[from].slot, w.parts[from].refs = -1, 0
		return true
	default:
		if p.makeRoom(w.bytes, true) != nil || p.newWindow(to) != nil {
			return false
		}
		copy(p.windowData(to), p.windowData(from))
	}
	p.drop(from)
	return true
}

// seen returns the largest number of positions up to n behind which there is all that
// windows show: of the table's own pages, or, from its first that is not full, of others
// that would take their place.
func (t *Table) seen(known []Page, n int) int {
	c, w := &t.pool.config, &t.pool.windows
	first := len(t.pages)
	if known != nil {
		first = t.n / kernel.PageTokens
	}
	if n <= 0 || c.WindowLayers == 0 || n <= t.n && c.shows(n) >= t.low {
		return n
	}
	best, run := 0, 0
	for i := range pagesFor(n) {
		there := i >= t.low
		switch {
		case i >= first:
			there = w.has(known[i-first])
		case !there:
			there = w.has(t.pages[i])
		}
		if run++; !there {
			run = 0
		}
		if end := min((i+1)*kernel.PageTokens, n); run > i-c.shows(end) {
			best = end
		}
	}
	return best
}

// slide gives back the parts that the window has moved on from.
func (t *Table) slide() {
	if c := &t.pool.config; c.WindowLayers > 0 {
		t.slideTo(c.shows(t.n - windowSlack))
	}
}

// slideTo gives back the parts of pages before one.
func (t *Table) slideTo(low int) {
	for ; t.low < low; t.low++ {
		t.pool.drop(t.pages[t.low])
	}
}

// unslide cuts the pages back to the table's positions, and takes parts that have been
// given back, but are still there, where the window shows them again.
func (t *Table) unslide() {
	n := pagesFor(t.n)
	low := min(t.pool.config.shows(t.n), t.low)
	for i := low; i < min(t.low, n); i++ {
		t.pool.hold(t.pages[i])
	}
	t.shrink(n)
	t.low = low
}
