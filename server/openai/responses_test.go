package openai

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"trit/server/core"
)

var ask = object{"model": "demo", "input": "Tell me about a dog.", "max_output_tokens": 12, "temperature": 0}

var weatherFunction = object{"type": "function", "name": "get_weather", "description": "The weather.", "parameters": weatherSchema, "strict": true}

// sequence returns the names of events, with repeated deltas as one.
func sequence(t *testing.T, events []sseEvent) []string {
	t.Helper()
	var names []string
	for i, e := range events {
		if jsonString(t, e.data, "type") != e.name {
			t.Errorf("event %d is called %s, its type is %v", i, e.name, e.data["type"])
		}
		if jsonNumber(t, e.data, "sequence_number") != float64(i) {
			t.Errorf("event %d has the number %v", i, e.data["sequence_number"])
		}
		if n := len(names); n > 0 && names[n-1] == e.name && strings.HasSuffix(e.name, ".delta") {
			continue
		}
		names = append(names, e.name)
	}
	return names
}

func TestResponses(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	out := s.post("/v1/responses", ask)
	text := jsonString(t, out, "output", 0, "content", 0, "text")
	want := jsonString(t, s.post("/v1/chat/completions", hello), "choices", 0, "message", "content")
	if text != want {
		t.Errorf("%q, the chat API says %q", text, want)
	}
	if !strings.HasPrefix(jsonString(t, out, "id"), "resp_") || !strings.HasPrefix(jsonString(t, out, "output", 0, "id"), "msg_") {
		t.Errorf("the ids are %v, %v", out["id"], jsonAt(t, out, "output", 0, "id"))
	}
	if jsonString(t, out, "status") != "incomplete" || jsonString(t, out, "incomplete_details", "reason") != "max_output_tokens" || jsonNumber(t, out, "usage", "output_tokens") != 12 || out["store"] != false {
		t.Errorf("%v", out)
	}
	events := s.events("/v1/responses", with(ask, "stream", true))
	if got, want := sequence(t, events), []string{"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
		"response.output_text.delta", "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.incomplete"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the events are %v, want %v", got, want)
	}
	var streamed strings.Builder
	for _, e := range events {
		switch e.name {
		case "response.output_text.delta":
			streamed.WriteString(jsonString(t, e.data, "delta"))
		case "response.output_text.done":
			if jsonString(t, e.data, "text") != text {
				t.Errorf("done with %v", e.data)
			}
		case "response.created":
			if jsonString(t, e.data, "response", "status") != "in_progress" || len(jsonList(t, e.data, "response", "output")) != 0 {
				t.Errorf("created as %v", e.data)
			}
		case "response.incomplete":
			if jsonString(t, e.data, "response", "output", 0, "content", 0, "text") != text {
				t.Errorf("the end is %v", e.data)
			}
		}
	}
	if streamed.String() != text {
		t.Errorf("streamed %q, want %q", &streamed, text)
	}
}

