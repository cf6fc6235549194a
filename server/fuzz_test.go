package server

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"trit"
)

// FuzzHandlers sends bodies to the endpoints of all families, up to the size that a server takes: a piece of the
// body is repeated until it is as long as that. None panics, and what is refused is refused as the client's fault.
func FuzzHandlers(f *testing.F) {
	patterns := slices.Sorted(maps.Keys(grownBodies))
	for i, pattern := range patterns {
		body := grownBodies[pattern]
		f.Add(uint(i), body, uint(0), uint(0), uint(0))
		for _, part := range []string{`"x"`, `{"type":"text","text":"x"}`, `{"role":"user","content":"x"}`, "x"} {
			if at := strings.Index(body, part); at >= 0 {
				f.Add(uint(i), body[:at]+part+","+body[at:], uint(at), uint(len(part)+1), uint(300))
			}
		}
	}
	for _, a := range attacks() {
		i, _ := slices.BinarySearch(patterns, "POST "+a.path)
		if len(a.body) < 1<<10 {
			f.Add(uint(i), a.body, uint(10), uint(4), uint(1<<16))
		}
	}
	s, err := New(Options{AllowDelete: true, Open: []trit.Option{trit.Threads(1)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Error(err)
		}
	})
	if err := s.Load(f.Context()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which uint, body string, at, length, times uint) {
		method, path, _ := strings.Cut(patterns[which%uint(len(patterns))], " ")
		at = min(at, uint(len(body)))
		piece := body[at:][:min(length, uint(len(body))-at)]
		if n := uint(len(piece)); n > 0 {
			body = body[:at] + strings.Repeat(piece, int(min(times, uint(s.core.Options.MaxBody)/n))) + body[at:]
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		req := httptest.NewRequestWithContext(ctx, method, path, bytes.NewReader([]byte(body)))
		req.Host = "127.0.0.1"
		req.Header.Set("Content-Type", "application/json")
		out := httptest.NewRecorder()
		s.handler.ServeHTTP(out, req)
		switch {
		case out.Code == http.StatusNotImplemented, out.Code == http.StatusGatewayTimeout, out.Code == http.StatusServiceUnavailable:
		case out.Code >= 500:
			t.Errorf("%s: %d %.500s", path, out.Code, out.Body)
		}
	})
}
