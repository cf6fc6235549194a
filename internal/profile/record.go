package profile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"trit/internal/engine"
	"trit/internal/parallel"
)

// ErrRecord reports a recording that makes no sense.
var ErrRecord = errors.New("profile: bad recording")

// Recording is a trace of a scheduler that is being written.
type Recording struct {
	scheduler *engine.Scheduler
	recorder  *recorder
	free      chan *frame
	full      chan *frame
	ended     chan struct{}
	chrome    *chromeWriter
	err       error // of the writer, once ended is closed
	stopped   bool
}

// RecordOptions configure a recording.
type RecordOptions struct {
	// Name is what the trace calls the process; "" is the model's name.
	Name string
	// Drop leaves steps out that the writer has no time for, instead of having
	// the model wait for it: for a server and a reader somewhere.
	Drop bool
}

// recordFrames is the number of steps that wait to be written, at most. It bounds
// the memory of a recording.
const recordFrames = 8

// StartRecording has all steps of a scheduler written to w from now on, until
// Stop, as a Chrome trace (see Record). The error is engine.ErrTraced if there is
// a recording already, or engine.ErrClosed.
func StartRecording(s *engine.Scheduler, w io.Writer, o RecordOptions) (*Recording, error) {
	e := s.Engine()
	if o.Name == "" {
		o.Name = e.Model().Config.Name
	}
	r := &Recording{
		scheduler: s,
		free:      make(chan *frame, recordFrames), full: make(chan *frame, recordFrames),
		ended: make(chan struct{}),
	}
	for range recordFrames {
		r.free <- newFrame(e.Threads())
	}
	r.recorder = &recorder{take: r.take, done: func(f *frame) { r.full <- f }}
	if o.Drop {
		r.recorder.take = r.tryTake
	}
	begin := parallel.Now()
	if err := s.SetTracer(r.recorder); err != nil {
		return nil, err
	}
	go func() {
		defer close(r.ended)
		r.chrome = newChromeWriter(w, o.Name, e.Threads(), begin)
		for f := range r.full {
			// After an error frames go round all the same, so that the model
			// does not stand still.
			if err := r.chrome.frame(f); err != nil && r.err == nil {
				r.err = err
			}
			r.free <- f
		}
	}()
	return r, nil
}

func (r *Recording) take() *frame { return <-r.free }

func (r *Recording) tryTake() *frame {
	select {
	case f := <-r.free:
		return f
	default:
		return nil
	}
}

// Stop ends the recording, after the step that is running, and the file. It
// returns the first error in writing it. Stopping twice is harmless.
func (r *Recording) Stop() error {
	if r.stopped {
		return r.err
	}
	r.stopped = true
	err := r.scheduler.SetTracer(nil)
	close(r.full)
	<-r.ended
	// A closed scheduler makes no steps any more.
	if r.err == nil && !errors.Is(err, engine.ErrClosed) {
		r.err = err
	}
	if r.err == nil {
		r.err = r.chrome.end(map[string]any{"steps": r.chrome.steps, "steps_left_out": r.recorder.skipped})
	}
	return r.err
}

// Record writes what a running scheduler does in the next d as a trace in the
// JSON Object Format of Chrome's trace viewer and Perfetto: a track per
// worker with nested spans for steps, layers, operations and work, and counters
// for the batch and the KV cache's pages. It is written as it comes, and holds no
// more than a few steps in memory; steps that a slow reader has no time for are
// left out, and counted in otherData.steps_left_out.
//
// It returns when the time is over, ctx ends (with its error; the file is
// complete all the same), or w fails. Only one recording of a scheduler can be
// made at a time; another fails with engine.ErrTraced before anything is
// written.
func Record(ctx context.Context, s *engine.Scheduler, w io.Writer, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%w: it lasts %v", ErrRecord, d)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	failed := make(chan struct{})
	r, err := StartRecording(s, &failingWriter{w: w, failed: failed}, RecordOptions{Drop: true})
	if err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	case <-failed:
	}
	return errors.Join(r.Stop(), err)
}

// failingWriter tells when its writer fails, and does not ask it again.
type failingWriter struct {
	w      io.Writer
	failed chan struct{}
	err    error
}

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.w.Write(p)
	if err != nil {
		f.err = err
		close(f.failed)
	}
	return n, err
}
