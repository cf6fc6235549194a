package anthropic

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strings"

	"trit"
	"trit/chat"
	"trit/server/core"
)

// answer writes one message of the assistant.
type answer struct {
	*core.Server
	request  *messagesRequest
	lease    *core.Lease
	prepared *core.Prepared
	run      func(context.Context, *core.Prepared) iter.Seq2[core.Piece, error] // runs the prompt
	id       string
	stop     *core.StopFinder
	output   int // generated tokens
}

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

// contentPart is a block of an answer: text, or a call of a tool.
type contentPart struct {
	Type  string          `json:"type"`
	Text  *string         `json:"text,omitempty"`
	ID    string          `json:"id,omitempty"`
	Name  string          `json:"name,omitempty"`
	Input json.RawMessage `json:"input,omitempty"`
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

func (a *answer) reply() messageReply {
	return messageReply{ID: a.id, Type: "message", Role: "assistant", Model: a.request.Model,
		Content: []contentPart{}, Usage: usage{InputTokens: len(a.prepared.Prompt), OutputTokens: a.output}}
}

// whole answers with one JSON object.
func (a *answer) whole(w http.ResponseWriter, r *http.Request) error {
	var content contentParts
	var end messageEnd
	for p, err := range a.run(r.Context(), a.prepared) {
		if err != nil {
			return err
		}
		a.count(p)
		content.text(p.Content)
		for _, c := range p.Calls {
			content.call(c)
		}
		if p.Finish != "" {
			end = a.end(p)
		}
	}
	reply := a.reply()
	reply.StopReason, reply.StopSequence = end.StopReason, end.StopSequence
	reply.Content = content.finish()
	return core.WriteJSON(w, http.StatusOK, reply)
}

// stream answers with events, each block in its turn.
func (a *answer) stream(w http.ResponseWriter, r *http.Request) error {
	out := &eventStream{Stream: a.NewEventStream(w)}
	var end messageEnd
	for p, err := range a.run(r.Context(), a.prepared) {
		if err != nil {
			return out.Fail(r, err, func(e *core.Error) error { return out.Event("error", newErrorReply(e, core.RequestIDOf(r))) })
		}
		if !out.Begun {
			out.put("message_start", messageStart{Type: "message_start", Message: a.reply()})
			out.put("ping", bareEvent{"ping"})
		}
		a.count(p)
		out.text(p.Content)
		for _, c := range p.Calls {
			out.call(c)
		}
		if p.Finish != "" {
			end = a.end(p)
		}
		if out.err != nil {
			return out.err
		}
	}
	out.close()
	out.put("message_delta", messageDelta{Type: "message_delta", Delta: end,
		Usage: usage{InputTokens: len(a.prepared.Prompt), OutputTokens: a.output}})
	out.put("message_stop", bareEvent{"message_stop"})
	return out.err
}

// count follows the answer by one token.
func (a *answer) count(p core.Piece) {
	a.output++
	a.stop.Push(p.ID)
}

// end says why the answer ended with its last piece.
func (a *answer) end(p core.Piece) messageEnd {
	reason := "end_turn"
	var end messageEnd
	switch {
	case p.Finish == trit.FinishLength && a.output < *a.request.MaxTokens:
		reason = "model_context_window_exceeded"
	case p.Finish == trit.FinishLength:
		reason = "max_tokens"
	case p.Called:
		reason = "tool_use"
	case p.Finish == trit.FinishStopString:
		if s := a.stop.Found(); slices.Contains(a.request.StopSequences, s) {
			reason, end.StopSequence = "stop_sequence", &s
		}
	}
	end.StopReason = &reason
	return end
}

// callPart puts a call into the form of a content block.
func callPart(c chat.ToolCall) contentPart {
	return contentPart{Type: "tool_use", ID: "toolu_" + strings.TrimPrefix(c.ID, "call_"), Name: c.Function.Name,
		Input: core.ArgumentsObject(c.Function.Arguments)}
}

// contentParts collects the blocks of an answer. White space alone makes no
// block: models write it between calls.
type contentParts struct {
	parts []contentPart
	open  strings.Builder // the block of text
}

func (c *contentParts) text(s string) { c.open.WriteString(s) }

func (c *contentParts) call(call chat.ToolCall) {
	c.close()
	c.parts = append(c.parts, callPart(call))
}

func (c *contentParts) close() {
	if s := c.open.String(); strings.TrimSpace(s) != "" {
		c.parts = append(c.parts, contentPart{Type: "text", Text: &s})
	}
	c.open.Reset()
}

// finish returns the blocks, which may be none.
func (c *contentParts) finish() []contentPart {
	c.close()
	return append([]contentPart{}, c.parts...)
}

// eventStream writes the events of content blocks. After an error it does
// nothing more.
type eventStream struct {
	*core.Stream
	index   int  // of the current or next block
	open    bool // a block of text
	pending string
	err     error
}

func (t *eventStream) put(name string, v any) {
	if t.err == nil {
		t.err = t.Event(name, v)
	}
}

// text goes on with a block of text, as anthropicParts does.
func (t *eventStream) text(s string) {
	if s == "" {
		return
	}
	if !t.open {
		if t.pending += s; strings.TrimSpace(t.pending) == "" {
			return
		}
		s, t.pending = t.pending, ""
		empty := ""
		t.open = true
		t.put("content_block_start", blockStart{"content_block_start", t.index, contentPart{Type: "text", Text: &empty}})
	}
	t.put("content_block_delta", blockDelta{"content_block_delta", t.index, partDelta{Type: "text_delta", Text: &s}})
}

// call writes a block that calls a tool.
func (t *eventStream) call(c chat.ToolCall) {
	t.close()
	part := callPart(c)
	arguments := string(part.Input)
	part.Input = json.RawMessage("{}")
	t.put("content_block_start", blockStart{"content_block_start", t.index, part})
	t.put("content_block_delta", blockDelta{"content_block_delta", t.index, partDelta{Type: "input_json_delta", PartialJSON: &arguments}})
	t.put("content_block_stop", blockStop{"content_block_stop", t.index})
	t.index++
}

// close ends the block of text.
func (t *eventStream) close() {
	t.pending = ""
	if !t.open {
		return
	}
	t.open = false
	t.put("content_block_stop", blockStop{"content_block_stop", t.index})
	t.index++
}
