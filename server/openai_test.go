package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"trit/tokenizer"
)

// openAIServer is a server with the demo model, whose answers are checked
// against the published description of the API as far as that is there.
type openAIServer struct {
	testing.TB
	server *Server
	url    string
}

func newOpenAIServer(t testing.TB, o Options) *openAIServer {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		hs.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &openAIServer{t, s, hs.URL}
}

// model returns the server's model.
func (s *openAIServer) model() *lease {
	s.Helper()
	l, err := s.server.models.acquire(s.Context(), "")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(l.release)
	return l
}

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
	for _, e := range events {
		switch {
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

func TestChat(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	out := s.post("/v1/chat/completions", hello)
	if !strings.HasPrefix(jsonString(t, out, "id"), "chatcmpl-") || jsonString(t, out, "object") != "chat.completion" || jsonString(t, out, "model") != "demo" || !strings.HasPrefix(jsonString(t, out, "system_fingerprint"), "fp_") {
		t.Errorf("the answer is %v", out)
	}
	if d := time.Since(time.Unix(int64(jsonNumber(t, out, "created")), 0)); d < -time.Second || d > time.Minute {
		t.Errorf("created %v ago", d)
	}
	text := jsonString(t, out, "choices", 0, "message", "content")
	if text == "" || strings.HasPrefix(text, " ") || jsonString(t, out, "choices", 0, "finish_reason") != "length" {
		t.Errorf("the choice is %v", jsonAt(t, out, "choices", 0))
	}
	if n := jsonNumber(t, out, "usage", "completion_tokens"); n != 12 {
		t.Errorf("%v completion tokens", n)
	}
	if jsonNumber(t, out, "usage", "total_tokens") != 12+jsonNumber(t, out, "usage", "prompt_tokens") || jsonNumber(t, out, "timings", "predicted_n") != 12 || jsonNumber(t, out, "timings", "predicted_per_second") <= 0 {
		t.Errorf("usage %v, timings %v", out["usage"], out["timings"])
	}
	// The same in pieces.
	var streamed strings.Builder
	var finish any
	events := s.events("/v1/chat/completions", with(hello, "stream", true, "stream_options", object{"include_usage": true}))
	for i, e := range events {
		switch {
		case i == 0:
			if jsonString(t, e.data, "choices", 0, "delta", "role") != "assistant" {
				t.Errorf("the first piece is %v", e.data)
			}
		case i == len(events)-1:
			if !e.done {
				t.Errorf("the last event is %v", e)
			}
		case i == len(events)-2:
			if len(jsonList(t, e.data, "choices")) != 0 || jsonNumber(t, e.data, "usage", "completion_tokens") != 12 {
				t.Errorf("the usage is %v", e.data)
			}
		case i == len(events)-3:
			finish = jsonAt(t, e.data, "choices", 0, "finish_reason")
			if jsonNumber(t, e.data, "timings", "predicted_n") != 12 {
				t.Errorf("the end is %v", e.data)
			}
		default:
			streamed.WriteString(jsonString(t, e.data, "choices", 0, "delta", "content"))
			if usage, there := e.data["usage"]; !there || usage != nil {
				t.Errorf("usage of a piece is %v", usage)
			}
		}
		if !e.done && e.data["id"] != events[0].data["id"] {
			t.Errorf("the id changes to %v", e.data["id"])
		}
	}
	if streamed.String() != text || finish != "length" {
		t.Errorf("streamed %q (%v), want %q", &streamed, finish, text)
	}
}

// TestChatFields tries one field after the other.
func TestChatFields(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	plain := jsonString(t, s.post("/v1/chat/completions", hello), "choices", 0, "message", "content")
	model := s.model()
	first := model.Model.Tokenizer().Encode(plain)
	id := fmt.Sprint(first[len(first)-1])
	for _, test := range []struct {
		name  string
		extra []any
		check func(t *testing.T, out object)
	}{
		{"max_completion_tokens", []any{"max_completion_tokens", 3}, func(t *testing.T, out object) {
			if n := jsonNumber(t, out, "usage", "completion_tokens"); n != 3 {
				t.Errorf("%v tokens", n)
			}
		}},
		{"n_predict", []any{"max_tokens", nil, "n_predict", 4}, func(t *testing.T, out object) {
			if n := jsonNumber(t, out, "usage", "completion_tokens"); n != 4 {
				t.Errorf("%v tokens", n)
			}
		}},
		{"null is absent", []any{"stop", nil, "seed", nil, "logit_bias", nil, "tools", nil, "tool_choice", nil, "response_format", nil, "n", nil, "top_p", nil, "stream", nil, "stream_options", nil, "grammar", nil, "samplers", nil}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain {
				t.Errorf("%q, want %q", got, plain)
			}
		}},
		{"ignored", []any{"user", "me", "store", true, "metadata", object{"a": "b"}, "service_tier", "flex", "cache_prompt", false, "unheard_of", 1, "reasoning_effort", "low"}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain {
				t.Errorf("%q, want %q", got, plain)
			}
		}},
		{"stop", []any{"stop", plain[4:8]}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain[:strings.Index(plain, plain[4:8])] || jsonString(t, out, "choices", 0, "finish_reason") != "stop" {
				t.Errorf("%q of %q", got, plain)
			}
		}},
		{"several stops", []any{"stop", []string{"nowhere", plain[6:9]}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain[:strings.Index(plain, plain[6:9])] {
				t.Errorf("%q of %q", got, plain)
			}
		}},
		{"stop token", []any{"stop_token_ids", []any{first[len(first)-1]}}, func(t *testing.T, out object) {
			got := jsonString(t, out, "choices", 0, "message", "content")
			if got == plain || !strings.HasPrefix(plain, got) || jsonString(t, out, "choices", 0, "finish_reason") != "stop" {
				t.Errorf("%q of %q", got, plain)
			}
		}},
		{"n", []any{"n", 3, "temperature", 1, "seed", 5}, func(t *testing.T, out object) {
			texts := map[string]bool{}
			for i, c := range jsonList(t, out, "choices") {
				texts[jsonString(t, c, "message", "content")] = true
				if jsonNumber(t, c, "index") != float64(i) {
					t.Errorf("choice %d is %v", i, c)
				}
			}
			if len(texts) != 3 || jsonNumber(t, out, "usage", "completion_tokens") != 36 {
				t.Errorf("the texts are %v, the usage %v", texts, out["usage"])
			}
		}},
		{"logit_bias", []any{"logit_bias", object{id: -100}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got == plain {
				t.Errorf("nothing changed: %q", got)
			}
		}},
		{"logit_bias of llama.cpp", []any{"logit_bias", []any{[]any{first[len(first)-1], false}, []any{"zebra", -1}}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got == plain {
				t.Errorf("nothing changed: %q", got)
			}
		}},
		{"allowed_token_ids", []any{"allowed_token_ids", []any{first[len(first)-1]}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); strings.TrimSpace(strings.ReplaceAll(got, strings.TrimSpace(model.Model.Detokenize(first[len(first)-1:])), "")) != "" {
				t.Errorf("%q", got)
			}
		}},
		{"penalties", []any{"frequency_penalty", 2, "presence_penalty", 2, "repetition_penalty", 1.5, "repeat_last_n", -1, "max_tokens", 40}, func(t *testing.T, out object) {}},
		{"samplers", []any{"temperature", 1, "seed", 1, "top_k", 1, "samplers", []string{"top_k", "temperature"}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain {
				t.Errorf("top_k 1 gives %q, greedy %q", got, plain)
			}
		}},
		{"min_p", []any{"temperature", 1, "seed", 1, "min_p", 1.0}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain {
				t.Errorf("min_p 1 gives %q, greedy %q", got, plain)
			}
		}},
		{"everything else", []any{"typical_p", 0.9, "top_n_sigma", 1.5, "xtc_probability", 0.1, "xtc_threshold", 0.2, "dry_multiplier", 0.8, "dry_base", 1.75, "dry_allowed_length", 2,
			"dry_penalty_last_n", -1, "dry_sequence_breakers", []string{"\n"}, "dynatemp_range", 0.2, "dynatemp_exponent", 1.1, "min_keep", 1, "bad_words", []string{"dog"}, "temperature", 0.9}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); strings.Contains(got, " dog") {
				t.Errorf("a bad word in %q", got)
			}
		}},
		{"mirostat", []any{"mirostat", 2, "mirostat_tau", 3, "mirostat_eta", 0.1, "temperature", 1, "seed", 3}, func(t *testing.T, out object) {}},
		{"min_tokens", []any{"min_tokens", 12, "stop_token_ids", []any{first[1]}}, func(t *testing.T, out object) {
			if n := jsonNumber(t, out, "usage", "completion_tokens"); n != 12 {
				t.Errorf("%v tokens", n)
			}
		}},
		{"ignore_eos", []any{"ignore_eos", true, "max_tokens", 200}, func(t *testing.T, out object) {
			if n := jsonNumber(t, out, "usage", "completion_tokens"); n != 200 {
				t.Errorf("%v tokens", n)
			}
		}},
		{"parts", []any{"messages", []any{
			object{"role": "developer", "content": "Be brief."},
			object{"role": "user", "content": []any{object{"type": "text", "text": "Tell me"}, object{"type": "text", "text": "about a dog."}}},
			object{"role": "assistant", "content": []any{object{"type": "refusal", "refusal": "No."}}},
			object{"role": "user", "content": "Please."},
		}}, func(t *testing.T, out object) {}},
		{"template variables", []any{"chat_template_kwargs", object{"enable_thinking": false, "n": 1}, "documents", []any{object{"title": "x"}}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain {
				t.Errorf("%q, want %q", got, plain)
			}
		}},
		{"no generation prompt", []any{"add_generation_prompt", false}, func(t *testing.T, out object) {}},
		{"skip_special_tokens", []any{"skip_special_tokens", false}, func(t *testing.T, out object) {}},
		{"prompt_logprobs", []any{"prompt_logprobs", 2}, func(t *testing.T, out object) {
			l := jsonList(t, out, "prompt_logprobs")
			if len(l) != int(jsonNumber(t, out, "usage", "prompt_tokens")) || l[0] != nil {
				t.Errorf("%d entries, the first %v; usage %v", len(l), l[0], out["usage"])
			}
			for _, e := range l[1:] {
				for _, v := range e.(object) {
					if jsonNumber(t, v, "rank") < 1 || jsonNumber(t, v, "logprob") > 0 || jsonString(t, v, "decoded_token") == "" {
						t.Errorf("%v", v)
					}
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := *s
			s.TB = t
			test.check(t, s.post("/v1/chat/completions", with(hello, test.extra...)))
		})
	}
}

