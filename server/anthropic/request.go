package anthropic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"trit"
	"trit/chat"
	"trit/server/core"
)

// messagesRequest is the body of /v1/messages.
type messagesRequest struct {
	Model         string           `json:"model"`
	MaxTokens     *int             `json:"max_tokens"`
	Messages      []messageField   `json:"messages"`
	System        contentField     `json:"system"`
	StopSequences []string         `json:"stop_sequences"`
	Stream        bool             `json:"stream"`
	Temperature   *float64         `json:"temperature"`
	TopP          *float64         `json:"top_p"`
	TopK          *int             `json:"top_k"`
	Tools         []toolField      `json:"tools"`
	ToolChoice    *toolChoiceField `json:"tool_choice"`
	Thinking      *thinkingField   `json:"thinking"`
	OutputConfig  *outputConfig    `json:"output_config"`
	OutputFormat  *formatField     `json:"output_format"` // what output_config.format was once called
}

// API implements core.Bound.
func (*messagesRequest) API() core.API { return core.Messages }

type thinkingField struct {
	Type         string `json:"type"`
	BudgetTokens *int   `json:"budget_tokens"`
}

type outputConfig struct {
	Format *formatField `json:"format"`
	Effort *string      `json:"effort"`
}

type messageField struct {
	Role    string       `json:"role"`
	Content contentField `json:"content"`
}

// contentField is a text, or a list of blocks.
type contentField []contentBlock

// contentBlock is a part of a message. Which fields it has depends on Type.
type contentBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   contentField    `json:"content"`
	IsError   bool            `json:"is_error"`
	Title     string          `json:"title"`
	Source    struct {
		Type string `json:"type"`
		Data string `json:"data"`
	} `json:"source"`
}

// plain returns the text of a block that is one, or of a document that is.
func (b *contentBlock) plain() (string, bool) {
	switch {
	case b.Type == "text":
		return b.Text, true
	case b.Type == "document" && b.Source.Type == "text" && b.Title != "":
		return b.Title + "\n\n" + b.Source.Data, true
	case b.Type == "document" && b.Source.Type == "text":
		return b.Source.Data, true
	}
	return "", false
}

type toolField struct {
	Type        string          `json:"type"` // "custom", or a tool of the provider's
	Name        string          `json:"name"`
	Description string          `json:"description"`
	InputSchema json.RawMessage `json:"input_schema"`
}

type toolChoiceField struct {
	Type                   string `json:"type"`
	Name                   string `json:"name"`
	DisableParallelToolUse bool   `json:"disable_parallel_tool_use"`
}

type formatField struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *contentField) UnmarshalJSON(data []byte) error {
	*c = nil
	switch {
	case bytes.Equal(data, []byte("null")):
		return nil
	case data[0] == '"':
		b := contentBlock{Type: "text"}
		if err := json.Unmarshal(data, &b.Text); err != nil {
			return err
		}
		*c = contentField{b}
		return nil
	case data[0] == '[':
		return json.Unmarshal(data, (*[]contentBlock)(c))
	}
	return core.BadRequest("content", "want a string or an array of content blocks, not %s", core.ShortJSON(data))
}