func TestResponsesFields(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	plain := jsonString(t, s.post("/v1/responses", ask), "output", 0, "content", 0, "text")
	for _, test := range []struct {
		name  string
		extra []any
		check func(t *testing.T, out object, text string)
	}{
		{"items", []any{"input", []any{object{"role": "user", "content": "Tell me about a dog."}}}, func(t *testing.T, out object, text string) {
			if text != plain {
				t.Errorf("%q, want %q", text, plain)
			}
		}},
		{"all kinds of items", []any{"instructions", "Be brief.", "input", []any{
			object{"type": "message", "role": "developer", "content": []any{object{"type": "input_text", "text": "Hi"}}},
			object{"type": "message", "role": "user", "content": []any{object{"type": "input_text", "text": "Weather?"}}},
			object{"type": "reasoning", "id": "rs_1", "summary": []any{}},
			object{"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": []any{object{"type": "output_text", "text": "I look.", "annotations": []any{}}}},
			object{"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": `{"city":"Rome","days":1}`},
			object{"type": "function_call", "call_id": "call_2", "name": "get_weather", "arguments": `{"city":"Oslo","days":1}`},
			object{"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
			object{"type": "function_call_output", "call_id": "call_2", "output": []any{object{"type": "input_text", "text": "rain"}}},
		}}, func(t *testing.T, out object, text string) {
			if jsonString(t, out, "instructions") != "Be brief." {
				t.Errorf("%v", out)
			}
		}},
		{"echoes", []any{"metadata", object{"k": "v"}, "truncation", "auto", "parallel_tool_calls", false, "top_p", 0.5, "user", "me", "store", true, "include", []string{"reasoning.encrypted_content"}}, func(t *testing.T, out object, text string) {
			if jsonString(t, out, "metadata", "k") != "v" || jsonString(t, out, "truncation") != "auto" || out["parallel_tool_calls"] != false || jsonNumber(t, out, "top_p") != 0.5 || jsonNumber(t, out, "temperature") != 0 {
				t.Errorf("%v", out)
			}
		}},
		{"schema", []any{"max_output_tokens", 60, "text", object{"format": object{"type": "json_schema", "name": "weather", "strict": true, "schema": weatherSchema}}}, func(t *testing.T, out object, text string) {
			if !json.Valid([]byte(text)) || jsonString(t, out, "status") != "completed" || jsonString(t, out, "text", "format", "type") != "json_schema" {
				t.Errorf("%q in %v", text, out)
			}
		}},
		{"logprobs", []any{"include", []string{"message.output_text.logprobs"}, "top_logprobs", 2}, func(t *testing.T, out object, text string) {
			l := jsonList(t, out, "output", 0, "content", 0, "logprobs")
			if len(l) != 12 || len(jsonList(t, l[0], "top_logprobs")) != 2 {
				t.Errorf("%v", l)
			}
		}},
		{"options", []any{"seed", 1, "top_k", 1, "temperature", 1, "stop", "zzzz"}, func(t *testing.T, out object, text string) {
			if text != plain {
				t.Errorf("%q, want %q", text, plain)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := *s
			s.TB = t
			out := s.post("/v1/responses", with(ask, test.extra...))
			test.check(t, out, jsonString(t, out, "output", 0, "content", 0, "text"))
			s.events("/v1/responses", with(with(ask, test.extra...), "stream", true))
		})
	}
}

func TestResponsesTools(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	body := with(ask, "max_output_tokens", 80, "tools", []any{weatherFunction, object{"type": "function", "name": "get_time", "parameters": nil, "strict": nil}}, "parallel_tool_calls", false)
	for name, choice := range map[string]any{
		"required": "required",
		"named":    object{"type": "function", "name": "get_weather"},
		"allowed":  object{"type": "allowed_tools", "mode": "required", "tools": []any{object{"type": "function", "name": "get_weather"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.TB = t
			out := s.post("/v1/responses", with(body, "tool_choice", choice))
			call := jsonAt(t, out, "output", 0)
			if jsonString(t, call, "type") != "function_call" || !json.Valid([]byte(jsonString(t, call, "arguments"))) || !strings.HasPrefix(jsonString(t, call, "id"), "fc_") || !strings.HasPrefix(jsonString(t, call, "call_id"), "call_") || jsonString(t, out, "status") != "completed" {
				t.Fatalf("%v", out)
			}
			if name != "required" && jsonString(t, call, "name") != "get_weather" {
				t.Errorf("%v", call)
			}
			if !reflect.DeepEqual(out["tool_choice"], mustJSON(t, choice)) || len(jsonList(t, out, "tools")) != 2 {
				t.Errorf("%v", out)
			}
			events := s.events("/v1/responses", with(body, "tool_choice", choice, "stream", true))
			got, deltas := sequence(t, events), ""
			const delta = "response.function_call_arguments.delta"
			done := ""
			for _, e := range events {
				switch e.name {
				case delta:
					deltas += jsonString(t, e.data, "delta")
				case "response.function_call_arguments.done":
					done = jsonString(t, e.data, "arguments")
				}
			}
			if want := []string{"response.created", "response.in_progress", "response.output_item.added",
				delta, "response.function_call_arguments.done", "response.output_item.done", "response.completed"}; !reflect.DeepEqual(got, want) {
				t.Errorf("the events are %v, want %v", got, want)
			}
			if want := jsonString(t, call, "arguments"); deltas != want || done != want {
				t.Errorf("streamed %q, %q, want %q", deltas, done, want)
			}
			// The answer goes into the next request as it is.
			items := append([]any{object{"role": "user", "content": "Weather?"}}, jsonList(t, out, "output")...)
			items = append(items, object{"type": "function_call_output", "call_id": jsonString(t, call, "call_id"), "output": "sunny"})
			s.post("/v1/responses", with(body, "input", items))
		})
	}
}

// mustJSON returns a value as it comes out of JSON.
func mustJSON(t *testing.T, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
