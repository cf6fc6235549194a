package head

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"trit/internal/kernel"
)

// scan computes the coarse logits of all scanned queries, and keeps the largest.
func (c *coarse) scan() {
	if len(c.scanned) > 0 {
		c.head.team.Run(c.scanTask, c.slices())
	}
}

func (c *coarse) scanSlice(worker, slice int) {
	const panels = sliceRows / panelRows
	c.copy.Score(c.y, c.copy.PaddedRows(), c.plan.plane, c.plan.narrow, c.input,
		0, len(c.scanned), slice*panels, min((slice+1)*panels, c.copy.Panels()))
	from := slice * sliceRows
	to := min(from+sliceRows, c.head.table.Rows)
	for _, q := range c.scanned {
		t := &c.workers[worker].queries[q.index]
		t.largest = keepLargest(t.largest, candidates(q.k), q, from, to)
	}
}

// keepLargest pushes the allowed tokens from … to−1 on a heap of the n largest.
func keepLargest(h []candidate, n int, q *query, from, to int) []candidate {
	for base := from; base < to; base += 64 {
		word := q.sel.allowed(base / 64)
		if word == 0 {
			continue
		}
		y := q.y[base:min(base+64, to)]
		if len(h) == n && kernel.Max(y) <= h[0].y {
			continue
		}
		for j, y := range y {
			// Tokens come in ascending order: of equal ones the first stays.
			if len(h) == n && y <= h[0].y || word>>j&1 == 0 {
				continue
			}
			e := candidate{y, int32(base + j)}
			if len(h) < n {
				h = append(h, e)
				for i := len(h) - 1; i > 0 && h[i].less(h[(i-1)/2]); i = (i - 1) / 2 {
					h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
				}
				continue
			}
			h[0] = e
			for i := 0; ; {
				least := i
				for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
					if h[child].less(h[least]) {
						least = child
					}
				}
				if least == i {
					break
				}
				h[i], h[least] = h[least], h[i]
				i = least
			}
		}
	}
	return h
}

// setFloors computes the logits that are certain to be needed, of the first n queries,
// and takes the floors from them.
func (c *coarse) setFloors(n int) {
	c.singles = c.singles[:0]
	for i := range n {
		if q := &c.queries[i]; !q.givenUp {
			c.listSingles(q)
		}
	}
	c.head.team.Run(c.singleTask, (len(c.singles)+singleRows-1)/singleRows)
	for _, q := range c.scanned {
		q.setFloor()
	}
}

// single is a stored row to be multiplied with the state of a query.
type single struct {
	q     *query
	token int32
}

// listSingles lists the tokens whose logits are computed first: the candidates, or all
// allowed tokens where they are few, and those that were asked for.
func (c *coarse) listSingles(q *query) {
	if c.uses(q) {
		c.chooseCandidates(q)
		for _, e := range q.candidates {
			c.addSingle(q, e.token)
		}
	} else {
		for w := range c.words() {
			for word := q.sel.allowed(w); word != 0; word &= word - 1 {
				if token := 64*w + bits.TrailingZeros64(word); token < len(q.plane) {
					c.addSingle(q, int32(token))
				}
			}
		}
	}
	for _, id := range q.sel.IDs {
		if uint32(id) < uint32(len(q.plane)) {
			c.addSingle(q, id)
		}
	}
}

func (c *coarse) addSingle(q *query, token int32) {
	if q.plane[token] != exact {
		q.plane[token] = exact
		c.singles = append(c.singles, single{q, token})
	}
}

func (c *coarse) singleSlice(worker, slice int) {
	for _, e := range c.singles[slice*singleRows : min((slice+1)*singleRows, len(c.singles))] {
		c.head.rows(e.q.y[e.token:], int(e.token), 1, e.q.x, 1, worker)
	}
}

// chooseCandidates finds the tokens with the largest coarse logits of all workers.
func (c *coarse) chooseCandidates(q *query) {
	for w := range c.workers {
		q.candidates = append(q.candidates, c.workers[w].queries[q.index].largest...)
	}
	slices.SortFunc(q.candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.y, a.y), cmp.Compare(a.token, b.token))
	})
	q.candidates = q.candidates[:min(len(q.candidates), candidates(q.k))]
}

// setFloor takes the floor from the candidates' exact logits, which are now in y.
func (q *query) setFloor() {
	q.exactRows = q.exactRows[:0]
	for _, e := range q.candidates {
		q.exactRows = append(q.exactRows, e.token)
		if y := q.y[e.token]; y-y != 0 {
			q.givenUp = true // not finite: there is no order to rely on
		}
	}
	// The order of tokens does not matter to cut.
	floor, _ := q.sel.cut(q.y, q.exactRows, q.k)
	q.floor, q.target = floorOf(floor), exact
}

// floorOf returns the largest float32 that is not above x.
func floorOf(x float64) float32 {
	f := float32(x)
	if float64(f) > x {
		f = math.Nextafter32(f, float32(math.Inf(-1)))
	}
	return f
}
