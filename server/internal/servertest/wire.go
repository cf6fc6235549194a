// Package servertest runs endpoints of the server on the demo model for the
// tests of the families.
package servertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"trit"
	"trit/hub"
	"trit/internal/fakehub"
	"trit/server/core"
)

// Wire is a server on the demo model, as clients see it.
type Wire struct {
	t      testing.TB
	URL    string
	Server *core.Server
}

// NewWire starts a server of one family with an empty store, away from the
// network.
func NewWire(t testing.TB, o core.Options, routes func(*core.Server) []core.Route) *Wire {
	t.Helper()
	fakehub.Isolate(t, hub.HomeEnv, hub.RegistryEnv)
	s, err := core.New(o)
	if err != nil {
		t.Fatal(err)
	}
	endpoints := routes(s)
	ts := httptest.NewServer(s.Handler(endpoints, func(string) *core.Family { return endpoints[0].Family }))
	t.Cleanup(func() {
		ts.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Wire{t: t, URL: ts.URL, Server: s}
}

// Reply is an answer over HTTP.
type Reply struct {
	t      testing.TB
	Status int
	Header http.Header
	Body   []byte
}

// Ask sends a request; a body that is no text is sent as JSON.
func (w *Wire) Ask(method, path string, body any, header ...string) *Reply {
	w.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		in = bytes.NewReader(data)
	}
	r, err := http.NewRequest(method, w.URL+path, in)
	if err != nil {
		w.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return &Reply{t: w.t, Status: resp.StatusCode, Header: resp.Header, Body: data}
}

// Into decodes the answer, which must have that status.
func (r *Reply) Into(status int, v any) {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("status %d, want %d: %.500s", r.Status, status, r.Body)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(r.Body, v); err != nil {
		r.t.Fatalf("%v in %.500s", err, r.Body)
	}
}

// Lines decodes an answer of one JSON value a line.
func Lines[T any](r *Reply) []T {
	r.t.Helper()
	if got := r.Header.Get("Content-Type"); r.Status != 200 || got != "application/x-ndjson" {
		r.t.Fatalf("status %d, Content-Type %q: %.500s", r.Status, got, r.Body)
	}
	var out []T
	for text := bufio.NewScanner(bytes.NewReader(r.Body)); text.Scan(); {
		var v T
		if err := json.Unmarshal(text.Bytes(), &v); err != nil {
			r.t.Fatalf("%v in %s", err, text.Bytes())
		}
		out = append(out, v)
	}
	return out
}

// Event is one server-sent event.
type Event struct {
	Name string
	Data map[string]any
}

// Events decodes server-sent events.
func (r *Reply) Events() []Event {
	r.t.Helper()
	if got := r.Header.Get("Content-Type"); r.Status != 200 || got != "text/event-stream" {
		r.t.Fatalf("status %d, Content-Type %q: %.500s", r.Status, got, r.Body)
	}
	var out []Event
	for block := range strings.SplitSeq(strings.TrimSuffix(string(r.Body), "\n\n"), "\n\n") {
		var e Event
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				e.Name = name
			} else if data, ok := strings.CutPrefix(line, "data: "); !ok {
				r.t.Fatalf("the line %q of an event", line)
			} else if err := json.Unmarshal([]byte(data), &e.Data); err != nil {
				r.t.Fatalf("%v in %s", err, data)
			}
		}
		out = append(out, e)
	}
	return out
}

// Object is JSON as tests write it.
type Object = map[string]any

// Greedy makes answers repeatable and short.
func Greedy(n int) Object { return Object{"temperature": 0, "num_predict": n} }

var Weather = Object{"type": "function", "function": Object{
	"name": "get_weather", "description": "the weather of a city",
	"parameters": Object{"type": "object", "properties": Object{"city": Object{"type": "string",
		"enum": []string{"Paris", "Rome"}}}, "required": []string{"city"}},
}}

// Tokens makes a generation of texts; the last one ends it.
func Tokens(texts ...string) core.Generator { return EndedBy(trit.FinishStop, texts...) }

// EndedBy is Tokens with another end.
func EndedBy(end trit.Finish, texts ...string) core.Generator {
	return func(context.Context, *core.Job, []trit.GenerateOption) iter.Seq2[trit.Token, error] {
		return func(yield func(trit.Token, error) bool) {
			for i, text := range texts {
				token := trit.Token{Text: text}
				if i == len(texts)-1 {
					token.Finish = end
				}
				if !yield(token, nil) {
					return
				}
			}
		}
	}
}

// BreakingOff is a generation that fails after the word "one".
func BreakingOff(context.Context, *core.Job, []trit.GenerateOption) iter.Seq2[trit.Token, error] {
	return func(yield func(trit.Token, error) bool) {
		if yield(trit.Token{Text: "one"}, nil) {
			yield(trit.Token{}, &core.Error{Status: http.StatusServiceUnavailable, Message: "the memory is gone"})
		}
	}
}

// Decode reads a body into v as the server does, and reports whether it could. An
// error must be one of the client's.
func Decode(t testing.TB, body []byte, v any) bool {
	t.Helper()
	err := core.ReadJSON(httptest.NewRequest("POST", "/", bytes.NewReader(body)), v)
	if err == nil {
		return true
	}
	if e := core.Classify(err); e.Status < 400 || e.Status >= 500 || e.Message == "" {
		t.Errorf("%T: status %d: %s", v, e.Status, e.Message)
	}
	return false
}

// Copies puts copies of the demo model into a store of the test.
func Copies(t testing.TB, names ...string) {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	for _, name := range names {
		if _, err := hub.Copy(context.Background(), "demo", name, false); err != nil {
			t.Fatal(err)
		}
	}
}
