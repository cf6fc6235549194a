package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"trit/internal/kernel"
)

func newPrefixPool(t testing.TB, maxPages, prefixPages int) *Pool {
	t.Helper()
	p, err := NewPool(Config{Layers: 2, KVHeads: 3, HeadDim: 4, Type: kernel.KVF32, MaxPages: maxPages, PrefixPages: prefixPages})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// text returns n tokens that differ from page to page.
func text(seed int32, n int) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = seed*10000 + int32(i)
	}
	return tokens
}

// prefixValue is what a model would compute for a position: a function of all
// tokens up to it.
func prefixValue(tokens []int32) float32 {
	sum := float32(0)
	for i, t := range tokens {
		sum += float32((int(t)*7 + i) % 97)
	}
	return sum
}

// write runs a sequence: it adopts what is there, stores the rest, and returns how
// many positions it did not have to compute.
func write(t testing.TB, tab *Table, tokens []int32) int {
	t.Helper()
	before := tab.Len()
	adopted := tab.Adopt(tokens, len(tokens)) - before
	for pos := tab.Len(); pos < len(tokens); pos++ {
		grow(t, tab, 1, prefixValue(tokens[:pos+1]))
	}
	tab.Index(tokens)
	return adopted
}

func verify(t testing.TB, tab *Table, tokens []int32) {
	t.Helper()
	for pos := range tokens {
		check(t, tab, pos, prefixValue(tokens[:pos+1]))
	}
}

func TestAdopt(t *testing.T) {
	p := newPrefixPool(t, 40, 40)
	a := p.NewTable(0)
	tokens := text(1, 3*n+5)
	if got := write(t, a, tokens); got != 0 {
		t.Errorf("%d positions came out of an empty index", got)
	}
	a.Release()
	if s := p.PrefixStats(); p.InUse() != 0 || s.Pages != 3 || s.Unreferenced != 3 {
		t.Errorf("after the release: %d pages in use, %+v", p.InUse(), s)
	}
	// The same beginning, then something else.
	other := append(slices.Clone(tokens[:2*n+9]), text(5, n)...)
	b, c := p.NewTable(0), p.NewTable(0)
	if got := write(t, b, other); got != 2*n {
		t.Errorf("%d positions were adopted, want %d", got, 2*n)
	}
	if got := write(t, c, tokens); got != 3*n {
		t.Errorf("%d positions were adopted, want %d", got, 3*n)
	}
	verify(t, b, other)
	verify(t, c, tokens)
	if p.InUse() != 2+2+2 {
		t.Errorf("%d pages in use, want 6", p.InUse())
	}
	// A page in the index is not written to, even by the only one who uses it.
	b.Release()
	c.Truncate(n + 3)
	grow(t, c, 1, 777)
	check(t, c, n+3, 777)
	d := p.NewTable(0)
	write(t, d, tokens)
	verify(t, d, tokens)
	c.Release()
	d.Release()
	p.ForgetPrefixes()
	if s := p.PrefixStats(); p.InUse() != 0 || s.Pages != 0 || s.Unreferenced != 0 || len(p.free) != p.Allocated() {
		t.Errorf("after emptying the index: %d pages in use, %d of %d free, %+v", p.InUse(), len(p.free), p.Allocated(), s)
	}
}

// TestAdoptMidPage: a table that ends inside a page goes on with the whole page
// of another one.
func TestAdoptMidPage(t *testing.T) {
	p := newPrefixPool(t, 40, 40)
	tokens := text(1, 3*n)
	a, b := p.NewTable(0), p.NewTable(0)
	write(t, a, tokens[:n+3])
	write(t, b, tokens)
	if got := a.Adopt(tokens, len(tokens)); got != 3*n {
		t.Errorf("%d positions after adopting, want %d", got, 3*n)
	}
	verify(t, a, tokens)
	if p.InUse() != 3 {
		t.Errorf("%d pages in use, want 3", p.InUse())
	}
	a.Truncate(2*n + 1)
	if got := a.Adopt(tokens, len(tokens)); got != 3*n {
		t.Errorf("%d positions after cutting and adopting, want %d", got, 3*n)
	}
	verify(t, a, tokens)
}

// TestIndexJoins: pages that two tables have filled with the same tokens become
// one.
func TestIndexJoins(t *testing.T) {
	p := newPrefixPool(t, 40, 40)
	tokens := text(1, 2*n)
	a, b := p.NewTable(0), p.NewTable(0)
	for pos := range tokens {
		grow(t, a, 1, prefixValue(tokens[:pos+1]))
		grow(t, b, 1, prefixValue(tokens[:pos+1]))
	}
	c := b.Fork()
	a.Index(tokens)
	b.Index(tokens)
	c.Index(tokens)
	if p.InUse() != 2 {
		t.Errorf("%d pages in use, want 2", p.InUse())
	}
	verify(t, b, tokens)
	verify(t, c, tokens)
}

