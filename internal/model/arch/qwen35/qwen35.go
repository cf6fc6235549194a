// Package qwen35 implements the hybrid models of the Qwen3.5 family, in text.
//
// Most layers have a gated delta net in place of attention: a recurrence whose state
// does not grow with the sequence. Every few layers attend, with a gate on the heads'
// results and a rotation of a part of each head.
//
// Sources: Yang et al., "Gated Delta Networks" (arXiv:2412.06464); the graph is that of
// llama.cpp's qwen35.
package qwen35

import (
	"math"
	"strings"

	"trit/gguf"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/arch/decoder"
)

func init() {
	decoder.Register(decoder.Family{
		Names:      []string{"qwen35"},
		HFNames:    []string{"Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration"},
		WeightOnly: true,
		Keys:       []string{"full_attention_interval", "attention.recurrent_layers", "nextn_predict_layers"},
		Configure:  configure,
		LateNorm:   true,
		HeadNorms:  decoder.BeforeRope,
		ValueOrder: valueOrder,
		Tensors:    tensors,
		Extend:     extend,
	})
}

// maxConvWidth bounds the convolution; known models have 4.
const maxConvWidth = 16

func configure(m *gguf.Metadata, c *model.Config) error {
	c.RopeStyle, c.HiddenAct = model.RopeNeox, model.SiLU
	r := model.ReadKeys(m, c)
	c.ConvWidth = r.Dim("ssm.conv_kernel", -1)
	c.StateDim = r.Dim("ssm.state_size", -1)
	c.KeyHeads = r.Dim("ssm.group_count", -1)
	c.ValueHeads = r.Dim("ssm.time_step_rank", -1)
	inner := r.Dim("ssm.inner_size", c.ValueHeads*c.StateDim)
	next := 0 // layers behind the others that guess further tokens
	if m.Has(c.Architecture + ".nextn_predict_layers") {
		next = int(r.Uint("nextn_predict_layers"))
	}
	interval := r.Dim("full_attention_interval", 4)
	if err := r.Err(); err != nil {
		return err
	}
	blocks := c.Layers
	c.Layers, c.MTPLayers = c.Layers-next, next
	switch {
	case c.Layers < 1:
		return r.Fail("block_count %d leaves no layer beside the %d of nextn_predict_layers", blocks, next)
	case c.ConvWidth > maxConvWidth:
		return r.Fail("ssm.conv_kernel %d: want at most %d", c.ConvWidth, maxConvWidth)
	case c.StateDim%kernel.DeltaLanes != 0:
		return r.Fail("ssm.state_size %d: want a multiple of %d", c.StateDim, kernel.DeltaLanes)
	case c.ValueHeads%c.KeyHeads != 0:
		return r.Fail("ssm.time_step_rank %d is not a multiple of ssm.group_count %d", c.ValueHeads, c.KeyHeads)
	case inner != c.ValueHeads*c.StateDim:
		return r.Fail("ssm.inner_size %d is not ssm.time_step_rank %d times ssm.state_size %d", inner, c.ValueHeads, c.StateDim)
	}
	if !m.Has(c.Architecture + ".attention.recurrent_layers") {
		for i := range c.Layers {
			c.Recurrent = append(c.Recurrent, (i+1)%interval != 0)
		}
		return nil
	}
	list, err := m.Bools(c.Architecture + ".attention.recurrent_layers")
	if err != nil {
		return err
	}
	if len(list) != blocks {
		return r.Fail("attention.recurrent_layers has %d entries for %d blocks", len(list), blocks)
	}
	c.Recurrent = list[:c.Layers]
	return nil
}

// valueOrder is the order in which a rotated ssm_out takes the value heads: those of
// one key head together, while files have them key head by key head in turn.
func valueOrder(c *model.Config) []int32 {
	var order []int32
	rep := c.ValueHeads / c.KeyHeads
	for k := range c.KeyHeads {
		for r := range rep {
			for i := range c.StateDim {
				order = append(order, int32(c.StateDim*(k+c.KeyHeads*r)+i))
			}
		}
	}
	return order
}

