package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// keepAliveEvery is how long a stream of events may be silent before a comment
// shows that the server is there: while a prompt waits for its turn or is
// processed.
const keepAliveEvery = 10 * time.Second

// liveStream is a stream of events that is never silent for long. Its methods
// may be called by several goroutines.
type liveStream struct {
	mu     sync.Mutex
	events *stream
	last   time.Time // of the last piece
	ended  bool
	stop   chan struct{}
	done   chan struct{}
}

// newLiveStream returns a stream for an answer. gone is called when the client
// has left. The stream must be closed before its handler returns.
func (s *Server) newLiveStream(w http.ResponseWriter, every time.Duration, gone context.CancelFunc) *liveStream {
	l := &liveStream{events: s.newEventStream(w), last: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	go l.beat(every, gone)
	return l
}

func (l *liveStream) beat(every time.Duration, gone context.CancelFunc) {
	defer close(l.done)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
		l.mu.Lock()
		var err error
		if !l.ended && time.Since(l.last) >= every/2 {
			err = l.events.comment("keep-alive")
			l.last = time.Now()
		}
		l.mu.Unlock()
		if err != nil {
			gone()
			return
		}
	}
}

// event sends a JSON value as one event; name may be empty.
func (l *liveStream) event(name string, v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = time.Now()
	return l.events.event(name, v)
}

// end sends what marks the end of OpenAI's streams.
func (l *liveStream) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	return l.events.raw("", []byte("[DONE]"))
}

// close ends the comments. Nothing may be sent afterwards.
func (l *liveStream) close() {
	close(l.stop)
	<-l.done
}

// fail reports an error in the stream if it has begun, and returns what the
// handler is to return. send writes the error in the API's form.
func (l *liveStream) fail(r *http.Request, err error, send func(e *apiError) error) error {
	l.mu.Lock()
	begun := l.events.begun
	l.mu.Unlock()
	if !begun || errors.Is(err, errAnswered) { // the latter: the client has gone
		return err
	}
	e := classify(stopped(r.Context(), err))
	noteFailure(r, e)
	if e.status != statusClientClosed {
		if err := send(e); err != nil {
			return err
		}
	}
	return errAnswered
}
