package engine

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"trit/internal/arena"
	"trit/internal/kernel"
	"trit/internal/model"
)

// How a selection decides between the coarse copy and the stored rows.
const (
	// maxPicks is the number of rows that share a pass over the copy.
	maxPicks = 16
	// sliceRows is the number of vocabulary rows of one slice of work.
	sliceRows = 256
	// refineSlices is the number of slices that are refined together: lists
	// of rows to read that are long enough to fetch ahead.
	refineSlices = 8
	// Where a mask allows less than one part in fewBelow of the vocabulary,
	// the logits of all allowed tokens are computed and the copy is not read.
	fewBelow = 16
)

// exact is the level of a token whose logit is final; the lower levels tell the
// last plane that the logit comes from.
const exact = kernel.CoarsePlanes

// coarseHead answers Select rows from a coarse copy of the head and, for the
// tokens that the copy leaves in reach, the stored rows.
//
// For a token r the copy gives a logit y_r that is off by at most
// Norm·Radius_r (see kernel.Coarse). The tokens with the largest y are computed
// exactly first; the K-th largest of these exact logits is a floor that no
// selected token can be below. A token with y_r + Norm·Radius_r under the floor
// is settled. For the others the next plane is read, which makes the radius
// smaller, and in the end the stored row.
//
// Where the logits have little structure, the first plane settles hardly any
// token. Then the first two are read at once. Many states are rounded to 8 bits
// for that as long as the larger radius does not leave too many tokens in reach.
type coarseHead struct {
	head    *head
	copy    *kernel.Coarse
	input   *kernel.CoarseInput
	picks   [maxPicks]pick
	scored  []*pick // picks of the running group that use the copy
	workers []coarseWorker
	y       []float32  // [picks, PaddedRows]
	levels  []uint8    // [picks, V]
	base    arena.Mark // what is above it in the head's memory are y and levels
	plane   int        // the last plane that the scores of the running group come from
	flat    float64    // the part of all panels that lately needed the second plane
	narrow  bool       // the scores of the running group come from 8 bits of the states
	near    float64    // the part of all tokens that lately needed the third plane
	wide    bool       // narrow scores have lately left too many of these

	prepare prepareTask
	score   scoreTask
	choose  chooseTask
	single  singleTask
	refine  refineTask
	mass    massTask
}

// pick is one Select row.
type pick struct {
	index int // in the group and, of those that use the copy, in the input
	row   int // of the batch
	sel   *Selector
	x     []float32 // hidden state [D]
	y     []float32 // logits [V], of different precision
	level []uint8   // what y holds [V]
	norm  float32
	loss  [exact]float32 // of a narrow score, for each level
	floor float32        // tokens below it are settled
	depth uint8          // the level to refine the others to
	k     int            // number of largest logits that were asked for, at least 1

	candidates []ranked
	final      []int32 // tokens with an exact logit, ascending
	largest    float32 // logit
	lost       bool    // given up
}

// ranked is a token with its coarse logit.
type ranked struct {
	y float32
	r int32
}

// less orders by logit, and equal logits by falling token.
func (a ranked) less(b ranked) bool { return a.y < b.y || a.y == b.y && a.r > b.r }

// coarseWorker is one worker's memory.
type coarseWorker struct {
	picks  [maxPicks]workerPick
	lists  [kernel.CoarsePlanes][]int32
	kept   []float32 // logits of a panel that are not to change
	lo, hi []float32 // [sliceRows]
	// buckets tells, beside lo and hi, how far below the largest logit.
	buckets [sliceRows]uint8
}

// workerPick is what a worker keeps for a pick.
type workerPick struct {
	heap    []ranked // the largest coarse logits, a min-heap
	rest    float32  // bound of the tokens that it has settled
	rows    int      // tokens that it has looked at
	panels  int      // panels that were surveyed, and those that need the second plane
	needy   int
	refined [kernel.CoarsePlanes - 1]int
	exact   int
	mass    massSum
}