func tensors(c *model.Config, table []model.TensorSpec) []model.TensorSpec {
	var (
		D         = int64(c.Hidden)
		nV        = int64(c.ValueHeads)
		V         = nV * int64(c.StateDim)
		channels  = int64(convChannels(c))
		recurrent = func(layer int) bool { return layer < c.Layers && c.Recurrent[layer] }
		full      = func(layer int) bool { return layer < c.Layers && !c.Recurrent[layer] }
	)
	offset := &model.HFForm{Value: func(x float32) float32 { return 1 + x }, Inverse: func(y float32) float32 { return y - 1 }, Centred: true}
	for i := range table {
		s := &table[i]
		kind := s.Kind()
		if s.Role == model.RoleVector && len(s.HF) > 0 {
			s.HFForm = offset // norms of checkpoints are around 0
		}
		if s.PerLayer() {
			s.In = func(layer int) bool { return layer < c.Layers }
		}
		if strings.HasPrefix(kind, "attn_") && kind != "attn_norm" {
			s.In = full
		}
		if kind == "attn_q" {
			s.Dims = []int64{D, 2 * s.Dims[1]} // queries and gates
		}
	}
	if c.MTP > 0 {
		table = append(table, mtpTensors(c, offset)...)
	}
	add := func(name, hf string, role model.Role, form *model.HFForm, dims ...int64) {
		table = append(table, model.TensorSpec{Name: "blk.%d." + name, HF: []string{"layers.%d.linear_attn." + hf},
			Role: role, Dims: dims, In: recurrent, HFForm: form})
	}
	heads, values := tiled(c, 1), tiled(c, c.StateDim)
	mixed := make([]int32, 2*c.KeyHeads*c.StateDim, channels) // queries and keys stay, values follow
	for i := range mixed {
		mixed[i] = int32(i)
	}
	for _, row := range values {
		mixed = append(mixed, int32(2*c.KeyHeads*c.StateDim)+row)
	}
	decay := func(x float32) float32 { return float32(-math.Exp(float64(x))) }
	logarithm := func(y float32) float32 { return float32(math.Log(-float64(y))) }
	add("attn_qkv.weight", "in_proj_qkv.weight", model.RoleProjection, &model.HFForm{Rows: mixed}, D, channels)
	add("attn_gate.weight", "in_proj_z.weight", model.RoleProjection, &model.HFForm{Rows: values}, D, V)
	add("ssm_conv1d.weight", "conv1d.weight", model.RoleDense, &model.HFForm{Rows: mixed}, int64(c.ConvWidth), channels)
	add("ssm_dt.bias", "dt_bias", model.RoleVector, &model.HFForm{Cols: heads}, nV)
	add("ssm_a", "A_log", model.RoleVector, &model.HFForm{Cols: heads, Value: decay, Inverse: logarithm}, nV)
	add("ssm_alpha.weight", "in_proj_a.weight", model.RoleDense, &model.HFForm{Rows: heads}, D, nV)
	add("ssm_beta.weight", "in_proj_b.weight", model.RoleDense, &model.HFForm{Rows: heads}, D, nV)
	add("ssm_norm.weight", "norm.weight", model.RoleVector, nil, int64(c.StateDim))
	add("ssm_out.weight", "out_proj.weight", model.RoleProjection, &model.HFForm{Cols: values}, V, D)
	return table
}

// tiled says where in a checkpoint each value head of d elements is: there the heads of
// one key head are together, while files have them key head by key head in turn.
func tiled(c *model.Config, d int) []int32 {
	order := make([]int32, 0, c.ValueHeads*d)
	rep := c.ValueHeads / c.KeyHeads
	for r := range rep {
		for k := range c.KeyHeads {
			for i := range d {
				order = append(order, int32((k*rep+r)*d+i))
			}
		}
	}
	return order
}

