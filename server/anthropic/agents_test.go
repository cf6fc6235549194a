package anthropic

import "trit/server/internal/servertest"

// agents are requests in the shape that coding agents send. The words are ours.
func agents() []servertest.Case {
	mark := o{"type": "ephemeral"}
	reminder := o{"type": "text", "text": "<system-reminder>\nThe date is today.\n</system-reminder>"}
	return []servertest.Case{
		// Claude Code: blocks with marks for a cache, thinking, metadata, signed thoughts in the history,
		// several results in one message, hosted tools beside its own.
		{Name: "Claude Code", Path: "/v1/messages", In: []string{"plain", "thinking marks"}, Body: with(o{
			"max_tokens": 32000, "stream": true, "temperature": 1, "metadata": o{"user_id": "user_0_account__session_0"},
			"thinking": o{"type": "enabled", "budget_tokens": 31999}, "context_management": o{"edits": []o{{"type": "clear_thinking_20251015", "keep": "all"}}},
			"system": []o{{"type": "text", "text": "You edit code.", "cache_control": mark}, {"type": "text", "text": "Be brief.", "cache_control": mark}},
			"messages": []o{
				{"role": "user", "content": []o{reminder, {"type": "text", "text": "Rename f to g.", "cache_control": mark}}},
				{"role": "assistant", "content": []o{{"type": "thinking", "thinking": "Two files.", "signature": "EqQB"}, {"type": "text", "text": "I read both."},
					{"type": "tool_use", "id": "toolu_01", "name": "Read", "input": o{"file_path": "/a.go"}},
					{"type": "tool_use", "id": "toolu_02", "name": "Read", "input": o{"file_path": "/b.go"}}}},
				{"role": "user", "content": []o{{"type": "tool_result", "tool_use_id": "toolu_01", "content": "package a"},
					{"type": "tool_result", "tool_use_id": "toolu_02", "content": []o{{"type": "text", "text": "no such file"}}, "is_error": true, "cache_control": mark}}},
			},
			"tools": []o{
				{"name": "Read", "description": "Reads a file.", "input_schema": o{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
					"properties": o{"file_path": o{"type": "string", "description": "absolute"}, "limit": o{"type": "number", "exclusiveMinimum": 0}},
					"required":   []string{"file_path"}, "additionalProperties": false}},
				{"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
			}})},
	}
}