// TestEviction: a full pool gives up the pages used least recently, from the
// end of a sequence, before it reports that it is full; and the index keeps to its
// own budget.
func TestEviction(t *testing.T) {
	p := newPrefixPool(t, 6, 6)
	for seed := range int32(2) {
		a := p.NewTable(0)
		write(t, a, text(seed, 3*n))
		a.Release()
	}
	a := p.NewTable(0)
	write(t, a, text(7, 2*n)) // evicts two pages of text 0
	b := p.NewTable(0)
	if got := b.Adopt(text(0, 3*n), 3*n); got != n {
		t.Errorf("%d positions of the oldest text are left, want %d", got, n)
	}
	b.Release()
	if got := b.Adopt(text(1, 3*n), 3*n); got != 3*n {
		t.Errorf("%d positions of the newer text are left, want %d", got, 3*n)
	}
	if s := p.PrefixStats(); s.Evicted != 2 {
		t.Errorf("%+v, want 2 evicted", s)
	}
	if err := a.Reserve(n + 1); !errors.Is(err, ErrFull) {
		t.Errorf("6 of 6 pages cannot be had: %v", err)
	}
	b.Release()
	if err := a.Reserve(4 * n); err != nil {
		t.Errorf("all pages but the table's own can be had: %v", err)
	}

	p = newPrefixPool(t, 10, 2)
	a = p.NewTable(0)
	write(t, a, text(1, 5*n))
	a.Release()
	if s := p.PrefixStats(); s.Pages != 2 || s.Unreferenced != 2 || len(p.free) != 3 {
		t.Errorf("with a budget of two pages: %+v, %d free", s, len(p.free))
	}
	if got := a.Adopt(text(1, 5*n), 5*n); got != 2*n {
		t.Errorf("%d positions are left, want %d", got, 2*n)
	}
}

// TestWriteWithoutRoom: a table that goes on inside an indexed page of its own,
// in a pool without room for a copy, takes the page out of the index.
func TestWriteWithoutRoom(t *testing.T) {
	p := newPrefixPool(t, 2, 2)
	tokens := text(1, 2*n)
	a := p.NewTable(0)
	write(t, a, tokens)
	a.Truncate(n + 1)
	grow(t, a, 1, 5)
	// The index has lost the second page to a; a third does not exist.
	b := p.NewTable(0)
	if got := b.Adopt(tokens, len(tokens)); got != n {
		t.Errorf("%d positions were adopted, want %d", got, n)
	}
	check(t, a, n+1, 5)
}

// TestPrefixRandom drives tables over sequences with common beginnings in a small
// pool and checks every stored value and the books.
func TestPrefixRandom(t *testing.T) {
	t.Run("whole", func(t *testing.T) { testPrefixRandom(t, newPrefixPool(t, 24, 10)) })
	for _, window := range []int{1, 40, 70} {
		t.Run(fmt.Sprint("window ", window), func(t *testing.T) { testPrefixRandom(t, newWindowPool(t, 24, 10, window)) })
	}
}

func testPrefixRandom(t *testing.T, p *Pool) {
	r := rand.New(rand.NewPCG(3, 4))
	base := [][]int32{text(1, 6*n), text(2, 6*n)}
	base = append(base, append(slices.Clone(base[0][:2*n+7]), text(3, 3*n)...), append(slices.Clone(base[0][:4*n]), text(4, n)...))
	type pair struct {
		table *Table
		text  []int32 // what it is to become
	}
	var pairs []pair
	adopted := 0
	for range 4000 {
		if len(pairs) == 0 || r.IntN(4) == 0 && len(pairs) < 8 {
			pairs = append(pairs, pair{p.NewTable(0), base[r.IntN(len(base))]})
		}
		i := r.IntN(len(pairs))
		s := pairs[i]
		switch op := r.IntN(20); {
		case op < 12:
			to := s.text[:min(len(s.text), s.table.Len()+r.IntN(2*n))]
			before := s.table.Len()
			if r.IntN(2) == 0 {
				adopted += s.table.Adopt(to, len(to)) - before
			}
			for pos := s.table.Len(); pos < len(to); pos++ {
				if err := s.table.Reserve(1); err != nil {
					s.table.Release()
					break
				}
				grow(t, s.table, 1, prefixValue(to[:pos+1]))
			}
		case op < 14:
			s.table.Index(s.text)
		case op < 16:
			s.table.Truncate(r.IntN(s.table.Len() + 1))
		case op < 17:
			if len(pairs) < 8 {
				pairs = append(pairs, pair{s.table.Fork(), s.text})
			}
		case op < 18:
			if r.IntN(20) == 0 {
				p.ForgetPrefixes()
			}
		default:
			s.table.Release()
			pairs = append(pairs[:i], pairs[i+1:]...)
			continue
		}
		if s.table.Len() > 0 {
			pos := r.IntN(s.table.Len())
			check(t, s.table, pos, prefixValue(s.text[:pos+1]))
		}
		checkBooks(t, p)
	}
	for _, s := range pairs {
		verify(t, s.table, s.text[:s.table.Len()])
		s.table.Release()
	}
	checkBooks(t, p)
	if p.InUse() != 0 || adopted == 0 {
		t.Errorf("%d pages in use, %d positions adopted", p.InUse(), adopted)
	}
}