// convChannels is the width of queries, keys and values together.
func convChannels(c *model.Config) int { return (2*c.KeyHeads + c.ValueHeads) * c.StateDim }

// net holds the tensors of a delta net. With nK and nV key and value heads of d
// elements:
type net struct {
	QKV   *model.Projection `tensor:"attn_qkv.weight"`   // [(2·nK + nV)·d, D]
	Gate  *model.Projection `tensor:"attn_gate.weight"`  // [nV·d, D]
	Conv  []float32         `tensor:"ssm_conv1d.weight"` // [channel, width]
	DT    []float32         `tensor:"ssm_dt.bias"`       // [nV]
	A     []float32         `tensor:"ssm_a"`             // [nV], negative
	Alpha *model.Linear     `tensor:"ssm_alpha.weight"`  // [nV, D]
	Beta  *model.Linear     `tensor:"ssm_beta.weight"`   // [nV, D]
	Norm  []float32         `tensor:"ssm_norm.weight"`   // [d]
	Out   *model.Projection `tensor:"ssm_out.weight"`    // [D, nV·d]
}

type extension struct {
	c            *model.Config
	nets         []net // of attending layers empty
	at           []int // where the state of each layer begins, and its
	noted        []int // part of a record
	size, record int
	mtp          *predictor // nil if the model is loaded without
}

func extend(c *model.Config, b *model.Binder) (decoder.Extension, error) {
	e := &extension{c: c}
	channels := convChannels(c)
	for i := range c.Layers {
		var n net
		if err := b.Bind(&n, model.LayerTensor(i, "")); err != nil {
			return nil, err
		}
		if n.Conv != nil {
			// From one channel after the other to one token after the other.
			taps := make([]float32, len(n.Conv))
			for j, w := range n.Conv {
				taps[j%c.ConvWidth*channels+j/c.ConvWidth] = w
			}
			n.Conv = taps
		}
		e.nets = append(e.nets, n)
		e.at, e.noted = append(e.at, e.size), append(e.noted, e.record)
		if c.Recurrent[i] {
			e.size += (c.ConvWidth-1)*channels + c.ValueHeads*c.StateDim*c.StateDim
			e.record += channels + c.ValueHeads*headRecord(c)
		}
	}
	if c.MTP == 0 {
		return e, nil
	}
	// The last token's hidden state is part of the state, as the next one's guess needs it.
	e.mtp = &predictor{at: e.size, noted: e.record}
	e.size, e.record = e.size+c.Hidden, e.record+c.Hidden
	if err := b.Bind(e.mtp, model.LayerTensor(c.Layers, "")); err != nil {
		return nil, err
	}
	return e, e.mtp.check(c)
}

// StateSize implements decoder.Extension: for each delta net the inputs of the last
// tokens' convolution, those of one part of it after the other, then a matrix for each
// value head; then, of a model that guesses, the hidden state of the last token.
func (e *extension) StateSize() int { return e.size }

// RecordSize implements decoder.Extension: for each delta net the input of the
// convolution, then what each value head is given; then the hidden state.
func (e *extension) RecordSize() int { return e.record }

// headRecord is the size of the record of a value head: key, value, and how much is kept
// and written.
func headRecord(c *model.Config) int { return 2*c.StateDim + 2 }

// NewRun implements decoder.Extension.
func (e *extension) NewRun(r *decoder.Run, mem model.Memory, maxRows int) decoder.Blocks {
	c := e.c
	b := &blocks{
		extension: e,
		qg:        model.NewBuffer(mem, maxRows, 2*c.Heads*c.HeadDim),
		gate:      model.NewBuffer(mem, maxRows, c.Heads*c.HeadDim),
		u:         model.NewBuffer(mem, maxRows, convChannels(c)),
		z:         model.NewBuffer(mem, maxRows, c.ValueHeads*c.StateDim),
		o:         model.NewBuffer(mem, maxRows, c.ValueHeads*c.StateDim),
		beta:      model.NewBuffer(mem, maxRows, c.ValueHeads),
		g:         model.NewBuffer(mem, maxRows, c.ValueHeads),
	}
	b.split, b.gated = split{b, r.Q}, gated{b, r.O}
	if e.mtp != nil {
		b.next = newNext(b, r, mem, maxRows)
	}
	for i := range e.nets {
		n := &layer{blocks: b, net: &e.nets[i], at: e.at[i], noted: e.noted[i]}
		b.layers = append(b.layers, n)
	}
	return b
}

