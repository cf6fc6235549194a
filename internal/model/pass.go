package model

import (
	"fmt"

	"trit/internal/kernel"
	"trit/internal/parallel"
)

// Attention stores the keys and values of a pass's rows and attends to them.
// The engine implements it over its KV cache.
type Attention interface {
	// Attend stores k and v [rows, KVHeads·HeadDim] as the rows' positions of
	// the given layer, and then computes out [rows, Heads·HeadDim] from q
	// (same shape) and everything stored for each row's sequence up to its
	// own position.
	Attend(layer int, out, q, k, v Buffer, rows int)
	// Store is the first part of Attend.
	Store(layer int, k, v Buffer, rows int)
	// Recur takes every sequence of the pass through a recurrence: its rows in their
	// order, different sequences and parts side by side.
	Recur(r Recurrence)
}

// Recurrence is an operation that goes from row to row of a sequence.
//
// What a step does to the state can be recorded and done again: rows that turn out to
// be wrong never enter a state, and the others need not be run again.
type Recurrence interface {
	// Parts is how many independent parts a row has, at least 1.
	Parts() int
	// Numbers says which numbers of a state are the part's: so many, from the given one
	// on. Every one of the Graph.StateSize numbers belongs to one part of one recurrence
	// of a graph.
	// No part has more than the first.
	Numbers(part int) (from, n int)
	// Operands says, in the same way, which of the Graph.RecordSize numbers of a row's
	// record are the part's.
	Operands(part int) (from, n int)
	// Step computes a part of a row. state is what the rows of the sequence before it
	// have left, zeros at the beginning: the part's own numbers.
	Step(state []float32, row, part int)
	// Record notes what Step will do to the state in the part's own numbers of a record.
	Record(record []float32, row, part int)
	// Replay does to the state what Step has done, to the bit. scratch has as many
	// numbers as the state.
	Replay(state, record, scratch []float32, part int)
}

// RowFunc is an operation on single rows that only one family has.
type RowFunc interface {
	// Row computes a row. It may be called by any worker.
	Row(row int)
}

// Pass runs a graph over a batch of rows. It owns the scratch memory of the
// operations and spreads their work over a worker team. It allocates nothing
// once it has been made.
//
// Operations on single rows wait until others need their results, and then run
// together, row by row: see rowTask. So a graph must not look into buffers.
type Pass struct {
	cfg       *Config
	team      *parallel.Team
	attention Attention
	observer  Observer
	tracer    Tracer
	tally     *Tally                // not nil: operations are listed, not done
	names     map[projectKey]string // of projections, for the tracer
	variant   kernel.Variant

	maxRows int
	rows    int
	layer   int
	tokens  []int32
	keep    []int // rows whose hidden state is wanted, ascending
	kept    bool  // whether the buffers hold only those rows

	rotations [RotateNot]*rotation // those that layers have
	normed    []float32            // [maxRows, in] the input of a projection with a norm of its own
	turned    []float32            // [maxRows, in] the transformed input of a projection
	int8      *kernel.Int8         // rounded input of a projection, or
	groups    *kernel.GroupedInt8  // with scales for groups of columns
	work      []*kernel.Workspace  // one per worker

	project projectTask
	dense   denseTask
	embed   embedTask
	wide    [][]float32 // per worker: rows of a matrix of numbers
	byRow   rowTask
	mixer   *mixer   // nil for models without experts
	skip    *skipper // nil for models without lines
	foresight
	err error
}

// PassOptions are the parameters of NewPass.
type PassOptions struct {
	MaxRows   int
	Team      *parallel.Team
	Attention Attention
	// Variant is the kernel for ternary × int8; Auto takes each projection's
	// own.
	Variant kernel.Variant
	// Memory is where the scratch memory comes from. It is required.
	Memory Memory
	// Context is the largest number of positions of a sequence.
	Context int
}

// rotation is how pairs of elements are turned, with the angles of a pass's rows.
type rotation struct {
	inv      []float64 // [RopeDim/2]
	scale    float32   // on cos and sin
	cos, sin []float32 // [maxRows, RopeDim/2]
}