func newCoarseHead(m *model.Model, h *head) (*coarseHead, error) {
	t := h.table
	c, err := kernel.NewCoarse(t.Data, t.Type, t.Rows, t.Cols)
	if err != nil {
		return nil, fmt.Errorf("%w: head mode %s: %w", ErrOptions, h.mode, err)
	}
	ch := &coarseHead{head: h, copy: c, input: c.NewInput(maxPicks), workers: make([]coarseWorker, h.team.Size())}
	ch.prepare.c, ch.choose.c = ch, ch
	ch.score.c, ch.single.c, ch.refine.c, ch.mass.c = ch, ch, ch, ch
	for i := range ch.picks {
		ch.picks[i].final = make([]int32, 0, 64) // not nil, which would mean all
	}
	fill := &fillTask{c: ch}
	for i := range ch.workers {
		w := &ch.workers[i]
		w.lo, w.hi = h.mem.Float32s(sliceRows), h.mem.Float32s(sliceRows)
		for i := range w.lists {
			w.lists[i] = make([]int32, 0, refineSlices*sliceRows)
		}
		w.kept = make([]float32, 0, refineSlices*sliceRows)
		fill.workspaces = append(fill.workspaces, c.NewWorkspace())
	}
	if err := walkHead(m, t, h.team, fillRows, &fill.first, fill); err != nil {
		return nil, err
	}
	ch.base = h.mem.Mark()
	return ch, nil
}

// fillRows is the number of rows that a slice of fillTask encodes.
const fillRows = 64

type fillTask struct {
	c          *coarseHead
	first      int
	workspaces []*kernel.CoarseWorkspace
}

func (t *fillTask) Do(worker, slice int) {
	table := t.c.head.table
	from := (t.first + slice) * fillRows
	to := min(from+fillRows, table.Rows)
	rb := t.c.head.rowBytes
	t.c.copy.Fill(table.Data[from*rb:to*rb], table.Type, from/16, (to+15)/16, t.workspaces[worker])
}

// answer answers those of the batch's Select rows that it can. The other rows
// that want logits, in ascending order, are appended to rest.
func (c *coarseHead) answer(b *Batch, rest []int) []int {
	n := 0
	for _, i := range b.scored {
		r := &b.rows[i]
		if r.want != Select || !c.suits(r.sel) {
			rest = append(rest, i)
			continue
		}
		p := &c.picks[n]
		p.row, p.sel, p.x = i, r.sel, b.Hidden(i)
		if n++; n == maxPicks {
			rest = c.run(n, rest)
			n = 0
		}
	}
	rest = c.run(n, rest)
	slices.Sort(rest)
	return rest
}

// suits reports whether a request may be cheaper than all logits.
func (c *coarseHead) suits(s *Selector) bool {
	v := c.head.table.Rows
	// Keeping many largest tokens costs more than multiplying.
	limit := min(max(256, v/256), v/8)
	return s.K <= limit && len(s.IDs) <= limit && s.try()
}

// run answers the first n picks. The rows of those that it has to give up are
// appended to rest.
func (c *coarseHead) run(n int, rest []int) []int {
	if n == 0 {
		return rest
	}
	h := c.head
	h.begin(OpHeadScan, n)
	c.begin(n)
	if len(c.scored) > 0 {
		c.head.team.Run(&c.score, c.slices())
	}
	h.end()
	h.begin(OpHeadCandidates, n)
	c.single.pairs = c.single.pairs[:0]
	for i := range n {
		c.addSingles(&c.picks[i])
	}
	c.runSingles()
	for _, p := range c.scored {
		c.setFloor(p)
	}
	h.end()
	h.begin(OpHeadRefine, n)
	c.refineAll(len(rest))
	h.end()
	h.begin(OpHeadSelect, n)
	h.team.Run(&c.choose, n)
	for i := range n {
		p := &c.picks[i]
		if p.lost {
			rest = append(rest, p.row)
			continue
		}
		c.finish(p)
	}
	h.end()
	return rest
}

// chooseTask chooses the tokens of a pick.
type chooseTask struct{ c *coarseHead }

func (t *chooseTask) Do(_, i int) {
	if p := &t.c.picks[i]; !p.lost {
		t.c.gather(p)
		p.largest = p.sel.choose(p.y, p.final)
	}
}

// begin gives the picks their memory and finds out which of them use the copy.
func (c *coarseHead) begin(n int) {
	v, padded := c.head.table.Rows, c.copy.PaddedRows()
	if len(c.levels) < n*v {
		// More picks than ever before: their memory replaces that of fewer.
		c.head.mem.Release(c.base)
		c.base = c.head.mem.Mark()
		c.y, c.levels = c.head.mem.Float32s(n*padded), arena.Make[uint8](&c.head.mem, n*v)
	}
	c.scored = c.scored[:0]
	for i := range n {
		p := &c.picks[i]
		p.index, p.lost, p.k = -1, false, max(p.sel.K, 1)
		if !c.few(p.sel) {
			c.scored = append(c.scored, p)
		}
	}
	c.prepareScored()
	if kept := slices.DeleteFunc(c.scored, func(p *pick) bool { return p.lost }); len(kept) < len(c.scored) {
		// States without proven bounds are rare.
		c.scored = kept
		c.prepareScored()
	}
	at := len(c.scored)
	for i := range n {
		if p := &c.picks[i]; p.index < 0 || p.lost {
			c.place(p, at)
			c.reset(p)
			at++
		}
	}
}

