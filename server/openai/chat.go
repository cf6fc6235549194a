package openai

import (
	"encoding/json"
	"net/http"

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
	thinkingFields
	TemplateKwargs       templateField     `json:"chat_template_kwargs"`
	Documents            []json.RawMessage `json:"documents"`
	AddGenerationPrompt  *bool             `json:"add_generation_prompt"`
	ContinueFinalMessage *bool             `json:"continue_final_message"`
	TimingsPerToken      bool              `json:"timings_per_token"`
	ReturnProgress       bool              `json:"return_progress"`

	// not supported
	Modalities []string `json:"modalities"`
	BestOf     *int     `json:"best_of"`

	// what tools were before
	Functions    []chat.Function `json:"functions"`
	FunctionCall json.RawMessage `json:"function_call"`

	legacy bool     // the request has functions, and so has the answer
	custom []string // names of tools whose input is a text
}

// API implements core.Bound.
func (*chatRequest) API() core.API { return core.Chat }

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
	Role         string        `json:"role"`
	Content      *string       `json:"content"`
	Reasoning    string        `json:"reasoning_content,omitempty"`
	Refusal      *string       `json:"refusal"` // always null
	ToolCalls    []answerCall  `json:"tool_calls,omitempty"`
	FunctionCall *functionPart `json:"function_call,omitempty"`
}

type chatDeltaChoice struct {
	Index        int           `json:"index"`
	Delta        chatDelta     `json:"delta"`
	LogProbs     *chatLogProbs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

type chatDelta struct {
	Role         string        `json:"role,omitempty"`
	Content      *string       `json:"content,omitempty"`
	Reasoning    string        `json:"reasoning_content,omitempty"`
	ToolCalls    []answerCall  `json:"tool_calls,omitempty"`
	FunctionCall *functionPart `json:"function_call,omitempty"`
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
	limit, err := req.limit(s.Options.Limit(), limitField{"max_completion_tokens", req.MaxCompletionTokens},
		limitField{"max_tokens", req.MaxTokens})
	if err != nil {
		return err
	}
	model, err := s.Models.Acquire(r.Context(), req.Model)
	if err != nil {
		return err
	}
	defer model.Release()
	if c.Options, err = req.apply(r.Context(), model.Model, limit, core.IsTrue(req.LogProbs),
		core.ValueOr(req.TopLogProbs, 0)); err != nil {
		return err
	}
	p, err := model.Prepare(r.Context(), c)
	if err != nil {
		return err
	}
	core.SayIgnored(r, c.Ignored)
	out := s.NewReply(w, r, core.FormOf(req.Stream, core.Events))
	b := newChatBuilder(&req, p, out)
	if req.Stream && req.ReturnProgress {
		p.ReportPrompt(b.progress)
	}
	if req.PromptLogProbs != nil {
		list, err := model.Score(r.Context(), p.Prompt, *req.PromptLogProbs)
		if err != nil {
			out.Close()
			return err
		}
		b.scored = promptLogProbs(model.Model.Tokenizer(), list)
	}
	return core.Answer(out, s.Converse(out.Context(), p), b)
}

// conversation checks a request and returns what it asks for, but for the
// options, which depend on the model.
func (req *chatRequest) conversation() (*core.Conversation, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	c := new(core.Conversation)
	c.Choices, c.SingleCall = core.ValueOr(req.N, 1), !core.ValueOr(req.ParallelToolCalls, true)
	var err error
	if c.Messages, err = readMessages(req.Messages); err != nil {
		return nil, err
	}
	f, err := req.guideFields.format(req.ResponseFormat, "response_format")
	if err != nil {
		return nil, err
	}
	c.SetFormat(f)
	if err := req.tools(c); err != nil {
		return nil, err
	}
	c.Continue = core.IsTrue(req.ContinueFinalMessage)
	c.Bare = !core.ValueOr(req.AddGenerationPrompt, true)
	if c.Continue && core.IsTrue(req.AddGenerationPrompt) {
		return nil, core.BadRequest("continue_final_message",
			"continue_final_message and add_generation_prompt exclude each other")
	}
	c.Variables = req.TemplateKwargs
	if err := req.think(c, req.Stream); err != nil {
		return nil, err
	}
	if len(req.Documents) > 0 {
		var documents []any
		for _, raw := range req.Documents {
			var d templateField
			if err := d.UnmarshalJSON(raw); err != nil {
				return nil, core.BadType("documents", "an array of objects")
			}
			documents = append(documents, map[string]any(d))
		}
		if c.Variables == nil {
			c.Variables = map[string]any{}
		}
		c.Variables["documents"] = documents
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
	case req.BestOf != nil && *req.BestOf > core.ValueOr(req.N, 1):
		return core.Unsupported("best_of", "best_of is not supported here; use POST /v1/completions")
	}
	for _, m := range req.Modalities {
		if m != "text" {
			return core.Unsupported("modalities",
				"the modality %.40q is not supported; this server's models write text only", m)
		}
	}
	return nil
}
