package model

import (
	"math/bits"
	"slices"
	"strings"
	"unsafe"

	"trit/internal/kernel"
	"trit/internal/ternary"
)

// OpKind says what an operation computes.
type OpKind string

// The kinds of operations.
const (
	OpKindEmbed     OpKind = "embed"     // looks a token's vector up
	OpKindNorm      OpKind = "norm"      // RMS norm of a row, or of every head of it
	OpKindScale     OpKind = "scale"     // multiplies a row with a factor
	OpKindClamp     OpKind = "clamp"     // brings a row's numbers into a range
	OpKindQuantize  OpKind = "quantize"  // rounds the input of projections to int8
	OpKindProject   OpKind = "project"   // multiplies with ternary matrices
	OpKindRope      OpKind = "rope"      // rotates heads by the position
	OpKindAttend    OpKind = "attend"    // stores keys and values, and attends
	OpKindAct       OpKind = "act"       // activation function, with or without a gate
	OpKindTransform OpKind = "transform" // rotates the input of projections
	OpKindAdd       OpKind = "add"       // adds to the residual stream
	OpKindMultiply  OpKind = "multiply"  // multiplies with a matrix of numbers
	OpKindRecur     OpKind = "recur"     // goes from row to row with a sequence's state
	OpKindEach      OpKind = "each"      // an operation on rows that only one family has
	OpKindHead      OpKind = "head"      // multiplies with the output head
)

// Op is an operation of a pass, with what it has to do.
type Op struct {
	Layer int // or LayerIn, LayerOut
	// Name is what a Tracer is told: the name of the stage, or of the tensors
	// that are multiplied.
	Name string
	Kind OpKind
	// Tensors are the names of the weights, without the layer: "attn_norm.weight".
	Tensors []string
	Cost    Cost
}

// Cost is the work of one occurrence of an operation. Multiply, add, compare, round,
// exp, square root and divide count as one float operation each. With N outputs, K
// inputs, n values and the names of Config:
//
//	project     N·K MACs, 2·N FLOPs (descaling; with scales for groups of columns
//	            for each group), N more for a bias; with float activations
//	            2·N·K + N FLOPs instead
//	quantize    4·K FLOPs (abs, max, multiply, round) and 1 for each scale
//	norm        4·n + 4 FLOPs, for each head if there is one for each
//	scale       n FLOPs
//	clamp       2·n FLOPs
//	rope        3·r FLOPs for each head, r of d elements rotated
//	attend      H·d FLOPs, and (4·d + 5)·H for each position
//	            2·G·d elements written, and as many read for each position
//	            (and a scale per vector if the type has them)
//	act         5·n (SiLU), 3·n (ReLU²) or 9·n (GELU) FLOPs, the product with a gate among them
//	transform   n·log2(block) + n FLOPs, and n for signs
//	add         n FLOPs
//	head        2·V·D FLOPs
//	multiply    2·N·K FLOPs
//	recur, each as the family says
type Cost struct {
	// MACs are multiply-accumulates of ternary weights with int8 activations of
	// each row, FLOPs float operations of each row.
	MACs, FLOPs int64
	// WeightBytes are read once for all rows, RowBytes once for each (of an
	// embedding, of experts), but not more than MostBytes for all together, if that is
	// not 0.
	WeightBytes, RowBytes, MostBytes int64
	// PositionFLOPs are done for each position that a row attends to.
	// PositionBytes of it are read from the KV cache, once for all rows of a
	// sequence, and StoreBytes of each row written there. Window, if not 0, is how many
	// positions that are at most.
	PositionFLOPs, PositionBytes, StoreBytes, Window int64
}

// StageOp is a stage that an observer sees, with what computes it.
type StageOp struct {
	Layer int
	Name  string
	Width int
	Kind  OpKind
	// Tensor is the name of the weights that the operation or, if it has none,
	// the one before it on the same values multiplies with; "" for none.
	Tensor string
	// From is the stage of an operand in another buffer: what a sum adds, what a
	// norm reads. It is "" if there is none.
	From string
}

// Tally is the description of a graph: what a pass does, in its order.
type Tally struct {
	Ops    []Op
	Stages []StageOp

	pass *Pass
	kv   kernel.KVType
	last map[*float32]written // what is in a buffer
}

// written is what an operation has left in a buffer.
type written struct {
	kind   OpKind
	tensor string
	stage  string
}

