package server

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"
)

// operationRoutes are for those who run the server.
func (s *Server) operationRoutes() []route {
	return []route{
		{pattern: "GET /health", family: plainFamily, access: accessOpen, handle: s.health},
		{pattern: "GET /ready", family: plainFamily, access: accessOpen, handle: s.ready},
		{pattern: "GET /version", family: plainFamily, access: accessOpen, handle: s.version},
		{pattern: "GET /metrics", family: plainFamily, access: accessOpen, handle: s.metrics},
		{pattern: "POST /debug/trace", family: plainFamily, access: accessAdmin, handle: s.trace},
	}
}

// health says that the process answers; it depends on nothing else.
func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness is the answer of /ready.
type readiness struct {
	Status string       `json:"status"` // "ready", or what it waits for
	Reason string       `json:"reason,omitempty"`
	Models []modelReady `json:"models"`
}

type modelReady struct {
	Name     string     `json:"name"`
	State    modelState `json:"state"`
	Progress float64    `json:"progress"`
	Running  int        `json:"running"`
	Waiting  int        `json:"waiting"`
}

// ready says whether it makes sense to send requests: the server's own models
// are loaded, a queue has room, and the server is not about to stop.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	answer := readiness{Status: "ready", Models: []modelReady{}}
	full := 0
	for _, name := range s.options.Models {
		m := servedModel{Name: name}
		s.models.describe(&m)
		answer.Models = append(answer.Models, modelReady{m.Name, m.State, m.Progress, m.Running, m.Waiting})
		switch {
		case m.State != stateLoaded:
			answer.Status, answer.Reason = "loading", fmt.Sprintf("the model %s is %s", name, m.State)
		case s.models.full(name):
			full++
		}
	}
	if full > 0 && full == len(s.options.Models) {
		answer.Status, answer.Reason = "busy", "all queues are full"
	}
	if s.draining.Load() {
		answer.Status, answer.Reason = "stopping", errShuttingDown.message
	}
	status := http.StatusOK
	if answer.Status != "ready" {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	return writeJSON(w, status, answer)
}

// full reports whether a model would turn a request away.
func (ms *models) full(name string) bool {
	ms.mu.Lock()
	l := ms.loaded[name]
	ms.mu.Unlock()
	return l != nil && l.gate.full()
}

// versionInfo is the answer of /version.
type versionInfo struct {
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Revision string   `json:"revision,omitempty"`
	Go       string   `json:"go"`
	System   string   `json:"system"`
	Uptime   float64  `json:"uptime_seconds"`
	Models   []string `json:"models"`
}

func (s *Server) version(w http.ResponseWriter, r *http.Request) error {
	version, revision := Version()
	return writeJSON(w, http.StatusOK, versionInfo{
		Name: "trit", Version: version, Revision: revision, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Uptime: time.Since(s.started).Seconds(), Models: slices.Clone(s.options.Models),
	})
}

// Version returns the version of the program and the revision it was built from,
// as far as the build recorded them.
func Version() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	version = info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			revision = setting.Value
		}
	}
	return version, revision
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
		return 0, badRequest("seconds", "seconds is %q; want a number above 0 and up to %g", text, maxTrace.Seconds())
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
