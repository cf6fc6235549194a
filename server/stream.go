package server

import (
	"net/http"
	"time"
)

// stream writes an answer that comes in pieces: server-sent events, or a JSON
// value a line. Every piece is sent at once. A client that does not take a piece
// within the time allowed is given up; until then it holds up nobody else.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	begun   bool
	kind    string // Content-Type
}

// newEventStream returns a stream of server-sent events.
func (s *Server) newEventStream(w http.ResponseWriter) *stream {
	return s.newStream(w, "text/event-stream")
}

// newLineStream returns a stream of JSON values, one a line.
func (s *Server) newLineStream(w http.ResponseWriter) *stream {
	return s.newStream(w, "application/x-ndjson")
}

func (s *Server) newStream(w http.ResponseWriter, kind string) *stream {
	return &stream{w: w, control: http.NewResponseController(w), timeout: s.options.WriteTimeout, kind: kind}
}

// line sends one JSON value and a line end.
func (t *stream) line(v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return t.send(data)
}

// event sends a JSON value as one server-sent event; name may be empty.
func (t *stream) event(name string, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return t.raw(name, data[:len(data)-1])
}

// raw sends text without line ends as one server-sent event.
func (t *stream) raw(name string, data []byte) error {
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
func (t *stream) comment(text string) error { return t.send([]byte(": " + text + "\n\n")) }

// send writes bytes. Its error says that the client has gone: there is nobody
// to tell about it.
func (t *stream) send(b []byte) error {
	if !t.begun {
		t.begun = true
		h := t.w.Header()
		h.Set("Content-Type", t.kind)
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // proxies are to pass pieces on
		t.w.WriteHeader(http.StatusOK)
	}
	if t.timeout > 0 {
		if err := t.control.SetWriteDeadline(time.Now().Add(t.timeout)); err != nil {
			return errAnswered
		}
	}
	if _, err := t.w.Write(b); err != nil {
		return errAnswered
	}
	if err := t.control.Flush(); err != nil {
		return errAnswered
	}
	return nil
}