// Tally runs the model's graph without data and lists what it does, and after it the
// product with the whole output head. The weights' data is not read, so that an
// [Outline] will do. kv is the element type of the KV cache.
func (m *Model) Tally(kv kernel.KVType) *Tally {
	t := &Tally{kv: kv, last: map[*float32]written{}}
	t.pass = &Pass{cfg: m.Config, tally: t, rows: 1, keep: []int{0}, layer: LayerIn, normed: noMemory{}.Float32s(1), turned: noMemory{}.Float32s(1)}
	t.pass.mixer = newMixer(t.pass, noMemory{}, 1)
	m.Graph.NewRun(noMemory{}, 1).Forward(t.pass)
	t.pass.layer = LayerOut
	head := m.Graph.Head()
	t.add(OpHead, OpKindHead, Cost{FLOPs: 2 * int64(head.Rows) * int64(head.Cols), WeightBytes: head.Bytes()}, head.Name)
	return t
}

// noMemory gives every buffer a place of its own, and nothing to write to.
type noMemory struct{}

// Float32s implements Memory.
func (noMemory) Float32s(int) []float32 { return make([]float32, 1) }

// add enters an operation.
func (t *Tally) add(name string, kind OpKind, c Cost, tensors ...string) {
	t.Ops = append(t.Ops, Op{Layer: t.pass.layer, Name: name, Kind: kind, Cost: c, Tensors: tensors})
}

// result enters what an operation leaves in a buffer.
func (t *Tally) result(b Buffer, w written) { t.last[unsafe.SliceData(b.Data)] = w }

// stage enters a result that observers see. from is an operand beside the values that
// were in the buffer before.
func (t *Tally) stage(name string, b, from Buffer) {
	w := t.last[unsafe.SliceData(b.Data)]
	t.Stages = append(t.Stages, StageOp{
		Layer: t.pass.layer, Name: name, Width: b.Width, Kind: w.kind, Tensor: w.tensor, From: t.last[unsafe.SliceData(from.Data)].stage,
	})
	w.stage = name
	t.result(b, w)
}

// embed enters the look-up of a token.
func (t *Tally) embed(stage string, dst Buffer, table *Table) {
	t.add(stage, OpKindEmbed, Cost{RowBytes: table.Bytes() / int64(table.Rows)}, table.Name)
	t.result(dst, written{kind: OpKindEmbed, tensor: table.Name})
	t.stage(stage, dst, Buffer{})
}

// rowwise enters an operation on single rows.
func (t *Tally) rowwise(o *rowOp) {
	n, w := int64(o.dst.Width), int64(len(o.w))
	var c Cost
	var tensors []string
	after := written{kind: o.kind, tensor: t.last[unsafe.SliceData(o.dst.Data)].tensor}
	switch o.kind {
	case OpKindNorm:
		c = Cost{FLOPs: n / w * (4*w + 4), WeightBytes: 4 * w}
		after.tensor = o.stage + ".weight"
		tensors = []string{after.tensor}
	case OpKindScale, OpKindAdd:
		c.FLOPs = n
	case OpKindClamp:
		c.FLOPs = 2 * n
	case OpKindQuantize:
		c.FLOPs = 4*int64(o.src.Width) + t.groups(int64(o.src.Width))
	case OpKindTransform:
		c.FLOPs = n * int64(bits.Len(uint(o.transform.Block)))
		if o.transform.Signs != nil {
			c.FLOPs += n
		}
	case OpKindRope:
		c.FLOPs = 3 * int64(t.pass.cfg.RopeDim) * (n / int64(t.pass.cfg.HeadDim))
	case OpKindAct:
		c.FLOPs = n * t.pass.cfg.HiddenAct.flops()
	}
	t.add(o.stage, o.kind, c, tensors...)
	if o.dst.Data != nil {
		t.result(o.dst, after)
		t.stage(o.stage, o.dst, o.src)
	}
}

// project enters the multiplication of an input with several matrices.
func (t *Tally) project(outs []Projected) {
	var c Cost
	var tensors []string
	for _, o := range outs {
		one := t.product(o.W)
		c.MACs, c.FLOPs, c.WeightBytes = c.MACs+one.MACs, c.FLOPs+one.FLOPs, c.WeightBytes+one.WeightBytes
		tensors = append(tensors, o.W.Name+".weight")
		t.result(o.Out, written{kind: OpKindProject, tensor: o.W.Name + ".weight"})
	}
	t.add(t.pass.projectName(outs), OpKindProject, c, tensors...)
}