// blocks are the blocks with their buffers.
type blocks struct {
	*extension
	qg, gate model.Buffer // [rows, 2·H·d] and [rows, H·d] of attention

	u       model.Buffer // [rows, channels] queries, keys and values of a delta net
	z       model.Buffer // [rows, nV·d] its gate
	o       model.Buffer // [rows, nV·d] its result
	beta, g model.Buffer // [rows, nV] how much is written, and how much is kept (logarithm)

	split  split
	gated  gated
	layers []*layer
	next   *next // nil if the model does not guess
}

// FeedForward implements decoder.Blocks.
func (*blocks) FeedForward(*model.Pass, *decoder.Run, int) bool { return false }

// Attention implements decoder.Blocks.
func (b *blocks) Attention(p *model.Pass, r *decoder.Run, i int) bool {
	last := i == len(b.layers)-1 && b.next == nil
	if b.c.Recurrent[i] {
		b.deltaNet(p, r, b.layers[i], last)
	} else {
		b.attention(p, r, &r.Layers[i], last)
	}
	return true
}

// attention is the decoder's, with a gate.
func (b *blocks) attention(p *model.Pass, r *decoder.Run, l *decoder.Layer, last bool) {
	heads := int64(r.Q.Width)
	p.Project(r.H, model.Projected{W: l.Q, Out: b.qg}, model.Projected{W: l.K, Out: r.K}, model.Projected{W: l.V, Out: r.V})
	p.Each("q", r.Q, model.Cost{}, &b.split)
	p.Stage("attn_gate", b.gate)
	p.Stage("k", r.K)
	p.Stage("v", r.V)
	p.NormHeads("attn_q_norm", r.Q, l.QNorm)
	p.NormHeads("attn_k_norm", r.K, l.KNorm)
	p.Rope("q_rope", r.Q)
	p.Rope("k_rope", r.K)
	p.Attend("attention", r.O, r.Q, r.K, r.V)
	if last {
		p.Narrow(r.X, r.O, b.gate)
	}
	p.Each("attention_gated", r.O, model.Cost{FLOPs: 4 * heads}, &b.gated)
	p.Project(r.O, model.Projected{W: l.O, Out: r.H})
	p.Stage("attn_output", r.H)
}

