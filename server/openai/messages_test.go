package openai

import (
	"encoding/json"
	"testing"

	"trit/chat"
)

// TestReasoningOfMessages reads reasoning under both of its names.
func TestReasoningOfMessages(t *testing.T) {
	for body, want := range map[string]string{
		`{"role":"assistant","content":"x","reasoning_content":"a"}`:                 "a",
		`{"role":"assistant","content":"x","reasoning":"b"}`:                         "b",
		`{"role":"assistant","content":"x","reasoning":"b","reasoning_content":"a"}`: "a",
		`{"role":"assistant","content":"x","reasoning":null}`:                        "",
	} {
		var m chat.Message
		if err := readMessage(&m, json.RawMessage(body), "messages[0]"); err != nil || m.Reasoning != want || m.Content != "x" {
			t.Errorf("%s: %+v, %v", body, m, err)
		}
	}
}
