package openai

import (
	"encoding/json"
	"strings"
	"time"

	"trit"
	"trit/chat"
	"trit/server/core"
)

// responseObject is the answer of the responses API.
type responseObject struct {
	ID                 string              `json:"id"`
	Object             string              `json:"object"`
	CreatedAt          int64               `json:"created_at"`
	CompletedAt        *int64              `json:"completed_at"`
	Status             string              `json:"status"`
	Background         bool                `json:"background"`
	Error              *errorBody          `json:"error"` // always null: errors are answers of their own
	IncompleteDetails  *responseIncomplete `json:"incomplete_details"`
	Instructions       *string             `json:"instructions"`
	MaxOutputTokens    *int                `json:"max_output_tokens"`
	Model              string              `json:"model"`
	Output             []any               `json:"output"` // of outputReasoning, outputMessage, outputCall …
	ParallelToolCalls  bool                `json:"parallel_tool_calls"`
	PreviousResponseID *string             `json:"previous_response_id"` // always null
	Reasoning          responseReasoning   `json:"reasoning"`
	ServiceTier        string              `json:"service_tier"`
	Store              bool                `json:"store"`
	Temperature        float64             `json:"temperature"`
	Text               responseText        `json:"text"`
	ToolChoice         json.RawMessage     `json:"tool_choice"`
	Tools              []responseTool      `json:"tools"`
	TopLogProbs        int                 `json:"top_logprobs"`
	TopP               float64             `json:"top_p"`
	Truncation         string              `json:"truncation"`
	Usage              *responseUsage      `json:"usage,omitempty"`
	Metadata           map[string]string   `json:"metadata"`
	Timings            *timings            `json:"timings,omitempty"`
}

type responseIncomplete struct {
	Reason string `json:"reason"`
}

type responseReasoning struct {
	Effort  *string `json:"effort"`  // as in the request
	Summary *string `json:"summary"` // always null
}

type responseText struct {
	Format json.RawMessage `json:"format"`
}

type responseUsage struct {
	InputTokens  int `json:"input_tokens"`
	InputDetails struct {
		CachedTokens     int `json:"cached_tokens"`
		CacheWriteTokens int `json:"cache_write_tokens"`
	} `json:"input_tokens_details"`
	OutputTokens  int `json:"output_tokens"`
	OutputDetails struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	TotalTokens int `json:"total_tokens"`
}

// outputMessage is the text of an answer.
type outputMessage struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Status  string       `json:"status"`
	Role    string       `json:"role"`
	Content []outputText `json:"content"`
}

type outputText struct {
	Type        string          `json:"type"`
	Text        string          `json:"text"`
	Annotations []string        `json:"annotations"` // always empty
	LogProbs    []answerLogProb `json:"logprobs"`
}

func newOutputText(text string, logProbs []answerLogProb) outputText {
	return outputText{Type: "output_text", Text: text, Annotations: []string{},
		LogProbs: append([]answerLogProb{}, logProbs...)}
}

// outputReasoning is what the model thought before the answer.
type outputReasoning struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Status  string          `json:"status"`
	Summary []string        `json:"summary"` // always empty
	Content []reasoningText `json:"content"`
}

type reasoningText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// outputCall is a call of a function.
type outputCall struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
	Namespace string `json:"namespace,omitempty"`
}

// outputCustomCall is a call of a custom tool.
type outputCustomCall struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Input     string `json:"input"`
	Namespace string `json:"namespace,omitempty"`
}

// customOf returns a call of a custom tool with its input, as far as that is complete.
func customOf(c *outputCall, input string) *outputCustomCall {
	return &outputCustomCall{ID: "ctc_" + strings.TrimPrefix(c.ID, "fc_"), Type: "custom_tool_call", Status: c.Status,
		CallID: c.CallID, Name: c.Name, Input: input, Namespace: c.Namespace}
}

// responseEvent is an event of a stream; which fields it has depends on its
// type.
type responseEvent struct {
	Type           string           `json:"type"`
	SequenceNumber int              `json:"sequence_number"`
	Response       *responseObject  `json:"response,omitempty"`
	OutputIndex    *int             `json:"output_index,omitempty"`
	Item           any              `json:"item,omitempty"`
	ItemID         string           `json:"item_id,omitempty"`
	ContentIndex   *int             `json:"content_index,omitempty"`
	Part           *outputText      `json:"part,omitempty"`
	Delta          *string          `json:"delta,omitempty"`
	Text           *string          `json:"text,omitempty"`
	LogProbs       *[]answerLogProb `json:"logprobs,omitempty"`
	Name           string           `json:"name,omitempty"`
	Arguments      *string          `json:"arguments,omitempty"`
	Input          *string          `json:"input,omitempty"`

	// of llama-server, if they are asked for
	Progress *core.PromptProgress `json:"prompt_progress,omitempty"`
	Timings  *timings             `json:"timings,omitempty"`
}

