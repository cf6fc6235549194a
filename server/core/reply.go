package core

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"sync"
	"time"
)

// Form is how an answer travels to the client.
type Form uint8

// The forms.
const (
	Whole  Form = iota // one JSON value, once the answer is complete
	Events             // server-sent events, as it grows
	Lines              // JSON values, one a line, as it grows
)

// FormOf returns Whole, or how an answer is streamed if that is asked for.
func FormOf(stream bool, streamed Form) Form {
	if stream {
		return streamed
	}
	return Whole
}

// keepAliveEvery is how long a stream of events may be silent before a comment
// shows that the server is there: while a prompt waits for its turn or is
// processed.
const keepAliveEvery = 10 * time.Second

// Reply takes the answer to a request to the client, whole or piece by piece.
// Every piece is sent at once. A client that keeps pieces waiting for longer than the
// time allowed, all of them together, is given up; until then it holds up nobody else.
type Reply struct {
	w       http.ResponseWriter
	r       *http.Request
	form    Form
	control *http.ResponseController
	timeout time.Duration
	context context.Context
	cancel  context.CancelFunc

	mu    sync.Mutex
	begun bool
	ended bool
	last  time.Time     // of the last piece
	slow  time.Duration // that the client has kept pieces waiting, together
	stop  chan struct{}
	done  chan struct{}
}

// NewReply returns where the answer to a request goes. It must be closed before
// the request's handler returns; Answer does that.
func (s *Server) NewReply(w http.ResponseWriter, r *http.Request, form Form) *Reply {
	return s.newReply(w, r, form, keepAliveEvery)
}

func (s *Server) newReply(w http.ResponseWriter, r *http.Request, form Form, every time.Duration) *Reply {
	t := &Reply{w: w, r: r, form: form, control: http.NewResponseController(w), timeout: s.Options.WriteTimeout,
		last: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	t.context, t.cancel = context.WithCancel(r.Context())
	if form == Events {
		go t.beat(every)
	} else {
		close(t.done)
	}
	return t
}

// Context is that of the request; it ends when the client is found to have gone.
func (t *Reply) Context() context.Context { return t.context }

// Streams reports whether the answer is sent piece by piece.
func (t *Reply) Streams() bool { return t.form != Whole }

// beat sends comments, which clients ignore, while there is nothing to say.
func (t *Reply) beat(every time.Duration) {
	defer close(t.done)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
		}
		t.mu.Lock()
		var err error
		if !t.ended && time.Since(t.last) >= every/2 {
			err = t.send([]byte(": keep-alive\n\n"))
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Close ends the comments. Nothing may be sent afterwards.
func (t *Reply) Close() {
	close(t.stop)
	<-t.done
	t.cancel()
}

// Piece sends a part of the answer as an event, of that name if it is not empty,
// or as a line. If the answer is to be sent whole it does nothing.
func (t *Reply) Piece(name string, v any) error {
	if t.form == Whole {
		return nil
	}
	data, err := marshal(v)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.form == Lines {
		return t.send(data)
	}
	return t.event(name, data[:len(data)-1])
}

// Done sends what marks the end of OpenAI's streams.
func (t *Reply) Done() error {
	if t.form != Events {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	return t.event("", []byte("[DONE]"))
}

// event sends text without line ends as one event.
func (t *Reply) event(name string, data []byte) error {
	var b []byte
	if name != "" {
		b = append(b, "event: "+name+"\n"...)
	}
	b = append(b, "data: "...)
	b = append(b, data...)
	return t.send(append(b, "\n\n"...))
}

// send writes bytes. Its error says that the client has gone: there is nobody
// to tell about it.
func (t *Reply) send(b []byte) error {
	t.last = time.Now()
	if !t.begun {
		t.begun = true
		h := t.w.Header()
		h.Set("Content-Type", "text/event-stream")
		if t.form == Lines {
			h.Set("Content-Type", "application/x-ndjson")
		}
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // proxies are to pass pieces on
		t.w.WriteHeader(http.StatusOK)
	}
	// The time for all pieces is that for one: a client that takes a few bytes a second would hold a
	// place for as long as it likes. One that keeps up takes none of it.
	var err error
	if t.timeout > 0 {
		err = t.control.SetWriteDeadline(t.last.Add(t.timeout - t.slow))
	}
	if err == nil {
		_, err = t.w.Write(b)
	}
	if err == nil {
		err = t.control.Flush()
	}
	t.slow += time.Since(t.last)
	if err != nil {
		t.cancel()
		return ErrAnswered
	}
	return nil
}

// Fail returns what a handler is to return for an error. If the answer has begun
// the client is told there: send writes the error in the API's form.
func (t *Reply) Fail(err error, send func(e *Error) error) error {
	t.mu.Lock()
	begun := t.begun
	t.mu.Unlock()
	if !begun || errors.Is(err, ErrAnswered) { // the latter: the client has gone
		return err
	}
	e := Classify(stopped(t.r.Context(), err))
	noteFailure(t.r, e)
	if e.Status != statusClientClosed {
		if err := send(e); err != nil {
			return err
		}
	}
	return ErrAnswered
}

// Builder makes the answer of an API of what a model generates, and sends each
// part of it to a Reply as it comes.
type Builder[Piece any] interface {
	// Add takes what comes next.
	Add(Piece) error
	// End sends the end, and returns the whole answer.
	End() (any, error)
	// Fail sends an error that ends an answer in the middle.
	Fail(*Error) error
}

// Answer answers a request with what a builder makes of pieces.
func Answer[Piece any](t *Reply, pieces iter.Seq2[Piece, error], b Builder[Piece]) error {
	defer t.Close()
	for piece, err := range pieces {
		if err != nil {
			return t.Fail(err, b.Fail)
		}
		if err := b.Add(piece); err != nil {
			return err
		}
	}
	whole, err := b.End()
	if err != nil || t.form != Whole {
		return err
	}
	return WriteJSON(t.w, http.StatusOK, whole)
}
