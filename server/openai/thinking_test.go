package openai

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"trit/chat"
	"trit/server/core"
	"trit/server/internal/servertest"
)

// endOfThought is how the template of the tests ends reasoning; in its model a byte is a token.
const endOfThought = "\n</think>\n\n"

// TestThinkingFields runs a model that thinks before every answer, as much as the fields say.
func TestThinkingFields(t *testing.T) {
	s := newOpenAIServer(t, core.Options{Models: []string{servertest.Thinking(t)}, ThinkingBudget: 5})
	for _, test := range []struct {
		name     string
		fields   object
		thoughts int // tokens
	}{
		{"the server's own", object{}, 5},
		{"no bound", object{"reasoning_budget": -1}, 60},
		{"effort of none", object{"reasoning_effort": "none"}, 0},
		{"low effort", object{"reasoning_effort": "low"}, 60},
		{"reasoning_budget", object{"reasoning_budget": 9}, 9},
		{"thinking_budget_tokens", object{"thinking_budget_tokens": 9, "reasoning_effort": "low"}, 9},
		{"thinking_token_budget", object{"thinking_token_budget": 9}, 9},
		{"a budget of nothing", object{"thinking_token_budget": 0}, 0},
		{"the template's variable", object{"chat_template_kwargs": object{"enable_thinking": false}}, 0},
		{"a form of the answer", object{"reasoning_budget": 9, "guided_regex": "[0-9]{5}"}, 9},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := object{"messages": []object{{"role": "user", "content": "Hello!"}}, "max_tokens": 60, "ignore_eos": true,
				"temperature": 0}
			for name, value := range test.fields {
				body[name] = value
			}
			out := s.post("/v1/chat/completions", body)
			n := int(jsonNumber(t, out, "usage", "completion_tokens_details", "reasoning_tokens"))
			if n < test.thoughts || n > test.thoughts+len(endOfThought) || test.thoughts == 0 && n > 0 {
				t.Errorf("%d tokens of reasoning, want %d", n, test.thoughts)
			}
			content := jsonString(t, out, "choices", 0, "message", "content")
			if (content == "") != (test.thoughts == 60) {
				t.Errorf("the answer is %q", content)
			}
			if _, ok := test.fields["guided_regex"]; ok && len(content) != 5 {
				t.Errorf("the answer is %q, want 5 digits", content)
			}
		})
	}
	out := s.post("/v1/responses", object{"input": "Hello!", "max_output_tokens": 40, "temperature": 0, "ignore_eos": true,
		"reasoning": object{"effort": "none"}})
	if jsonString(t, out, "reasoning", "effort") != "none" || jsonNumber(t, out, "usage", "output_tokens_details", "reasoning_tokens") != 0 {
		t.Errorf("the response is %v", out)
	}
}

// TestReasoningFormats tells reasoning where llama.cpp's field says.
func TestReasoningFormats(t *testing.T) {
	s := newOpenAIServer(t, core.Options{Models: []string{servertest.Thinking(t)}})
	body := func(format string) object {
		return object{"messages": []object{{"role": "user", "content": "Hello!"}}, "max_tokens": 90, "ignore_eos": true,
			"temperature": 1, "seed": 3, "reasoning_budget": 30, "reasoning_format": format}
	}
	message := func(format string) (content, reasoning string) {
		m := jsonAt(t, s.post("/v1/chat/completions", body(format)), "choices", 0, "message").(map[string]any)
		reasoning, _ = m["reasoning_content"].(string)
		return m["content"].(string), reasoning
	}
	content, reasoning := message("auto")
	if content == "" || reasoning == "" {
		t.Fatalf("%q, %q", content, reasoning)
	}
	if c, r := message("deepseek"); c != content || r != reasoning {
		t.Errorf("deepseek: %q, %q", c, r)
	}
	if c, r := message("none"); r != "" || !strings.HasSuffix(c, endOfThought+content) {
		t.Errorf("none: %q, %q", c, r)
	}
	if c, r := message("deepseek-legacy"); r != reasoning || c != "<think>\n"+reasoning+endOfThought+content {
		t.Errorf("deepseek-legacy: %q, %q", c, r)
	}
}

