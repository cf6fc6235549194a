package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"trit"
	"trit/chat"
)

// responsesRoutes are the endpoints of OpenAI's responses API, of which this
// server has what needs no memory between requests.
func (s *Server) responsesRoutes() []route {
	return []route{
		{pattern: "POST /v1/responses", family: openAIForm, handle: s.responses},
		{pattern: "GET /v1/responses/{id}", family: openAIForm, handle: notStored},
		{pattern: "DELETE /v1/responses/{id}", family: openAIForm, handle: notStored},
		{pattern: "POST /v1/responses/{id}/cancel", family: openAIForm, handle: notStored},
		{pattern: "GET /v1/responses/{id}/input_items", family: openAIForm, handle: notStored},
	}
}

// notStored answers requests for a response of the past.
func notStored(_ http.ResponseWriter, r *http.Request) error {
	return &apiError{status: http.StatusNotFound, code: "response_not_found",
		message: fmt.Sprintf("there is no response %q: this server keeps none", r.PathValue("id"))}
}

// responseRequest is the body of POST /v1/responses.
type responseRequest struct {
	Model        string          `json:"model"`
	Input        json.RawMessage `json:"input"`
	Instructions *string         `json:"instructions"`
	openAIOptions

	MaxOutputTokens *int              `json:"max_output_tokens"`
	TopLogProbs     *int              `json:"top_logprobs"`
	Include         []string          `json:"include"`
	Metadata        map[string]string `json:"metadata"`
	Truncation      *string           `json:"truncation"`
	Stream          bool              `json:"stream"`

	Text *struct {
		Format json.RawMessage `json:"format"`
	} `json:"text"`
	Tools             []responseTool   `json:"tools"`
	ToolChoice        *toolChoiceField `json:"tool_choice"`
	ParallelToolCalls *bool            `json:"parallel_tool_calls"`

	TemplateKwargs templateField `json:"chat_template_kwargs"` // vLLM

	// not supported
	PreviousResponseID *string         `json:"previous_response_id"`
	Conversation       json.RawMessage `json:"conversation"`
	Prompt             json.RawMessage `json:"prompt"`
	Background         *bool           `json:"background"`
	ContextManagement  json.RawMessage `json:"context_management"`
}

