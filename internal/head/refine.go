package head

import (
	"slices"

	"trit/internal/kernel"
)

// refine settles all tokens of the scanned queries, or gives queries up that would need
// too much of the stored head. plain is the number of other rows whose logits are all
// computed.
func (c *coarse) refine(plain int) {
	c.refining = c.refining[:0]
	for _, q := range c.scanned {
		if !q.givenUp {
			c.refining = append(c.refining, q)
		}
	}
	if len(c.refining) == 0 {
		return
	}
	every := max(2, c.slices()/trials)
	c.refineSlices(every, true)
	var trial counts
	kept, cost := c.refining[:0], 0.0
	for _, q := range c.refining {
		n := c.counts(q)
		trial.add(&n)
		v := c.costs.judge(c.plan, len(c.scanned), &n)
		if v.noGain {
			q.sel.backoff.fail()
		}
		if q.givenUp = v.giveUp; !q.givenUp {
			kept = append(kept, q)
			cost += v.cost
		}
	}
	c.policy.learn(trial)
	// Rows that are computed plainly share the reading of the head, so it may be
	// better to add the others to them.
	if joinPlain(cost, len(kept), plain+len(c.scanned)-len(kept)) {
		for _, q := range kept {
			q.givenUp = true
		}
		return
	}
	c.refining = kept
	if len(kept) > 0 {
		c.refineSlices(every, false)
	}
}

// counts returns what all workers have counted for a query.
func (c *coarse) counts(q *query) counts {
	var all counts
	for w := range c.workers {
		all.add(&c.workers[w].queries[q.index].counts)
	}
	return all
}

// refineSlices refines the slices that are multiples of every in a trial, else the
// others; all of them where every is 0.
func (c *coarse) refineSlices(every int, trial bool) {
	c.every, c.trial = every, trial
	n := c.slices()
	if trial {
		n = (n + every - 1) / every
	} else {
		n = (n + refineSlices - 1) / refineSlices
	}
	c.head.team.Run(c.refineTask, n)
}

func (c *coarse) refineSlice(worker, slice int) {
	w := &c.workers[worker]
	first, last := slice*refineSlices, min((slice+1)*refineSlices, c.slices())
	if c.trial {
		first = slice * c.every
		last = first + 1
	}
	for _, q := range c.refining {
		for i := first; i < last; i++ {
			if c.trial || c.every == 0 || i%c.every != 0 {
				c.collect(q, w, i*sliceRows, min((i+1)*sliceRows, c.head.table.Rows))
			}
		}
		c.settle(q, w, worker)
		for p := range w.survivors {
			w.survivors[p] = w.survivors[p][:0]
		}
	}
}

// collect lists the survivors among the tokens from … to−1, by the planes that their
// logits come from.
func (c *coarse) collect(q *query, w *worker, from, to int) {
	t := &w.queries[q.index]
	if c.trial {
		c.survey(q, t, from, to)
	}
	floor, tailMax := q.floor, t.tailMax
	for base := from; base < to; base += panelRows {
		word := q.sel.allowed(base/64) >> (base % 64)
		if word&(1<<panelRows-1) == 0 {
			continue
		}
		end := min(base+panelRows, to)
		y := q.y[base:end]
		// Few panels have a survivor.
		if upper := kernel.Max(y) + c.panelBound(q, base/panelRows); upper < floor {
			tailMax = max(tailMax, upper)
			continue
		}
		for j, plane := range q.plane[base:end] {
			if word>>j&1 == 0 || plane == exact {
				continue
			}
			upper := y[j] + c.bound(q, plane, base+j)
			if upper >= floor && plane < q.target {
				w.survivors[plane] = append(w.survivors[plane], int32(base+j))
			} else if upper > tailMax {
				tailMax = upper
			}
		}
	}
	t.tailMax = tailMax
	t.tokens += to - from
}

// survey counts the panels of a slice that the first plane does not settle. Where
// the logits come from two planes already, they stand for those of the first.
func (c *coarse) survey(q *query, t *tally, from, to int) {
	radius, weight, loss := c.copy.Radius(0), c.copy.Weight(), q.loss[c.plan.plane]
	for base := from; base < to; base += panelRows {
		t.panels++
		for r := base; r < min(base+panelRows, to); r++ {
			if q.plane[r] != exact && q.sel.allows(r) && q.y[r]+float32(q.norm*radius[r])+float32(loss*weight[r]) >= q.floor {
				t.unsettled++
				break
			}
		}
	}
}

// settle reads one plane after the other of the survivors, and then their stored rows,
// until no bound reaches the floor or the target is read.
func (c *coarse) settle(q *query, w *worker, worker int) {
	t := &w.queries[q.index]
	for list := w.survivors[0]; len(list) > 0; {
		// Neighbouring panels go together.
		first := int(list[0]) / panelRows
		last, n := first, 1
		for n < len(list) && int(list[n])/panelRows <= last+1 {
			last = int(list[n]) / panelRows
			n++
		}
		c.readSecond(q, w, first, last+1)
		list = list[n:]
	}
	if q.target < 2 {
		return
	}
	c.copy.Refine(q.y, c.input, q.index, w.survivors[1])
	t.refined[1] += len(w.survivors[1])
	for _, r := range w.survivors[1] {
		c.advance(q, w, 2, int(r))
	}
	if q.target < exact {
		return
	}
	c.readStored(q, w, worker)
}

// advance notes that a token's logit now comes from a plane, and lists the token if it
// survives that.
func (c *coarse) advance(q *query, w *worker, plane uint8, token int) {
	q.plane[token] = plane
	if upper := q.y[token] + c.bound(q, plane, token); upper >= q.floor && q.target > plane {
		w.survivors[plane] = append(w.survivors[plane], int32(token))
	} else {
		t := &w.queries[q.index]
		t.tailMax = max(t.tailMax, upper)
	}
}

// readSecond reads the first two planes of some panels, for their tokens that only the
// first has been read of.
func (c *coarse) readSecond(q *query, w *worker, panel0, panel1 int) {
	from, to := panel0*panelRows, min(panel1*panelRows, len(q.plane))
	w.kept = append(w.kept[:0], q.y[from:to]...)
	c.copy.Score(c.y, c.copy.PaddedRows(), 1, false, c.input, q.index, q.index+1, panel0, panel1)
	w.queries[q.index].refined[0] += to - from
	for r := from; r < to; r++ {
		switch {
		case q.plane[r] != 0:
			q.y[r] = w.kept[r-from]
		case !q.sel.allows(r):
			q.plane[r] = 1
		default:
			c.advance(q, w, 1, r)
		}
	}
}

// readStored multiplies the stored rows of the last survivors.
func (c *coarse) readStored(q *query, w *worker, worker int) {
	list := w.survivors[kernel.CoarsePlanes-1]
	w.queries[q.index].exact += len(list)
	slices.Sort(list)
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n] == list[0]+int32(n) {
			n++
		}
		c.head.rows(q.y[list[0]:], int(list[0]), n, q.x, 1, worker)
		for _, r := range list[:n] {
			q.plane[r] = exact
		}
		list = list[n:]
	}
}
