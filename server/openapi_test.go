package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"trit/grammar"
	"trit/server/core"
)

// openAPIDocument is what a server answers at /openapi.json.
type openAPIDocument struct {
	OpenAPI    string                                 `json:"openapi"`
	Paths      map[string]map[string]openAPIOperation `json:"paths"`
	Components struct {
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`

	text    string
	checked map[string]*grammar.Grammar // by schema
}

type openAPIOperation struct {
	ID          string                     `json:"operationId"`
	RequestBody *openAPIContent            `json:"requestBody"`
	Responses   map[string]*openAPIContent `json:"responses"`
}

type openAPIContent struct {
	Content map[string]struct {
		Schema json.RawMessage `json:"schema"`
		Pieces json.RawMessage `json:"x-trit-pieces"`
	} `json:"content"`
}

func (s *served) document() *openAPIDocument {
	s.t.Helper()
	r := s.do("GET", "/openapi.json", "")
	r.expect(s.t, 200)
	d := openAPIDocument{text: r.body, checked: map[string]*grammar.Grammar{}}
	if err := json.Unmarshal([]byte(r.body), &d); err != nil {
		s.t.Fatal(err)
	}
	return &d
}

// check reports what is wrong with a value as a schema of the document has it.
func (d *openAPIDocument) check(schema json.RawMessage, value string) error {
	g := d.checked[string(schema)]
	if g == nil {
		all, err := json.Marshal(map[string]any{"allOf": []any{schema}, "components": d.Components})
		if err != nil {
			return err
		}
		if g, err = grammar.FromJSONSchema(all, grammar.SchemaOptions{}); err != nil {
			return err
		}
		d.checked[string(schema)] = g
	}
	return g.Check("", []byte(value))
}

// TestOpenAPIHasAllRoutes: what the server serves is in its document, under its method, and nothing else.
func TestOpenAPIHasAllRoutes(t *testing.T) {
	s := serve(t, Options{})
	d := s.document()
	ids := map[string]bool{}
	var documented, served []string
	for path, operations := range d.Paths {
		for method, op := range operations {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			if ids[op.ID] || op.ID == "" || op.Responses["default"] == nil {
				t.Errorf("%s %s: the id %q, %+v", method, path, op.ID, op)
			}
			ids[op.ID] = true
		}
	}
	for _, rt := range s.routes {
		served = append(served, strings.NewReplacer("{id...}", "{id}", "{$}", "").Replace(rt.Pattern))
	}
	slices.Sort(documented)
	slices.Sort(served)
	if !slices.Equal(documented, served) || d.OpenAPI != "3.1.0" {
		t.Errorf("documented: %q\nserved: %q", documented, served)
	}
	for pattern := range allDocs() {
		if !slices.ContainsFunc(s.routes, func(rt core.Route) bool { return rt.Pattern == pattern }) {
			t.Errorf("%s is described and not served", pattern)
		}
	}
	// Every path leads to a handler.
	for _, pattern := range documented {
		method, path, _ := strings.Cut(pattern, " ")
		r := s.do(method, strings.NewReplacer("{id}", "x", "{digest}", "x").Replace(path), "")
		if r.status == http.StatusMethodNotAllowed || strings.Contains(r.body, "there is nothing at") {
			t.Errorf("%s: %d %s", pattern, r.status, r.body)
		}
	}
	for _, ref := range regexp.MustCompile(`"#/components/schemas/(.+?)"`).FindAllStringSubmatch(d.text, -1) {
		if d.Components.Schemas[ref[1]] == nil {
			t.Errorf("there is no schema %s", ref[1])
		}
	}
}

// TestOpenAPIOfRequests: what a handler decodes is what the document says that it does, with its limits and rules.
func TestOpenAPIOfRequests(t *testing.T) {
	s := serve(t, Options{AllowPull: true, AllowDelete: true, SlotSavePath: t.TempDir()})
	var mu sync.Mutex
	decoded := map[string]reflect.Type{}
	before := core.Decoding
	core.Decoding = func(v any) {
		mu.Lock()
		decoded["now"] = reflect.TypeOf(v).Elem()
		mu.Unlock()
		before(v)
	}
	defer func() { core.Decoding = before }()
	for pattern, doc := range allDocs() {
		method, path, _ := strings.Cut(pattern, " ")
		if doc.Body == nil {
			continue
		}
		mu.Lock()
		delete(decoded, "now")
		mu.Unlock()
		s.do(method, strings.Replace(path, "{id}", "0", 1), `{}`)
		if got := decoded["now"]; got != reflect.TypeOf(doc.Body) {
			t.Errorf("%s: the document says %T, and the handler decodes %v", pattern, doc.Body, got)
		}
	}
	d := s.document()
	body := func(path string) json.RawMessage {
		return d.Paths[path]["post"].RequestBody.Content["application/json"].Schema
	}
	for _, test := range []struct {
		path, value string
		fits        bool
	}{
		{"/v1/chat/completions", `{"messages":[{"role":"user"}],"stop":["a"],"temperature":1,"logit_bias":{"5":false},"tool_choice":"auto","seed":null,"x":1}`, true},
		{"/v1/chat/completions", `{"messages":[],"stop":5}`, false},
		{"/v1/chat/completions", `{}`, false},
		{"/v1/chat/completions", `{"messages":[],"temperature":-1}`, false},
		{"/v1/chat/completions", `{"messages":[],"temperature":"hot"}`, false},
		{"/v1/chat/completions", `{"messages":[],"model":"` + strings.Repeat("m", 1025) + `"}`, false},
		{"/v1/chat/completions", `{"messages":[],"bad_words":["` + strings.Repeat(`a","`, 256) + `a"]}`, false},
		{"/v1/embeddings", `{"input":[[1,2],"a"]}`, true},
		{"/v1/embeddings", `{"input":5}`, false},
		{"/api/chat", `{"model":"demo","options":{"num_ctx":5,"stop":"a"},"keep_alive":"5m","think":"high","format":{}}`, true},
		{"/api/chat", `{"model":"demo","options":{"num_ctx":"many"}}`, false},
		{"/api/chat", `{"model":"demo","keep_alive":true}`, false},
		{"/v1/messages", `{"model":"demo","max_tokens":1,"messages":[],"system":[{"type":"text","text":"x"}],"thinking":{"type":"enabled"}}`, true},
		{"/v1/messages", `{"model":"demo","max_tokens":1,"messages":[],"system":5}`, false},
		{"/completion", `{"prompt":["a",5],"samplers":"top_k"}`, true},
		{"/completion", `{"prompt":true}`, false},
	} {
		if err := d.check(body(test.path), test.value); (err == nil) != test.fits {
			t.Errorf("%s %.80s: %v", test.path, test.value, err)
		}
	}
	chat := string(d.Components.Schemas["openai_chatRequest_in"])
	for _, rule := range []string{`"audio":{"description":"refused: this server's models write text only"}`,
		`"verbosity":{"description":"ignored, and named in the header X-Trit-Ignored"}`, `"user":{"description":"of no effect"}`} {
		if !strings.Contains(chat, rule) {
			t.Errorf("%s is not in %s", rule, chat)
		}
	}
}

// TestOpenAPINeeds: a request is refused if a field is not there that the document says it must have, and taken if all
// are.
func TestOpenAPINeeds(t *testing.T) {
	s := serve(t, Options{AllowPull: true})
	values := map[string]any{"model": "demo", "messages": []any{map[string]any{"role": "user", "content": "Hi"}}, "prompt": "a",
		"input": "a", "max_tokens": 1, "source": "demo", "destination": "demo"}
	for pattern, doc := range allDocs() {
		method, path, _ := strings.Cut(pattern, " ")
		ask := func(without string) reply {
			body := map[string]any{"stream": false}
			for _, field := range strings.Fields(doc.Needs) {
				if body[field] = values[field]; values[field] == nil {
					t.Errorf("%s: %s", pattern, field)
				}
			}
			delete(body, without)
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			return s.do(method, path, string(text))
		}
		for _, field := range strings.Fields(doc.Needs) {
			if r := ask(field); r.status != http.StatusBadRequest {
				t.Errorf("%s without %s: %d %s", pattern, field, r.status, r.body)
			}
		}
		if doc.Needs != "" {
			if r := ask(""); r.status != http.StatusOK && r.status != http.StatusConflict {
				t.Errorf("%s: %d %s", pattern, r.status, r.body)
			}
		}
	}
}

// TestOpenAPIOfAnswers: answers, pieces of streams and errors are as the document says, and have no more than it says.
func TestOpenAPIOfAnswers(t *testing.T) {
	s := serve(t, Options{})
	d := s.document()
	const talk = `"model":"demo","max_tokens":40,"temperature":0,"messages":[{"role":"user","content":"What is the weather in Rome?"}]`
	const tool = `,"tool_choice":"required","tools":[{"type":"function","function":{"name":"w","parameters":{"type":"object","properties":{"a":{"type":"integer"}},
		"required":["a"],"additionalProperties":false}}}]`
	checked := map[string]bool{}
	for _, q := range []struct{ method, path, body string }{
		{"GET", "/health", ""}, {"GET", "/ready", ""}, {"GET", "/version", ""}, {"GET", "/props", ""}, {"GET", "/slots", ""},
		{"GET", "/v1/models", ""}, {"GET", "/v1/models/demo", ""}, {"GET", "/api/tags", ""}, {"GET", "/api/ps", ""}, {"GET", "/api/version", ""},
		{"POST", "/v1/chat/completions", `{` + talk + `,"logprobs":true,"top_logprobs":2,"n":2}`},
		{"POST", "/v1/chat/completions", `{` + talk + tool + `}`},
		{"POST", "/v1/chat/completions", `{` + talk + tool + `,"stream":true,"stream_options":{"include_usage":true}}`},
		{"POST", "/v1/chat/completions", `{"messages":[]}`},
		{"POST", "/v1/completions", `{"prompt":"Once","max_tokens":3,"logprobs":1,"echo":true,"prompt_logprobs":1}`},
		{"POST", "/v1/completions", `{"prompt":"Once","max_tokens":3,"stream":true}`},
		{"POST", "/v1/responses", `{"input":"Hi","max_output_tokens":5}`},
		{"POST", "/v1/responses", `{"input":"Hi","max_output_tokens":5,"stream":true}`},
		{"POST", "/v1/embeddings", `{"input":["a","b"]}`},
		{"POST", "/v1/embeddings", `{"input":["a"],"dimensions":-1}`},
		{"POST", "/v1/chat/completions/input_tokens", `{` + talk + `}`},
		{"POST", "/api/generate", `{"model":"demo","prompt":"Hi","stream":false,"logprobs":true,"options":{"num_predict":3}}`},
		{"POST", "/api/generate", `{"model":"demo","prompt":"Hi","options":{"num_predict":3}}`},
		{"POST", "/api/chat", `{` + talk + tool + `,"stream":false}`},
		{"POST", "/api/chat", `{` + talk + `,"options":{"num_predict":3}}`},
		{"POST", "/api/chat", `{"model":"nobody","messages":[{"role":"user","content":"Hi"}]}`},
		{"POST", "/api/embed", `{"model":"demo","input":["a"]}`}, {"POST", "/api/embeddings", `{"model":"demo","prompt":"a"}`},
		{"POST", "/api/show", `{"model":"demo","verbose":true}`},
		{"POST", "/v1/messages", `{` + talk + `}`}, {"POST", "/v1/messages", `{` + talk + `,"stream":true}`}, {"POST", "/v1/messages", `{}`},
		{"POST", "/v1/messages/count_tokens", `{` + talk + `}`},
		{"POST", "/completion", `{"prompt":"Once","n_predict":3,"n_probs":2}`}, {"POST", "/completion", `{"prompt":"Once","n_predict":3,"stream":true}`},
		{"POST", "/tokenize", `{"content":"a"}`}, {"POST", "/detokenize", `{"tokens":[65]}`}, {"POST", "/embedding", `{"content":"a"}`},
		{"POST", "/detokenize", `{"tokens":[-1]}`},
	} {
		path := q.path
		if strings.HasPrefix(path, "/v1/models/") {
			path = "/v1/models/{id}"
		}
		op := d.Paths[path][strings.ToLower(q.method)]
		r := s.do(q.method, q.path, q.body)
		status := "default"
		if r.status == 200 {
			status = "200"
		}
		media, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
		content := op.Responses[status].Content[media]
		values, schema := []string{r.body}, content.Schema
		if content.Pieces != nil {
			values, schema = pieces(r.body), content.Pieces
		}
		for _, value := range values {
			if err := d.check(schema, value); err != nil {
				t.Errorf("%s %s: %v: %.600s", q.method, q.path, err, value)
			}
		}
		checked[fmt.Sprint(op.ID, status)] = true
		if len(values) > 0 && strings.HasPrefix(values[0], "{") && !strings.Contains(string(schema), "additionalProperties") {
			wrong := `{"nobody_has_this":1,` + values[0][1:]
			if err := d.check(schema, wrong); err == nil {
				t.Errorf("%s %s: an answer with one more field passes: %s", q.method, q.path, schema)
			}
		}
	}
	if len(checked) < 30 {
		t.Errorf("%d kinds of answers are checked", len(checked))
	}
}

// pieces returns the JSON values of a stream.
func pieces(body string) []string {
	var out []string
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		line := strings.TrimPrefix(lines.Text(), "data: ")
		if strings.HasPrefix(line, "{") {
			out = append(out, line)
		}
	}
	return out
}