// deltaNet computes the block of a recurrent layer.
func (b *blocks) deltaNet(p *model.Pass, r *decoder.Run, n *layer, last bool) {
	var (
		c        = b.c
		channels = int64(b.u.Width)
		values   = int64(b.o.Width)
		state    = values * int64(c.StateDim)
	)
	outs := [4]model.Projected{{W: n.QKV, Out: b.u}, {W: n.Gate, Out: b.z}}
	count := 2
	for _, m := range []struct {
		w   *model.Linear
		out model.Buffer
	}{{n.Beta, b.beta}, {n.Alpha, b.g}} {
		if m.w.Projection != nil {
			outs[count] = model.Projected{W: m.w.Projection, Out: m.out}
			count++
		}
	}
	p.Project(r.H, outs[:count]...)
	if n.Beta.Table != nil {
		p.Multiply("ssm_beta", r.H, b.beta, n.Beta.Table)
	}
	if n.Alpha.Table != nil {
		p.Multiply("ssm_alpha", r.H, b.g, n.Alpha.Table)
	}
	p.Stage("qkv", b.u)
	p.Stage("z", b.z)
	p.Each("beta", b.beta, model.Cost{FLOPs: 3 * int64(c.ValueHeads)}, (*betas)(n))
	p.Each("g", b.g, model.Cost{FLOPs: 4 * int64(c.ValueHeads), WeightBytes: 8 * int64(c.ValueHeads)}, (*gains)(n))
	p.Recur("conv", b.u, model.Cost{FLOPs: (2*int64(c.ConvWidth) + 5) * channels, WeightBytes: 4 * int64(c.ConvWidth) * channels}, (*convolution)(n))
	p.Each("qk_l2", b.u, model.Cost{FLOPs: 3 * int64(2*c.KeyHeads*c.StateDim)}, (*unitLength)(n))
	p.Recur("delta", b.o, model.Cost{FLOPs: 8 * state}, (*deltaRule)(n))
	if last {
		p.Narrow(r.X, b.o, b.z)
	}
	p.Each("delta_gated", b.o, model.Cost{FLOPs: 10 * values, WeightBytes: 4 * int64(c.StateDim)}, (*normGate)(n))
	p.Project(b.o, model.Projected{W: n.Out, Out: r.H})
	p.Stage("ssm_out", r.H)
}

// split takes queries and gates apart: each head has d of one, then d of the other.
type split struct {
	*blocks
	q model.Buffer
}

// Row implements model.RowFunc.
func (s *split) Row(row int) {
	qg, q, gate, d := s.qg.Row(row), s.q.Row(row), s.gate.Row(row), s.c.HeadDim
	for ; len(q) > 0; qg, q, gate = qg[2*d:], q[d:], gate[d:] {
		copy(q[:d], qg)
		copy(gate[:d], qg[d:])
	}
}

// gated multiplies the heads' results with the sigmoid of their gates, in place.
type gated struct {
	*blocks
	o model.Buffer
}

// Row implements model.RowFunc.
func (g *gated) Row(row int) {
	o := g.o.Row(row)
	product := g.qg.Row(row)[:len(o)] // what was there has been taken apart
	kernel.SigmoidMul(product, g.gate.Row(row), o)
	copy(o, product)
}

// layer is a delta net in a run.
type layer struct {
	*blocks
	*net
	at, noted int // where its state and its record begin
}

// betas is beta = sigmoid(beta).
type betas layer

// Row implements model.RowFunc.
func (l *betas) Row(row int) {
	beta := l.beta.Row(row)
	for i, x := range beta {
		beta[i] = kernel.Sigmoid(x)
	}
}

// gains is g = A · softplus(alpha + dt).
type gains layer

// Row implements model.RowFunc.
func (l *gains) Row(row int) {
	g := l.g.Row(row)
	for i, x := range g {
		g[i] = l.A[i] * kernel.Softplus(x+l.DT[i])
	}
}

// unitLength gives every head of queries and keys the length 1, and scales queries.
type unitLength layer

// Row implements model.RowFunc.
func (l *unitLength) Row(row int) {
	d, keys := l.c.StateDim, l.c.KeyHeads
	u := l.u.Row(row)
	for h := range 2 * keys {
		scale := float32(1)
		if h < keys {
			scale = l.queryScale()
		}
		kernel.UnitLength(u[h*d:(h+1)*d], l.c.NormEps, scale)
	}
}

// queryScale is 1/√d.
func (b *blocks) queryScale() float32 { return float32(1 / math.Sqrt(float64(b.c.StateDim))) }

// normGate norms every head and multiplies it with the SiLU of its gate, in place.
type normGate layer

// Row implements model.RowFunc.
func (l *normGate) Row(row int) {
	o, d := l.o.Row(row), l.c.StateDim
	for h := 0; h < len(o); h += d {
		kernel.RMSNorm(o[h:h+d], o[h:h+d], l.Norm, l.c.NormEps)
	}
	kernel.SiLUMul(o, l.z.Row(row), o)
}
