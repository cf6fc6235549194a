package cache

import "trit/kernel"

// Table maps the positions of one sequence to pages.
type Table struct {
	pool  *Pool
	pages []Page
	n     int
}

// NewTable returns the table of an empty sequence.
func (p *Pool) NewTable() *Table { return &Table{pool: p} }

// Len returns the number of positions that are stored.
func (t *Table) Len() int { return t.n }

// Pages returns the sequence's pages in order. The slice is valid until the
// table changes.
func (t *Table) Pages() []Page { return t.pages }

// Reserve makes sure that the next n positions have pages of their own to
// write to: it adds pages and copies a last page that is shared. It either
// succeeds or leaves the table as it was and returns ErrFull.
func (t *Table) Reserve(n int) error {
	if n == 0 {
		return nil
	}
	last := t.n / kernel.PageTokens // page of the first new position
	if last < len(t.pages) && t.pool.Refs(t.pages[last]) > 1 {
		page, err := t.pool.Alloc()
		if err != nil {
			return err
		}
		t.pool.copyPage(page, t.pages[last])
		t.pool.Release(t.pages[last])
		t.pages[last] = page
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

// Advance counts n reserved positions as stored.
func (t *Table) Advance(n int) { t.n += n }

// Fork returns a table that shares all positions stored so far.
func (t *Table) Fork() *Table {
	need := (t.n + kernel.PageTokens - 1) / kernel.PageTokens
	f := &Table{pool: t.pool, n: t.n, pages: append([]Page(nil), t.pages[:need]...)}
	for _, page := range f.pages {
		t.pool.Retain(page)
	}
	return f
}

// Truncate forgets all positions from n on. It does nothing if there are none.
func (t *Table) Truncate(n int) {
	if n >= t.n {
		return
	}
	t.n = n
	t.shrink((n + kernel.PageTokens - 1) / kernel.PageTokens)
}

// Release gives all pages back. The table is then empty.
func (t *Table) Release() { t.n = 0; t.shrink(0) }

// shrink keeps the first n pages.
func (t *Table) shrink(n int) {
	for _, page := range t.pages[n:] {
		t.pool.Release(page)
	}
	t.pages = t.pages[:n]
}
