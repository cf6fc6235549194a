package head

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"trit/internal/arena"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/parallel"
)

// exact stands for a logit that was computed from the stored row, beside the planes
// 0 to CoarsePlanes−1 of the copy that an approximate one was read to.
const exact = kernel.CoarsePlanes

// panelRows is the number of rows of a panel of the copy.
const panelRows = kernel.CoarsePanelRows

// coarse answers requests from a coarse copy of the head and, for the tokens that the
// copy leaves in question, the stored rows. The package comment tells how.
type coarse struct {
	head  *Head
	copy  *kernel.Coarse
	build *build
	costs costs
	input *kernel.CoarseInput // the states of scanned

	policy policy
	plan   plan // of the running group

	queries [maxGroup]query
	scanned []*query // those of the running group that use the copy
	workers []worker
	y       []float32  // [queries, PaddedRows]
	planes  []uint8    // [queries, V]
	base    arena.Mark // what is above it in the head's memory are y and planes

	singles []single // the stored rows that are to be multiplied, each for one query
	// What refine works on: the queries, and their slices that are multiples of
	// every in a trial, otherwise the others; all where every is 0.
	refining []*query
	every    int
	trial    bool
	weighed  *query // what weighSlice works on

	prepareTask, scanTask, singleTask, refineTask, chooseTask, weighTask parallel.Task
}

// query is one request of the running group.
type query struct {
	row   int // of those that were handed to Select
	index int // of its memory, and of its state in the input if it is scanned
	sel   *Selector
	k     int       // sel.K, at least 1
	x     []float32 // hidden state [D]

	y     []float32      // logits [V], as far as they are known
	plane []uint8        // the last plane that each comes from, or exact [V]
	norm  float32        // of the state
	loss  [exact]float32 // of rounding the state for the scan, for each plane

	candidates []candidate // the tokens with the largest coarse logits
	floor      float32     // tokens whose upper bound is below it are settled
	target     uint8       // the plane, or exact, that survivors are refined to
	exactRows  []int32     // tokens with an exact logit, ascending
	largest    float32     // logit
	givenUp    bool        // all logits are computed instead
}

// candidate is a token with its coarse logit.
type candidate struct {
	y     float32
	token int32
}

// less orders by logit, and equal logits by falling token.
func (a candidate) less(b candidate) bool { return a.y < b.y || a.y == b.y && a.token > b.token }

// worker is one worker's memory.
type worker struct {
	queries   [maxGroup]tally
	survivors [kernel.CoarsePlanes][]int32 // tokens whose logits have been read to that plane
	kept      []float32                    // logits of a panel that are not to change
	lo, hi    []float32                    // bounds [sliceRows]
	buckets   [sliceRows]uint8             // how far hi is below the largest logit
}

// tally is what a worker has found out about a query.
type tally struct {
	counts
	largest []candidate // a min-heap
	tailMax float32     // upper bound of the tokens that it has settled
	mass    massSum
}

func newCoarse(m *model.Model, h *Head) (*coarse, error) {
	t := h.table
	copy, err := kernel.NewCoarse(t.Type, t.Rows, t.Cols)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMode, h.mode, err)
	}
	for _, plane := range copy.Planes() {
		h.team.Spread(plane)
	}
	c := &coarse{head: h, copy: copy, build: newBuild(m, h, copy), input: copy.NewInput(maxGroup)}
	c.workers = make([]worker, h.team.Size())
	for p := range c.costs {
		c.costs[p] = float64(copy.RowBytes(p)) / (float64(h.rowBytes) * widenFactor(t.Type))
	}
	c.prepareTask, c.scanTask, c.singleTask = task(c.prepareSlice), task(c.scanSlice), task(c.singleSlice)
	c.refineTask, c.chooseTask, c.weighTask = task(c.refineSlice), task(c.chooseSlice), task(c.weighSlice)
	for i := range c.queries {
		c.queries[i].exactRows = make([]int32, 0, 64) // not nil, which would mean all
	}
	for i := range c.workers {
		w := &c.workers[i]
		w.lo, w.hi = h.mem.Float32s(sliceRows), h.mem.Float32s(sliceRows)
		for p := range w.survivors {
			w.survivors[p] = make([]int32, 0, refineSlices*sliceRows)
		}
		w.kept = make([]float32, 0, refineSlices*sliceRows)
	}
	c.base = h.mem.Mark()
	return c, nil
}

// answer answers those of the rows' selectors that it can, group by group. The indices
// of the other rows, ascending, are appended to rest.
func (c *coarse) answer(rows []Row, rest []int) []int {
	n := 0
	for i := range rows {
		r := &rows[i]
		if r.Selector == nil || !c.suits(r.Selector) {
			rest = append(rest, i)
			continue
		}
		q := &c.queries[n]
		q.row, q.sel, q.k, q.x = i, r.Selector, max(r.K, 1), r.X
		if n++; n == maxGroup {
			rest = c.answerGroup(n, rest)
			n = 0
		}
	}
	rest = c.answerGroup(n, rest)
	slices.Sort(rest)
	return rest
}

// suits reports whether a request may be cheaper than all logits.
func (c *coarse) suits(s *Selector) bool {
	most := mostWanted(c.head.table.Rows)
	return s.K <= most && len(s.IDs) <= most && s.backoff.try()
}