// responseFailure is the event that ends a stream with an error.
type responseFailure struct {
	Type           string  `json:"type"`
	SequenceNumber int     `json:"sequence_number"`
	Code           *string `json:"code"`
	Message        string  `json:"message"`
	Param          *string `json:"param"`
}

// responseBuilder makes a response of the pieces of an answer, and tells of each
// step in an event.
type responseBuilder struct {
	response *responseObject
	request  *responseRequest
	model    *core.Lease
	stats    *trit.Stats
	out      *core.Reply
	sequence int

	begun    bool
	thought  *outputReasoning // while its text grows
	message  *outputMessage   // the same
	call     *outputCall      // while its arguments grow
	custom   bool             // the call is one of a custom tool
	text     strings.Builder  // of any of these
	logProbs []answerLogProb
	fresh    []answerLogProb // of tokens whose text is still to come
	finish   trit.Finish
	thoughts int // tokens of the reasoning
}

func newResponseBuilder(req *responseRequest, p *core.Prepared, out *core.Reply) *responseBuilder {
	r := &responseObject{
		ID: core.NewID("resp_"), Object: "response", CreatedAt: time.Now().Unix(), Status: "in_progress",
		Instructions: req.Instructions, MaxOutputTokens: req.MaxOutputTokens, Model: p.Model.Name, Output: []any{},
		ParallelToolCalls: core.ValueOr(req.ParallelToolCalls, true), ServiceTier: "default",
		Text: responseText{Format: json.RawMessage(`{"type":"text"}`)}, ToolChoice: json.RawMessage(`"auto"`),
		Tools: []responseTool{}, TopLogProbs: core.ValueOr(req.TopLogProbs, 0),
		Truncation: core.ValueOr(req.Truncation, "disabled"), Metadata: req.Metadata,
	}
	if r.Metadata == nil {
		r.Metadata = map[string]string{}
	}
	if req.Text != nil && !core.IsNull(req.Text.Format) {
		r.Text.Format = req.Text.Format
	}
	if req.Reasoning != nil {
		r.Reasoning.Effort = req.Reasoning.Effort
	}
	if req.ToolChoice != nil {
		r.ToolChoice = req.ToolChoice.Raw
	}
	for _, t := range req.known {
		if t.Custom {
			t.Parameters, t.Strict = nil, nil
		} else {
			t.Strict = new(true) // calls always fit the parameters
		}
		if t.Parameters == nil {
			t.Parameters = json.RawMessage("null")
		}
		r.Tools = append(r.Tools, t)
	}
	return &responseBuilder{response: r, request: req, model: p.Model, stats: p.Stats, out: out}
}

// send emits an event with the next number.
func (b *responseBuilder) send(e *responseEvent) error {
	if b.request.TimingsPerToken && (e.Delta != nil || e.Response != nil && e.Response.Timings != nil) {
		e.Timings = newTimings(b.stats)
	}
	e.SequenceNumber = b.sequence
	b.sequence++
	return b.out.Piece(e.Type, e)
}

// Fail ends the stream with an error.
func (b *responseBuilder) Fail(e *core.Error) error {
	body := newErrorReply(e).Error
	return b.out.Piece("error", &responseFailure{Type: "error", SequenceNumber: b.sequence, Code: body.Code,
		Message: body.Message, Param: body.Param})
}

// begin tells that there is a response.
func (b *responseBuilder) begin() error {
	if b.begun {
		return nil
	}
	b.begun = true
	if err := b.send(&responseEvent{Type: "response.created", Response: b.response}); err != nil {
		return err
	}
	return b.send(&responseEvent{Type: "response.in_progress", Response: b.response})
}

// progress tells how far the prompt is.
func (b *responseBuilder) progress(p *core.PromptProgress) error {
	if err := b.begin(); err != nil {
		return err
	}
	return b.send(&responseEvent{Type: "response.in_progress", Response: b.response, Progress: p})
}

