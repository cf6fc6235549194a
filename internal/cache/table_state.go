package cache

import (
	"slices"

	"trit/internal/kernel"
)

// maxWishes bounds the places where others are known to branch off.
const maxWishes = 4

// tableState is what a table knows of its state.
//
// The state of a sequence whose last tokens are guesses stays where the first of them is.
// Of these positions there is a record instead, from which the next step makes up for
// them, as far as they have not been taken back. So guesses cost neither another state
// nor running anything twice.
type tableState struct {
	state  State // behind all positions but the last replay ones
	replay int
	record State // of these; NoState if there are none

	// While positions are reserved: next is the state at position hold, which may be
	// the memory of state, and nextRecord the record of what follows. saves are the
	// copies to make on the way.
	reserved   bool
	hold       int
	next       State
	nextRecord State
	saves      []Save

	guess int // position of the first guess among those to be reserved next, −1 for none
	// rolling is the page whose snapshot, rolled, is given up for the next one; −1 for
	// none.
	rolling int
	rolled  State
	wishes  []int // positions at which a snapshot is of use to others
}

// StateRun is what happens to the state of a table in a step.
type StateRun struct {
	// From is the state at position Base, nil for zeros. To is where the one at Hold
	// goes, and may be the same memory; nil if that is Base too. Positions from Hold on
	// are guesses: a state behind them is not kept.
	From, To   []float32
	Base, Hold int
	// Replay is the record of the positions from Base up to the reserved ones, and
	// Record where that of the first Records positions from Hold on goes, each of
	// Config.RecordSize numbers. They may be the same memory.
	Replay, Record []float32
	Records        int
	// Saves are copies of the state, in the order of their positions.
	Saves []Save
}

// Save is a copy of the state at position At, which becomes the snapshot of the page
// before that.
type Save struct {
	At    int
	Data  []float32
	state State
	roll  bool // the next one takes its place
}

func newTableState(size int) tableState {
	t := tableState{state: NoState, record: NoState, next: NoState, nextRecord: NoState, guess: -1, rolling: -1}
	if size > 0 {
		t.saves, t.wishes = make([]Save, 0, 4), make([]int, 0, maxWishes)
	}
	return t
}

// base returns the position that the state is at.
func (t *Table) base() int { return t.n - t.replay }

// StateRun returns what is to happen to the state in a step over the reserved
// positions. It is valid until Advance or Cancel.
func (t *Table) StateRun() StateRun {
	p := t.pool
	r := StateRun{Base: t.base(), Hold: t.hold, Saves: t.saves}
	if t.state != NoState {
		r.From = p.StateData(t.state)
	}
	if r.Hold > r.Base {
		r.To = p.StateData(t.next)
	}
	if t.replay > 0 {
		r.Replay = p.StateData(t.record)
	}
	if t.nextRecord != NoState {
		r.Record, r.Records = p.StateData(t.nextRecord), p.records()
	}
	return r
}

// records returns how many positions a record has room for. It has the memory of a
// state.
func (p *Pool) records() int {
	if p.config.RecordSize == 0 {
		return 0
	}
	return p.config.StateSize / p.config.RecordSize
}

// Guess says that the positions from at on, of those that are reserved next, are
// guesses: the table is likely to be cut back there.
func (t *Table) Guess(at int) { t.guess = at }

// Wish asks for a snapshot at a position, which is a multiple of kernel.PageTokens,
// when the table comes there: another sequence is known to branch off.
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
	t.reserveRecord(t.n + n)
	if t.hold > t.base() {
		if err := t.reserveNext(); err != nil {
			if t.nextRecord != t.record {
				p.releaseState(t.nextRecord)
			}
			t.nextRecord = NoState
			return err
		}
		t.reserveSaves(min(t.hold, t.n+n-1))
	}
	t.reserved = true
	return nil
}

// reserveRecord decides how far the state goes on in a step up to position end, and
// finds memory for the record of the rest. Without any the state goes on to the end.
func (t *Table) reserveRecord(end int) {
	p := t.pool
	guess := t.guess
	t.hold, t.guess, t.nextRecord = end, -1, NoState
	if guess < t.n || guess >= end || p.records() == 0 {
		return
	}
	owned := t.record != NoState && !p.shared(t.record)
	switch {
	case guess == t.n && t.replay > 0 && owned && end-t.base() <= p.records(): // more guesses
		t.hold, t.nextRecord = t.base(), t.record
		return
	case owned:
		t.nextRecord = t.record
	default:
		record, err := p.allocState(false)
		if err != nil {
			return // it is only kept to save time
		}
		t.nextRecord = record
	}
	t.hold = guess
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
		// Without room for a copy, a snapshot that is this very state gives way.
		if slot := &p.states.slots[t.state]; slot.page != none && slot.refs == 2 && p.Refs(slot.page) > 0 {
			p.dropSnapshotOf(slot.page)
			return nil
		}
	}
	t.next = NoState
	return err
}

