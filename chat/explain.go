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
	var parts [][]string // of the contents of out, a line feed between them
	add := func(m Message, texts ...string) {
		out, parts = append(out, m), append(parts, texts)
	}
	var system []string // what stands before the list of tools
	var list strings.Builder
	if len(tools) > 0 {
		list.WriteString("You may call these functions:\n<tools>\n")
		for _, t := range tools {
			line, err := json.Marshal(t)
			if err != nil {
				return nil, fmt.Errorf("%w: the parameters of the tool %q are not JSON: %w", ErrMessage, t.Function.Name, err)
			}
			list.Write(line)
			list.WriteByte('\n')
		}
		list.WriteString("</tools>\nTo call one, answer with <tool_call>{\"name\": NAME, \"arguments\": ARGUMENTS}</tool_call>.")
		add(Message{Role: "system"})
	}
	for _, m := range messages {
		switch {
		case m.Role == "system" && len(out) == 1 && len(tools) > 0:
			system = append(system, m.Content)
		case m.Role == "tool":
			text := "<tool_response>\n" + m.Content + "\n</tool_response>"
			if n := len(out); n > 0 && out[n-1].Role == "user" { // templates want turns to alternate
				parts[n-1] = append(parts[n-1], text)
			} else {
				add(Message{Role: "user"}, text)
			}
		case len(m.ToolCalls) > 0:
			var texts []string
			if m.Content != "" {
				texts = append(texts, m.Content)
			}
			for _, call := range m.ToolCalls {
				texts = append(texts, fmt.Sprintf("<tool_call>\n{\"name\": %q, \"arguments\": %s}\n</tool_call>",
					call.Function.Name, call.Function.Arguments))
			}
			m.ToolCalls = nil
			add(m, texts...)
		default:
			add(m, m.Content)
		}
	}
	for i := range out {
		out[i].Content = strings.Join(parts[i], "\n")
	}
	if len(tools) > 0 {
		out[0].Content = strings.Join(append(system, list.String()), "\n\n")
	}
	return out, nil
}
