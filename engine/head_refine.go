package engine

import (
	"math"
	"slices"

	"trit/kernel"
)

// What a pick costs, per token of the vocabulary, in units of the time that one
// row takes when all logits of one state are computed. The factors stand for what
// bytes do not tell (measured on Zen 4 with F16 rows): short rows that are read
// here and there, and, of several states, the part that each computes for itself.
const (
	firstFactor  = 1.1 // × bytes of the first plane
	planeFactor  = 2.6 // × bytes of another plane
	exactFactor  = 1.5 // × bytes of a stored row
	sharedFactor = 0.67
	// enough is the part of the cost of all logits that a selection should
	// not exceed.
	enough = 0.8
	// About trials slices are refined first, to know what the others will cost.
	trials = 16
)

// costs returns the cost per token of the first plane and of all logits, and per
// refined and per computed token, for each of n states together.
func (c *coarseHead) costs(n int) (first, all float64, plane [kernel.CoarsePlanes - 1]float64, single float64) {
	row := float64(c.head.rowBytes)
	share := 1 - sharedFactor + sharedFactor/float64(n)
	first = firstFactor * float64(c.copy.RowBytes(0)) / row * share
	for p := range plane {
		plane[p] = planeFactor * float64(c.copy.RowBytes(p+1)) / row * share
	}
	return first, 1 / math.Sqrt(float64(n)), plane, exactFactor
}

// judge returns what the slices seen so far suggest that the rest of a pick costs,
// beside what the first plane has cost, and the cost of all logits instead.
func (c *coarseHead) judge(p *pick) (cost, first, all float64) {
	first, all, plane, single := c.costs(len(c.scored))
	rows := 0
	for w := range c.workers {
		s := &c.workers[w].picks[p.index]
		rows += s.rows
		for i, n := range s.refined {
			cost += float64(n) * plane[i]
		}
		cost += float64(s.exact) * single
	}
	return cost / float64(rows), first, all
}

// refineAll settles all tokens of the scored picks, or gives picks up that would
// need too many of the stored rows. plain is the number of other rows of the
// batch whose logits are all computed.
func (c *coarseHead) refineAll(plain int) {
	t := &c.refine
	t.picks = t.picks[:0]
	for _, p := range c.scored {
		if !p.lost {
			t.picks = append(t.picks, p)
		}
	}
	if len(t.picks) == 0 {
		return
	}
	n := c.slices()
	every := max(2, n/trials)
	t.every, t.trial = every, true
	c.head.team.Run(t, (n+every-1)/every)
	kept := t.picks[:0]
	total := 0.0
	for _, p := range t.picks {
		cost, first, all := c.judge(p)
		if cost+first > all*enough {
			p.sel.fail()
		}
		// The first plane has been read by now.
		if p.lost = cost > all; !p.lost {
			kept = append(kept, p)
			total += cost
		}
	}
	// Rows that are computed plainly share the reading of the head, so it may
	// be better to add the others to them.
	if lost := plain + len(c.scored) - len(kept); total+math.Sqrt(float64(lost)) > math.Sqrt(float64(lost+len(kept))) {
		for _, p := range kept {
			p.lost = true
		}
		kept = kept[:0]
	}
	t.picks = kept
	if len(kept) > 0 {
		t.trial = false
		c.head.team.Run(t, n-(n+every-1)/every)
	}
}

// refineTask reads further planes, up to the depth, and then the stored rows for
// the tokens that may reach the floor.
type refineTask struct {
	c     *coarseHead
	picks []*pick
	every int
	trial bool // the slices that are multiples of every; otherwise the others
}

func (t *refineTask) Do(worker, slice int) {
	switch {
	case t.trial:
		slice *= t.every
	case t.every > 0:
		slice += slice/(t.every-1) + 1
	}
	from := slice * sliceRows
	to := min(from+sliceRows, t.c.head.table.Rows)
	for _, p := range t.picks {
		t.c.refineSlice(p, worker, from, to)
	}
}

func (c *coarseHead) refineSlice(p *pick, worker, from, to int) {
	w := &c.workers[worker]
	s := &w.picks[p.index]
	for i := range w.lists {
		w.lists[i] = w.lists[i][:0]
	}
	var radius [kernel.CoarsePlanes][]float32
	for i := range radius {
		radius[i] = c.copy.Radius(i)
	}
	norm, floor := p.norm, p.floor
	for base := from; base < to; base += 64 {
		word := p.sel.allowed(base / 64)
		if word == 0 {
			continue
		}
		end := min(base+64, to)
		first := radius[0][base:end]
		y := p.y[base:end]
		for j, level := range p.level[base:end] {
			if word>>j&1 == 0 || level == exact {
				continue
			}
			r := first[j]
			if level != 0 {
				r = radius[level][base+j]
			}
			if upper := y[j] + float32(norm*r); upper >= floor && level < p.depth {
				w.lists[level] = append(w.lists[level], int32(base+j))
			} else {
				s.rest = max(s.rest, upper)
			}
		}
	}
	s.rows += to - from
	for plane := 1; plane < kernel.CoarsePlanes && int(p.depth) >= plane; plane++ {
		list := w.lists[plane-1]
		c.copy.Refine(p.y, plane, c.input, p.index, list)
		s.refined[plane-1] += len(list)
		for _, r := range list {
			p.level[r] = uint8(plane)
			if upper := p.y[r] + float32(norm*radius[plane][r]); upper >= floor && uint8(plane) < p.depth {
				w.lists[plane] = append(w.lists[plane], r)
			} else {
				s.rest = max(s.rest, upper)
			}
		}
	}
	if p.depth < exact {
		return
	}
	list := w.lists[kernel.CoarsePlanes-1]
	s.exact += len(list)
	slices.Sort(list)
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n] == list[0]+int32(n) {
			n++
		}
		c.head.rows(p.y[list[0]:], int(list[0]), n, p.x, 1, worker)
		for _, r := range list[:n] {
			p.level[r] = exact
		}
		list = list[n:]
	}
}
