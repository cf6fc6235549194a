package server

import (
	"strings"
	"testing"

	"trit/server/core"
)

// TestWhatClientsSend has requests that real clients send and that the API's own server
// serves: what is a hint there is no error here, and agents recognise a context that is
// full.
func TestWhatClientsSend(t *testing.T) {
	s := serve(t, Options{})
	long := strings.Repeat("word ", 4000)
	for _, test := range []struct {
		name, path, body string
		status           int
		mentions         []string // of the body, or behind ! what it must not mention
		ignored          string   // X-Trit-Ignored
	}{
		{"an empty turn of the assistant", "/v1/chat/completions", `{"model":"demo","max_tokens":4,"messages":[
			{"role":"user","content":"Hi"},{"role":"assistant","content":null},{"role":"user","content":"Hi"}]}`,
			200, []string{`"completion_tokens":4`}, ""},
		{"a turn of the user without content", "/v1/chat/completions", `{"model":"demo","messages":[{"role":"user","content":null}]}`,
			400, []string{"messages[0].content"}, ""},
		{"whole numbers with a fraction", "/api/chat", `{"model":"demo","stream":false,"messages":[{"role":"user","content":"Hi"}],
			"options":{"num_predict":3.0,"top_k":4e1,"num_ctx":512.0,"seed":7.0,"repeat_last_n":64.0}}`,
			200, []string{`"eval_count":3`}, ""},
		{"a larger context than there is", "/api/generate", `{"model":"demo","stream":false,"prompt":"Hi","options":{"num_predict":3,"num_ctx":131072}}`,
			200, []string{`"eval_count":3`}, "options.num_ctx"},
		{"a number that is not whole", "/api/chat", `{"model":"demo","messages":[{"role":"user","content":"Hi"}],"options":{"num_predict":3.5}}`,
			400, []string{"num_predict"}, ""},
		{"warming the cache", "/v1/messages", `{"model":"demo","max_tokens":0,"messages":[{"role":"user","content":"Hi"}]}`,
			200, []string{`"output_tokens":0`, `"content":[]`, `"stop_reason":"max_tokens"`}, ""},
		{"warming the cache of llama-server", "/completion", `{"prompt":"Once upon a time","n_predict":0}`,
			200, []string{`"content":""`, `"tokens_predicted":0`, `"stop_type":"limit"`}, ""},
		{"tools that only OpenAI has", "/v1/responses", `{"model":"demo","max_output_tokens":4,"tool_choice":"auto","input":[
			{"type":"message","role":"user","content":[{"type":"input_text","text":"Hi"}]},
			{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"x"}}],
			"tools":[{"type":"web_search"},{"type":"function","name":"sh","description":"Runs it.","parameters":{"type":"object"}},
			{"type":"custom","name":"patch"}]}`,
			200, []string{`"name":"sh","description":"Runs it."`, `!"type":"web_search"`},
			`input[1] ("web_search_call"), tools[0] ("web_search"), tools[2] ("custom")`},
		{"a custom tool", "/v1/chat/completions", `{"model":"demo","max_tokens":2,"messages":[{"role":"user","content":"Hi"}],
			"tools":[{"type":"custom","custom":{"name":"patch"}}]}`, 200, nil, `tools[0] ("custom")`},
		{"a tool that is left out but wanted", "/v1/chat/completions", `{"model":"demo","messages":[{"role":"user","content":"Hi"}],
			"tools":[{"type":"custom"}],"tool_choice":"required"}`, 400, []string{"tool_choice"}, ""},
		{"tools that only Anthropic has, thinking, a system message", "/v1/messages", `{"model":"demo","max_tokens":3,
			"thinking":{"type":"enabled","budget_tokens":1024},"tools":[{"type":"web_search_20250305","name":"web_search"}],
			"messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Be brief."}]}`,
			200, []string{`"output_tokens":3`}, `tools.0 ("web_search_20250305"), thinking`},
		{"Anthropic's context is full", "/v1/messages", `{"model":"demo","max_tokens":3,"messages":[{"role":"user","content":"` + long + `"}]}`,
			400, []string{`"prompt is too long: `, "maximum"}, ""},
		{"Ollama's context is full", "/api/chat", `{"model":"demo","messages":[{"role":"user","content":"` + long + `"}]}`,
			400, []string{`"prompt too long; exceeded max context length`}, ""},
		{"OpenAI's context is full", "/v1/completions", `{"model":"demo","prompt":"` + long + `"}`,
			400, []string{"maximum context length is 512 tokens", `"code":"context_length_exceeded"`, `"n_ctx":512`, `"n_prompt_tokens":`}, ""},
		{"llama-server's context is full", "/completion", `{"prompt":"` + long + `"}`,
			400, []string{"exceeds the available context size (512 tokens)", `"exceed_context_size_error"`, `"n_ctx":512`, `"n_prompt_tokens":`}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.do("POST", test.path, test.body)
			if r.status != test.status || r.header.Get(core.IgnoredHeader) != test.ignored {
				t.Errorf("status %d, ignored %q; want %d, %q: %s", r.status, r.header.Get(core.IgnoredHeader), test.status, test.ignored, r.body)
			}
			for _, text := range test.mentions {
				if without, ok := strings.CutPrefix(text, "!"); ok == strings.Contains(r.body, without) {
					t.Errorf("%s: %s", text, r.body)
				}
			}
		})
	}
}
