package core

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"time"

	"trit/grammar"
)

// Between its arrival and its turn on a model a request takes memory and time of
// its own: the body, the texts in it, their tokens, a grammar. The intake bounds
// both for all requests together. Bodies are admitted by their size, and few
// requests are prepared at a time; who has the fewest goes first, as in front of a model.
type intake struct {
	memory    int64           // bytes that are set aside for bodies
	grammars  *grammar.Memory // of all models
	aside     int64           // bytes that are set aside for both
	bodies    *gate           // in units of bodyUnit
	preparing *gate
	patience  time.Duration // how long a body waits to be read
}

const (
	// bodyWeight is how much memory a byte of a body may take until its prompt is
	// ready, in bytes: most of it when a text is turned into tokens.
	bodyWeight = 64
	// bodyUnit is the unit in which bodies are counted. Smaller ones pass: what they
	// hold is bounded by the connections.
	bodyUnit = 64 << 10
	// freeMemory is what a server has without setting anything aside for requests, of
	// what is beyond it they get a part, up to a limit.
	freeMemory      = 256 << 20
	requestShare    = 8
	maxIntakeMemory = 512 << 20
	// grammarShare is the part for what is found out about grammars, up to what those of one model may
	// have in a program without a limit. leastGrammars is there on small machines, too, as are small bodies.
	grammarShare  = 16
	maxGrammars   = grammar.MemoryPeak * grammar.DefaultMemory
	leastGrammars = 1 << 20
)

// newIntake returns the intake of a server whose memory is limited; 0 means that the limit is not
// known.
func newIntake(o *Options, limit int64) *intake {
	memory := min(max((limit-freeMemory)/requestShare, 0), maxIntakeMemory)
	if limit == 0 {
		memory = maxIntakeMemory
	}
	grammars := int64(min(max((limit-freeMemory)/grammarShare, 0), maxGrammars))
	if limit == 0 {
		grammars = maxGrammars
	}
	queue := max(o.Queue, 0)
	return &intake{memory: memory, patience: o.ReadTimeout, aside: memory + grammars,
		grammars:  grammar.NewMemory(max(grammars/grammar.MemoryPeak, leastGrammars)),
		bodies:    newGate(int(max(memory/bodyWeight/bodyUnit, 1)), queue),
		preparing: newGate(runtime.GOMAXPROCS(0), queue+o.Parallel)}
}

// admit waits until a body of so many bytes may be read. leave must be called once
// if err is nil.
func (in *intake) admit(ctx context.Context, client string, size int64) (leave func(), err error) {
	if size <= bodyUnit {
		return func() {}, nil
	}
	// While the body is not read nobody notices that the client has gone.
	waiting, cancel := context.WithTimeout(ctx, in.patience)
	defer cancel()
	leave, err = in.bodies.enter(waiting, client, int((size+bodyUnit-1)/bodyUnit))
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		err = &Error{Status: http.StatusServiceUnavailable, Code: "busy", Retry: time.Second,
			Message: fmt.Sprintf("the server has had no room for a body of %d bytes for %s; try again later, or send less",
				size, in.patience)}
	}
	return leave, err
}

// tooLarge reports a body that is longer than allowed.
func tooLarge(limit int64) *Error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large",
		Message: fmt.Sprintf("the request's body is longer than %d bytes, which this server allows at most", limit)}
}

// accept bounds the body of a request and admits it. leave is called when a model has taken
// the request over, or at its end.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, rt *Route) (leave func(), err error) {
	if r.Body == nil || r.Body == http.NoBody {
		return func() {}, nil
	}
	control := http.NewResponseController(w)
	if rt.Streams {
		r.Body = &body{ReadCloser: r.Body, control: control, timeout: s.Options.ReadTimeout, parts: true}
		return func() {}, nil
	}
	size := r.ContentLength
	switch most := s.Options.MaxBody; {
	case size > most:
		return nil, tooLarge(most)
	case size < 0: // it does not say
		size = most
	}
	leave, err = s.intake.admit(r.Context(), recordIn(r.Context()).client, size)
	if err != nil {
		return nil, err
	}
	r.Body = &body{
		ReadCloser: http.MaxBytesReader(w, r.Body, s.Options.MaxBody),
		control:    control, timeout: s.Options.ReadTimeout,
	}
	return sync.OnceFunc(leave), nil
}

// taken notes that a model has taken a request over: its body is not needed any more.
func (rec *record) taken() {
	if rec.leaveIntake != nil {
		rec.leaveIntake()
	}
}