// NewPass allocates a pass for a model.
func NewPass(m *Model, o PassOptions) *Pass {
	c := m.Config
	widest, normed, turned := m.inputs()
	p := &Pass{
		cfg:       c,
		team:      o.Team,
		attention: o.Attention,
		variant:   o.Variant,
		maxRows:   o.MaxRows,
		normed:    o.Memory.Float32s(o.MaxRows * normed),
		turned:    o.Memory.Float32s(o.MaxRows * turned),
	}
	switch c.Activations {
	case Int8:
		p.int8 = kernel.NewInt8(o.MaxRows, widest)
	case Int8Groups:
		p.groups = kernel.NewGroupedInt8(o.MaxRows, widest)
	}
	for _, kind := range c.UsedRotations() {
		r := &rotation{cos: o.Memory.Float32s(o.MaxRows * c.RopeDim / 2), sin: o.Memory.Float32s(o.MaxRows * c.RopeDim / 2)}
		r.inv, r.scale = m.RopeFrequencies(kind, o.Context)
		p.rotations[kind] = r
	}
	for range o.Team.Size() {
		p.work = append(p.work, kernel.NewWorkspace())
	}
	p.project.p, p.byRow.p, p.dense.p, p.embed.p = p, p, p, p
	p.embed.errs = make([]error, o.Team.Size())
	p.project.parts = make([]projectPart, 0, maxParts*o.Team.Nodes())
	p.project.ends = make([]int, 0, o.Team.Nodes())
	for range o.Team.Size() {
		p.wide = append(p.wide, o.Memory.Float32s(kernel.HeadScratch(m.dense)))
	}
	p.byRow.ops = make([]rowOp, 0, maxRowOps)
	if p.mixer = newMixer(p, o.Memory, o.MaxRows); p.mixer != nil {
		p.mixer.prepare(o.MaxRows)
	}
	p.skip = newSkipper(p, m)
	return p
}

// inputs returns the width of the widest input of a projection, of one that has a norm
// of its own, and of one that is transformed.
func (m *Model) inputs() (widest, normed, turned int) {
	m.Projections(func(_ string, w *Projection) {
		widest = max(widest, w.Matrix.Cols)
		if w.NormIn != nil {
			normed = max(normed, w.Matrix.Cols)
		}
		if w.Transform != nil {
			turned = max(turned, w.Matrix.Cols)
		}
	})
	return widest, normed, turned
}

// Begin prepares the pass for a batch: token ids and positions of its rows,
// and the ascending indices of the rows whose hidden state is wanted. The
// slices are used until the pass has run.
func (p *Pass) Begin(tokens, positions []int32, keep []int, o Observer) {
	p.tokens, p.rows, p.keep, p.kept, p.observer, p.err = tokens, len(tokens), keep, false, o, nil
	p.layer, p.foresight.at = LayerIn, 0
	p.byRow.ops = p.byRow.ops[:0] // of a pass that panicked
	p.begin(OpRopeTable)
	half := p.cfg.RopeDim / 2
	for _, r := range p.rotations {
		if r == nil {
			continue
		}
		for i, pos := range positions {
			kernel.RopeTable(r.cos[i*half:(i+1)*half], r.sin[i*half:(i+1)*half], int(pos), r.inv, r.scale)
		}
	}
	p.end()
}

// Int8Bytes returns the size of the buffers for rounded activations and sums of their
// products, which are not of the pass's Memory.
func (p *Pass) Int8Bytes() int64 {
	switch {
	case p.skip != nil:
		return p.skip.bytes + int64(cap(p.int8.Q)) + mixerInt8Bytes(p.cfg, p.maxRows)
	case p.int8 != nil:
		return int64(cap(p.int8.Q)) + mixerInt8Bytes(p.cfg, p.maxRows)
	case p.groups != nil:
		return p.groups.Bytes() + mixerInt8Bytes(p.cfg, p.maxRows)
	}
	return 0
}

// Kept reports whether the buffers hold only the wanted rows, because Narrow
// has dropped the others.
func (p *Pass) Kept() bool { return p.kept }

// End completes the pass and returns the first error of its operations.
func (p *Pass) End() error {
	p.flush()
	p.copyLines()
	return p.err
}

// Layer says that the following operations belong to a layer (or to LayerIn,
// LayerOut).
func (p *Pass) Layer(i int) { p.layer = i }

