package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

// front is what every request passes first, whether there is a route for it or
// not: it gets an id, a record for the log, and is refused if a foreign web page
// may have sent it.
func (s *Server) front(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &record{id: requestID(r.Header.Get("X-Request-Id")), start: time.Now()}
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		out := &response{ResponseWriter: w}
		out.Header().Set("X-Request-Id", rec.id)
		out.Header().Set("X-Content-Type-Options", "nosniff")
		defer s.finish(out, r, rec)
		if done, err := s.guards.origins(out, r); err != nil {
			s.refuse(out, r, pathFamily(r.URL.Path), err)
			return
		} else if done {
			return
		}
		handler, pattern := mux.Handler(r)
		if pattern == "" {
			s.refuse(out, r, pathFamily(r.URL.Path), noRoute(handler, out, r))
			return
		}
		rec.pattern = pattern
		mux.ServeHTTP(out, r)
	})
}

// guard is what a request passes before its route: keys, limits, deadlines.
func (s *Server) guard(rt *route) http.Handler {
	next := rt.handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rec := recordOf(r); rec != nil {
			rec.family = rt.family
		}
		if err := s.guards.admit(rt, r); err != nil {
			s.refuse(w, r, rt.family, err)
			return
		}
		if rt.access != accessOpen && s.draining.Load() {
			s.refuse(w, r, rt.family, errShuttingDown)
			return
		}
		if rt.access == accessKey {
			// What an admin asks for, such as a download, may take hours.
			ctx, cancel := context.WithTimeout(r.Context(), s.options.RequestTimeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &body{
				ReadCloser: http.MaxBytesReader(w, r.Body, s.options.MaxBody),
				control:    http.NewResponseController(w), timeout: s.options.ReadTimeout,
			}
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers a request that does not reach its route.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f *family, err error) {
	rt := &route{family: f}
	rt.fail(w, r, err)
}

// record is what the log says about a request. It belongs to the goroutines of
// the request, which write it one after the other.
type record struct {
	id      string
	start   time.Time
	pattern string
	family  *family
	key     string // which key, not the key itself
	client  string // that, or the address
	failure *apiError

	model             string
	prompt, generated atomic.Int64
}

type recordKey struct{}

// recordOf returns the record of a request; nil if it did not come through front.
func recordOf(r *http.Request) *record { return recordIn(r.Context()) }

func recordIn(ctx context.Context) *record {
	rec, _ := ctx.Value(recordKey{}).(*record)
	return rec
}

// clientIn returns who has sent a request, as far as it can be told.
func clientIn(ctx context.Context) string {
	if rec := recordIn(ctx); rec != nil {
		return rec.client
	}
	return ""
}

// requestIDOf returns the id of a request, which clients find in the header
// X-Request-Id.
func requestIDOf(r *http.Request) string {
	if rec := recordOf(r); rec != nil {
		return rec.id
	}
	return ""
}

// requestID returns the id that the client or a proxy gave, if it can stand in a
// log, or a new one.
func requestID(given string) string {
	valid := given != "" && len(given) <= 128
	for _, c := range []byte(given) {
		valid = valid && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.:/+=", c) >= 0)
	}
	if valid {
		return given
	}
	return rand.Text()
}

// noteFailure tells the log what a request was answered.
func noteFailure(r *http.Request, e *apiError) {
	if rec := recordOf(r); rec != nil {
		rec.failure = e
	}
}

// finish recovers from a panic of a handler and logs the request.
func (s *Server) finish(w *response, r *http.Request, rec *record) {
	cause := recover()
	cut := cause != nil
	if cut && cause != http.ErrAbortHandler { // that one is net/http's way to cut a connection
		e := &apiError{status: http.StatusInternalServerError, code: "internal_error",
			message: "something went wrong in the server; its log has the details under the request's id " + rec.id}
		rec.failure = e
		s.log.Error("panic", "id", rec.id, "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		if w.status == 0 {
			f := rec.family
			if f == nil {
				f = pathFamily(r.URL.Path)
			}
			f.writeError(w, e)
			cut = false
		}
	}
	s.logRequest(w, r, rec)
	if cut {
		// An answer that has begun cannot be taken back: the client is to see
		// that it is not complete.
		panic(http.ErrAbortHandler)
	}
}

// RequestInfo says what became of a request.
type RequestInfo struct {
	ID              string // as in the header X-Request-Id
	Method, Path    string
	Route           string // the pattern of the endpoint; empty if there is none
	Status          int
	Start           time.Time
	Duration        time.Duration
	Model           string // empty if the request is not about one
	PromptTokens    int64
	GeneratedTokens int64
	Error           string // what went wrong; empty if nothing did
}

// logRequest writes one line about a request that is over.
func (s *Server) logRequest(w *response, r *http.Request, rec *record) {
	if rec.failure == nil && (w.broken || errors.Is(r.Context().Err(), context.Canceled)) {
		rec.failure = errClientGone // in the middle of the answer
		if errors.Is(context.Cause(r.Context()), errShuttingDown) {
			rec.failure = errShuttingDown
		}
	}
	status, level := w.status, slog.LevelInfo
	if status == 0 {
		status = http.StatusOK // what net/http sends for an empty answer
		if rec.failure != nil {
			status = rec.failure.status // the client had gone
		}
	}
	s.requests.add(requestKind{rec.pattern, status})
	if s.options.OnRequest != nil {
		info := RequestInfo{
			ID: rec.id, Method: r.Method, Path: r.URL.Path, Route: rec.pattern, Status: status, Start: rec.start, Duration: time.Since(rec.start),
			Model: rec.model, PromptTokens: rec.prompt.Load(), GeneratedTokens: rec.generated.Load(),
		}
		if rec.failure != nil {
			info.Error = rec.failure.message
		}
		s.options.OnRequest(r.Context(), info)
	}
	switch {
	case status >= 500 || rec.failure != nil && rec.failure.status >= 500:
		level = slog.LevelError
	case rec.pattern == "GET /health" || rec.pattern == "GET /ready" || rec.pattern == "GET /metrics":
		level = slog.LevelDebug // they come every few seconds
	}
	ctx := r.Context()
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("id", rec.id), slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", status),
		slog.Duration("duration", time.Since(rec.start).Round(time.Microsecond)), slog.Int64("bytes", w.bytes), slog.String("client", r.RemoteAddr),
	}
	if rec.key != "" {
		attrs = append(attrs, slog.String("key", rec.key))
	}
	if rec.model != "" {
		attrs = append(attrs, slog.String("model", rec.model), slog.Int64("prompt_tokens", rec.prompt.Load()), slog.Int64("tokens", rec.generated.Load()))
	}
	if rec.failure != nil {
		attrs = append(attrs, slog.String("error", rec.failure.message))
	}
	s.log.LogAttrs(ctx, level, "request", attrs...)
}

// isTimeout reports whether a request has run out of time.
func isTimeout(ctx context.Context) bool { return errors.Is(ctx.Err(), context.DeadlineExceeded) }

// stopped returns errShuttingDown if that is what ended a request's context,
// and err otherwise.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), errShuttingDown) {
		return errShuttingDown
	}
	return err
}

