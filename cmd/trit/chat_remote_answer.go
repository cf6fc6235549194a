package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"trit"
	"trit/chat"
	"trit/internal/apiclient"
	"trit/internal/tui"
	"trit/sample"
)

const chatPath = "/v1/chat/completions"

// prepare sends the request, and returns when the server has accepted it. The oldest turns are left out until the
// rest fits.
func (m *remoteModel) prepare(ctx context.Context, c trit.Conversation, how answering) (*prepared, error) {
	p := &prepared{messages: c.Messages}
	if how.settings.gave("seed") && how.settings.seed != nil {
		seed := *how.settings.seed + how.attempt
		p.seed = &seed
	}
	server := m.server.Server
	told := false
	server.Busy = func(why *apiclient.Error, wait time.Duration) {
		if !told {
			told = true
			how.emit(tui.Event{Kind: tui.Notice, Text: fmt.Sprintf("%v; asking again, the first time in %s. Ctrl-C stops.",
				m.server.explain(why), wait.Round(time.Second/10))})
		}
	}
	var spared []string
	for {
		c.Messages = p.messages
		body := m.request(&c, how.settings, p.seed)
		start := time.Now()
		answer, err := server.Send(ctx, http.MethodPost, chatPath, body)
		if err == nil {
			p.run = m.pieces(answer, &c, how.stats, start)
			return p, nil
		}
		failed, ok := errors.AsType[*apiclient.Error](err)
		if ok && overflows(failed) {
			if kept := withoutOldest(p.messages); kept != nil {
				p.dropped += len(p.messages) - len(kept)
				p.messages = kept
				continue
			}
		}
		if field := m.refused(failed, body); ok && field != "" {
			m.spared[field] = true
			spared = append(spared, field)
			continue
		}
		for _, field := range spared { // that was not it
			delete(m.spared, field)
		}
		err = m.server.explain(err)
		if ok && failed.Status == http.StatusNotFound {
			err = fmt.Errorf("%w; /model lists the models that are there", err)
		}
		return nil, err
	}
}

// overflows reports that a conversation is too long.
func overflows(e *apiclient.Error) bool {
	return e.Code == "context_length_exceeded" || e.Type == "exceed_context_size_error"
}

// withoutOldest leaves out the oldest turns: a quarter of the text, or one turn. It returns nil if there is but one.
func withoutOldest(messages []chat.Message) []chat.Message {
	size := func(messages []chat.Message) (n int, err error) {
		for _, m := range messages {
			n += 1 + len(m.Content)
		}
		return n, nil
	}
	whole, err := size(messages)
	if err != nil {
		return nil
	}
	for _, limit := range []int{whole * 3 / 4, whole - 1} {
		if kept, _, err := chat.Fit(messages, size, limit); err == nil {
			return kept
		}
	}
	return nil
}

// The fields that servers name differently, or do not know. With one of a kind refused the other is sent.
const (
	fieldUsage      = "stream_options"
	fieldMax        = "max_tokens"
	fieldMaxOpenAI  = "max_completion_tokens"
	fieldTemplate   = "chat_template_kwargs"
	fieldEffort     = "reasoning_effort"
	fieldBudget     = "thinking_budget_tokens" // llama-server's and Trit's
	fieldBudgetVLLM = "thinking_token_budget"
)

// otherField has the fields that say the same.
var otherField = map[string]string{fieldMax: fieldMaxOpenAI, fieldTemplate: fieldEffort, fieldEffort: fieldTemplate}

// refused returns the field of a request that a server knows not and that can be spared: because another one says
// the same, or because it matters little.
func (m *remoteModel) refused(e *apiclient.Error, body map[string]any) string {
	if e == nil || e.Status != http.StatusBadRequest && e.Status != http.StatusUnprocessableEntity {
		return ""
	}
	for _, field := range []string{fieldUsage, fieldMax, fieldTemplate, fieldEffort} {
		_, sent := body[field]
		if other := otherField[field]; other != "" && m.spared[other] {
			continue
		}
		if sent && (e.Param == field || strings.Contains(e.Message, field)) {
			return field
		}
	}
	return ""
}

