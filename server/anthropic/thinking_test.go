package anthropic

import (
	"testing"

	"trit/chat"
	"trit/server/core"
	"trit/server/internal/servertest"
)

// TestThinkingBudget runs a model that thinks before every answer, within the budget of the request.
func TestThinkingBudget(t *testing.T) {
	w := servertest.NewWire(t, core.Options{Models: []string{servertest.Thinking(t)}}, Routes)
	for _, test := range []struct {
		name     string
		thinking servertest.Object
		kinds    []string // of blocks
	}{
		{"budget", servertest.Object{"type": "enabled", "budget_tokens": 40}, []string{"thinking", "text"}},
		{"disabled", servertest.Object{"type": "disabled"}, []string{"text"}},
		{"no bound", servertest.Object{"type": "adaptive"}, []string{"thinking"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out struct {
				Content []struct {
					Type, Text, Thinking string
				}
			}
			w.Ask("POST", "/v1/messages", servertest.Object{"model": "tiny", "max_tokens": 100, "temperature": 0,
				"thinking": test.thinking, "messages": []servertest.Object{{"role": "user", "content": "Hello!"}}}).Into(200, &out)
			var kinds []string
			for _, c := range out.Content {
				kinds = append(kinds, c.Type)
			}
			if len(kinds) != len(test.kinds) || kinds[0] != test.kinds[0] || kinds[len(kinds)-1] != test.kinds[len(kinds)-1] {
				t.Errorf("the blocks are %+v, want %v", out.Content, test.kinds)
			}
		})
	}
}

// TestThinkingOfEarlierTurns gives it to the template.
func TestThinkingOfEarlierTurns(t *testing.T) {
	budget, most := 0, 10
	q := messagesRequest{Model: "m", MaxTokens: &most, Messages: []messageField{
		{Role: "user", Content: contentField{{Type: "text", Text: "Hello!"}}},
		{Role: "assistant", Content: contentField{{Type: "thinking", Thinking: "Hm."}, {Type: "redacted_thinking"},
			{Type: "text", Text: "Yes."}, {Type: "tool_use", ID: "c", Name: "f"}}},
		{Role: "user", Content: contentField{{Type: "tool_result", ToolUseID: "c"}}},
	}}
	c, err := q.conversation()
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Messages[1]; len(c.Messages) != 3 || got.Reasoning != "Hm." || got.Content != "Yes." || len(got.ToolCalls) != 1 {
		t.Errorf("the messages are %+v", c.Messages)
	}
	q.Thinking = &thinkingField{Type: "enabled", BudgetTokens: &budget}
	if _, err := q.conversation(); err == nil {
		t.Error("a budget of 0 tokens was taken")
	}
	q.Thinking = nil
	effort := "low"
	q.OutputConfig = &outputConfig{Effort: &effort}
	if c, err := q.conversation(); err != nil || c.Variables[chat.EffortVariable] != "low" {
		t.Errorf("the variables are %v (%v)", c.Variables, err)
	}
}
