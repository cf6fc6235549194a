package ollama

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"

	"trit"
	"trit/chat"
	"trit/server/core"
)

// chatRequest is the body of /api/chat.
type chatRequest struct {
	commonFields
	Messages []messageField `json:"messages"`
	Tools    []chat.Tool    `json:"tools"`
	// ToolChoice is not Ollama's, but what OpenAI's API has.
	ToolChoice *core.ToolChoiceField `json:"tool_choice"`
}

// API implements core.Bound.
func (*chatRequest) API() core.API { return core.OllamaChat }

// messageField is a message of a conversation.
type messageField struct {
	Role       string            `json:"role"`
	Content    string            `json:"content"`
	Thinking   string            `json:"thinking"`
	Images     []json.RawMessage `json:"images"`
	ToolCalls  []chat.ToolCall   `json:"tool_calls"`
	ToolName   string            `json:"tool_name"`
	ToolCallID string            `json:"tool_call_id"`
}

type chatLine struct {
	answerLine
	Message chatReply `json:"message"`
}

type chatReply struct {
	Role      string     `json:"role"`
	Content   string     `json:"content"`
	Thinking  string     `json:"thinking,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

func (a *api) chat(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	var q chatRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	if q.Model == "" {
		return core.BadRequest("model", "model is required")
	}
	if len(q.Messages) == 0 {
		return a.loadOnly(w, r, &q.commonFields, func(line answerLine) any {
			return chatLine{answerLine: line, Message: chatReply{Role: "assistant"}}
		})
	}
	var c core.Conversation
	c.Tools = q.Tools
	c.SetFormat(q.Format.format())
	var err error
	if c.Messages, err = q.messages(); err != nil {
		return err
	}
	if c.ToolChoice, err = q.ToolChoice.Of(c.Tools); err != nil {
		return err
	}
	l, load, err := a.acquire(r.Context(), q.Model, q.KeepAlive)
	if err != nil {
		return err
	}
	defer l.Release()
	if err := q.Think.apply(&c, l, q.Model); err != nil {
		return err
	}
	g, err := q.Options.generation(r, l, q.Logprobs, q.TopLogprobs)
	if err != nil {
		return err
	}
	c.Options = g.options
	c.Truncation = trit.Truncation{DropOldest: q.truncate(), Context: g.context, Reserve: g.reserve(), YieldReserve: true}
	last := c.Messages[len(c.Messages)-1]
	c.Continue = last.Role == "assistant" && len(last.ToolCalls) == 0
	p, err := l.Prepare(r.Context(), &c)
	if err != nil {
		return err
	}
	core.SayIgnored(r, c.Ignored)
	limit, err := g.bound(len(p.Prompt))
	if err != nil {
		return err
	}
	p.Options = append(p.Options, limit)
	b := &answerBuilder{common: &q.commonFields, job: &p.Job, start: start, load: load}
	b.line = func(line answerLine, content, thinking string, calls []toolCall) any {
		return chatLine{answerLine: line, Message: chatReply{Role: "assistant", Content: content, Thinking: thinking,
			ToolCalls: calls}}
	}
	return a.answer(w, r, b, func(ctx context.Context) iter.Seq2[trit.Piece, error] { return a.Converse(ctx, p) })
}

// messages translates a conversation.
func (q *chatRequest) messages() ([]chat.Message, error) {
	var out []chat.Message
	for i, m := range q.Messages {
		switch {
		case len(m.Images) > 0:
			return nil, core.Unsupported("messages", "messages[%d].images: %q does not support images", i, q.Model)
		case m.Role != "system" && m.Role != "user" && m.Role != "assistant" && m.Role != "tool":
			return nil, core.BadRequest("messages",
				"messages[%d].role is %q; want \"system\", \"user\", \"assistant\" or \"tool\"", i, m.Role)
		}
		for j := range m.ToolCalls {
			m.ToolCalls[j].Type = "function"
		}
		out = append(out, chat.Message{Role: m.Role, Content: m.Content, Reasoning: m.Thinking,
			Name: m.ToolName, ToolCalls: m.ToolCalls, ToolCallID: m.ToolCallID})
	}
	for i, t := range q.Tools {
		if t.Type != "function" || t.Function.Name == "" {
			return nil, core.BadRequest("tools", "tools[%d]: want {\"type\": \"function\", \"function\": {\"name\": …}}", i)
		}
	}
	return out, nil
}