func TestChatSeed(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	text := func(seed any) string {
		return jsonString(t, s.post("/v1/chat/completions", with(hello, "temperature", 1, "seed", seed)), "choices", 0, "message", "content")
	}
	if a, b := text(7), text(7); a != b {
		t.Errorf("the same seed gives %q and %q", a, b)
	}
	if a, b := text(7), text(8); a == b {
		t.Errorf("two seeds give %q", a)
	}
	if a, b := text(-1), text(-1); a == b {
		t.Errorf("no seed gives %q twice", a)
	}
}

func TestChatLogProbs(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	body := with(hello, "logprobs", true, "top_logprobs", 3)
	out := s.post("/v1/chat/completions", body)
	var spelled []byte
	check := func(tokens []any) {
		for _, token := range tokens {
			logProb, top := jsonNumber(t, token, "logprob"), jsonList(t, token, "top_logprobs")
			if logProb > 0 || len(top) != 3 || jsonNumber(t, top[0], "logprob") != logProb { // greedy
				t.Errorf("%v", token)
			}
			var raw []byte
			for _, b := range jsonList(t, token, "bytes") {
				raw = append(raw, byte(b.(float64)))
			}
			if utf8.Valid(raw) && string(raw) != jsonString(t, token, "token") {
				t.Errorf("%v", token)
			}
			spelled = append(spelled, raw...)
		}
	}
	tokens := jsonList(t, out, "choices", 0, "logprobs", "content")
	check(tokens)
	text := jsonString(t, out, "choices", 0, "message", "content")
	if strings.TrimLeft(string(spelled), " ") != text || len(tokens) != 12 {
		t.Errorf("%d tokens spell %q, the text is %q", len(tokens), spelled, text)
	}
	spelled = nil
	var streamed []any
	for _, e := range s.events("/v1/chat/completions", with(body, "stream", true)) {
		if !e.done && jsonAt(t, e.data, "choices", 0, "logprobs") != nil {
			streamed = append(streamed, jsonList(t, e.data, "choices", 0, "logprobs", "content")...)
		}
	}
	if !reflect.DeepEqual(streamed, tokens) {
		t.Errorf("streamed %v, want %v", streamed, tokens)
	}
	if jsonAt(t, s.post("/v1/chat/completions", hello), "choices", 0, "logprobs") != nil {
		t.Error("probabilities that nobody asked for")
	}
}