// Add takes the next piece of the answer.
func (b *responseBuilder) Add(t trit.Piece) error {
	if err := b.begin(); err != nil {
		return err
	}
	if b.request.logProbs() && t.ID != core.NoToken && !b.request.ends(b.model, &t.Token) {
		b.fresh = append(b.fresh, newAnswerLogProb(b.model.Model.Tokenizer(), &t.Token))
	}
	b.finish, b.thoughts = t.Finish, t.ReasoningTokens
	if t.Reasoning != "" {
		if err := b.addReasoning(t.Reasoning); err != nil {
			return err
		}
	}
	if t.Content != "" {
		if err := b.addText(t.Content); err != nil {
			return err
		}
	}
	for _, part := range t.CallParts {
		if err := b.addCallPart(part); err != nil {
			return err
		}
	}
	if len(t.Calls) > 0 {
		return b.endCall("completed")
	}
	return nil
}

// addReasoning appends to what is thought, which it begins if need be.
func (b *responseBuilder) addReasoning(text string) error {
	if err := b.endText("completed"); err != nil {
		return err
	}
	if err := b.endCall("completed"); err != nil {
		return err
	}
	b.fresh = nil // thoughts have no probabilities in this API
	index := len(b.response.Output)
	if b.thought == nil {
		b.thought = &outputReasoning{ID: core.NewID("rs_"), Type: "reasoning", Status: "in_progress",
			Summary: []string{}, Content: []reasoningText{}}
		b.text.Reset()
		if err := b.send(&responseEvent{Type: "response.output_item.added", OutputIndex: &index,
			Item: b.thought}); err != nil {
			return err
		}
	}
	b.text.WriteString(text)
	return b.send(&responseEvent{Type: "response.reasoning_text.delta", OutputIndex: &index, ItemID: b.thought.ID,
		ContentIndex: new(0), Delta: &text})
}

// endReasoning completes what is thought, if there is anything.
func (b *responseBuilder) endReasoning() error {
	r := b.thought
	if r == nil {
		return nil
	}
	index, text := len(b.response.Output), b.text.String()
	b.thought = nil
	if err := b.send(&responseEvent{Type: "response.reasoning_text.done", OutputIndex: &index, ItemID: r.ID,
		ContentIndex: new(0), Text: &text}); err != nil {
		return err
	}
	r.Content, r.Status = []reasoningText{{Type: "reasoning_text", Text: text}}, "completed"
	b.response.Output = append(b.response.Output, r)
	return b.send(&responseEvent{Type: "response.output_item.done", OutputIndex: &index, Item: r})
}

// addText appends to the message, which it begins if need be.
func (b *responseBuilder) addText(text string) error {
	if err := b.endReasoning(); err != nil {
		return err
	}
	if err := b.endCall("completed"); err != nil {
		return err
	}
	index := len(b.response.Output)
	if b.message == nil {
		b.message = &outputMessage{ID: core.NewID("msg_"), Type: "message", Status: "in_progress", Role: "assistant",
			Content: []outputText{}}
		b.text.Reset()
		b.logProbs = nil
		if err := b.send(&responseEvent{Type: "response.output_item.added", OutputIndex: &index,
			Item: b.message}); err != nil {
			return err
		}
		part := newOutputText("", nil)
		if err := b.send(&responseEvent{Type: "response.content_part.added", OutputIndex: &index, ItemID: b.message.ID,
			ContentIndex: new(0), Part: &part}); err != nil {
			return err
		}
	}
	b.text.WriteString(text)
	fresh := append([]answerLogProb{}, b.fresh...)
	b.logProbs, b.fresh = append(b.logProbs, fresh...), nil
	return b.send(&responseEvent{Type: "response.output_text.delta", OutputIndex: &index, ItemID: b.message.ID,
		ContentIndex: new(0), Delta: &text, LogProbs: &fresh})
}

// endText completes the message, if there is one.
func (b *responseBuilder) endText(status string) error {
	m := b.message
	if m == nil {
		return nil
	}
	index, text := len(b.response.Output), b.text.String()
	part := newOutputText(text, append(b.logProbs, b.fresh...))
	b.fresh, b.message = nil, nil
	if err := b.send(&responseEvent{Type: "response.output_text.done", OutputIndex: &index, ItemID: m.ID,
		ContentIndex: new(0), Text: &text, LogProbs: &part.LogProbs}); err != nil {
		return err
	}
	if err := b.send(&responseEvent{Type: "response.content_part.done", OutputIndex: &index, ItemID: m.ID,
		ContentIndex: new(0), Part: &part}); err != nil {
		return err
	}
	m.Content, m.Status = []outputText{part}, status
	b.response.Output = append(b.response.Output, m)
	return b.send(&responseEvent{Type: "response.output_item.done", OutputIndex: &index, Item: m})
}