// Embed looks up the rows' tokens: dst [rows, D].
func (p *Pass) Embed(stage string, dst Buffer, table *Table) {
	if p.tally != nil {
		p.tally.embed(stage, dst, table)
		return
	}
	p.begin(stage)
	p.embed.dst, p.embed.table = dst, table
	p.team.Run(&p.embed, (p.rows+embedRows-1)/embedRows)
	for i := range p.embed.errs {
		if err := &p.embed.errs[i]; *err != nil && p.err == nil {
			p.err, *err = *err, nil
		}
	}
	p.end()
	p.observe(stage, dst)
}

// embedTask looks up the tokens of rows.
type embedTask struct {
	p     *Pass
	dst   Buffer
	table *Table
	errs  []error // by worker
}

// embedRows is how many rows one slice looks up.
const embedRows = 16

// Do implements parallel.Task.
func (t *embedTask) Do(worker, slice int) {
	for i := slice * embedRows; i < min((slice+1)*embedRows, t.p.rows); i++ {
		id := int(t.p.tokens[i])
		if err := t.table.Row(id, t.dst.Row(i)); err != nil {
			t.errs[worker] = fmt.Errorf("embedding of token %d: %w", id, err)
		}
	}
}

// Norm computes dst = RMSNorm(src)·w for each row. dst may be src.
func (p *Pass) Norm(stage string, dst, src Buffer, w []float32) {
	p.rowwise(rowOp{do: normRow, kind: OpKindNorm, stage: stage, dst: dst, src: src, w: w})
}

// NormHeads computes b = RMSNorm(b)·w for every head of every row; a head is as
// wide as w.
func (p *Pass) NormHeads(stage string, b Buffer, w []float32) {
	p.rowwise(rowOp{do: normHeadsRow, kind: OpKindNorm, stage: stage, dst: b, w: w})
}

// Scale multiplies every row with a factor; 0 means that there is none.
func (p *Pass) Scale(stage string, b Buffer, factor float32) {
	if factor != 0 {
		p.rowwise(rowOp{do: scaleRow, kind: OpKindScale, stage: stage, dst: b, factor: factor})
	}
}

// Stage reports a result of other operations than those on single rows to the
// observer under the given name.
func (p *Pass) Stage(stage string, b Buffer) {
	if p.tally != nil {
		p.tally.stage(stage, b, Buffer{})
		return
	}
	p.observe(stage, b)
}

// Rope rotates every head of every row by the row's position, as the layer does it.
func (p *Pass) Rope(stage string, b Buffer) {
	kind := p.cfg.Rotation(p.layer)
	if kind == RotateNot {
		p.Stage(stage, b)
		return
	}
	p.rowwise(rowOp{do: ropeRow, kind: OpKindRope, stage: stage, dst: b, rotation: p.rotations[kind]})
}

// Clamp brings every number of every row into [low, high].
func (p *Pass) Clamp(stage string, b Buffer, low, high float32) {
	p.rowwise(rowOp{do: clampRow, kind: OpKindClamp, stage: stage, dst: b, low: low, high: high})
}

// Attend stores k and v in the cache and computes the attention of q:
// out [rows, H·d].
func (p *Pass) Attend(stage string, out, q, k, v Buffer) {
	if p.tally != nil {
		p.tally.attend(stage, out)
		return
	}
	p.flush()
	p.attention.Attend(p.layer, out, q, k, v, p.rows)
	p.observe(stage, out)
}

// Store stores k and v in the cache, for rows that attend to nothing.
func (p *Pass) Store(stage string, k, v Buffer) {
	if p.tally != nil {
		p.tally.store(stage)
		return
	}
	p.flush()
	p.attention.Store(p.layer, k, v, p.rows)
}

// Apply computes out = W·in for a matrix that is stored as a ternary one or as numbers.
func (p *Pass) Apply(stage string, in, out Buffer, w *Linear) {
	if w.Table != nil {
		p.Multiply(stage, in, out, w.Table)
		return
	}
	p.Project(in, Projected{W: w.Projection, Out: out})
	p.Stage(stage, out)
}

