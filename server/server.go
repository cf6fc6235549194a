// Package server answers HTTP requests with a model: the APIs of OpenAI, Ollama
// and Anthropic, that of llama.cpp's server, health, metrics, and a web page to
// chat on.
//
//	import _ "trit/demo" // the model of that name
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
//
// This package puts the parts together. Package core has what all APIs share:
// models, the queue, access, limits, streams and errors. Each family of APIs is
// a package that translates between its wire format and core.
package server

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"trit/internal/version"
	"trit/server/anthropic"
	"trit/server/core"
	"trit/server/llamacpp"
	"trit/server/ollama"
	"trit/server/openai"
)

// Options configure a server. The zero value serves the demo model to programs
// on the same machine.
type Options = core.Options

// RequestInfo says what became of a request; see Options.OnRequest.
type RequestInfo = core.RequestInfo

// Key is a key with a name and quotas.
type Key = core.Key

// Quota is how much the holder of a key may have in a time.
type Quota = core.Quota

// KeyHash returns the hash by which a key is known.
func KeyHash(key string) [32]byte { return core.KeyHash(key) }

// ParseKey reads a line of a file of keys: a key alone, or its name, the key or "sha256:" and its
// hash in hexadecimal digits, and quotas such as requests=60/minute and tokens=100000/day.
func ParseKey(line string) (Key, error) { return core.ParseKey(line) }

// ErrOptions reports options that make no sense.
var ErrOptions = core.ErrOptions

// Version returns the version of Trit, as /version says it.
func Version() string { return version.Get().Version }

// Server is the HTTP server of some models.
type Server struct {
	core    *core.Server
	handler http.Handler
	routes  []core.Route
}

// New returns a server. Its models are loaded by Load or Serve, or when they are
// asked for.
func New(o Options) (*Server, error) {
	c, err := core.New(o)
	if err != nil {
		return nil, err
	}
	routes := slices.Concat(openai.Routes(c), ollama.Routes(c), anthropic.Routes(c), llamacpp.Routes(c),
		operationRoutes(c), pageRoutes())
	for i := range routes {
		if strings.HasPrefix(routes[i].Pattern, "GET /v1/models") {
			routes[i].FamilyOf = modelsFamily
		}
	}
	routes = append(routes, otherPaths(routes)...)
	document := core.Route{Pattern: "GET /openapi.json", Family: core.PlainFamily, Access: core.AccessOpen}
	document.Handle = openAPI(append(routes, document))
	routes = append(routes, document)
	return &Server{core: c, handler: c.Handler(routes, pathFamily), routes: routes}, nil
}

// Load loads the models that the options name.
func (s *Server) Load(ctx context.Context) error { return s.core.Load(ctx) }

// Handler returns the server's endpoints, for programs that have an HTTP server
// of their own. Close must be called in the end.
func (s *Server) Handler() http.Handler { return s.handler }

// Close unloads the models. Running answers end with an error.
func (s *Server) Close() error { return s.core.Close() }

// SetKeys replaces the API keys and admin keys that the options named, for requests that
// come from now on. A server that wanted keys goes on to do so: none are an error.
func (s *Server) SetKeys(api, admin []string, named ...Key) error {
	return s.core.SetKeys(api, admin, named...)
}

// SetAliases replaces the aliases that the options named, for requests that come from now on. A file
// that was not served before is not loaded for them: it is an error.
func (s *Server) SetAliases(aliases map[string]string) error { return s.core.SetAliases(aliases) }

// httpLog passes what net/http has to say on to the server's log.
func (s *Server) httpLog() *log.Logger {
	if !s.core.Log.Enabled(context.Background(), slog.LevelDebug) {
		return log.New(io.Discard, "", 0)
	}
	return slog.NewLogLogger(s.core.Log.Handler(), slog.LevelDebug)
}
