// Package server answers HTTP requests with a model: the APIs of OpenAI, Ollama
// and Anthropic, the utilities of llama.cpp's server, health, metrics, and a
// web page to chat on.
//
//	s, err := server.New(server.Options{Models: []string{"demo"}})
//	if err != nil {
//		return err
//	}
//	listener, err := net.Listen("tcp", "127.0.0.1:8080")
//	if err != nil {
//		return err
//	}
//	return s.Serve(ctx, listener) // until ctx ends and the running answers are complete
//
// All requests for a model are computed together, in batches, and none of them
// changes what another one gets.
package server

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"trit"
)

// Options configure a server. The zero value serves the demo model.
type Options struct {
	// Models are the names or paths of the models that are loaded at the start;
	// none means the demo. The first is the one of requests that name no model.
	Models []string
	// Open are the options that every model is opened with.
	Open []trit.Option

	// Parallel is how many answers of a model are generated at a time, Queue how
	// many requests may wait for that; 0 means 8 and 64.
	Parallel int
	Queue    int

	// KeepAlive is how long a model that was loaded on demand stays without use;
	// 0 means 5 minutes, a negative time for ever.
	KeepAlive time.Duration
	// RequestTimeout bounds a request from its arrival to its end, WriteTimeout
	// how long a client may take to accept one piece of an answer; 0 means 10
	// minutes and 30 seconds.
	RequestTimeout time.Duration
	WriteTimeout   time.Duration

	// Log receives what the operator wants to know; nil means nothing.
	Log *slog.Logger
}

// Server is the HTTP server of some models.
type Server struct {
	options Options
	models  *models
	handler http.Handler
	log     *slog.Logger
}

var errShuttingDown = &apiError{status: http.StatusServiceUnavailable, code: "shutting_down", retry: time.Second,
	message: "the server is shutting down"}

// New returns a server. Its models are loaded by Serve.
func New(o Options) (*Server, error) {
	if len(o.Models) == 0 {
		o.Models = []string{"demo"}
	}
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	if o.Queue == 0 {
		o.Queue = 64
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 5 * time.Minute
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 10 * time.Minute
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{options: o, log: o.Log}
	s.models = newModels(&s.options)
	mux := http.NewServeMux()
	for _, routes := range [][]route{s.openAIRoutes(), s.responsesRoutes(), s.ollamaRoutes(), s.anthropicRoutes(), s.utilityRoutes(), s.operationRoutes()} {
		for _, rt := range routes {
			mux.Handle(rt.pattern, s.guard(&rt))
		}
	}
	s.handler = mux
	return s, nil
}

// Handler returns the server's endpoints, for programs that have an HTTP server
// of their own. Close must be called in the end.
func (s *Server) Handler() http.Handler { return s.handler }

// Close unloads the models.
func (s *Server) Close() error { return errors.Join(s.models.close()) }
