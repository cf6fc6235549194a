package anthropic

import (
	"testing"

	"trit/server/internal/servertest"
)

type o = servertest.Object

var (
	tools = []o{
		{"name": "get_weather", "description": "Tells the weather.", "input_schema": o{"type": "object",
			"properties": o{"city": o{"enum": []string{"Paris", "Rome"}}}, "required": []string{"city"}}},
		{"name": "get_time", "input_schema": o{"type": "object"}},
	}
	report = o{"type": "object", "properties": o{"city": o{"type": "string"}, "degrees": o{"type": "integer"}},
		"required": []string{"city", "degrees"}, "additionalProperties": false}
	greeting = o{"role": "user", "content": "Hello!"}
	called   = []o{{"role": "user", "content": "And in Paris?"},
		{"role": "assistant", "content": []o{{"type": "text", "text": "I look."},
			{"type": "tool_use", "id": "call00000", "name": "get_weather", "input": o{"city": "Paris"}}}},
		{"role": "user", "content": []o{{"type": "tool_result", "tool_use_id": "call00000", "content": "sunny"}}}}
)

// with returns the body of a request with more fields.
func with(more o) o {
	body := o{"model": "tiny", "max_tokens": 50}
	for k, v := range more {
		body[k] = v
	}
	return body
}

// TestGolden pins what requests become with every kind of chat template; see
// testdata/golden.txt.
func TestGolden(t *testing.T) {
	const messages, count = "/v1/messages", "/v1/messages/count_tokens"
	marks := []string{"thinking marks"}
	servertest.Golden(t, Routes, append([]servertest.Case{
		{Name: "plain", Path: messages, Body: with(o{"system": "Be brief.",
			"messages": []o{greeting, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Who are you?"}}})},
		{Name: "tools", Path: messages, Body: with(o{"system": "Be brief.", "messages": called, "tools": tools})},
		{Name: "prefill", Path: messages, Body: with(o{"messages": []o{greeting, {"role": "assistant", "content": "Good"}}})},
		{Name: "format", Path: messages, Body: with(o{"messages": []o{greeting}, "output_config": o{"format": o{"type": "json_schema", "schema": report}}})},
		{Name: "thinking off", Path: messages, Body: with(o{"messages": []o{greeting}, "thinking": o{"type": "disabled"}})},
		{Name: "thinking on", Path: messages, Body: with(o{"messages": []o{greeting}, "thinking": o{"type": "enabled", "budget_tokens": 2000}})},

		{Name: "sampling", Path: messages, In: marks, Body: with(o{"messages": []o{greeting}, "temperature": 0.5, "top_p": 0.25, "top_k": 11, "stop_sequences": []string{"a", "b"}})},
		{Name: "one tool, one call", Path: messages, In: marks, Body: with(o{"messages": []o{greeting}, "tools": tools,
			"tool_choice": o{"type": "tool", "name": "get_weather", "disable_parallel_tool_use": true}})},
		{Name: "any tool", Path: messages, In: marks, Body: with(o{"messages": []o{greeting}, "tools": tools, "tool_choice": o{"type": "any"}})},
		{Name: "no tool", Path: messages, In: marks, Body: with(o{"messages": []o{greeting}, "tools": tools, "tool_choice": o{"type": "none"}})},
		{Name: "failed tool", Path: messages, In: marks, Body: with(o{"tools": tools, "messages": []o{called[0], called[1],
			{"role": "user", "content": []o{{"type": "tool_result", "tool_use_id": "call00000", "content": []o{{"type": "text", "text": "no such city"}}, "is_error": true},
				{"type": "text", "text": "Go on."}}}}})},
		{Name: "blocks and turns in a row", Path: messages, In: marks, Body: with(o{"messages": []o{greeting,
			{"role": "user", "content": []o{{"type": "text", "text": "Who"}, {"type": "text", "text": "are you?"}}}}})},
		{Name: "wrong schema", Path: messages, In: marks, Body: with(o{"messages": []o{greeting}, "output_format": o{"type": "json_schema", "schema": o{"type": 5}}})},
		{Name: "tokens of a prefilled answer", Path: count, In: marks, Answered: true, Body: with(o{"messages": []o{greeting, {"role": "assistant", "content": "Good"}}})},

		{Name: "answer", Path: messages, In: marks, Says: []string{"<think>", "Hm.", "</think>", "\n\nIt is", " sunny."}, Body: with(o{"messages": []o{greeting}})},
		{Name: "answer with calls", Path: messages, In: marks, Body: with(o{"messages": []o{greeting}, "tools": tools}),
			Says: []string{"I look. ", `<tool_call>{"name": "get_time", "arguments": {}}`, "</tool_call>\n", `<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>`}},
	}, agents()...))
}
