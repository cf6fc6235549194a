package model

import (
	"trit/internal/kernel"
	"trit/internal/ternary"
)

// Projected pairs a projection with the buffer of its result.
type Projected struct {
	W   *Projection
	Out Buffer
}

// Project computes out = W·in for projections that share one input, which is
// rounded once as the model's Activations say. A projection with a norm of its own
// gets in through that.
func (p *Pass) Project(in Buffer, outs ...Projected) {
	for len(outs) > 0 && p.rows > 0 {
		n := 1
		for n < len(outs) && n < maxParts && p.shareInput(outs[0].W, outs[n].W) {
			n++
		}
		p.projectAlike(in, outs[:n])
		outs = outs[n:]
	}
}

// shareInput reports whether two projections can be multiplied with the same
// rounded input. With one scale per row, the sums that belong to it follow the groups
// of columns that weights have scales for, which may differ.
func (p *Pass) shareInput(w, v *Projection) bool {
	return w.NormIn == nil && v.NormIn == nil && w.Transform == v.Transform && (p.cfg.Activations != Int8 || w.Matrix.GroupCols == v.Matrix.GroupCols)
}

func (p *Pass) projectAlike(in Buffer, outs []Projected) {
	if w := outs[0].W; w.NormIn != nil {
		normed := Buffer{Width: in.Width, Data: p.normed}
		p.rowwise(rowOp{do: normRow, kind: OpKindNorm, stage: w.normStage, dst: normed, src: in, w: w.NormIn})
		in = normed
	}
	if w := outs[0].W; w.Transform != nil {
		turned := Buffer{Width: in.Width, Data: p.turned}
		p.rowwise(rowOp{do: turnRow, kind: OpKindTransform, stage: w.turnStage, dst: turned, src: in, transform: w.Transform})
		for _, o := range outs[1:] {
			p.Stage(o.W.turnStage, turned)
		}
		in = turned
	}
	if p.tally != nil {
		if p.cfg.Activations != Float {
			p.rowwise(rowOp{kind: OpKindQuantize, stage: OpQuantize, src: in})
		}
		p.tally.project(outs)
		return
	}
	p.round(in, outs[0].W)
	p.beginProject(outs)
	if len(outs) != 1 || !p.multiplyColumns(outs[0]) {
		p.multiplyAll(in, outs)
	}
	p.end()
}

// round rounds the input of a projection as the model's Activations say.
func (p *Pass) round(in Buffer, w *Projection) {
	switch {
	case p.int8 != nil:
		p.int8.Reset(in.Width, w.Matrix.GroupCols)
		p.rowwise(rowOp{do: quantizeRow, kind: OpKindQuantize, stage: OpQuantize, src: in})
	case p.groups != nil:
		p.groups.Reset(in.Width)
		p.rowwise(rowOp{do: quantizeGroupsRow, kind: OpKindQuantize, stage: OpQuantize, src: in})
	}
	p.flush()
}

// multiplyAll multiplies the rounded input with all of the matrices.
func (p *Pass) multiplyAll(in Buffer, outs []Projected) {
	p.divide(in, outs)
	p.foresee(firstOfProject)
	p.team.RunNodes(&p.project, p.project.ends)
}

// divide cuts a section into slices: those of all matrices that the workers of the first
// node multiply, then those of the next.
func (p *Pass) divide(in Buffer, outs []Projected) {
	t := &p.project
	t.in, t.parts, t.ends = in, t.parts[:0], t.ends[:0]
	slices, total := 0, 0
	for _, o := range outs {
		total += o.W.Matrix.Panels()
	}
	for node := range p.team.Nodes() {
		for _, o := range outs {
			part := projectPart{w: o.W, out: o.Out, first: slices, step: p.panelsPerSlice(o.W.Matrix, total, p.rows)}
			part.from, part.to = p.team.Share(o.W.Matrix.Panels(), node)
			slices += (part.to - part.from + part.step - 1) / part.step
			t.parts = append(t.parts, part)
		}
		t.ends = append(t.ends, slices)
	}
}

