package profile

import (
	"cmp"
	"math"
	"slices"

	"trit/internal/head"
	"trit/internal/model"
	"trit/internal/order"
)

// opSample is the operation of choosing a token, which belongs to no engine.
const opSample = "sample"

// timings adds up the frames of a phase.
type timings struct {
	work    *workTable
	workers int

	steps        []int64 // durations
	unattributed []int64
	tokens       int
	skipped      model.Skipped
	ops          map[string]*opTimes
	groups       map[string]*opTimes
	layers       map[int]*opTimes
	cells        map[layerOp]*opTimes

	busy, barrier []int64 // per worker
	slices        []int64 // per worker
	sections      int
	sectionTime   int64
	// most is the busiest worker's time in each section, mean that of all
	// workers, both added up.
	most, mean float64
}

// layerOp is an operation of a layer.
type layerOp struct {
	layer int
	op    string
}

// opTimes are the times of something that is done in each step.
type opTimes struct {
	first   int // the order of first use
	names   []string
	calls   int
	steps   []int64 // time in each step
	now     int64   // in this step
	barrier int64   // of all workers together
	work    Work
}

func newTimings(work *workTable, workers int) *timings {
	return &timings{
		work: work, workers: workers,
		ops: map[string]*opTimes{}, groups: map[string]*opTimes{}, layers: map[int]*opTimes{}, cells: map[layerOp]*opTimes{},
		busy: make([]int64, workers), barrier: make([]int64, workers), slices: make([]int64, workers),
	}
}

// get returns the entry of a key. An entry that comes late was 0 in the steps
// before.
func get[K comparable](m map[K]*opTimes, key K, steps int) *opTimes {
	t := m[key]
	if t == nil {
		t = &opTimes{first: len(m), steps: make([]int64, steps)}
		m[key] = t
	}
	return t
}

// add takes in a frame.
func (t *timings) add(f *frame) {
	total := f.end - f.begin
	left := total
	var inSections int64
	n := len(t.steps)
	for i := range f.ops {
		op := &f.ops[i]
		d := op.end - op.begin
		left -= d
		work, name := t.work.of(f, i)
		var waited int64
		for s := op.from; s < op.to; s++ {
			waited += t.section(f, s)
			inSections += f.sections[s].end - f.sections[s].begin
		}
		group := get(t.groups, name, n)
		if !slices.Contains(group.names, op.name) {
			group.names = append(group.names, op.name)
		}
		for _, e := range []*opTimes{get(t.ops, op.name, n), group, get(t.layers, op.layer, n), get(t.cells, layerOp{op.layer, op.name}, n)} {
			e.calls++
			e.now += d
			e.barrier += waited
			e.work.add(work)
		}
	}
	if group := t.groups["head"]; group != nil {
		group.work.Bytes += f.result.HeadBytes
	}
	if op := t.ops[head.OpLogits]; op != nil && t.ops[head.OpScan] == nil {
		op.work.Bytes += f.result.HeadBytes
	}
	t.busy[0] += total - inSections // the first worker goes on alone
	t.sectionTime += inSections
	t.steps = append(t.steps, total)
	t.unattributed = append(t.unattributed, left)
	t.tokens += f.info.Rows
	t.skipped = t.skipped.Add(f.result.Skipped)
	closeStep(t.ops)
	closeStep(t.groups)
	closeStep(t.layers)
	closeStep(t.cells)
}

func closeStep[K comparable](m map[K]*opTimes) {
	for _, e := range m {
		e.steps = append(e.steps, e.now)
		e.now = 0
	}
}

// section takes in a parallel section and returns how long its workers waited,
// all together.
func (t *timings) section(f *frame, i int) (waited int64) {
	s := &f.sections[i]
	wall := s.end - s.begin
	var most, sum int64
	for w := range t.workers {
		busy := f.busy(i, w)
		t.busy[w] += busy
		t.barrier[w] += wall - busy
		t.slices[w] += f.span(i, w).slices
		waited += wall - busy
		sum += busy
		most = max(most, busy)
	}
	t.sections++
	t.most += float64(most)
	t.mean += float64(sum) / float64(t.workers)
	return waited
}

