package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrMessage: a message, tool or tool call does not have the form of OpenAI's chat API.
var ErrMessage = errors.New("invalid chat message")

// Message is one message of a conversation, in the form of OpenAI's chat API.
type Message struct {
	// Role is who speaks: "system", "user", "assistant" or "tool"; templates may know others.
	// "developer" is the same as "system" to templates that do not mention it.
	Role string `json:"role"`
	// Content is the text. In JSON it may also be null, or a list of text parts, which are
	// joined with newlines.
	Content string `json:"content"`
	// Parts are the texts of the list that the content was given as, if it was: templates that go through
	// such lists get one. They count only while Content is the lines of them.
	Parts []string `json:"-"`
	// Reasoning is what the model thought before it answered, kept apart from Content.
	Reasoning string `json:"reasoning_content,omitempty"`
	// Name tells speakers with the same role apart, or names the function that a tool message answers for.
	Name string `json:"name,omitempty"`
	// ToolCalls are the calls an assistant message makes.
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
	// ToolCallID is the id of the call that a tool message answers.
	ToolCallID string `json:"tool_call_id,omitempty"`
}

// ToolCall is a call of a function by the model.
type ToolCall struct {
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type"` // "function"
	Function FunctionCall `json:"function"`
}

// FunctionCall says which function is called and how.
type FunctionCall struct {
	Name string `json:"name"`
	// Arguments is a JSON object as text. When unmarshalled, an object in place of the text is taken too.
	Arguments string `json:"arguments"`
}

// Tool is a function offered to the model.
type Tool struct {
	Type     string   `json:"type"` // "function"
	Function Function `json:"function"`
}

// Function describes a function offered to the model.
type Function struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Parameters is a JSON Schema object. Templates see its keys in the order written here.
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Strict     *bool           `json:"strict,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Message) UnmarshalJSON(data []byte) error {
	type plain Message
	in := struct {
		*plain
		Content json.RawMessage `json:"content"`
	}{plain: (*plain)(m)}
	*m = Message{}
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("%w: %w", ErrMessage, err)
	}
	var err error
	if m.Content, m.Parts, err = contentText(in.Content); err != nil {
		return fmt.Errorf("%w with role %q: %w", ErrMessage, m.Role, err)
	}
	return nil
}

// contentText reads the content of a message: a string, null, or a list of text parts, which it also returns.
func contentText(raw json.RawMessage) (string, []string, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil, nil
	}
	switch raw[0] {
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, nil, err
	case '[':
		var parts []struct {
			Type    string  `json:"type"`
			Text    *string `json:"text"`
			Refusal *string `json:"refusal"`
		}
		if err := json.Unmarshal(raw, &parts); err != nil {
			return "", nil, fmt.Errorf("content parts: %w", err)
		}
		var texts []string
		for i, p := range parts {
			switch {
			case (p.Type == "text" || p.Type == "input_text" || p.Type == "output_text") && p.Text != nil:
				texts = append(texts, *p.Text)
			case p.Type == "refusal" && p.Refusal != nil:
				texts = append(texts, *p.Refusal)
			default:
				return "", nil, fmt.Errorf("content part %d has type %q: only text parts are understood, send {\"type\": \"text\", \"text\": …}", i, p.Type)
			}
		}
		return strings.Join(texts, "\n"), texts, nil
	}
	return "", nil, fmt.Errorf("content must be a string or a list of parts, found %.20s", raw)
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *FunctionCall) UnmarshalJSON(data []byte) error {
	var in struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("%w: tool call: %w", ErrMessage, err)
	}
	f.Name = in.Name
	args, err := argumentText(in.Arguments)
	if err != nil {
		return fmt.Errorf("%w: tool call %q: %w", ErrMessage, in.Name, err)
	}
	f.Arguments = args
	return nil
}

// argumentText reads arguments given as text or as an object, and returns them as text.
func argumentText(raw json.RawMessage) (string, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return "{}", nil
	}
	switch raw[0] {
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case '{':
		return string(raw), nil
	}
	return "", fmt.Errorf("arguments must be a JSON object or its text, found %.20s", raw)
}
