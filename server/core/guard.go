package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// Handler returns the server's endpoints. unknown says which family a client
// expects that asks for a path without a route.
func (s *Server) Handler(routes []Route, unknown func(path string) *Family) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.Handle(rt.Pattern, s.guard(&rt))
	}
	// What every request passes first, whether there is a route for it or not:
	// it gets an id, a record for the log, and is refused if a foreign web page
	// may have sent it.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec, r := begin(r, unknown(r.URL.Path))
		out := &response{ResponseWriter: w, rec: rec}
		out.Header().Set("X-Request-Id", rec.id)
		out.Header().Set("X-Content-Type-Options", "nosniff")
		defer s.finish(out, r, rec)
		if done, err := s.guards.origins(out, r); err != nil {
			s.refuse(out, r, rec.family, err)
			return
		} else if done {
			return
		}
		r = withPlainPath(r)
		handler, pattern := mux.Handler(r)
		if pattern == "" {
			s.refuse(out, r, rec.family, noRoute(handler, out, r))
			return
		}
		rec.pattern = pattern
		mux.ServeHTTP(out, r)
	})
}

// withPlainPath returns a request as if its path had no slash at its end and no two in a
// row: base URLs are often written so, and other servers take them. What begins with the
// page's folder is left alone.
func withPlainPath(r *http.Request) *http.Request {
	plain := path.Clean("/" + r.URL.Path)
	if plain == r.URL.Path || r.URL.RawPath != "" || strings.Contains(r.URL.Path, "/.") ||
		strings.HasPrefix(plain, "/ui") {
		return r
	}
	changed := *r
	changed.URL = new(url.URL)
	*changed.URL = *r.URL
	changed.URL.Path = plain
	return &changed
}

// guard is what a request passes before its route: keys, limits, deadlines.
func (s *Server) guard(rt *Route) http.Handler {
	next := rt.handler()
	timeout := &Error{Status: http.StatusGatewayTimeout, Code: "timeout",
		Message: fmt.Sprintf("the request took longer than %s, which is the %s of this server; "+
			"ask for fewer tokens", s.Options.RequestTimeout, s.Options.OptionName("request_timeout"))}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recordIn(r.Context()).family = rt.family(r)
		err := s.guards.admit(rt, r)
		if k := recordIn(r.Context()).known; k != nil {
			s.guards.tellQuotas(w.Header(), k, time.Now())
		}
		if err != nil {
			s.refuse(w, r, rt.family(r), err)
			return
		}
		if rt.Access != AccessOpen && s.Draining() {
			s.refuse(w, r, rt.family(r), ErrShuttingDown)
			return
		}
		if rt.Access == accessKey {
			// What an admin asks for, such as a download, may take hours.
			ctx, cancel := context.WithTimeoutCause(r.Context(), s.Options.RequestTimeout, timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		leave, err := s.accept(w, r, rt)
		if err != nil {
			s.refuse(w, r, rt.Family, err)
			return
		}
		defer leave()
		recordIn(r.Context()).leaveIntake = leave
		next.ServeHTTP(w, r)
	})
}

// refuse answers a request that does not reach its route.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f *Family, err error) {
	rt := &Route{Family: f}
	rt.fail(w, r, err)
}

// body is the body of a request, which has to arrive within a time.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	parts   bool // the time is that of each part
	begun   bool
}

func (b *body) Read(p []byte) (int, error) {
	if !b.begun || b.parts {
		b.begun = true
		b.deadline(time.Now().Add(b.timeout))
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
		return n, nil
	case isDeadline(err):
		return n, &Error{Status: http.StatusRequestTimeout, Code: "timeout",
			Message: fmt.Sprintf("the request's body did not arrive within %s", b.timeout)}
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
func noRoute(handler http.Handler, w http.ResponseWriter, r *http.Request) *Error {
	var probe probe
	handler.ServeHTTP(&probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.Header().Get("Allow"))
		return &Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
			Message: fmt.Sprintf("%s does not take %s; it takes %s", r.URL.Path, r.Method, probe.Header().Get("Allow"))}
	}
	return &Error{Status: http.StatusNotFound, Code: "not_found",
		Message: fmt.Sprintf("there is nothing at %s; GET /version lists what this server is, and docs/api.md all "+
			"endpoints", r.URL.Path)}
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

func (p *probe) WriteHeader(status int) { p.status = status }