// request is the body of a request. What OpenAI's API does not know is in it only if somebody asked for it.
func (m *remoteModel) request(c *trit.Conversation, s *chatSettings, seed *uint64) map[string]any {
	body := map[string]any{"model": m.model, "messages": m.wire(c.Messages), "stream": true}
	put := func(field string, value any) {
		if !m.spared[field] {
			body[field] = value
		}
	}
	put(fieldUsage, map[string]bool{"include_usage": true})
	for _, p := range sample.Params() {
		if s.gave(p.Flag) {
			body[p.Name] = p.Get(&s.sampling)
		}
	}
	if s.maxTokens > 0 {
		body[cmp.Or(map[bool]string{true: fieldMaxOpenAI}[m.spared[fieldMax]], fieldMax)] = s.maxTokens
	}
	if seed != nil {
		body["seed"] = *seed
	}
	if len(c.Tools) > 0 {
		body["tools"] = c.Tools
	}
	switch f := &c.Format; {
	case f.Schema != nil:
		body["response_format"] = map[string]any{"type": "json_schema",
			"json_schema": map[string]any{"name": "answer", "schema": f.Schema}}
	case f.Object:
		body["response_format"] = map[string]any{"type": "json_object"}
	}
	switch template := map[string]bool{chat.ThinkingVariable: c.Thinking == trit.ThinkingOn}; c.Thinking {
	case trit.ThinkingOff:
		put(fieldTemplate, template)
		put(fieldEffort, "none")
	case trit.ThinkingOn:
		if put(fieldTemplate, template); m.spared[fieldTemplate] {
			body[fieldEffort] = "medium"
		}
	}
	if c.ThinkingBudget > 0 {
		body[fieldBudget], body[fieldBudgetVLLM] = c.ThinkingBudget, c.ThinkingBudget
	}
	if c.Continue {
		body["continue_final_message"], body["add_generation_prompt"] = true, false
	}
	return body
}

// wireMessage is a message with its reasoning under another name.
type wireMessage struct {
	chat.Message
	Thought string `json:"reasoning,omitempty"`
}

// The names under which servers tell reasoning.
const (
	reasoningContent = "reasoning_content"
	reasoningShort   = "reasoning"
)

// wire returns messages as the server takes them. OpenAI's API knows no reasoning in messages: it is sent to a
// server that has told some, under its name for it.
func (m *remoteModel) wire(messages []chat.Message) []wireMessage {
	list := make([]wireMessage, 0, len(messages))
	for _, message := range messages {
		w := wireMessage{Message: message}
		if m.reasoning == reasoningShort {
			w.Thought = w.Reasoning
		}
		if m.reasoning != reasoningContent {
			w.Reasoning = ""
		}
		list = append(list, w)
	}
	return list
}

// maxAnswerText is how much text of an answer is kept, in bytes, maxCalls how many calls.
const (
	maxAnswerText = 64 << 20
	maxCalls      = 1000
)

