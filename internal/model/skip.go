package model

import (
	"fmt"
	"sync/atomic"

	"trit/internal/kernel"
	"trit/internal/ternary"
)

// Where a gate is not positive, relu² makes zero of it whatever the row of ffn_up gives,
// and where an input of ffn_down is rounded to zero its column adds nothing. In a step of
// a single row such rows and columns are not read. They lie one by one in copies of the
// two matrices, as panels of sixteen rows would be read all the same.
//
// Results keep their bits: the sums are exact, and zeros take their places in the norm
// between the two.
//
// Making the copies takes as long as a dozen tokens. So that the first of these does not
// wait for it, passes of single rows copy a pair of matrices each, once some have been run.

// SkipZeros says whether a model keeps copies of matrices by single rows and columns.
type SkipZeros uint8

// The choices.
const (
	SkipAuto SkipZeros = iota // where it saves time
	SkipOn                    // wherever the graph allows it
	SkipOff
)

var skipNames = [...]string{"auto", "on", "off"}

// String returns the name that ParseSkipZeros reads.
func (s SkipZeros) String() string {
	if int(s) < len(skipNames) {
		return skipNames[s]
	}
	return fmt.Sprintf("skip_zeros(%d)", uint8(s))
}

// ParseSkipZeros returns the choice of that name.
func ParseSkipZeros(name string) (SkipZeros, error) {
	for s, n := range skipNames {
		if n == name {
			return SkipZeros(s), nil
		}
	}
	return 0, fmt.Errorf("%w: %q (want auto, on or off)", ErrConfig, name)
}

// Skipped counts what single rows have met and left out.
type Skipped struct {
	Gates, ZeroGates   int64 // of ffn_gate, and those that were not positive
	Inputs, ZeroInputs int64 // of ffn_down, and those that were rounded to zero
	// Bytes are those of the weights behind all of these, Saved were not read.
	Bytes, Saved int64
}

// Add returns the sum of both.
func (s Skipped) Add(o Skipped) Skipped {
	return Skipped{
		s.Gates + o.Gates, s.ZeroGates + o.ZeroGates, s.Inputs + o.Inputs, s.ZeroInputs + o.ZeroInputs,
		s.Bytes + o.Bytes, s.Saved + o.Saved,
	}
}

// Skips lets a graph's single rows leave out what relu² makes zero of: rows of up, and
// columns of down. Where that cannot be, or does not pay, it does nothing.
func (b *Binder) Skips(up, down *Projection) error {
	c := b.model.Config
	if b.opts.SkipZeros == SkipOff || c.HiddenAct != ReLU2 || c.Activations != Int8 || up.Bias != nil || up.NormIn != nil || up.Transform != nil {
		return nil
	}
	for _, m := range []*ternary.Matrix{up.Matrix, down.Matrix} {
		if !ternary.HasLines(m) || m.Rows > kernel.MaxLines || m.Cols > kernel.MaxLines {
			return nil
		}
	}
	columns, pays := kernel.LinesPay(up.Matrix.Layout)
	if b.opts.SkipZeros == SkipAuto && (!pays || up.Matrix.Rows*up.Matrix.Cols < tunedWeights) {
		return nil
	}
	if b.outline != nil {
		b.model.LineBytes += ternary.LinesBytes(up.Matrix.Layout, up.Matrix.Rows, up.Matrix.Cols) +
			ternary.LinesBytes(columns, down.Matrix.Cols, down.Matrix.Rows)
		b.model.lines.widest(up.Matrix.Cols, down.Matrix)
		return nil
	}
	var err error
	if up.Rows, err = ternary.RowLines(up.Matrix); err != nil {
		return err
	}
	if down.Columns, err = ternary.ColumnLines(down.Matrix, columns); err != nil {
		return err
	}
	up.largest = kernel.LargestScale(up.Matrix)
	up.pair = &linePair{up: up, down: down}
	down.pair = up.pair
	b.model.pairs = append(b.model.pairs, up.pair)
	b.model.LineBytes += up.Rows.Bytes() + down.Columns.Bytes()
	b.model.lines.widest(up.Matrix.Cols, down.Matrix)
	return nil
}

// linePair are two matrices with lines, whose contents one of the passes copies.
type linePair struct {
	up, down *Projection
	state    atomic.Uint32 // of the copies
}

// The states of a pair.
const (
	linesMissing = iota
	linesBegun
	linesCopied
)

// copied reports whether the lines of a projection that has some are there.
func (w *Projection) copied() bool { return w.pair.state.Load() == linesCopied }