// Aims for the slices of a projection: enough of them that workers finish
// together, none so short that taking it counts, none longer than 200 µs.
const (
	slicesPerWorker = 10
	minSliceNanos   = 4_000
	maxSliceNanos   = 150_000
)

// panelsPerSlice returns how many panels of a matrix one slice takes, where a
// section has so many panels in all. The slices of a section are nearly alike, so
// that its workers' shares are. The rates are rough and low; they decide only about
// granularity.
func (p *Pass) panelsPerSlice(w *ternary.Matrix, total, rows int) int {
	const bytesPerNano = 8
	macsPerNano := 100
	if kernel.Tiles(rows) {
		macsPerNano = 200
	}
	nanos := max(w.PanelBytes()/bytesPerNano, ternary.PanelRows*w.Cols*rows/macsPerNano, 1)
	n := total / (p.team.Size() * slicesPerWorker)
	n = max(1, min(max(n, minSliceNanos/nanos), maxSliceNanos/nanos))
	slices := (w.Panels() + n - 1) / n
	n = (w.Panels() + slices - 1) / slices
	if rows > 1 {
		n += n % 2 // panels are multiplied in pairs where there are tiles
	}
	return n
}

// maxParts is the number of matrices that one parallel section multiplies.
const maxParts = 4

// projectTask multiplies the input with the panels of up to maxParts matrices; its
// slices run through all panels of all matrices.
type projectTask struct {
	p     *Pass
	in    Buffer
	parts []projectPart
	ends  []int // of the slices of each node
}

// projectPart is a node's part of a matrix.
type projectPart struct {
	w        *Projection
	out      Buffer
	first    int // first slice of this part
	step     int // panels per slice
	from, to int // panels
}

func (t *projectTask) Do(worker, slice int) {
	part := &t.parts[t.part(slice)]
	from, to := part.panels(slice)
	t.p.multiply(worker, part.w, part.out, operand{t.p.int8, t.p.groups, t.in}, 0, t.p.rows, from, to)
}

// part returns the part that a slice is of.
func (t *projectTask) part(slice int) int {
	i := len(t.parts) - 1
	for slice < t.parts[i].first {
		i--
	}
	return i
}

// panels returns those of a slice.
func (p *projectPart) panels(slice int) (from, to int) {
	from = p.from + (slice-p.first)*p.step
	return from, min(from+p.step, p.to)
}

// operand is the input of projections: rounded with a scale per row or with scales for
// groups of columns, or as it is.
type operand struct {
	int8   *kernel.Int8
	groups *kernel.GroupedInt8
	float  Buffer
}

// multiply computes panels of a product for the input's rows from row0 to row1−1.
func (p *Pass) multiply(worker int, w *Projection, out Buffer, in operand, row0, row1, from, to int) {
	m, ws := w.Matrix, p.work[worker]
	switch {
	case in.groups != nil:
		ws.Variant = p.variant
		kernel.MatMulGrouped(out.Data, out.Width, m, in.groups, row0, row1, from, to, ws)
	case in.int8 == nil:
		kernel.MatMulF32(out.Data[row0*out.Width:], out.Width, m, in.float.Data[row0*in.float.Width:], in.float.Width, row1-row0, from, to, ws)
	default:
		switch {
		case p.variant != kernel.Auto:
			ws.Variant = p.variant
		case row1-row0 == 1:
			ws.Variant = w.Vec
		default:
			ws.Variant = w.Mat
		}
		kernel.MatMulI8(out.Data, out.Width, m, in.int8, row0, row1, from, to, ws)
	}
	if w.Bias != nil {
		lo, hi := from*ternary.PanelRows, min(to*ternary.PanelRows, m.Rows)
		for r := row0; r < row1; r++ {
			row := out.Row(r)[lo:hi]
			kernel.Add(row, row, w.Bias[lo:hi])
		}
	}
}