// completionChunk is what is read of an event, and of a whole answer.
type completionChunk struct {
	Choices []struct {
		Delta        completionDelta `json:"delta"`
		Message      completionDelta `json:"message"` // of a whole answer
		FinishReason string          `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
		PromptDetails    struct {
			CachedTokens int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	} `json:"usage"`
	Timings *struct { // Trit and llama-server
		CacheN      int     `json:"cache_n"`
		PromptN     int     `json:"prompt_n"`
		PromptMS    float64 `json:"prompt_ms"`
		PredictedN  int     `json:"predicted_n"`
		PredictedMS float64 `json:"predicted_ms"`
	} `json:"timings"`
	Error json.RawMessage `json:"error"`
}

type completionDelta struct {
	Content          string     `json:"content"`
	Refusal          string     `json:"refusal"`
	Reasoning        string     `json:"reasoning"`
	ReasoningContent string     `json:"reasoning_content"`
	ToolCalls        []callPart `json:"tool_calls"`
}

// callPart is what a chunk adds to a call of a function.
type callPart struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// pieces reads an answer. The last piece has its end.
func (m *remoteModel) pieces(
	answer *http.Response, c *trit.Conversation, stats *trit.Stats, start time.Time,
) iter.Seq2[trit.Piece, error] {
	return func(yield func(trit.Piece, error) bool) {
		defer answer.Body.Close()
		r := answerReader{model: m, stats: stats, start: start}
		if !c.Continue { // an answer that goes on may be within its reasoning
			r.parser = chat.NewReasoningParser(chat.ReasoningFormat{Open: "<think>", Close: "</think>"}, false)
		}
		some := false
		for data, err := range events(answer) {
			switch {
			case errors.Is(err, apiclient.ErrCut) && r.finish != "": // some end without saying so
			case errors.Is(err, apiclient.ErrCut) && !some:
				yield(trit.Piece{}, m.server.Foreign(chatPath, answer, err))
				return
			case err != nil:
				yield(trit.Piece{}, fmt.Errorf("%s: %w", m.server.URL, err))
				return
			default:
				some = true
				piece, err := r.read(data)
				if err != nil {
					yield(trit.Piece{}, m.broken(answer, data, err))
					return
				}
				if piece.Content+piece.Reasoning != "" && !yield(piece, nil) {
					return
				}
			}
		}
		yield(r.end())
	}
}

// events yields the events of an answer, or a whole answer as one.
func events(answer *http.Response) iter.Seq2[[]byte, error] {
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		// An event may be much longer than its text.
		return apiclient.Events(io.LimitReader(answer.Body, 16*maxAnswerText))
	}
	return func(yield func([]byte, error) bool) {
		data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		yield(data, err)
	}
}

// broken says what is wrong with an event.
func (m *remoteModel) broken(answer *http.Response, data []byte, err error) error {
	if failed := (&apiclient.Error{}); errors.Is(err, errSaid) && failed.Read(data) {
		return fmt.Errorf("%s breaks the answer off: %s", m.server.URL, inLine(failed.Message))
	}
	return m.server.Foreign(chatPath, answer, err)
}

// errSaid reports an event that tells of a failure.
var errSaid = errors.New("the server has failed")

// answerReader puts an answer together.
type answerReader struct {
	model  *remoteModel
	parser *chat.ReasoningParser // of reasoning within the content; nil: it has none
	calls  []chat.ToolCall
	finish string
	size   int

	stats        *trit.Stats
	start, first time.Time
}

// read takes an event.
func (r *answerReader) read(data []byte) (trit.Piece, error) {
	var chunk completionChunk
	var piece trit.Piece
	if err := json.Unmarshal(data, &chunk); err != nil {
		return piece, err
	}
	if text := bytes.TrimSpace(chunk.Error); len(text) > 0 && string(text) != "null" {
		return piece, errSaid
	}
	r.count(&chunk)
	for _, choice := range chunk.Choices[:min(len(chunk.Choices), 1)] {
		for _, d := range []completionDelta{choice.Delta, choice.Message} {
			content := d.Content + d.Refusal
			r.size += len(content) + len(d.ReasoningContent) + len(d.Reasoning)
			switch {
			case d.ReasoningContent != "":
				r.model.reasoning = reasoningContent
			case d.Reasoning != "":
				r.model.reasoning = reasoningShort
			}
			piece.Reasoning += cmp.Or(d.ReasoningContent, d.Reasoning)
			if r.parser != nil {
				thought, said := r.parser.Write(content)
				piece.Reasoning, content = piece.Reasoning+thought, said
			}
			piece.Content += content
			if err := r.call(d.ToolCalls); err != nil {
				return piece, err
			}
		}
		r.finish = cmp.Or(choice.FinishReason, r.finish)
	}
	if r.size > maxAnswerText {
		return piece, fmt.Errorf("the answer has more than %d bytes", maxAnswerText)
	}
	if r.first.IsZero() && piece.Content+piece.Reasoning != "" {
		r.first = time.Now()
	}
	return piece, nil
}

// call adds parts of calls. A server that gives them no numbers sends whole ones.
func (r *answerReader) call(parts []callPart) error {
	for _, part := range parts {
		i := len(r.calls)
		if part.Index != nil {
			i = *part.Index
		}
		if i < 0 || i > len(r.calls) || i >= maxCalls {
			return fmt.Errorf("there is a call %d after %d", i, len(r.calls))
		}
		if i == len(r.calls) {
			r.calls = append(r.calls, chat.ToolCall{Type: "function"})
		}
		call := &r.calls[i]
		call.ID = cmp.Or(call.ID, part.ID)
		call.Function.Name = cmp.Or(call.Function.Name, part.Function.Name)
		call.Function.Arguments += part.Function.Arguments
		r.size += len(part.Function.Arguments)
	}
	return nil
}

// count takes what an event tells of tokens and times.
func (r *answerReader) count(chunk *completionChunk) {
	if u := chunk.Usage; u != nil {
		r.stats.PromptTokens, r.stats.CachedTokens = u.PromptTokens, u.PromptDetails.CachedTokens
		r.stats.GeneratedTokens = u.CompletionTokens
	}
	if t := chunk.Timings; t != nil {
		ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
		r.stats.PromptTokens, r.stats.CachedTokens, r.stats.GeneratedTokens = t.CacheN+t.PromptN, t.CacheN, t.PredictedN
		r.stats.PromptTime, r.stats.GenerateTime = ms(t.PromptMS), ms(t.PredictedMS)
	}
}

// end returns the last piece.
func (r *answerReader) end() (trit.Piece, error) {
	var piece trit.Piece
	if r.parser != nil {
		piece.Reasoning, piece.Content = r.parser.Close()
	}
	if r.stats.GenerateTime == 0 && !r.first.IsZero() { // as it looks from here
		r.stats.PromptTime, r.stats.GenerateTime = r.first.Sub(r.start), time.Since(r.first)
	}
	switch r.finish {
	case "length":
		piece.Finish = trit.FinishLength
		return piece, nil
	case "content_filter":
		return piece, fmt.Errorf("%s ends the answer because of its content", r.model.server.URL)
	}
	piece.Finish = trit.FinishStop
	for i := range r.calls {
		r.calls[i].ID = cmp.Or(r.calls[i].ID, "call_"+strings.ToLower(rand.Text()[:24]))
		r.calls[i].Function.Arguments = cmp.Or(r.calls[i].Function.Arguments, "{}")
	}
	piece.Calls = slices.Clip(r.calls)
	return piece, nil
}
