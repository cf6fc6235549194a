package model

import (
	"fmt"
	"slices"

	"trit/internal/kernel"
	"trit/internal/parallel"
)

// Mixture is a feed-forward network that is made of many small ones, the experts, of
// which each row uses a few:
//
//	Σ w_e · Down_e·(act(Gate_e·x)·(Up_e·x))
//
// over the experts that have the largest probabilities, softmax(Router·x), w_e being
// these. Sums go through the experts by falling probability, so that a row's result
// does not depend on others.
type Mixture struct {
	Router         *Table        // [E, D]
	Gate, Up, Down []*Projection // of each expert: [F, D], [F, D] and [D, F]
}

// Experts says what the experts of a model are like; with none of them its feed-forward
// networks are single ones.
type Experts struct {
	Count int // in each layer, E
	Used  int // by each row, K
	FFN   int // width of one, F
	// Renormed: the weights of the used experts are divided by their sum. Scale, if not
	// 0, is a factor on them.
	Renormed bool
	Scale    float32
	// Clamp bounds, by layer, gates from above, and the values beside them from both
	// sides; nil, or 0 for a layer, means no bounds.
	Clamp []float32
}

// ClampOf returns the bound of a layer, 0 for none.
func (e *Experts) ClampOf(layer int) float32 {
	if layer < 0 || layer >= len(e.Clamp) {
		return 0
	}
	return e.Clamp[layer]
}

// Experts reads what the experts of a model are like, if it has any.
func (k *Keys) Experts(c *Config) {
	r, e := &k.r, &c.Experts
	if !has(r.m, r.prefix+"expert_count") {
		return
	}
	count, err := r.m.Uint64(r.prefix + "expert_count")
	if err != nil {
		r.fail("%w", err)
	}
	if count == 0 {
		return
	}
	e.Count, e.Used = r.dim("expert_count", -1), r.dim("expert_used_count", -1)
	e.FFN, e.Scale = r.dim(expertFFN, c.FFN), float32(r.float("expert_weights_scale", 0))
	c.FFN = e.FFN
	if key := r.prefix + clampKey; has(r.m, key) {
		if e.Clamp, err = r.m.Float32s(key); err != nil {
			r.fail("%w", err)
		} else if len(e.Clamp) != c.Layers {
			r.fail("%s has %d numbers for %d layers", key, len(e.Clamp), c.Layers)
		}
	}
	switch {
	case r.err != nil:
	case e.Count > maxExperts || e.Used > min(e.Count, maxUsed):
		r.fail("%sexpert_used_count is %d of %sexpert_count %d; want at most %d of at most %d",
			r.prefix, e.Used, r.prefix, e.Count, maxUsed, maxExperts)
	case !(e.Scale >= 0 && e.Scale < 1e6):
		r.fail("%sexpert_weights_scale is %v, want a number from 0 on", r.prefix, e.Scale)
	case slices.ContainsFunc(e.Clamp, func(x float32) bool { return !(x >= 0) }):
		r.fail("%s%s is %v, want numbers from 0 on", r.prefix, clampKey, e.Clamp)
	}
}

// The keys of the bounds of gated values, and of the width of an expert.
const (
	clampKey  = "swiglu_clamp_exp"
	expertFFN = "expert_feed_forward_length"
)

// Limits on experts, far beyond every known model.
const (
	maxExperts = 1 << 14
	maxUsed    = 1 << 8
)

// Check reports what a mixture has that it cannot be computed with: all experts share
// their rounded input.
func (m *Mixture) Check() error {
	if m.Router == nil {
		return fmt.Errorf("%w ffn_gate_inp: a router with ternary weights is not supported", ErrTensor)
	}
	for _, stack := range [][]*Projection{m.Gate, m.Up, m.Down} {
		for _, p := range stack {
			if p.Transform != nil || p.NormIn != nil || p.Bias != nil || p.Matrix.GroupCols != m.Gate[0].Matrix.GroupCols {
				return fmt.Errorf("%w %s: experts with rotated or normed inputs, biases or groups of columns of different widths "+
					"are not supported; use the program that the file was made for", ErrTensor, p.Name)
			}
		}
	}
	return nil
}

