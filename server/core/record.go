package core

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trit/grammar"
)

// record is what is known of a request. It belongs to the goroutines of the
// request, which write it one after the other.
type record struct {
	id      string
	start   time.Time
	pattern string
	family  *Family // of the route, or what the path looks like
	key     string  // which key, not the key itself
	client  string  // that, or the address
	known   *Key    // nil if the request has none
	failure *Error

	keySalt   string // of the prefix cache: the key, where there are several
	cacheSalt string // what the request says beside it

	// leaveIntake gives back the room for the request's body; see taken.
	leaveIntake func()

	model string
	// prompt tokens, those of them that came from the prefix cache, and generated ones
	prompt, cached, generated atomic.Int64
	guessed, accepted         atomic.Int64 // tokens that were guessed ahead, and those of them that were right
	// begun and first are when work on the request began and its first token came, in
	// nanoseconds after start; 0 is never.
	begun, first atomic.Int64
	// schema says whether the answers satisfy schemas that they could not be held to: the worst of several.
	schema string

	ignored []string // what of the request is left out
}

// judge notes whether an answer satisfies its schemas.
func (rec *record) judge(cut bool, err error) {
	switch {
	case rec.schema == schemaInvalid:
	case errors.Is(err, grammar.ErrUndecided) || cut:
		rec.schema = schemaUndecided
	case err != nil:
		rec.schema = schemaInvalid
	case rec.schema == "":
		rec.schema = schemaValid
	}
}

// SchemaHeader says of an answer that is not streamed whether it satisfies a schema that it could not be held to.
const SchemaHeader = "X-Trit-Schema"

// The verdicts.
const (
	schemaValid     = "valid"
	schemaInvalid   = "invalid"
	schemaUndecided = "undecided"
)

type recordKey struct{}

// begin gives a request a record.
func begin(r *http.Request, family *Family) (*record, *http.Request) {
	rec := &record{id: requestID(r.Header.Get("X-Request-Id")), start: time.Now(), family: family}
	return rec, r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
}

// recordIn returns the record of a request. What did not come as one has an
// empty record, which nobody reads.
func recordIn(ctx context.Context) *record {
	if rec, ok := ctx.Value(recordKey{}).(*record); ok {
		return rec
	}
	return new(record)
}

// RequestID returns the id of a request, which clients find in the header
// X-Request-Id.
func RequestID(r *http.Request) string { return recordIn(r.Context()).id }

// requestID returns the id that the client or a proxy gave, if it can stand in a
// log, or a new one.
func requestID(given string) string {
	valid := given != "" && len(given) <= 128
	for _, c := range []byte(given) {
		valid = valid && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("-_.:/+=", c) >= 0)
	}
	if valid {
		return given
	}
	return rand.Text()
}

// noteFailure tells the log what a request was answered.
func noteFailure(r *http.Request, e *Error) { recordIn(r.Context()).failure = e }

// salt is what keeps the request apart from others in the prefix cache.
func (rec *record) salt() string {
	if rec.keySalt == "" && rec.cacheSalt == "" {
		return ""
	}
	return rec.keySalt + " " + rec.cacheSalt
}

// isTimeout reports whether a request has run out of time.
func isTimeout(ctx context.Context) bool { return errors.Is(ctx.Err(), context.DeadlineExceeded) }

// stopped returns why the server has ended a request's context, if it has, and
// err otherwise.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if e, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
			return e
		}
	}
	return err
}

// since notes in at, once, how long after the start of the request it is now.
func (rec *record) since(at *atomic.Int64) {
	if at.Load() == 0 {
		at.CompareAndSwap(0, max(1, int64(time.Since(rec.start))))
	}
}

