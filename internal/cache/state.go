package cache

import (
	"fmt"
	"math"

	"trit/internal/aligned"
	"trit/internal/vmem"
)

// A state is what the recurrences of a model carry from position to position: one
// for a whole sequence, which does not grow and does not go back. A table has the state
// behind its last position. It is written in place while the table is the only one
// that refers to it, and otherwise to a copy, as pages are.
//
// To go back anyway, and for others to go on from there, there are snapshots: a page
// may have the state behind its last position. It belongs to the page, so it is
// shared, kept in the prefix index and evicted with it.
//
// States have memory of their own, but count in the pool's budget as the pages that
// would take as much. What a free page or a free state has is given back to the
// system before the memory of all of them is more than that.

// State is the number of a state in its pool.
type State int32

// NoState is no state: that of an empty sequence, or of a model without.
const NoState State = -1

// states are the states of a pool.
type states struct {
	region *vmem.Region // nil for models without
	bytes  int          // of a state
	pages  int          // that a state counts as
	slots  []slot       // by state
	free   []State      // that have memory, and
	cold   []State      // those whose memory has been given back
	held   int          // that tables refer to
	clock  uint64
}

// slot is what the pool knows of a state.
type slot struct {
	refs int32 // of tables, and one of the page whose snapshot it is
	page Page  // none if it is no snapshot
	used uint64
}

// StateBytes returns the memory of one state.
func (c Config) StateBytes() int64 {
	return (4*int64(c.StateSize) + aligned.Line - 1) &^ (aligned.Line - 1)
}

// StatePages returns as how many pages a state counts.
func (c Config) StatePages() int {
	return int((c.StateBytes() + c.PageBytes() - 1) / c.PageBytes())
}

// reserveStates reserves address space for as many states as the budget allows.
func (p *Pool) reserveStates() error {
	c := p.config
	if c.StateSize == 0 {
		return nil
	}
	s := &p.states
	s.pages = c.StatePages()
	most := c.MaxPages / s.pages
	if most == 0 {
		return fmt.Errorf("%w: a budget of %d pages, a state takes as much memory as %d; ask for a larger one", ErrFull, c.MaxPages, s.pages)
	}
	if size := c.StateBytes(); size > (math.MaxInt-(1<<20))/int64(most) {
		return fmt.Errorf("%w: %d states of %d bytes are more than this system can address; ask for a smaller context", ErrFull, most, size)
	}
	s.bytes = int(c.StateBytes())
	region, err := vmem.Reserve(s.bytes * most)
	if err != nil {
		return fmt.Errorf("cache: %d states: %w; ask for a smaller context", most, err)
	}
	s.region = region
	s.slots, s.free, s.cold = make([]slot, 0, most), make([]State, 0, most), make([]State, 0, most)
	return nil
}

func (s *states) close() error {
	if s.region == nil {
		return nil
	}
	return s.region.Close()
}

// taken returns the number of states that are referred to, and backed that of those
// that have memory.
func (s *states) taken() int  { return len(s.slots) - len(s.free) - len(s.cold) }
func (s *states) backed() int { return len(s.slots) - len(s.cold) }

// StateStats describe the states of a pool.
type StateStats struct {
	// Held are those of tables, and records of guesses, which have the memory of one.
	// Snapshots belong to pages alone.
	Held, Snapshots int
	// Allocated have memory, of Bytes each, and count as Pages.
	Allocated int
	Bytes     int64
	Pages     int
}

// StateStats returns counts of the states.
func (p *Pool) StateStats() StateStats {
	s := &p.states
	return StateStats{Held: s.held, Snapshots: s.taken() - s.held, Allocated: s.backed(), Bytes: int64(s.bytes), Pages: s.pages}
}

// StateData returns the numbers of a state: Config.StateSize of them.
func (p *Pool) StateData(s State) []float32 {
	return floats(p.stateMemory(s)[:4*p.config.StateSize])
}

func (p *Pool) stateMemory(s State) []byte {
	return p.states.region.Bytes()[int(s)*p.states.bytes:][:p.states.bytes]
}

// allocState returns a state with one reference, whose contents are undefined. If
// snapshots may give way for it, it fails only if there is nothing but what tables
// hold.
func (p *Pool) allocState(snapshots bool) (State, error) {
	s := &p.states
	if err := p.makeRoom(p.stateCost(), snapshots); err != nil {
		return NoState, err
	}
	n, err := p.newState()
	if err != nil {
		return NoState, fmt.Errorf("%w: %w", ErrFull, err)
	}
	s.slots[n] = slot{refs: 1, page: none}
	s.held++
	return n, nil
}