// prepareScored decides how the scored picks are scanned, and gives each its state
// and its memory.
func (c *coarseHead) prepareScored() {
	n := len(c.scored)
	c.plane, c.narrow = c.choosePlane(n), c.chooseNarrow(n)
	c.head.team.Run(&c.prepare, n)
}

// place gives a pick the memory of an index.
func (c *coarseHead) place(p *pick, index int) {
	v, padded := c.head.table.Rows, c.copy.PaddedRows()
	p.index = index
	p.y, p.level = c.y[index*padded:][:v], c.levels[index*v:][:v]
}

// prepareTask prepares a scored pick.
type prepareTask struct{ c *coarseHead }

func (t *prepareTask) Do(_, i int) {
	c := t.c
	p := c.scored[i]
	c.place(p, i)
	if p.lost = !c.input.Set(i, p.x); p.lost {
		return
	}
	p.norm, p.loss = c.input.Norm(i), [exact]float32{}
	if c.narrow {
		p.loss[c.plane] = c.input.Loss(i)
	}
	if c.plane == 1 {
		p.loss[2] = p.loss[1] // the third plane is added to these scores
	}
	c.reset(p)
}

// bound returns by how much the logit of token r, of that level, may be off.
func (c *coarseHead) bound(p *pick, level uint8, r int) float32 {
	return float32(p.norm*c.copy.Radius(int(level))[r]) + float32(p.loss[level]*c.copy.Weight()[r])
}

// panelBound returns the largest bound of a panel's tokens at the level of the scan.
func (c *coarseHead) panelBound(p *pick, panel int) float32 {
	return float32(p.norm*c.copy.PanelRadius(c.plane)[panel]) + float32(p.loss[c.plane]*c.copy.PanelWeight()[panel])
}

// reset forgets what was found out about the tokens of a pick.
func (c *coarseHead) reset(p *pick) {
	level := uint8(0)
	if p.index < len(c.scored) {
		level = uint8(c.plane)
	}
	p.level[0] = level
	for n := 1; n < len(p.level); n *= 2 {
		copy(p.level[n:], p.level[:n])
	}
	for w := range c.workers {
		s := &c.workers[w].picks[p.index]
		s.heap, s.rest, s.rows, s.exact = s.heap[:0], float32(math.Inf(-1)), 0, 0
		s.panels, s.needy = 0, 0
		s.refined = [kernel.CoarsePlanes - 1]int{}
	}
}

// few reports whether a mask allows so few tokens that the copy is not needed.
func (c *coarseHead) few(s *Selector) bool {
	if s.Mask == nil {
		return false
	}
	v := c.head.table.Rows
	n := 0
	for i := range c.words() {
		n += bits.OnesCount64(s.allowed(i))
	}
	return n < v/fewBelow
}

func (c *coarseHead) words() int  { return (c.head.table.Rows + 63) / 64 }
func (c *coarseHead) slices() int { return (c.head.table.Rows + sliceRows - 1) / sliceRows }

// spare is the number of candidates beyond K.
func spare(k int) int { return 16 + k/4 }

// scoreTask computes the coarse logits of all scored picks and keeps the largest.
type scoreTask struct{ c *coarseHead }

func (t *scoreTask) Do(worker, slice int) {
	c := t.c
	const panels = sliceRows / 16
	c.copy.Score(c.y, c.copy.PaddedRows(), c.plane, c.narrow, c.input, 0, len(c.scored), slice*panels, min((slice+1)*panels, c.copy.Panels()))
	from := slice * sliceRows
	to := min(from+sliceRows, c.head.table.Rows)
	for _, p := range c.scored {
		s := &c.workers[worker].picks[p.index]
		s.heap = keepLargest(s.heap, p.k+spare(p.k), p, from, to)
	}
}