// reserveSaves chooses the snapshots to make up to a position, and finds memory for
// them.
func (t *Table) reserveSaves(to int) {
	p := t.pool
	last := to / kernel.PageTokens
	for i := max(1, (t.base()+kernel.PageTokens-1)/kernel.PageTokens); i <= last; i++ {
		at := i * kernel.PageTokens
		stays := i%p.snapshotPages() == 0 || slices.Contains(t.wishes, at)
		if !stays && i != last || p.Snapshot(t.pages[i-1]) != NoState {
			continue
		}
		s := Save{At: at, roll: !stays, state: NoState}
		if s.roll && t.rolls() && !p.shared(t.rolled) {
			// The memory of the one that it takes the place of.
			s.state = p.retainState(t.rolled)
			t.dropRolling()
		} else {
			var err error
			if s.state, err = p.allocState(false); err != nil {
				return // it is only kept to save time
			}
		}
		s.Data = p.StateData(s.state)
		t.saves = append(t.saves, s)
	}
}

// advanceState makes what was reserved the table's, and counts n positions as stored as
// far as their state can be made up for.
func (t *Table) advanceState(n int) {
	p := t.pool
	end := t.n + n
	if !t.reserved {
		t.n = end
		return
	}
	if t.hold > t.base() && t.next != t.state {
		p.releaseState(t.state)
		t.state = t.next
	}
	if t.nextRecord != t.record {
		p.releaseState(t.record)
		t.record = t.nextRecord
	}
	t.replay = min(end-t.hold, p.records())
	t.n = t.hold + t.replay
	t.shrink(pagesFor(t.n))
	for _, s := range t.saves {
		i := s.At/kernel.PageTokens - 1
		p.setSnapshot(t.pages[i], s.state)
		p.releaseState(s.state)
		if s.roll {
			t.dropRolling()
			t.rolling, t.rolled = i, s.state
		}
		t.wishes = slices.DeleteFunc(t.wishes, func(at int) bool { return at <= s.At })
	}
	t.unreserve()
}

// unreserve forgets what was reserved, without giving it back.
func (t *Table) unreserve() {
	t.reserved, t.next, t.nextRecord, t.saves = false, NoState, NoState, t.saves[:0]
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
	if !t.reserved {
		return
	}
	p := t.pool
	for _, s := range t.saves {
		p.releaseState(s.state)
	}
	commits := t.hold > t.base()
	inPlace, overwritten := commits && t.next == t.state, commits && t.nextRecord == t.record
	if commits && !inPlace {
		p.releaseState(t.next)
	}
	if t.nextRecord != t.record {
		p.releaseState(t.nextRecord)
	}
	t.unreserve()
	switch {
	case begun && inPlace:
		t.forgetState()
		t.toSnapshot(t.n)
	case begun && overwritten:
		t.goBack(t.base())
	}
}

// goBack forgets the positions from n on, and others before n if the state is beyond.
func (t *Table) goBack(n int) {
	t.Cancel(false)
	base := t.base()
	if n < base {
		t.forgetState()
		t.toSnapshot(n)
		return
	}
	t.replay = n - base
	if t.replay == 0 {
		t.pool.releaseState(t.record)
		t.record = NoState
	}
	t.cut(n)
}

// toSnapshot takes the last snapshot up to position n.
func (t *Table) toSnapshot(n int) {
	p := t.pool
	at := 0
	for i := min(n/kernel.PageTokens, len(t.pages)); i > 0; i-- {
		if s := p.Snapshot(t.pages[i-1]); s != NoState {
			t.state, at = p.retainState(s), i*kernel.PageTokens
			p.touch(s)
			break
		}
	}
	t.cut(at)
}

// cut keeps n positions, with their pages.
func (t *Table) cut(n int) {
	t.n = n
	if t.rolling >= pagesFor(n) {
		t.rolling = -1
	}
	t.shrink(pagesFor(n))
}

// forgetState gives the state and the record up.
func (t *Table) forgetState() {
	t.pool.releaseState(t.state)
	t.pool.releaseState(t.record)
	t.state, t.record, t.replay, t.guess = NoState, NoState, 0, -1
}

// adoptState takes over the last snapshot of pages that follow the table's, and returns
// how many of them are before it. Where the index knows more pages than that, another
// sequence will want to branch off from their end.
func (t *Table) adoptState(known []Page, limit int) int {
	p := t.pool
	first := t.n / kernel.PageTokens
	n := max(0, min(len(known), limit/kernel.PageTokens-first))
	for n > 0 && p.Snapshot(known[n-1]) == NoState {
		n--
	}
	if n > 0 && (first+n)*kernel.PageTokens > t.n {
		state := p.retainState(p.Snapshot(known[n-1]))
		p.touch(state)
		t.forgetState()
		t.state, t.rolling = state, -1
	}
	if len(known) > n {
		t.Wish((first + len(known)) * kernel.PageTokens)
	}
	return n
}

// forkState shares the state of another table.
func (t *Table) forkState(from *Table) {
	state, record, replay := from.state, from.record, from.replay
	for _, s := range []State{state, record} {
		if s != NoState {
			t.pool.retainState(s)
		}
	}
	t.releaseStates()
	t.state, t.record, t.replay = state, record, replay
}

// releaseStates gives all states back. What is behind a full page stays as its
// snapshot.
func (t *Table) releaseStates() {
	t.Cancel(false)
	if base := t.base(); t.state != NoState && base%kernel.PageTokens == 0 {
		t.pool.setSnapshot(t.pages[base/kernel.PageTokens-1], t.state)
	}
	t.forgetState()
	t.rolling, t.wishes = -1, t.wishes[:0]
}