// product returns the work of one multiplication.
func (t *Tally) product(w *Projection) (c Cost) {
	m := w.Matrix
	rows, cols := int64(m.Rows), int64(m.Cols)
	c.WeightBytes = m.Bytes() + 4*int64(len(w.Bias))
	groups := int64(m.Groups())
	switch t.pass.cfg.Activations {
	case Float:
		c.FLOPs = 2*rows*cols + rows*groups
	case Int8Groups:
		groups = t.groups(cols)
		fallthrough
	default:
		c.MACs = rows * cols
		c.FLOPs = 2 * rows * groups
	}
	c.FLOPs += int64(len(w.Bias))
	return c
}

// multiply enters a product with a matrix of numbers.
func (t *Tally) multiply(stage string, out Buffer, w *Table) {
	t.add(stage, OpKindMultiply, Cost{FLOPs: 2 * int64(w.Rows) * int64(w.Cols), WeightBytes: w.Bytes()}, kindOf(w.Name))
	t.result(out, written{kind: OpKindMultiply, tensor: kindOf(w.Name)})
	t.stage(stage, out, Buffer{})
}

// mix enters what follows the router of a mixture of experts.
func (t *Tally) mix(m *mixer, out, in Buffer, x *Mixture) {
	e := &t.pass.cfg.Experts
	count, used := int64(e.Count), int64(e.Used)
	t.result(m.chosen, written{kind: OpKindEach})
	t.add(opExpertWeights, OpKindEach, Cost{FLOPs: 4*count + used*(count+3)})
	t.result(m.weights, written{kind: OpKindEach})
	t.stage(opExperts, m.chosen, Buffer{})
	t.stage(opExpertWeights, m.weights, Buffer{})
	products := func(op string, inputs, rows, cols int64, outs []Buffer, stacks ...[]*Projection) {
		if t.pass.cfg.Activations != Float {
			t.add(OpQuantize, OpKindQuantize, Cost{FLOPs: inputs * (4*cols + t.groups(cols))})
		}
		var c Cost
		var tensors []string
		for i, stack := range stacks {
			one := t.product(stack[0])
			c.MACs, c.FLOPs = c.MACs+used*one.MACs, c.FLOPs+used*one.FLOPs
			c.RowBytes, c.MostBytes = c.RowBytes+used*one.WeightBytes, c.MostBytes+count*one.WeightBytes
			name := stack[0].Name + ".weight"
			tensors = append(tensors, name)
			t.result(outs[i], written{kind: OpKindProject, tensor: name})
		}
		t.add(op, OpKindProject, c, tensors...)
		for i, stack := range stacks {
			name := "expert_" + strings.TrimSuffix(strings.TrimPrefix(stack[0].Name, "ffn_"), "_exps")
			t.stage(name, Buffer{Width: e.Used * outs[i].Width, Data: outs[i].Data}, Buffer{})
		}
	}
	D, F := int64(in.Width), int64(e.FFN)
	products(opExpertsIn, 1, F, D, []Buffer{m.gate, m.up}, x.Gate, x.Up)
	act := t.pass.cfg.HiddenAct.flops() * F
	if t.pass.cfg.Experts.ClampOf(t.pass.layer) != 0 {
		act += 3 * F
	}
	t.add(opExpertGated, OpKindAct, Cost{FLOPs: used * act})
	t.result(m.gate, written{kind: OpKindAct, tensor: t.last[unsafe.SliceData(m.gate.Data)].tensor})
	t.stage(opExpertGated, Buffer{Width: e.Used * m.gate.Width, Data: m.gate.Data}, m.up)
	products(opExpertsOut, used, D, F, []Buffer{m.down}, x.Down)
	t.own(opMixed, OpKindEach, out, Cost{FLOPs: 2 * used * D})
}

// FusedOp is an operation that a pass runs in place of several, depending on its rows. Its
// work is that of these.
type FusedOp struct {
	Op
	First string // of what it stands for
}

// Fused returns the fused operations: the networks of the experts of a layer.
func (t *Tally) Fused() (ops []FusedOp) {
	var whole *FusedOp
	for _, op := range t.Ops {
		switch {
		case op.Name == opExpertsIn:
			ops = append(ops, FusedOp{op, op.Name})
			whole = &ops[len(ops)-1]
			whole.Name, whole.Tensors = opExpertsWhole, slices.Clone(op.Tensors)
		case whole != nil:
			c := &whole.Cost
			c.MACs, c.FLOPs = c.MACs+op.Cost.MACs, c.FLOPs+op.Cost.FLOPs
			c.RowBytes, c.MostBytes = c.RowBytes+op.Cost.RowBytes, c.MostBytes+op.Cost.MostBytes
			whole.Tensors = append(whole.Tensors, op.Tensors...)
			if op.Name == opExpertsOut {
				whole = nil
			}
		}
	}
	return ops
}

