package parallel

import (
	"sync/atomic"
	"unsafe"
)

// While a worker waits, for the others at the end of a section or for the next one to
// begin, its part of the memory's bandwidth is unused. So it fetches into its second
// cache what it will read first in a later section, as far as that is known.

// ahead is what a worker fetches while it waits: the addresses from … end−1. They are
// hints, which need not be of memory that is still there: nothing is read.
type ahead struct {
	from, end atomic.Uintptr
	_         [48]byte // neighbours are written by other workers
}

// fetchBytes is how much a worker asks for before it looks again whether there is work.
const fetchBytes = 512

// Ahead says that a worker will read data in a later section, in place of what it was told
// before. The first bytes are the first that it needs. It belongs to the goroutine that
// calls Run.
func (t *Team) Ahead(worker int, data []byte) {
	a := &t.aheads[worker]
	from := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	a.end.Store(from + uintptr(len(data))&^(fetchBytes-1))
	a.from.Store(from)
}

// linger passes a moment of waiting.
func (t *Team) linger(worker int) {
	a := &t.aheads[worker]
	from := a.from.Load()
	if from >= a.end.Load() {
		pause()
		return
	}
	fetch(from)
	a.from.CompareAndSwap(from, from+fetchBytes)
}

// First returns the slice that a worker begins a section with that RunNodes is given, and
// whether it has any.
func (t *Team) First(worker int, ends []int) (slice int, ok bool) {
	slices := ends[len(ends)-1]
	if slices > maxGrains {
		return 0, false
	}
	if len(ends) == 1 {
		ends = nil
	}
	first, end := t.part(worker, slices, ends)
	return first, first < end
}