// keepLargest pushes the allowed tokens from … to−1 on a heap of the n largest.
func keepLargest(h []ranked, n int, p *pick, from, to int) []ranked {
	for base := from; base < to; base += 64 {
		word := p.sel.allowed(base / 64)
		if word == 0 {
			continue
		}
		y := p.y[base:min(base+64, to)]
		if len(h) == n && kernel.Max(y) <= h[0].y {
			continue
		}
		for j, y := range y {
			// Tokens come in ascending order: of equal ones the first stays.
			if len(h) == n && y <= h[0].y || word>>j&1 == 0 {
				continue
			}
			e := ranked{y, int32(base + j)}
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

// addSingles lists the tokens whose logits are computed first: the candidates,
// those that were asked for, and all allowed tokens where they are few.
func (c *coarseHead) addSingles(p *pick) {
	if p.lost {
		return
	}
	if p.index < len(c.scored) {
		c.addCandidates(p)
	} else {
		for w := range c.words() {
			for word := p.sel.allowed(w); word != 0; word &= word - 1 {
				if r := 64*w + bits.TrailingZeros64(word); r < len(p.level) {
					c.single.add(p, int32(r))
				}
			}
		}
	}
	for _, id := range p.sel.IDs {
		if uint32(id) < uint32(len(p.level)) {
			c.single.add(p, id)
		}
	}
}

// addCandidates lists the tokens with the largest coarse logits.
func (c *coarseHead) addCandidates(p *pick) {
	p.candidates = p.candidates[:0]
	for w := range c.workers {
		p.candidates = append(p.candidates, c.workers[w].picks[p.index].heap...)
	}
	slices.SortFunc(p.candidates, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.y, a.y), cmp.Compare(a.r, b.r))
	})
	p.candidates = p.candidates[:min(len(p.candidates), p.k+spare(p.k))]
	for _, e := range p.candidates {
		c.single.add(p, e.r)
	}
}

func (c *coarseHead) runSingles() {
	c.head.team.Run(&c.single, (len(c.single.pairs)+singleRows-1)/singleRows)
}

// singleRows is the number of rows that a slice of singleTask multiplies.
const singleRows = 8

// singleTask computes single logits.
type singleTask struct {
	c     *coarseHead
	pairs []pickRow
}

type pickRow struct {
	p *pick
	r int32
}

func (t *singleTask) add(p *pick, r int32) {
	if p.level[r] != exact {
		p.level[r] = exact
		t.pairs = append(t.pairs, pickRow{p, r})
	}
}

func (t *singleTask) Do(worker, slice int) {
	for _, e := range t.pairs[slice*singleRows : min((slice+1)*singleRows, len(t.pairs))] {
		t.c.head.rows(e.p.y[e.r:], int(e.r), 1, e.p.x, 1, worker)
	}
}

// setFloor takes the floor from the candidates' exact logits, which are now in y.
func (c *coarseHead) setFloor(p *pick) {
	if p.lost {
		return
	}
	p.final = p.final[:0]
	for _, e := range p.candidates {
		p.final = append(p.final, e.r)
		if y := p.y[e.r]; y-y != 0 {
			p.lost = true // not finite: there is no order to rely on
		}
	}
	// The order of tokens does not matter to cut.
	floor, _ := p.sel.cut(p.y, p.final, p.k)
	p.floor, p.depth = floorOf(floor), exact
}

// floorOf returns the largest float32 that is not above x.
func floorOf(x float64) float32 {
	f := float32(x)
	if float64(f) > x {
		f = math.Nextafter32(f, float32(math.Inf(-1)))
	}
	return f
}

// finish completes the answer of a pick.
func (c *coarseHead) finish(p *pick) {
	if p.sel.Mass {
		c.boundMass(p, p.largest)
	}
	for w := range c.workers {
		p.sel.Rest = max(p.sel.Rest, c.workers[w].picks[p.index].rest)
	}
	c.count(p)
}

// gather lists the tokens whose logits are exact.
func (c *coarseHead) gather(p *pick) {
	p.final = p.final[:0]
	for base := 0; base < len(p.level); base += 8 {
		l := p.level[base:min(base+8, len(p.level))]
		if len(l) == 8 {
			// Both bits of a byte are set only for exact.
			if x := binary.LittleEndian.Uint64(l); x&(x>>1)&0x0101010101010101 == 0 {
				continue
			}
		}
		for j, level := range l {
			if level == exact {
				p.final = append(p.final, int32(base+j))
			}
		}
	}
}

// count records what a pick has read.
func (c *coarseHead) count(p *pick) {
	h := c.head
	bytes := int64(len(p.final)) * int64(h.rowBytes)
	if p.index < len(c.scored) {
		bytes += int64(h.table.Rows) * int64(c.copy.RowBytes(c.plane)) / int64(len(c.scored))
	}
	for plane := range h.lastRefined {
		n := int64(0)
		for w := range c.workers {
			n += int64(c.workers[w].picks[p.index].refined[plane])
		}
		bytes += n * int64(c.copy.RowBytes(plane+1))
		h.lastRefined[plane].Store(n)
	}
	h.lastExact.Store(int64(len(p.final)))
	h.lastBytes.Store(bytes)
	h.stepBytes += bytes
}