func TestChatFormats(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	weather := func(t *testing.T, text string) {
		var v struct {
			City *string
			Days *int
		}
		if err := json.Unmarshal([]byte(text), &v); err != nil || v.City == nil || v.Days == nil || *v.Days < 1 || *v.Days > 9 {
			t.Errorf("%q: %v", text, err)
		}
	}
	equals := func(want ...string) func(*testing.T, string) {
		return func(t *testing.T, text string) {
			for _, w := range want {
				if text == w {
					return
				}
			}
			t.Errorf("%q, want one of %q", text, want)
		}
	}
	schemaText, err := json.Marshal(weatherSchema)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		extra []any
		check func(t *testing.T, text string)
	}{
		{"text", []any{"response_format", object{"type": "text"}}, func(*testing.T, string) {}},
		{"json_object", []any{"response_format", object{"type": "json_object"}}, func(t *testing.T, text string) {
			if !json.Valid([]byte(text)) || text[0] != '{' {
				t.Errorf("%q", text)
			}
		}},
		{"json_schema", []any{"response_format", object{"type": "json_schema", "json_schema": object{"name": "weather", "strict": true, "schema": weatherSchema}}}, weather},
		{"json_object with schema", []any{"response_format", object{"type": "json_object", "schema": weatherSchema}}, weather},
		{"json_schema of llama.cpp", []any{"json_schema", weatherSchema}, weather},
		{"guided_json", []any{"guided_json", weatherSchema}, weather},
		{"guided_json as text", []any{"guided_json", string(schemaText)}, weather},
		{"guided_regex", []any{"guided_regex", "(yes|no) [0-9]{2}"}, func(t *testing.T, text string) {
			if len(text) != 5 && len(text) != 6 {
				t.Errorf("%q", text)
			}
		}},
		{"guided_choice", []any{"guided_choice", []string{"red", "green"}}, equals("red", "green")},
		{"guided_grammar", []any{"guided_grammar", `root ::= "up" | "down"`}, equals("up", "down")},
		{"grammar", []any{"grammar", `root ::= "left" | "right"`}, equals("left", "right")},
		{"structured_outputs", []any{"structured_outputs", object{"choice": []string{"in", "out"}}}, equals("in", "out")},
		{"structured_outputs json", []any{"structured_outputs", object{"json": weatherSchema}}, weather},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := *s
			s.TB = t
			out := s.post("/v1/chat/completions", with(with(hello, "max_tokens", 60), test.extra...))
			test.check(t, jsonString(t, out, "choices", 0, "message", "content"))
			if test.name != "text" && jsonString(t, out, "choices", 0, "finish_reason") != "stop" {
				t.Errorf("%v", out)
			}
		})
	}
}

func TestChatTools(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	body := with(hello, "max_tokens", 80, "tools", []any{weatherTool, clockTool})
	named := object{"type": "function", "function": object{"name": "get_weather"}}
	checkCall := func(t *testing.T, call any, names ...string) {
		t.Helper()
		name, arguments := jsonString(t, call, "function", "name"), object{}
		if err := json.Unmarshal([]byte(jsonString(t, call, "function", "arguments")), &arguments); err != nil {
			t.Errorf("%v: %v", call, err)
		}
		found := false
		for _, n := range names {
			found = found || n == name
		}
		if !found || jsonString(t, call, "type") != "function" || !strings.HasPrefix(jsonString(t, call, "id"), "call_") {
			t.Errorf("the call is %v, want one of %v", call, names)
		}
		if name == "get_weather" && arguments["city"] == nil {
			t.Errorf("the arguments are %v", arguments)
		}
	}
	for _, test := range []struct {
		name   string
		choice any
		extra  []any
		names  []string // none: no call
	}{
		{"required", "required", nil, []string{"get_weather", "get_time"}},
		{"named", named, nil, []string{"get_weather"}},
		{"allowed", object{"type": "allowed_tools", "allowed_tools": object{"mode": "required", "tools": []any{object{"type": "function", "function": object{"name": "get_time"}}}}}, nil, []string{"get_time"}},
		{"none", "none", nil, nil},
		{"named with a format", named, []any{"response_format", object{"type": "json_object"}}, []string{"get_weather"}},
		{"one call", "required", []any{"parallel_tool_calls", false}, []string{"get_weather", "get_time"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := *s
			s.TB = t
			request := with(with(body, "tool_choice", test.choice), test.extra...)
			out := s.post("/v1/chat/completions", request)
			message := jsonAt(t, out, "choices", 0, "message").(object)
			if test.names == nil {
				if message["tool_calls"] != nil || jsonString(t, message, "content") == "" {
					t.Errorf("the answer is %v", message)
				}
				return
			}
			calls := jsonList(t, message, "tool_calls")
			for _, call := range calls {
				checkCall(t, call, test.names...)
			}
			if message["content"] != nil || jsonString(t, out, "choices", 0, "finish_reason") != "tool_calls" {
				t.Errorf("the answer is %v", out)
			}
			var streamed []any
			finish := ""
			for _, e := range s.events("/v1/chat/completions", with(request, "stream", true)) {
				if e.done {
					continue
				}
				if c, there := jsonAt(t, e.data, "choices", 0, "delta").(object)["tool_calls"]; there {
					for _, call := range c.([]any) {
						if jsonNumber(t, call, "index") != float64(len(streamed)) {
							t.Errorf("call %d is %v", len(streamed), call)
						}
						streamed = append(streamed, call)
					}
				}
				if f, is := jsonAt(t, e.data, "choices", 0, "finish_reason").(string); is {
					finish = f
				}
			}
			if len(streamed) != len(calls) || finish != "tool_calls" {
				t.Fatalf("streamed %v (%s), want %v", streamed, finish, calls)
			}
			for i := range calls {
				if !reflect.DeepEqual(jsonAt(t, streamed[i], "function"), jsonAt(t, calls[i], "function")) {
					t.Errorf("streamed %v, want %v", streamed[i], calls[i])
				}
			}
		})
	}
	t.Run("auto with a format", func(t *testing.T) {
		s := *s
		s.TB = t
		out := s.post("/v1/chat/completions", with(body, "response_format", object{"type": "json_schema", "json_schema": object{"name": "w", "schema": weatherSchema}}))
		message := jsonAt(t, out, "choices", 0, "message").(object)
		if text, is := message["content"].(string); is {
			if !json.Valid([]byte(text)) {
				t.Errorf("neither a call nor JSON: %v", message)
			}
		} else if len(jsonList(t, message, "tool_calls")) == 0 {
			t.Errorf("neither a call nor JSON: %v", message)
		}
	})
	t.Run("no marks in the text", func(t *testing.T) {
		s := *s
		s.TB = t
		out := s.post("/v1/chat/completions", with(body, "max_tokens", 300, "ignore_eos", true))
		text, _ := jsonAt(t, out, "choices", 0, "message", "content").(string)
		tok := s.model().Model.Tokenizer()
		for id := range int32(tok.Len()) {
			if token := tok.Token(id); token.Type == tokenizer.Control && strings.Contains(text, token.Text) {
				t.Errorf("%q is part of %q", token.Text, text)
			}
		}
	})
	t.Run("the whole conversation", func(t *testing.T) {
		s := *s
		s.TB = t
		call := jsonAt(t, s.post("/v1/chat/completions", with(body, "tool_choice", named)), "choices", 0, "message", "tool_calls", 0)
		s.post("/v1/chat/completions", with(body, "tool_choice", "auto", "messages", []any{
			object{"role": "user", "content": "The weather?"},
			object{"role": "assistant", "content": nil, "tool_calls": []any{call}},
			object{"role": "tool", "tool_call_id": jsonAt(t, call, "id"), "content": `{"sunny": true}`},
		}))
	})
}