// newState returns a state that is not in use, for which there is room.
func (p *Pool) newState() (State, error) {
	s := &p.states
	if n := len(s.free); n > 0 {
		state := s.free[n-1]
		s.free = s.free[:n-1]
		return state, nil
	}
	if err := p.coolFor(p.stateCost()); err != nil {
		return NoState, err
	}
	state := State(len(s.slots))
	if n := len(s.cold); n > 0 {
		state = s.cold[n-1]
	}
	if err := s.region.Commit(int(state)*s.bytes, s.bytes); err != nil {
		return NoState, err
	}
	if int(state) < len(s.slots) {
		s.cold = s.cold[:len(s.cold)-1]
	} else {
		s.slots = append(s.slots, slot{})
	}
	return state, nil
}

// coolState gives the memory of a free state back.
func (p *Pool) coolState() error {
	s := &p.states
	state := s.free[len(s.free)-1]
	if err := s.region.Decommit(int(state)*s.bytes, s.bytes); err != nil {
		return err
	}
	s.free = s.free[:len(s.free)-1]
	s.cold = append(s.cold, state)
	return nil
}

// held reports whether a table refers to a slot.
func (s *slot) held() bool { return s.refs > 1 || s.refs == 1 && s.page == none }

// retainState adds a reference of a table.
func (p *Pool) retainState(n State) State {
	s := &p.states
	if !s.slots[n].held() {
		s.held++
	}
	s.slots[n].refs++
	return n
}

// releaseState drops a reference of a table; NoState has none.
func (p *Pool) releaseState(n State) {
	if n == NoState {
		return
	}
	s := &p.states
	slot := &s.slots[n]
	if !slot.held() {
		panic(fmt.Sprintf("cache: state %d released more often than retained", n))
	}
	if slot.refs--; !slot.held() {
		s.held--
	}
	if slot.refs == 0 {
		s.free = append(s.free, n)
	}
}

// shared reports whether others than one table refer to a state.
func (p *Pool) shared(n State) bool { return p.states.slots[n].refs > 1 }

// Snapshot returns the snapshot behind a page, or NoState.
func (p *Pool) Snapshot(page Page) State { return p.prefix.nodes[page].snapshot }

// setSnapshot makes a state that a table refers to the snapshot behind a page that a
// table refers to. A snapshot that is there stays.
func (p *Pool) setSnapshot(page Page, n State) {
	if p.Snapshot(page) != NoState || p.states.slots[n].page != none {
		return
	}
	p.prefix.nodes[page].snapshot = n
	slot := &p.states.slots[n]
	slot.refs++
	slot.page = page
	p.touch(n)
}

// touch notes that a snapshot was of use.
func (p *Pool) touch(n State) {
	p.states.clock++
	p.states.slots[n].used = p.states.clock
}

// moveSnapshot gives a page the snapshot of another one with the same tokens, if it
// has none.
func (p *Pool) moveSnapshot(to, from Page) {
	if n := p.Snapshot(from); n != NoState && p.Snapshot(to) == NoState {
		p.prefix.nodes[from].snapshot, p.prefix.nodes[to].snapshot = NoState, n
		p.states.slots[n].page = to
	}
}

// dropSnapshotOf takes the snapshot away from a page that is not in the list of
// unreferenced pages.
func (p *Pool) dropSnapshotOf(page Page) {
	n := p.Snapshot(page)
	if n == NoState {
		return
	}
	p.prefix.nodes[page].snapshot = NoState
	slot := &p.states.slots[n]
	slot.page = none
	if slot.refs--; slot.refs == 0 {
		p.states.free = append(p.states.free, n)
	}
}

// dropSnapshot gives up the snapshot that was of use least recently, of those whose
// memory becomes free with it. Only pages that tables refer to must be left.
func (p *Pool) dropSnapshot() bool {
	oldest := none
	var used uint64
	for i := range p.states.slots {
		if s := &p.states.slots[i]; s.page != none && s.refs == 1 && (oldest == none || s.used < used) {
			oldest, used = s.page, s.used
		}
	}
	if oldest == none {
		return false
	}
	p.dropSnapshotOf(oldest)
	return true
}
