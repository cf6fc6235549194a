package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"trit/hub"
)

// wire is a server on the demo model, as clients see it.
type wire struct {
	t      testing.TB
	url    string
	server *Server
}

// newWire starts a server with an empty store, away from the network.
func newWire(t testing.TB, o Options) *wire {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	t.Setenv(hub.RegistryEnv, "")
	t.Setenv("HF_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("HF_HOME", t.TempDir())
	for _, key := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"} {
		t.Setenv(key, "")
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		ts.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &wire{t: t, url: ts.URL, server: s}
}

// wireReply is an answer over HTTP.
type wireReply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// ask sends a request; a body that is no text is sent as JSON.
func (w *wire) ask(method, path string, body any, header ...string) *wireReply {
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
	r, err := http.NewRequest(method, w.url+path, in)
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
	return &wireReply{t: w.t, status: resp.StatusCode, header: resp.Header, body: data}
}

// into decodes the answer, which must have that status.
func (r *wireReply) into(status int, v any) {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %.500s", r.status, status, r.body)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		r.t.Fatalf("%v in %.500s", err, r.body)
	}
}

// wireLines decodes an answer of one JSON value a line.
func wireLines[T any](r *wireReply) []T {
	r.t.Helper()
	if got := r.header.Get("Content-Type"); r.status != 200 || got != "application/x-ndjson" {
		r.t.Fatalf("status %d, Content-Type %q: %.500s", r.status, got, r.body)
	}
	var out []T
	for text := bufio.NewScanner(bytes.NewReader(r.body)); text.Scan(); {
		var v T
		if err := json.Unmarshal(text.Bytes(), &v); err != nil {
			r.t.Fatalf("%v in %s", err, text.Bytes())
		}
		out = append(out, v)
	}
	return out
}

// wireEvent is one server-sent event.
type wireEvent struct {
	name string
	data map[string]any
}

// events decodes server-sent events.
func (r *wireReply) events() []wireEvent {
	r.t.Helper()
	if got := r.header.Get("Content-Type"); r.status != 200 || got != "text/event-stream" {
		r.t.Fatalf("status %d, Content-Type %q: %.500s", r.status, got, r.body)
	}
	var out []wireEvent
	for block := range strings.SplitSeq(strings.TrimSuffix(string(r.body), "\n\n"), "\n\n") {
		var e wireEvent
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				e.name = name
			} else if data, ok := strings.CutPrefix(line, "data: "); !ok {
				r.t.Fatalf("the line %q of an event", line)
			} else if err := json.Unmarshal([]byte(data), &e.data); err != nil {
				r.t.Fatalf("%v in %s", err, data)
			}
		}
		out = append(out, e)
	}
	return out
}

// jsonObject is JSON as tests write it.
type jsonObject = map[string]any

// greedyOptions makes answers repeatable and short.
func greedyOptions(n int) jsonObject { return jsonObject{"temperature": 0, "num_predict": n} }

var ollamaWeather = jsonObject{"type": "function", "function": jsonObject{
	"name": "get_weather", "description": "the weather of a city",
	"parameters": jsonObject{"type": "object", "properties": jsonObject{"city": jsonObject{"type": "string", "enum": []string{"Paris", "Rome"}}}, "required": []string{"city"}},
}}
