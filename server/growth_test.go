package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http/httptest"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"trit"
	"trit/server/anthropic"
	"trit/server/core"
	_ "trit/server/internal/servertest" // walks the types of requests
	"trit/server/llamacpp"
	"trit/server/ollama"
	"trit/server/openai"
)

// grownBodies are small requests of all endpoints that read one, with every kind of object that a field may be in.
var grownBodies = map[string]string{
	"POST /v1/chat/completions":              openaiChat,
	"POST /v1/chat/completions/input_tokens": openaiChat,
	"POST /v1/completions":                   `{"prompt":"x","max_tokens":1,"structured_outputs":{}}`,
	"POST /v1/embeddings":                    `{"input":"x"}`,
	"POST /v1/responses":                     openaiResponse,
	"POST /v1/responses/input_tokens":        openaiResponse,
	"POST /api/show":                         `{"model":"demo"}`,
	"POST /api/generate":                     `{"model":"demo","prompt":"x","stream":false,"options":{"num_predict":1}}`,
	"POST /api/chat": `{"model":"demo","stream":false,"options":{"num_predict":1},"messages":[{"role":"user","content":"x"},
		{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]},{"role":"tool","content":"x"}],
		"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}`,
	"POST /api/embed":                `{"model":"demo","input":"x"}`,
	"POST /api/embeddings":           `{"model":"demo","prompt":"x"}`,
	"POST /api/pull":                 `{"model":"nobody:latest","stream":false}`,
	"POST /api/copy":                 `{"source":"nobody","destination":"nothing"}`,
	"DELETE /api/delete":             `{"model":"nobody"}`,
	"POST /v1/messages":              anthropicMessages,
	"POST /v1/messages/count_tokens": anthropicMessages,
	"POST /tokenize":                 `{"content":"x"}`,
	"POST /detokenize":               `{"tokens":[1]}`,
	"POST /apply-template":           `{"messages":[{"role":"user","content":"x"}]}`,
	"POST /completion":               `{"prompt":"x","n_predict":1}`,
	"POST /completions":              `{"prompt":"x","n_predict":1}`,
	"POST /embedding":                `{"content":"x"}`,
	"POST /models/load":              `{"model":"demo"}`,
	"POST /models/unload":            `{"model":"nobody"}`,
}

const (
	openaiChat = `{"max_tokens":1,"messages":[{"role":"system","content":"x"},{"role":"user","content":[{"type":"text","text":"x"}]},
		{"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"1","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}`
	openaiResponse = `{"max_output_tokens":16,"input":[{"role":"user","content":[{"type":"input_text","text":"x"}]},
		{"type":"function_call","call_id":"1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"1","output":"x"}],
		"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"text":{"format":{"type":"text"}}}`
	anthropicMessages = `{"model":"demo","max_tokens":1,"system":[{"type":"text","text":"x"}],"messages":[{"role":"user","content":"x"},
		{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"x"}]}]}],
		"tools":[{"name":"f","input_schema":{"type":"object"}}],"output_config":{}}`
)

// growth sends requests whose fields grow.
type growth struct {
	*served
	t       *testing.T
	texts   int // bytes of the shortest text
	lists   int // elements of the shortest list
	counted func() int64
	slack   int64 // by how much more may be counted without being growth
	little  int64 // what does not matter
	long    bool
	inner   bool // the field is within another one
	sent    int
}

