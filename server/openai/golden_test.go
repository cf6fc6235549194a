package openai

import (
	"strings"
	"testing"

	"trit/server/internal/servertest"
)

type o = servertest.Object

var (
	tools = []o{
		{"type": "function", "function": o{"name": "get_weather", "description": "Tells the weather.", "parameters": o{"type": "object",
			"properties": o{"city": o{"enum": []string{"Paris", "Rome"}}}, "required": []string{"city"}}}},
		{"type": "function", "function": o{"name": "get_time"}},
	}
	report = o{"type": "object", "properties": o{"city": o{"type": "string"}, "degrees": o{"type": "integer"}},
		"required": []string{"city", "degrees"}, "additionalProperties": false}
	greeting = o{"role": "user", "content": "Hello!"}
	brief    = o{"role": "system", "content": "Be brief."}
	// called is a conversation with a call and its result.
	called = []o{brief, {"role": "user", "content": "And in Paris?"},
		{"role": "assistant", "content": "I look.", "tool_calls": []o{{"id": "call00000", "type": "function",
			"function": o{"name": "get_weather", "arguments": `{"city": "Paris"}`}}}},
		{"role": "tool", "tool_call_id": "call00000", "name": "get_weather", "content": "sunny"}}
)

// TestGolden pins what requests become with every kind of chat template; see
// testdata/golden.txt.
func TestGolden(t *testing.T) {
	const chat, text, responses = "/v1/chat/completions", "/v1/completions", "/v1/responses"
	marks := []string{"thinking marks"}
	servertest.Golden(t, Routes, append([]servertest.Case{
		{Name: "plain", Path: chat, Body: o{"messages": []o{brief, greeting, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Who are you?"}}}},
		{Name: "tools", Path: chat, Body: o{"messages": called, "tools": tools}},
		{Name: "one tool", Path: chat, Body: o{"messages": []o{greeting}, "tools": tools, "parallel_tool_calls": false,
			"tool_choice": o{"type": "function", "function": o{"name": "get_weather"}}}},
		{Name: "prefill", Path: chat, Body: o{"messages": []o{greeting, {"role": "assistant", "content": "Good"}}, "continue_final_message": true}},
		{Name: "format", Path: chat, Body: o{"messages": []o{greeting},
			"response_format": o{"type": "json_schema", "json_schema": o{"name": "report", "strict": true, "schema": report}}}},
		{Name: "format and tools", Path: chat, Body: o{"messages": []o{greeting}, "tools": tools, "response_format": o{"type": "json_object"}}},
		{Name: "thinking off", Path: chat, Body: o{"messages": []o{greeting}, "chat_template_kwargs": o{"enable_thinking": false}}},
		{Name: "responses", Path: responses, Body: o{"instructions": "Be brief.", "input": []o{greeting,
			{"type": "function_call", "call_id": "call00000", "name": "get_weather", "arguments": `{"city": "Paris"}`},
			{"type": "function_call_output", "call_id": "call00000", "output": "sunny"}},
			"tools":       []o{{"type": "function", "name": "get_weather", "parameters": tools[0]["function"].(o)["parameters"]}},
			"tool_choice": "required", "max_output_tokens": 50}},

		{Name: "sampling", Path: chat, In: marks, Body: o{"messages": []o{greeting}, "n": 2, "max_tokens": 7, "temperature": 0.5, "top_p": 0.25, "seed": 3,
			"frequency_penalty": 0.75, "presence_penalty": -0.75, "stop": []string{"a", "b"}, "logit_bias": o{"5": -100, "6": 1.5},
			"logprobs": true, "top_logprobs": 2, "top_k": 11, "min_p": 0.125, "repetition_penalty": 1.25, "min_tokens": 3, "stop_token_ids": []int{9},
			"ignore_eos": true, "skip_special_tokens": false, "samplers": "top_k;temperature", "bad_words": []string{"x"}, "allowed_token_ids": []int{1, 2, 3}}},
		{Name: "developer, no stop, no limit", Path: chat, In: marks, Body: o{
			"messages": []o{{"role": "developer", "content": []o{{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}}}, greeting},
			"stop":     "", "n_predict": -1}},
		{Name: "bare", Path: chat, In: marks, Body: o{"messages": []o{greeting}, "add_generation_prompt": false}},
		{Name: "tools never", Path: chat, In: marks, Body: o{"messages": called, "tools": tools, "tool_choice": "none"}},
		{Name: "unknown tool", Path: chat, In: marks, Body: o{"messages": []o{greeting}, "tools": tools,
			"tool_choice": o{"type": "function", "function": o{"name": "x"}}}},
		{Name: "grammar", Path: chat, In: marks, Body: o{"messages": []o{greeting}, "grammar": `root ::= "yes" | "no"`}},
		{Name: "wrong grammar", Path: chat, In: marks, Body: o{"messages": []o{greeting}, "grammar": `root ::= (`}},
		{Name: "responses prompt", Path: responses, In: marks, Body: o{"input": "Hello!", "text": o{"format": o{"type": "json_schema", "name": "report", "schema": report}},
			"temperature": 0, "top_logprobs": 1}},
		{Name: "responses, truncated", Path: responses, In: marks, Body: o{"truncation": "auto", "max_output_tokens": 3000,
			"input": []o{{"role": "user", "content": strings.Repeat("long ", 1500)}, {"role": "assistant", "content": "Yes."}, greeting}}},
		{Name: "responses, thinking off", Path: responses, In: marks, Body: o{"input": "Hello!", "chat_template_kwargs": o{"enable_thinking": false}}},
		{Name: "completion", Path: text, In: marks, Body: o{"prompt": "Once <tool_call>", "n": 2, "best_of": 3, "guided_choice": []string{"yes", "no"}}},
		{Name: "completion of tokens", Path: text, In: marks, Body: o{"prompt": []int{72, 105}, "max_tokens": 4, "guided_regex": "yes|no"}},

		{Name: "answer", Path: chat, In: marks, Says: []string{"<think>", "Hm.", "</think>", "\n\nIt is", " sunny."}, Body: o{"messages": []o{greeting}}},
		{Name: "answer with calls", Path: chat, In: marks, Body: o{"messages": []o{greeting}, "tools": tools},
			Says: []string{"I look. ", `<tool_call>{"name": "get_time", "arguments": {}}`, "</tool_call>\n", `<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>`}},
		{Name: "function called", Path: chat, In: marks, Says: []string{`<tool_call>{"name": "get_time", "arguments": {}}</tool_call>`},
			Body: o{"messages": []o{greeting}, "functions": []o{{"name": "get_time"}}}},
		{Name: "no function called", Path: chat, In: marks, Says: []string{"It is", " late."},
			Body: o{"messages": []o{greeting}, "functions": []o{{"name": "get_time"}}}},
		{Name: "completed text", Path: text, In: marks, Says: []string{"It", " is"}, Body: o{"prompt": "x", "echo": true, "max_tokens": 5}},
		{Name: "response", Path: responses, In: marks, Body: o{"input": "Hello!", "tools": []o{{"type": "function", "name": "get_time"}}},
			Says: []string{"<think>Hm.", "</think>\n\n", "I look. ", `<tool_call>{"name": "get_time", "arguments": {}}</tool_call>`}},
		{Name: "response with a call that is cut", Path: responses, In: marks, Body: o{"input": "Hello!", "tools": []o{{"type": "function", "name": "get_weather"}}},
			Says: []string{`<tool_call>{"name": "get_weather", "arguments": `, `{"city": "Ro`}, Cut: true},
		{Name: "response whose thought is cut", Path: responses, In: marks, Says: []string{"<think>", "Hm"}, Cut: true, Body: o{"input": "Hello!"}},
		{Name: "empty response", Path: responses, In: marks, Says: []string{""}, Body: o{"input": "Hello!"}},
	}, agents()...))
}
