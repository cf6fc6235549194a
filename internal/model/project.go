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
	t := &p.project
	t.in, t.n = in, 0
	switch {
	case p.int8 != nil:
		p.int8.Reset(in.Width, outs[0].W.Matrix.GroupCols)
		p.rowwise(rowOp{do: quantizeRow, kind: OpKindQuantize, stage: OpQuantize, src: in})
	case p.groups != nil:
		p.groups.Reset(in.Width)
		p.rowwise(rowOp{do: quantizeGroupsRow, kind: OpKindQuantize, stage: OpQuantize, src: in})
	}
	p.flush()
	p.beginProject(outs)
	slices, total := 0, 0
	for _, o := range outs {
		total += o.W.Matrix.Panels()
	}
	for _, o := range outs {
		part := &t.parts[t.n]
		part.w, part.out, part.first = o.W, o.Out, slices
		part.panels = o.W.Matrix.Panels()
		part.step = p.panelsPerSlice(o.W.Matrix, total)
		slices += (part.panels + part.step - 1) / part.step
		t.n++
	}
	p.team.Run(t, slices)
	p.end()
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
func (p *Pass) panelsPerSlice(w *ternary.Matrix, total int) int {
	const bytesPerNano, macsPerNano = 8, 100
	nanos := max(w.PanelBytes()/bytesPerNano, ternary.PanelRows*w.Cols*p.rows/macsPerNano, 1)
	n := total / (p.team.Size() * slicesPerWorker)
	n = max(1, min(max(n, minSliceNanos/nanos), maxSliceNanos/nanos))
	slices := (w.Panels() + n - 1) / n
	return (w.Panels() + slices - 1) / slices
}

// maxParts is the number of matrices that one parallel section multiplies.
const maxParts = 4

// projectTask multiplies the input with the panels of up to maxParts matrices; its
// slices run through all panels of all matrices.
type projectTask struct {
	p     *Pass
	in    Buffer
	n     int
	parts [maxParts]projectPart
}

type projectPart struct {
	w      *Projection
	out    Buffer
	first  int // first slice of this matrix
	step   int // panels per slice
	panels int
}

func (t *projectTask) Do(worker, slice int) {
	i := t.n - 1
	for slice < t.parts[i].first {
		i--
	}
	part := &t.parts[i]
	p, m := t.p, part.w.Matrix
	from := (slice - part.first) * part.step
	to := min(from+part.step, part.panels)
	ws := p.work[worker]
	switch {
	case p.groups != nil:
		ws.Variant = p.variant
		kernel.MatMulGrouped(part.out.Data, part.out.Width, m, p.groups, 0, p.rows, from, to, ws)
	case p.int8 == nil:
		kernel.MatMulF32(part.out.Data, part.out.Width, m, t.in.Data, t.in.Width, p.rows, from, to, ws)
	default:
		switch {
		case p.variant != kernel.Auto:
			ws.Variant = p.variant
		case p.rows == 1:
			ws.Variant = part.w.Vec
		default:
			ws.Variant = part.w.Mat
		}
		kernel.MatMulI8(part.out.Data, part.out.Width, m, p.int8, 0, p.rows, from, to, ws)
	}
	if part.w.Bias != nil {
		lo, hi := from*ternary.PanelRows, min(to*ternary.PanelRows, m.Rows)
		for r := range p.rows {
			row := part.out.Row(r)[lo:hi]
			kernel.Add(row, row, part.w.Bias[lo:hi])
		}
	}
}
