package engine

import (
	"math"
	"slices"

	"trit/internal/kernel"
)

// What a pick costs, per token of the vocabulary, in units of the time that one
// row takes when all logits of one state are computed. The factors stand for what
// bytes do not tell (measured on Zen 4 with F16 rows): short rows that are read
// here and there, and, of several states, the part that each computes for itself.
const (
	panelFactor  = 1.1 // × bytes of whole panels
	planeFactor  = 2.6 // × bytes of the third plane
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
	first = panelFactor * float64(c.copy.RowBytes(c.plane)) / row * share
	plane[0] = panelFactor * float64(c.copy.RowBytes(1)) / row
	plane[1] = planeFactor * float64(c.copy.RowBytes(2)) / row * share
	return first, 1 / math.Sqrt(float64(n)), plane, exactFactor
}

// choosePlane returns the plane to score n states to. Reading the second plane
// later means to read the first again, for one state at a time; when many states are
// multiplied at once both cost the same.
func (c *coarseHead) choosePlane(n int) int {
	limit := 1.0 / 3 // of the panels: what the second plane adds to the first
	if n > 2 {
		limit = 1.0 / 20
	}
	if c.flat > limit {
		return 1
	}
	return 0
}

// Narrow scores halve the arithmetic of a scan. For fewer states than narrowStates
// reading takes longer than that. The tokens that they leave in reach must not be
// more than narrowMost of all, which is about what they save; before they are
// tried (again), wide scores must have left fewer than narrowLeast.
const (
	narrowStates = 4
	narrowMost   = 1.0 / 10
	narrowLeast  = 1.0 / 40
)

// chooseNarrow tells whether n states are to be rounded for the scan.
func (c *coarseHead) chooseNarrow(n int) bool {
	if n < narrowStates || !kernel.CoarseNarrow() {
		return false
	}
	if c.wide {
		c.wide = c.near > narrowLeast
	} else {
		c.wide = c.near > narrowMost
	}
	return !c.wide
}

// learn notes how many panels needed the second plane, or would have, and how many
// tokens the third.
func (c *coarseHead) learn() {
	panels, needy, rows, near := 0, 0, 0, 0
	for _, p := range c.scored {
		for w := range c.workers {
			s := &c.workers[w].picks[p.index]
			panels += s.panels
			needy += s.needy
			rows += s.rows
			near += s.refined[1]
		}
	}
	if panels > 0 {
		c.flat = 0.75*c.flat + 0.25*float64(needy)/float64(panels)
		c.near = 0.75*c.near + 0.25*float64(near)/float64(rows)
	}
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
	every := max(2, c.slices()/trials)
	t.run(every, true)
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
	c.learn()
	if len(kept) > 0 {
		t.run(every, false)
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

// run refines the slices that are multiples of every in a trial, else the others;
// all of them where every is 0.
func (t *refineTask) run(every int, trial bool) {
	t.every, t.trial = every, trial
	n := t.c.slices()
	if trial {
		n = (n + every - 1) / every
	} else {
		n = (n + refineSlices - 1) / refineSlices
	}
	t.c.head.team.Run(t, n)
}

func (t *refineTask) Do(worker, slice int) {
	c := t.c
	first, last := slice*refineSlices, min((slice+1)*refineSlices, c.slices())
	if t.trial {
		first = slice * t.every
		last = first + 1
	}
	for _, p := range t.picks {
		for i := first; i < last; i++ {
			if t.trial || t.every == 0 || i%t.every != 0 {
				c.collect(p, worker, i*sliceRows, min((i+1)*sliceRows, c.head.table.Rows))
			}
		}
		c.settle(p, worker)
	}
}

// collect lists the tokens from … to−1 that may reach the floor by their levels.
func (c *coarseHead) collect(p *pick, worker, from, to int) {
	w := &c.workers[worker]
	s := &w.picks[p.index]
	floor, rest := p.floor, s.rest
	if c.refine.trial {
		c.survey(p, s, from, to)
	}
	for base := from; base < to; base += panelRows {
		word := p.sel.allowed(base/64) >> (base % 64)
		if word&(1<<panelRows-1) == 0 {
			continue
		}
		end := min(base+panelRows, to)
		y := p.y[base:end]
		// Few panels have a token that may reach the floor.
		if upper := kernel.Max(y) + c.panelBound(p, base/panelRows); upper < floor {
			rest = max(rest, upper)
			continue
		}
		for j, level := range p.level[base:end] {
			if word>>j&1 == 0 || level == exact {
				continue
			}
			upper := y[j] + c.bound(p, level, base+j)
			if upper >= floor && level < p.depth {
				w.lists[level] = append(w.lists[level], int32(base+j))
			} else if upper > rest {
				rest = upper
			}
		}
	}
	s.rest = rest
	s.rows += to - from
}

// settle reads what the collected tokens need until none of them may reach the
// floor, or all that was asked for is known.
func (c *coarseHead) settle(p *pick, worker int) {
	w := &c.workers[worker]
	s := &w.picks[p.index]
	defer func() {
		for i := range w.lists {
			w.lists[i] = w.lists[i][:0]
		}
	}()
	for list := w.lists[0]; len(list) > 0; {
		// Neighbouring panels go together.
		first := int(list[0]) / panelRows
		last, n := first, 1
		for n < len(list) && int(list[n])/panelRows <= last+1 {
			last = int(list[n]) / panelRows
			n++
		}
		c.rescore(p, w, s, first, last+1)
		list = list[n:]
	}
	if p.depth < 2 {
		return
	}
	c.copy.Refine(p.y, c.input, p.index, w.lists[1])
	s.refined[1] += len(w.lists[1])
	for _, r := range w.lists[1] {
		p.level[r] = 2
		if upper := p.y[r] + c.bound(p, 2, int(r)); upper >= p.floor && p.depth > 2 {
			w.lists[2] = append(w.lists[2], r)
		} else {
			s.rest = max(s.rest, upper)
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

// panelRows is the number of rows of a panel of the copy.
const panelRows = 16

// rescore reads the second plane for some panels. Their tokens that were at the
// first get better logits, those that still may reach the floor join the next list.
func (c *coarseHead) rescore(p *pick, w *coarseWorker, s *workerPick, panel0, panel1 int) {
	padded := c.copy.PaddedRows()
	from, to := panel0*panelRows, min(panel1*panelRows, len(p.level))
	w.kept = append(w.kept[:0], p.y[from:to]...)
	c.copy.Score(c.y, padded, 1, false, c.input, p.index, p.index+1, panel0, panel1)
	s.refined[0] += to - from
	for r := from; r < to; r++ {
		if p.level[r] != 0 {
			p.y[r] = w.kept[r-from]
			continue
		}
		p.level[r] = 1
		if !p.sel.allows(r) {
			continue
		}
		if upper := p.y[r] + c.bound(p, 1, r); upper >= p.floor && p.depth > 1 {
			w.lists[1] = append(w.lists[1], int32(r))
		} else {
			s.rest = max(s.rest, upper)
		}
	}
}

// survey counts the panels of a slice that the first plane does not settle. Where
// the logits come from two planes already, they stand for those of the first.
func (c *coarseHead) survey(p *pick, s *workerPick, from, to int) {
	radius, weight, loss := c.copy.Radius(0), c.copy.Weight(), p.loss[c.plane]
	for base := from; base < to; base += panelRows {
		s.panels++
		for r := base; r < min(base+panelRows, to); r++ {
			if p.level[r] != exact && p.sel.allows(r) && p.y[r]+float32(p.norm*radius[r])+float32(loss*weight[r]) >= p.floor {
				s.needy++
				break
			}
		}
	}
}
