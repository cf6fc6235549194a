package tokenizer

import (
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"
	"unsafe"
)

// packed holds many strings in one allocation: a vocabulary of 128k tokens costs
// two objects instead of 128k.
type packed struct {
	data []byte
	end  []uint32 // string i is data[end[i−1]:end[i]]
}

func newPacked(n, size int) packed {
	return packed{make([]byte, 0, size), make([]uint32, 0, n)}
}

// seal ends the string whose bytes were appended to data.
func (p *packed) seal() { p.end = append(p.end, uint32(len(p.data))) }

func (p *packed) add(s string) {
	p.data = append(p.data, s...)
	p.seal()
}

func (p *packed) len() int { return len(p.end) }

func (p *packed) bytes(i int32) []byte {
	var start uint32
	if i > 0 {
		start = p.end[i-1]
	}
	end := p.end[i]
	return p.data[start:end:end]
}

func (p *packed) str(i int32) string { return view(p.bytes(i)) }

// view returns b as a string without a copy; b must not change while the string
// is in use.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// textTable finds the index of a string in a packed. It is an open-addressing
// hash table with a random seed, so that no vocabulary can be built to collide.
type textTable struct {
	seed  maphash.Seed
	slots []textSlot // a power of two
	used  int
}

type textSlot struct {
	tag   uint32 // the upper half of the hash
	index int32  // index + 1; 0: empty
}

func newTextTable(n int) *textTable {
	return &textTable{seed: maphash.MakeSeed(), slots: make([]textSlot, tableSize(n))}
}

// tableSize is the number of slots for n entries: a power of two, at most half
// full.
func tableSize(n int) int { return 1 << bits.Len(uint(max(2*n-1, 7))) }

// find returns the index of s, or −1.
func (t *textTable) find(p *packed, s string) int32 {
	_, i := t.probe(p, s)
	return i
}

// put makes index the one that its string maps to, and reports whether another
// index had that string before.
func (t *textTable) put(p *packed, index int32) (replaced bool) {
	if 2*(t.used+1) > len(t.slots) {
		t.grow(p)
	}
	s := p.str(index)
	slot, old := t.probe(p, s)
	slot.tag, slot.index = uint32(maphash.String(t.seed, s)>>32), index+1
	if old < 0 {
		t.used++
	}
	return old >= 0
}

func (t *textTable) probe(p *packed, s string) (*textSlot, int32) {
	h := maphash.String(t.seed, s)
	tag, mask := uint32(h>>32), uint32(len(t.slots)-1)
	for i := uint32(h) & mask; ; i = (i + 1) & mask {
		slot := &t.slots[i]
		if slot.index == 0 {
			return slot, -1
		}
		if slot.tag == tag && p.str(slot.index-1) == s {
			return slot, slot.index - 1
		}
	}
}

func (t *textTable) grow(p *packed) {
	old := t.slots
	t.slots = make([]textSlot, 2*len(old))
	for _, o := range old {
		if o.index != 0 {
			slot, _ := t.probe(p, p.str(o.index-1))
			*slot = o
		}
	}
}

// noMerge is the rank of a pair that does not merge.
const noMerge = math.MaxInt32

// mergeTable maps a pair of adjacent symbols to the rank of its merge (smaller
// merges first) and to the symbol it becomes.
type mergeTable struct {
	slots []mergeSlot // a power of two
	shift uint8
	mul   uint64 // random and odd
	used  int
}

type mergeSlot struct {
	left, right int32 // left −1: empty
	rank, to    int32
}

func newMergeTable(n int) *mergeTable {
	t := &mergeTable{mul: rand.Uint64() | 1}
	t.resize(tableSize(n))
	return t
}

func (t *mergeTable) resize(size int) {
	t.slots = make([]mergeSlot, size)
	t.shift = uint8(64 - bits.Len(uint(size-1)))
	for i := range t.slots {
		t.slots[i].left = -1
	}
}

func (t *mergeTable) slot(left, right int32) *mergeSlot {
	h := (uint64(uint32(left))<<32 | uint64(uint32(right))) * t.mul
	h ^= h >> 32
	h *= t.mul
	mask := uint32(len(t.slots) - 1)
	for i := uint32(h>>t.shift) & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.left == left && s.right == right || s.left < 0 {
			return s
		}
	}
}

// put adds a merge unless the pair has one already.
func (t *mergeTable) put(left, right, rank, to int32) {
	if 2*(t.used+1) > len(t.slots) {
		old := t.slots
		t.resize(2 * len(old))
		for _, o := range old {
			if o.left >= 0 {
				*t.slot(o.left, o.right) = o
			}
		}
	}
	if s := t.slot(left, right); s.left < 0 {
		*s = mergeSlot{left, right, rank, to}
		t.used++
	}
}

// find returns the rank and the result of a pair's merge; the rank is noMerge if
// there is none. Negative symbols never merge.
func (t *mergeTable) find(left, right int32) (rank, to int32) {
	if left < 0 || right < 0 {
		return noMerge, 0
	}
	if s := t.slot(left, right); s.left >= 0 {
		return s.rank, s.to
	}
	return noMerge, 0
}