func TestChatPrefill(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	whole := jsonString(t, s.post("/v1/chat/completions", with(hello, "max_tokens", 20)), "choices", 0, "message", "content")
	cut := strings.Index(whole[5:], " ") + 5
	rest := jsonString(t, s.post("/v1/chat/completions", with(hello, "max_tokens", 6, "add_generation_prompt", false, "continue_final_message", true, "messages", []any{
		hello["messages"].([]any)[0], object{"role": "assistant", "content": whole[:cut]},
	})), "choices", 0, "message", "content")
	if rest == "" || !strings.HasPrefix(rest, " ") || !strings.HasPrefix(whole[cut:], rest) {
		t.Errorf("%q is continued with %q, want the beginning of %q", whole[:cut], rest, whole[cut:])
	}
}

func TestOpenAIErrors(t *testing.T) {
	s := newOpenAIServer(t, Options{MaxBody: 1 << 20})
	long := make([]any, 5000)
	for i := range long {
		long[i] = 5
	}
	user := func(content any) []any { return []any{object{"role": "user", "content": content}} }
	for _, test := range []struct {
		path   string
		body   any
		status int
		param  any
		code   any
	}{
		{"/v1/chat/completions", `{`, 400, nil, "invalid_json"},
		{"/v1/chat/completions", ``, 400, nil, "invalid_json"},
		{"/v1/chat/completions", `{} {}`, 400, nil, "invalid_json"},
		{"/v1/chat/completions", `[]`, 400, nil, "invalid_type"},
		{"/v1/chat/completions", `{"messages": "hi"}`, 400, "messages", "invalid_type"},
		{"/v1/chat/completions", `{"messages": [5]}`, 400, "messages[0]", "invalid_type"},
		{"/v1/chat/completions", with(hello, "max_tokens", "many"), 400, "max_tokens", "invalid_type"},
		{"/v1/chat/completions", with(hello, "temperature", "hot"), 400, "temperature", "invalid_type"},
		{"/v1/chat/completions", with(hello, "model", "nonesuch"), 404, nil, "model_not_found"},
		{"/v1/chat/completions", with(hello, "model", "/etc/passwd"), 404, nil, "model_not_found"},
		{"/v1/chat/completions", with(hello, "messages", []any{}), 400, "messages", "invalid_value"},
		{"/v1/chat/completions", object{"model": "demo"}, 400, "messages", "invalid_value"},
		{"/v1/chat/completions", with(hello, "messages", []any{object{"role": "robot", "content": "hi"}}), 400, "messages[0].role", "invalid_value"},
		{"/v1/chat/completions", with(hello, "messages", []any{object{"content": "hi"}}), 400, "messages[0].role", "invalid_value"},
		{"/v1/chat/completions", with(hello, "messages", user(nil)), 400, "messages[0].content", "invalid_value"},
		{"/v1/chat/completions", with(hello, "messages", user(5)), 400, "messages[0].content", "invalid_type"},
		{"/v1/chat/completions", with(hello, "messages", user([]any{object{"type": "image_url", "image_url": object{"url": "data:"}}})), 400, "messages[0].content[0]", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "messages", user([]any{object{"type": "text", "text": "x"}, object{"type": "input_audio"}})), 400, "messages[0].content[1]", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "messages", []any{object{"role": "user", "content": "x", "tool_calls": []any{object{"type": "function"}}}}), 400, "messages[0].tool_calls", "invalid_value"},
		{"/v1/chat/completions", with(hello, "messages", []any{object{"role": "assistant", "tool_calls": []any{object{"type": "function", "function": object{"name": "f", "arguments": "{"}}}}}), 400, "messages[0].tool_calls[0].function.arguments", "invalid_value"},
		{"/v1/chat/completions", with(hello, "max_tokens", 0), 400, "max_tokens", "invalid_value"},
		{"/v1/chat/completions", with(hello, "max_completion_tokens", -5), 400, "max_completion_tokens", "invalid_value"},
		{"/v1/chat/completions", with(hello, "max_tokens", nil, "n_predict", 0), 400, "n_predict", "invalid_value"},
		{"/v1/chat/completions", with(hello, "temperature", 2.5), 400, "temperature", "invalid_value"},
		{"/v1/chat/completions", with(hello, "top_p", -0.1), 400, "top_p", "invalid_value"},
		{"/v1/chat/completions", with(hello, "frequency_penalty", 3), 400, "frequency_penalty", "invalid_value"},
		{"/v1/chat/completions", with(hello, "n", 0), 400, "n", "invalid_value"},
		{"/v1/chat/completions", with(hello, "n", 129), 400, "n", "invalid_value"},
		{"/v1/chat/completions", with(hello, "top_logprobs", 3), 400, "top_logprobs", "invalid_value"},
		{"/v1/chat/completions", with(hello, "top_logprobs", 21, "logprobs", true), 400, "top_logprobs", "invalid_value"},
		{"/v1/chat/completions", with(hello, "stream_options", object{"include_usage": true}), 400, "stream_options", "invalid_value"},
		{"/v1/chat/completions", with(hello, "stop", []string{"a", ""}), 400, "stop", "invalid_value"},
		{"/v1/chat/completions", with(hello, "stop", make([]string, 17)), 400, "stop", "invalid_value"},
		{"/v1/chat/completions", with(hello, "stop", 5), 400, "stop", "invalid_type"},
		{"/v1/chat/completions", with(hello, "logit_bias", object{"5": 101}), 400, "logit_bias", "invalid_value"},
		{"/v1/chat/completions", with(hello, "logit_bias", object{"999999": 1}), 400, "logit_bias", "invalid_value"},
		{"/v1/chat/completions", with(hello, "logit_bias", object{"5": "x"}), 400, "logit_bias", "invalid_value"},
		{"/v1/chat/completions", with(hello, "repeat_last_n", -2), 400, "repeat_last_n", "invalid_value"},
		{"/v1/chat/completions", with(hello, "stop_token_ids", []int{-1}), 400, "stop_token_ids", "invalid_value"},
		{"/v1/chat/completions", with(hello, "min_tokens", 13), 400, "min_tokens", "invalid_value"},
		{"/v1/chat/completions", with(hello, "samplers", []string{"top_q"}), 400, "samplers", "invalid_value"},
		{"/v1/chat/completions", with(hello, "mirostat", 3), 400, "mirostat", "invalid_value"},
		{"/v1/chat/completions", with(hello, "response_format", object{"type": "yaml"}), 400, "response_format.type", "invalid_value"},
		{"/v1/chat/completions", with(hello, "response_format", object{"type": "json_schema", "json_schema": object{"name": "x", "schema": object{"type": "strange"}}}), 400, "response_format.json_schema.schema", "invalid_value"},
		{"/v1/chat/completions", with(hello, "response_format", object{"type": "json_schema", "json_schema": object{"name": "x", "strict": true, "schema": object{"type": "string", "format": "unheard-of"}}}), 400, "response_format.json_schema.schema", "invalid_value"},
		{"/v1/chat/completions", with(hello, "response_format", object{"type": "json_schema", "json_schema": object{"name": "x", "schema": object{"type": "string", "format": "unheard-of"}}}), 200, nil, nil},
		{"/v1/chat/completions", with(hello, "response_format", object{"type": "json_schema"}), 400, "response_format", "invalid_value"},
		{"/v1/chat/completions", with(hello, "grammar", "root ::= ("), 400, "grammar", "invalid_value"},
		{"/v1/chat/completions", with(hello, "guided_regex", "("), 400, "guided_regex", "invalid_value"},
		{"/v1/chat/completions", with(hello, "guided_choice", []string{}), 400, "guided_choice", "invalid_value"},
		{"/v1/chat/completions", with(hello, "guided_choice", []string{"red"}, "allowed_token_ids", []int{5}), 400, nil, "invalid_value"}, // nothing is left
		{"/v1/chat/completions", with(hello, "grammar", "root ::= \"a\"", "guided_regex", "a"), 400, "guided_regex", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tools", []any{object{"type": "custom"}}), 400, "tools[0].type", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "tools", []any{object{"type": "function", "function": object{"name": "a b"}}}), 400, "tools[0].function.name", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tools", []any{clockTool, clockTool}), 400, "tools", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tools", []any{clockTool}, "tool_choice", object{"type": "function", "function": object{"name": "no"}}), 400, "tool_choice", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tool_choice", "required"), 400, "tool_choice", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tool_choice", "always"), 400, "tool_choice", "invalid_value"},
		{"/v1/chat/completions", with(hello, "continue_final_message", true), 400, "messages", "invalid_value"},
		{"/v1/chat/completions", with(hello, "modalities", []string{"text", "audio"}), 400, "modalities", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "audio", object{"voice": "x"}), 400, "audio", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "web_search_options", object{}), 400, "web_search_options", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "functions", []any{object{"name": "f"}}), 400, "functions", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "chat_template", "x"), 400, "chat_template", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "use_beam_search", true), 400, "use_beam_search", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "messages", user(strings.Repeat("dog ", 5000))), 400, nil, "context_length_exceeded"},
		{"/v1/chat/completions", with(hello, "messages", user(strings.Repeat("dog ", 500000))), 413, nil, "request_too_large"},
		{"/v1/chat/completions", with(hello, "stream", true, "messages", user(strings.Repeat("dog ", 5000))), 400, nil, "context_length_exceeded"},

		{"/v1/completions", object{"model": "demo"}, 400, "prompt", "invalid_value"},
		{"/v1/completions", with(story, "prompt", ""), 200, nil, nil}, // the model begins by itself
		{"/v1/completions", with(story, "prompt", []any{}), 400, "prompt", "invalid_value"},
		{"/v1/completions", with(story, "prompt", []any{[]any{}}), 400, "prompt", "invalid_value"},
		{"/v1/completions", with(story, "prompt", []any{-1}), 400, "prompt", "invalid_value"},
		{"/v1/completions", with(story, "prompt", []any{1.5}), 400, nil, "invalid_type"},
		{"/v1/completions", with(story, "prompt", object{}), 400, nil, "invalid_type"},
		{"/v1/completions", with(story, "prompt", long), 400, nil, "context_length_exceeded"},
		{"/v1/completions", with(story, "suffix", "The end."), 400, "suffix", "unsupported_parameter"},
		{"/v1/completions", with(story, "best_of", 2, "n", 3), 400, "best_of", "invalid_value"},
		{"/v1/completions", with(story, "best_of", 2, "stream", true), 400, "best_of", "invalid_value"},
		{"/v1/completions", with(story, "max_tokens", 0), 400, "max_tokens", "invalid_value"},
		{"/v1/completions", with(story, "max_tokens", -1, "echo", true), 400, "max_tokens", "invalid_value"},
		{"/v1/completions", with(story, "logprobs", 21), 400, "logprobs", "invalid_value"},

		{"/v1/embeddings", object{"model": "demo"}, 400, "input", "invalid_value"},
		{"/v1/embeddings", object{"model": "demo", "input": "x", "encoding_format": "hex"}, 400, "encoding_format", "invalid_value"},
		{"/v1/embeddings", object{"model": "demo", "input": "x", "dimensions": 3}, 400, "dimensions", "unsupported_parameter"},
		{"/v1/embeddings", object{"model": "demo", "input": long}, 400, nil, "context_length_exceeded"},

		{"/v1/responses", object{"model": "demo"}, 400, "input", "invalid_value"},
		{"/v1/responses", object{"model": "demo", "input": []any{}}, 400, "input", "invalid_value"},
		{"/v1/responses", object{"model": "demo", "input": "x", "previous_response_id": "resp_1"}, 400, "previous_response_id", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": "x", "background": true}, 400, "background", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": "x", "conversation": "c"}, 400, "conversation", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": "x", "tools": []any{object{"type": "web_search"}}}, 400, "tools[0].type", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": []any{object{"type": "item_reference", "id": "x"}}}, 400, "input[0]", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": []any{object{"role": "user", "content": []any{object{"type": "input_image"}}}}}, 400, "input[0].content[0]", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": "x", "text": object{"format": object{"type": "json_schema"}}}, 400, "text.format", "invalid_value"},
		{"/v1/responses", object{"model": "demo", "input": "x", "max_output_tokens": 0}, 400, "max_output_tokens", "invalid_value"},
	} {
		status, out := s.call("POST", test.path, test.body)
		name := fmt.Sprint(test.body)
		if len(name) > 200 {
			name = name[:200] + "…"
		}
		if status != test.status {
			t.Errorf("%s %s: %d %v, want %d", test.path, name, status, out, test.status)
			continue
		}
		if status == 200 {
			continue
		}
		e := out["error"].(object)
		if e["param"] != test.param || e["code"] != test.code || jsonString(t, e, "message") == "" {
			t.Errorf("%s %s: param %v, code %v (%v); want %v, %v", test.path, name, e["param"], e["code"], e["message"], test.param, test.code)
		}
	}
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v1/models/nonesuch", 404},
		{"GET", "/v1/responses/resp_1", 404},
		{"DELETE", "/v1/responses/resp_1", 404},
		{"GET", "/v1/models/a/b/c", 404},
	} {
		if status, out := s.call(test.method, test.path, nil); status != test.status {
			t.Errorf("%s %s: %d %v", test.method, test.path, status, out)
		}
	}
	req, err := http.NewRequest("POST", s.url+"/v1/chat/completions", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain gives %d", res.StatusCode)
	}
}