// PhaseReport says where the time of similar steps went.
type PhaseReport struct {
	Name   string `json:"name"` // "prompt" or "decode"
	Steps  int    `json:"steps"`
	Tokens int    `json:"tokens"` // of all steps
	// Depth is the number of tokens in the KV cache before the first step and
	// before the last one.
	Depth [2]int `json:"depth"`
	// Step is the time of a step with the choice of its token.
	Step            Timing  `json:"step"`
	TokensPerSecond float64 `json:"tokens_per_second"` // tokens / total time
	// Zeros is what single sequences have met of zeros and left out; absent where nothing is.
	Zeros *Zeros `json:"zeros,omitempty"`
	// Operations are sorted by their time, the largest first. Their times do not
	// overlap: together with Unattributed they are the step.
	Operations []OperationReport `json:"operations"`
	// Stages are the same in finer parts and in their order.
	Stages []OperationReport `json:"stages"`
	Layers []LayerReport     `json:"layers"`
	// Unattributed is the time between operations.
	Unattributed      Timing  `json:"unattributed"`
	UnattributedShare float64 `json:"unattributed_share"`

	Workers []WorkerReport `json:"workers"`
	// Barrier is the part of the step that a worker waits in parallel sections,
	// on average, to be woken or for the others. It is contained in the times of
	// operations.
	BarrierShare float64 `json:"barrier_share"`
	// Imbalance is by how much the busiest worker of a section exceeds the mean
	// of all, on average over time: 0 is perfect.
	Imbalance float64 `json:"imbalance"`
	// SectionsPerStep is the number of parallel sections.
	SectionsPerStep float64 `json:"sections_per_step"`
	// WorkPerStep is the mean of all operations together.
	WorkPerStep Work `json:"work_per_step"`
}

// Timing describes the time of something in each step, in microseconds.
type Timing struct {
	Median float64 `json:"median_us"`
	P95    float64 `json:"p95_us"`
	Total  float64 `json:"total_us"` // of all steps
}

// OperationReport describes an operation.
type OperationReport struct {
	Name string `json:"name"`
	// Stages are what an operation consists of.
	Stages       []string `json:"stages,omitempty"`
	CallsPerStep float64  `json:"calls_per_step"`
	Time         Timing   `json:"time"` // in a step, all layers together
	Share        float64  `json:"share"`
	// BarrierShare is the part of the operation's time that a worker waits, on
	// average.
	BarrierShare float64 `json:"barrier_share"`
	WorkPerStep  Work    `json:"work_per_step"`
	// What the work and the total time make.
	GBPerSecond     float64 `json:"gb_per_second"`
	GMACsPerSecond  float64 `json:"gmacs_per_second"`
	GFLOPsPerSecond float64 `json:"gflops_per_second"`
	// OfBandwidth and OfPeak compare GB and int8 multiply-accumulates with the
	// limits that were measured in the same run: with that of tiles in steps of so
	// many rows that they are used. More than 1 says that the bytes came from a cache.
	OfBandwidth float64 `json:"fraction_of_bandwidth"`
	OfPeak      float64 `json:"fraction_of_int8_peak"`
}

// LayerReport describes a layer.
type LayerReport struct {
	Layer  int           `json:"layer"` // −1: before the first, −2: after the last
	Time   Timing        `json:"time"`
	Share  float64       `json:"share"`
	Stages []StageTiming `json:"stages"`
}

// StageTiming is the time of a stage in one layer.
type StageTiming struct {
	Name string `json:"name"`
	Timing
}

// WorkerReport says what a worker did, in parts of all steps' time.
type WorkerReport struct {
	Worker int `json:"worker"`
	// Busy: it ran slices, or was the first worker, alone. Barrier: it waited in
	// a parallel section. Idle: the first worker went on alone.
	Busy    float64 `json:"busy"`
	Barrier float64 `json:"barrier"`
	Idle    float64 `json:"idle"`
	Slices  int64   `json:"slices"`
}

