package server

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strings"

	"trit"
	"trit/chat"
)

// anthropicAnswer writes one message of the assistant.
type anthropicAnswer struct {
	*Server
	request  *anthropicRequest
	lease    *lease
	prepared *prepared
	run      func(context.Context, *prepared) iter.Seq2[piece, error] // runs the prompt
	id       string
	stop     *stopFinder
	output   int // generated tokens
}

// anthropicReply is a message of the assistant, finished or at its beginning.
type anthropicReply struct {
	ID           string          `json:"id"`
	Type         string          `json:"type"` // "message"
	Role         string          `json:"role"` // "assistant"
	Model        string          `json:"model"`
	Content      []anthropicPart `json:"content"`
	StopReason   *string         `json:"stop_reason"`
	StopSequence *string         `json:"stop_sequence"`
	Usage        anthropicUsage  `json:"usage"`
}

// anthropicPart is a block of an answer: text, or a call of a tool.
type anthropicPart struct {
	Type  string          `json:"type"`
	Text  *string         `json:"text,omitempty"`
	ID    string          `json:"id,omitempty"`
	Name  string          `json:"name,omitempty"`
	Input json.RawMessage `json:"input,omitempty"`
}

type anthropicUsage struct {
	InputTokens              int `json:"input_tokens"`
	CacheCreationInputTokens int `json:"cache_creation_input_tokens"`
	CacheReadInputTokens     int `json:"cache_read_input_tokens"`
	OutputTokens             int `json:"output_tokens"`
}

// The events of a stream.
type (
	anthropicStart struct {
		Type    string         `json:"type"`
		Message anthropicReply `json:"message"`
	}
	anthropicBlockStart struct {
		Type         string        `json:"type"`
		Index        int           `json:"index"`
		ContentBlock anthropicPart `json:"content_block"`
	}
	anthropicBlockDelta struct {
		Type  string         `json:"type"`
		Index int            `json:"index"`
		Delta anthropicDelta `json:"delta"`
	}
	anthropicDelta struct {
		Type        string  `json:"type"`
		Text        *string `json:"text,omitempty"`
		PartialJSON *string `json:"partial_json,omitempty"`
	}
	anthropicBlockStop struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
	}
	anthropicMessageDelta struct {
		Type  string         `json:"type"`
		Delta anthropicEnd   `json:"delta"`
		Usage anthropicUsage `json:"usage"`
	}
	anthropicEnd struct {
		StopReason   *string `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	}
	anthropicEvent struct {
		Type string `json:"type"`
	}
)

func (a *anthropicAnswer) reply() anthropicReply {
	return anthropicReply{ID: a.id, Type: "message", Role: "assistant", Model: a.request.Model,
		Content: []anthropicPart{}, Usage: anthropicUsage{InputTokens: len(a.prepared.prompt), OutputTokens: a.output}}
}

// whole answers with one JSON object.
func (a *anthropicAnswer) whole(w http.ResponseWriter, r *http.Request) error {
	var content anthropicParts
	var end anthropicEnd
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
	return writeJSON(w, http.StatusOK, reply)
}

// stream answers with events, each block in its turn.
func (a *anthropicAnswer) stream(w http.ResponseWriter, r *http.Request) error {
	out := &anthropicStream{stream: a.newEventStream(w)}
	var end anthropicEnd
	for p, err := range a.run(r.Context(), a.prepared) {
		if err != nil {
			if !out.begun {
				return err
			}
			e := classify(err)
			noteFailure(r, e)
			_ = out.event("error", newAnthropicError(e, requestIDOf(r))) // whoever has gone need not know
			return errAnswered
		}
		if !out.begun {
			out.put("message_start", anthropicStart{Type: "message_start", Message: a.reply()})
			out.put("ping", anthropicEvent{"ping"})
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
	out.put("message_delta", anthropicMessageDelta{Type: "message_delta", Delta: end,
		Usage: anthropicUsage{InputTokens: len(a.prepared.prompt), OutputTokens: a.output}})
	out.put("message_stop", anthropicEvent{"message_stop"})
	return out.err
}

// count follows the answer by one token.
func (a *anthropicAnswer) count(p piece) {
	a.output++
	a.stop.push(p.ID)
}

// end says why the answer ended with its last piece.
func (a *anthropicAnswer) end(p piece) anthropicEnd {
	reason := "end_turn"
	var end anthropicEnd
	switch {
	case p.Finish == trit.FinishLength && a.output < *a.request.MaxTokens:
		reason = "model_context_window_exceeded"
	case p.Finish == trit.FinishLength:
		reason = "max_tokens"
	case p.Called:
		reason = "tool_use"
	case p.Finish == trit.FinishStopString:
		if s := a.stop.found(); slices.Contains(a.request.StopSequences, s) {
			reason, end.StopSequence = "stop_sequence", &s
		}
	}
	end.StopReason = &reason
	return end
}

// anthropicCall puts a call into the form of a content block.
func anthropicCall(c chat.ToolCall) anthropicPart {
	return anthropicPart{Type: "tool_use", ID: "toolu_" + strings.TrimPrefix(c.ID, "call_"), Name: c.Function.Name,
		Input: argumentsObject(c.Function.Arguments)}
}

// anthropicParts collects the blocks of an answer. White space alone makes no
// block: models write it between calls.
type anthropicParts struct {
	parts []anthropicPart
	open  strings.Builder // the block of text
}

func (c *anthropicParts) text(s string) { c.open.WriteString(s) }

func (c *anthropicParts) call(call chat.ToolCall) {
	c.close()
	c.parts = append(c.parts, anthropicCall(call))
}

func (c *anthropicParts) close() {
	if s := c.open.String(); strings.TrimSpace(s) != "" {
		c.parts = append(c.parts, anthropicPart{Type: "text", Text: &s})
	}
	c.open.Reset()
}

// finish returns the blocks, which may be none.
func (c *anthropicParts) finish() []anthropicPart {
	c.close()
	return append([]anthropicPart{}, c.parts...)
}

// anthropicStream writes the events of content blocks. After an error it does
// nothing more.
type anthropicStream struct {
	*stream
	index   int  // of the current or next block
	open    bool // a block of text
	pending string
	err     error
}

func (t *anthropicStream) put(name string, v any) {
	if t.err == nil {
		t.err = t.event(name, v)
	}
}

// text goes on with a block of text, as anthropicParts does.
func (t *anthropicStream) text(s string) {
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
		t.put("content_block_start", anthropicBlockStart{"content_block_start", t.index, anthropicPart{Type: "text", Text: &empty}})
	}
	t.put("content_block_delta", anthropicBlockDelta{"content_block_delta", t.index, anthropicDelta{Type: "text_delta", Text: &s}})
}

// call writes a block that calls a tool.
func (t *anthropicStream) call(c chat.ToolCall) {
	t.close()
	part := anthropicCall(c)
	arguments := string(part.Input)
	part.Input = json.RawMessage("{}")
	t.put("content_block_start", anthropicBlockStart{"content_block_start", t.index, part})
	t.put("content_block_delta", anthropicBlockDelta{"content_block_delta", t.index, anthropicDelta{Type: "input_json_delta", PartialJSON: &arguments}})
	t.put("content_block_stop", anthropicBlockStop{"content_block_stop", t.index})
	t.index++
}

// close ends the block of text.
func (t *anthropicStream) close() {
	t.pending = ""
	if !t.open {
		return
	}
	t.open = false
	t.put("content_block_stop", anthropicBlockStop{"content_block_stop", t.index})
	t.index++
}