// addCallPart goes on with a call, which it begins after completing what is before it.
func (b *responseBuilder) addCallPart(part chat.CallPart) error {
	index := len(b.response.Output)
	if part.ID != "" {
		if err := b.endItem("completed"); err != nil {
			return err
		}
		b.fresh = nil // calls have no probabilities in this API
		index = len(b.response.Output)
		b.call = &outputCall{ID: core.NewID("fc_"), Type: "function_call", Status: "in_progress", CallID: part.ID,
			Name: part.Name}
		b.custom = false
		for _, t := range b.request.known {
			if t.Name == part.Name {
				b.call.Namespace, b.custom = t.Namespace, t.Custom
			}
		}
		b.text.Reset()
		var item any = b.call
		if b.custom {
			item = customOf(b.call, "")
		}
		if err := b.send(&responseEvent{Type: "response.output_item.added", OutputIndex: &index, Item: item}); err != nil {
			return err
		}
	}
	if part.Arguments == "" {
		return nil
	}
	b.text.WriteString(part.Arguments)
	if b.custom { // whose input is not what the model writes, but a text in it
		return nil
	}
	return b.send(&responseEvent{Type: "response.function_call_arguments.delta", OutputIndex: &index,
		ItemID: b.call.ID, Delta: &part.Arguments})
}

// endCall completes the call, if there is one.
func (b *responseBuilder) endCall(status string) error {
	c := b.call
	if c == nil {
		return nil
	}
	index, arguments := len(b.response.Output), b.text.String()
	b.call = nil
	if b.custom {
		var in customInput
		if json.Unmarshal([]byte(arguments), &in) != nil {
			in.Input, status = "", "incomplete" // the limit has cut it
		}
		c.Status = status
		item := customOf(c, in.Input)
		b.response.Output = append(b.response.Output, item)
		for _, e := range []*responseEvent{
			{Type: "response.custom_tool_call_input.delta", ItemID: item.ID, Delta: &in.Input},
			{Type: "response.custom_tool_call_input.done", ItemID: item.ID, Input: &in.Input},
			{Type: "response.output_item.done", Item: item},
		} {
			e.OutputIndex = &index
			if err := b.send(e); err != nil {
				return err
			}
		}
		return nil
	}
	if err := b.send(&responseEvent{Type: "response.function_call_arguments.done", OutputIndex: &index,
		ItemID: c.ID, Name: c.Name, Arguments: &arguments}); err != nil {
		return err
	}
	c.Arguments, c.Status = arguments, status
	b.response.Output = append(b.response.Output, c)
	return b.send(&responseEvent{Type: "response.output_item.done", OutputIndex: &index, Item: c})
}

// endItem completes what is open: reasoning, the message, or a call.
func (b *responseBuilder) endItem(status string) error {
	if err := b.endReasoning(); err != nil {
		return err
	}
	if err := b.endText(status); err != nil {
		return err
	}
	return b.endCall(status)
}

// End completes the response.
func (b *responseBuilder) End() (any, error) {
	if err := b.begin(); err != nil {
		return nil, err
	}
	status, done := "completed", "response.completed"
	if b.finish == trit.FinishLength {
		status, done = "incomplete", "response.incomplete"
		b.response.IncompleteDetails = &responseIncomplete{Reason: "max_output_tokens"}
	}
	if err := b.endReasoning(); err != nil {
		return nil, err
	}
	if b.message == nil && b.call == nil && len(b.response.Output) == 0 { // an answer without a word is an empty one
		if err := b.addText(""); err != nil {
			return nil, err
		}
	}
	if err := b.endItem(status); err != nil {
		return nil, err
	}
	b.response.Status = status
	b.response.CompletedAt = new(time.Now().Unix())
	u := &responseUsage{InputTokens: b.stats.PromptTokens, OutputTokens: b.stats.GeneratedTokens,
		TotalTokens: b.stats.PromptTokens + b.stats.GeneratedTokens}
	u.InputDetails.CachedTokens = b.stats.CachedTokens
	u.OutputDetails.ReasoningTokens = b.thoughts
	b.response.Usage, b.response.Timings = u, newTimings(b.stats)
	return b.response, b.send(&responseEvent{Type: done, Response: b.response})
}
