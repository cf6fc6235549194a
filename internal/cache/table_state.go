package cache

import (
	"slices"

	"trit/internal/kernel"
)

// maxWishes bounds the places where others are known to branch off.
const maxWishes = 4

// tableState is what a table knows of its state.
type tableState struct {
	state State // behind the last position
	// While positions are reserved: where the state behind them goes, which is the
	// state itself if that can be written in place, and the copies to make on the
	// way.
	next  State
	saves []Save

	// mark is the state behind markAt positions, from where the text may go back at
	// once; NoState if there is none. wanted is where the next one is to be made,
	// −1 for nowhere.
	mark           State
	markAt, wanted int
	// rolling is the page whose snapshot, rolled, is given up for the next one; −1 for
	// none.
	rolling int
	rolled  State
	wishes  []int // positions at which a snapshot is of use to others
}

// StateRun is what happens to the state of a table in a step.
type StateRun struct {
	// From is the state behind the last position, nil for zeros; To is where the one
	// behind the reserved positions goes, and may be the same memory.
	From, To []float32
	// Saves are copies of the state, in the order of their positions.
	Saves []Save
}

// Save is a copy of the state before position At.
type Save struct {
	At    int
	Data  []float32
	state State
	page  bool // it becomes the snapshot of the page before At; otherwise it is the mark
	roll  bool // the next one takes its place
}

func newTableState(size int) tableState {
	t := tableState{state: NoState, next: NoState, mark: NoState, wanted: -1, rolling: -1}
	if size > 0 {
		t.saves, t.wishes = make([]Save, 0, 4), make([]int, 0, maxWishes)
	}
	return t
}

// StateRun returns what is to happen to the state in a step over the reserved
// positions. It is valid until Advance or Cancel.
func (t *Table) StateRun() StateRun {
	r := StateRun{To: t.pool.StateData(t.next), Saves: t.saves}
	if t.state != NoState {
		r.From = t.pool.StateData(t.state)
	}
	return r
}

// Mark asks for the state before a position to be kept, so that the table can be cut
// back to there without going further. It takes the place of an earlier mark.
func (t *Table) Mark(at int) {
	if t.pool.config.StateSize > 0 {
		t.wanted = at
	}
}

// Marked reports whether there is a mark.
func (t *Table) Marked() bool { return t.mark != NoState }

// Unmark gives the mark up.
func (t *Table) Unmark() {
	t.pool.releaseState(t.mark)
	t.mark, t.wanted = NoState, -1
}

// Wish asks for a snapshot at a position, which is a multiple of kernel.PageTokens,
// when the table comes there: another text is known to branch off.
func (t *Table) Wish(at int) {
	if t.pool.config.StateSize > 0 && at > t.n && len(t.wishes) < maxWishes && !slices.Contains(t.wishes, at) {
		t.wishes = append(t.wishes, at)
	}
}

// Keep has the last snapshot stay when the next is made: the end of a prompt.
func (t *Table) Keep() { t.rolling = -1 }

// snapshotPages is how far snapshots are apart that stay: far enough that they take
// no more memory than the pages between them.
func (p *Pool) snapshotPages() int { return max(8, p.states.pages) }

// reserveState finds memory for the state behind the next n positions, and for what is
// to be kept of it on the way. Only the first is needed.
func (t *Table) reserveState(n int) error {
	p := t.pool
	if p.config.StateSize == 0 {
		return nil
	}
	t.Cancel(false)
	if t.wanted == t.n && t.state != NoState {
		t.Unmark()
		t.mark, t.markAt = p.retainState(t.state), t.n
	}
	if err := t.reserveNext(); err != nil {
		return err
	}
	t.saves = t.saves[:0]
	last := (t.n + n - 1) / kernel.PageTokens
	for i := (t.n + kernel.PageTokens - 1) / kernel.PageTokens; i <= last; i++ {
		at := i * kernel.PageTokens
		if i == 0 || i-1 < len(t.pages) && p.Snapshot(t.pages[i-1]) != NoState {
			continue
		}
		stays := i%p.snapshotPages() == 0 || slices.Contains(t.wishes, at)
		if stays || i == last {
			t.save(Save{At: at, page: true, roll: !stays})
		}
	}
	if t.wanted > t.n && t.wanted < t.n+n {
		t.save(Save{At: t.wanted})
	}
	return nil
}

// reserveNext finds memory for the next state.
func (t *Table) reserveNext() error {
	p := t.pool
	if t.next = t.state; t.state != NoState && !p.shared(t.state) {
		return nil
	}
	next, err := p.allocState(true)
	if err == nil {
		t.next = next
		return nil
	}
	if t.state != NoState {
		// Without room for a copy, what is kept of this very state gives way.
		if t.mark == t.state {
			t.Unmark()
		}
		if page := p.states.slots[t.state].page; page != none && p.states.slots[t.state].refs == 2 && p.Refs(page) > 0 {
			p.dropSnapshotOf(page)
		}
		if !p.shared(t.state) {
			return nil
		}
	}
	t.next = NoState
	return err
}

