package cache

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"trit/internal/kernel"
)

// newWindowPool returns a pool for two layers with a sliding window and one without.
func newWindowPool(t testing.TB, maxPages, prefixPages, window int) *Pool {
	t.Helper()
	p, err := NewPool(Config{Layers: 1, WindowLayers: 2, Window: window, KVHeads: 2, HeadDim: 4, Type: kernel.KVF32,
		MaxPages: maxPages, PrefixPages: prefixPages, Rows: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// checkWindowBooks checks that every place for a part belongs to one page or is free, and
// that only parts of pages in the index are kept.
func checkWindowBooks(t testing.TB, p *Pool) {
	t.Helper()
	w := &p.windows
	owners := make([]int, w.slots)
	for _, slot := range slices.Concat(w.free, w.cold) {
		owners[slot]++
	}
	listed := map[Page]bool{}
	for page := w.oldest; w.kept > 0 && page != none; page = w.parts[page].newer {
		listed[page] = true
	}
	for i := range w.parts {
		x, page := &w.parts[i], Page(i)
		if x.slot < 0 {
			if x.refs != 0 || listed[page] {
				t.Fatalf("page %d has no part, but %d references to it", page, x.refs)
			}
			continue
		}
		owners[x.slot]++
		if kept := x.refs == 0; kept != listed[page] || kept && !p.prefix.has(page) || x.refs > p.refs[page] {
			t.Fatalf("the part of page %d has %d references, the page %d; listed: %v", page, x.refs, p.refs[page], listed[page])
		}
	}
	for slot, n := range owners {
		if n != 1 {
			t.Fatalf("place %d has %d owners", slot, n)
		}
	}
	if len(listed) != w.kept {
		t.Fatalf("%d parts are kept, counted %d", len(listed), w.kept)
	}
}

// TestWindowGivesBack: what windows have moved on from takes no memory.
func TestWindowGivesBack(t *testing.T) {
	p := newWindowPool(t, 40, 0, 40)
	a := p.NewTable(0)
	for range 300 {
		grow(t, a, 8, 5)
		if parts := p.windows.taken(); parts > p.config.WindowPages() {
			t.Fatalf("%d pages have parts at position %d, want at most %d", parts, a.Len(), p.config.WindowPages())
		}
	}
	if got, want := p.InUse(), p.config.Room(a.Len()); got > want || want > len(a.Pages())/2 {
		t.Errorf("%d pages are in use for %d, room for %d was planned", got, len(a.Pages()), want)
	}
	// Guesses are taken back at once; further back there is nothing to go on from.
	at := a.Len()
	a.Truncate(at - windowSlack)
	if a.Len() != at-windowSlack {
		t.Errorf("%d positions after taking %d of %d back", a.Len(), windowSlack, at)
	}
	check(t, a, a.Len()-1, 5)
	if a.Truncate(at / 2); a.Len() != 0 || p.windows.taken() != 0 {
		t.Errorf("%d positions and %d parts are left", a.Len(), p.windows.taken())
	}
}

// TestWindowAdopt: others go on where all is kept that windows show, and where it is not,
// from before that.
func TestWindowAdopt(t *testing.T) {
	p := newWindowPool(t, 40, 40, 40)
	tokens := text(1, 8*n)
	a := p.NewTable(0)
	for end := n; end <= len(tokens); end += n { // while the parts are still there
		write(t, a, tokens[:end])
	}
	a.Release()
	b := p.NewTable(0)
	if got := b.Adopt(tokens, 6*n+5); got != 6*n+5 {
		t.Errorf("%d positions were adopted", got)
	}
	if b.low != 4 {
		t.Errorf("the table holds the parts from page %d on, want 4", b.low)
	}
	verify(t, b, tokens[:6*n+5])
	b.Truncate(3 * n) // the parts are still there
	if b.Len() != 3*n || b.low != 1 {
		t.Errorf("%d positions, parts from page %d on", b.Len(), b.low)
	}
	verify(t, b, tokens[:3*n])
	b.Release()
	checkBooks(t, p)

	// Without the part of page 4, nobody can branch off from page 5 or in page 6.
	page := p.NewTable(0)
	page.Adopt(tokens, 8*n)
	p.freeWindow(page.Pages()[3])
	page.Release()
	for limit, want := range map[int]int{8 * n: 8 * n, 5*n + 2: 3 * n, 5*n + 20: 5*n + 20, 4 * n: 3 * n} {
		if got := b.Adopt(tokens, limit); got != want {
			t.Errorf("%d positions were adopted up to %d, want %d", got, limit, want)
		}
		verify(t, b, tokens[:b.Len()])
		b.Release()
		checkBooks(t, p)
	}
	p.ForgetPrefixes()
	if p.InUse() != 0 || p.windows.taken() != 0 {
		t.Errorf("%d pages and %d parts are left", p.InUse(), p.windows.taken())
	}
}

// TestWindowIndexJoins: pages that two have filled become one, with its part, even where
// one of them is shared.
func TestWindowIndexJoins(t *testing.T) {
	for _, forked := range []bool{false, true} {
		p := newWindowPool(t, 40, 40, 40)
		tokens := text(1, 2*n)
		a, b := p.NewTable(0), p.NewTable(0)
		for pos := range tokens {
			grow(t, a, 1, prefixValue(tokens[:pos+1]))
			grow(t, b, 1, prefixValue(tokens[:pos+1]))
		}
		c := p.NewTable(0)
		if forked {
			c.Assign(b)
		}
		a.Index(tokens)
		a.Release()
		for p.windows.kept > 0 {
			p.freeOldestWindow()
		}
		b.Index(tokens)
		checkBooks(t, p)
		verify(t, b, tokens)
		verify(t, c, tokens[:c.Len()])
		b.Release()
		c.Release()
		checkBooks(t, p)
		if p.windows.kept != 2 || p.InUse() != 0 {
			t.Errorf("forked %v: %d parts are kept, %d pages in use", forked, p.windows.kept, p.InUse())
		}
	}
}

// TestWindowPrefixFile: saved prefixes carry the parts that there are.
func TestWindowPrefixFile(t *testing.T) {
	id := Identity{Weights: sha256.Sum256([]byte("weights")), Numerics: 3}
	p, tokens := newWindowPool(t, 40, 40, 40), text(1, 6*n)
	a := p.NewTable(0)
	for end := n; end <= len(tokens); end += n {
		write(t, a, tokens[:end])
	}
	a.Release()
	p.freeOldestWindow()
	parts := p.windows.kept
	var file bytes.Buffer
	if pages, err := p.SavePrefixes(&file, id); err != nil || pages != 6 {
		t.Fatalf("%d pages, %v", pages, err)
	}
	q := newWindowPool(t, 40, 40, 40)
	for range 2 {
		if pages, err := q.LoadPrefixes(bytes.NewReader(file.Bytes()), id); err != nil || pages != 6 {
			t.Fatalf("%d pages, %v", pages, err)
		}
		checkBooks(t, q)
		if q.windows.kept != parts || q.windows.taken() != parts {
			t.Errorf("%d parts are kept, want %d", q.windows.kept, parts)
		}
	}
	b := q.NewTable(0)
	if got := b.Adopt(tokens, len(tokens)); got != len(tokens) {
		t.Errorf("%d positions were adopted", got)
	}
	verify(t, b, tokens)
	b.Release()
	for cut := 0; cut < file.Len(); cut += 9 {
		if _, err := q.LoadPrefixes(bytes.NewReader(file.Bytes()[:cut]), id); !errors.Is(err, ErrPrefixFile) {
			t.Fatalf("a file cut to %d of %d bytes: %v", cut, file.Len(), err)
		}
	}
	checkBooks(t, q)
	whole, err := NewPool(Config{Layers: 3, KVHeads: 2, HeadDim: 4, Type: kernel.KVF32, MaxPages: 40, PrefixPages: 40})
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	if _, err := whole.LoadPrefixes(bytes.NewReader(file.Bytes()), id); !errors.Is(err, ErrPrefixFile) {
		t.Errorf("a model without windows: %v", err)
	}
}
