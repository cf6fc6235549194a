package anthropic

import (
	"encoding/json"
	"slices"
	"strings"

	"trit"
	"trit/chat"
	"trit/server/core"
)

// messageReply is a message of the assistant, finished or at its beginning.
type messageReply struct {
	ID           string        `json:"id"`
	Type         string        `json:"type"` // "message"
	Role         string        `json:"role"` // "assistant"
	Model        string        `json:"model"`
	Content      []contentPart `json:"content"`
	StopReason   *string       `json:"stop_reason"`
	StopSequence *string       `json:"stop_sequence"`
	Usage        usage         `json:"usage"`
}

// contentPart is a block of an answer: text, what is thought before it, or a call
// of a tool.
type contentPart struct {
	Type      string          `json:"type"`
	Text      *string         `json:"text,omitempty"`
	Thinking  *string         `json:"thinking,omitempty"`
	Signature *string         `json:"signature,omitempty"` // of thinking; empty, as nothing is signed
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
}

// set fills in the text.
func (p *contentPart) set(text string) {
	if p.Type == "thinking" {
		p.Thinking, p.Signature = &text, new("")
		return
	}
	p.Text = &text
}

type usage struct {
	InputTokens              int `json:"input_tokens"`
	CacheCreationInputTokens int `json:"cache_creation_input_tokens"`
	CacheReadInputTokens     int `json:"cache_read_input_tokens"`
	OutputTokens             int `json:"output_tokens"`
}

