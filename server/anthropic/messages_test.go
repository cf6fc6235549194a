package anthropic

import (
	"encoding/json"
	"testing"

	"trit/server/core"
)

// TestMessagesOf: messages in a row by the same speaker are one, also where a system
// message, which goes to the front, stood between them.
func TestMessagesOf(t *testing.T) {
	var q messagesRequest
	if err := json.Unmarshal([]byte(`{"messages": [
		{"role": "user", "content": "one"}, {"role": "user", "content": [{"type": "text", "text": "two"}]},
		{"role": "system", "content": "be brief"}, {"role": "user", "content": "three"},
		{"role": "assistant", "content": "four"}, {"role": "system", "content": "be kind"},
		{"role": "assistant", "content": "five"}, {"role": "user", "content": "six"},
		{"role": "system", "content": "be good"}, {"role": "assistant", "content": "seven"}]}`), &q); err != nil {
		t.Fatal(err)
	}
	var c core.Conversation
	if err := q.messagesOf(&c); err != nil {
		t.Fatal(err)
	}
	want := [][2]string{{"system", "be brief\n\nbe kind\n\nbe good"}, {"user", "one\ntwo\nthree"}, {"assistant", "four\nfive"}, {"user", "six"}, {"assistant", "seven"}}
	if len(c.Messages) != len(want) {
		t.Fatalf("the messages are %+v", c.Messages)
	}
	for i, m := range c.Messages {
		if m.Role != want[i][0] || m.Content != want[i][1] {
			t.Errorf("message %d is %s: %q, want %q", i, m.Role, m.Content, want[i])
		}
	}
}