// Do implements parallel.Task: first the columns, which take longer.
func (t *linePair) Do(_, slice int) {
	if blocks := t.down.Columns.Blocks(); slice >= blocks {
		t.up.Rows.SetRows(t.up.Matrix, slice-blocks)
		return
	}
	t.down.Columns.SetColumns(t.down.Matrix, slice)
}

// lineSizes are what the scratch memory of a pass must hold for lines.
type lineSizes struct {
	spread  int // input of ffn_up, in the order of its lines
	columns int // of ffn_down
	sums    int // its rows
}

// widest makes room for a pair of matrices.
func (s *lineSizes) widest(in int, down *ternary.Matrix) {
	const whole = 320 // codes of a block of either layout, at most
	s.spread = max(s.spread, (in+whole)/256*whole)
	s.columns = max(s.columns, down.Cols)
	s.sums = max(s.sums, (down.Rows+whole)/256*whole)
}

// LineScratch returns the memory that single rows of a pass with so many workers need to
// leave out weights.
func (m *Model) LineScratch(workers int) int64 {
	l := &m.lines
	if l.columns == 0 {
		return 0
	}
	return int64(l.spread) + kernel.RowListBytes(l.columns) + kernel.ColumnListBytes(l.columns) + 4*int64(workers)*int64(l.sums)
}

// patience is how many passes of single rows a pass runs before it copies lines. With 80 %
// zeros a pair of matrices has to be used for some sixty tokens to win back what copying it
// takes, so a short answer is better off without.
const patience = 16

// copyLines copies the lines of one more pair of matrices, if it is time for that.
func (p *Pass) copyLines() {
	s := p.skip
	if s == nil || p.rows != 1 || p.observer != nil {
		return
	}
	if s.passes++; s.passes > patience {
		p.copyPair()
	}
}

// copyPair copies the lines of the next pair that no other pass of the model has begun
// with, and reports whether there was one.
func (p *Pass) copyPair() bool {
	for s := p.skip; len(s.pairs) > 0; {
		pair := s.pairs[0]
		s.pairs = s.pairs[1:]
		if pair.state.CompareAndSwap(linesMissing, linesBegun) {
			p.team.Run(pair, pair.up.Matrix.Panels()+pair.down.Columns.Blocks())
			pair.state.Store(linesCopied)
			return true
		}
	}
	return false
}

// PrepareLines copies all lines that are missing, as passes of single rows do in time.
func (p *Pass) PrepareLines() {
	if p.skip == nil {
		return
	}
	for p.copyPair() {
	}
}

// skipper multiplies single rows with lines.
type skipper struct {
	bytes   int64
	pairs   []*linePair // those whose lines may be missing
	passes  int         // of single rows
	spread  []int8
	rowList *kernel.RowList
	list    *kernel.ColumnList
	sums    [][]int32 // per worker
	workers []skipWorker
	total   Skipped

	rows    skipRows
	columns skipColumns
}

// skipWorker is what a worker notes in a section.
type skipWorker struct {
	summed bool // its sums are of this section
	_      [63]byte
}

// newSkipper returns a skipper for a model with lines, or nil.
func newSkipper(p *Pass, m *Model) *skipper {
	l := &m.lines
	if l.columns == 0 || p.int8 == nil {
		return nil
	}
	s := &skipper{bytes: m.LineScratch(p.team.Size()), pairs: m.pairs, spread: make([]int8, l.spread), rowList: kernel.NewRowList(l.columns), list: kernel.NewColumnList(l.columns), workers: make([]skipWorker, p.team.Size())}
	for range s.workers {
		s.sums = append(s.sums, make([]int32, l.sums))
	}
	s.rows.p, s.columns.p, s.columns.sums = p, p, make([][]int32, 0, len(s.workers))
	return s
}

// Shares of lines above which it takes longer to pick them than to multiply with the
// whole matrix.
const (
	mostRows    = 0.625
	mostColumns = 0.5
)

// ProjectGated computes gate and up of an input, for a product with the gate's activation
// function. Where that makes zero of a gate, up may be left out and is zero then.
func (p *Pass) ProjectGated(in Buffer, gate, up Projected) {
	if p.skip == nil || p.rows != 1 || up.W.Rows == nil || !up.W.copied() || p.observer != nil || !p.shareInput(gate.W, up.W) {
		p.Project(in, gate, up)
		return
	}
	p.round(in, up.W)
	outs := [2]Projected{gate, up}
	p.beginProject(outs[:])
	// An infinity would make a NaN of a zero.
	if kernel.Bounded(up.W.Matrix.Cols, up.W.largest, p.int8, 0) {
		p.multiplyGated(in, gate, up)
	} else {
		p.multiplyAll(in, outs[:])
	}
	p.end()
}

