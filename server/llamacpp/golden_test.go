package llamacpp

import (
	"testing"

	"trit/server/internal/servertest"
)

type o = servertest.Object

// TestGolden pins what requests become with every kind of chat template; see
// testdata/golden.txt. This API has no conversations but for the text that they
// become.
func TestGolden(t *testing.T) {
	const completion, template = "/completion", "/apply-template"
	greeting := o{"role": "user", "content": "Hello!"}
	tools := []o{{"type": "function", "function": o{"name": "get_weather", "description": "Tells the weather.", "parameters": o{"type": "object",
		"properties": o{"city": o{"enum": []string{"Paris", "Rome"}}}, "required": []string{"city"}}}}}
	called := []o{{"role": "system", "content": "Be brief."}, {"role": "user", "content": "And in Paris?"},
		{"role": "assistant", "content": "I look.", "tool_calls": []o{{"id": "call00000", "type": "function",
			"function": o{"name": "get_weather", "arguments": o{"city": "Paris"}}}}},
		{"role": "tool", "tool_call_id": "call00000", "name": "get_weather", "content": "sunny"}}
	report := o{"type": "object", "properties": o{"city": o{"type": "string"}, "degrees": o{"type": "integer"}},
		"required": []string{"city", "degrees"}, "additionalProperties": false}
	marks := []string{"thinking marks"}
	servertest.Golden(t, Routes, []servertest.Case{
		{Name: "template", Path: template, Answered: true, Body: o{"messages": called, "tools": tools}},
		{Name: "template, thinking off", Path: template, Answered: true, Body: o{"messages": []o{greeting}, "chat_template_kwargs": o{"enable_thinking": false}}},
		{Name: "template, bare", Path: template, Answered: true, Body: o{"messages": []o{greeting}, "add_generation_prompt": false}},
		{Name: "completion", Path: completion, Body: o{"prompt": "<|im_start|>user\nHello!<|im_end|>\n<tool_call>"}},

		{Name: "sampling", Path: completion, In: marks, Body: o{"prompt": []any{72, "ello"}, "n_predict": 7, "temperature": 0.5, "dynatemp_range": 0.25, "dynatemp_exponent": 2,
			"top_p": 0.25, "top_k": 11, "min_p": 0.125, "typical_p": 0.75, "top_n_sigma": 2, "xtc_probability": 0.5, "xtc_threshold": 0.125, "min_keep": 2, "seed": 3,
			"repeat_penalty": 1.25, "repeat_last_n": 5, "presence_penalty": 0.5, "frequency_penalty": 0.25, "dry_multiplier": 0.5, "dry_base": 2, "dry_allowed_length": 3,
			"dry_penalty_last_n": 9, "dry_sequence_breakers": []string{"x"}, "logit_bias": []any{[]any{65, -1}, []any{"B", false}}, "n_probs": 3,
			"samplers": []string{"top_k", "temperature"}, "stop": []string{"a", "b"}, "ignore_eos": true}},
		{Name: "mirostat", Path: completion, In: marks, Body: o{"prompt": "x", "mirostat": 1, "mirostat_tau": 4, "mirostat_eta": 0.25}},
		{Name: "grammar", Path: completion, In: marks, Body: o{"prompt": "x", "grammar": `root ::= "yes" | "no"`}},
		{Name: "schema", Path: completion, In: marks, Body: o{"prompt": "<|begin_of_text|>x", "json_schema": report}},
		{Name: "wrong schema", Path: completion, In: marks, Body: o{"prompt": "x", "json_schema": o{"type": 5}}},

		{Name: "answer", Path: completion, In: marks, Says: []string{"It is", " sunny."}, Body: o{"prompt": "x", "return_tokens": true}},
	})
}