// TestStreamError lets a stream end with an error after it has begun.
func TestStreamError(t *testing.T) {
	for path, body := range map[string]object{
		"/v1/chat/completions": with(hello, "stream", true, "max_tokens", 400, "ignore_eos", true),
		"/v1/completions":      with(story, "stream", true, "max_tokens", 400, "ignore_eos", true),
		"/v1/responses":        {"model": "demo", "input": "Tell me about a dog.", "stream": true, "max_output_tokens": 400, "ignore_eos": true},
	} {
		s := newOpenAIServer(t, Options{})
		model := s.model()
		res := s.send("POST", path, body)
		first := make([]byte, 10)
		if _, err := io.ReadFull(res.Body, first); err != nil {
			t.Fatal(err)
		}
		if err := model.Model.Scheduler().Close(); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		events := readEvents(t, bytes.NewReader(append(first, rest...)))
		last := events[len(events)-1]
		if path == "/v1/responses" {
			if last.name != "error" || last.data["code"] != "shutting_down" {
				t.Errorf("%s: the last event is %v", path, last)
			}
			checkSchema(t, "ResponseErrorEvent", last.data)
		} else if last.done || jsonAt(t, last.data, "error", "code") != "shutting_down" {
			t.Errorf("%s: the last event is %v", path, last)
		}
	}
}

