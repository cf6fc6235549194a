package cache

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"trit/internal/kernel"
)

const n = kernel.PageTokens

func newPool(t testing.TB, kv kernel.KVType, maxPages int) *Pool {
	t.Helper()
	p, err := NewPool(Config{Layers: 2, KVHeads: 3, HeadDim: 4, Type: kv, MaxPages: maxPages})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// grow stores positions with a value that tells who wrote them.
func grow(t testing.TB, tab *Table, positions int, value float32) {
	t.Helper()
	if err := tab.Reserve(positions); err != nil {
		t.Fatal(err)
	}
	p := tab.pool
	for pos := tab.Len(); pos < tab.Len()+positions; pos++ {
		for layer := range p.config.Layers + p.config.WindowLayers {
			for head := range p.config.KVHeads {
				page := p.View(tab.Pages()[pos/n], layer, head)
				v := value + float32(layer*p.config.KVHeads+head)
				kernel.StoreK(&page, pos%n, []float32{v, v, v, v})
				kernel.StoreV(&page, pos%n, []float32{-v, -v, -v, -v})
			}
		}
	}
	tab.Advance(positions)
}

// read returns the values that a position holds, one per layer that can still see it
// and head, after checking that K and V agree. It reads through attention over that position
// alone, which needs no knowledge of the page's layout.
func read(t testing.TB, tab *Table, pos int) []float32 {
	t.Helper()
	p := tab.pool
	var values []float32
	layers := p.config.Layers
	if pos > tab.Len()-p.config.Window {
		layers += p.config.WindowLayers
	}
	for layer := range layers {
		for head := range p.config.KVHeads {
			page := p.View(tab.Pages()[pos/n], layer, head)
			args := kernel.AttendArgs{
				HeadDim: 4, Queries: 1, Scale: 1, Q: []float32{0, 0, 0, 0},
				Valid: []int32{int32(pos%n + 1)}, First: []int32{int32(pos % n)}, Pages: []kernel.KVPage{page},
				O: make([]float32, 4), M: make([]float32, 1), L: make([]float32, 1), Scratch: make([]float32, kernel.AttendScratch(1)),
			}
			kernel.AttendChunk(&args)
			values = append(values, -args.O[0])
		}
	}
	return values
}

func check(t testing.TB, tab *Table, pos int, value float32) {
	t.Helper()
	for i, v := range read(t, tab, pos) {
		want := value + float32(i)
		if tab.pool.config.Type == kernel.KVQ4 && math.Abs(float64(v-want)) < .001*float64(want) {
			continue
		}
		if v != want {
			t.Fatalf("position %d, plane %d holds %v, want %v", pos, i, v, want)
		}
	}
}

func TestForkAndWrite(t *testing.T) {
	for _, kv := range []kernel.KVType{kernel.KVF32, kernel.KVF16, kernel.KVI8, kernel.KVQ4} {
		t.Run(kv.String(), func(t *testing.T) {
			p := newPool(t, kv, 100)
			a := p.NewTable(0)
			grow(t, a, n+5, 10)
			b := a.Fork()
			if p.InUse() != 2 {
				t.Errorf("%d pages in use after a fork, want 2", p.InUse())
			}
			grow(t, b, 1, 50) // copies the shared last page
			grow(t, a, 1, 90)
			if p.InUse() != 3 {
				t.Errorf("%d pages in use after both wrote, want 3", p.InUse())
			}
			for pos := range n + 5 {
				check(t, a, pos, 10)
				check(t, b, pos, 10)
			}
			check(t, b, n+5, 50)
			check(t, a, n+5, 90)

			a.Truncate(3)
			grow(t, a, 1, 30) // the first page is still shared with b
			check(t, a, 3, 30)
			check(t, b, 3, 10)
			b.Release()
			a.Release()
			if p.InUse() != 0 {
				t.Errorf("%d pages in use at the end", p.InUse())
			}
			grow(t, a, 2*n, 70) // a released table can be used again
			check(t, a, 2*n-1, 70)
			if p.Allocated() > 4 {
				t.Errorf("%d pages have memory; released ones should be reused", p.Allocated())
			}
		})
	}
}

// TestBudget: a reservation that does not fit changes nothing.
func TestBudget(t *testing.T) {
	p := newPool(t, kernel.KVF16, 3)
	a := p.NewTable(0)
	grow(t, a, n+1, 1)
	b := a.Fork()
	for _, positions := range []int{2*n + 1, 100 * n} {
		if err := b.Reserve(positions); !errors.Is(err, ErrFull) {
			t.Errorf("reserving %d positions: %v, want ErrFull", positions, err)
		}
		if b.Len() != n+1 || len(b.Pages()) != 2 {
			t.Errorf("after a failed reservation: %d positions in %d pages", b.Len(), len(b.Pages()))
		}
	}
	check(t, b, n, 1)
	b.Release()
	a.Release()
	if p.InUse() != 0 {
		t.Errorf("%d pages in use", p.InUse())
	}
}

// TestRandom drives many tables by chance and compares them with plain lists.
func TestRandom(t *testing.T) {
	t.Run("whole", func(t *testing.T) { testRandom(t, newPool(t, kernel.KVF32, 60)) })
	t.Run("window", func(t *testing.T) { testRandom(t, newWindowPool(t, 40, 0, 50)) })
}

func testRandom(t *testing.T, p *Pool) {
	r := rand.New(rand.NewPCG(1, 2))
	type pair struct {
		table *Table
		want  []float32
	}
	pairs := []pair{{table: p.NewTable(0)}}
	for step := range 3000 {
		i := r.IntN(len(pairs))
		s := &pairs[i]
		switch op := r.IntN(10); {
		case op < 5:
			count, value := 1+r.IntN(40), float32(step*10)
			if err := s.table.Reserve(count); err != nil {
				if !errors.Is(err, ErrFull) {
					t.Fatal(err)
				}
				s.table.Truncate(s.table.Len() / 2)
				s.want = s.want[:s.table.Len()]
				continue
			}
			grow(t, s.table, count, value)
			for range count {
				s.want = append(s.want, value)
			}
		case op < 7 && len(pairs) < 12:
			pairs = append(pairs, pair{s.table.Fork(), append([]float32(nil), s.want...)})
		case op < 9:
			k := r.IntN(len(s.want) + 1)
			s.table.Truncate(k)
			s.want = s.want[:s.table.Len()]
		case len(pairs) > 1:
			s.table.Release()
			pairs = append(pairs[:i], pairs[i+1:]...)
			continue
		}
		if len(s.want) > 0 {
			pos := r.IntN(len(s.want))
			check(t, s.table, pos, s.want[pos])
		}
	}
	refs := 0
	for _, s := range pairs {
		for pos := range s.want {
			check(t, s.table, pos, s.want[pos])
		}
		refs += len(s.table.Pages())
		s.table.Release()
	}
	if p.InUse() != 0 || refs == 0 {
		t.Errorf("%d pages in use at the end", p.InUse())
	}
}

func TestReleaseTwicePanics(t *testing.T) {
	p := newPool(t, kernel.KVF32, 2)
	page, err := p.Alloc()
	if err != nil {
		t.Fatal(err)
	}
	p.Release(page)
	defer func() {
		if recover() == nil {
			t.Error("releasing a free page does not panic")
		}
	}()
	p.Release(page)
}

func TestBadShape(t *testing.T) {
	for _, c := range []Config{{}, {Layers: 1, KVHeads: 1, HeadDim: kernel.MaxHeadDim + 2, MaxPages: 1}, {Layers: 1, KVHeads: 1, HeadDim: 4},
		{Layers: 1 << 20, KVHeads: 1 << 10, HeadDim: 256, MaxPages: 1 << 30}} {
		if _, err := NewPool(c); err == nil {
			t.Errorf("a pool of shape %+v was made", c)
		}
	}
}

func ExampleTable_Fork() {
	pool, err := NewPool(Config{Layers: 30, KVHeads: 5, HeadDim: 128, Type: kernel.KVF16, MaxPages: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	prompt := pool.NewTable(300)
	if err := prompt.Reserve(200); err != nil {
		fmt.Println(err)
		return
	}
	prompt.Advance(200)
	answers := []*Table{prompt.Fork(), prompt.Fork(), prompt.Fork()}
	fmt.Printf("%d sequences of 200 positions share %d pages\n", 1+len(answers), pool.InUse())
	// Output: 4 sequences of 200 positions share 7 pages
}