// kindOf is a tensor's name without its layer.
func kindOf(name string) string { return strings.TrimPrefix(GenericName(name), "blk.%d.") }

// own enters an operation that only one family has.
func (t *Tally) own(stage string, kind OpKind, dst Buffer, c Cost) {
	t.add(stage, kind, c)
	t.result(dst, written{kind: kind})
	t.stage(stage, dst, Buffer{})
}

// groups returns the scales of so many rounded values.
func (t *Tally) groups(n int64) int64 {
	if t.pass.cfg.Activations == Int8Groups {
		return (n + ternary.GroupWidth - 1) / ternary.GroupWidth
	}
	return 1
}

// attend enters attention.
func (t *Tally) attend(stage string, out Buffer) {
	heads, d := int64(t.pass.cfg.Heads), int64(t.pass.cfg.HeadDim)
	both := t.stored()
	t.add(stage, OpKindAttend, Cost{
		FLOPs: heads * d, PositionFLOPs: (4*d + 5) * heads, PositionBytes: both, StoreBytes: both,
		Window: int64(t.pass.cfg.WindowOf(t.pass.layer)),
	})
	t.result(out, written{kind: OpKindAttend})
	t.stage(stage, out, Buffer{})
}

// stored returns the bytes of a row's keys and values.
func (t *Tally) stored() int64 {
	vector := int64(t.kv.PageBytes(t.pass.cfg.HeadDim) / kernel.PageTokens) // bytes of one key or value
	if t.kv.Scaled() {
		vector += 4
	}
	return 2 * int64(t.pass.cfg.KVHeads) * vector
}

// store enters keys and values that are stored for later rows.
func (t *Tally) store(stage string) { t.add(stage, OpKindAttend, Cost{StoreBytes: t.stored()}) }

// flops returns the operations for one element, the product with a gate among them.
func (a HiddenAct) flops() int64 {
	switch a {
	case ReLU2:
		return 3 // compare, square, times up
	case GELUTanh:
		return 9 // cube, times, add, times, exp, add, divide, times up
	}
	return 5 // negate, exp, add, divide, times up
}

// KVLayers returns the layers that attend, and so need room in the KV cache.
func (t *Tally) KVLayers() []int {
	var layers []int
	for _, op := range t.Ops {
		if op.Kind == OpKindAttend && !slices.Contains(layers, op.Layer) {
			layers = append(layers, op.Layer)
		}
	}
	return layers
}

// Group returns the name that people know an operation by; several operations may
// have one.
func (o *Op) Group() string {
	switch o.Kind {
	case OpKindEmbed:
		return "embedding"
	case OpKindNorm:
		return "norms"
	case OpKindScale, OpKindClamp:
		return "scales"
	case OpKindQuantize:
		return "quantize"
	case OpKindRope:
		return "rope"
	case OpKindAttend:
		return "attention"
	case OpKindAct:
		return "activation"
	case OpKindAdd:
		return "residual"
	case OpKindHead:
		return "head"
	case OpKindRecur:
		return "recurrence"
	case OpKindTransform:
		return "rotation"
	case OpKindEach:
		return o.Name
	}
	// The matrices: "q, k, v", "o", "gate, up", "down".
	var names []string
	for _, tensor := range o.Tensors {
		name := strings.TrimSuffix(tensor, ".weight")
		if _, rest, ok := strings.Cut(name, "_"); ok {
			name = rest
		}
		if name == "output" {
			name = "o"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// Scratch returns the memory that passes of up to maxRows rows compute in, in bytes.
func (m *Model) Scratch(maxRows int) int64 {
	var mem memoryCount
	m.Graph.NewRun(&mem, maxRows)
	widest, normed, turned := m.inputs()
	newMixer(&Pass{cfg: m.Config}, &mem, maxRows)
	mem.Float32s(maxRows * (len(m.Config.UsedRotations())*m.Config.RopeDim + normed + turned)) // as NewPass
	switch m.Config.Activations {
	case Int8:
		return int64(mem) + kernel.Int8Bytes(maxRows, widest) + mixerInt8Bytes(m.Config, maxRows)
	case Int8Groups:
		return int64(mem) + kernel.GroupedInt8Bytes(maxRows, widest) + mixerInt8Bytes(m.Config, maxRows)
	}
	return int64(mem)
}

// memoryCount counts bytes instead of giving memory.
type memoryCount int64

// Float32s implements Memory.
func (c *memoryCount) Float32s(n int) []float32 {
	*c += 4 * memoryCount(n)
	return nil
}
