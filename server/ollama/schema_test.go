package ollama

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"trit/internal/fixtures"
	"trit/server/core"
	"trit/server/internal/servertest"
)

// TestOllamaSchema checks answers against Ollama's published description. That
// says of no field of an answer that it must be there; so these checks also
// want all fields of a schema that are not listed as optional.
func TestOllamaSchema(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(fixtures.Path(t, "api", "ollama.openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w := servertest.NewWire(t, core.Options{}, Routes)
	w.Ask("POST", "/api/generate", servertest.Object{"model": "demo"}) // so that /api/ps has something to say
	never := []string{"thinking", "images", "remote_model", "remote_host"}
	metrics := []string{"done_reason", "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration", "logprobs"}
	prompt := servertest.Object{"model": "demo", "prompt": "Who are you?", "logprobs": true, "top_logprobs": 2, "options": servertest.Greedy(3)}
	talk := servertest.Object{"model": "demo", "logprobs": true, "top_logprobs": 1, "options": servertest.Greedy(200), "tools": []servertest.Object{servertest.Weather}, "tool_choice": "required",
		"messages": []servertest.Object{{"role": "user", "content": "What is the weather in Rome?"}}}
	for _, test := range []struct {
		path, method   string
		body           servertest.Object
		whole, stream  string // schemas
		optionalInLine []string
	}{
		{"/api/generate", "POST", prompt, "GenerateResponse", "GenerateStreamEvent", metrics},
		{"/api/chat", "POST", talk, "ChatResponse", "ChatStreamEvent", []string{"tool_calls", "logprobs"}},
		{"/api/embed", "POST", servertest.Object{"model": "demo", "input": []string{"a", "b"}}, "EmbedResponse", "", nil},
		{"/api/tags", "GET", nil, "ListResponse", "", nil},
		{"/api/ps", "GET", nil, "PsResponse", "", nil},
		{"/api/version", "GET", nil, "VersionResponse", "", nil},
		{"/api/show", "POST", servertest.Object{"model": "demo"}, "ShowResponse", "", nil},
	} {
		t.Run(test.path, func(t *testing.T) {
			var body any
			if test.body != nil {
				q := maps.Clone(test.body)
				q["stream"] = false
				body = q
			}
			r := w.Ask(test.method, test.path, body)
			r.Into(200, nil)
			optional := append([]string{"license", "description"}, never...)
			checkOllama(t, doc, test.whole, r.Body, optional)
			if test.stream == "" {
				return
			}
			r = w.Ask(test.method, test.path, test.body)
			for text := bufio.NewScanner(bytes.NewReader(r.Body)); text.Scan(); {
				checkOllama(t, doc, test.stream, text.Bytes(), append(optional, test.optionalInLine...))
			}
		})
	}
	t.Run("errors", func(t *testing.T) {
		r := w.Ask("POST", "/api/chat", servertest.Object{"model": "nobody"})
		r.Into(404, nil)
		checkOllama(t, doc, "ErrorResponse", r.Body, nil)
	})
	t.Run("mistakes are noticed", func(t *testing.T) {
		for _, wrong := range []string{`{"model": 5, "done": true}`, `{"model": "demo", "done": "yes"}`, `{"model": "demo"}`} {
			if problem := ollamaProblem(doc, "ChatResponse", []byte(wrong), nil); problem == "" {
				t.Errorf("%s passes", wrong)
			}
		}
	})
}

func checkOllama(t testing.TB, doc *openapi3.T, schema string, data []byte, optional []string) {
	t.Helper()
	if problem := ollamaProblem(doc, schema, data, optional); problem != "" {
		t.Errorf("no %s: %s in %.1000s", schema, problem, data)
	}
}

func ollamaProblem(doc *openapi3.T, name string, data []byte, optional []string) string {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return err.Error()
	}
	schema := doc.Components.Schemas[name]
	if schema == nil {
		return "there is no such schema"
	}
	if err := schema.Value.VisitJSON(v, openapi3.VisitAsResponse()); err != nil {
		return err.Error()
	}
	if missing := missingFields(schema.Value, v, optional); len(missing) > 0 {
		return "the fields " + strings.Join(missing, ", ") + " are missing"
	}
	return ""
}

// missingFields returns the fields that a value should have.
func missingFields(schema *openapi3.Schema, v any, optional []string) []string {
	var missing []string
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			field, ok := v[name]
			if !ok && !slices.Contains(optional, name) {
				missing = append(missing, name)
			} else if ok {
				missing = append(missing, missingFields(schema.Properties[name].Value, field, optional)...)
			}
		}
	case []any:
		for _, e := range v {
			if schema.Items != nil {
				missing = append(missing, missingFields(schema.Items.Value, e, optional)...)
			}
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}
