package grammar

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
	"weak"
)

// Memory bounds what matchers keep, all that share it together. It is safe for concurrent use.
type Memory struct {
	limit int64
	used  atomic.Int64 // bytes, roughly

	mu       sync.Mutex
	matchers []weak.Pointer[Matcher]
}

// DefaultMemory is how many bytes a [Matcher] keeps that shares no [Memory].
const DefaultMemory = 16 << 20

// MemoryPeak is how many times its limit a [Memory] may be exceeded by, while operations go on: the largest of them is
// an [ErrLimit] then.
const MemoryPeak = 16

// NewMemory returns a memory of so many bytes. When matchers have more than that between two operations the one that
// has most forgets what it has found out, which it finds out again when it needs it.
func NewMemory(bytes int64) *Memory { return &Memory{limit: bytes} }

// Limit returns the number of bytes.
func (mem *Memory) Limit() int64 { return mem.limit }

// Used returns how many bytes the matchers keep.
func (mem *Memory) Used() int64 { return mem.used.Load() }

// NewMatcher is the function [NewMatcher] for a matcher that shares the memory.
func (mem *Memory) NewMatcher(g *Grammar, v *Vocabulary) (*Matcher, error) {
	m, err := newMatcher(g, v, mem)
	if err != nil {
		return nil, err
	}
	mem.mu.Lock()
	defer mem.mu.Unlock()
	mem.matchers = append(slices.DeleteFunc(mem.matchers, func(w weak.Pointer[Matcher]) bool { return w.Value() == nil }),
		weak.Make(m))
	runtime.AddCleanup(m, func(kept *atomic.Int64) { mem.used.Add(-kept.Load()) }, m.e.kept)
	return m, nil
}

// trim has the matchers that keep most forget it until the rest fits. own is the caller's,
// whose lock it holds. One that is busy trims when it is done.
func (mem *Memory) trim(own *Matcher) {
	if mem.Used() <= mem.limit {
		return
	}
	mem.mu.Lock()
	defer mem.mu.Unlock()
	for mem.Used() > mem.limit {
		largest := own
		for _, w := range mem.matchers {
			if m := w.Value(); m != nil && m.e.kept.Load() > largest.e.kept.Load() {
				largest = m
			}
		}
		switch {
		case largest.e.kept.Load() == 0:
			return // the rest is of matchers that are gone
		case largest == own:
			own.forget()
		case largest.mu.TryLock():
			largest.forget()
			largest.mu.Unlock()
		default:
			return
		}
	}
}

// forget empties a matcher's cache, and what of it is in scratch memory. Its lock is held.
func (m *Matcher) forget() {
	m.e.reset()
	m.gen++
	clear(m.path)
	clear(m.deep)
	m.e.items, m.e.popped = nil, nil
	clear(m.e.seen)
	clear(m.e.seenP)
	clear(m.e.pending)
}

// tellEvery is how much a matcher's memory grows before the shared one hears of it.
const tellEvery = 1 << 16

// grow counts memory.
func (e *engine) grow(bytes int64) {
	if e.mem += bytes; e.mem-e.kept.Load() >= tellEvery {
		e.tell()
	}
}

// tell brings the shared memory up to date, and ends an operation that takes too much of it.
func (e *engine) tell() {
	used := e.memory.used.Add(e.mem - e.kept.Swap(e.mem))
	peak := MemoryPeak * e.memory.limit
	if e.mem > peak || used > peak && e.mem > e.memory.limit {
		e.fail("following it takes more than %d KiB", e.mem>>10)
	}
}

// Size returns the memory that the compiled grammar takes, in bytes, roughly.
func (g *Grammar) Size() int64 {
	size := int64(len(g.net.nodes)) * int64(unsafe.Sizeof(node{}))
	for i := range g.net.nodes {
		n := &g.net.nodes[i]
		size += int64(len(n.edges))*int64(unsafe.Sizeof(byteEdge{})) + int64(len(n.calls))*int64(unsafe.Sizeof(callEdge{})) +
			int64(len(n.tokens))*int64(unsafe.Sizeof(tokenEdge{})) + 4*int64(len(n.repeats))
		if n.repeat != nil {
			size += int64(unsafe.Sizeof(repeatNode{}))
		}
	}
	return size
}