// text returns the text of blocks that can be nothing else. place is where
// they are in the request.
func (c contentField) text(place string) (string, error) {
	var parts []string
	for i, b := range c {
		text, ok := b.plain()
		if !ok {
			return "", b.refuse(fmt.Sprintf("%s.%d", place, i))
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "\n"), nil
}

// refuse says that a block is not served where it stands.
func (b *contentBlock) refuse(place string) error {
	switch b.Type {
	case "":
		return core.BadRequest(place+".type", "Field required")
	case "image", "document":
		return core.Unsupported(place, "this model does not take content of the type %q; send text", b.Type)
	}
	return core.Unsupported(place, "content of the type %q is not supported here", b.Type)
}

// options returns what the request says about sampling and limits.
func (q *messagesRequest) options(ctx context.Context, m *trit.Model) ([]trit.GenerateOption, error) {
	var sampling core.Sampling
	sampling.Temperature, sampling.TopP, sampling.TopK = q.Temperature, q.TopP, q.TopK
	o, err := sampling.Options(ctx, m)
	if err != nil {
		return nil, err
	}
	for i, s := range q.StopSequences {
		if s == "" {
			return nil, core.BadRequest(fmt.Sprintf("stop_sequences.%d", i), "a stop sequence is empty")
		}
	}
	return []trit.GenerateOption{trit.Sampling(o), trit.Stop(q.StopSequences...), core.Limit(*q.MaxTokens).Option()}, nil
}

// conversation translates the request, except for its options.
func (q *messagesRequest) conversation() (*core.Conversation, error) {
	if q.Model == "" {
		return nil, core.BadRequest("model", "Field required")
	}
	if len(q.Messages) == 0 {
		return nil, core.BadRequest("messages", "at least one message is required")
	}
	c := &core.Conversation{ThinkingField: "thinking", ThinkingHint: true}
	if q.OutputConfig != nil && q.OutputConfig.Effort != nil {
		if err := c.SetEffort("output_config.effort", *q.OutputConfig.Effort); err != nil {
			return nil, err
		}
		c.Thinking = trit.ThinkingDefault // that is for the other field to say
	}
	if q.Thinking != nil {
		c.ThinkingField = "thinking"
		switch q.Thinking.Type {
		case "enabled":
			c.Thinking = trit.ThinkingOn
			if n := q.Thinking.BudgetTokens; n != nil && *n < 1 {
				return nil, core.BadRequest("thinking.budget_tokens",
					"thinking.budget_tokens is %d; want a positive number of tokens", *n)
			} else if n != nil {
				c.ThinkingBudget = *n
			}
		case "disabled":
			c.Thinking = trit.ThinkingOff
		case "adaptive": // as the model does it unasked
		default:
			return nil, core.BadRequest("thinking.type", "thinking.type is %.40q; want \"enabled\", \"disabled\" or \"adaptive\"",
				q.Thinking.Type)
		}
	}
	if err := q.toolsOf(c); err != nil {
		return nil, err
	}
	if err := q.formatOf(c); err != nil {
		return nil, err
	}
	system, err := q.System.text("system")
	if err != nil {
		return nil, err
	}
	if system != "" {
		c.Messages = append(c.Messages, chat.Message{Role: "system", Content: system})
	}
	if err := q.messagesOf(c); err != nil {
		return nil, err
	}
	if last := &c.Messages[len(c.Messages)-1]; last.Role == "assistant" {
		if len(last.ToolCalls) > 0 {
			return nil, core.BadRequest("messages", "the last message calls a tool; send the tool's result with it")
		}
		if last.Content != strings.TrimRight(last.Content, " \t\r\n") {
			return nil, core.BadRequest("messages", "final assistant content cannot end with trailing whitespace")
		}
		c.Continue = true
	}
	return c, nil
}

func (q *messagesRequest) toolsOf(c *core.Conversation) error {
	for i, t := range q.Tools {
		place := fmt.Sprintf("tools.%d", i)
		switch {
		case t.Type != "" && t.Type != "custom": // one of the provider's own
			c.IgnoreTool(place, t.Type)
			continue
		case t.Name == "":
			return core.BadRequest(place+".name", "Field required")
		case len(t.InputSchema) == 0:
			return core.BadRequest(place+".input_schema", "Field required")
		}
		c.Tools = append(c.Tools, chat.Tool{Type: "function",
			Function: chat.Function{Name: t.Name, Description: t.Description, Parameters: t.InputSchema}})
	}
	if q.ToolChoice == nil {
		return nil
	}
	c.SingleCall = q.ToolChoice.DisableParallelToolUse
	switch q.ToolChoice.Type {
	case "auto":
		return nil
	case "none":
		c.ToolChoice.Mode = trit.ToolsNever
		return nil
	case "any":
	case "tool":
		if !slices.ContainsFunc(c.Tools, func(t chat.Tool) bool { return t.Function.Name == q.ToolChoice.Name }) {
			return core.BadRequest("tool_choice.name", "tool_choice names the tool %q, which is not among the tools",
				q.ToolChoice.Name)
		}
		c.ToolChoice.Names = []string{q.ToolChoice.Name}
	default:
		return core.BadRequest("tool_choice.type", "the type is %q; want \"auto\", \"any\", \"tool\" or \"none\"",
			q.ToolChoice.Type)
	}
	if len(c.Tools) == 0 {
		return core.BadRequest("tool_choice", "tool_choice wants a call, and there are no tools")
	}
	c.ToolChoice.Mode = trit.ToolsRequired
	return nil
}

func (q *messagesRequest) formatOf(c *core.Conversation) error {
	f := q.OutputFormat
	if q.OutputConfig != nil && q.OutputConfig.Format != nil {
		f = q.OutputConfig.Format
	}
	switch {
	case f == nil:
		return nil
	case f.Type != "json_schema":
		return core.BadRequest("output_config.format", "the type is %q; want \"json_schema\"", f.Type)
	case len(f.Schema) == 0:
		return core.BadRequest("output_config.format.schema", "Field required")
	}
	c.SetFormat(core.Format{Format: trit.Format{Schema: f.Schema}, Field: "output_config.format.schema"})
	return nil
}

// messagesOf translates the messages. Messages in a row by the same speaker are one
// message, as in Anthropic's API.
func (q *messagesRequest) messagesOf(c *core.Conversation) error {
	called := map[string]string{} // the names of the tools by the ids of calls
	var content []string          // of the last message, as far as it has been read
	finish := func() {
		if len(content) > 0 {
			c.Messages[len(c.Messages)-1].Content = strings.Join(content, "\n")
		}
		content = nil
	}
	add := func(m chat.Message) {
		if n := len(c.Messages); n > 0 && m.Role != "tool" && c.Messages[n-1].Role == m.Role {
			last := &c.Messages[n-1]
			if len(content) == 0 && last.Content != "" { // a message of another role stood between
				content = append(content, last.Content)
			}
			last.Reasoning += m.Reasoning
			last.ToolCalls = append(last.ToolCalls, m.ToolCalls...)
		} else {
			finish()
			c.Messages = append(c.Messages, m)
		}
		if m.Content != "" {
			content = append(content, m.Content)
		}
	}
	for i, m := range q.Messages {
		switch m.Role {
		case "user", "assistant":
		case "system": // templates want it in front
			text, err := m.Content.text(fmt.Sprintf("messages.%d.content", i))
			if err != nil {
				return err
			}
			if len(c.Messages) == 0 || c.Messages[0].Role != "system" {
				finish()
				c.Messages = slices.Insert(c.Messages, 0, chat.Message{Role: "system", Content: text})
			} else {
				c.Messages[0].Content += "\n\n" + text
			}
			continue
		default:
			return core.BadRequest(fmt.Sprintf("messages.%d.role", i),
				"the role is %q; want \"user\", \"assistant\" or \"system\"", m.Role)
		}
		if len(m.Content) == 0 && (m.Role == "user" || i < len(q.Messages)-1) {
			return core.BadRequest(fmt.Sprintf("messages.%d", i),
				"all messages must have non-empty content, except for the last one of the assistant")
		}
		if len(m.Content) == 0 {
			continue // it begins the answer with nothing
		}
		for j, b := range m.Content {
			place := fmt.Sprintf("messages.%d.content.%d", i, j)
			text, isText := b.plain()
			switch {
			case isText:
				add(chat.Message{Role: m.Role, Content: text})
			case b.Type == "tool_use" && m.Role == "assistant":
				if b.ID == "" || b.Name == "" {
					return core.BadRequest(place, "a tool_use block needs an id and a name")
				}
				called[b.ID] = b.Name
				add(chat.Message{Role: m.Role, ToolCalls: []chat.ToolCall{{ID: b.ID, Type: "function",
					Function: chat.FunctionCall{Name: b.Name,
						Arguments: string(core.ArgumentsObject(string(b.Input)))}}}})
			case b.Type == "tool_result" && m.Role == "user":
				name, ok := called[b.ToolUseID]
				if !ok {
					return core.BadRequest(place+".tool_use_id",
						"there is no tool_use block with the id %q before this result", b.ToolUseID)
				}
				result, err := b.Content.text(place + ".content")
				if err != nil {
					return err
				}
				if b.IsError {
					result = "Error: " + result
				}
				add(chat.Message{Role: "tool", Name: name, ToolCallID: b.ToolUseID, Content: result})
			case b.Type == "thinking" && m.Role == "assistant":
				// Whether the model sees it again is up to its template.
				add(chat.Message{Role: m.Role, Reasoning: b.Thinking})
			case b.Type == "redacted_thinking" && m.Role == "assistant": // only its own server can read it
			default:
				return b.refuse(place)
			}
		}
	}
	finish()
	if len(c.Messages) == 0 || c.Messages[len(c.Messages)-1].Role == "system" {
		return core.BadRequest("messages", "the messages have no content")
	}
	return nil
}