// mixer is the memory of a pass for mixtures. A place is a row for an expert that it
// uses; places are sorted by expert, and of one expert by row.
type mixer struct {
	p        *Pass
	x        *Mixture
	k        int
	scores   Buffer // [rows, E]
	chosen   Buffer // [rows, K] numbers of experts, by falling weight
	weights  Buffer // [rows, K]
	in       Buffer // [places, D] the input, if it is not rounded
	gate, up Buffer // [places, F]
	down     Buffer // [places, D]
	shown    Buffer // [rows, K·width] what observers see: places in the order of chosen

	int8   *kernel.Int8        // [places, in] the rounded input, or
	groups *kernel.GroupedInt8 // with scales for groups of columns

	first  []int // [E+1] by expert: its first place
	place  []int // [rows, K] by rows and their choices
	row    []int // by place
	active []int // experts that are used

	// The running multiplication.
	spread  spreadTask
	product expertsTask
	route   routeTask
	act     placesTask
	sum     sumTask
}

// newMixer returns the memory for mixtures, or nil if the model has none.
func newMixer(p *Pass, mem Memory, maxRows int) *mixer {
	c := p.cfg
	e := &c.Experts
	if e.Count == 0 {
		return nil
	}
	places := maxRows * e.Used
	m := &mixer{
		p: p, k: e.Used,
		scores:  NewBuffer(mem, maxRows, e.Count),
		chosen:  NewBuffer(mem, maxRows, e.Used),
		weights: NewBuffer(mem, maxRows, e.Used),
		gate:    NewBuffer(mem, places, e.FFN),
		up:      NewBuffer(mem, places, e.FFN),
		down:    NewBuffer(mem, places, c.Hidden),
	}
	if c.Activations == Float {
		m.in = NewBuffer(mem, places, c.Hidden)
	}
	m.spread.m, m.product.m, m.route.m, m.act.m, m.sum.m = m, m, m, m, m
	return m
}

// prepare gets what is not of the pass's Memory.
func (m *mixer) prepare(maxRows int) {
	e := &m.p.cfg.Experts
	places := maxRows * e.Used
	switch widest := max(m.p.cfg.Hidden, e.FFN); m.p.cfg.Activations {
	case Int8:
		m.int8 = kernel.NewInt8(places, widest)
	case Int8Groups:
		m.groups = kernel.NewGroupedInt8(places, widest)
	}
	m.first, m.active = make([]int, e.Count+1), make([]int, 0, e.Count)
	m.place, m.row = make([]int, places), make([]int, places)
}

// mixerInt8Bytes returns the memory for the rounded inputs of experts.
func mixerInt8Bytes(c *Config, maxRows int) int64 {
	e := &c.Experts
	if e.Count == 0 {
		return 0
	}
	switch widest := max(c.Hidden, e.FFN); c.Activations {
	case Int8:
		return kernel.Int8Bytes(maxRows*e.Used, widest)
	case Int8Groups:
		return kernel.GroupedInt8Bytes(maxRows*e.Used, widest)
	}
	return 0
}