// TestGrowth makes every text and every list of every request twice and four times as long: what that takes is not
// more than twice as much each time. The fields are those of the types that requests are decoded into, the lengths what
// the limits allow, up to some thousand. Counted are the bytes that are allocated; with TRIT_LONG=1 time
// too, for lists and texts of up to what is allowed.
func TestGrowth(t *testing.T) {
	if testing.Short() {
		t.Skip("what is allocated depends on what else the tests of short runs count")
	}
	allocated := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.TotalAlloc)
	}
	s := serve(t, Options{Open: []trit.Option{trit.ContextSize(1 << 12)}, AllowDelete: true})
	g := &growth{served: s, t: t, texts: 1 << 8, lists: 1 << 6, counted: allocated, slack: 128 << 10, little: 4 << 20}
	// A prompt is prepared as a whole, and one token of it is run where the field may say how.
	s.core.Generate = func(ctx context.Context, j *core.Job, options []trit.GenerateOption) iter.Seq2[trit.Token, error] {
		if g.inner {
			return nothing(ctx, j, options)
		}
		return j.Model.Model.GenerateFrom(ctx, j.Prompt[:min(len(j.Prompt), 1)], append(options, trit.MaxTokens(1))...)
	}
	g.all()
	t.Logf("%d requests", g.sent)
	if os.Getenv("TRIT_LONG") != "" {
		g.long = true
		g.texts, g.lists = 1<<17, 1<<12
		g.slack, g.little = int64(50*time.Millisecond), int64(time.Second)
		g.counted = func() int64 { return time.Now().UnixNano() }
		g.all()
	}
}

// nothing is an answer of no tokens.
func nothing(context.Context, *core.Job, []trit.GenerateOption) iter.Seq2[trit.Token, error] {
	return func(func(trit.Token, error) bool) {}
}

// all grows the fields of all endpoints.
func (g *growth) all() {
	g.endpoints(func(pattern string, request map[string]any, outer, inner map[string]bool) {
		g.object(pattern, "", request, request, outer, inner)
	})
}

// endpoints calls f with the requests of all endpoints that read one, and the names that their fields have, and
// those of what is in them.
func (g *growth) endpoints(f func(pattern string, request map[string]any, outer, inner map[string]bool)) {
	c := g.core
	seen := map[string]bool{}
	for _, r := range slices.Concat(openai.Routes(c), ollama.Routes(c), anthropic.Routes(c), llamacpp.Routes(c)) {
		var types []reflect.Type
		before := core.Decoding
		core.Decoding = func(v any) {
			before(v)
			types = append(types, reflect.TypeOf(v))
		}
		body := grownBodies[r.Pattern]
		answer := g.ask(r.Pattern, []byte(cmp.Or(body, "{}")))
		core.Decoding = before
		switch {
		case len(types) == 0:
			continue // it reads no body
		case body == "":
			g.t.Errorf("%s has no request in grownBodies", r.Pattern)
			continue
		case seen[body] && !g.long:
			continue // it does less with the same
		case answer.Code >= 500 || answer.Code == 400:
			g.t.Errorf("%s: %d %s", r.Pattern, answer.Code, answer.Body)
		}
		seen[body] = true
		outer, inner := map[string]bool{}, map[string]bool{}
		for i, t := range types {
			fieldNames(t, i == 0, outer, inner, map[reflect.Type]bool{})
		}
		var request map[string]any
		if err := json.Unmarshal([]byte(body), &request); err != nil {
			g.t.Fatal(err)
		}
		f(r.Pattern, request, outer, inner)
	}
}

// fieldNames finds the names of a type's fields, and of those within it.
func fieldNames(t reflect.Type, top bool, outer, inner map[string]bool, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	seen[t] = true
	for f := range t.Fields() {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && tag == "":
			fieldNames(f.Type, top, outer, inner, seen)
		case tag != "" && tag != "-":
			if top {
				outer[tag] = true
			} else {
				inner[tag] = true
			}
			fieldNames(f.Type, false, outer, inner, seen)
		}
	}
}

