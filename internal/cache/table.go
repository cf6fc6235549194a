package cache

import "trit/internal/kernel"

// Table maps the positions of one sequence to pages.
type Table struct {
	pool  *Pool
	pages []Page
	n     int
	low   int    // the first page whose part for windows is the table's, as are those that follow
	root  uint64 // where the table's pages begin in the prefix index; see SetSalt
	tableState
}

// NewTable returns the table of an empty sequence that is expected to grow to
// the given number of positions.
func (p *Pool) NewTable(positions int) *Table {
	return &Table{pool: p, pages: make([]Page, 0, pagesFor(positions)), tableState: newTableState(p.config.StateSize)}
}

// pagesFor returns the number of pages that positions take.
func pagesFor(positions int) int { return (positions + kernel.PageTokens - 1) / kernel.PageTokens }

// Len returns the number of positions that are stored.
func (t *Table) Len() int { return t.n }

// Pages returns the sequence's pages in order. The slice is valid until the
// table changes.
func (t *Table) Pages() []Page { return t.pages }

// Reserve makes sure that the next n positions have pages of their own to
// write to: it adds pages and copies a last page that is shared or in the prefix
// index. Of a model with state it finds memory for that too, which is kept until
// Advance or Cancel. What sliding windows have moved on from is given back now, not in
// Advance, so that it can come into the index in between. Reserve either succeeds or
// leaves the positions as they were and returns ErrFull.
func (t *Table) Reserve(n int) error {
	if n == 0 {
		return nil
	}
	have := len(t.pages)
	if err := t.Ahead(n); err != nil {
		return err
	}
	if err := t.reserveState(n); err != nil {
		t.shrink(have)
		return err
	}
	return nil
}

// Ahead gives the next n positions pages of their own for keys and values that nobody will
// keep: they are not counted as stored, and Reserve takes over what there is.
func (t *Table) Ahead(n int) error {
	t.slide()
	last := t.n / kernel.PageTokens // page of the first new position
	if last < len(t.pages) {
		if err := t.own(last); err != nil {
			return err
		}
	}
	have := len(t.pages)
	for len(t.pages)*kernel.PageTokens < t.n+n {
		page, err := t.pool.Alloc()
		if err != nil {
			t.shrink(have)
			return err
		}
		t.pages = append(t.pages, page)
	}
	return nil
}

// own makes page i writable. A page that only the prefix index knows besides is
// copied to keep the prefix, or, without room for that, taken out of the index.
func (t *Table) own(i int) error {
	old := t.pages[i]
	shared, indexed := t.pool.Refs(old) > 1, t.pool.prefix.has(old)
	if !shared && !indexed {
		t.pool.dropSnapshotOf(old)
		return nil
	}
	page, err := t.pool.Alloc()
	if err != nil {
		if shared {
			return err
		}
		t.pool.prefix.remove(old)
		t.pool.dropSnapshotOf(old)
		return nil
	}
	t.pool.copyPage(page, old)
	t.release(i)
	t.pages[i] = page
	return nil
}

// Advance counts n reserved positions as stored: of a model with state all of them, but
// no more guesses than there is room to record.
func (t *Table) Advance(n int) { t.advanceState(n) }

// Fork returns a table that shares all positions stored so far.
func (t *Table) Fork() *Table {
	f := t.pool.NewTable(cap(t.pages) * kernel.PageTokens)
	f.root = t.root
	f.Assign(t)
	return f
}

// Assign gives the table's own pages back and shares all positions stored in
// another table of the same pool.
func (t *Table) Assign(from *Table) {
	pages, low := from.pages[:pagesFor(from.n)], from.low
	for i, page := range pages {
		t.pool.Retain(page)
		if i >= low {
			t.pool.hold(page)
		}
	}
	t.forkState(from)
	t.shrink(0)
	t.pages = append(t.pages, pages...)
	t.n, t.low = from.n, low
}

// Truncate forgets all positions from n on. It does nothing if there are none. Of a
// model with state it forgets more where it has not been told of guesses: it goes back to
// the last snapshot; with sliding windows, where too much has been given back of what they
// show there.
func (t *Table) Truncate(n int) {
	if n >= t.n {
		return
	}
	if t.pool.config.StateSize > 0 {
		t.goBack(n)
		return
	}
	t.n = t.seen(nil, n)
	t.unslide()
}

// Release gives all pages back. The table is then empty.
func (t *Table) Release() {
	t.releaseStates()
	t.n = 0
	t.shrink(0)
}

// shrink keeps the first n pages. The last page is released first, so that of a
// sequence in the prefix index the beginning lives longest.
func (t *Table) shrink(n int) {
	for i := len(t.pages) - 1; i >= n; i-- {
		t.release(i)
	}
	t.pages, t.low = t.pages[:n], min(t.low, n)
}

// release gives the references to page i back.
func (t *Table) release(i int) {
	if i >= t.low {
		t.pool.drop(t.pages[i])
	}
	t.pool.Release(t.pages[i])
}