// response notes what is sent to the client.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
	broken bool // the client does not take it
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	w.broken = w.broken || err != nil
	return n, err
}

// FlushError sends what has been written.
func (w *response) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.broken = w.broken || err != nil && !errors.Is(err, http.ErrNotSupported)
	return err
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// body is the body of a request, which has to arrive within a time.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	begun   bool
}

func (b *body) Read(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		b.deadline(time.Now().Add(b.timeout))
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
		return n, nil
	case isDeadline(err):
		return n, &apiError{status: http.StatusRequestTimeout, code: "timeout",
			message: fmt.Sprintf("the request's body did not arrive within %s", b.timeout)}
	}
	// net/http goes on reading, to learn when the client leaves.
	b.deadline(time.Time{})
	return n, err
}

// deadline sets the time by which the body must have come. Connections that
// have none, as in tests without a network, cannot hang either.
func (b *body) deadline(t time.Time) {
	if err := b.control.SetReadDeadline(t); err != nil && !errors.Is(err, http.ErrNotSupported) {
		b.timeout = 0 // the connection is gone; Read says so
	}
}

func isDeadline(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// noRoute says why there is no route for a request. handler is what ServeMux
// would answer. The methods that there are go into the answer's header.
func noRoute(handler http.Handler, w http.ResponseWriter, r *http.Request) *apiError {
	var probe probe
	handler.ServeHTTP(&probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.Header().Get("Allow"))
		return &apiError{status: http.StatusMethodNotAllowed, code: "method_not_allowed",
			message: fmt.Sprintf("%s does not take %s; it takes %s", r.URL.Path, r.Method, probe.Header().Get("Allow"))}
	}
	return &apiError{status: http.StatusNotFound, code: "not_found",
		message: fmt.Sprintf("there is nothing at %s; GET /version lists what this server is, and docs/api.md all endpoints", r.URL.Path)}
}

// probe is a response that only keeps the status.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }

// plainFamily reports errors of endpoints that belong to no API.
var plainFamily = &family{name: "plain", writeError: func(w http.ResponseWriter, e *apiError) {
	// An error in writing means that the client has gone.
	_ = writeJSON(w, e.status, map[string]any{"error": map[string]any{"message": e.message, "type": "error", "code": e.code}})
}}

// ollamaForm reports errors as Ollama does.
var ollamaForm = &family{name: "ollama", writeError: func(w http.ResponseWriter, e *apiError) {
	_ = writeJSON(w, e.status, map[string]string{"error": e.message})
}}

// pathFamily guesses what a client expects that asks for something that is not
// there.
func pathFamily(path string) *family {
	switch {
	case strings.HasPrefix(path, "/api/"):
		return ollamaForm
	case path == "/v1/messages" || strings.HasPrefix(path, "/v1/messages/"):
		return anthropicForm
	case strings.HasPrefix(path, "/v1/"):
		return openAIForm
	}
	return plainFamily
}
