package openai

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	_ "trit/demo"
	"trit/server/core"
)

// openAIServer is a server with the demo model, whose answers are checked
// against the published description of the API as far as that is there.
type openAIServer struct {
	testing.TB
	server *core.Server
	url    string
}

func newOpenAIServer(t testing.TB, o core.Options) *openAIServer {
	t.Helper()
	s, err := core.New(o)
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s.Handler(Routes(s), unknown))
	t.Cleanup(func() {
		hs.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &openAIServer{t, s, hs.URL}
}

// model returns the server's model.
func (s *openAIServer) model() *core.Lease {
	s.Helper()
	l, err := s.server.Models.Acquire(s.Context(), "")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(l.Release)
	return l
}

// unknown is the family of paths without a route.
func unknown(string) *core.Family { return Family }

type object = map[string]any

// send sends a request; body is JSON text or a value.
func (s *openAIServer) send(method, path string, body any) *http.Response {
	s.Helper()
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			s.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+path, bytes.NewReader(data))
	if err != nil {
		s.Fatal(err)
	}
	if data != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { res.Body.Close() })
	return res
}

// call sends a request that is answered with one JSON value, and checks that
// against the description.
func (s *openAIServer) call(method, path string, body any) (int, object) {
	s.Helper()
	res := s.send(method, path, body)
	data, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	var out object
	if err := json.Unmarshal(data, &out); err != nil {
		s.Fatalf("%s %s: %d: %v in %q", method, path, res.StatusCode, err, data)
	}
	if res.Header.Get("Content-Type") != "application/json" {
		s.Errorf("%s %s: Content-Type is %q", method, path, res.Header.Get("Content-Type"))
	}
	schema := answerSchemas[strings.Split(path, "?")[0]]
	if res.StatusCode != http.StatusOK {
		schema = "ErrorResponse"
	}
	checkSchema(s, schema, out)
	return res.StatusCode, out
}

// post sends a request that must succeed.
func (s *openAIServer) post(path string, body any) object {
	s.Helper()
	status, out := s.call("POST", path, body)
	if status != http.StatusOK {
		s.Fatalf("POST %s: %d %v", path, status, out)
	}
	return out
}

// sseEvent is one server-sent event.
type sseEvent struct {
	name string
	data object
	done bool // [DONE]
}

// events sends a request that is answered with a stream of events, and checks
// each against the description.
func (s *openAIServer) events(path string, body any) []sseEvent {
	s.Helper()
	res := s.send("POST", path, body)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		data, _ := io.ReadAll(res.Body)
		s.Fatalf("POST %s: %d, %s: %s", path, res.StatusCode, res.Header.Get("Content-Type"), data)
	}
	events := readEvents(s, res.Body)
	for i, e := range events {
		switch last := i == len(events)-1; {
		case e.done != (last && path != "/v1/responses"):
			s.Errorf("POST %s: event %d of %d, done: %t", path, i+1, len(events), e.done)
		case e.done:
		case e.data["error"] != nil:
			checkSchema(s, "ErrorResponse", e.data)
		case path == "/v1/responses":
			checkSchema(s, eventSchemas[e.name], e.data)
		default:
			checkSchema(s, chunkSchemas[path], e.data)
		}
	}
	return events
}

func readEvents(t testing.TB, r io.Reader) []sseEvent {
	t.Helper()
	var events []sseEvent
	var e sseEvent
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == "":
			if e.data != nil || e.done {
				events = append(events, e)
			}
			e = sseEvent{}
		case strings.HasPrefix(line, ":"):
		case strings.HasPrefix(line, "event: "):
			e.name = line[len("event: "):]
		case line == "data: [DONE]":
			e.done = true
		case strings.HasPrefix(line, "data: "):
			if err := json.Unmarshal([]byte(line[len("data: "):]), &e.data); err != nil {
				t.Fatalf("event %q: %v", line, err)
			}
		default:
			t.Fatalf("a line of a stream is %q", line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return events
}

// at follows keys and indexes into a JSON value.
func jsonAt(t testing.TB, v any, path ...any) any {
	t.Helper()
	for i, step := range path {
		switch step := step.(type) {
		case string:
			o, ok := v.(object)
			if !ok {
				t.Fatalf("%v: no object but %v", path[:i], v)
			}
			v = o[step]
		case int:
			l, ok := v.([]any)
			if !ok || step >= len(l) {
				t.Fatalf("%v: no element %d in %v", path[:i], step, v)
			}
			v = l[step]
		}
	}
	return v
}

func jsonString(t testing.TB, v any, path ...any) string {
	t.Helper()
	s, ok := jsonAt(t, v, path...).(string)
	if !ok {
		t.Fatalf("%v is no string but %v", path, jsonAt(t, v, path...))
	}
	return s
}

func jsonNumber(t testing.TB, v any, path ...any) float64 {
	t.Helper()
	n, ok := jsonAt(t, v, path...).(float64)
	if !ok {
		t.Fatalf("%v is no number but %v", path, jsonAt(t, v, path...))
	}
	return n
}

func jsonList(t testing.TB, v any, path ...any) []any {
	t.Helper()
	l, ok := jsonAt(t, v, path...).([]any)
	if !ok {
		t.Fatalf("%v is no array but %v", path, jsonAt(t, v, path...))
	}
	return l
}

// with returns an object with further fields.
func with(o object, more ...any) object {
	out := object{}
	for k, v := range o {
		out[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}

var hello = object{"model": "demo", "messages": []any{object{"role": "user", "content": "Tell me about a dog."}}, "max_tokens": 12, "temperature": 0}

var story = object{"model": "demo", "prompt": "Once upon a time", "max_tokens": 12, "temperature": 0}

// schema is one that the demo model cannot meet by chance.
var weatherSchema = object{
	"type": "object", "additionalProperties": false, "required": []any{"city", "days"},
	"properties": object{"city": object{"type": "string", "maxLength": 12}, "days": object{"type": "integer", "minimum": 1, "maximum": 9}},
}

var weatherTool = object{"type": "function", "function": object{"name": "get_weather", "description": "The weather.", "parameters": weatherSchema}}

var clockTool = object{"type": "function", "function": object{"name": "get_time"}}
