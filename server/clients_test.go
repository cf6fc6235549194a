package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"trit"
	"trit/chat"
	"trit/sample"
	"trit/server/core"
	"trit/server/internal/servertest"
)

// TestWhatClientsSend has requests that real clients send and that the API's own server
// serves: what is a hint there is no error here, and agents recognise a context that is
// full.
func TestWhatClientsSend(t *testing.T) {
	s := serve(t, Options{})
	long := words(4000)
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
			{"type":"custom","name":"patch"},{"type":"namespace","name":"mcp","tools":[{"type":"function","name":"ls"},{"type":"function","name":"sh"}]}]}`,
			200, []string{`"name":"sh","description":"Runs it."`, `!"type":"web_search"`, `"type":"custom","name":"patch"`, `"name":"ls"`},
			`input[1] ("web_search_call"), tools[0] ("web_search"), tools[3].tools[1] ("sh")`},
		{"a custom tool is called", "/v1/responses", `{"model":"demo","temperature":0,"max_output_tokens":200,"tool_choice":"required","input":[
			{"role":"user","content":"Hi"},{"type":"custom_tool_call","call_id":"a","name":"patch","input":"x\"y"},
			{"type":"custom_tool_call_output","call_id":"a","output":"done"},{"role":"user","content":"Again"}],
			"tools":[{"type":"custom","name":"patch","format":{"type":"grammar","syntax":"lark","definition":"start: x"}}]}`,
			200, []string{`"type":"custom_tool_call"`, `"id":"ctc_`, `"name":"patch","input":"`, `!"arguments"`}, ""},
		{"a function of a namespace is called, in a stream", "/v1/responses", `{"model":"demo","stream":true,"max_output_tokens":200,"tool_choice":"required",
			"input":"Hi","tools":[{"type":"namespace","name":"mcp","tools":[{"type":"function","name":"ls"}]}]}`,
			200, []string{`"type":"function_call"`, `"namespace":"mcp"`, "response.completed"}, ""},
		{"a custom tool is called, in a stream", "/v1/responses", `{"model":"demo","stream":true,"max_output_tokens":200,"tool_choice":"required",
			"input":"Hi","tools":[{"type":"custom","name":"patch"}]}`,
			200, []string{"event: response.custom_tool_call_input.delta", "event: response.custom_tool_call_input.done", "!function_call_arguments"}, ""},
		{"a custom tool", "/v1/chat/completions", `{"model":"demo","max_tokens":200,"messages":[{"role":"user","content":"Hi"},{"role":"assistant",
			"content":null,"tool_calls":[{"id":"call_1","type":"custom","custom":{"name":"patch","input":"x\"y"}}]},
			{"role":"tool","tool_call_id":"call_1","content":"done"},{"role":"user","content":"Again"}],
			"tool_choice":{"type":"custom","custom":{"name":"patch"}},"tools":[{"type":"custom","custom":{"name":"patch","format":{"type":"text"}}}]}`,
			200, []string{`"type":"custom","custom":{"name":"patch","input":"`, `"finish_reason":"tool_calls"`, `!"arguments"`}, ""},
		{"a custom tool, in a stream", "/v1/chat/completions", `{"model":"demo","max_tokens":200,"stream":true,"messages":[{"role":"user","content":"Hi"}],
			"tool_choice":"required","parallel_tool_calls":false,"tools":[{"type":"custom","custom":{"name":"patch"}}]}`,
			200, []string{`"tool_calls":[{"index":0,"id":"call_`, `"type":"custom","custom":{"name":"patch","input":"`, `!"arguments"`}, ""},
		{"a custom tool without a name", "/v1/chat/completions", `{"model":"demo","messages":[{"role":"user","content":"Hi"}],
			"tools":[{"type":"custom"}]}`, 400, []string{"tools[0].custom"}, ""},
		{"functions, as tools were before", "/v1/chat/completions", `{"model":"demo","max_tokens":200,"messages":[{"role":"user","content":"Hi"},
			{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"done"},
			{"role":"user","content":"Again"}],"functions":[{"name":"f"},{"name":"g","parameters":{"type":"object"}}],"function_call":{"name":"f"}}`,
			200, []string{`"function_call":{"name":"f","arguments":"{`, `"finish_reason":"function_call"`, `!"tool_calls"`}, ""},
		{"functions in a stream", "/v1/chat/completions", `{"model":"demo","max_tokens":200,"stream":true,"messages":[{"role":"user","content":"Hi"}],
			"functions":[{"name":"f"}],"function_call":{"name":"f"}}`,
			200, []string{`"function_call":{"name":"f","arguments":"`, `"finish_reason":"function_call"`, `!"tool_calls"`}, ""},
		{"no function", "/v1/chat/completions", `{"model":"demo","max_tokens":2,"messages":[{"role":"user","content":"Hi"}],"function_call":"none"}`,
			200, []string{`"completion_tokens":2`}, ""},
		{"functions that are not to be called", "/v1/chat/completions", `{"model":"demo","max_tokens":9,"messages":[{"role":"user","content":"Hi"}],
			"functions":[{"name":"f"}],"function_call":"none"}`, 200, []string{`!"function_call"`}, ""},
		{"a tool that is left out but wanted", "/v1/chat/completions", `{"model":"demo","messages":[{"role":"user","content":"Hi"}],
			"tools":[{"type":"web_search"}],"tool_choice":"required"}`, 400, []string{"tool_choice"}, ""},
		{"tools that only Anthropic has, thinking, a system message", "/v1/messages", `{"model":"demo","max_tokens":3,
			"thinking":{"type":"enabled","budget_tokens":1024},"tools":[{"type":"web_search_20250305","name":"web_search"}],
			"messages":[{"role":"user","content":"Hi"},{"role":"system","content":"Be brief."}]}`,
			200, []string{`"output_tokens":3`}, `tools.0 ("web_search_20250305"), thinking`},
		{"no limit of LM Studio and llama-server", "/v1/chat/completions", `{"model":"demo","max_tokens":-1,"temperature":0,"messages":[
			{"role":"user","content":"What is the capital of France?"}]}`, 200, []string{`"finish_reason":"stop"`}, ""},
		{"warming the cache of llama-server's chat", "/v1/chat/completions", `{"model":"demo","max_tokens":0,"messages":[
			{"role":"user","content":"Hi"}]}`, 200, []string{`"finish_reason":"length"`, `"completion_tokens":0`}, ""},
		{"a stream of nothing", "/v1/chat/completions", `{"model":"demo","max_tokens":0,"stream":true,"n":2,"logprobs":true,"messages":[
			{"role":"user","content":"Hi"}]}`, 200, []string{`"index":1,"delta":{},"logprobs":null,"finish_reason":"length"`, "[DONE]"}, ""},
		{"a slash at the end", "/v1/chat/completions/", `{"model":"demo","max_tokens":2,"messages":[{"role":"user","content":"Hi"}]}`,
			200, []string{`"completion_tokens":2`}, ""},
		{"two slashes", "//v1//completions", `{"model":"demo","max_tokens":2,"prompt":"Hi"}`, 200, []string{`"completion_tokens":2`}, ""},
		{"llama-server's path", "/chat/completions", `{"model":"demo","max_tokens":2,"messages":[{"role":"user","content":"Hi"}]}`,
			200, []string{`"completion_tokens":2`}, ""},
		{"timings with every token", "/v1/chat/completions", `{"model":"demo","max_tokens":3,"stream":true,"timings_per_token":true,"messages":[
			{"role":"user","content":"Hi"}]}`, 200, []string{`"predicted_n":1,`, `"predicted_n":2,`, `"predicted_n":3,`}, ""},
		{"timings at the end", "/v1/chat/completions", `{"model":"demo","max_tokens":3,"stream":true,"messages":[
			{"role":"user","content":"Hi"}]}`, 200, []string{`!"predicted_n":1,`, `"predicted_n":3,`}, ""},
		{"timings with every token of two texts", "/v1/completions", `{"model":"demo","max_tokens":3,"stream":true,"timings_per_token":true,
			"prompt":["Once upon","Once upon a"]}`, 200, []string{`"predicted_n":1,`, `"predicted_n":6,`}, ""},
		{"llama-server's timings with every token", "/completion", `{"prompt":"Once upon a","n_predict":3,"stream":true,"ignore_eos":true,
			"timings_per_token":true}`, 200, []string{`"predicted_n":1,`, `"predicted_n":2,`, `"predicted_n":3,`}, ""},
		{"llama-server's timings at the end", "/completion", `{"prompt":"Once upon a","n_predict":3,"stream":true,"ignore_eos":true}`,
			200, []string{`!"predicted_n":1,`, `"predicted_n":3,`}, ""},
		{"progress of a prompt", "/v1/chat/completions", `{"model":"demo","max_tokens":1,"stream":true,"return_progress":true,"messages":[
			{"role":"user","content":"Once upon a time"}]}`, 200, []string{`"choices":[{"index":0,"delta":{},`, `"prompt_progress":{"total":`}, ""},
		{"progress of a response", "/v1/responses", `{"model":"demo","max_output_tokens":2,"stream":true,"return_progress":true,"timings_per_token":true,
			"input":"What is the capital of a land?"}`, 200, []string{`{"type":"response.created",`, `"prompt_progress":{"total":`, `"predicted_n":1,`,
			`"predicted_n":2,`}, ""},
		{"progress of two texts", "/v1/completions", `{"model":"demo","max_tokens":1,"stream":true,"return_progress":true,
			"prompt":["Never upon","Never upon a"]}`, 200, []string{`"index":1,"text":""`, `"prompt_progress":{"total":5,"cache":0,"processed":0,`,
			`"prompt_progress":{"total":6,"cache":0,"processed":6,`}, ""},
		{"llama-server's progress", "/completion", `{"prompt":"Perhaps upon a","n_predict":1,"stream":true,"return_progress":true}`, 200,
			[]string{`"prompt_progress":{"total":`, `"cache":0,"processed":0,`}, ""},
		{"progress is for streams", "/completion", `{"prompt":"Perhaps upon a","n_predict":1,"return_progress":true}`, 200,
			[]string{`!prompt_progress`}, ""},
		{"probabilities after sampling", "/completion", `{"prompt":"Once upon a","n_predict":1,"n_probs":3,"top_k":2,"temperature":1,
			"post_sampling_probs":true}`, 200, []string{`"prob":`, `"top_probs":[{`, `!logprob`}, ""},
		{"nothing there", "/nothing/", `{}`, 404, []string{`"not_found_error"`, `"message"`}, ""},
		{"a conversation that fits", "/api/chat", `{"model":"demo","stream":false,"options":{"num_predict":300},"messages":[
			{"role":"user","content":"` + words(300) + `"},{"role":"assistant","content":"Yes."},{"role":"user","content":"Hi"}]}`,
			200, []string{`!"prompt_eval_count":1`, `"prompt_eval_count":3`}, ""},
		{"a conversation that does not fit", "/api/chat", `{"model":"demo","stream":false,"options":{"num_predict":300},"messages":[
			{"role":"user","content":"` + words(600) + `"},{"role":"assistant","content":"Yes."},{"role":"user","content":"Hi"}]}`,
			200, nil, "messages (2 of 3, to fit the context)"},
		{"a conversation that fits into a smaller context", "/api/chat", `{"model":"demo","stream":false,"options":{"num_ctx":340,"num_predict":300},
			"messages":[{"role":"user","content":"` + words(300) + `"},{"role":"assistant","content":"Yes."},{"role":"user","content":"Hi"}]}`,
			200, []string{`"prompt_eval_count":3`}, ""},
		{"a document of text", "/v1/messages", `{"model":"demo","max_tokens":3,"messages":[{"role":"user","content":[{"type":"document",
			"title":"T","source":{"type":"text","media_type":"text/plain","data":"Hi"}}]}]}`, 200, []string{`"output_tokens":3`}, ""},
		{"a document of another kind", "/v1/messages", `{"model":"demo","max_tokens":3,"messages":[{"role":"user","content":[{"type":"document",
			"source":{"type":"base64","media_type":"application/pdf","data":"Hi"}}]}]}`, 400, []string{"document"}, ""},
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

// words returns a text of n tokens of the demo, or a little more.
func words(n int) string { return strings.Repeat("dog ", n) }

// TestControlTokensInPrompts: clients that apply the chat template themselves write
// control tokens into a text, which the servers of all these APIs read as such.
func TestControlTokensInPrompts(t *testing.T) {
	s := serve(t, Options{})
	var tokens struct{ Tokens []int32 }
	r := s.do("POST", "/tokenize", `{"content":"User: Hi<|eot_id|>Assistant: ","add_special":true}`)
	if err := json.Unmarshal([]byte(r.body), &tokens); err != nil || len(tokens.Tokens) == 0 {
		t.Fatalf("%v: %s", err, r.body)
	}
	want := len(tokens.Tokens)
	for path, form := range map[string][2]string{
		"/completion":     {`{"prompt":%q,"n_predict":1%s}`, `"tokens_evaluated":%d,`},
		"/v1/completions": {`{"prompt":%q,"max_tokens":1%s}`, `"prompt_tokens":%d,`},
		"/api/generate":   {`{"model":"demo","raw":true,"stream":false,"prompt":%q,"options":{"num_predict":1}%s}`, `"prompt_eval_count":%d,`},
	} {
		const prompt = "User: Hi<|eot_id|>Assistant: "
		count := fmt.Sprintf(form[1], want)
		s.do("POST", path, fmt.Sprintf(form[0], prompt, "")).expect(t, 200, count)
		if r := s.do("POST", path, fmt.Sprintf(form[0], prompt, `,"parse_special":false`)); r.status != 200 || strings.Contains(r.body, count) {
			t.Errorf("%s with parse_special false: %s", path, r.body)
		}
	}
}

// TestAnyName: the alias * answers to every name that no model has, and to none that
// would change something.
func TestAnyName(t *testing.T) {
	s := serve(t, Options{Aliases: map[string]string{"*": "demo", "gpt-4": "demo"}, AllowDelete: true, AllowPull: true})
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"model":"gpt-4o","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}`,
		"/v1/messages":         `{"model":"claude-x","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}`,
		"/api/chat":            `{"model":"llama3:8b","stream":false,"options":{"num_predict":1},"messages":[{"role":"user","content":"Hi"}]}`,
		"/api/embed":           `{"model":"nomic","input":"Hi"}`,
	} {
		s.do("POST", path, body).expect(t, 200)
	}
	s.do("GET", "/v1/models/gpt-4o", "").expect(t, 200, `"root":"demo"`)
	if r := s.do("GET", "/v1/models", ""); strings.Contains(r.body, `"*"`) || !strings.Contains(r.body, "gpt-4") {
		t.Errorf("models: %s", r.body)
	}
	s.do("DELETE", "/api/delete", `{"model":"gpt-4o"}`).expect(t, 404)
	s.do("POST", "/api/copy", `{"source":"gpt-4o","destination":"x"}`).expect(t, 404)
}

