package engine

import (
	"math"

	"trit/internal/kernel"
)

// The mass of the tokens that were not computed is known between bounds. The
// planes, and then the stored rows, of those that make the bounds wide are read
// until the bounds are massTolerance of the whole mass apart, or until more than
// one part in massExact of the vocabulary would have to be computed for that.
const (
	massTolerance = 1.0 / 2048
	massExact     = 8
)

// The tokens are told apart by how far their upper bounds are below the largest
// logit, in steps of 1/massSteps.
const (
	massBuckets = 64
	massSteps   = 2
)

// massSum is a sum of bounds relative to exp(largest).
type massSum struct {
	lo, hi float64
	gap    [massBuckets]float64 // Σ hi − lo
	count  [massBuckets]int
}

// massTask adds up the bounds of the allowed tokens that are not exact.
type massTask struct {
	c       *coarseHead
	p       *pick
	largest float32
}

// massSlack covers, relatively, the rounding of the arguments (up to about 100 in
// float32), kernel.Exp and the conversion of its results; massFlush, per token,
// results that are too small for a float32.
const (
	massSlack = 1e-4
	massFlush = 1e-44
)

func (t *massTask) Do(worker, slice int) {
	p, w := t.p, &t.c.workers[worker]
	sum := &w.picks[p.index].mass
	from := slice * sliceRows
	to := min(from+sliceRows, len(p.level))
	n := 0
	for r := from; r < to; r++ {
		level := p.level[r]
		if level == exact || !p.sel.allows(r) {
			continue
		}
		bound := t.c.bound(p, level, r)
		w.hi[n] = (p.y[r] + bound) - t.largest
		w.lo[n] = (p.y[r] - bound) - t.largest
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

// sumMass runs the task and returns the total.
func (c *coarseHead) sumMass(p *pick, largest float32) massSum {
	for w := range c.workers {
		c.workers[w].picks[p.index].mass = massSum{}
	}
	c.mass.p, c.mass.largest = p, largest
	c.head.team.Run(&c.mass, c.slices())
	var total massSum
	for w := range c.workers {
		m := &c.workers[w].picks[p.index].mass
		total.lo += m.lo
		total.hi += m.hi
		for b := range total.gap {
			total.gap[b] += m.gap[b]
			total.count[b] += m.count[b]
		}
	}
	return total
}

// boundMass sets the bounds of the mass of the tokens that are not selected.
func (c *coarseHead) boundMass(p *pick, largest float32) {
	s := p.sel
	if p.index >= len(c.scored) {
		s.setMass(s.mass(p.y, p.final, largest), 0, 0, largest)
		return
	}
	selected := 0.0
	for i, id := range s.Tokens {
		if s.allows(int(id)) {
			selected += math.Exp(float64(s.Logits[i]) - float64(largest))
		}
	}
	known := s.mass(p.y, p.final, largest)
	sum := c.sumMass(p, largest)
	for depth := uint8(1); depth <= exact; depth++ {
		allowance := massTolerance * (selected + known + sum.lo)
		gap, pending, bucket := 0.0, 0, massBuckets
		for bucket > 0 && gap+sum.gap[bucket-1] <= allowance {
			bucket--
			gap += sum.gap[bucket]
		}
		for _, n := range sum.count[:bucket] {
			pending += n
		}
		if pending == 0 || depth == exact && pending > len(p.level)/massExact {
			break
		}
		p.floor = largest - float32(bucket)/massSteps
		if bucket == massBuckets {
			p.floor = float32(math.Inf(-1))
		}
		p.depth = depth
		c.refine.picks = append(c.refine.picks[:0], p)
		c.refine.run(0, false)
		if depth == exact {
			// The newly computed tokens are all below the selected ones.
			c.gather(p)
			s.choose(p.y, p.final)
			known = s.mass(p.y, p.final, largest)
		}
		sum = c.sumMass(p, largest)
	}
	s.setMass(known, sum.lo, sum.hi, largest)
}