// Mix computes out = x(in) for each row.
func (p *Pass) Mix(out, in Buffer, x *Mixture) {
	m := p.mixer
	p.Multiply("router_logits", in, m.scores, x.Router)
	if p.tally != nil {
		p.tally.mix(m, out, in, x)
		return
	}
	m.x = x
	p.begin(opExpertWeights)
	p.team.Run(&m.route, p.rows)
	p.end()
	p.observe(opExperts, m.chosen)
	p.observe(opExpertWeights, m.weights)
	m.sort()

	first := x.Gate[0].Matrix
	switch {
	case m.int8 != nil:
		p.int8.Reset(in.Width, first.GroupCols)
		m.int8.Reset(in.Width, first.GroupCols)
		p.rowwise(rowOp{do: quantizeRow, kind: OpKindQuantize, stage: OpQuantize, src: in})
	case m.groups != nil:
		p.groups.Reset(in.Width)
		m.groups.Reset(in.Width)
		p.rowwise(rowOp{do: quantizeGroupsRow, kind: OpKindQuantize, stage: OpQuantize, src: in})
	}
	p.flush()
	p.begin(opExpertsIn)
	m.spread.in = in
	m.eachPlace(&m.spread)
	m.product.run(m.in, [2][]*Projection{x.Gate, x.Up}, [2]Buffer{m.gate, m.up})
	p.end()
	m.observe("expert_gate", m.gate)
	m.observe("expert_up", m.up)

	p.begin(opExpertGated)
	m.act.clamp, m.act.round = p.cfg.Experts.ClampOf(p.layer), false
	m.eachPlace(&m.act)
	p.end()
	m.observe(opExpertGated, m.gate)
	if p.cfg.Activations != Float {
		p.begin(OpQuantize)
		if m.int8 != nil {
			m.int8.Reset(m.gate.Width, first.GroupCols)
		} else {
			m.groups.Reset(m.gate.Width)
		}
		m.act.round = true
		m.eachPlace(&m.act)
		p.end()
	}
	p.begin(opExpertsOut)
	m.product.run(m.gate, [2][]*Projection{x.Down}, [2]Buffer{m.down})
	p.end()
	m.observe("expert_down", m.down)

	p.begin(opMixed)
	m.sum.out = out
	p.team.Run(&m.sum, p.rows)
	p.end()
	p.observe(opMixed, out)
}

// The operations of a mixture.
const (
	opExperts       = "experts"
	opExpertWeights = "expert_weights"
	opExpertsIn     = "ffn_gate_exps+ffn_up_exps"
	opExpertGated   = "expert_gated"
	opExpertsOut    = "ffn_down_exps"
	opMixed         = "ffn_out"
)

// routeTask chooses the experts of a row.
type routeTask struct{ m *mixer }

// Do implements parallel.Task.
func (t *routeTask) Do(_, row int) {
	m, e := t.m, &t.m.p.cfg.Experts
	p := m.scores.Row(row)
	chosen, weights := m.chosen.Row(row), m.weights.Row(row)
	total := kernel.ExpSum(p)
	sum := float32(0)
	for i := range weights {
		best := -1
		for k, v := range p {
			if v >= 0 && (best < 0 || v > p[best]) {
				best = k
			}
		}
		if best < 0 { // not a number: any will do, the result is none
			best, weights[i] = i, total
		} else {
			weights[i] = p[best] / total
			p[best] = -1 // taken
		}
		chosen[i] = float32(best)
		sum += weights[i]
	}
	if e.Renormed {
		for i, w := range weights {
			weights[i] = w / sum
		}
	}
	if e.Scale != 0 {
		kernel.Scale(weights, weights, e.Scale)
	}
}

// sort gives the rows of each expert their places.
func (m *mixer) sort() {
	rows := m.p.rows
	clear(m.first)
	for row := range rows {
		for _, e := range m.chosen.Row(row) {
			m.first[int(e)+1]++
		}
	}
	m.active = m.active[:0]
	for e := range len(m.first) - 1 {
		if m.first[e+1] > 0 {
			m.active = append(m.active, e)
		}
		m.first[e+1] += m.first[e]
	}
	for row := range rows {
		for i, e := range m.chosen.Row(row) {
			at := m.first[int(e)]
			m.place[row*m.k+i], m.row[at] = at, row
			m.first[int(e)]++
		}
	}
	copy(m.first[1:], m.first[:len(m.first)-1]) // each has become the next one
	m.first[0] = 0
}

// observe shows a stage of the places row by row, each row's by falling weight.
func (m *mixer) observe(stage string, b Buffer) {
	p := m.p
	if p.observer == nil {
		return
	}
	n := p.rows * m.k
	if len(m.shown.Data) < n*b.Width {
		m.shown.Data = make([]float32, n*b.Width)
	}
	shown := Buffer{Width: m.k * b.Width, Data: m.shown.Data}
	for i, at := range m.place[:n] {
		copy(shown.Data[i*b.Width:(i+1)*b.Width], b.Row(at))
	}
	p.observe(stage, shown)
	for i, at := range m.place[:n] {
		copy(b.Row(at), shown.Data[i*b.Width:(i+1)*b.Width])
	}
}

