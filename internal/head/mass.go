package head

import (
	"math"

	"trit/internal/kernel"
)

// massSum is a sum of bounds, relative to exp(largest): the least and the most that the
// mass of some tokens can be, and the part that each bucket of tokens has in the gap.
type massSum struct {
	lo, hi float64
	gap    [massBuckets]float64
	count  [massBuckets]int
}

// massSlack covers, relatively, the rounding of the arguments (up to about 100 in
// float32), kernel.Exp and the conversion of its results; massFlush, per token,
// results that are too small for a float32.
const (
	massSlack = 1e-4
	massFlush = 1e-44
)

// weighSlice adds up the bounds of the allowed tokens whose logits are not exact.
func (c *coarse) weighSlice(worker, slice int) {
	q, w := c.weighed, &c.workers[worker]
	sum := &w.queries[q.index].mass
	from := slice * sliceRows
	to := min(from+sliceRows, len(q.plane))
	n := 0
	for r := from; r < to; r++ {
		plane := q.plane[r]
		if plane == exact || !q.sel.allows(r) {
			continue
		}
		bound := c.bound(q, plane, r)
		w.hi[n] = (q.y[r] + bound) - q.largest
		w.lo[n] = (q.y[r] - bound) - q.largest
		bucket := massBuckets - 1
		if far := -w.hi[n] * massSteps; far < massBuckets-1 {
			bucket = max(int(far), 0)
		}
		w.buckets[n] = uint8(bucket)
		n++
	}
	hi, lo := w.hi[:n], w.lo[:n]
	kernel.Exp(hi, hi)
	kernel.Exp(lo, lo)
	for j := range hi {
		upper := float64(float64(hi[j])*(1+massSlack)) + massFlush
		lower := float64(lo[j]) * (1 - massSlack)
		sum.hi += upper
		sum.lo += lower
		sum.gap[w.buckets[j]] += upper - lower
		sum.count[w.buckets[j]]++
	}
}

// weigh returns the bounds of all tokens of a query that are not exact.
func (c *coarse) weigh(q *query) massSum {
	for w := range c.workers {
		c.workers[w].queries[q.index].mass = massSum{}
	}
	c.weighed = q
	c.head.team.Run(c.weighTask, c.slices())
	var total massSum
	for w := range c.workers {
		m := &c.workers[w].queries[q.index].mass
		total.lo += m.lo
		total.hi += m.hi
		for b := range total.gap {
			total.gap[b] += m.gap[b]
			total.count[b] += m.count[b]
		}
	}
	return total
}

// wide returns how many buckets, from the largest logits down, hold the tokens whose
// bounds must become tighter so that the rest of the gap is within an allowance, and how
// many tokens these are.
func (m *massSum) wide(allowance float64) (buckets, tokens int) {
	gap, buckets := 0.0, massBuckets
	for buckets > 0 && gap+m.gap[buckets-1] <= allowance {
		buckets--
		gap += m.gap[buckets]
	}
	for _, n := range m.count[:buckets] {
		tokens += n
	}
	return buckets, tokens
}

// boundMass sets the bounds of the mass of the tail.
func (c *coarse) boundMass(q *query) {
	s := q.sel
	known := s.mass(q.y, q.exactRows, q.largest)
	if !c.uses(q) {
		s.setMass(known, 0, 0, q.largest)
		return
	}
	selected := 0.0
	for i, id := range s.Tokens {
		if s.allows(int(id)) {
			selected += math.Exp(float64(s.Logits[i]) - float64(q.largest))
		}
	}
	sum := c.weigh(q)
	for target := uint8(1); target <= exact; target++ {
		buckets, tokens := sum.wide(massTolerance * (selected + known + sum.lo))
		if tokens == 0 || target == exact && tokens > len(q.plane)/massExact {
			break
		}
		q.target, q.floor = target, q.largest-float32(buckets)/massSteps
		if buckets == massBuckets {
			q.floor = float32(math.Inf(-1))
		}
		c.refining = append(c.refining[:0], q)
		c.refineSlices(0, false)
		if target == exact {
			// The newly computed tokens are all below the selected ones.
			q.choose()
			known = s.mass(q.y, q.exactRows, q.largest)
		}
		sum = c.weigh(q)
	}
	s.setMass(known, sum.lo, sum.hi, q.largest)
}