// finish recovers from a panic of a handler and logs the request.
func (s *Server) finish(w *response, r *http.Request, rec *record) {
	cause := recover()
	cut := cause != nil
	if cut && cause != http.ErrAbortHandler { // that one is net/http's way to cut a connection
		e := &Error{Status: http.StatusInternalServerError, Code: "internal_error",
			Message: "something went wrong in the server; its log has the details under the request's id " + rec.id}
		rec.failure = e
		s.Log.Error("panic", "id", rec.id, "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(cause), "stack",
			string(debug.Stack()))
		if w.status == 0 {
			rec.family.WriteError(w, e)
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
	ID           string // as in the header X-Request-Id
	Method, Path string
	Route        string // the pattern of the endpoint; empty if there is none
	Status       int
	Start        time.Time
	Duration     time.Duration
	// Begun and FirstToken are the times from Start until a place for the request was free,
	// and until its first token came; 0 if that did not happen.
	Begun, FirstToken time.Duration
	Model             string // empty if the request is not about one
	PromptTokens      int64
	GeneratedTokens   int64
	// GuessedTokens were guessed ahead, and AcceptedTokens of them were right.
	GuessedTokens, AcceptedTokens int64

	Error string // what went wrong; empty if nothing did
	// TraceParent and TraceState are the request's headers of these names, which say what
	// trace it belongs to (W3C Trace Context).
	TraceParent, TraceState string
}

// logRequest writes one line about a request that is over.
func (s *Server) logRequest(w *response, r *http.Request, rec *record) {
	if rec.failure == nil && (w.broken || errors.Is(r.Context().Err(), context.Canceled)) {
		rec.failure = errClientGone // in the middle of the answer
		if errors.Is(context.Cause(r.Context()), ErrShuttingDown) {
			rec.failure = ErrShuttingDown
		}
	}
	status, level := w.status, slog.LevelInfo
	if status == 0 {
		status = http.StatusOK // what net/http sends for an empty answer
		if rec.failure != nil {
			status = rec.failure.Status // the client had gone
		}
	}
	s.requests.add(requestKind{rec.pattern, status})
	if rec.known != nil {
		s.guards.spent(rec.known, rec.prompt.Load(), rec.generated.Load())
	}
	s.logIgnored(rec)
	if s.Options.OnRequest != nil {
		info := RequestInfo{
			ID: rec.id, Method: r.Method, Path: r.URL.Path, Route: rec.pattern, Status: status, Start: rec.start,
			Duration: time.Since(rec.start),
			Begun:    time.Duration(rec.begun.Load()), FirstToken: time.Duration(rec.first.Load()),
			Model: rec.model, PromptTokens: rec.prompt.Load(), GeneratedTokens: rec.generated.Load(),
			GuessedTokens: rec.guessed.Load(), AcceptedTokens: rec.accepted.Load(),
			TraceParent: r.Header.Get("Traceparent"), TraceState: r.Header.Get("Tracestate"),
		}
		if rec.failure != nil {
			info.Error = rec.failure.Message
		}
		s.Options.OnRequest(r.Context(), info)
	}
	switch {
	case isProbe(rec.pattern): // which ask again and again while a model is loaded
		level = slog.LevelDebug
	case status >= 500 || rec.failure != nil && rec.failure.Status >= 500:
		level = slog.LevelError
	}
	ctx := r.Context()
	if !s.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("id", rec.id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", status),
		slog.Duration("duration", time.Since(rec.start).Round(time.Microsecond)), slog.Int64("bytes", w.bytes),
		slog.String("client", r.RemoteAddr),
	}
	if agent := r.UserAgent(); agent != "" {
		attrs = append(attrs, slog.String("user_agent", strings.ToValidUTF8(agent[:min(len(agent), mostAgent)], "")))
	}
	if rec.key != "" {
		attrs = append(attrs, slog.String("key", rec.key))
	}
	if rec.model != "" {
		attrs = append(attrs, slog.String("model", rec.model), slog.Int64("prompt_tokens", rec.prompt.Load()),
			slog.Int64("cached_tokens", rec.cached.Load()), slog.Int64("tokens", rec.generated.Load()))
		if n := rec.guessed.Load(); n > 0 {
			attrs = append(attrs, slog.Int64("guessed_tokens", n), slog.Int64("accepted_tokens", rec.accepted.Load()))
		}
	}
	for _, step := range []struct {
		name string
		at   int64
	}{{"queued", rec.begun.Load()}, {"first_token", rec.first.Load()}} {
		if step.at > 0 {
			attrs = append(attrs, slog.Duration(step.name, time.Duration(step.at).Round(time.Microsecond)))
		}
	}
	if rec.schema != "" {
		attrs = append(attrs, slog.String("schema", rec.schema))
	}
	if rec.failure != nil {
		attrs = append(attrs, slog.String("error", rec.failure.Message))
	}
	s.Log.LogAttrs(ctx, level, "request", attrs...)
}

// mostAgent is how many bytes of a client's name the log takes.
const mostAgent = 200

// response notes what is sent to the client.
type response struct {
	http.ResponseWriter
	rec    *record
	status int
	bytes  int64
	broken bool // the client does not take it
}

func (w *response) WriteHeader(status int) {
	if w.rec != nil && w.rec.schema != "" {
		w.Header().Set(SchemaHeader, w.rec.schema)
	}
	if w.rec != nil && len(w.rec.ignored) > 0 && status >= 200 {
		w.Header().Set(IgnoredHeader, w.rec.ignoredHeader())
	}
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
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

// requestCounts count requests by what they asked for and what they got.
type requestCounts struct {
	mu sync.Mutex
	n  map[requestKind]int64
}

type requestKind struct {
	pattern string // of the route; empty if there is none
	status  int
}

func (c *requestCounts) add(k requestKind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[requestKind]int64{}
	}
	c.n[k]++
}

func (c *requestCounts) each(f func(requestKind, int64)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, n := range c.n {
		f(k, n)
	}
}
