package model

import "strings"

// Tracer follows where the time of a pass goes.
type Tracer interface {
	// Begin is called right before an operation on so many rows of a layer (or
	// of LayerIn, LayerOut), End right after it. Operations follow each other;
	// none is inside another.
	//
	// An operation has the name of its stage ("attn_norm", "gated"), a
	// multiplication that of its tensors ("attn_q+attn_k+attn_v"), and there
	// are OpRopeTable, OpQuantize and OpNarrow.
	//
	// Skipped is called between the two by an operation that has left so many bytes
	// of its weights unread.
	Begin(layer int, op string, rows int)
	Skipped(bytes int64)
	End()
}

// The names of operations that are no stages and have no tensor.
const (
	OpRopeTable = "rope_table" // the angles of the rows' positions
	OpQuantize  = "quantize"   // rounding the input of projections to int8
	OpNarrow    = "narrow"     // dropping rows that nobody asked for
	OpHead      = "head"       // multiplying with the whole output head
)

// SetTracer has t told of all operations from now on; nil ends that.
func (p *Pass) SetTracer(t Tracer) { p.tracer = t }

// begin and end surround an operation.
func (p *Pass) begin(op string) {
	if p.tracer != nil {
		p.tracer.Begin(p.layer, op, p.rows)
	}
}

func (p *Pass) end() {
	if p.tracer != nil {
		p.tracer.End()
	}
}

// beginProject is begin for the multiplication with several matrices.
func (p *Pass) beginProject(outs []Projected) {
	if p.tracer != nil {
		p.tracer.Begin(p.layer, p.projectName(outs), p.rows)
	}
}

// projectName joins the names of projections. It allocates when it sees a
// combination for the first time.
func (p *Pass) projectName(outs []Projected) string {
	if len(outs) == 1 {
		return outs[0].W.Name
	}
	var key projectKey
	for i, o := range outs {
		key[i] = o.W.Name
	}
	name, ok := p.names[key]
	if !ok {
		name = strings.Join(key[:len(outs)], "+")
		if p.names == nil {
			p.names = map[projectKey]string{}
		}
		p.names[key] = name
	}
	return name
}

// projectKey holds the names of projections that are multiplied together.
type projectKey [maxParts]string
