package model

import "trit/internal/kernel"

// mixer is the memory of a pass for mixtures. A place is a row for an expert that it
// uses; places are sorted by expert, and of one expert by row. Those of an expert are
// worked on in parts, each of which goes through the whole network at a time: what it has
// between two products stays in the caches of one processor.
type mixer struct {
	p        *Pass
	x        *Mixture
	k        int
	scores   Buffer // [rows, E]
	chosen   Buffer // [rows, K] numbers of experts, by falling weight
	weights  Buffer // [rows, K]
	gate, up Buffer // [places, F]
	down     Buffer // [places, D]
	shown    Buffer // [rows, K·width] what observers see: places in the order of chosen

	in     Buffer    // [rows, D] the input
	inputs []operand // by worker: the inputs of a part
	gated  operand   // [places, F] the input of Down

	first []int  // [E+1] by expert: its first place
	place []int  // [rows, K] by rows and their choices
	row   []int  // by place
	parts []part // in the order of places

	expert  expertTask
	product productTask
	route   routeTask
	act     placesTask
	sum     sumTask
}

// part is some places of one expert, at most partRows.
type part struct{ expert, from, to int }

// partRows is few enough for the memory of a part to fit into the L2 cache beside what
// is read of weights, and for its slice to take no longer than slices should.
const partRows = 48

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
	m.expert.m, m.product.m, m.route.m, m.act.m, m.sum.m = m, m, m, m, m
	return m
}

// prepare gets what is not of the pass's Memory.
func (m *mixer) prepare(maxRows int) {
	c, e := m.p.cfg, &m.p.cfg.Experts
	places := maxRows * e.Used
	m.gated = newOperand(c.Activations, places, e.FFN)
	m.gated.float = m.gate
	for range m.p.team.Size() {
		in := newOperand(c.Activations, min(maxRows, partRows), c.Hidden)
		if c.Activations == Float {
			in.float = Buffer{Width: c.Hidden, Data: make([]float32, min(maxRows, partRows)*c.Hidden)}
		}
		m.inputs = append(m.inputs, in)
	}
	m.first = make([]int, e.Count+1)
	m.parts = make([]part, 0, min(e.Count, places)+places/partRows)
	m.place, m.row = make([]int, places), make([]int, places)
}

// newOperand returns room for rounded activations.
func newOperand(a Activations, rows, cols int) (o operand) {
	switch a {
	case Int8:
		o.int8 = kernel.NewInt8(rows, cols)
	case Int8Groups:
		o.groups = kernel.NewGroupedInt8(rows, cols)
	}
	return o
}