// spreadTask copies the inputs of rows to the places of their experts.
type spreadTask struct {
	m  *mixer
	in Buffer
}

// placesAtATime are so many places that a worker takes them in less time than it would
// need to take each by itself.
const placesAtATime = 32

// eachPlace runs a task for slices of places.
func (m *mixer) eachPlace(t parallel.Task) {
	n := (m.p.rows*m.k + placesAtATime - 1) / placesAtATime
	if n > 1 {
		m.p.team.Run(t, n)
	} else {
		t.Do(0, 0)
	}
}

// slice returns the places of a slice.
func (m *mixer) slice(slice int) (from, to int) {
	from = slice * placesAtATime
	return from, min(from+placesAtATime, m.p.rows*m.k)
}

// Do implements parallel.Task.
func (t *spreadTask) Do(_, slice int) {
	m := t.m
	from, to := m.slice(slice)
	for at := from; at < to; at++ {
		switch row := m.row[at]; {
		case m.int8 != nil:
			m.int8.CopyRow(at, m.p.int8, row)
		case m.groups != nil:
			m.groups.CopyRow(at, m.p.groups, row)
		default:
			copy(m.in.Row(at), t.in.Row(row))
		}
	}
}

// expertsTask multiplies the places of each used expert with its matrices.
type expertsTask struct {
	m      *mixer
	in     Buffer
	stacks [2][]*Projection
	outs   [2]Buffer
	n      int // stacks
	panels int // of one matrix
	step   int // panels per slice
	slices int // per matrix
}

// run computes a product, or two of the same shape.
func (t *expertsTask) run(in Buffer, stacks [2][]*Projection, outs [2]Buffer) {
	m, p := t.m, t.m.p
	t.in, t.stacks, t.outs, t.n = in, stacks, outs, 2
	if stacks[1] == nil {
		t.n = 1
	}
	w := stacks[0][0].Matrix
	t.panels = w.Panels()
	matrices := len(m.active) * t.n
	t.step = p.panelsPerSlice(w, matrices*t.panels, max(1, p.rows*m.k/max(1, len(m.active))))
	t.slices = (t.panels + t.step - 1) / t.step
	p.team.Run(t, matrices*t.slices)
}

// Do implements parallel.Task.
func (t *expertsTask) Do(worker, slice int) {
	m, p := t.m, t.m.p
	matrix, from := slice/t.slices, slice%t.slices*t.step
	expert, stack := m.active[matrix/t.n], matrix%t.n
	w, out := t.stacks[stack][expert], t.outs[stack]
	p.multiply(worker, w, out, operand{m.int8, m.groups, t.in}, m.first[expert], m.first[expert+1], from, min(from+t.step, t.panels))
}

// placesTask applies the activation function to the places, or rounds the result.
type placesTask struct {
	m     *mixer
	clamp float32
	round bool
}

// Do implements parallel.Task.
func (t *placesTask) Do(_, slice int) {
	from, to := t.m.slice(slice)
	for at := from; at < to; at++ {
		t.do(at)
	}
}

func (t *placesTask) do(at int) {
	m := t.m
	gate, up := m.gate.Row(at), m.up.Row(at)
	switch {
	case !t.round:
		if c := t.clamp; c != 0 {
			kernel.ClampMax(gate, c)
			kernel.Clamp(up, -c, c)
		}
		m.p.cfg.HiddenAct.gate(gate, gate, up)
	case m.int8 != nil:
		kernel.QuantizeRow(m.int8, at, gate)
	default:
		kernel.QuantizeGroups(m.groups, at, gate)
	}
}

// sumTask adds up the results of a row's experts.
type sumTask struct {
	m   *mixer
	out Buffer
}

// Do implements parallel.Task.
func (t *sumTask) Do(_, row int) {
	m, out := t.m, t.out.Row(row)
	clear(out)
	for i, w := range m.weights.Row(row) {
		kernel.AddScaled(out, m.down.Row(m.place[row*m.k+i]), w)
	}
}
