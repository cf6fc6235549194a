package server

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// attack is a request that is much work for its size, or much for a server at once.
type attack struct {
	name, path, body string
	field            string // that the refusal names
}

// list joins what f returns for 0 … n−1 to a JSON array.
func list(n int, f func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = f(i)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// attacks are requests that once stopped a model or the server, in the forms of all families.
func attacks() []attack {
	const (
		completion, chat, text = "/completion", "/v1/chat/completions", "/v1/completions"
		messages               = `"messages":[{"role":"user","content":"hi"}]`
	)
	same := func(s string) func(int) string { return func(int) string { return s } }
	long := strings.Repeat("a", 7<<20)
	grammar := `root ::= ([^x\\n]{100,100000}[a-z]{100,100000}){0,1000}`
	enum := `{"enum":` + list(70000, func(i int) string { return fmt.Sprintf(`"v%d"`, i) }) + `}`
	return []attack{
		{"breakers", completion, `{"prompt":"x","n_predict":5,"dry_multiplier":1,"dry_sequence_breakers":["` +
			strings.Repeat("ab ", 17000) + `"]}`, "dry_sequence_breakers"},
		{"many breakers", "/api/generate", `{"model":"demo","prompt":"x","options":{"dry_multiplier":1,"dry_sequence_breakers":` +
			list(40000, same(`"ab"`)) + `}}`, "dry_sequence_breakers"},
		{"grammar", completion, `{"prompt":"x","n_predict":400,"grammar":"` + grammar + `","seed":1}`, "grammar"},
		{"guided grammar", chat, `{` + messages + `,"max_tokens":400,"guided_grammar":"` + grammar + `","seed":2}`, "guided_grammar"},
		{"expression", text, `{"prompt":"x","guided_regex":"` + strings.Repeat("[a-z]b", 500000) + `"}`, "guided_regex"},
		{"states", chat, `{` + messages + `,"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":` +
			`{"type":"object","properties":{"a":{"type":"string","pattern":"a[ab]{20}$","minLength":3}},` +
			`"required":["a"],"additionalProperties":false}}}}`, "response_format"},
		{"enum", chat, `{` + messages + `,"guided_json":` + enum + `}`, "guided_json"},
		{"format", "/api/chat", `{"model":"demo",` + messages + `,"format":` + enum + `}`, "format"},
		{"schema", "/v1/messages", `{"model":"demo","max_tokens":5,` + messages + `,"output_config":{"format":{"type":"json_schema","schema":` +
			enum + `}}}`, "output_config.format.schema"},
		{"prompt", completion, `{"prompt":"` + long + `"}`, ""},
		{"raw prompt", "/api/generate", `{"model":"demo","raw":true,"prompt":"` + long + `"}`, ""},
		{"message", chat, `{"messages":[{"role":"user","content":"` + long + `"}]}`, ""},
		{"truncated", "/v1/responses", `{"input":"` + long + `","truncation":"auto"}`, ""},
		{"text", "/v1/embeddings", `{"input":"` + long + `"}`, ""},
		{"count", "/v1/messages/count_tokens", `{"model":"demo","messages":[{"role":"user","content":"` + long + `"}]}`, ""},
		{"body", chat, `{"messages":[{"role":"user","content":"` + long + long + `"}]}`, ""},
		{"calls", chat, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":` +
			list(20000, same(`{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}`)) + `}]}`, "messages[1].tool_calls"},
		{"parts", "/v1/messages", `{"model":"demo","max_tokens":5,"messages":[{"role":"user","content":` +
			list(80000, same(`{"type":"text","text":"a b c d e f g h"}`)) + `}]}`, "messages[0].content"},
		{"parts that are allowed", "/v1/messages", `{"model":"demo","max_tokens":5,"messages":[{"role":"user","content":` +
			list(1<<14, same(`{"type":"text","text":"`+strings.Repeat("a b c d ", 40)+`"}`)) + `}]}`, ""},
		{"parts of a prompt", completion, `{"prompt":` + list(500000, func(i int) string { return []string{`"ab"`, "5"}[i%2] }) + `}`,
			"prompt"},
		{"parts without text", "/tokenize", `{"content":` + list(1<<14, func(i int) string { return []string{`""`, "5"}[i/16383] }) + `}`,
			"content"},
		{"prompts", completion, `{"prompt":` + list(500000, same(`"a"`)) + `}`, "prompt"},
		{"texts", "/api/embed", `{"model":"demo","input":` + list(500000, same(`"a"`)) + `}`, "input"},
		{"contents", "/embedding", `{"content":` + list(10000, same(`"a"`)) + `}`, "content"},
		{"inputs", "/v1/embeddings", `{"input":` + list(500000, same(`"a"`)) + `}`, "input"},
		{"stops", completion, `{"prompt":"x","stop":` + list(200000, same(`"a"`)) + `}`, "stop"},
		{"long stop", "/v1/messages", `{"model":"demo","max_tokens":5,` + messages + `,"stop_sequences":["` + long + `"]}`,
			"stop_sequences[0]"},
		{"bias", completion, `{"prompt":"x","logit_bias":` + list(1<<17, func(i int) string { return fmt.Sprintf("[%d,1]", i%256) }) + `}`,
			"logit_bias"},
		{"nesting", chat, `{` + messages + `,"chat_template_kwargs":{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}`,
			"chat_template_kwargs"},
		{"fractions", "/detokenize", `{"tokens":` + list(200000, same("1.0")) + `}`, ""},
	}
}

// send sends an attack and returns what it was answered.
func (s *served) send(a *attack) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(s.t.Context(), "POST", s.url+a.path, strings.NewReader(a.body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

// TestAttacks sends every attack alone: each is refused as the client's fault, with the field named, and for
// little memory.
func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("time and memory count only where the program runs at its speed")
	}
	s := serve(t, Options{})
	for _, a := range attacks() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		status, answer, err := s.send(&a)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if err != nil || status < 400 || status >= 500 || !strings.Contains(answer, a.field) {
			t.Errorf("%s: %d %.300s %v, want a refusal that names %q", a.name, status, answer, err, a.field)
		}
		allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
		if allocated > 400 {
			t.Errorf("%s: took %d MiB for a body of %d bytes", a.name, allocated, len(a.body))
		}
		t.Logf("%-22s %d %6d ms %4d MiB", a.name, status, took.Milliseconds(), allocated)
	}
}

// TestAttacksTogether: eight breakers and eight grammars at once leave the model to others as soon as
// they are refused.
func TestAttacksTogether(t *testing.T) {
	if testing.Short() {
		t.Skip("time and memory count only where the program runs at its speed")
	}
	s := serve(t, Options{})
	var group sync.WaitGroup
	for _, a := range attacks()[:4] {
		for range 4 {
			group.Go(func() {
				if status, answer, err := s.send(&a); err != nil || status < 400 || status >= 500 {
					t.Errorf("%s: %d %.300s %v", a.name, status, answer, err)
				}
			})
		}
	}
	honest := attack{path: "/v1/completions", body: `{"prompt":"Once","max_tokens":4}`}
	if status, answer, err := s.send(&honest); err != nil || status != http.StatusOK {
		t.Errorf("an honest request: %d %.300s %v", status, answer, err)
	}
	group.Wait()
	if running, waiting := s.demo().Counts(); running != 0 || waiting != 0 {
		t.Errorf("%d running, %d waiting", running, waiting)
	}
	if status, answer, err := s.send(&honest); err != nil || status != http.StatusOK {
		t.Errorf("an honest request afterwards: %d %.300s %v", status, answer, err)
	}
}
