package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"trit/internal/mmap"
)

// ErrBroken reports a model that cannot go on; see [BrokenError].
var ErrBroken = errors.New("the model has stopped")

// A BrokenError says why a model has stopped: what it reads its weights from is no
// longer what it was, or something went wrong inside of it. It wraps ErrBroken and,
// in the first case, mmap.ErrFault or mmap.ErrChanged. The model has to be opened
// again.
type BrokenError struct {
	Err   error
	Stack []byte // of a panic, otherwise nil
}

// Error says why, and what to do.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("%v: %v; it has to be loaded again", ErrBroken, e.Err)
}

// Unwrap returns ErrBroken and the reason.
func (e *BrokenError) Unwrap() []error { return []error{ErrBroken, e.Err} }

// Fail stops the scheduler because of err: requests that run, and later ones, are
// answered with a BrokenError. The first reason counts.
func (s *Scheduler) Fail(err error) {
	s.fail(&BrokenError{Err: err})
	s.closeOne.Do(func() { close(s.closing) })
}

func (s *Scheduler) fail(e *BrokenError) { s.failure.CompareAndSwap(nil, e) }

// Err returns why the scheduler answers no requests: a BrokenError, or nil while it
// does and after Close.
func (s *Scheduler) Err() error {
	if e := s.failure.Load(); e != nil {
		return e
	}
	return nil
}

// closed returns the error of requests that come too late.
func (s *Scheduler) closed() error {
	if err := s.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%w: the scheduler", ErrClosed)
}

// turn receives requests and runs a step. It returns false when the scheduler is to
// close. A panic, also one of a worker or a fault in assembly, is the end of this
// scheduler only: what it has in memory cannot be trusted any more.
func (s *Scheduler) turn(timer *time.Timer, last *time.Duration) (more bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		more = false
		if mmap.IsFault(v) {
			s.fail(&BrokenError{Err: fmt.Errorf("%w (%v)", mmap.ErrFault, v), Stack: debug.Stack()})
			return
		}
		s.fail(&BrokenError{Err: fmt.Errorf("an internal error: %v", v), Stack: debug.Stack()})
	}()
	if !s.gather(timer, *last) {
		return false
	}
	start := time.Now()
	s.publish()
	s.step()
	s.publish()
	*last = time.Since(start)
	return true
}
