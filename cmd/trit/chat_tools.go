package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"trit"
	"trit/chat"
	"trit/internal/textfile"
	"trit/internal/tui"
)

func (c *conversation) toolsCommand(_ context.Context, args string, _ func(tui.Event)) (string, *exchange, error) {
	switch args {
	case "":
	case "off":
		c.tools = nil
	default:
		path, err := filePath(strings.Trim(args, `"`))
		if err != nil {
			return "", nil, err
		}
		tools, err := readTools(path)
		if err != nil {
			return "", nil, err
		}
		if err := c.partner.accepts(context.Background(), trit.Conversation{Tools: tools}); err != nil {
			return "", nil, err
		}
		c.tools = tools
	}
	if len(c.tools) == 0 {
		return "The model has no functions to call.", nil, nil
	}
	var b strings.Builder
	for _, t := range c.tools {
		fmt.Fprintf(&b, "%s  %s\n", t.Function.Name, shortText(t.Function.Description))
	}
	return b.String(), nil, nil
}

// readTools reads a list of tools, or an object with one, as OpenAI's chat API
// takes it.
func readTools(path string) ([]chat.Tool, error) {
	data, err := textfile.Read(path, maxSchema)
	if err != nil {
		return nil, err
	}
	var list []chat.Tool
	if text := bytes.TrimSpace(data); len(text) > 0 && text[0] == '{' {
		var request struct {
			Tools []chat.Tool `json:"tools"`
		}
		err = json.Unmarshal(data, &request)
		list = request.Tools
	} else {
		err = json.Unmarshal(data, &list)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: want a JSON list of tools: %w", path, err)
	case len(list) == 0:
		return nil, fmt.Errorf("%s: there are no tools in it", path)
	}
	for i, t := range list {
		if t.Function.Name == "" {
			return nil, fmt.Errorf("%s: tool %d has no function with a name", path, i)
		}
	}
	return list, nil
}

// called tells about the calls of an answer, which wait for their results.
func (c *conversation) called(x *exchange, emit func(tui.Event)) {
	if len(x.calls) == 0 {
		return
	}
	c.pending = slices.Clone(x.calls)
	for _, call := range x.calls {
		emit(tui.Event{Kind: tui.Notice, Text: callText(&call)})
	}
	emit(tui.Event{Kind: tui.Notice, Text: c.pendingNote()})
}

// callText shows a call.
func callText(call *chat.ToolCall) string {
	return fmt.Sprintf("The model calls %s %s", call.Function.Name, call.Function.Arguments)
}

// pendingNote says what the model waits for.
func (c *conversation) pendingNote() string {
	return fmt.Sprintf("The model waits for what %s gives: /result TEXT.", c.pending[0].Function.Name)
}

// unanswered returns the calls at the end of messages that have no result.
func unanswered(messages []chat.Message) []chat.ToolCall {
	for i := len(messages) - 1; i >= 0; i-- {
		switch m := messages[i]; m.Role {
		case "tool":
		case "assistant":
			given := len(messages) - 1 - i
			return slices.Clone(m.ToolCalls[min(given, len(m.ToolCalls)):])
		default:
			return nil
		}
	}
	return nil
}

func (c *conversation) resultCommand(
	ctx context.Context, args string, emit func(tui.Event),
) (string, *exchange, error) {
	if len(c.pending) == 0 {
		return "", nil, errors.New("the model has called nothing")
	}
	call := c.pending[0]
	result := chat.Message{Role: "tool", Content: args, Name: call.Function.Name, ToolCallID: call.ID}
	if len(c.pending) > 1 {
		c.pending = c.pending[1:]
		c.messages, c.window = append(slices.Clip(c.messages), result), append(slices.Clip(c.window), result)
		return c.pendingNote(), nil, nil
	}
	pending := c.pending
	c.pending = nil
	x := c.ask(ctx, result, emit)
	if x.empty() {
		c.pending = pending
	}
	return "", x, nil
}
