package parallel

import "time"

// Tracer is told how the workers of a team spend their time.
type Tracer interface {
	// Section is called by the goroutine that calls Run, after each section:
	// when it began and ended, by the clock of Now, and what each worker did
	// in it. The spans are reused by the next section.
	Section(begin, end int64, workers []Span)
}

// Span is the part of a section in which a worker ran slices: from the
// beginning of its first slice to the end of its last one. The rest of the
// section it waited, to be woken or for the others at the barrier. A worker
// that came too late for any slice has no Slices, and its times mean nothing.
type Span struct {
	Begin, End int64 // by the clock of Now
	Slices     int64

	_ [40]byte // workers write their spans at the same time
}

// Busy returns the nanoseconds between the span's beginning and end.
func (s *Span) Busy() int64 {
	if s.Slices == 0 {
		return 0
	}
	return s.End - s.Begin
}

// started is the zero of the clock of Now.
var started = time.Now()

// Now returns the nanoseconds since the program started, by a monotonic clock.
func Now() int64 { return int64(time.Since(started)) }

// SetTracer has t told of all sections from now on; nil ends that. It belongs
// to the goroutine that calls Run, between two sections. Without a tracer a
// section costs what it costs anyway, with one each slice reads the clock once.
func (t *Team) SetTracer(tracer Tracer) {
	t.tracer = tracer
	if tracer != nil && t.spans == nil {
		t.spans = make([]Span, t.size)
	}
}

// beginSlice notes that a worker has taken a slice.
func (t *Team) beginSlice(worker int) {
	s := &t.spans[worker]
	if s.Slices == 0 {
		s.Begin = Now()
	}
	s.Slices++
}

// runTraced is Run with a tracer.
func (t *Team) runTraced(task Task, slices int) {
	for i := range t.spans {
		t.spans[i].Slices = 0
	}
	begin := Now()
	// The section has ended for the tracer even if a slice has panicked.
	defer func() { t.tracer.Section(begin, Now(), t.spans) }()
	if t.size == 1 || slices == 1 {
		t.runAlone(task, slices)
		return
	}
	t.runTogether(task, slices)
}

// runAlone runs a section on the calling goroutine, with a tracer.
func (t *Team) runAlone(task Task, slices int) {
	t.spans[0].Begin = Now()
	defer func() { t.spans[0].End = Now() }()
	for i := range slices {
		t.spans[0].Slices++
		task.Do(0, i)
	}
}