// TestThinkingErrors: what is wrong is said with the field's name; models that cannot think say so in
// a header only.
func TestThinkingErrors(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	for field, test := range map[string]struct {
		value any
		says  string
	}{
		"reasoning_effort":       {"some", "want none, minimal, low, medium, high, xhigh or max"},
		"reasoning_budget":       {-2, "reasoning_budget is -2"},
		"thinking_budget_tokens": {-7, "thinking_budget_tokens is -7"},
		"reasoning_format":       {"xml", "want auto, none, deepseek or deepseek-legacy"},
	} {
		status, out := s.call("POST", "/v1/chat/completions", with(hello, field, test.value))
		if status != 400 || jsonString(t, out, "error", "param") != field || !strings.Contains(jsonString(t, out, "error", "message"), test.says) {
			t.Errorf("%s: %v", field, out)
		}
	}
	s.post("/v1/chat/completions", with(hello, "reasoning_effort", "high", "reasoning_budget", 100))
}

// TestContentParts: templates that go through the parts of a content get them.
func TestContentParts(t *testing.T) {
	const parts = `[{"type": "input_text", "text": "a"}, {"type": "text", "text": "b"}, {"type": "output_text", "text": "c"}]`
	var c core.Conversation
	if err := responseInput(&c, json.RawMessage(`[{"role": "user", "content": `+parts+`},
		{"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
		{"type": "message", "role": "assistant", "content": `+parts+`},
		{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
		{"type": "function_call_output", "call_id": "c", "output": `+parts+`}]`)); err != nil {
		t.Fatal(err)
	}
	more, err := readMessages([]json.RawMessage{json.RawMessage(`{"role": "user", "content": ` + parts + `}`)})
	if err != nil {
		t.Fatal(err)
	}
	c.Messages = append(c.Messages, more...)
	if len(c.Messages) != 4 {
		t.Fatalf("%+v", c.Messages)
	}
	for _, m := range c.Messages {
		if m.Content != "a\nb\nc" || !slices.Equal(m.Parts, []string{"a", "b", "c"}) {
			t.Errorf("%s: %q, %q", m.Role, m.Content, m.Parts)
		}
	}
}

// TestReasoningItems: what was thought belongs to the turn that follows it.
func TestReasoningItems(t *testing.T) {
	thought := `{"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}`
	summary := `{"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "A"}, {"type": "summary_text", "text": "B"}]}`
	secret := `{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x"}`
	said := `{"type": "message", "role": "assistant", "content": "Yes."}`
	call := `{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}`
	user := `{"role": "user", "content": "Hello!"}`
	calls := []chat.ToolCall{{ID: "c", Type: "function", Function: chat.FunctionCall{Name: "f", Arguments: "{}"}}}
	for _, test := range []struct {
		items []string
		want  []chat.Message
	}{
		{[]string{thought, said}, []chat.Message{{Role: "assistant", Reasoning: "Hm.", Content: "Yes."}}},
		{[]string{summary, call}, []chat.Message{{Role: "assistant", Reasoning: "A\nB", ToolCalls: calls}}},
		{[]string{secret, said}, []chat.Message{{Role: "assistant", Content: "Yes."}}},
		{[]string{said, thought, user}, []chat.Message{{Role: "assistant", Content: "Yes."}, {Role: "assistant", Reasoning: "Hm."},
			{Role: "user", Content: "Hello!"}}},
		{[]string{user, thought}, []chat.Message{{Role: "user", Content: "Hello!"}}},
	} {
		var c core.Conversation
		if err := responseInput(&c, json.RawMessage("["+strings.Join(test.items, ",")+"]")); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(c.Messages, test.want, func(a, b chat.Message) bool {
			return a.Role == b.Role && a.Content == b.Content && a.Reasoning == b.Reasoning && len(a.ToolCalls) == len(b.ToolCalls)
		}) {
			t.Errorf("%v: %+v", test.items, c.Messages)
		}
	}
}