// checkBooks checks that every page is in use, in the index's list, or free.
func checkBooks(t testing.TB, p *Pool) {
	t.Helper()
	state := make([]int, len(p.refs))
	for _, page := range slices.Concat(p.free, p.cold) {
		state[page]++
		if p.prefix.has(page) {
			t.Fatalf("free page %d is in the index", page)
		}
	}
	listed := 0
	for page := p.prefix.oldest; page != none; page = p.prefix.nodes[page].newer {
		state[page]++
		listed++
	}
	for page, refs := range p.refs {
		if refs > 0 {
			state[page]++
		}
		if state[page] != 1 {
			t.Fatalf("page %d is in %d states", page, state[page])
		}
		if n := p.prefix.nodes[page]; n.serial != 0 && p.prefix.pages[n.edge] != Page(page) {
			t.Fatalf("page %d is not where its edge leads", page)
		}
	}
	if got := len(state) - len(p.cold); p.config.WindowLayers == 0 && got != p.Allocated() {
		t.Fatalf("%d pages have memory, counted %d", p.Allocated(), got)
	}
	if listed != p.prefix.unreferenced || p.kept() > p.prefix.limit*p.pageBytes {
		t.Fatalf("%d pages are in the list, counted %d, limit %d", listed, p.prefix.unreferenced, p.prefix.limit)
	}
	if p.taken() > p.budget || p.backed() > p.budget {
		t.Fatalf("%d bytes are taken and %d have memory, of %d", p.taken(), p.backed(), p.budget)
	}
	checkWindowBooks(t, p)
}

// savedPool returns a pool with two sequences in its index and its file.
func savedPool(t testing.TB, id Identity) (file []byte, texts [][]int32) {
	t.Helper()
	p := newPrefixPool(t, 20, 20)
	texts = [][]int32{text(1, 4*n), append(slices.Clone(text(1, 4*n)[:2*n]), text(2, n)...)}
	for _, tokens := range texts {
		a := p.NewTable(0)
		write(t, a, tokens)
		a.Release()
	}
	var b bytes.Buffer
	if pages, err := p.SavePrefixes(&b, id); err != nil || pages != 5 {
		t.Fatalf("%d pages were saved, want 5: %v", pages, err)
	}
	return b.Bytes(), texts
}

func TestPrefixFile(t *testing.T) {
	id := Identity{Weights: sha256.Sum256([]byte("weights")), Numerics: 3}
	file, texts := savedPool(t, id)
	p := newPrefixPool(t, 20, 20)
	own := p.NewTable(0)
	write(t, own, texts[0][:3*n]) // part of it is known already
	for range 2 {
		if pages, err := p.LoadPrefixes(bytes.NewReader(file), id); err != nil || pages != 5 {
			t.Fatalf("%d pages were loaded, want 5: %v", pages, err)
		}
	}
	checkBooks(t, p)
	for _, tokens := range texts {
		a := p.NewTable(0)
		if got := a.Adopt(tokens, len(tokens)); got != len(tokens) {
			t.Errorf("%d positions were adopted, want %d", got, len(tokens))
		}
		verify(t, a, tokens)
		a.Release()
	}
	own.Release()
	if s := p.PrefixStats(); s.Pages != 5 {
		t.Errorf("%+v, want 5 pages", s)
	}
}