// save finds memory for a copy and notes it, in the order of positions. The copy that
// it takes the place of, if nobody else wants that, is its memory.
func (t *Table) save(s Save) {
	p := t.pool
	s.state = NoState
	switch {
	case s.roll && t.rolls() && !p.shared(t.rolled):
		s.state = p.retainState(t.rolled)
		t.dropRolling()
	case !s.page && t.mark != NoState && t.mark != t.state && !p.shared(t.mark):
		s.state, t.mark = t.mark, NoState
	}
	if s.state == NoState {
		var err error
		if s.state, err = p.allocState(false); err != nil {
			return // it is only kept to save time
		}
	}
	s.Data = p.StateData(s.state)
	i := len(t.saves)
	for i > 0 && t.saves[i-1].At > s.At {
		i--
	}
	t.saves = slices.Insert(t.saves, i, s)
}

// advanceState counts the reserved positions as done, before they are counted.
func (t *Table) advanceState() {
	p := t.pool
	if t.next == NoState {
		return
	}
	if t.next != t.state {
		p.releaseState(t.state)
	}
	t.state, t.next = t.next, NoState
	for _, s := range t.saves {
		if !s.page {
			t.Unmark()
			t.mark, t.markAt = s.state, s.At
			continue
		}
		i := s.At/kernel.PageTokens - 1
		p.setSnapshot(t.pages[i], s.state)
		p.releaseState(s.state)
		if s.roll {
			t.dropRolling()
			t.rolling, t.rolled = i, s.state
		}
		t.wishes = slices.DeleteFunc(t.wishes, func(at int) bool { return at <= s.At })
	}
	t.saves, t.wanted = t.saves[:0], -1
}

// rolls reports whether the rolling snapshot is still there.
func (t *Table) rolls() bool {
	return t.rolling >= 0 && t.pool.Snapshot(t.pages[t.rolling]) == t.rolled
}

// dropRolling gives the rolling snapshot up.
func (t *Table) dropRolling() {
	if t.rolls() {
		t.pool.dropSnapshotOf(t.pages[t.rolling])
	}
	t.rolling = -1
}

// Cancel undoes Reserve. If the step has begun, a state that was written in place is
// gone, and the table goes back to what is kept.
func (t *Table) Cancel(begun bool) {
	if t.next == NoState {
		return
	}
	for _, s := range t.saves {
		t.pool.releaseState(s.state)
	}
	t.saves = t.saves[:0]
	inPlace := t.next == t.state
	if !inPlace {
		t.pool.releaseState(t.next)
	}
	t.next = NoState
	if begun && inPlace {
		t.goBack(t.n)
	}
}

// goBack gives the state up and takes the last one that is kept up to position n.
func (t *Table) goBack(n int) {
	p := t.pool
	state, at := NoState, 0
	for i := min(n/kernel.PageTokens, len(t.pages)); i > 0; i-- {
		if s := p.Snapshot(t.pages[i-1]); s != NoState {
			state, at = s, i*kernel.PageTokens
			break
		}
	}
	p.releaseState(t.state)
	switch {
	case t.mark != NoState && t.markAt <= n && t.markAt >= at:
		t.state, at, t.mark = t.mark, t.markAt, NoState
	case state != NoState:
		t.state = p.retainState(state)
		p.touch(state)
	default:
		t.state = NoState
	}
	if t.markAt > at {
		t.Unmark()
	}
	t.wanted = -1
	if t.rolling >= pagesFor(at) {
		t.rolling = -1
	}
	t.n = at
	t.shrink(pagesFor(at))
}

// adoptState takes over the last snapshot of pages that follow the table's, and returns
// how many of them are before it. Where the index knows more pages than that, another
// text will want to branch off from their end.
func (t *Table) adoptState(known []Page, limit int) int {
	p := t.pool
	first := t.n / kernel.PageTokens
	n := min(len(known), limit/kernel.PageTokens-first)
	for n > 0 && p.Snapshot(known[n-1]) == NoState {
		n--
	}
	if n > 0 && (first+n)*kernel.PageTokens > t.n {
		state := p.retainState(p.Snapshot(known[n-1]))
		p.touch(state)
		p.releaseState(t.state)
		t.state = state
		t.Unmark()
		t.rolling = -1
	}
	if len(known) > max(n, 0) {
		t.Wish((first + len(known)) * kernel.PageTokens)
	}
	return max(n, 0)
}

// forkState shares the state of another table.
func (t *Table) forkState(from *Table) {
	state := from.state
	if state != NoState {
		t.pool.retainState(state)
	}
	t.releaseStates()
	t.state = state
}

// releaseStates gives all states back. What is behind a full page stays as its
// snapshot.
func (t *Table) releaseStates() {
	t.Cancel(false)
	if t.state != NoState && t.n%kernel.PageTokens == 0 {
		t.pool.setSnapshot(t.pages[t.n/kernel.PageTokens-1], t.state)
	}
	t.pool.releaseState(t.state)
	t.state = NoState
	t.Unmark()
	t.rolling, t.wishes = -1, t.wishes[:0]
}
