package openai

import (
	"encoding/json"
	"strings"

	"trit"
	"trit/chat"
	"trit/server/core"
)

// chatBuilder makes chat completions of pieces: the chunks of a stream and the
// whole answer.
type chatBuilder struct {
	request *chatRequest
	model   *core.Lease
	// reasoning is how the model marks it.
	reasoning chat.ReasoningFormat
	stats     *trit.Stats
	out       *core.Reply
	chunk     textReply[chatDeltaChoice] // what all chunks have in common
	scored    []map[string]promptLogProb
	choices   []chatChoiceBuilder
	// last is the end of a choice, which is held back as the very last one also
	// has the timings.
	last *chatDeltaChoice
}

// chatChoiceBuilder is a choice in the making.
type chatChoiceBuilder struct {
	begun              bool
	content, reasoning strings.Builder
	calls              []chat.ToolCall
	logProbs           []answerLogProb
	sent               int // of logProbs
	finish             string
	thought            int // tokens of the reasoning
}

func newChatBuilder(req *chatRequest, p *core.Prepared, out *core.Reply) *chatBuilder {
	b := &chatBuilder{
		request: req, model: p.Model, reasoning: p.Reasoning, stats: p.Stats, out: out, choices: make([]chatChoiceBuilder, p.Choices),
		chunk: newReply[chatDeltaChoice](p.Model, core.NewID("chatcmpl-"), "chat.completion.chunk"),
	}
	if b.wantsUsage() {
		b.chunk.Usage = json.RawMessage("null")
	}
	return b
}

func (b *chatBuilder) wantsUsage() bool {
	return b.request.StreamOptions != nil && b.request.StreamOptions.IncludeUsage
}

// progress sends how far the prompt is.
func (b *chatBuilder) progress(p *core.PromptProgress) error {
	chunk := b.chunk
	chunk.Choices, chunk.Progress = []chatDeltaChoice{{}}, p
	return b.out.Piece("", chunk)
}

// Add takes the next piece of one of the choices.
func (b *chatBuilder) Add(t trit.Piece) error {
	c := &b.choices[t.Index]
	c.thought = t.ReasoningTokens
	if !c.begun {
		c.begun = true
		if err := b.send(t.Index, chatDelta{Role: "assistant", Content: new("")}, nil); err != nil {
			return err
		}
	}
	if core.IsTrue(b.request.LogProbs) && t.ID != core.NoToken && !b.request.ends(b.model, &t.Token) {
		c.logProbs = append(c.logProbs, newAnswerLogProb(b.model.Model.Tokenizer(), &t.Token))
	}
	if t.Reasoning != "" {
		c.reasoning.WriteString(t.Reasoning)
		if err := b.send(t.Index, chatDelta{Reasoning: t.Reasoning}, c.take()); err != nil {
			return err
		}
	}
	if t.Content != "" {
		c.content.WriteString(t.Content)
		if err := b.send(t.Index, chatDelta{Content: &t.Content}, c.take()); err != nil {
			return err
		}
	}
	for _, part := range t.CallParts {
		if part.Index == len(c.calls) {
			if err := b.sendCustom(t.Index); err != nil {
				return err
			}
		}
		c.calls = addCallPart(c.calls, part)
		if delta, ok := b.request.callDelta(c.calls, part); ok {
			if err := b.send(t.Index, delta, c.take()); err != nil {
				return err
			}
		}
	}
	if t.Finish == "" {
		return nil
	}
	if err := b.sendCustom(t.Index); err != nil {
		return err
	}
	if c.finish = finishReason(t.Finish, t.Called); c.finish == "tool_calls" && b.request.legacy {
		c.finish = "function_call"
	}
	if err := b.flush(nil); err != nil {
		return err
	}
	b.last = &chatDeltaChoice{Index: t.Index, LogProbs: c.take(), FinishReason: &c.finish}
	return nil
}

// sendCustom sends the last call of a choice if it is one of a custom tool.
func (b *chatBuilder) sendCustom(index int) error {
	c := &b.choices[index]
	if delta, ok := b.request.customDelta(c.calls, len(c.calls)-1); ok {
		return b.send(index, delta, c.take())
	}
	return nil
}

// take returns the probabilities that no chunk has had yet: those of the tokens
// that made its text.
func (c *chatChoiceBuilder) take() *chatLogProbs {
	if c.sent == len(c.logProbs) {
		return nil
	}
	fresh := c.logProbs[c.sent:]
	c.sent = len(c.logProbs)
	return &chatLogProbs{Content: fresh}
}

func (b *chatBuilder) send(index int, delta chatDelta, logProbs *chatLogProbs) error {
	if err := b.flush(nil); err != nil {
		return err
	}
	chunk := b.chunk
	chunk.Choices = []chatDeltaChoice{{Index: index, Delta: delta, LogProbs: logProbs}}
	if b.request.TimingsPerToken {
		chunk.Timings = newTimings(b.stats)
	}
	return b.out.Piece("", chunk)
}

// flush sends the end of a choice, if one is held back.
func (b *chatBuilder) flush(t *timings) error {
	if b.last == nil {
		return nil
	}
	chunk := b.chunk
	chunk.Choices, chunk.Timings = []chatDeltaChoice{*b.last}, t
	b.last = nil
	return b.out.Piece("", chunk)
}

// End sends the end of the stream.
func (b *chatBuilder) End() (any, error) {
	if err := b.flush(newTimings(b.stats)); err != nil {
		return nil, err
	}
	if b.wantsUsage() {
		chunk := b.chunk
		chunk.Choices, chunk.Usage = []chatDeltaChoice{}, b.usage()
		if err := b.out.Piece("", chunk); err != nil {
			return nil, err
		}
	}
	whole := newReply[chatChoice](b.model, b.chunk.ID, "chat.completion")
	for i := range b.choices {
		choice := b.choices[i].choice(i, b.request)
		if m := &choice.Message; m.Reasoning != "" && core.ValueOr(b.request.ReasoningFormat, "") == legacyReasoning {
			m.Content = new(b.reasoning.Open + "\n" + m.Reasoning + b.reasoning.End + core.ValueOr(m.Content, ""))
		}
		whole.Choices = append(whole.Choices, choice)
	}
	whole.Usage, whole.Timings, whole.PromptLogProbs = b.usage(), newTimings(b.stats), b.scored
	return whole, b.out.Done()
}

func (b *chatBuilder) usage() any {
	u := newUsage(b.stats)
	for i := range b.choices {
		u.CompletionDetails.ReasoningTokens += b.choices[i].thought
	}
	return u
}

// Fail ends the stream with an error.
func (b *chatBuilder) Fail(e *core.Error) error { return b.out.Piece("", newErrorReply(e)) }

func (c *chatChoiceBuilder) choice(index int, req *chatRequest) chatChoice {
	out := chatChoice{Index: index, FinishReason: c.finish,
		Message: chatMessage{Role: "assistant", Reasoning: c.reasoning.String(), ToolCalls: req.calls(c.calls)}}
	if m := &out.Message; req.legacy && len(m.ToolCalls) > 0 {
		m.FunctionCall, m.ToolCalls = m.ToolCalls[0].Function, nil
	}
	if text := c.content.String(); text != "" || len(c.calls) == 0 {
		out.Message.Content = &text
	}
	if core.IsTrue(req.LogProbs) {
		out.LogProbs = &chatLogProbs{Content: append([]answerLogProb{}, c.logProbs...)}
	}
	return out
}
