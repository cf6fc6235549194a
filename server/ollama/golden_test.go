package ollama

import (
	"testing"

	"trit/server/internal/servertest"
)

type o = servertest.Object

var (
	parameters = o{"type": "object", "properties": o{"city": o{"enum": []string{"Paris", "Rome"}}}, "required": []string{"city"}}
	tools      = []o{
		{"type": "function", "function": o{"name": "get_weather", "description": "Tells the weather.", "parameters": parameters}},
		{"type": "function", "function": o{"name": "get_time"}},
	}
	report = o{"type": "object", "properties": o{"city": o{"type": "string"}, "degrees": o{"type": "integer"}},
		"required": []string{"city", "degrees"}, "additionalProperties": false}
	greeting = o{"role": "user", "content": "Hello!"}
	brief    = o{"role": "system", "content": "Be brief."}
	called   = []o{brief, {"role": "user", "content": "And in Paris?"},
		{"role": "assistant", "content": "I look.", "tool_calls": []o{{"id": "call00000",
			"function": o{"name": "get_weather", "arguments": o{"city": "Paris"}}}}},
		{"role": "tool", "tool_name": "get_weather", "tool_call_id": "call00000", "content": "sunny"}}
)

// with returns the body of a request with more fields, whose answer is whole.
func with(more o) o {
	body := o{"model": "tiny", "stream": false}
	for k, v := range more {
		body[k] = v
	}
	return body
}

// TestGolden pins what requests become with every kind of chat template; see
// testdata/golden.txt.
func TestGolden(t *testing.T) {
	const chat, generate = "/api/chat", "/api/generate"
	marks := []string{"thinking marks"}
	servertest.Golden(t, Routes, []servertest.Case{
		{Name: "plain", Path: chat, Body: with(o{"messages": []o{brief, greeting, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Who are you?"}}})},
		{Name: "tools", Path: chat, Body: with(o{"messages": called, "tools": tools})},
		{Name: "prefill", Path: chat, Body: with(o{"messages": []o{greeting, {"role": "assistant", "content": "Good"}}})},
		{Name: "format", Path: chat, Body: with(o{"messages": []o{greeting}, "format": report})},
		{Name: "thinking off", Path: chat, Body: with(o{"messages": []o{greeting}, "think": false})},
		{Name: "thinking on", Path: chat, Body: with(o{"messages": []o{greeting}, "think": true})},
		{Name: "generate", Path: generate, Body: with(o{"system": "Be brief.", "prompt": "Hello!", "format": "json"})},

		{Name: "sampling", Path: chat, In: marks, Body: with(o{"messages": []o{greeting}, "logprobs": true, "top_logprobs": 2, "options": o{
			"temperature": 0.5, "top_p": 0.25, "top_k": 11, "min_p": 0.125, "typical_p": 0.75, "seed": 3, "num_predict": 7, "num_ctx": 1000, "stop": []string{"a", "b"},
			"repeat_penalty": 1.25, "repeat_last_n": 5, "presence_penalty": 0.5, "frequency_penalty": 0.25, "mirostat": 2, "mirostat_tau": 4, "mirostat_eta": 0.25}})},
		{Name: "a call is required", Path: chat, In: marks, Body: with(o{"messages": []o{greeting}, "tools": tools, "tool_choice": "required"})},
		{Name: "generate raw", Path: generate, In: marks, Body: with(o{"prompt": "<|begin_of_text|>Once", "raw": true, "format": report})},
		{Name: "generate further", Path: generate, In: []string{"llama3", "thinking marks"}, Body: with(o{"prompt": "And you?", "context": []int{72, 105}})},
		{Name: "wrong format", Path: chat, In: marks, Body: with(o{"messages": []o{greeting}, "format": o{"type": 5}})},

		{Name: "answer", Path: chat, In: marks, Says: []string{"<think>", "Hm.", "</think>", "\n\nIt is", " sunny."}, Body: with(o{"messages": []o{greeting}})},
		{Name: "answer with calls", Path: chat, In: marks, Body: with(o{"messages": []o{greeting}, "tools": tools}),
			Says: []string{"I look. ", `<tool_call>{"name": "get_time", "arguments": {}}`, "</tool_call>\n", `<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>`}},
		{Name: "generated text", Path: generate, In: marks, Says: []string{"It", " is"}, Body: with(o{"prompt": "x"})},
	})
}