// TestModelLists: clients learn what a model can do, and how long a text may be, from the
// fields of the server that they were written for.
func TestModelLists(t *testing.T) {
	s := serve(t, Options{Aliases: map[string]string{"gpt-4": "demo"}, Open: []trit.Option{trit.ContextSize(256)}})
	for path, mentions := range map[string][]string{
		"/v1/models": {`"id":"demo"`, `"id":"gpt-4"`, `"aliases":["gpt-4"]`, `"max_model_len":256`, `"context_length":256`, `"n_ctx":256`,
			`"n_ctx_train":512`, `"n_vocab":`, `"capabilities":["completion","tools"]`, `"type":"model"`, `"display_name":"demo"`,
			`"has_more":false`, `"first_id":"demo"`, `"last_id":"gpt-4"`, `"max_input_tokens":256`},
		"/v1/models/gpt-4": {`"id":"gpt-4"`, `"root":"demo"`, `"max_model_len":256`},
		"/models":          {`"id":"demo"`},
		"/api/tags":        {`"capabilities":["completion","tools"]`, `"context_length":256`, `"embedding_length":`},
		"/api/status":      {`"disabled":true`},
	} {
		s.do("GET", path, "").expect(t, 200, mentions...)
	}
	s.do("POST", "/api/show", `{"model":"demo"}`).expect(t, 200, `"capabilities":["completion","tools"]`, `"context_length":256`)
	s.do("GET", "/v1/models/none", "").expect(t, 404, `"code":"model_not_found"`)
	s.do("GET", "/v1/models/none", "", "Anthropic-Version", "2023-06-01").expect(t, 404, `"type":"not_found_error"`, `"request_id"`)
}