// responseTool is a tool of the responses API; the same in requests and answers.
type responseTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description *string         `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      *bool           `json:"strict"`
}

// responses answers POST /v1/responses.
func (s *Server) responses(w http.ResponseWriter, r *http.Request) error {
	var req responseRequest
	if err := readJSON(r, &req); err != nil {
		return err
	}
	c, err := req.conversation()
	if err != nil {
		return err
	}
	limit, err := req.limit(0, req.MaxOutputTokens)
	if err != nil {
		return err
	}
	model, err := s.models.acquire(r.Context(), req.Model)
	if err != nil {
		return err
	}
	defer model.release()
	if c.options, err = req.apply(model.Model, limit, req.logProbs(), valueOr(req.TopLogProbs, 0)); err != nil {
		return err
	}
	sampling, err := req.sampling(model.Model)
	if err != nil {
		return err
	}
	p, err := s.prepare(model, c)
	if err != nil {
		return err
	}
	p.stats = new(trit.Stats)
	b := newResponseBuilder(&req, p, c.tools)
	b.response.Temperature, b.response.TopP = fewDigits(sampling.Temperature), fewDigits(sampling.TopP)
	if req.Stream {
		return s.streamResponse(w, r, b, p)
	}
	for token, err := range s.converse(r.Context(), p) {
		if err != nil {
			return err
		}
		if err := b.add(&token); err != nil {
			return err
		}
	}
	if err := b.end(p.stats); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, b.response)
}

// streamResponse sends the events of an answer as they happen.
func (s *Server) streamResponse(w http.ResponseWriter, r *http.Request, b *responseBuilder, p *prepared) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	live := s.newLiveStream(w, keepAliveEvery, cancel)
	defer live.close()
	b.emit = func(e *responseEvent) error { return live.event(e.Type, e) }
	for token, err := range s.converse(ctx, p) {
		if err != nil {
			return live.fail(r, err, func(e *apiError) error { return live.event("error", b.failure(e)) })
		}
		if err := b.add(&token); err != nil {
			return err
		}
	}
	return b.end(p.stats)
}

// logProbs reports whether the probabilities of tokens are asked for.
func (req *responseRequest) logProbs() bool {
	return slices.Contains(req.Include, "message.output_text.logprobs") || valueOr(req.TopLogProbs, 0) > 0
}

// conversation checks a request and returns what it asks for, but for the
// options, which depend on the model.
func (req *responseRequest) conversation() (*conversation, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	c := &conversation{
		answers: 1, parallel: valueOr(req.ParallelToolCalls, true), extra: req.TemplateKwargs,
		truncate: valueOr(req.Truncation, "disabled") == "auto", reserve: valueOr(req.MaxOutputTokens, 0),
	}
	var err error
	if c.messages, err = responseInput(req.Input); err != nil {
		return nil, err
	}
	if req.Instructions != nil {
		c.messages = append([]chat.Message{{Role: "system", Content: *req.Instructions}}, c.messages...)
	}
	var rf *responseFormat
	if req.Text != nil && !isNull(req.Text.Format) {
		rf = new(responseFormat)
		if err := decodeAt(req.Text.Format, rf, "text.format"); err != nil {
			return nil, err
		}
	}
	if c.format, err = req.guideFields.format(rf, "text.format"); err != nil {
		return nil, err
	}
	if len(req.Tools) > maxTools {
		return nil, badRequest("tools", "there are %d tools; at most %d are allowed", len(req.Tools), maxTools)
	}
	for i, t := range req.Tools {
		param := fmt.Sprintf("tools[%d]", i)
		if t.Type != "function" {
			return nil, unsupported(param+".type", "%s has the type %.40q; this server has functions only", param, t.Type)
		}
		f := chat.Function{Name: t.Name, Description: valueOr(t.Description, ""), Parameters: t.Parameters, Strict: t.Strict}
		if err := checkTool(&f, param); err != nil {
			return nil, err
		}
		c.tools = append(c.tools, chat.Tool{Type: "function", Function: f})
	}
	c.choice, err = req.ToolChoice.of(c.tools)
	return c, err
}

func (req *responseRequest) check() error {
	if err := within("max_output_tokens", req.MaxOutputTokens, 1, maxInt32); err != nil {
		return err
	}
	if err := within("top_logprobs", req.TopLogProbs, 0, maxTopLogProbs); err != nil {
		return err
	}
	switch valueOr(req.Truncation, "disabled") {
	case "auto", "disabled":
	default:
		return badRequest("truncation", "truncation is %.40q; want auto or disabled", *req.Truncation)
	}
	const stateless = "this server keeps nothing between requests"
	switch {
	case req.PreviousResponseID != nil:
		return unsupported("previous_response_id", "previous_response_id is not supported: %s; send the whole conversation as input", stateless)
	case !isNull(req.Conversation):
		return unsupported("conversation", "conversation is not supported: %s; send the whole conversation as input", stateless)
	case !isNull(req.Prompt):
		return unsupported("prompt", "prompt is not supported: this server has no stored prompts; use instructions and input")
	case isTrue(req.Background):
		return unsupported("background", "background is not supported: %s; use stream", stateless)
	case hasElements(req.ContextManagement):
		return unsupported("context_management", "context_management is not supported; truncation auto drops the oldest turns")
	case req.PromptLogProbs != nil:
		return unsupported("prompt_logprobs", "prompt_logprobs is not supported here; use POST /v1/chat/completions")
	}
	return nil
}

// responseInput reads the input of a request: a text, or the items of a
// conversation.
func responseInput(raw json.RawMessage) ([]chat.Message, error) {
	if isNull(raw) {
		return nil, badRequest("input", "input is missing")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []chat.Message{{Role: "user", Content: text}}, nil
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return nil, badType("input", "a string or an array of items")
	}
	var messages []chat.Message
	for i, data := range items {
		var err error
		if messages, err = responseItem(messages, data, fmt.Sprintf("input[%d]", i)); err != nil {
			return nil, err
		}
	}
	if len(messages) == 0 {
		return nil, badRequest("input", "input is empty")
	}
	return messages, nil
}

// responseItem adds an item to a conversation; param names it.
func responseItem(messages []chat.Message, data json.RawMessage, param string) ([]chat.Message, error) {
	var item struct {
		Type      string          `json:"type"`
		Role      string          `json:"role"`
		Content   json.RawMessage `json:"content"`
		CallID    string          `json:"call_id"`
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
		Output    json.RawMessage `json:"output"`
	}
	if err := decodeAt(data, &item, param); err != nil {
		return nil, err
	}
	if item.Type == "" && item.Role != "" {
		item.Type = "message"
	}
	switch item.Type {
	case "message":
		switch item.Role {
		case "user", "assistant", "system":
		case "developer":
			item.Role = "system"
		default:
			return nil, badRequest(param+".role", "%s has the role %.40q; want user, assistant, system or developer", param, item.Role)
		}
		if isNull(item.Content) {
			return nil, badRequest(param+".content", "%s has no content", param)
		}
		text, err := contentParts(item.Content, param+".content")
		return append(messages, chat.Message{Role: item.Role, Content: text}), err
	case "function_call":
		call, err := toolCall(item.CallID, item.Name, item.Arguments, param)
		if err != nil {
			return nil, err
		}
		// What the assistant said and called in one turn is one message.
		if n := len(messages); n > 0 && messages[n-1].Role == "assistant" {
			messages[n-1].ToolCalls = append(messages[n-1].ToolCalls, call)
			return messages, nil
		}
		return append(messages, chat.Message{Role: "assistant", ToolCalls: []chat.ToolCall{call}}), nil
	case "function_call_output":
		text, err := contentParts(item.Output, param+".output")
		return append(messages, chat.Message{Role: "tool", Content: text, ToolCallID: item.CallID, Name: item.Name}), err
	case "reasoning":
		return messages, nil // of another server; the models here do not think aloud
	case "item_reference":
		return nil, unsupported(param, "%s refers to an item of the past, and this server keeps none; send the item itself", param)
	case "":
		return nil, badRequest(param+".type", "%s has no type", param)
	}
	return nil, unsupported(param+".type", "%s is of type %.40q, which is not supported; this server knows message, function_call, function_call_output and reasoning", param, item.Type)
}
