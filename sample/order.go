package sample

import (
	"math"
	"math/bits"
	"slices"
)

// heapLimit is the longest prefix that is selected from a dense set in one
// pass with a heap; beyond it the set becomes a list and is partitioned.
const heapLimit = 4096

// prefix sorts the m largest candidates to keys[:m].
func (c *Candidates) prefix(m int) error {
	if c.partial {
		if c.sorted < c.n {
			slices.Sort(c.keys[:c.n])
			c.sorted = c.n
		}
		// An unlisted candidate with a logit equal to the bound may have a
		// lower id than a listed one.
		if m > c.n || m > 0 && keyLogit(c.keys[m-1]) <= c.bound {
			return ErrNeedAll
		}
		return nil
	}
	m = min(m, c.n)
	if m <= c.sorted {
		return nil
	}
	if !c.listed {
		if m <= heapLimit {
			c.selectHeap(m)
			return nil
		}
		c.list()
	}
	rest := c.keys[c.sorted:c.n]
	need := m - c.sorted
	if need < len(rest) {
		partition(rest, need)
	}
	slices.Sort(rest[:need])
	c.sorted = m
	return nil
}

// at returns the key of the i-th candidate of the order. It sorts ahead, so a
// walk along the order costs little per step.
func (c *Candidates) at(i int) (uint64, error) {
	if i >= c.sorted {
		ahead := i + 1
		if !c.partial {
			ahead = max(64, 4*i)
		}
		if err := c.prefix(ahead); err != nil {
			return 0, err
		}
	}
	if c.partial && keyLogit(c.keys[i]) <= c.bound {
		return 0, ErrNeedAll
	}
	return c.keys[i], nil
}

// largest returns the largest unscaled logit.
func (c *Candidates) largest() (float32, error) {
	if c.topOK {
		return c.top, nil
	}
	switch {
	case c.n == 0:
		return 0, ErrNoCandidate
	case c.sorted > 0 || c.partial:
		k, err := c.at(0)
		if err != nil {
			return 0, err
		}
		c.top = keyLogit(k)
	case c.listed:
		c.top = keyLogit(slices.Min(c.keys[:c.n]))
	default:
		top := float32(math.Inf(-1))
		for _, v := range c.dense[:c.vocab] {
			if v > top {
				top = v
			}
		}
		c.top = top
	}
	c.topOK = true
	return c.top, nil
}

// exponent returns (logit − largest)·scale, whose exponential is the
// candidate's weight. c.top must be valid.
func (c *Candidates) exponent(logit float32) float64 {
	return float64((float64(logit) - float64(c.top)) * c.scale)
}

// sum returns the sum of all weights. It leaves c.top valid.
func (c *Candidates) sum() (uint64, error) {
	if c.partial {
		return 0, ErrNeedAll
	}
	if _, err := c.largest(); err != nil {
		return 0, err
	}
	if c.totalOK {
		return c.total, nil
	}
	if c.listed {
		c.total, c.surprise = 0, 0
		for _, k := range c.keys[:c.n] {
			x := c.exponent(keyLogit(k))
			w := weight(x)
			c.total += w
			c.surprise += surpriseTerm(w, x)
		}
	} else {
		c.total, c.surprise = sumWeights(c.dense[:c.vocab], c.top, c.scale)
	}
	c.totalOK = true
	return c.total, nil
}

// meanExponent returns the mean of exponent(logit) under the candidates'
// distribution, and the sum of all weights. The entropy in nats is
// ln(z/2^43) − mean.
func (c *Candidates) meanExponent() (mean float64, z uint64, err error) {
	if z, err = c.sum(); err != nil {
		return 0, 0, err
	}
	return -(float64(c.surprise) / float64(z)), z, nil
}

// draw returns the candidate that the 64 random bits u select: the first in
// order whose cumulative weight exceeds ⌊u·z/2^64⌋. It also returns its weight
// and z.
func (c *Candidates) draw(u uint64) (key, w, z uint64, err error) {
	if z, err = c.sum(); err != nil {
		return 0, 0, 0, err
	}
	r, _ := bits.Mul64(u, z)
	for i := range c.n {
		if key, err = c.at(i); err != nil {
			return 0, 0, 0, err
		}
		w = weight(c.exponent(keyLogit(key)))
		if r < w {
			break
		}
		r -= w
	}
	return key, w, z, nil
}

// selectHeap fills keys with the m largest candidates of a dense set, sorted.
func (c *Candidates) selectHeap(m int) {
	c.keys = topKeys(c.keys[:0], c.dense[:c.vocab], m)
	c.sorted = len(c.keys)
}

// topKeys appends the keys of the m largest logits above −Inf to an empty dst,
// sorted. It keeps the m best seen so far in a heap with the worst at its
// root; since ids ascend, a later logit must be strictly larger to enter.
func topKeys(dst []uint64, logits []float32, m int) []uint64 {
	id := 0
	for ; id < len(logits) && len(dst) < m; id++ {
		if v := logits[id]; v >= -math.MaxFloat32 {
			dst = append(dst, makeKey(int32(id), v+0))
		}
	}
	if len(dst) == m && m > 0 {
		for i := m/2 - 1; i >= 0; i-- {
			siftDown(dst, i)
		}
		worst := keyLogit(dst[0])
		for ; id < len(logits); id++ {
			if v := logits[id]; v > worst {
				dst[0] = makeKey(int32(id), v+0)
				siftDown(dst, 0)
				worst = keyLogit(dst[0])
			}
		}
	}
	slices.Sort(dst)
	return dst
}

// siftDown restores the max-heap of keys (the largest key is the worst
// candidate) below i.
func siftDown(h []uint64, i int) {
	k := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1] > h[child] {
			child++
		}
		if h[child] <= k {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = k
}

// partition moves the m smallest of the distinct keys to the front. It is
// quickselect with a median of three; should that degenerate, it sorts.
func partition(keys []uint64, m int) {
	for budget := 2 * bits.Len(uint(len(keys))); len(keys) > 32; budget-- {
		if budget == 0 {
			break
		}
		last := len(keys) - 1
		a, b, p := keys[0], keys[last/2], keys[last]
		pivot := max(min(a, b), min(max(a, b), p))
		i, j := 0, last
		for i <= j {
			for keys[i] < pivot {
				i++
			}
			for keys[j] > pivot {
				j--
			}
			if i <= j {
				keys[i], keys[j] = keys[j], keys[i]
				i++
				j--
			}
		}
		// keys[:j+1] ≤ pivot ≤ keys[i:], and at most one key between.
		switch {
		case m <= j:
			keys = keys[:j+1]
		case m > i:
			keys, m = keys[i:], m-i
		default:
			return
		}
	}
	slices.Sort(keys)
}
