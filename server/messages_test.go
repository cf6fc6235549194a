package server

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// goWords are what only the program's own language has.
var goWords = regexp.MustCompile(`\bjson: |Go (value|struct|type)|unmarshal|strconv\.|map\[|\bstruct \{|interface \{|\[\](string|int|float|byte)` +
	`|\b(core|openai|ollama|anthropic|llamacpp|chat|trit|grammar|json|sample|http)\.[A-Z]\w+|runtime error|u?int(8|16|32|64)|float(32|64)`)

// TestMessagesSayNothingOfGo sends every field of every request with values of all kinds: what is refused is refused in
// words of JSON and of the API.
func TestMessagesSayNothingOfGo(t *testing.T) {
	if testing.Short() {
		t.Skip("these are many requests")
	}
	g := &growth{served: serve(t, Options{AllowDelete: true}), t: t}
	g.core.Generate = nothing
	refused := 0
	values := []string{
		`true`, `"text"`, `-1`, `1e400`, `[null]`, `[[1]]`, `{"type":"x"}`, `{"type":5,"name":[],"function":1,"schema":2}`,
		`[{"type":5,"name":[],"function":1,"role":3,"content":4}]`,
	}
	if os.Getenv("TRIT_LONG") != "" {
		values = append(values, `null`, `""`, `5`, `1.5`, `99999999999999999999`, `[]`, `[1]`, `["a"]`, `[{}]`, `{}`, `{"a":1}`,
			`[{"type":"x"}]`, `{"type":"text","text":5}`, `[{"type":"text","text":{}}]`)
	}
	g.endpoints(func(pattern string, request map[string]any, outer, inner map[string]bool) {
		var visit func(object map[string]any, names map[string]bool)
		visit = func(object map[string]any, names map[string]bool) {
			for _, name := range slices.Sorted(maps.Keys(names)) {
				was, there := object[name]
				for _, raw := range values {
					object[name] = json.RawMessage(raw)
					body, err := json.Marshal(request)
					if err != nil {
						t.Fatal(err)
					}
					answer := g.ask(pattern, body)
					if answer.Code < 400 {
						continue
					}
					refused++
					if word := goWords.FindString(answer.Body.String()); word != "" || answer.Code >= 500 && answer.Code != 501 {
						t.Errorf("%s, %s = %s: %d, %q in %s", pattern, name, raw, answer.Code, word, answer.Body)
					}
				}
				if object[name] = was; !there {
					delete(object, name)
				}
			}
			for _, v := range object {
				switch v := v.(type) {
				case map[string]any:
					visit(v, inner)
				case []any:
					for _, e := range v {
						if e, ok := e.(map[string]any); ok {
							visit(e, inner)
						}
					}
				}
			}
		}
		visit(request, outer)
	})
	t.Logf("%d requests, %d refused", g.sent, refused)
	if refused < 1000 {
		t.Errorf("only %d requests were refused", refused)
	}
}