// TestLlamaServer has what programs for llama-server ask it for.
func TestLlamaServer(t *testing.T) {
	servertest.Copies(t, "other")
	s := serve(t, Options{Open: []trit.Option{trit.SamplingDefaults(func(o *sample.Options) { o.Temperature = 0 })}})
	for _, test := range []struct {
		name, path, body string
		status           int
		mentions         []string // or behind ! what must not be there
	}{
		{"several prompts", "/completion", `{"prompt":["Once upon",[1,2,3],"A dog"],"n_predict":2,"response_fields":["index","tokens_predicted","generation_settings/n_predict","none"]}`,
			200, []string{`[{"generation_settings/n_predict":2,"index":0,"tokens_predicted":2},{"generation_settings/n_predict":2,"index":1,"tokens_predicted":2},{"generation_settings/n_predict":2,"index":2,"tokens_predicted":2}]`}},
		{"a stream of several prompts", "/completion", `{"prompt":["Once","A dog"],"n_predict":2,"stream":true}`,
			200, []string{`data: {"index":0,`, `data: {"index":1,`, `"stop":true`}},
		{"an object", "/completion", `{"prompt":{"prompt_string":"Once upon"},"n_predict":1}`, 200, []string{`{"index":0,"content":`, `"prompt":"Once upon"`}},
		{"a prompt of texts and tokens", "/completion", `{"prompt":["Once",5],"n_predict":1}`, 200, []string{`{"index":0,"content":`}},
		{"one of several is wrong", "/completion", `{"prompt":["Once",[99999999]],"n_predict":1}`, 400, []string{"prompt"}},
		{"an image beside a text", "/completion", `{"prompt":{"prompt_string":"a <__media__>","multimodal_data":["aGk="]},"n_predict":1}`, 400, []string{"prompt"}},
		{"no image beside a text", "/completion", `{"prompt":{"prompt_string":"a","multimodal_data":[]},"n_predict":1}`, 200, nil},
		{"tokens that may not come", "/completion", `{"prompt":"Once","n_predict":1,"logit_bias":[[5,false],[6,1.5]]}`, 200, []string{`"logit_bias":[{"token":5,"bias":null},{"token":6,"bias":1.5}]`}},
		{"no end", "/completion", `{"prompt":"Once","n_predict":1,"ignore_eos":true}`, 200, []string{`"logit_bias":[{"token":`, `"bias":null}]`}},
		{"no biases", "/completion", `{"prompt":"Once","n_predict":1}`, 200, []string{`"logit_bias":[]`}},
		{"how long a prompt took", "/completion", `{"prompt":"Once","n_predict":1,"stream":true,"return_progress":true,"timings_per_token":true}`, 200, []string{`"timings":{"prompt_n":0,"prompt_ms":0,`}},
		{"an answer to the end of the context", "/completion", `{"prompt":"Once","n_predict":-1,"ignore_eos":true}`, 200, []string{`"truncated":true`, `"stop_type":"limit"`}},
		{"an answer to its own end", "/completion", `{"prompt":"Once","n_predict":5,"ignore_eos":true}`, 200, []string{`"truncated":false`, `"stop_type":"limit"`}},
		{"an object without a text", "/completion", `{"prompt":{"x":1},"n_predict":1}`, 400, []string{"prompt"}},
		{"lists within lists", "/completion", `{"prompt":[[[1]]],"n_predict":1}`, 400, []string{"prompt"}},
		{"no prompt", "/completion", `{"prompt":[],"n_predict":1}`, 400, []string{"prompt is required"}},
		{"the tokens of a chat", "/v1/chat/completions/input_tokens", `{"messages":[{"role":"user","content":"Hi"}]}`, 200, []string{`{"object":"response.input_tokens","input_tokens":`, `!"input_tokens":0`}},
		{"the tokens of a chat, elsewhere", "/chat/completions/input_tokens", `{"messages":[{"role":"user","content":"Hi"}]}`, 200, []string{`"input_tokens":`}},
		{"the tokens of a response, elsewhere", "/responses/input_tokens", `{"input":"Hi"}`, 200, []string{`"input_tokens":`}},
		{"the tokens of a response", "/v1/responses/input_tokens", `{"input":"Hi"}`, 200, []string{`"input_tokens":`}},
		{"loading", "/models/load", `{"model":"other"}`, 200, []string{`{"success":true}`}},
		{"unloading", "/models/unload", `{"model":"other"}`, 200, []string{`{"success":true}`}},
		{"unloading what stays", "/models/unload", `{"model":"demo"}`, 409, []string{"started with"}},
		{"loading what is not here", "/models/load", `{"model":"none"}`, 404, []string{"none"}},
		{"the server's temperature", "/completion", `{"prompt":"Once","n_predict":1}`, 200, []string{`"temperature":0,`}},
		{"the request's temperature", "/completion", `{"prompt":"Once","n_predict":1,"temperature":0.5}`, 200, []string{`"temperature":0.5,`}},
	} {
		r := s.do("POST", test.path, test.body)
		if r.status != test.status {
			t.Errorf("%s: %d %s", test.name, r.status, r.body)
		}
		for _, text := range test.mentions {
			if without, ok := strings.CutPrefix(text, "!"); ok == strings.Contains(r.body, without) {
				t.Errorf("%s: %s: %s", test.name, text, r.body)
			}
		}
	}
	if got := s.states(t); got != "demo" {
		t.Errorf("loaded: %s", got)
	}
}

// TestGivenTemplate: the operator's template is used instead of the file's.
func TestGivenTemplate(t *testing.T) {
	template, err := chat.Parse("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{Open: []trit.Option{trit.ChatTemplate(template)}})
	s.do("POST", "/apply-template", `{"messages":[{"role":"user","content":"Hi"}]}`).expect(t, 200, `"prompt":"<user>Hi"`)
}
