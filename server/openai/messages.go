package openai

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"trit/chat"
	"trit/server/core"
)

// readMessages reads the messages of a conversation.
func readMessages(raw []json.RawMessage) ([]chat.Message, error) {
	if len(raw) == 0 {
		return nil, core.BadRequest("messages", "messages is missing or empty; send at least one message")
	}
	messages := make([]chat.Message, len(raw))
	for i, data := range raw {
		if err := readMessage(&messages[i], data, fmt.Sprintf("messages[%d]", i)); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// readMessage reads one message; param names it.
func readMessage(m *chat.Message, data json.RawMessage, param string) error {
	var in struct {
		Role         string          `json:"role"`
		Content      json.RawMessage `json:"content"`
		Refusal      *string         `json:"refusal"`
		Reasoning    string          `json:"reasoning_content"`
		Thought      string          `json:"reasoning"` // the same, as newer clients name it
		Name         string          `json:"name"`
		ToolCallID   string          `json:"tool_call_id"`
		FunctionCall *struct {
			Name      string          `json:"name"`
			Arguments json.RawMessage `json:"arguments"`
		} `json:"function_call"`
		Audio     json.RawMessage `json:"audio"`
		ToolCalls []struct {
			ID       string `json:"id"`
			Type     string `json:"type"`
			Function struct {
				Name      string          `json:"name"`
				Arguments json.RawMessage `json:"arguments"`
			} `json:"function"`
			Custom struct {
				Name  string `json:"name"`
				Input string `json:"input"`
			} `json:"custom"`
		} `json:"tool_calls"`
	}
	if err := core.DecodeAt(data, &in, param); err != nil {
		return err
	}
	switch in.Role {
	case "system", "user", "assistant", "tool":
	case "developer": // templates know it by its older name
		in.Role = "system"
	case "function": // what the role tool was before
		in.Role = "tool"
	case "":
		return core.BadRequest(param+".role", "%s has no role", param)
	default:
		return core.BadRequest(param+".role", "%s has the role %.40q; want system, developer, user, assistant or tool",
			param, in.Role)
	}
	if !core.IsNull(in.Audio) {
		return core.Unsupported(param+".audio", "%s refers to audio, which this server does not keep", param)
	}
	text, parts, err := contentParts(in.Content, param+".content")
	if err != nil {
		return err
	}
	if text == "" && in.Refusal != nil {
		text = *in.Refusal
	}
	*m = chat.Message{Role: in.Role, Content: text, Parts: parts, Reasoning: cmp.Or(in.Reasoning, in.Thought),
		Name: in.Name, ToolCallID: in.ToolCallID}
	if f := in.FunctionCall; f != nil && in.Role == "assistant" {
		call, err := toolCall("", f.Name, f.Arguments, param+".function_call")
		if err != nil {
			return err
		}
		m.ToolCalls = append(m.ToolCalls, call)
	}
	if len(in.ToolCalls) > 0 && in.Role != "assistant" {
		return core.BadRequest(param+".tool_calls", "%s has tool_calls; only the assistant calls tools", param)
	}
	// Clients send an empty or interrupted turn of the assistant again with every request.
	if core.IsNull(in.Content) && in.Role != "assistant" {
		return core.BadRequest(param+".content", "%s has no content", param)
	}
	for k, c := range in.ToolCalls {
		at := fmt.Sprintf("%s.tool_calls[%d]", param, k)
		if c.Type == "custom" {
			arguments, err := json.Marshal(customInput{c.Custom.Input})
			if err != nil {
				return err
			}
			c.Function.Name, c.Function.Arguments, c.Type = c.Custom.Name, arguments, "function"
		}
		if c.Type != "" && c.Type != "function" {
			return core.Unsupported(at+".type", "%s has the type %.40q; this server has functions only", at, c.Type)
		}
		call, err := toolCall(c.ID, c.Function.Name, c.Function.Arguments, at+".function")
		if err != nil {
			return err
		}
		m.ToolCalls = append(m.ToolCalls, call)
	}
	return nil
}

// toolCall returns a call of the conversation so far. Its arguments are a JSON
// object or the text of one.
func toolCall(id, name string, arguments json.RawMessage, param string) (chat.ToolCall, error) {
	if name == "" {
		return chat.ToolCall{}, core.BadRequest(param+".name", "%s has no name", param)
	}
	text := "{}"
	if arguments = bytes.TrimSpace(arguments); bytes.HasPrefix(arguments, []byte(`"`)) {
		if err := json.Unmarshal(arguments, &text); err != nil {
			return chat.ToolCall{}, core.BadType(param+".arguments", "the text of a JSON object")
		}
	} else if !core.IsNull(arguments) {
		text = string(arguments)
	}
	if text == "" {
		text = "{}"
	}
	if trimmed := strings.TrimSpace(text); !json.Valid([]byte(trimmed)) || trimmed[0] != '{' {
		return chat.ToolCall{}, core.BadRequest(param+".arguments", "%s.arguments is not the text of a JSON object",
			param)
	}
	return chat.ToolCall{ID: id, Type: "function", Function: chat.FunctionCall{Name: name, Arguments: text}}, nil
}

// contentParts reads the content of a message: a text, or a list of parts, of
// which this server takes text only. The parts become lines, and are returned too.
func contentParts(raw json.RawMessage, param string) (string, []string, error) {
	raw = bytes.TrimSpace(raw)
	var text string
	switch {
	case core.IsNull(raw):
		return "", nil, nil
	case raw[0] == '"':
		err := core.DecodeAt(raw, &text, param)
		return text, nil, err
	case raw[0] != '[':
		return "", nil, core.BadType(param, "a string or an array of parts")
	}
	var parts []struct {
		Type    string  `json:"type"`
		Text    *string `json:"text"`
		Refusal *string `json:"refusal"`
	}
	if err := core.DecodeAt(raw, &parts, param); err != nil {
		return "", nil, err
	}
	lines := make([]string, len(parts))
	for i, p := range parts {
		at := fmt.Sprintf("%s[%d]", param, i)
		switch p.Type {
		case "text", "input_text", "output_text":
			if p.Text == nil {
				return "", nil, core.BadRequest(at+".text", "%s has no text", at)
			}
			lines[i] = *p.Text
		case "refusal":
			if p.Refusal == nil {
				return "", nil, core.BadRequest(at+".refusal", "%s has no refusal", at)
			}
			lines[i] = *p.Refusal
		case "":
			return "", nil, core.BadRequest(at+".type", "%s has no type; want text", at)
		default:
			return "", nil, core.Unsupported(at, "%s is of type %.40q; this server's models read text only", at, p.Type)
		}
	}
	return strings.Join(lines, "\n"), lines, nil
}

// templateValues turns decoded JSON into what chat templates compute with:
// whole numbers are integers.
func templateValues(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil { // beyond float64: as it was written
			return v.String()
		}
		return f
	case map[string]any:
		for key := range v {
			v[key] = templateValues(v[key])
		}
	case []any:
		for i := range v {
			v[i] = templateValues(v[i])
		}
	}
	return v
}

// templateField is an object of variables for the chat template.
type templateField map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (f *templateField) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var values map[string]any
	if dec.Decode(&values) != nil {
		return core.BadType("chat_template_kwargs", "an object")
	}
	templateValues(values)
	*f = values
	return nil
}