// mixerInt8Bytes returns the memory for the rounded values of all places.
func mixerInt8Bytes(c *Config, maxRows int) int64 {
	e := &c.Experts
	if e.Count == 0 {
		return 0
	}
	switch c.Activations {
	case Int8:
		return kernel.Int8Bytes(maxRows*e.Used, e.FFN)
	case Int8Groups:
		return kernel.GroupedInt8Bytes(maxRows*e.Used, e.FFN)
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

	together := p.observer == nil && len(m.parts) >= partsPerWorker*p.team.Size()
	if together {
		m.foresee()
	}
	m.in = in
	m.act.clamp = p.cfg.Experts.ClampOf(p.layer)
	groupCols := x.Gate[0].Matrix.GroupCols
	switch {
	case p.int8 != nil:
		p.int8.Reset(in.Width, groupCols)
		m.gated.int8.Reset(m.gate.Width, groupCols)
		for _, o := range m.inputs {
			o.int8.Reset(in.Width, groupCols)
		}
		p.rowwise(rowOp{do: quantizeRow, kind: OpKindQuantize, stage: OpQuantize, src: in})
	case p.groups != nil:
		p.groups.Reset(in.Width)
		p.rowwise(rowOp{do: quantizeGroupsRow, kind: OpKindQuantize, stage: OpQuantize, src: in})
	}
	p.flush()
	p.lookAhead()
	if together {
		p.begin(opExpertsWhole)
		p.team.Run(&m.expert, len(m.parts))
		p.end()
	} else {
		m.stages()
	}

	p.begin(opMixed)
	m.sum.out = out
	p.team.Run(&m.sum, p.rows)
	p.end()
	p.observe(opMixed, out)
}

// partsPerWorker is how many parts each worker should have at least, to finish with the
// others.
const partsPerWorker = 4

// stages takes all parts through one operation after the other.
func (m *mixer) stages() {
	p, x := m.p, m.x
	p.begin(opExpertsIn)
	m.product.run(true, [2][]*Projection{x.Gate, x.Up}, [2]Buffer{m.gate, m.up})
	p.end()
	m.observe("expert_gate", m.gate)
	m.observe("expert_up", m.up)
	p.begin(opExpertGated)
	m.act.do = (*mixer).activate
	m.act.run()
	p.end()
	m.observe(opExpertGated, m.gate)
	if p.cfg.Activations != Float {
		p.begin(OpQuantize)
		m.act.do = (*mixer).round
		m.act.run()
		p.end()
	}
	p.begin(opExpertsOut)
	m.product.run(false, [2][]*Projection{x.Down}, [2]Buffer{m.down})
	p.end()
	m.observe("expert_down", m.down)
}

// The operations of a mixture.
const (
	opExperts       = "experts"
	opExpertWeights = "expert_weights"
	opExpertsIn     = "ffn_gate_exps+ffn_up_exps"
	opExpertGated   = "expert_gated"
	opExpertsOut    = "ffn_down_exps"
	opMixed         = "ffn_out"

	// What runs in place of the operations from opExpertsIn to opExpertsOut where there is enough for all workers.
	opExpertsWhole = opExpertsIn + "+" + opExpertsOut
)

// routeTask chooses the experts of a row.
type routeTask struct{ m *mixer }

// Do implements parallel.Task.
func (t *routeTask) Do(_, row int) {
	m, e := t.m, &t.m.p.cfg.Experts
	p := m.scores.Row(row)
	chosen, weights := m.chosen.Row(row), m.weights.Row(row)
	total := kernel.ExpSum(p)
	// The largest first, of equal ones the first.
	n := 0
	for k, v := range p {
		if n == len(weights) && !(v > weights[n-1]) || !(v >= 0) {
			continue
		}
		n = min(n+1, len(weights))
		i := n - 1
		for ; i > 0 && v > weights[i-1]; i-- {
			weights[i], chosen[i] = weights[i-1], chosen[i-1]
		}
		weights[i], chosen[i] = v, float32(k)
	}
	sum := float32(0)
	for i := range weights {
		if i < n {
			weights[i] /= total
		} else { // not a number: any will do, the result is none
			weights[i], chosen[i] = total, float32(i)
		}
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

// sort gives the rows of each expert their places, and divides these into parts.
func (m *mixer) sort() {
	rows := m.p.rows
	clear(m.first)
	for row := range rows {
		for _, e := range m.chosen.Row(row) {
			m.first[int(e)+1]++
		}
	}
	m.parts = m.parts[:0]
	for e := range len(m.first) - 1 {
		from, n := m.first[e], m.first[e+1]
		m.first[e+1] += from
		// Of nearly the same size.
		for parts := (n + partRows - 1) / partRows; parts > 0; parts-- {
			to := from + (n+parts-1)/parts
			m.parts = append(m.parts, part{e, from, to})
			n -= to - from
			from = to
		}
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

// expertTask takes a part through all operations.
type expertTask struct{ m *mixer }

// Do implements parallel.Task.
func (t *expertTask) Do(worker, slice int) {
	m := t.m
	x, o := m.x, &m.parts[slice]
	in := m.gather(worker, o)
	m.multiply(worker, o, in, x.Gate[o.expert], m.gate, 0, x.Gate[o.expert].Matrix.Panels())
	m.multiply(worker, o, in, x.Up[o.expert], m.up, 0, x.Up[o.expert].Matrix.Panels())
	for at := o.from; at < o.to; at++ {
		m.activate(at)
		m.round(at)
	}
	m.multiplyGated(worker, o, x.Down[o.expert], m.down, 0, x.Down[o.expert].Matrix.Panels())
}

// gather copies the inputs of a part's rows to where the worker has them together.
func (m *mixer) gather(worker int, o *part) operand {
	to := m.inputs[worker]
	for i, row := range m.row[o.from:o.to] {
		switch {
		case to.int8 != nil:
			to.int8.CopyRow(i, m.p.int8, row)
		case to.groups != nil:
			to.groups.CopyRow(i, m.p.groups, row)
		default:
			copy(to.float.Row(i), m.in.Row(row))
		}
	}
	return to
}

// multiply computes panels of a product of gathered inputs.
func (m *mixer) multiply(worker int, o *part, in operand, w *Projection, out Buffer, from, to int) {
	out.Data = out.Data[o.from*out.Width:]
	m.p.multiply(worker, w, out, in, 0, o.to-o.from, from, to)
}

// multiplyGated does so with gated values, which lie at their places.
func (m *mixer) multiplyGated(worker int, o *part, w *Projection, out Buffer, from, to int) {
	m.p.multiply(worker, w, out, m.gated, o.from, o.to, from, to)
}

// productTask multiplies all parts with the matrices of their experts.
type productTask struct {
	m      *mixer
	gather bool // the inputs of rows, not gated values
	stacks [2][]*Projection
	outs   [2]Buffer
	n      int // stacks
	panels int // of one matrix
	step   int // panels per slice
	slices int // per matrix
}

// run computes a product, or two of the same shape.
func (t *productTask) run(gather bool, stacks [2][]*Projection, outs [2]Buffer) {
	m, p := t.m, t.m.p
	t.gather, t.stacks, t.outs, t.n = gather, stacks, outs, 2
	if stacks[1] == nil {
		t.n = 1
	}
	w := stacks[0][0].Matrix
	t.panels = w.Panels()
	matrices := len(m.parts) * t.n
	t.step = p.panelsPerSlice(w, matrices*t.panels, max(1, p.rows*m.k/max(1, len(m.parts))))
	t.slices = (t.panels + t.step - 1) / t.step
	p.team.Run(t, matrices*t.slices)
}

// Do implements parallel.Task.
func (t *productTask) Do(worker, slice int) {
	m := t.m
	matrix, from := slice/t.slices, slice%t.slices*t.step
	o, stack := &m.parts[matrix/t.n], matrix%t.n
	w, out, to := t.stacks[stack][o.expert], t.outs[stack], min(from+t.step, t.panels)
	if t.gather {
		m.multiply(worker, o, m.gather(worker, o), w, out, from, to)
	} else {
		m.multiplyGated(worker, o, w, out, from, to)
	}
}

// activate applies the activation function to a place.
func (m *mixer) activate(at int) {
	gate, up := m.gate.Row(at), m.up.Row(at)
	if c := m.act.clamp; c != 0 {
		kernel.ClampMax(gate, c)
		kernel.Clamp(up, -c, c)
	}
	m.p.cfg.HiddenAct.gate(gate, gate, up)
}

// round rounds what activate leaves at a place.
func (m *mixer) round(at int) {
	switch {
	case m.gated.int8 != nil:
		kernel.QuantizeRow(m.gated.int8, at, m.gate.Row(at))
	case m.gated.groups != nil:
		kernel.QuantizeGroups(m.gated.groups, at, m.gate.Row(at))
	}
}

// placesTask does something with every place.
type placesTask struct {
	m     *mixer
	clamp float32
	do    func(m *mixer, at int)
}

// placesAtATime are so many places that a worker takes them in less time than it would
// need to take each by itself.
const placesAtATime = 32

func (t *placesTask) run() {
	n := (t.m.p.rows*t.m.k + placesAtATime - 1) / placesAtATime
	if n > 1 {
		t.m.p.team.Run(t, n)
	} else {
		t.Do(0, 0)
	}
}

// Do implements parallel.Task.
func (t *placesTask) Do(_, slice int) {
	from := slice * placesAtATime
	for at := from; at < min(from+placesAtATime, t.m.p.rows*t.m.k); at++ {
		t.do(t.m, at)
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
