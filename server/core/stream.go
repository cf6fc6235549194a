package core

import (
	"errors"
	"net/http"
	"time"
)

// Stream writes an answer that comes in pieces: server-sent events, or a JSON
// value a line. Every piece is sent at once. A client that does not take a piece
// within the time allowed is given up; until then it holds up nobody else.
type Stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	Begun   bool
	kind    string // Content-Type
}

// NewEventStream returns a stream of server-sent events.
func (s *Server) NewEventStream(w http.ResponseWriter) *Stream {
	return s.newStream(w, "text/event-stream")
}

// NewLineStream returns a stream of JSON values, one a line.
func (s *Server) NewLineStream(w http.ResponseWriter) *Stream {
	return s.newStream(w, "application/x-ndjson")
}

func (s *Server) newStream(w http.ResponseWriter, kind string) *Stream {
	return &Stream{w: w, control: http.NewResponseController(w), timeout: s.Options.WriteTimeout, kind: kind}
}

// Line sends one JSON value and a line end.
func (t *Stream) Line(v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return t.send(data)
}

// Event sends a JSON value as one server-sent event; name may be empty.
func (t *Stream) Event(name string, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return t.raw(name, data[:len(data)-1])
}

// raw sends text without line ends as one server-sent event.
func (t *Stream) raw(name string, data []byte) error {
	var b []byte
	if name != "" {
		b = append(b, "event: "+name+"\n"...)
	}
	b = append(b, "data: "...)
	b = append(b, data...)
	return t.send(append(b, "\n\n"...))
}

// comment sends a line that clients ignore, which shows that the server is
// there.
func (t *Stream) comment(text string) error { return t.send([]byte(": " + text + "\n\n")) }

// Fail reports an error in the stream if it has begun, and returns what the
// handler is to return. send writes the error in the API's form.
func (t *Stream) Fail(r *http.Request, err error, send func(e *Error) error) error {
	if !t.Begun || errors.Is(err, ErrAnswered) { // the latter: the client has gone
		return err
	}
	e := Classify(stopped(r.Context(), err))
	noteFailure(r, e)
	if e.Status != statusClientClosed {
		if err := send(e); err != nil {
			return err
		}
	}
	return ErrAnswered
}

// send writes bytes. Its error says that the client has gone: there is nobody
// to tell about it.
func (t *Stream) send(b []byte) error {
	if !t.Begun {
		t.Begun = true
		h := t.w.Header()
		h.Set("Content-Type", t.kind)
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // proxies are to pass pieces on
		t.w.WriteHeader(http.StatusOK)
	}
	if t.timeout > 0 {
		if err := t.control.SetWriteDeadline(time.Now().Add(t.timeout)); err != nil {
			return ErrAnswered
		}
	}
	if _, err := t.w.Write(b); err != nil {
		return ErrAnswered
	}
	if err := t.control.Flush(); err != nil {
		return ErrAnswered
	}
	return nil
}
