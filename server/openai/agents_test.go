package openai

import "trit/server/internal/servertest"

// agents are requests in the shapes that coding agents send: their kinds of tools and items, and the fields that they
// always set. The words are ours.
func agents() []servertest.Case {
	marks := []string{"plain", "thinking marks"}
	text := func(kind, s string) []o { return []o{{"type": kind, "text": s}} }
	path := o{"type": "object", "properties": o{"path": o{"type": "string"}}, "required": []string{"path"}, "additionalProperties": false}
	command := o{"type": "object", "properties": o{"command": o{"type": "array", "items": o{"type": "string"}}, "workdir": o{"type": "string"},
		"timeout_ms": o{"type": "number"}}, "required": []string{"command"}, "additionalProperties": false}
	return []servertest.Case{
		// Codex: a developer message, the environment as a user message, tools of five types, history of custom calls,
		// of reasoning that only the hosted model can read and of a search.
		{Name: "Codex", Path: "/v1/responses", In: marks, Body: o{
			"model": "tiny", "instructions": "You edit code.", "stream": true, "store": false, "parallel_tool_calls": false,
			"tool_choice": "auto", "prompt_cache_key": "0199", "include": []string{"reasoning.encrypted_content"},
			"reasoning": o{"effort": "medium", "summary": "auto"}, "text": o{"verbosity": "medium"},
			"input": []o{
				{"type": "message", "role": "developer", "content": text("input_text", "Ask before you delete.")},
				{"type": "message", "role": "user", "content": text("input_text", "<environment_context>\n  <cwd>/src</cwd>\n</environment_context>")},
				{"type": "message", "role": "user", "content": text("input_text", "Rename f to g.")},
				{"type": "reasoning", "summary": []o{}, "content": nil, "encrypted_content": "gAAAAA"},
				{"type": "web_search_call", "id": "ws_1", "status": "completed", "action": o{"type": "search", "query": "g"}},
				{"type": "function_call", "name": "shell", "call_id": "call00001", "arguments": `{"command":["ls"]}`},
				{"type": "function_call_output", "call_id": "call00001", "output": "main.go"},
				{"type": "custom_tool_call", "name": "apply_patch", "call_id": "call00002", "status": "completed", "input": "*** Begin Patch\n*** End Patch"},
				{"type": "custom_tool_call_output", "call_id": "call00002", "output": "Done."},
				{"type": "message", "role": "assistant", "content": text("output_text", "g it is.")},
				{"type": "message", "role": "user", "content": text("input_text", "Thanks. Now h.")},
			},
			"tools": []o{
				{"type": "function", "name": "shell", "description": "Runs a command.", "strict": false, "parameters": command},
				{"type": "namespace", "name": "mcp__files", "description": "Files.", "tools": []o{
					{"type": "function", "name": "read", "description": "Reads.", "strict": false, "parameters": path}}},
				{"type": "custom", "name": "apply_patch", "description": "Edits files.", "format": o{"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
				{"type": "web_search", "external_web_access": false},
				{"type": "image_generation", "output_format": "png"},
			}}},
		// opencode, by the AI SDK's compatible provider: several system messages, draft 7 with $schema,
		// usage in streams.
		{Name: "opencode", Path: "/v1/chat/completions", In: marks, Body: o{
			"model": "tiny", "max_tokens": 32000, "temperature": 0, "top_p": 1, "stream": true, "stream_options": o{"include_usage": true},
			"tool_choice": "auto",
			"messages": []o{
				{"role": "system", "content": "You are a coding agent."}, {"role": "system", "content": "Working directory: /src"},
				{"role": "user", "content": text("text", "Read main.go.")},
				{"role": "assistant", "content": "", "reasoning_content": "I need the file.", "tool_calls": []o{{"id": "call00001", "type": "function",
					"function": o{"name": "read", "arguments": `{"filePath":"/src/main.go","offset":0}`}}}},
				{"role": "tool", "tool_call_id": "call00001", "content": "<file>\n00001| package main\n</file>"},
			},
			"tools": []o{
				{"type": "function", "function": o{"name": "read", "description": "Reads a file.", "parameters": o{"$schema": "http://json-schema.org/draft-07/schema#",
					"type": "object", "properties": o{"filePath": o{"type": "string", "description": "absolute"},
						"offset": o{"type": "integer", "exclusiveMinimum": -1, "maximum": int64(9007199254740991)}},
					"required": []string{"filePath"}, "additionalProperties": false}}},
				{"type": "function", "function": o{"name": "todoread", "description": "Lists.", "parameters": o{"type": "object", "properties": o{}, "additionalProperties": false}}},
			}}},
		// Cline: tools are described in the system prompt and called by tags in the text, parts of the
		// user's message are the task and the surroundings.
		{Name: "Cline", Path: "/v1/chat/completions", In: marks, Body: o{
			"model": "tiny", "temperature": 0, "stream": true, "stream_options": o{"include_usage": true},
			"messages": []o{
				{"role": "system", "content": "You are Cline.\n<read_file>\n<path>path</path>\n</read_file>"},
				{"role": "user", "content": []o{{"type": "text", "text": "<task>\nRead main.go.\n</task>"}, {"type": "text", "text": "<environment_details>\n# Mode\nACT\n</environment_details>"}}},
				{"role": "assistant", "content": "<read_file>\n<path>main.go</path>\n</read_file>"},
				{"role": "user", "content": []o{{"type": "text", "text": "[read_file for 'main.go'] Result:"}, {"type": "text", "text": "package main"}}},
			}}},
	}
}