// multiplyGated multiplies the rounded input with gate, and with the rows of up that
// have a positive gate, if they are few enough.
func (p *Pass) multiplyGated(in Buffer, gate, up Projected) {
	one := [1]Projected{gate}
	p.multiplyAll(in, one[:])
	s, lines := p.skip, up.W.Rows
	gates := gate.Out.Row(0)
	count, size := int64(lines.Count), int64(lines.LineBytes())
	n := int64(s.rowList.Set(lines, gates))
	note := Skipped{Gates: count, ZeroGates: count - n, Bytes: count * size}
	if float64(n) <= mostRows*float64(count) {
		note.Saved = (count - n) * size
		kernel.SpreadRow(s.spread, lines, p.int8, 0)
		t := &s.rows
		t.up = up.W
		runs := s.rowList.Runs()
		t.step = max(1, runs/(p.team.Size()*slicesPerWorker))
		p.team.Run(t, (runs+t.step-1)/t.step)
		s.rowList.ExpandRows(up.Out.Row(0), gates)
	} else {
		one[0] = up
		p.multiplyAll(in, one[:])
	}
	p.skipped(note)
}

// skipped notes what has been left out.
func (p *Pass) skipped(s Skipped) {
	p.skip.total = p.skip.total.Add(s)
	if p.tracer != nil {
		p.tracer.Skipped(s.Saved)
	}
}

// skipRows multiplies some runs of rows.
type skipRows struct {
	p    *Pass
	up   *Projection
	step int
}

// Do implements parallel.Task.
func (t *skipRows) Do(worker, slice int) {
	p := t.p
	kernel.MulRows(t.up.Matrix, t.up.Rows, p.skip.rowList, p.int8, 0, p.skip.spread, slice*t.step, (slice+1)*t.step, p.work[worker])
}

// multiplyColumns multiplies a single rounded row with the columns that it needs, if the
// matrix has them and they are few enough.
func (p *Pass) multiplyColumns(o Projected) bool {
	s, lines := p.skip, o.W.Columns
	if s == nil || p.rows != 1 || lines == nil || !o.W.copied() {
		return false
	}
	count, size := int64(lines.Count), int64(lines.LineBytes())
	n := int64(s.list.Set(lines, p.int8, 0))
	note := Skipped{Inputs: count, ZeroInputs: count - n, Bytes: count * size}
	few := float64(n) <= mostColumns*float64(count)
	if few {
		note.Saved = (count - n) * size
		p.addColumns(o)
	}
	p.skipped(note)
	return few
}

// addColumns multiplies with the columns on the list.
func (p *Pass) addColumns(o Projected) {
	s := p.skip
	clear(s.workers)
	t := &s.columns
	t.lines = o.W.Columns
	runs := s.list.Runs()
	t.step = max(1, runs/(p.team.Size()*slicesPerWorker))
	p.team.Run(t, (runs+t.step-1)/t.step)
	n := kernel.ColumnSums(t.lines)
	sums := t.sums[:0]
	for i := range s.workers {
		if s.workers[i].summed {
			sums = append(sums, s.sums[i][:n])
		}
	}
	if len(sums) == 0 { // all inputs are zero
		clear(s.sums[0][:n])
		sums = append(sums, s.sums[0][:n])
	}
	t.sums = sums
	kernel.FinishColumns(o.Out.Row(0), sums, o.W.Matrix, p.int8, 0, p.work[0])
	if o.W.Bias != nil {
		kernel.Add(o.Out.Row(0), o.Out.Row(0), o.W.Bias)
	}
}

// skipColumns multiplies some runs of columns.
type skipColumns struct {
	p     *Pass
	lines *ternary.Lines
	step  int
	sums  [][]int32 // those in use
}

// Do implements parallel.Task.
func (t *skipColumns) Do(worker, slice int) {
	s := t.p.skip
	sums := s.sums[worker][:kernel.ColumnSums(t.lines)]
	if w := &s.workers[worker]; !w.summed {
		clear(sums)
		w.summed = true
	}
	kernel.AddColumns(sums, t.lines, s.list, slice*t.step, (slice+1)*t.step)
}

// TakeSkipped returns what has been left out since it was called last.
func (p *Pass) TakeSkipped() (s Skipped) {
	if p.skip != nil {
		s, p.skip.total = p.skip.total, Skipped{}
	}
	return s
}