// object grows the fields of an object of a request, and of those within it.
func (g *growth) object(pattern, path string, request, object map[string]any, names, inner map[string]bool) {
	g.inner = path != "" && path != "options."
	for _, name := range slices.Sorted(maps.Keys(names)) {
		l, _ := core.LimitOf(name)
		was, there := object[name]
		for kind, value := range map[string]func(n, variant int) any{
			"text":    func(n, variant int) any { return strings.Repeat(string(rune('a'+variant)), n) },
			"words":   func(n, variant int) any { return strings.Repeat("a"+string(rune('b'+variant))+" ", n/3) },
			"texts":   func(n, variant int) any { return fill(n, func(i int) any { return fmt.Sprint("t", variant, i%97) }) },
			"numbers": func(n, variant int) any { return fill(n, func(i int) any { return (i + variant) % 200 }) },
			"objects": func(n, variant int) any {
				return fill(n, func(i int) any { return map[string]any{"type": "text", "text": fmt.Sprint(variant, i%97)} })
			},
			"fields": func(n, variant int) any {
				m := map[string]any{}
				for i := range n {
					m[fmt.Sprint("k", variant, i)] = i
				}
				return m
			},
			"more of the same": func(n, variant int) any {
				list, _ := was.([]any)
				if len(list) == 0 {
					return nil
				}
				return fill(n, func(i int) any { return list[len(list)-1] })
			},
		} {
			n := min(g.lists, l.List/4)
			if kind == "text" || kind == "words" {
				n = min(g.texts, l.Text/4)
			}
			if l.Total > 0 {
				n = min(n, l.Total/64)
			}
			if n < 16 || value(n, 0) == nil {
				continue // so little is bounded by itself
			}
			g.grow(pattern, path+name+", "+kind, func(times, variant int) []byte {
				object[name] = value(n*times, variant)
				body, err := json.Marshal(request)
				if err != nil {
					g.t.Fatal(err)
				}
				return body
			})
			if object[name] = was; !there {
				delete(object, name)
			}
		}
	}
	for name, v := range object {
		switch v := v.(type) {
		case map[string]any:
			g.object(pattern, path+name+".", request, v, inner, inner)
		case []any:
			for i, e := range v {
				if e, ok := e.(map[string]any); ok {
					g.object(pattern, fmt.Sprintf("%s%s[%d].", path, name, i), request, e, inner, inner)
				}
			}
		}
	}
}

func fill(n int, f func(i int) any) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = f(i)
	}
	return list
}

// grow compares what a body takes with what it takes at twice and four times its length. What else happens in the
// program is counted too, and memory is taken in steps; so what looks like growth is looked at again with longer ones.
// What cannot be longer may grow if it is little.
func (g *growth) grow(pattern, what string, body func(times, variant int) []byte) {
	count := func(times, variant int) (counted int64, status int) {
		b := body(times, variant)
		before := g.counted()
		answer := g.ask(pattern, b)
		counted = g.counted() - before
		if answer.Code >= 500 {
			g.t.Errorf("%s, %s: %d %.300s", pattern, what, answer.Code, answer.Body)
		}
		return counted, answer.Code
	}
	var counts [3]int64
	for variant := range 4 {
		if variant > 0 {
			if _, status := count(4<<variant, variant); status == 400 && counts[2] < g.little {
				return
			}
		}
		var least, greatest int
		counts[0], least = count(1<<variant, variant)
		counts[2], greatest = count(4<<variant, variant)
		if counts[2] <= 4*counts[0]+g.slack && (least == greatest || greatest == 400) && counts[2] <= 8*g.slack {
			return // mostly this is enough
		}
		counts[1], _ = count(2<<variant, variant)
		first, second := max(counts[1]-counts[0], 0), max(counts[2]-counts[1], 0)
		if second <= 2*first+first/2+g.slack {
			return
		}
	}
	g.t.Errorf("%s, %s: %d, then %d, then %d", pattern, what, counts[0], counts[1], counts[2])
}

// ask sends a request without a connection.
func (g *growth) ask(pattern string, body []byte) *httptest.ResponseRecorder {
	method, path, _ := strings.Cut(pattern, " ")
	req := httptest.NewRequestWithContext(g.t.Context(), method, strings.ReplaceAll(path, "{id}", "1"), bytes.NewReader(body))
	req.Host = "127.0.0.1"
	req.Header.Set("Content-Type", "application/json")
	out := httptest.NewRecorder()
	g.handler.ServeHTTP(out, req)
	g.sent++
	return out
}