// The events of a stream.
type (
	messageStart struct {
		Type    string       `json:"type"`
		Message messageReply `json:"message"`
	}
	blockStart struct {
		Type         string      `json:"type"`
		Index        int         `json:"index"`
		ContentBlock contentPart `json:"content_block"`
	}
	blockDelta struct {
		Type  string    `json:"type"`
		Index int       `json:"index"`
		Delta partDelta `json:"delta"`
	}
	partDelta struct {
		Type        string  `json:"type"`
		Text        *string `json:"text,omitempty"`
		Thinking    *string `json:"thinking,omitempty"`
		PartialJSON *string `json:"partial_json,omitempty"`
	}
	blockStop struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
	}
	messageDelta struct {
		Type  string     `json:"type"`
		Delta messageEnd `json:"delta"`
		Usage usage      `json:"usage"`
	}
	messageEnd struct {
		StopReason   *string `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	}
	bareEvent struct {
		Type string `json:"type"`
	}
)

// messageBuilder makes a message of the assistant of pieces: the events of a
// stream and the whole message.
type messageBuilder struct {
	request   *messagesRequest
	out       *core.Reply
	reply     messageReply
	requestID string
	begun     bool
	end       messageEnd

	kind    string          // of the open block: "text", "thinking", "tool_use", or "" if there is none
	pending string          // white space that may become the beginning of a text
	text    strings.Builder // of the open block; of a tool, its input
	tool    contentPart     // that is called in the open block
}

func newMessageBuilder(q *messagesRequest, p *core.Prepared, out *core.Reply, requestID string) *messageBuilder {
	return &messageBuilder{request: q, out: out, requestID: requestID, reply: messageReply{
		ID: core.NewID("msg_"), Type: "message", Role: "assistant", Model: q.Model, Content: []contentPart{},
		Usage: usage{InputTokens: len(p.Prompt)}}}
}

// Add takes the next piece of the answer.
func (b *messageBuilder) Add(p trit.Piece) error {
	if err := b.begin(); err != nil {
		return err
	}
	if p.ID != core.NoToken {
		b.reply.Usage.OutputTokens++
	}
	if err := b.grow("thinking", p.Reasoning); err != nil {
		return err
	}
	if err := b.grow("text", p.Content); err != nil {
		return err
	}
	for _, part := range p.CallParts {
		if err := b.callPart(part); err != nil {
			return err
		}
	}
	if p.Finish != "" {
		b.end = b.endOf(p)
	}
	return nil
}

// begin tells that there is a message.
func (b *messageBuilder) begin() error {
	if b.begun {
		return nil
	}
	b.begun = true
	if err := b.out.Piece("message_start", messageStart{Type: "message_start", Message: b.reply}); err != nil {
		return err
	}
	return b.out.Piece("ping", bareEvent{"ping"})
}

// grow goes on with a block of text, which it begins if need be. White space
// alone makes no block: models write it between calls.
func (b *messageBuilder) grow(kind, s string) error {
	if s == "" {
		return nil
	}
	if b.kind != kind {
		if err := b.close(); err != nil {
			return err
		}
		if b.pending += s; strings.TrimSpace(b.pending) == "" {
			return nil
		}
		s, b.pending, b.kind = b.pending, "", kind
		part := contentPart{Type: kind}
		part.set("")
		begun := blockStart{"content_block_start", len(b.reply.Content), part}
		if err := b.out.Piece(begun.Type, begun); err != nil {
			return err
		}
	}
	b.text.WriteString(s)
	delta := partDelta{Type: "text_delta", Text: &s}
	if kind == "thinking" {
		delta = partDelta{Type: "thinking_delta", Thinking: &s}
	}
	return b.out.Piece("content_block_delta", blockDelta{"content_block_delta", len(b.reply.Content), delta})
}

// close ends the open block.
func (b *messageBuilder) close() error {
	if b.kind == "" {
		return nil
	}
	b.pending = ""
	part := contentPart{Type: b.kind}
	whole := true
	if b.kind == "tool_use" {
		// An input that the limit has cut is no object: a whole answer leaves it out.
		part = b.tool
		part.Input = json.RawMessage(b.text.String())
		whole = b.out.Streams() || json.Valid(part.Input)
	} else {
		part.set(b.text.String())
	}
	b.kind = ""
	b.text.Reset()
	index := len(b.reply.Content)
	if whole {
		b.reply.Content = append(b.reply.Content, part)
	}
	return b.out.Piece("content_block_stop", blockStop{"content_block_stop", index})
}

// callPart goes on with a block that calls a tool, which it begins if need be.
func (b *messageBuilder) callPart(part chat.CallPart) error {
	if part.ID != "" {
		if err := b.close(); err != nil {
			return err
		}
		b.pending, b.kind = "", "tool_use"
		b.tool = contentPart{Type: b.kind, ID: "toolu_" + strings.TrimPrefix(part.ID, "call_"), Name: part.Name,
			Input: json.RawMessage("{}")}
		if err := b.out.Piece("content_block_start", blockStart{"content_block_start", len(b.reply.Content),
			b.tool}); err != nil {
			return err
		}
	}
	if part.Arguments == "" {
		return nil
	}
	b.text.WriteString(part.Arguments)
	return b.out.Piece("content_block_delta", blockDelta{"content_block_delta", len(b.reply.Content),
		partDelta{Type: "input_json_delta", PartialJSON: &part.Arguments}})
}

// endOf says why the answer ended with its last piece.
func (b *messageBuilder) endOf(p trit.Piece) messageEnd {
	reason := "end_turn"
	var end messageEnd
	switch {
	case p.Finish == trit.FinishLength && b.reply.Usage.OutputTokens < *b.request.MaxTokens:
		reason = "model_context_window_exceeded"
	case p.Finish == trit.FinishLength:
		reason = "max_tokens"
	case p.Called:
		reason = "tool_use"
	case p.Finish == trit.FinishStopString && slices.Contains(b.request.StopSequences, p.StopString):
		reason, end.StopSequence = "stop_sequence", &p.StopString
	}
	end.StopReason = &reason
	return end
}

// End sends the end of the stream.
func (b *messageBuilder) End() (any, error) {
	if err := b.begin(); err != nil {
		return nil, err
	}
	if err := b.close(); err != nil {
		return nil, err
	}
	if err := b.out.Piece("message_delta", messageDelta{Type: "message_delta", Delta: b.end,
		Usage: b.reply.Usage}); err != nil {
		return nil, err
	}
	b.reply.StopReason, b.reply.StopSequence = b.end.StopReason, b.end.StopSequence
	return b.reply, b.out.Piece("message_stop", bareEvent{"message_stop"})
}

// Fail ends the stream with an error.
func (b *messageBuilder) Fail(e *core.Error) error {
	return b.out.Piece("error", newErrorReply(e, b.requestID))
}