// report describes a phase.
func (t *timings) report(name string, limits Limits) PhaseReport {
	r := PhaseReport{
		Name: name, Steps: len(t.steps), Tokens: t.tokens,
		Step: timingOf(t.steps), Unattributed: timingOf(t.unattributed),
	}
	if t.tokens == len(t.steps) {
		r.Zeros = zeros(t.skipped, int64(t.tokens))
	}
	total := r.Step.Total
	r.TokensPerSecond = ratio(float64(t.tokens), total/1e6)
	r.UnattributedShare = ratio(r.Unattributed.Total, total)
	r.SectionsPerStep = ratio(float64(t.sections), float64(len(t.steps)))
	describe := func(name string, e *opTimes) OperationReport { return t.operation(name, e, total, limits) }
	for _, name := range inOrder(t.groups) {
		e := t.groups[name]
		o := describe(name, e)
		o.Stages = e.names
		r.Operations = append(r.Operations, o)
		r.WorkPerStep.add(o.WorkPerStep)
	}
	order.Stable(r.Operations, func(a, b OperationReport) int { return cmp.Compare(b.Time.Total, a.Time.Total) })
	for _, name := range inOrder(t.ops) {
		r.Stages = append(r.Stages, describe(name, t.ops[name]))
	}
	stages := inOrder(t.cells)
	for _, layer := range inOrder(t.layers) {
		l := LayerReport{Layer: layer, Time: timingOf(t.layers[layer].steps)}
		l.Share = ratio(l.Time.Total, total)
		for _, cell := range stages {
			if cell.layer == layer {
				l.Stages = append(l.Stages, StageTiming{cell.op, timingOf(t.cells[cell].steps)})
			}
		}
		r.Layers = append(r.Layers, l)
	}
	for w := range t.workers {
		x := WorkerReport{Worker: w, Busy: ratio(float64(t.busy[w])/1e3, total), Barrier: ratio(float64(t.barrier[w])/1e3, total), Slices: t.slices[w]}
		if w > 0 {
			x.Idle = max(0, 1-x.Busy-x.Barrier)
		}
		r.BarrierShare += x.Barrier / float64(t.workers)
		r.Workers = append(r.Workers, x)
	}
	if t.mean > 0 {
		r.Imbalance = t.most/t.mean - 1
	}
	return r
}

func (t *timings) operation(name string, e *opTimes, total float64, limits Limits) OperationReport {
	n := int64(max(len(t.steps), 1))
	o := OperationReport{
		Name: name, CallsPerStep: float64(e.calls) / float64(n), Time: timingOf(e.steps),
		WorkPerStep: Work{MACs: e.work.MACs / n, FLOPs: e.work.FLOPs / n, Bytes: e.work.Bytes / n},
	}
	o.Share = ratio(o.Time.Total, total)
	o.BarrierShare = ratio(float64(e.barrier)/1e3/float64(t.workers), o.Time.Total)
	nanos := o.Time.Total * 1e3
	o.GBPerSecond = ratio(float64(e.work.Bytes), nanos)
	o.GMACsPerSecond = ratio(float64(e.work.MACs), nanos)
	o.GFLOPsPerSecond = ratio(float64(e.work.FLOPs), nanos)
	o.OfBandwidth = ratio(o.GBPerSecond*1e9, limits.ReadBandwidth)
	o.OfPeak = ratio(o.GMACsPerSecond*1e9, limits.peak(float64(t.tokens)/float64(n)))
	return o
}

// inOrder returns keys in the order of their first use.
func inOrder[K comparable](m map[K]*opTimes) []K {
	keys := make([]K, len(m))
	for k, e := range m {
		keys[e.first] = k
	}
	return keys
}

// timingOf describes durations in nanoseconds.
func timingOf(nanos []int64) Timing {
	if len(nanos) == 0 {
		return Timing{}
	}
	v := slices.Sorted(slices.Values(nanos))
	var sum int64
	for _, x := range v {
		sum += x
	}
	// The smallest value that at least 95 of 100 do not exceed.
	p95 := v[int(math.Ceil(0.95*float64(len(v))))-1]
	return Timing{Median: float64(v[(len(v)-1)/2]+v[len(v)/2]) / 2e3, P95: float64(p95) / 1e3, Total: float64(sum) / 1e3}
}

// ratio divides, and returns 0 where there is nothing to divide by.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