func TestPrefixFileMismatch(t *testing.T) {
	id := Identity{Weights: sha256.Sum256([]byte("weights")), Numerics: 3}
	file, _ := savedPool(t, id)
	edit := func(f func(b []byte)) []byte {
		b := bytes.Clone(file)
		f(b)
		return b
	}
	other := func(c Config) *Pool {
		p, err := NewPool(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	base := Config{Layers: 2, KVHeads: 3, HeadDim: 4, Type: kernel.KVF32, MaxPages: 20, PrefixPages: 20}
	half, layers, small, state := base, base, base, base
	state.StateSize = 10
	half.Type, layers.Layers, small.PrefixPages = kernel.KVF16, 3, 4
	const entry = 4 + 4*kernel.PageTokens
	pages := binary.Size(prefixHeader{}) - 4
	header := binary.Size(prefixHeader{}) + binary.Size(prefixStates{})
	weights := id
	weights.Weights[31]++
	for _, test := range []struct {
		name string
		pool *Pool
		id   Identity
		file []byte
		want error
	}{
		{"weights", other(base), weights, file, ErrPrefixFile},
		{"numerics", other(base), Identity{id.Weights, 4}, file, ErrPrefixFile},
		{"KV type", other(half), id, file, ErrPrefixFile},
		{"layers", other(layers), id, file, ErrPrefixFile},
		{"budget", other(small), id, file, ErrFull},
		{"magic", other(base), id, edit(func(b []byte) { b[0] = 'x' }), ErrPrefixFile},
		{"version", other(base), id, edit(func(b []byte) { b[8]++ }), ErrPrefixFile},
		{"parent", other(base), id, edit(func(b []byte) { b[header] = 9 }), ErrPrefixFile},
		{"token", other(base), id, edit(func(b []byte) { b[header+4]++ }), ErrPrefixFile},
		{"value", other(base), id, edit(func(b []byte) { b[header+entry+4+100] ^= 64 }), ErrPrefixFile},
		{"checksum", other(base), id, edit(func(b []byte) { b[len(b)-1]++ }), ErrPrefixFile},
		{"longer", other(base), id, append(bytes.Clone(file), 0), ErrPrefixFile},
		{"pages", other(base), id, edit(func(b []byte) { binary.LittleEndian.PutUint32(b[pages:], 1<<31) }), ErrFull},
		{"snapshots", other(base), id, edit(func(b []byte) { b[header-4]++ }), ErrPrefixFile},
		{"snapshot", other(base), id, edit(func(b []byte) { b[header+entry]++ }), ErrPrefixFile},
		{"state", other(state), id, file, ErrPrefixFile},
	} {
		t.Run(test.name, func(t *testing.T) {
			if pages, err := test.pool.LoadPrefixes(bytes.NewReader(test.file), test.id); !errors.Is(err, test.want) || pages != 0 {
				t.Errorf("%d pages, error %v, want %v", pages, err, test.want)
			}
			checkBooks(t, test.pool)
			if s := test.pool.PrefixStats(); test.pool.InUse() != 0 || s.Pages != 0 {
				t.Errorf("after the error %d pages are in use, %+v", test.pool.InUse(), s)
			}
		})
	}
	p := other(base)
	for cut := 0; cut < len(file); cut += 5 {
		if _, err := p.LoadPrefixes(bytes.NewReader(file[:cut]), id); !errors.Is(err, ErrPrefixFile) {
			t.Fatalf("a file cut to %d of %d bytes: %v", cut, len(file), err)
		}
	}
	if _, err := p.LoadPrefixes(io.MultiReader(bytes.NewReader(file[:300]), badReader{}), id); !errors.Is(err, errDisk) || errors.Is(err, ErrPrefixFile) {
		t.Errorf("a reader that fails: %v", err)
	}
	checkBooks(t, p)
}

var errDisk = errors.New("disk on fire")

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, errDisk }

func FuzzLoadPrefixes(f *testing.F) {
	id := Identity{Numerics: 1}
	file, _ := savedPool(f, id)
	f.Add(file)
	f.Add(file[:200])
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newPrefixPool(t, 8, 8)
		if _, err := p.LoadPrefixes(bytes.NewReader(data), id); err != nil && !errors.Is(err, ErrPrefixFile) && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		checkBooks(t, p)
	})
}

func ExampleTable_Adopt() {
	pool, err := NewPool(Config{Layers: 2, KVHeads: 2, HeadDim: 64, Type: kernel.KVF16, MaxPages: 100, PrefixPages: 50})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	text := make([]int32, 100)
	first := pool.NewTable(100)
	if err := first.Reserve(100); err != nil {
		fmt.Println(err)
		return
	}
	first.Advance(100) // the model has written keys and values
	first.Index(text)
	first.Release()
	second := pool.NewTable(100)
	fmt.Printf("%d of %d positions need not be computed again\n", second.Adopt(text, len(text)), len(text))
	// Output: 96 of 100 positions need not be computed again
}