// Multiply computes out = W·in for a matrix of numbers, in the order of kernel.Dot. in
// is not rounded.
func (p *Pass) Multiply(stage string, in, out Buffer, w *Table) {
	if p.tally != nil {
		p.tally.multiply(stage, out, w)
		return
	}
	p.flush()
	p.begin(stage)
	t := &p.dense
	t.in, t.out, t.w = in, out, w
	t.step, t.blocks = denseRows, (p.rows+denseTokens-1)/denseTokens
	if t.blocks > 1 {
		t.step *= denseMore
	}
	p.foresee(firstOfDense)
	p.team.Run(t, t.slices())
	p.end()
	p.observe(stage, out)
}

// denseRows is how many rows of a matrix of numbers one slice multiplies, denseTokens with
// how many rows of its input at most. Where there are more of these the slice has denseMore
// times as many of the matrix, so that little of either is read from beyond the L2 cache.
const (
	denseRows   = 8
	denseTokens = 64
	denseMore   = 4
)

// denseTask multiplies with a matrix of numbers.
type denseTask struct {
	p       *Pass
	in, out Buffer
	w       *Table
	step    int // rows of the matrix per slice
	blocks  int // of rows of the input
}

func (t *denseTask) slices() int { return t.blocks * ((t.w.Rows + t.step - 1) / t.step) }

// Do implements parallel.Task.
func (t *denseTask) Do(worker, slice int) {
	from, row := slice/t.blocks*t.step, slice%t.blocks*denseTokens
	n, rows, size := min(t.step, t.w.Rows-from), min(denseTokens, t.p.rows-row), t.w.RowBytes()
	kernel.HeadRows(t.out.Data[row*t.out.Width+from:], t.out.Width, t.w.Data[from*size:(from+n)*size], t.w.Type, n, t.w.Cols,
		t.in.Data[row*t.in.Width:], t.in.Width, rows, t.p.wide[worker])
}

// Recur runs a recurrence over the rows of each sequence, whose result is in dst. c is
// its work for a row. All rows must still be there: see Narrow.
func (p *Pass) Recur(stage string, dst Buffer, c Cost, r Recurrence) {
	if p.tally != nil {
		p.tally.own(stage, OpKindRecur, dst, c)
		return
	}
	p.flush()
	p.begin(stage)
	p.attention.Recur(r)
	p.end()
	p.observe(stage, dst)
}

// Each runs an operation of the family's own on every row, whose result is in dst. c is
// its work for a row.
func (p *Pass) Each(stage string, dst Buffer, c Cost, f RowFunc) {
	if p.tally != nil {
		p.tally.own(stage, OpKindEach, dst, c)
		return
	}
	p.rowwise(rowOp{do: eachRow, kind: OpKindEach, stage: stage, dst: dst, f: f})
}

// Narrow drops the rows that nobody wants anything of from the given buffers
// and from the rest of the pass. It is called in the last layer once keys and
// values are stored, because from there on rows no longer need each other. An
// observer keeps all rows in the pass.
func (p *Pass) Narrow(buffers ...Buffer) {
	if p.observer != nil || len(p.keep) == p.rows {
		return
	}
	p.flush()
	p.begin(OpNarrow)
	for _, b := range buffers {
		for to, from := range p.keep {
			copy(b.Row(to), b.Row(from))
		}
	}
	p.end()
	p.rows, p.kept = len(p.keep), true
}

// Add computes dst += src for each row.
func (p *Pass) Add(stage string, dst, src Buffer) {
	p.rowwise(rowOp{do: addRow, kind: OpKindAdd, stage: stage, dst: dst, src: src})
}

// Gate computes dst = act(gate)·up for each row with the model's activation
// function. dst may be gate.
func (p *Pass) Gate(stage string, dst, gate, up Buffer) {
	p.rowwise(rowOp{do: gateRow, kind: OpKindAct, stage: stage, dst: dst, src: gate, up: up})
}

// Act computes b = act(b) for each row, for networks without a gate.
func (p *Pass) Act(stage string, b Buffer) {
	p.rowwise(rowOp{do: actRow, kind: OpKindAct, stage: stage, dst: b})
}

func (p *Pass) observe(stage string, b Buffer) {
	if p.observer != nil {
		p.observer.Stage(p.layer, stage, p.rows, b.Width, b.Data[:p.rows*b.Width])
	}
}
