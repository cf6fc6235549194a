package cache

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"trit/internal/kernel"
)

const stateSize, recordSize = 100, 20

// newStatePool returns a pool whose states count as two pages.
func newStatePool(t testing.TB, maxPages, prefixPages int) *Pool {
	t.Helper()
	c := Config{Layers: 1, KVHeads: 1, HeadDim: 1, Type: kernel.KVF32, MaxPages: maxPages, PrefixPages: prefixPages, StateSize: stateSize, RecordSize: recordSize}
	p, err := NewPool(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if got := p.StateStats().Pages; got != 2 {
		t.Fatalf("a state counts as %d pages, want 2", got)
	}
	return p
}

// stateValue is what a model's state would be behind some tokens.
func stateValue(tokens []int32) float32 {
	sum := float32(0)
	for i, t := range tokens {
		sum += float32((int(t)*5 + i) % 89)
	}
	return sum
}

// storeOne writes the keys and values of a position: the value, everywhere.
func storeOne(tab *Table, pos int, value float32) {
	page := tab.pool.View(tab.Pages()[pos/n], 0, 0)
	kernel.StoreK(&page, pos%n, []float32{value})
	kernel.StoreV(&page, pos%n, []float32{value})
}

// step runs the next tokens of a sequence as an engine does, the last so many as guesses.
func step(tab *Table, text []int32, tokens, guesses int) error {
	if guesses > 0 {
		tab.Guess(tab.Len() + tokens - guesses)
	}
	if err := tab.Reserve(tokens); err != nil {
		return err
	}
	run, at := tab.StateRun(), tab.Len()
	state := make([]float32, stateSize)
	if run.To != nil {
		state = run.To
	}
	if run.From == nil {
		clear(state)
	} else {
		copy(state, run.From)
	}
	saves := run.Saves
	for pos := run.Base; pos < at+tokens; pos++ {
		for len(saves) > 0 && saves[0].At == pos {
			copy(saves[0].Data, state)
			saves = saves[1:]
		}
		if pos == run.Hold {
			state = slices.Clone(state)
		}
		if pos < at {
			add(state, run.Replay[(pos-run.Base)*recordSize:][:recordSize])
			continue
		}
		storeOne(tab, pos, prefixValue(text[:pos+1]))
		record := slices.Repeat([]float32{float32((int(text[pos])*5 + pos) % 89)}, recordSize)
		if i := pos - run.Hold; i >= 0 && i < run.Records {
			copy(run.Record[i*recordSize:], record)
		}
		add(state, record)
	}
	if len(saves) > 0 {
		return errors.New("a copy was asked for where the step does not come")
	}
	tab.Advance(tokens)
	return nil
}

// add adds a record to a state, one of its numbers to as many as there are of them.
func add(state, record []float32) {
	for i := range state {
		state[i] += record[i%len(record)]
	}
}

// checkState checks the state of a table, and all its snapshots.
func checkState(t testing.TB, tab *Table, text []int32) {
	t.Helper()
	p := tab.pool
	same := func(what string, s State, at int) {
		t.Helper()
		data := p.StateData(s)
		if want := stateValue(text[:at]); len(data) != stateSize || data[0] != want || data[stateSize-1] != want {
			t.Fatalf("%s behind %d tokens is %v and %v, want %v", what, at, data[0], data[stateSize-1], want)
		}
	}
	if (tab.state == NoState) != (tab.base() == 0) || tab.base() < 0 {
		t.Fatalf("state %d at %d of a table of %d positions", tab.state, tab.base(), tab.n)
	}
	if tab.base() > 0 {
		same("the state", tab.state, tab.base())
	}
	for i := range tab.replay {
		at := tab.base() + i
		if got, want := p.StateData(tab.record)[(i+1)*recordSize-1], float32((int(text[at])*5+at)%89); got != want {
			t.Fatalf("the record of position %d is %v, want %v", at, got, want)
		}
	}
	for i := range tab.n / n {
		if s := p.Snapshot(tab.pages[i]); s != NoState {
			same("the snapshot", s, (i+1)*n)
		}
	}
}

// checkStateBooks checks that every state is free, or referred to as often as it says.
func checkStateBooks(t testing.TB, p *Pool, tables ...*Table) {
	t.Helper()
	refs := make([]int32, len(p.states.slots))
	tables = slices.Clone(tables)
	for _, tab := range tables {
		for _, s := range []State{tab.state, tab.record} {
			if s != NoState {
				refs[s]++
			}
		}
		if tab.reserved || tab.replay > 0 && tab.record == NoState {
			t.Fatalf("a table between two steps: %+v", tab.tableState)
		}
	}
	held, listed := 0, 0
	for s := range refs {
		if refs[s] > 0 {
			held++
		}
	}
	for i := range p.prefix.nodes {
		s := p.prefix.nodes[i].snapshot
		if s == NoState {
			continue
		}
		refs[s]++
		if p.states.slots[s].page != Page(i) {
			t.Fatalf("state %d is the snapshot of page %d, and believes of page %d", s, i, p.states.slots[s].page)
		}
		if p.refs[i] == 0 {
			listed++
			if !p.prefix.has(Page(i)) {
				t.Fatalf("the free page %d has a snapshot", i)
			}
		}
	}
	for _, s := range slices.Concat(p.states.free, p.states.cold) {
		if refs[s] != 0 {
			t.Fatalf("the free state %d is referred to", s)
		}
		refs[s] = -1
	}
	for s, want := range refs {
		if got := p.states.slots[s].refs; got != max(want, 0) || want == 0 {
			t.Fatalf("state %d has %d references, counted %d", s, got, want)
		}
	}
	if p.states.held != held || p.prefix.snapshots != listed {
		t.Fatalf("%d states held and %d kept, counted %d and %d", p.states.held, p.prefix.snapshots, held, listed)
	}
	if p.taken() > p.budget || p.backed() > p.budget {
		t.Fatalf("%d bytes are taken and %d have memory, of %d", p.taken(), p.backed(), p.budget)
	}
	if p.prefix.unreferenced+2*p.prefix.snapshots > p.prefix.limit {
		t.Fatalf("%d pages and %d snapshots are kept, the limit is %d", p.prefix.unreferenced, p.prefix.snapshots, p.prefix.limit)
	}
}

// TestStateRandom drives tables with states over sequences with common beginnings in a small
// pool, and checks all states, snapshots and books.
func TestStateRandom(t *testing.T) {
	for _, size := range []struct{ pages, prefix int }{{30, 14}, {200, 100}, {14, 0}} {
		r := rand.New(rand.NewPCG(5, uint64(size.pages)))
		p := newStatePool(t, size.pages, size.prefix)
		base := [][]int32{text(1, 20*n), text(2, 6*n)}
		base = append(base, append(slices.Clone(base[0][:2*n+7]), text(3, 3*n)...), append(slices.Clone(base[0][:4*n]), text(4, n)...))
		type pair struct {
			table *Table
			text  []int32 // what it is to become
		}
		var pairs []pair
		adopted, full, back, failed, taken := 0, 0, 0, 0, 0
		for range 6000 {
			if len(pairs) == 0 || r.IntN(4) == 0 && len(pairs) < 6 {
				pairs = append(pairs, pair{p.NewTable(0), base[r.IntN(len(base))]})
			}
			i := r.IntN(len(pairs))
			s := pairs[i]
			switch op := r.IntN(24); {
			case op < 12:
				before := s.table.Len()
				if r.IntN(2) == 0 {
					adopted += s.table.Adopt(s.text, min(len(s.text), before+r.IntN(8*n))) - before
				}
				tokens := min(1+r.IntN(1+r.IntN(4*n)), len(s.text)-s.table.Len())
				if tokens == 0 {
					break
				}
				guesses := 0
				if r.IntN(3) == 0 {
					guesses = 1 + r.IntN(min(tokens, 9))
				}
				// Some of the last guesses are wrong.
				right, end := guesses, s.table.Len()+tokens
				ran := s.text[:end]
				if guesses > 0 && r.IntN(2) == 0 {
					right = r.IntN(guesses)
					ran = slices.Clone(ran)
					for i := end - guesses + right; i < end; i++ {
						ran[i]++
					}
				}
				err := step(s.table, ran, tokens, guesses)
				if errors.Is(err, ErrFull) {
					full++
					s.table.Release()
				} else if err != nil {
					t.Fatal(err)
				}
				if err == nil && s.table.Len() < min(end, end-guesses+p.records()) {
					t.Fatalf("%d positions, of %d with %d guesses", s.table.Len(), end, guesses)
				}
				recorded := s.table.replay > 0
				s.table.Truncate(end - guesses + right)
				if recorded && s.table.Len() < end-guesses {
					t.Fatalf("without its wrong guesses the table has %d positions, want at least %d", s.table.Len(), end-guesses)
				}
				if recorded {
					taken++
				}
			case op < 13: // a step that fails in the middle
				if s.table.Len() == len(s.text) || s.table.Reserve(1) != nil {
					break
				}
				run := s.table.StateRun()
				for i := range run.To {
					run.To[i] = -1
				}
				for i := range run.Record {
					run.Record[i] = -1
				}
				s.table.Cancel(true)
				failed++
			case op < 14:
				if s.table.Len() < len(s.text) && s.table.Reserve(1) == nil {
					s.table.Cancel(false)
				}
			case op < 16:
				s.table.Index(s.text)
			case op < 18:
				to := r.IntN(s.table.Len() + 1)
				s.table.Truncate(to)
				if s.table.Len() > to {
					t.Fatalf("%d positions after a cut to %d", s.table.Len(), to)
				}
				if s.table.Len() > 0 {
					back++
				}
			case op < 19:
				s.table.Keep()
				s.table.Wish(n * (1 + r.IntN(8)))
			case op < 22:
				if len(pairs) < 6 {
					pairs = append(pairs, pair{s.table.Fork(), s.text})
				}
			case op < 23:
				if r.IntN(20) == 0 {
					p.ForgetPrefixes()
				}
			default:
				s.table.Release()
				pairs = append(pairs[:i], pairs[i+1:]...)
			}
			var tables []*Table
			for _, s := range pairs {
				checkState(t, s.table, s.text)
				tables = append(tables, s.table)
			}
			checkBooks(t, p)
			checkStateBooks(t, p, tables...)
		}
		if back == 0 || failed == 0 || taken == 0 || size.prefix > 0 && adopted == 0 || size.pages < 100 && full == 0 {
			t.Errorf("%d pages: %d adopted, %d times full, %d back, %d failed, %d guesses: the test tries nothing", size.pages, adopted, full, back, failed, taken)
		}
		for _, s := range pairs {
			s.table.Release()
		}
		checkStateBooks(t, p)
		p.ForgetPrefixes()
		if p.InUse() != 0 || p.taken() != 0 {
			t.Errorf("%d pages in use, %d taken", p.InUse(), p.taken())
		}
	}
}

// TestSnapshots: a snapshot stays at the end of a prompt and where it was wished for,
// and one follows the sequence.
func TestSnapshots(t *testing.T) {
	p := newStatePool(t, 100, 50)
	tokens := text(1, 12*n)
	a := p.NewTable(0)
	a.Wish(2 * n)
	for a.Len() < 4*n+5 {
		if err := step(a, tokens, min(n, 4*n+5-a.Len()), 0); err != nil {
			t.Fatal(err)
		}
	}
	a.Keep()
	for a.Len() < 11*n+1 {
		if err := step(a, tokens, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	a.Index(tokens)
	var at []int
	for i, page := range a.Pages() {
		if p.Snapshot(page) != NoState {
			at = append(at, i+1)
		}
	}
	if want := []int{2, 4, 8, 11}; !slices.Equal(at, want) {
		t.Errorf("there are snapshots behind pages %v, want %v", at, want)
	}
	if s := p.StateStats(); s.Held != 1 || s.Snapshots != 4 || p.InUse() != 12+2 {
		t.Errorf("%+v, %d pages in use", s, p.InUse())
	}
	// Another sequence takes over what there is of it, and leaves a snapshot where it parts.
	for i, want := range []int{4 * n, 7 * n} {
		other := append(slices.Clone(tokens[:7*n]), text(int32(8+i), 2*n)...)
		b := p.NewTable(0)
		if got := b.Adopt(other, len(other)-1); got != want {
			t.Errorf("%d positions were adopted, want %d", got, want)
		}
		checkState(t, b, other)
		if err := step(b, other, len(other)-b.Len(), 0); err != nil {
			t.Fatal(err)
		}
		checkState(t, b, other)
		b.Index(other)
		b.Release()
	}
	a.Truncate(9 * n)
	if a.Len() != 8*n {
		t.Errorf("a cut at page 9 goes back to %d, want %d", a.Len(), 8*n)
	}
	a.Release()
	checkStateBooks(t, p)
}

// TestStateMemory: what pages have had, states can have, and the other way round, and
// never both.
func TestStateMemory(t *testing.T) {
	p := newStatePool(t, 20, 0)
	tokens := text(1, 18*n)
	a := p.NewTable(0)
	if err := step(a, tokens, 18*n, 0); err != nil {
		t.Fatal(err)
	}
	a.Release()
	if p.Allocated() != 18 || p.StateStats().Allocated != 1 {
		t.Fatalf("%d pages, %+v", p.Allocated(), p.StateStats())
	}
	var tables []*Table
	for range 6 {
		b := p.NewTable(0)
		if err := step(b, tokens, 1, 0); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, b)
	}
	if err := step(p.NewTable(0), tokens, 1, 0); !errors.Is(err, ErrFull) {
		t.Errorf("a seventh text: %v", err)
	}
	if s := p.StateStats(); s.Allocated != 6 || p.Allocated() > 8 || p.Allocated() < 6 {
		t.Errorf("%d pages, %+v", p.Allocated(), s)
	}
	checkBooks(t, p)
	checkStateBooks(t, p, tables...)
	for _, b := range tables {
		b.Release()
	}
	if err := step(a, tokens, 18*n, 0); err != nil {
		t.Fatal(err)
	}
	checkState(t, a, tokens)
	if _, err := NewPool(Config{Layers: 1, KVHeads: 1, HeadDim: 1, MaxPages: 1, StateSize: stateSize}); !errors.Is(err, ErrFull) {
		t.Errorf("a budget that holds no state: %v", err)
	}
}