// TestLeavingManyPrompts leaves a request of many prompts: all of them end.
func TestLeavingManyPrompts(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	model := s.model()
	prompts := make([]string, 40)
	for i := range prompts {
		prompts[i] = fmt.Sprint("Story number ", i)
	}
	for _, stream := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		body, err := json.Marshal(with(story, "prompt", prompts, "max_tokens", 400, "ignore_eos", true, "stream", stream))
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/completions", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		time.AfterFunc(100*time.Millisecond, cancel)
		if res, err := http.DefaultClient.Do(req); err == nil {
			if _, err := io.Copy(io.Discard, res.Body); err == nil {
				t.Error("the answer is complete")
			}
			res.Body.Close()
		}
		deadline := time.Now().Add(5 * time.Second)
		for {
			running, waiting := model.gate.counts()
			if running == 0 && waiting == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d still run, %d wait", running, waiting)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// TestKeepAlive waits for comments in a stream that has nothing to say.
func TestKeepAlive(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var once sync.Once
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		live := s.newLiveStream(w, 10*time.Millisecond, func() { once.Do(func() {}) })
		defer live.close()
		time.Sleep(60 * time.Millisecond)
		if err := live.end(); err != nil {
			t.Error(err)
		}
	}))
	defer hs.Close()
	res, err := http.Get(hs.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(data), ": keep-alive\n\n") || !strings.HasSuffix(string(data), "data: [DONE]\n\n") {
		t.Errorf("%q", data)
	}
}

