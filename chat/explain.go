package chat

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ExplainTools puts a conversation with tools into the words of a template that knows none: the
// system message lists the tools, calls and their results become text, in the form of [ToolsHermes].
// The messages themselves are not changed. Parameters that are not JSON are an error that matches
// [ErrMessage].
func ExplainTools(messages []Message, tools []Tool) ([]Message, error) {
	var out []Message
	if len(tools) > 0 {
		var b strings.Builder
		b.WriteString("You may call these functions:\n<tools>\n")
		for _, t := range tools {
			line, err := json.Marshal(t)
			if err != nil {
				return nil, fmt.Errorf("%w: the parameters of the tool %q are not JSON: %w", ErrMessage, t.Function.Name, err)
			}
			b.Write(line)
			b.WriteByte('\n')
		}
		b.WriteString("</tools>\nTo call one, answer with <tool_call>{\"name\": NAME, \"arguments\": ARGUMENTS}</tool_call>.")
		out = append(out, Message{Role: "system", Content: b.String()})
	}
	for _, m := range messages {
		switch {
		case m.Role == "system" && len(out) == 1 && len(tools) > 0:
			out[0].Content = m.Content + "\n\n" + out[0].Content
			continue
		case m.Role == "tool":
			m = Message{Role: "user", Content: "<tool_response>\n" + m.Content + "\n</tool_response>"}
			if n := len(out); n > 0 && out[n-1].Role == "user" { // templates want turns to alternate
				out[n-1].Content += "\n" + m.Content
				continue
			}
		case len(m.ToolCalls) > 0:
			for _, call := range m.ToolCalls {
				if m.Content != "" {
					m.Content += "\n"
				}
				m.Content += fmt.Sprintf("<tool_call>\n{\"name\": %q, \"arguments\": %s}\n</tool_call>",
					call.Function.Name, call.Function.Arguments)
			}
			m.ToolCalls = nil
		}
		out = append(out, m)
	}
	return out, nil
}
