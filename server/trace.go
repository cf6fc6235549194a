package server

import (
	"errors"
	"net/http"
	"time"

	"trit/internal/engine"
	"trit/internal/inside"
	"trit/internal/profile"
	"trit/server/core"
)

// trace records what a model does for some seconds and sends it as a trace for
// Perfetto or Chrome. The query may have model and seconds.
func (s *operations) trace(w http.ResponseWriter, r *http.Request) error {
	d, err := traceDuration(r)
	if err != nil {
		return err
	}
	l, err := s.Models.Acquire(r.Context(), r.URL.Query().Get("model"))
	if err != nil {
		return err
	}
	defer l.Release()
	out := &traceWriter{w: w, control: http.NewResponseController(w), timeout: s.Options.WriteTimeout}
	err = profile.Record(r.Context(), inside.Of(l.Model).Scheduler, out, d)
	switch {
	case err == nil:
		return nil
	case out.begun:
		s.Log.Warn("a trace was not complete", "id", core.RequestID(r), "error", err)
		return core.ErrAnswered
	case errors.Is(err, engine.ErrTraced):
		return &core.Error{Status: http.StatusConflict, Code: "already_tracing", Retry: d,
			Message: "the model is being traced already; try again later"}
	}
	return err
}

// traceWriter sends a file as it is written.
type traceWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	begun   bool
}

func (t *traceWriter) Write(p []byte) (int, error) {
	if !t.begun {
		t.begun = true
		t.w.Header().Set("Content-Type", "application/json")
		t.w.Header().Set("Content-Disposition", `attachment; filename="trit-trace.json"`)
	}
	if err := t.control.SetWriteDeadline(time.Now().Add(t.timeout)); err != nil &&
		!errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return t.w.Write(p)
}