func TestModels(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	status, out := s.call("GET", "/v1/models", nil)
	if status != 200 || len(jsonList(t, out, "data")) == 0 || jsonString(t, out, "data", 0, "id") != "demo" || jsonString(t, out, "data", 0, "object") != "model" {
		t.Errorf("%d %v", status, out)
	}
	status, out = s.call("GET", "/v1/models/demo", nil)
	checkSchema(t, "Model", out)
	if status != 200 || jsonString(t, out, "id") != "demo" {
		t.Errorf("%d %v", status, out)
	}
}

func TestEmbeddings(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	model := s.model()
	texts := []string{"The dog sat.", "Lily and Tom went to the park.", "x"}
	out := s.post("/v1/embeddings", object{"model": "demo", "input": texts})
	tokens := 0
	for i, text := range texts {
		want, err := model.Model.Embed(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		got := jsonList(t, out, "data", i, "embedding")
		if len(got) != len(want) || jsonNumber(t, out, "data", i, "index") != float64(i) {
			t.Fatalf("text %d has %d elements, want %d", i, len(got), len(want))
		}
		sum := 0.0
		for k, v := range got {
			if float32(v.(float64)) != want[k] {
				t.Fatalf("text %d, element %d: %v, want %v", i, k, v, want[k])
			}
			sum += v.(float64) * v.(float64)
		}
		if math.Abs(sum-1) > 1e-4 {
			t.Errorf("text %d has the length %v", i, math.Sqrt(sum))
		}
		tokens += len(model.Model.Tokenize(text))
	}
	if jsonNumber(t, out, "usage", "prompt_tokens") != float64(tokens) || jsonNumber(t, out, "usage", "total_tokens") != float64(tokens) {
		t.Errorf("usage is %v, want %d", out["usage"], tokens)
	}
	one := s.post("/v1/embeddings", object{"input": texts[0], "dimensions": model.Model.Config().Hidden})
	if !reflect.DeepEqual(jsonAt(t, one, "data", 0, "embedding"), jsonAt(t, out, "data", 0, "embedding")) {
		t.Error("a text alone has another vector")
	}
	ids := s.post("/v1/embeddings", object{"input": model.Model.Tokenize(texts[0])})
	if !reflect.DeepEqual(jsonAt(t, ids, "data", 0, "embedding"), jsonAt(t, out, "data", 0, "embedding")) {
		t.Error("the tokens of a text have another vector")
	}
	// The description has no word for it, so it is not checked.
	res := s.send("POST", "/v1/embeddings", object{"input": [][]int32{model.Model.Tokenize(texts[0])}, "encoding_format": "base64"})
	var encoded struct {
		Data []struct{ Embedding string }
	}
	if err := json.NewDecoder(res.Body).Decode(&encoded); err != nil {
		t.Fatal(err)
	}
	want, err := model.Model.Embed(t.Context(), texts[0])
	if err != nil {
		t.Fatal(err)
	}
	if encoded.Data[0].Embedding != base64Vector(want) || len(base64Vector(want)) < len(want)*4 {
		t.Error("base64 is another vector")
	}
}

func TestCompletions(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	model := s.model()
	tok := model.Model.Tokenizer()
	out := s.post("/v1/completions", story)
	text := jsonString(t, out, "choices", 0, "text")
	if !strings.HasPrefix(jsonString(t, out, "id"), "cmpl-") || text == "" || jsonString(t, out, "choices", 0, "finish_reason") != "length" || jsonNumber(t, out, "usage", "completion_tokens") != 12 {
		t.Errorf("%v", out)
	}
	if n := jsonNumber(t, s.post("/v1/completions", object{"prompt": "Once", "ignore_eos": true}), "usage", "completion_tokens"); n != 16 {
		t.Errorf("%v tokens by default", n)
	}
	// Several prompts in all forms.
	prompt := story["prompt"].(string)
	for _, form := range []any{[]string{prompt, "The dog"}, [][]int32{tok.Encode(prompt), tok.Encode("The dog")}} {
		out := s.post("/v1/completions", with(story, "prompt", form, "n", 2))
		if len(jsonList(t, out, "choices")) != 4 || jsonString(t, out, "choices", 0, "text") != text || jsonString(t, out, "choices", 1, "text") != text || jsonString(t, out, "choices", 2, "text") == text {
			t.Errorf("%v", out)
		}
		for i, c := range jsonList(t, out, "choices") {
			if jsonNumber(t, c, "index") != float64(i) {
				t.Errorf("choice %d is %v", i, c)
			}
		}
		texts := make([]string, 4)
		ends := 0
		for _, e := range s.events("/v1/completions", with(story, "prompt", form, "n", 2, "stream", true)) {
			if e.done {
				continue
			}
			texts[int(jsonNumber(t, e.data, "choices", 0, "index"))] += jsonString(t, e.data, "choices", 0, "text")
			if jsonAt(t, e.data, "choices", 0, "finish_reason") != nil {
				ends++
			}
		}
		for i, got := range texts {
			if got != jsonString(t, out, "choices", i, "text") {
				t.Errorf("choice %d streamed is %q", i, got)
			}
		}
		if ends != 4 {
			t.Errorf("%d ends", ends)
		}
	}
	// Echo.
	if got := jsonString(t, s.post("/v1/completions", with(story, "echo", true)), "choices", 0, "text"); got != prompt+text {
		t.Errorf("echo gives %q", got)
	}
	streamed := ""
	for _, e := range s.events("/v1/completions", with(story, "echo", true, "stream", true, "stream_options", object{"include_usage": true})) {
		if !e.done && len(jsonList(t, e.data, "choices")) > 0 {
			streamed += jsonString(t, e.data, "choices", 0, "text")
		}
	}
	if streamed != prompt+text {
		t.Errorf("echo streams %q", streamed)
	}
	if got := s.post("/v1/completions", with(story, "echo", true, "max_tokens", 0)); jsonString(t, got, "choices", 0, "text") != prompt || jsonNumber(t, got, "usage", "completion_tokens") != 0 {
		t.Errorf("nothing but an echo is %v", got)
	}
	// best_of takes the likeliest of the answers.
	sampled := with(story, "temperature", 1.0, "seed", 11, "logprobs", 0)
	mean := func(c any) float64 {
		sum := 0.0
		l := jsonList(t, c, "logprobs", "token_logprobs")
		for _, v := range l {
			sum += v.(float64)
		}
		return sum / float64(len(l))
	}
	best, all := math.Inf(-1), s.post("/v1/completions", with(sampled, "n", 5))
	for _, c := range jsonList(t, all, "choices") {
		best = max(best, mean(c))
	}
	some := s.post("/v1/completions", with(sampled, "n", 2, "best_of", 5))
	if c := jsonList(t, some, "choices"); len(c) != 2 || mean(c[0]) != best || mean(c[0]) < mean(c[1]) {
		t.Errorf("best_of gives %v, want the best first, which has %v", c, best)
	}
	if jsonNumber(t, some, "usage", "completion_tokens") != jsonNumber(t, all, "usage", "completion_tokens") {
		t.Errorf("usage %v, want that of all answers", some["usage"])
	}
}

func TestCompletionLogProbs(t *testing.T) {
	s := newOpenAIServer(t, Options{})
	tok := s.model().Model.Tokenizer()
	prompt := "Once upon a time, Zoë the cat"
	body := with(story, "prompt", prompt, "echo", true, "logprobs", 2)
	check := func(t *testing.T, out object, body object) {
		text := []rune(jsonString(t, out, "choices", 0, "text"))
		l := jsonAt(t, out, "choices", 0, "logprobs")
		tokens, offsets, probs, tops := jsonList(t, l, "tokens"), jsonList(t, l, "text_offset"), jsonList(t, l, "token_logprobs"), jsonList(t, l, "top_logprobs")
		if len(tokens) != len(offsets) || len(tokens) != len(probs) || len(tokens) != len(tops) || len(tokens) == 0 {
			t.Fatalf("%d tokens, %d offsets, %d and %d probabilities", len(tokens), len(offsets), len(probs), len(tops))
		}
		end := 0
		for i := range tokens {
			offset := int(offsets[i].(float64))
			if offset < end {
				t.Errorf("token %d at %d, the one before ended at %d", i, offset, end)
			}
			if name := tokens[i].(string); !strings.HasPrefix(name, "bytes:") && i > 0 {
				n := utf8.RuneCountInString(name)
				if got := string(text[offset:min(offset+n, len(text))]); got != name {
					t.Errorf("token %d is %q, the text there is %q", i, name, got)
				}
				end = offset + n
			}
			if probs[i] == nil {
				if i > 0 || tops[i] != nil {
					t.Errorf("token %d has no probability", i)
				}
				continue
			}
			if top := tops[i].(object); len(top) < 2 || len(top) > 3 || top[tokens[i].(string)] != probs[i] {
				t.Errorf("token %d: %v, top %v", i, probs[i], top)
			}
		}
	}
	out := s.post("/v1/completions", body)
	check(t, out, body)
	ids := tok.Encode(prompt)
	byID := s.post("/v1/completions", with(body, "prompt", ids))
	check(t, byID, body)
	if n, m := len(jsonList(t, out, "choices", 0, "logprobs", "tokens")), len(jsonList(t, byID, "choices", 0, "logprobs", "tokens")); tok.AddBOS() && n != m-1 || !tok.AddBOS() && n != m {
		t.Errorf("%d tokens of a text, %d of its ids", n, m)
	}
	if jsonAt(t, byID, "choices", 0, "logprobs", "token_logprobs", 0) != nil {
		t.Error("the very first token has a probability")
	}
	// The prompt's probabilities do not depend on how it is asked.
	scored := s.post("/v1/completions", with(story, "prompt", ids, "prompt_logprobs", 1, "max_tokens", 1))
	for i, e := range jsonList(t, scored, "choices", 0, "prompt_logprobs") {
		if i == 0 {
			continue
		}
		got := jsonNumber(t, e, fmt.Sprint(ids[i]), "logprob")
		if want := jsonAt(t, byID, "choices", 0, "logprobs", "token_logprobs", i); got != want {
			t.Errorf("token %d: %v, with echo %v", i, got, want)
		}
	}
	// In pieces the lists are the same.
	var tokens []any
	for _, e := range s.events("/v1/completions", with(body, "stream", true)) {
		if !e.done && jsonAt(t, e.data, "choices", 0, "logprobs") != nil {
			tokens = append(tokens, jsonList(t, e.data, "choices", 0, "logprobs", "text_offset")...)
		}
	}
	if !reflect.DeepEqual(tokens, jsonAt(t, out, "choices", 0, "logprobs", "text_offset")) {
		t.Errorf("the offsets of the stream are %v", tokens)
	}
	// Without echo the offsets are those of the answer.
	if out := s.post("/v1/completions", with(story, "logprobs", 0)); jsonNumber(t, out, "choices", 0, "logprobs", "text_offset", 0) != 0 {
		t.Errorf("%v", out)
	}
}

func TestShownToken(t *testing.T) {
	spec, err := tokenizer.NewSpec(tokenizer.ModelBPE, "")
	if err != nil {
		t.Fatal(err)
	}
	spec.Tokens = []tokenizer.Token{{Text: "a", Type: tokenizer.Normal}, {Text: "â", Type: tokenizer.Normal}, {Text: "<|x|>", Type: tokenizer.Control}}
	tok, err := tokenizer.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range []string{"a", `bytes:\xe2`, "<|x|>"} {
		if got, _ := shownToken(tok, int32(id)); got != want {
			t.Errorf("token %d is shown as %q, want %q", id, got, want)
		}
	}
}
