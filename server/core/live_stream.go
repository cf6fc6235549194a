package core

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// KeepAliveEvery is how long a stream of events may be silent before a comment
// shows that the server is there: while a prompt waits for its turn or is
// processed.
const KeepAliveEvery = 10 * time.Second

// LiveStream is a stream of events that is never silent for long. Its methods
// may be called by several goroutines.
type LiveStream struct {
	mu     sync.Mutex
	events *Stream
	last   time.Time // of the last piece
	ended  bool
	stop   chan struct{}
	done   chan struct{}
}

// NewLiveStream returns a stream for an answer. gone is called when the client
// has left. The stream must be closed before its handler returns.
func (s *Server) NewLiveStream(w http.ResponseWriter, every time.Duration, gone context.CancelFunc) *LiveStream {
	l := &LiveStream{events: s.NewEventStream(w), last: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	go l.beat(every, gone)
	return l
}

func (l *LiveStream) beat(every time.Duration, gone context.CancelFunc) {
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

// Event sends a JSON value as one event; name may be empty.
func (l *LiveStream) Event(name string, v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = time.Now()
	return l.events.Event(name, v)
}

// End sends what marks the end of OpenAI's streams.
func (l *LiveStream) End() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	return l.events.raw("", []byte("[DONE]"))
}

// Close ends the comments. Nothing may be sent afterwards.
func (l *LiveStream) Close() {
	close(l.stop)
	<-l.done
}

// Fail is Stream.Fail.
func (l *LiveStream) Fail(r *http.Request, err error, send func(e *Error) error) error {
	l.mu.Lock()
	begun := l.events.Begun
	l.mu.Unlock()
	if !begun {
		return err
	}
	return l.events.Fail(r, err, send)
}
