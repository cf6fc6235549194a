package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"trit/internal/kernel"
	"trit/internal/version"
	"trit/server/anthropic"
	"trit/server/core"
	"trit/server/llamacpp"
	"trit/server/ollama"
	"trit/server/openai"
)

// docs are what the document says of the routes that belong to no API.
func docs() map[string]core.Doc {
	page := core.Doc{Summary: "The page to chat on"}
	return map[string]core.Doc{
		"GET /health":       {Summary: "Whether the process answers", Reply: map[string]string{}},
		"GET /ready":        {Summary: "Whether it makes sense to send requests", Reply: readiness{}},
		"GET /version":      {Summary: "What this server is", Reply: versionInfo{}},
		"GET /metrics":      {Summary: "Metrics in the text format of Prometheus"},
		"GET /openapi.json": {Summary: "This document", Reply: map[string]any{}},
		"GET /debug/logs":   {Summary: "The last lines of the log, each a JSON object", Query: []string{"lines", "follow"}},
		"POST /debug/trace": {Summary: "A trace of what a model does", Reply: map[string]any{}, Query: []string{"model", "seconds"}},
		"GET /{$}":          page, "GET /ui": page, "GET /ui/": page,
	}
}

// allDocs are what the document says of all routes.
func allDocs() map[string]core.Doc {
	all := docs()
	for _, more := range []map[string]core.Doc{openai.Docs(), ollama.Docs(), anthropic.Docs(), llamacpp.Docs()} {
		maps.Copy(all, more)
	}
	for other, of := range alsoAt {
		all[other] = all[of]
	}
	return all
}

// openAPI returns the handler of the document of all routes.
func openAPI(routes []core.Route) func(http.ResponseWriter, *http.Request) error {
	document := sync.OnceValues(func() ([]byte, error) {
		return core.OpenAPI(routes, allDocs(), version.Get().Version)
	})
	return func(w http.ResponseWriter, _ *http.Request) error {
		data, err := document()
		if err != nil {
			return err
		}
		return core.WriteJSON(w, http.StatusOK, json.RawMessage(data))
	}
}

// operations are the endpoints for those who run the server.
type operations struct{ *core.Server }

func operationRoutes(c *core.Server) []core.Route {
	s := &operations{c}
	return []core.Route{
		{Pattern: "GET /health", Family: core.PlainFamily, Access: core.AccessOpen, Handle: s.health},
		{Pattern: "GET /ready", Family: core.PlainFamily, Access: core.AccessOpen, Handle: s.ready},
		{Pattern: "GET /version", Family: core.PlainFamily, Access: core.AccessOpen, Handle: s.version},
		{Pattern: "GET /metrics", Family: core.PlainFamily, Access: core.AccessOpen, Handle: s.metrics},
		{Pattern: "GET /debug/logs", Family: core.PlainFamily, Access: core.AccessAdmin, Handle: s.logs},
		{Pattern: "POST /debug/trace", Family: core.PlainFamily, Access: core.AccessAdmin, Handle: s.trace},
	}
}

// health says that the process answers; it depends on nothing else.
func (s *operations) health(w http.ResponseWriter, r *http.Request) error {
	return core.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok", "kernels": kernel.Active().String()})
}

// readiness is the answer of /ready.
type readiness struct {
	Status string       `json:"status"` // "ready", or what it waits for
	Reason string       `json:"reason,omitempty"`
	Models []modelReady `json:"models"`
}

type modelReady struct {
	Name     string          `json:"name"`
	State    core.ModelState `json:"state"`
	Progress float64         `json:"progress"`
	Running  int             `json:"running"`
	Waiting  int             `json:"waiting"`
}

// ready says whether it makes sense to send requests: the server's own models
// are loaded, a queue has room, and the server is not about to stop.
func (s *operations) ready(w http.ResponseWriter, r *http.Request) error {
	answer := readiness{Status: "ready", Models: []modelReady{}}
	full := 0
	for _, name := range s.Options.Models {
		m := core.ServedModel{Name: name}
		s.Models.Describe(&m)
		answer.Models = append(answer.Models, modelReady{m.Name, m.State, m.Progress, m.Running, m.Waiting})
		switch {
		case m.State != core.StateLoaded:
			answer.Status, answer.Reason = "loading", fmt.Sprintf("the model %s is %s", name, m.State)
		case s.Models.Full(name):
			full++
		}
	}
	if full > 0 && full == len(s.Options.Models) {
		answer.Status, answer.Reason = "busy", "all queues are full"
	}
	if s.Draining() {
		answer.Status, answer.Reason = "stopping", core.ErrShuttingDown.Message
	}
	status := http.StatusOK
	if answer.Status != "ready" {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	return core.WriteJSON(w, status, answer)
}

// versionInfo is the answer of /version.
type versionInfo struct {
	Name string `json:"name"`
	version.Info
	Uptime float64  `json:"uptime_seconds"`
	Models []string `json:"models"`
}

func (s *operations) version(w http.ResponseWriter, r *http.Request) error {
	return core.WriteJSON(w, http.StatusOK, versionInfo{
		Name: "trit", Info: version.Get(),
		Uptime: time.Since(s.Started).Seconds(), Models: slices.Clone(s.Options.Models),
	})
}

// Bounds of the time that a trace may take.
const (
	defaultTrace = 2 * time.Second
	maxTrace     = time.Minute
)

// traceDuration reads the query's seconds.
func traceDuration(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("seconds")
	if text == "" {
		return defaultTrace, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0 && seconds <= maxTrace.Seconds()) {
		return 0, core.BadRequest("seconds", "seconds is %q; want a number above 0 and up to %g", text,
			maxTrace.Seconds())
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
