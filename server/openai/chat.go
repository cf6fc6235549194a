package openai

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"trit"
	"trit/chat"
	"trit/server/core"
)

// chatRequest is the body of POST /v1/chat/completions.
type chatRequest struct {
	Model    string            `json:"model"`
	Messages []json.RawMessage `json:"messages"`
	requestOptions

	N                   *int  `json:"n"`
	MaxTokens           *int  `json:"max_tokens"`
	MaxCompletionTokens *int  `json:"max_completion_tokens"`
	LogProbs            *bool `json:"logprobs"`
	TopLogProbs         *int  `json:"top_logprobs"`

	Stream        bool           `json:"stream"`
	StreamOptions *streamOptions `json:"stream_options"`

	ResponseFormat    *responseFormat       `json:"response_format"`
	Tools             []chatTool            `json:"tools"`
	ToolChoice        *core.ToolChoiceField `json:"tool_choice"`
	ParallelToolCalls *bool                 `json:"parallel_tool_calls"`

	// vLLM and llama.cpp
	TemplateKwargs       templateField     `json:"chat_template_kwargs"`
	Documents            []json.RawMessage `json:"documents"`
	AddGenerationPrompt  *bool             `json:"add_generation_prompt"`
	ContinueFinalMessage *bool             `json:"continue_final_message"`

	// not supported
	Functions        json.RawMessage `json:"functions"`
	FunctionCall     json.RawMessage `json:"function_call"`
	Modalities       []string        `json:"modalities"`
	Audio            json.RawMessage `json:"audio"`
	WebSearchOptions json.RawMessage `json:"web_search_options"`
	ChatTemplate     *string         `json:"chat_template"`
	Echo             *bool           `json:"echo"`
	BestOf           *int            `json:"best_of"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// chatChoice is an answer; chatDelta what one piece of a stream adds to it.
type chatChoice struct {
	Index        int           `json:"index"`
	Message      chatMessage   `json:"message"`
	LogProbs     *chatLogProbs `json:"logprobs"`
	FinishReason string        `json:"finish_reason"`
}

type chatMessage struct {
	Role      string          `json:"role"`
	Content   *string         `json:"content"`
	Refusal   *string         `json:"refusal"` // always null
	ToolCalls []chat.ToolCall `json:"tool_calls,omitempty"`
}

type chatDeltaChoice struct {
	Index        int           `json:"index"`
	Delta        chatDelta     `json:"delta"`
	LogProbs     *chatLogProbs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

type chatDelta struct {
	Role      string         `json:"role,omitempty"`
	Content   *string        `json:"content,omitempty"`
	ToolCalls []chatCallPart `json:"tool_calls,omitempty"`
}

type chatCallPart struct {
	Index int `json:"index"`
	chat.ToolCall
}

// chatCompletions answers POST /v1/chat/completions.
func (s *api) chatCompletions(w http.ResponseWriter, r *http.Request) error {
	var req chatRequest
	if err := core.ReadJSON(r, &req); err != nil {
		return err
	}
	c, err := req.conversation()
	if err != nil {
		return err
	}
	limit, err := req.limit(0, req.MaxCompletionTokens, req.MaxTokens)
	if err != nil {
		return err
	}
	model, err := s.Models.Acquire(r.Context(), req.Model)
	if err != nil {
		return err
	}
	defer model.Release()
	if c.Options, err = req.apply(model.Model, limit, core.IsTrue(req.LogProbs), core.ValueOr(req.TopLogProbs, 0)); err != nil {
		return err
	}
	p, err := s.Prepare(model, c)
	if err != nil {
		return err
	}
	p.Stats = new(trit.Stats)
	var scored []map[string]promptLogProb
	if req.PromptLogProbs != nil {
		list, err := model.Score(r.Context(), p.Prompt, *req.PromptLogProbs)
		if err != nil {
			return err
		}
		scored = promptLogProbs(model.Model.Tokenizer(), list)
	}
	if req.Stream {
		return s.streamChat(w, r, &req, p)
	}
	answers := make([]chatAnswer, p.Answers)
	for token, err := range s.Converse(r.Context(), p) {
		if err != nil {
			return err
		}
		answers[token.Index].add(&token, &req, model)
	}
	reply := newReply[chatChoice](model, core.NewID("chatcmpl-"), "chat.completion")
	for i := range answers {
		reply.Choices = append(reply.Choices, answers[i].choice(i, core.IsTrue(req.LogProbs)))
	}
	reply.Usage, reply.Timings, reply.PromptLogProbs = newUsage(p.Stats), newTimings(p.Stats), scored
	return core.WriteJSON(w, http.StatusOK, reply)
}

// conversation checks a request and returns what it asks for, but for the
// options, which depend on the model.
func (req *chatRequest) conversation() (*core.Conversation, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	c := &core.Conversation{Answers: core.ValueOr(req.N, 1), Parallel: core.ValueOr(req.ParallelToolCalls, true)}
	var err error
	if c.Messages, err = readMessages(req.Messages); err != nil {
		return nil, err
	}
	if c.Format, err = req.guideFields.format(req.ResponseFormat, "response_format"); err != nil {
		return nil, err
	}
	if c.Tools, err = chatTools(req.Tools); err != nil {
		return nil, err
	}
	if c.Choice, err = req.ToolChoice.Of(c.Tools); err != nil {
		return nil, err
	}
	c.Prefill = core.IsTrue(req.ContinueFinalMessage)
	c.Bare = !core.ValueOr(req.AddGenerationPrompt, true)
	if c.Prefill && core.IsTrue(req.AddGenerationPrompt) {
		return nil, core.BadRequest("continue_final_message", "continue_final_message and add_generation_prompt exclude each other")
	}
	c.Extra = req.TemplateKwargs
	if len(req.Documents) > 0 {
		var documents []any
		for _, raw := range req.Documents {
			var d templateField
			if err := d.UnmarshalJSON(raw); err != nil {
				return nil, core.BadType("documents", "an array of objects")
			}
			documents = append(documents, map[string]any(d))
		}
		if c.Extra == nil {
			c.Extra = map[string]any{}
		}
		c.Extra["documents"] = documents
	}
	return c, nil
}

// check refuses values out of range and what is not supported.
func (req *chatRequest) check() error {
	for _, f := range []struct {
		name     string
		value    *int
		min, max int
	}{
		{"n", req.N, 1, maxAnswers},
		{"max_tokens", req.MaxTokens, 1, maxInt32},
		{"max_completion_tokens", req.MaxCompletionTokens, 1, maxInt32},
		{"top_logprobs", req.TopLogProbs, 0, maxTopLogProbs},
		{"prompt_logprobs", req.PromptLogProbs, 0, maxTopLogProbs},
	} {
		if err := within(f.name, f.value, f.min, f.max); err != nil {
			return err
		}
	}
	switch {
	case req.TopLogProbs != nil && *req.TopLogProbs > 0 && !core.IsTrue(req.LogProbs):
		return core.BadRequest("top_logprobs", "top_logprobs needs logprobs to be true")
	case req.StreamOptions != nil && !req.Stream:
		return core.BadRequest("stream_options", "stream_options needs stream to be true")
	case req.PromptLogProbs != nil && req.Stream:
		return core.Unsupported("prompt_logprobs", "prompt_logprobs is not supported in streams; send stream false")
	case core.HasElements(req.Functions):
		return core.Unsupported("functions", "functions is deprecated and not supported; use tools")
	case !core.IsNull(req.FunctionCall):
		return core.Unsupported("function_call", "function_call is deprecated and not supported; use tool_choice")
	case core.HasElements(req.Audio):
		return core.Unsupported("audio", "audio is not supported; this server's models write text only")
	case !core.IsNull(req.WebSearchOptions):
		return core.Unsupported("web_search_options", "web_search_options is not supported; this server does not search the web")
	case req.ChatTemplate != nil:
		return core.Unsupported("chat_template", "a template in a request is not supported; the model's own is used")
	case core.IsTrue(req.Echo):
		return core.Unsupported("echo", "echo is not supported here; use POST /v1/completions")
	case req.BestOf != nil && *req.BestOf > core.ValueOr(req.N, 1):
		return core.Unsupported("best_of", "best_of is not supported here; use POST /v1/completions")
	}
	for _, m := range req.Modalities {
		if m != "text" {
			return core.Unsupported("modalities", "the modality %.40q is not supported; this server's models write text only", m)
		}
	}
	return nil
}

// chatAnswer is an answer in the making.
type chatAnswer struct {
	content  strings.Builder
	calls    []chat.ToolCall
	logProbs []answerLogProb
	finish   string
}

func (a *chatAnswer) add(t *core.Piece, req *chatRequest, l *core.Lease) {
	a.content.WriteString(t.Content)
	a.calls = append(a.calls, t.Calls...)
	if core.IsTrue(req.LogProbs) && !req.ends(l, &t.Token) {
		a.logProbs = append(a.logProbs, newAnswerLogProb(l.Model.Tokenizer(), &t.Token))
	}
	a.finish = finishReason(t.Finish, t.Called)
}

func (a *chatAnswer) choice(index int, logProbs bool) chatChoice {
	c := chatChoice{Index: index, FinishReason: a.finish, Message: chatMessage{Role: "assistant", ToolCalls: a.calls}}
	if text := a.content.String(); text != "" || len(a.calls) == 0 {
		c.Message.Content = &text
	}
	if logProbs {
		c.LogProbs = &chatLogProbs{Content: append([]answerLogProb{}, a.logProbs...)}
	}
	return c
}

// streamChat sends the answers piece by piece.
func (s *api) streamChat(w http.ResponseWriter, r *http.Request, req *chatRequest, p *core.Prepared) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := &chatStream{
		live: s.NewLiveStream(w, core.KeepAliveEvery, cancel), request: req, model: p.Model,
		reply: newReply[chatDeltaChoice](p.Model, core.NewID("chatcmpl-"), "chat.completion.chunk"), answers: make([]chatStreamAnswer, p.Answers),
	}
	defer out.live.Close()
	usage := req.StreamOptions != nil && req.StreamOptions.IncludeUsage
	if usage {
		out.reply.Usage = json.RawMessage("null")
	}
	for token, err := range s.Converse(ctx, p) {
		if err != nil {
			return out.live.Fail(r, err, func(e *core.Error) error { return out.live.Event("", newErrorReply(e)) })
		}
		if err := out.add(&token); err != nil {
			return err
		}
	}
	if err := out.flush(newTimings(p.Stats)); err != nil {
		return err
	}
	if usage {
		last := out.reply
		last.Choices, last.Usage = []chatDeltaChoice{}, newUsage(p.Stats)
		if err := out.live.Event("", last); err != nil {
			return err
		}
	}
	return out.live.End()
}

// chatStream makes the pieces of a stream.
type chatStream struct {
	live    *core.LiveStream
	request *chatRequest
	model   *core.Lease
	reply   textReply[chatDeltaChoice]
	answers []chatStreamAnswer
	// last is the end of an answer, which is held back as the very last one
	// also has the timings.
	last *chatDeltaChoice
}

type chatStreamAnswer struct {
	begun    bool
	calls    int
	logProbs []answerLogProb // of tokens whose text is still to come
}

// add sends what a token adds.
func (c *chatStream) add(t *core.Piece) error {
	a := &c.answers[t.Index]
	if !a.begun {
		a.begun = true
		if err := c.send(t.Index, chatDelta{Role: "assistant", Content: new("")}, nil); err != nil {
			return err
		}
	}
	wanted := core.IsTrue(c.request.LogProbs)
	if wanted && !c.request.ends(c.model, &t.Token) {
		a.logProbs = append(a.logProbs, newAnswerLogProb(c.model.Model.Tokenizer(), &t.Token))
	}
	take := func() *chatLogProbs {
		if len(a.logProbs) == 0 {
			return nil
		}
		l := &chatLogProbs{Content: a.logProbs}
		a.logProbs = nil
		return l
	}
	if t.Content != "" {
		if err := c.send(t.Index, chatDelta{Content: &t.Content}, take()); err != nil {
			return err
		}
	}
	for _, call := range t.Calls {
		delta := chatDelta{ToolCalls: []chatCallPart{{Index: a.calls, ToolCall: call}}}
		a.calls++
		if err := c.send(t.Index, delta, take()); err != nil {
			return err
		}
	}
	if t.Finish == "" {
		return nil
	}
	if err := c.flush(nil); err != nil {
		return err
	}
	c.last = &chatDeltaChoice{Index: t.Index, LogProbs: take(), FinishReason: new(finishReason(t.Finish, t.Called))}
	return nil
}

func (c *chatStream) send(index int, delta chatDelta, logProbs *chatLogProbs) error {
	if err := c.flush(nil); err != nil {
		return err
	}
	reply := c.reply
	reply.Choices = []chatDeltaChoice{{Index: index, Delta: delta, LogProbs: logProbs}}
	return c.live.Event("", reply)
}

// flush sends the end of an answer, if one is held back.
func (c *chatStream) flush(t *timings) error {
	if c.last == nil {
		return nil
	}
	reply := c.reply
	reply.Choices, reply.Timings = []chatDeltaChoice{*c.last}, t
	c.last = nil
	return c.live.Event("", reply)
}
