// Package core is what the server's families of APIs share: the models and who
// may use them, the queue in front of each, limits, the record of every request,
// conversations, streams, and errors. A family translates: it reads a request in
// its wire format, asks core for the answer, and writes that in its own format.
// Programs use package server, which puts all of it together; what this package
// exports is for that and may change.
package core

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Server has the models and serves the routes of the families.
type Server struct {
	Options Options // with all defaults filled in
	Models  *Models
	Log     *slog.Logger
	Logs    *Logs // the last lines of Log
	Started time.Time
	// Generate is where the tokens of all jobs come from: the models, but in tests
	// of what families make of requests and tokens.
	Generate Generator

	guards   *guards
	about    aboutCache
	intake   *intake
	stopping chan struct{} // closed by Drain
	drain    sync.Once
	requests requestCounts
	ignored  ignoredLog
}

// ErrShuttingDown is what requests read that come too late or take too long
// for a server that stops.
var ErrShuttingDown = &Error{Status: http.StatusServiceUnavailable, Code: "shutting_down", Retry: time.Second,
	Message: "the server is shutting down"}

// New returns a server without routes. Its models are loaded by Load, or when
// they are asked for.
func New(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	logs := new(Logs)
	o.Log = logs.beside(o.Log)
	s := &Server{Options: o, Log: o.Log, Logs: logs, Started: time.Now(), Generate: generateFrom, stopping: make(chan struct{})}
	var err error
	if s.guards, err = newGuards(&s.Options); err != nil {
		return nil, err
	}
	if s.Models, err = newModels(&s.Options); err != nil {
		return nil, err
	}
	s.intake = s.Models.intake
	return s, nil
}

// Load loads the models that the options name.
func (s *Server) Load(ctx context.Context) error {
	s.Models.checkAliases()
	for _, name := range s.Options.Models {
		l, err := s.Models.Acquire(ctx, name)
		if err != nil {
			return fmt.Errorf("the model %s: %w", name, err)
		}
		l.Release()
	}
	return nil
}

// Drain makes the server refuse new requests; those that run may finish.
func (s *Server) Drain() { s.drain.Do(func() { close(s.stopping) }) }

// Local says that only programs of this machine reach the server. Pages of theirs may use
// it then, as with Ollama: those of localhost, and apps that are made of web pages.
func (s *Server) Local() { s.guards.local.Store(true) }

// SetKeys replaces the keys that the options named. Where requests had to have a key they
// still must: no keys at all are an error.
func (s *Server) SetKeys(api, admin []string, named ...Key) error {
	keys, err := newKeys(api, admin, named)
	if err != nil {
		return err
	}
	if s.guards.keys.Load().wanted && !keys.wanted {
		return fmt.Errorf("%w: there are no API keys any more, and everybody could use the server", ErrOptions)
	}
	s.guards.keys.Store(keys)
	return nil
}

// Draining reports whether the server is about to stop.
func (s *Server) Draining() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// Stopping returns a channel that is closed when the server is about to stop.
func (s *Server) Stopping() <-chan struct{} { return s.stopping }

// EachRequest calls f with how many requests of a route, by its pattern, were
// answered with a status. The pattern is empty for requests without a route.
func (s *Server) EachRequest(f func(pattern string, status int, n int64)) {
	s.requests.each(func(k requestKind, n int64) { f(k.pattern, k.status, n) })
}

// Close unloads the models. Running answers end with an error.
func (s *Server) Close() error {
	s.Drain()
	return s.Models.close()
}
