package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/server/core"
)

// schemaRequests are requests of all APIs for an answer that a schema describes. SCHEMA stands for it, LIMIT for the
// most tokens.
var schemaRequests = map[string]struct{ path, body string }{
	"response_format": {"/v1/chat/completions", `{"model":"demo","messages":[{"role":"user","content":"Hi"}],"max_tokens":LIMIT,
		"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":SCHEMA}}}`},
	"text.format": {"/v1/responses", `{"model":"demo","input":"Hi","max_output_tokens":LIMIT,
		"text":{"format":{"type":"json_schema","name":"a","schema":SCHEMA}}}`},
	"guided_json": {"/v1/completions", `{"model":"demo","prompt":"Hi","max_tokens":LIMIT,"guided_json":SCHEMA}`},
	"format of a chat": {"/api/chat", `{"model":"demo","stream":false,"messages":[{"role":"user","content":"Hi"}],
		"options":{"num_predict":LIMIT},"format":SCHEMA}`},
	"format of a text": {"/api/generate", `{"model":"demo","stream":false,"raw":true,"prompt":"Hi","options":{"num_predict":LIMIT},"format":SCHEMA}`},
	"output_config": {"/v1/messages", `{"model":"demo","max_tokens":LIMIT,"messages":[{"role":"user","content":"Hi"}],
		"output_config":{"format":{"type":"json_schema","schema":SCHEMA}}}`},
	"json_schema": {"/completion", `{"prompt":"Hi","n_predict":LIMIT,"json_schema":SCHEMA}`},
	"a tool's parameters": {"/v1/chat/completions", `{"model":"demo","messages":[{"role":"user","content":"Hi"}],"max_tokens":LIMIT,
		"tool_choice":"required","tools":[{"type":"function","function":{"name":"f","parameters":SCHEMA}}]}`},
}

// TestTypesEverywhere asks for a type of every kind that Pydantic, Zod and TypeBox have, in every API.
func TestTypesEverywhere(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "grammar", "testdata", "types.json"))
	if err != nil {
		t.Fatal(err)
	}
	var types []struct {
		From, Name string
		Schema     json.RawMessage
	}
	if err := json.Unmarshal(data, &types); err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{})
	requests := slices.Sorted(maps.Keys(schemaRequests))
	for i, typ := range types {
		names := requests
		if testing.Short() { // each type in one of the requests, and each of those with many types
			names = names[i%len(names):][:1]
		}
		for _, name := range names {
			q := schemaRequests[name]
			if name == "a tool's parameters" && !strings.Contains(string(typ.Schema), `"object"`) {
				continue // arguments are an object
			}
			r := s.do("POST", q.path, strings.NewReplacer("SCHEMA", string(typ.Schema), "LIMIT", "1").Replace(q.body))
			if r.status != 200 && !strings.Contains(r.body, "context_length_exceeded") { // the demo's is short
				t.Errorf("%s %s as %s: status %d: %s", typ.From, typ.Name, name, r.status, r.body)
			}
		}
	}
}

// TestRelaxedIsReported: what of a schema an answer is not held to stands in a header, and where the answer is one of a
// conversation, so does the verdict of the check, which the log has too.
func TestRelaxedIsReported(t *testing.T) {
	s := serve(t, Options{})
	const schema = `{"type":"object","properties":{"x":{"type":"array","items":{"const":1},"prefixItems":[{"const":1}],"uniqueItems":true,"minItems":2,"maxItems":3}},"required":["x"]}`
	for name, q := range schemaRequests {
		r := s.do("POST", q.path, strings.NewReplacer("SCHEMA", schema, "LIMIT", "60").Replace(q.body))
		ignored, verdict := r.header.Get(core.IgnoredHeader), r.header.Get(core.SchemaHeader)
		if r.status != 200 || !strings.Contains(ignored, `"#/properties/x/uniqueItems"`) {
			t.Errorf("%s: status %d, ignored %q: %s", name, r.status, ignored, r.body)
		}
		want := "invalid"
		if q.path == "/v1/completions" || q.path == "/completion" || name == "format of a text" {
			want = "" // these continue a text
		}
		if verdict != want {
			t.Errorf("%s: verdict %q, expected %q: %s", name, verdict, want, r.body)
		}
	}
	if !strings.Contains(s.log.String(), "schema=invalid") {
		t.Errorf("the log does not say it: %s", s.log.String())
	}
	strict := strings.NewReplacer("SCHEMA", schema, "LIMIT", "60", `"name":"a"`, `"name":"a","strict":true`).Replace(schemaRequests["response_format"].body)
	s.do("POST", "/v1/chat/completions", strict).expect(t, 400, "uniqueItems")
}

// TestRepeatedNamesAreChecked: an answer that has a name twice is judged by the value that a parser makes of it.
func TestRepeatedNamesAreChecked(t *testing.T) {
	s := serve(t, Options{})
	const schema = `{"type":"object","propertyNames":{"const":"a"},"additionalProperties":
		{"type":"array","items":{"type":"integer","minimum":0,"maximum":999},"uniqueItems":true,"minItems":1,"maxItems":2}}`
	repeated := 0
	for seed := 0; seed < 200 && repeated < 5; seed++ {
		r := s.do("POST", "/api/chat", fmt.Sprintf(`{"model":"demo","stream":false,"messages":[{"role":"user","content":"Hi"}],
			"options":{"num_predict":80,"temperature":2,"seed":%d},"format":%s}`, seed, schema))
		var answer struct{ Message struct{ Content string } }
		r.expect(t, 200)
		if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
			t.Fatal(err)
		}
		content := answer.Message.Content
		if strings.Count(content, `"a"`) < 2 {
			continue
		}
		repeated++
		var value map[string][]int
		if err := json.Unmarshal([]byte(content), &value); err != nil {
			t.Fatalf("%s: %v", content, err)
		}
		want := "valid"
		if a := value["a"]; len(a) == 2 && a[0] == a[1] {
			want = "invalid"
		}
		if verdict := r.header.Get(core.SchemaHeader); verdict != want {
			t.Errorf("%s: verdict %q, expected %q", content, verdict, want)
		}
	}
	if repeated < 5 {
		t.Errorf("%d answers have a name twice", repeated)
	}
}
