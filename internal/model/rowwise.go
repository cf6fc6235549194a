package model

import "trit/internal/kernel"

// A rowOp is an operation that makes a row of its result from the same row of its
// operands: norms, rounding, rotation, activation functions and sums.
type rowOp struct {
	do        func(p *Pass, o *rowOp, row int)
	kind      OpKind
	stage     string
	dst, src  Buffer
	up        Buffer     // gateRow
	w         []float32  // normRow, normHeadsRow
	factor    float32    // scaleRow
	f         RowFunc    // eachRow
	transform *Transform // turnRow
	rotation  *rotation  // ropeRow
	low, high float32    // clampRow
}

// rowTask runs pending operations, all of them on one row after the other. A row
// that has just been computed is in the caches of the processor that did so; with
// a section for each operation it would often be another that goes on with it.
type rowTask struct {
	p   *Pass
	ops []rowOp
}

// maxRowOps bounds the operations that wait together.
const maxRowOps = 8

// Do implements parallel.Task.
func (t *rowTask) Do(_, row int) {
	for i := range t.ops {
		t.ops[i].do(t.p, &t.ops[i], row)
	}
}

// rowwise adds an operation to the pending ones. With an observer or a tracer each
// of them runs at once.
func (p *Pass) rowwise(o rowOp) {
	if p.tally != nil {
		p.tally.rowwise(&o)
		return
	}
	if p.observer == nil && p.tracer == nil {
		if len(p.byRow.ops) == maxRowOps {
			p.flush()
		}
		p.byRow.ops = append(p.byRow.ops, o)
		return
	}
	p.begin(o.stage)
	p.byRow.ops = append(p.byRow.ops, o)
	p.flush()
	p.end()
	if o.dst.Data != nil {
		p.observe(o.stage, o.dst)
	}
}

// serialElements is the amount of row-wise work below which starting a parallel
// section costs more than it saves.
const serialElements = 16 << 10

// flush runs the pending operations.
func (p *Pass) flush() {
	elements := 0
	for i := range p.byRow.ops {
		elements += p.rows * max(p.byRow.ops[i].dst.Width, p.byRow.ops[i].src.Width)
	}
	if elements <= serialElements {
		for row := range p.rows {
			p.byRow.Do(0, row)
		}
	} else {
		p.team.Run(&p.byRow, p.rows)
	}
	p.byRow.ops = p.byRow.ops[:0]
}

func quantizeRow(p *Pass, o *rowOp, row int) { kernel.QuantizeRow(p.int8, row, o.src.Row(row)) }

func turnRow(_ *Pass, o *rowOp, row int) { o.transform.Apply(o.dst.Row(row), o.src.Row(row)) }

func quantizeGroupsRow(p *Pass, o *rowOp, row int) {
	kernel.QuantizeGroups(p.groups, row, o.src.Row(row))
}

func normRow(p *Pass, o *rowOp, row int) {
	kernel.RMSNorm(o.dst.Row(row), o.src.Row(row), o.w, p.cfg.NormEps)
}

func normHeadsRow(p *Pass, o *rowOp, row int) {
	x := o.dst.Row(row)
	for d := len(o.w); len(x) > 0; x = x[d:] {
		kernel.RMSNorm(x[:d], x[:d], o.w, p.cfg.NormEps)
	}
}

func scaleRow(_ *Pass, o *rowOp, row int) {
	kernel.Scale(o.dst.Row(row), o.dst.Row(row), o.factor)
}

func clampRow(_ *Pass, o *rowOp, row int) { kernel.Clamp(o.dst.Row(row), o.low, o.high) }

func eachRow(_ *Pass, o *rowOp, row int) { o.f.Row(row) }

func addRow(_ *Pass, o *rowOp, row int) { kernel.Add(o.dst.Row(row), o.dst.Row(row), o.src.Row(row)) }

func gateRow(p *Pass, o *rowOp, row int) {
	p.cfg.HiddenAct.gate(o.dst.Row(row), o.src.Row(row), o.up.Row(row))
}

// actRow is gateRow with gates of 1.
func actRow(p *Pass, o *rowOp, row int) {
	for x := o.dst.Row(row); len(x) > 0; {
		n := min(len(x), len(ones))
		p.cfg.HiddenAct.gate(x[:n], x[:n], ones[:n])
		x = x[n:]
	}
}

var ones = func() (x [256]float32) {
	for i := range x {
		x[i] = 1
	}
	return x
}()

// gate computes dst = act(x)·up.
func (a HiddenAct) gate(dst, x, up []float32) {
	switch a {
	case SiLU:
		kernel.SiLUMul(dst, x, up)
	case ReLU2:
		kernel.ReLU2Mul(dst, x, up)
	case GELUTanh:
		kernel.GELUTanhMul(dst, x, up)
	}
}

func ropeRow(p *Pass, o *rowOp, row int) {
	c := p.cfg
	half := c.RopeDim / 2
	cos, sin := o.rotation.cos[row*half:(row+1)*half], o.rotation.sin[row*half:(row+1)*half]
	x := o.dst.Row(row)
	for h := 0; h < len(x); h += c.HeadDim {
		if c.RopeStyle == RopeNorm {
			kernel.RopeNorm(x[h:h+c.HeadDim], cos, sin)
		} else {
			kernel.RopeNeox(x[h:h+c.HeadDim], cos, sin)
		}
	}
}
