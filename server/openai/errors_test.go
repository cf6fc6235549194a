package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"trit/internal/inside"
	"trit/server/core"
)

func TestOpenAIErrors(t *testing.T) {
	s := newOpenAIServer(t, core.Options{MaxBody: 1 << 20})
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
		{"/v1/chat/completions", with(hello, "max_tokens", -2), 400, "max_tokens", "invalid_value"},
		{"/v1/chat/completions", with(hello, "max_completion_tokens", -5), 400, "max_completion_tokens", "invalid_value"},
		{"/v1/chat/completions", with(hello, "max_tokens", nil, "n_predict", -2), 400, "n_predict", "invalid_value"},
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
		// No token is left.
		{"/v1/chat/completions", with(hello, "guided_choice", []string{"red"}, "allowed_token_ids", []int{5}), 400, nil, "invalid_value"},
		{"/v1/chat/completions", with(hello, "grammar", "root ::= \"a\"", "guided_regex", "a"), 400, "guided_regex", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tools", []any{object{}}), 400, "tools[0].type", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tools", []any{object{"type": "function", "function": object{"name": "a b"}}}), 400, "tools[0].function.name", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tools", []any{clockTool, clockTool}), 400, "tools", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tools", []any{clockTool}, "tool_choice", object{"type": "function", "function": object{"name": "no"}}), 400, "tool_choice", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tool_choice", "required"), 400, "tool_choice", "invalid_value"},
		{"/v1/chat/completions", with(hello, "tool_choice", "always"), 400, "tool_choice", "invalid_value"},
		{"/v1/chat/completions", with(hello, "continue_final_message", true), 400, "messages", "invalid_value"},
		{"/v1/chat/completions", with(hello, "modalities", []string{"text", "audio"}), 400, "modalities", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "audio", object{"voice": "x"}), 400, "audio", "unsupported_parameter"},
		{"/v1/chat/completions", with(hello, "function_call", object{"name": "f"}), 400, "function_call", "invalid_value"},
		{"/v1/chat/completions", with(with(hello, "functions", []any{object{"name": "f"}}), "tools", []any{object{"type": "function", "function": object{"name": "g"}}}), 400, "functions", "invalid_value"},
		{"/v1/chat/completions", with(hello, "functions", []any{object{"name": "f g"}}), 400, "functions[0].name", "invalid_value"},
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
		{"/v1/completions", with(story, "prompt", []any{1.5}), 400, "prompt", "invalid_type"},
		{"/v1/completions", with(story, "prompt", object{}), 400, "prompt", "invalid_type"},
		{"/v1/completions", with(story, "prompt", 5), 400, "prompt", "invalid_type"},
		{"/v1/completions", with(story, "prompt", long), 400, nil, "context_length_exceeded"},
		{"/v1/completions", with(story, "suffix", "The end."), 400, "suffix", "unsupported_parameter"},
		{"/v1/completions", with(story, "best_of", 2, "n", 3), 400, "best_of", "invalid_value"},
		{"/v1/completions", with(story, "best_of", 2, "stream", true), 400, "best_of", "invalid_value"},
		{"/v1/completions", with(story, "max_tokens", -3), 400, "max_tokens", "invalid_value"},
		{"/v1/completions", with(story, "max_tokens", -2, "echo", true), 400, "max_tokens", "invalid_value"},
		{"/v1/completions", with(story, "logprobs", 21), 400, "logprobs", "invalid_value"},

		{"/v1/embeddings", object{"model": "demo"}, 400, "input", "invalid_value"},
		{"/v1/embeddings", object{"model": "demo", "input": "x", "encoding_format": "hex"}, 400, "encoding_format", "invalid_value"},
		{"/v1/embeddings", object{"model": "demo", "input": "x", "dimensions": 0}, 400, "dimensions", "invalid_value"},
		{"/v1/embeddings", object{"model": "demo", "input": "x", "dimensions": 5000}, 400, "dimensions", "invalid_value"},
		{"/v1/embeddings", object{"model": "demo", "input": "x", "input_type": "passage"}, 400, "input_type", "invalid_value"},
		{"/v1/embeddings", object{"model": "demo", "input": "x", "input_type": "query"}, 400, "input_type", "invalid_value"},
		{"/v1/embeddings", object{"model": "demo", "input": []int{1}, "input_type": "query"}, 400, "input_type", "invalid_value"},
		{"/v1/embeddings", object{"model": "demo", "input": 5}, 400, "input", "invalid_type"},
		{"/v1/embeddings", object{"model": "demo", "input": long}, 400, nil, "context_length_exceeded"},

		{"/v1/responses", object{"model": "demo"}, 400, "input", "invalid_value"},
		{"/v1/responses", object{"model": "demo", "input": []any{}}, 400, "input", "invalid_value"},
		{"/v1/responses", object{"model": "demo", "input": "x", "previous_response_id": "resp_1"}, 400, "previous_response_id", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": "x", "background": true}, 400, "background", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": "x", "conversation": "c"}, 400, "conversation", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": "x", "tools": []any{object{}}}, 400, "tools[0].type", "invalid_value"},
		{"/v1/responses", object{"model": "demo", "input": "x", "tools": []any{object{"type": "namespace", "name": "n", "tools": []any{object{}}}}}, 400, "tools[0].tools[0].type", "invalid_value"},
		{"/v1/responses", object{"model": "demo", "input": "x", "tools": []any{object{"type": "namespace", "name": "n", "tools": []any{object{"type": "namespace", "name": "m"}}}}}, 400, "tools[0].tools[0]", "invalid_value"},
		{"/v1/responses", object{"model": "demo", "input": []any{object{"type": "item_reference", "id": "x"}}}, 400, "input[0]", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": []any{object{"role": "user", "content": []any{object{"type": "input_image"}}}}}, 400, "input[0].content[0]", "unsupported_parameter"},
		{"/v1/responses", object{"model": "demo", "input": "x", "text": object{"format": object{"type": "json_schema"}}}, 400, "text.format", "invalid_value"},
		{"/v1/responses", object{"model": "demo", "input": "x", "max_output_tokens": -2}, 400, "max_output_tokens", "invalid_value"},
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
		s := newOpenAIServer(t, core.Options{})
		model := s.model()
		res := s.send("POST", path, body)
		first := make([]byte, 10)
		if _, err := io.ReadFull(res.Body, first); err != nil {
			t.Fatal(err)
		}
		if err := inside.Of(model.Model).Scheduler.Close(); err != nil {
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
	s := newOpenAIServer(t, core.Options{})
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
			running, waiting := model.Counts()
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