// answerGroup answers the first n queries. The rows of those that it has to give up are
// appended to rest.
func (c *coarse) answerGroup(n int, rest []int) []int {
	if n == 0 {
		return rest
	}
	h := c.head
	h.begin(OpScan, n)
	c.begin(n)
	c.scan()
	h.end()
	h.begin(OpCandidates, n)
	c.setFloors(n)
	h.end()
	h.begin(OpRefine, n)
	c.refine(len(rest))
	h.end()
	h.begin(OpSelect, n)
	h.team.Run(c.chooseTask, n)
	for i := range n {
		q := &c.queries[i]
		if q.givenUp {
			rest = append(rest, q.row)
			continue
		}
		c.finish(q)
	}
	h.end()
	return rest
}

// begin finds out which queries are to be scanned, and gives all their memory.
func (c *coarse) begin(n int) {
	v, padded := c.head.table.Rows, c.copy.PaddedRows()
	if len(c.planes) < n*v {
		// More queries than ever before: their memory replaces that of fewer.
		c.head.mem.Release(c.base)
		c.base = c.head.mem.Mark()
		c.y, c.planes = c.head.mem.Float32s(n*padded), arena.Make[uint8](&c.head.mem, n*v)
	}
	c.scanned = c.scanned[:0]
	for i := range n {
		q := &c.queries[i]
		q.index, q.givenUp, q.candidates = -1, false, q.candidates[:0]
		if !c.allowsFew(q.sel) {
			c.scanned = append(c.scanned, q)
		}
	}
	c.prepare()
	if bounded := slices.DeleteFunc(c.scanned, func(q *query) bool { return q.givenUp }); len(bounded) < len(c.scanned) {
		// States without proven bounds are rare.
		c.scanned = bounded
		c.prepare()
	}
	at := len(c.scanned)
	for i := range n {
		if q := &c.queries[i]; q.index < 0 || q.givenUp {
			c.place(q, at)
			at++
		}
	}
}

// prepare plans the scan and gives the scanned queries their states and memory.
func (c *coarse) prepare() {
	n := len(c.scanned)
	c.plan = c.policy.plan(n, kernel.CoarseNarrow())
	c.head.team.Run(c.prepareTask, n)
}

func (c *coarse) prepareSlice(_, i int) {
	q := c.scanned[i]
	if q.givenUp = !c.input.Set(i, q.x); q.givenUp {
		return
	}
	q.norm, q.loss = c.input.Norm(i), [exact]float32{}
	if c.plan.narrow {
		q.loss[c.plan.plane] = c.input.Loss(i)
	}
	if c.plan.plane == 1 {
		q.loss[2] = q.loss[1] // the third plane is added to these scores
	}
	c.place(q, i)
}

// place gives a query the memory of an index, and forgets what was known there.
func (c *coarse) place(q *query, index int) {
	v, padded := c.head.table.Rows, c.copy.PaddedRows()
	q.index = index
	q.y, q.plane = c.y[index*padded:][:v], c.planes[index*v:][:v]
	q.plane[0] = 0
	if c.uses(q) {
		q.plane[0] = uint8(c.plan.plane)
	}
	for n := 1; n < v; n *= 2 {
		copy(q.plane[n:], q.plane[:n])
	}
	for w := range c.workers {
		t := &c.workers[w].queries[index]
		*t = tally{largest: t.largest[:0], tailMax: float32(math.Inf(-1))}
	}
}

// uses reports whether a query that has been placed uses the copy.
func (c *coarse) uses(q *query) bool { return q.index < len(c.scanned) }

// allowsFew reports whether a mask allows so few tokens that the copy is not needed.
func (c *coarse) allowsFew(s *Selector) bool {
	if s.Mask == nil {
		return false
	}
	n := 0
	for i := range c.words() {
		n += bits.OnesCount64(s.allowed(i))
	}
	return n < c.head.table.Rows/fewBelow
}

func (c *coarse) words() int  { return (c.head.table.Rows + 63) / 64 }
func (c *coarse) slices() int { return (c.head.table.Rows + sliceRows - 1) / sliceRows }

// bound returns by how much the logit of a token that was read to a plane may be off.
func (c *coarse) bound(q *query, plane uint8, token int) float32 {
	return float32(q.norm*c.copy.Radius(int(plane))[token]) + float32(q.loss[plane]*c.copy.Weight()[token])
}

// panelBound returns the largest bound of a panel's tokens after the scan.
func (c *coarse) panelBound(q *query, panel int) float32 {
	plane := c.plan.plane
	return float32(q.norm*c.copy.PanelRadius(plane)[panel]) + float32(q.loss[plane]*c.copy.PanelWeight()[panel])
}

// finish completes the answer of a query and records what it has read.
func (c *coarse) finish(q *query) {
	if q.sel.TailMass {
		c.boundMass(q)
	}
	for w := range c.workers {
		q.sel.TailMax = max(q.sel.TailMax, c.workers[w].queries[q.index].tailMax)
	}
	h := c.head
	read := int64(len(q.exactRows)) * int64(h.rowBytes)
	if c.uses(q) {
		read += int64(h.table.Rows) * int64(c.copy.RowBytes(c.plan.plane)) / int64(len(c.scanned))
	}
	for i, n := range c.counts(q).refined {
		read += int64(n) * int64(c.copy.RowBytes(i+1))
		h.lastRefined[i].Store(int64(n))
	}
	h.lastExact.Store(int64(len(q.exactRows)))
	h.lastBytes.Store(read)
	h.read += read
}
