package server

import (
	"encoding/json"
	"net/http"
	"time"

	"trit/chat"
)

// ollamaChatRequest is the body of /api/chat.
type ollamaChatRequest struct {
	ollamaCommon
	Messages []ollamaMessage `json:"messages"`
	Tools    []chat.Tool     `json:"tools"`
	// ToolChoice is not Ollama's, but what OpenAI's API has.
	ToolChoice *toolChoiceField `json:"tool_choice"`
}

// ollamaMessage is a message of a conversation.
type ollamaMessage struct {
	Role       string            `json:"role"`
	Content    string            `json:"content"`
	Thinking   string            `json:"thinking"`
	Images     []json.RawMessage `json:"images"`
	ToolCalls  []chat.ToolCall   `json:"tool_calls"`
	ToolName   string            `json:"tool_name"`
	ToolCallID string            `json:"tool_call_id"`
}

type ollamaChatLine struct {
	ollamaLine
	Message ollamaReply `json:"message"`
}

type ollamaReply struct {
	Role      string           `json:"role"`
	Content   string           `json:"content"`
	ToolCalls []ollamaToolCall `json:"tool_calls,omitempty"`
}

func (a *ollamaAPI) chat(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	var q ollamaChatRequest
	if err := readOllama(r, &q); err != nil {
		return err
	}
	if q.Model == "" {
		return badRequest("model", "model is required")
	}
	if len(q.Messages) == 0 {
		return a.loadOnly(w, r, &q.ollamaCommon, func(line ollamaLine) any {
			return ollamaChatLine{ollamaLine: line, Message: ollamaReply{Role: "assistant"}}
		})
	}
	c := conversation{tools: q.Tools, parallel: true, format: q.Format.format, truncate: q.truncate()}
	var err error
	if c.messages, err = q.messages(); err != nil {
		return err
	}
	if c.choice, err = q.ToolChoice.of(c.tools); err != nil {
		return err
	}
	if c.extra, err = q.Think.extra(q.Model); err != nil {
		return err
	}
	l, load, err := a.acquireOllama(r.Context(), q.Model, q.KeepAlive)
	if err != nil {
		return err
	}
	defer l.release()
	g, err := q.Options.generation(l, q.Logprobs, q.TopLogprobs)
	if err != nil {
		return err
	}
	c.options = g.options
	// A smaller context than the model's is kept to by reserving the rest.
	c.reserve = l.Model.Scheduler().Engine().Context() - g.context + g.reserve()
	c.prefill = c.messages[len(c.messages)-1].Role == "assistant" && len(c.messages[len(c.messages)-1].ToolCalls) == 0
	p, err := a.prepare(l, &c)
	if err != nil {
		return err
	}
	limit, err := g.bound(len(p.prompt))
	if err != nil {
		return err
	}
	p.options = append(p.options, limit)
	answer := &ollamaAnswer{ollamaAPI: a, common: &q.ollamaCommon, lease: l, start: start, load: load}
	answer.line = func(line ollamaLine, content string, calls []ollamaToolCall) any {
		return ollamaChatLine{ollamaLine: line, Message: ollamaReply{Role: "assistant", Content: content, ToolCalls: calls}}
	}
	return answer.write(w, r, p, a.converse)
}

// messages translates a conversation.
func (q *ollamaChatRequest) messages() ([]chat.Message, error) {
	var out []chat.Message
	for i, m := range q.Messages {
		switch {
		case len(m.Images) > 0:
			return nil, unsupported("messages", "messages[%d].images: %q does not support images", i, q.Model)
		case m.Role != "system" && m.Role != "user" && m.Role != "assistant" && m.Role != "tool":
			return nil, badRequest("messages", "messages[%d].role is %q; want \"system\", \"user\", \"assistant\" or \"tool\"", i, m.Role)
		}
		for j := range m.ToolCalls {
			m.ToolCalls[j].Type = "function"
		}
		out = append(out, chat.Message{Role: m.Role, Content: m.Content, Reasoning: m.Thinking,
			Name: m.ToolName, ToolCalls: m.ToolCalls, ToolCallID: m.ToolCallID})
	}
	for i, t := range q.Tools {
		if t.Type != "function" || t.Function.Name == "" {
			return nil, badRequest("tools", "tools[%d]: want {\"type\": \"function\", \"function\": {\"name\": …}}", i)
		}
	}
	return out, nil
}
