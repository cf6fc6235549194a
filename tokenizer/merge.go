package tokenizer

import (
	"math"
	"slices"

	"trit/internal/work"
)

// maxSmall is the longest sequence of symbols that is merged by looking at all
// pairs again and again; from there on a heap is faster.
const maxSmall = 64

// maxPiece bounds what is merged as one sequence, so that positions fit int32. A
// longer piece is cut.
const maxPiece = 1 << 29

// mergeSmall merges syms in place, always the pair with the lowest rank and
// among equal ranks the leftmost, and returns how many symbols are left.
func (t *mergeTable) mergeSmall(syms []int32) int {
	var ranks, to [maxSmall]int32
	n := len(syms)
	for i := 0; i+1 < n; i++ {
		ranks[i], to[i] = t.find(syms[i], syms[i+1])
	}
	for n > 1 {
		best, at := int32(noMerge), 0
		for i, r := range ranks[:n-1] {
			if r < best {
				best, at = r, i
			}
		}
		if best == noMerge {
			break
		}
		syms[at] = to[at]
		copy(syms[at+1:n-1], syms[at+2:n])
		n--
		if at+1 < n {
			copy(ranks[at+1:n-1], ranks[at+2:n])
			copy(to[at+1:n-1], to[at+2:n])
			ranks[at], to[at] = t.find(syms[at], syms[at+1])
		}
		if at > 0 {
			ranks[at-1], to[at-1] = t.find(syms[at-1], syms[at])
		}
	}
	return n
}

// link is a symbol of a long sequence. Merging joins a symbol with its successor
// and takes the successor out of the list.
type link struct {
	sym        int32
	prev, next int32 // −1: none
}

// candidate is a possible merge of links[pos] with its successor. It is stale
// once either symbol has changed.
type candidate struct {
	rank, pos   int32
	left, right int32
	to          int32
}

func (c *candidate) before(d *candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.pos < d.pos
}

// longMerge is the scratch memory of mergeLong.
type longMerge struct {
	work  *work.Meter
	links []link
	heap  []candidate
}

// mergeLong does what mergeSmall does in O(n log n).
func (t *mergeTable) mergeLong(syms []int32, m *longMerge) int {
	n := int32(len(syms))
	m.links = slices.Grow(m.links[:0], len(syms))
	m.heap = slices.Grow(m.heap[:0], len(syms))
	for i, s := range syms {
		m.work.Spend(1)
		m.links = append(m.links, link{s, int32(i) - 1, int32(i) + 1})
	}
	m.links[n-1].next = -1
	for i := range n - 1 {
		m.work.Spend(1)
		if rank, to := t.find(syms[i], syms[i+1]); rank != noMerge {
			m.heap = append(m.heap, candidate{rank, i, syms[i], syms[i+1], to})
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.work.Spend(1)
		m.down(i)
	}
	const gone = math.MinInt32 // a symbol that no candidate has
	for len(m.heap) > 0 {
		m.work.Spend(1)
		c := m.pop()
		left := &m.links[c.pos]
		if left.sym != c.left || left.next < 0 || m.links[left.next].sym != c.right {
			continue
		}
		right := &m.links[left.next]
		left.sym, right.sym = c.to, gone
		left.next = right.next
		if left.next >= 0 {
			next := &m.links[left.next]
			next.prev = c.pos
			if rank, to := t.find(c.to, next.sym); rank != noMerge {
				m.push(candidate{rank, c.pos, c.to, next.sym, to})
			}
		}
		if left.prev >= 0 {
			prev := m.links[left.prev].sym
			if rank, to := t.find(prev, c.to); rank != noMerge {
				m.push(candidate{rank, left.prev, prev, c.to, to})
			}
		}
	}
	k := 0
	for i := int32(0); i >= 0; i = m.links[i].next {
		m.work.Spend(1)
		syms[k] = m.links[i].sym
		k++
	}
	return k
}

func (m *longMerge) push(c candidate) {
	m.heap = append(m.heap, c)
	i := len(m.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !c.before(&m.heap[up]) {
			break
		}
		m.heap[i] = m.heap[up]
		i = up
	}
	m.heap[i] = c
}

func (m *longMerge) pop() candidate {
	top := m.heap[0]
	last := len(m.heap) - 1
	m.heap[0] = m.heap[last]
	m.heap = m.heap[:last]
	m.down(0)
	return top
}

func (m *longMerge) down(i int) {
	n := len(m.heap)
	if i >= n {
		return
	}
	c := m.heap[i]
	for {
		k := 2*i + 1
		if k >= n {
			break
		}
		if k+1 < n && m.heap[k+1].before(&m.heap[k]) {
			k++
		}
		if !m.heap[k].before(&c) {
			break
		}
		m.heap[i] = m.heap[k]
		i = k
	}
	m.heap[i] = c
}
