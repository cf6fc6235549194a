package profile

import (
	"trit/internal/engine"
	"trit/internal/parallel"
)

// opEvent is an operation of a frame.
type opEvent struct {
	name       string
	layer      int
	rows       int
	begin, end int64
	skipped    int64 // bytes of weights that were not read
	// sections[from:to] of the frame belong to it.
	from, to int
}

// sectionEvent is a parallel section of a frame.
type sectionEvent struct {
	begin, end int64
	spans      int // of the frame: those of the workers begin here
}

// workSpan is what a worker did in a section; slices is 0 if it came too late.
type workSpan struct {
	begin, end int64
	slices     int64
}

// frame holds all events of a step. Times are those of parallel.Now.
type frame struct {
	begin, end int64
	step       bool // an engine's step is in it
	info       engine.StepInfo
	result     engine.StepResult
	workers    int
	ops        []opEvent
	sections   []sectionEvent
	spans      []workSpan // per section one for each worker
}

// What a step of a model with some thirty layers has. A frame grows where that is
// too little.
const (
	frameOps      = 1024
	frameSections = 512
)

func newFrame(workers int) *frame {
	return &frame{
		workers:  workers,
		ops:      make([]opEvent, 0, frameOps),
		sections: make([]sectionEvent, 0, frameSections),
		spans:    make([]workSpan, 0, frameSections*workers),
	}
}

// span returns what a worker did in the i-th section.
func (f *frame) span(i, worker int) *workSpan { return &f.spans[f.sections[i].spans+worker] }

// busy returns the time that a worker ran slices in the i-th section.
func (f *frame) busy(i, worker int) int64 {
	s := f.span(i, worker)
	if s.slices == 0 {
		return 0
	}
	return s.end - s.begin
}

// recorder is an engine.Tracer that collects frames. A frame is a step, or what
// beginFrame and endFrame surround, or an operation outside of these. It allocates
// nothing once its frames have grown to what a step needs.
type recorder struct {
	// take returns an empty frame or nil, which leaves the step out; done gets
	// it back, filled.
	take func() *frame
	done func(*frame)

	frame   *frame
	framed  bool // by beginFrame
	stepped bool // by BeginStep
	skipped int  // steps that were left out
}

// beginFrame and endFrame surround a step and what belongs to it.
func (r *recorder) beginFrame() {
	r.framed = true
	r.open()
}

func (r *recorder) endFrame() {
	r.framed = false
	r.close()
}

func (r *recorder) open() {
	f := r.take()
	r.frame = f
	if f == nil {
		r.skipped++
		return
	}
	f.step, f.info, f.result = false, engine.StepInfo{}, engine.StepResult{}
	f.ops, f.sections, f.spans = f.ops[:0], f.sections[:0], f.spans[:0]
	f.begin = parallel.Now()
}

func (r *recorder) close() {
	f := r.frame
	r.frame = nil
	if f == nil {
		return
	}
	f.end = parallel.Now()
	r.done(f)
}

// BeginStep implements engine.Tracer.
func (r *recorder) BeginStep(info engine.StepInfo) {
	r.stepped = true
	if !r.framed {
		r.open()
	}
	if r.frame != nil {
		r.frame.step, r.frame.info = true, info
	}
}

// EndStep implements engine.Tracer.
func (r *recorder) EndStep(result engine.StepResult) {
	r.stepped = false
	if r.frame != nil {
		r.endOp() // that failed
		r.frame.result = result
	}
	if !r.framed {
		r.close()
	}
}

// Begin implements model.Tracer.
func (r *recorder) Begin(layer int, op string, rows int) {
	if !r.framed && !r.stepped {
		r.open()
	}
	if f := r.frame; f != nil {
		n := len(f.sections)
		f.ops = append(f.ops, opEvent{name: op, layer: layer, rows: rows, from: n, to: n, begin: parallel.Now()})
	}
}

// Skipped implements model.Tracer.
func (r *recorder) Skipped(bytes int64) {
	if f := r.frame; f != nil && len(f.ops) > 0 {
		f.ops[len(f.ops)-1].skipped += bytes
	}
}

// End implements model.Tracer.
func (r *recorder) End() {
	r.endOp()
	if !r.framed && !r.stepped {
		r.close()
	}
}

// endOp ends the operation that is running, if there is one.
func (r *recorder) endOp() {
	if f := r.frame; f != nil && len(f.ops) > 0 {
		if op := &f.ops[len(f.ops)-1]; op.end == 0 {
			op.end, op.to = parallel.Now(), len(f.sections)
		}
	}
}

// Section implements parallel.Tracer.
func (r *recorder) Section(begin, end int64, workers []parallel.Span) {
	f := r.frame
	if f == nil {
		return
	}
	f.sections = append(f.sections, sectionEvent{begin, end, len(f.spans)})
	for i := range workers {
		f.spans = append(f.spans, workSpan{workers[i].Begin, workers[i].End, workers[i].Slices})
	}
}
