package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"unicode/utf8"

	"trit/chat"
	"trit/tokenizer"
)

// llamaForm reports errors as llama.cpp's server does.
var llamaForm = &family{name: "llama.cpp", writeError: func(w http.ResponseWriter, e *apiError) {
	_ = writeJSON(w, e.status, newLlamaError(e)) // the client may have gone, and then there is nobody to tell
}}

type llamaError struct {
	Error llamaErrorCause `json:"error"`
}

type llamaErrorCause struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Type    string `json:"type"`
}

func newLlamaError(e *apiError) llamaError {
	kind := "invalid_request_error"
	switch e.status {
	case http.StatusUnauthorized:
		kind = "authentication_error"
	case http.StatusForbidden:
		kind = "permission_error"
	case http.StatusNotFound:
		kind = "not_found_error"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		kind = "unavailable_error"
	case http.StatusNotImplemented:
		kind = "not_supported_error"
	default:
		if e.status >= 500 {
			kind = "server_error"
		} else if e.code == "context_length_exceeded" {
			kind = "exceed_context_size_error"
		}
	}
	return llamaError{llamaErrorCause{Code: e.status, Message: e.message, Type: kind}}
}

func (s *Server) utilityRoutes() []route {
	routes := []route{
		{pattern: "POST /tokenize", handle: s.tokenize},
		{pattern: "POST /detokenize", handle: s.detokenize},
		{pattern: "POST /apply-template", handle: s.applyTemplate},
		{pattern: "GET /props", handle: s.props},
		{pattern: "GET /slots", handle: s.slots},
		{pattern: "POST /completion", handle: s.completion},
		{pattern: "POST /completions", handle: s.completion},
		{pattern: "POST /embedding", handle: s.embedding},
		{pattern: "POST /infill", handle: refuseInfill},
	}
	for i := range routes {
		routes[i].family = llamaForm
	}
	return routes
}

// refuseInfill answers what needs models trained to fill in the middle.
func refuseInfill(w http.ResponseWriter, r *http.Request) error {
	return &apiError{status: http.StatusNotImplemented, code: "unsupported_endpoint",
		message: "infill is not supported: no ternary model has been trained to fill in the middle"}
}

// tokenize answers with the tokens of a text.
func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model        string      `json:"model"`
		Content      llamaPrompt `json:"content"`
		AddSpecial   bool        `json:"add_special"`
		ParseSpecial *bool       `json:"parse_special"` // true where it is left out
		WithPieces   bool        `json:"with_pieces"`
	}
	if err := readOllama(r, &q); err != nil {
		return err
	}
	l, err := s.models.acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.release()
	t := l.Model.Tokenizer()
	tokens, err := q.Content.encode(t, "content", q.AddSpecial, q.ParseSpecial == nil || *q.ParseSpecial)
	if err != nil {
		return err
	}
	if !q.WithPieces {
		return writeJSON(w, http.StatusOK, map[string][]int32{"tokens": tokens})
	}
	type tokenPiece struct {
		ID    int32 `json:"id"`
		Piece any   `json:"piece"` // the text, or its bytes if they are no complete characters
	}
	pieces := make([]tokenPiece, len(tokens))
	for i, id := range tokens {
		text := t.Piece(id, true)
		pieces[i] = tokenPiece{ID: id, Piece: text}
		if !utf8.ValidString(text) {
			_, codes := tokenText(t, id)
			pieces[i].Piece = codes
		}
	}
	return writeJSON(w, http.StatusOK, map[string][]tokenPiece{"tokens": pieces})
}

// detokenize answers with the text of tokens, control tokens included.
func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model  string  `json:"model"`
		Tokens []int32 `json:"tokens"`
	}
	if err := readOllama(r, &q); err != nil {
		return err
	}
	l, err := s.models.acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.release()
	t := l.Model.Tokenizer()
	if err := checkTokens("tokens", q.Tokens, t); err != nil {
		return err
	}
	text := t.Decode(q.Tokens, tokenizer.RenderSpecial(true), tokenizer.Continuation(true), tokenizer.CleanSpaces(false))
	return writeJSON(w, http.StatusOK, map[string]string{"content": text})
}

// applyTemplate answers with the prompt that a conversation becomes.
func (s *Server) applyTemplate(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model               string            `json:"model"`
		Messages            []json.RawMessage `json:"messages"`
		Tools               []chat.Tool       `json:"tools"`
		AddGenerationPrompt *bool             `json:"add_generation_prompt"` // true where it is left out
		TemplateArguments   map[string]any    `json:"chat_template_kwargs"`
	}
	if err := readOllama(r, &q); err != nil {
		return err
	}
	messages := make([]chat.Message, len(q.Messages))
	for i, raw := range q.Messages {
		if err := json.Unmarshal(raw, &messages[i]); err != nil {
			return badRequest("messages", "messages[%d]: %v", i, err)
		}
	}
	if len(messages) == 0 {
		return badRequest("messages", "messages is empty; send at least one message")
	}
	l, err := s.models.acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.release()
	t, _, err := l.Model.ChatTemplate()
	if err != nil {
		return err
	}
	in := chat.Input{Messages: messages, Tools: q.Tools, Extra: q.TemplateArguments,
		AddGenerationPrompt: q.AddGenerationPrompt == nil || *q.AddGenerationPrompt}
	if t.ToolFormat() == chat.ToolsNone {
		in.Tools = nil
		if in.Messages, err = explainTools(messages, q.Tools); err != nil {
			return err
		}
	}
	text, err := l.Model.RenderChat(in)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]string{"prompt": text})
}

// embedding answers with the embedding of a text or of several.
func (s *Server) embedding(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model   string      `json:"model"`
		Content *stringList `json:"content"`
		Input   *stringList `json:"input"`
	}
	if err := readOllama(r, &q); err != nil {
		return err
	}
	texts := q.Content
	if texts == nil {
		texts = q.Input
	}
	if texts == nil {
		return badRequest("content", "content is required: a string or an array of strings")
	}
	l, err := s.models.acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.release()
	type embedding struct {
		Index     int         `json:"index"`
		Embedding [][]float32 `json:"embedding"` // of one element: what is pooled is not per token
	}
	var all [][]int32
	for i, text := range *texts {
		tokens := l.Model.Tokenize(text)
		if limit := l.Model.Scheduler().Engine().Context(); len(tokens) == 0 || len(tokens) > limit {
			return &apiError{status: http.StatusBadRequest, code: "context_length_exceeded", param: "content",
				message: fmt.Sprintf("text %d has %d tokens; want 1 to %d", i, len(tokens), limit)}
		}
		all = append(all, tokens)
	}
	vectors, err := l.embed(r.Context(), all...)
	if err != nil {
		return err
	}
	answers := []embedding{}
	for i, v := range vectors {
		answers = append(answers, embedding{Index: i, Embedding: [][]float32{v}})
	}
	return writeJSON(w, http.StatusOK, answers)
}

// llamaPrompt is a text, a list of tokens, or a list of both.
type llamaPrompt []promptPart

type promptPart struct {
	text   string
	token  int32
	isText bool
	wrong  string // what stood there instead of a text or a token
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *llamaPrompt) UnmarshalJSON(data []byte) error {
	*p = nil
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	var parts []json.RawMessage
	if data[0] != '[' {
		parts = []json.RawMessage{data}
	} else if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	for _, raw := range parts {
		part := promptPart{isText: raw[0] == '"'}
		var err error
		if part.isText {
			err = json.Unmarshal(raw, &part.text)
		} else {
			err = json.Unmarshal(raw, &part.token)
		}
		if err != nil || data[0] != '[' && !part.isText {
			// encode reports it, which knows the name of the field.
			*p = llamaPrompt{{wrong: shortJSON(data)}}
			return nil
		}
		*p = append(*p, part)
	}
	return nil
}

// encode returns the tokens of a prompt. field is what the request calls it.
func (p llamaPrompt) encode(t *tokenizer.Tokenizer, field string, addSpecial, parseSpecial bool) ([]int32, error) {
	tokens := []int32{}
	for i, part := range p {
		if part.wrong != "" {
			return nil, badRequest(field, "%s is %s; want a string, or an array of strings and token ids", field, part.wrong)
		}
		if !part.isText {
			if err := checkTokens(field, []int32{part.token}, t); err != nil {
				return nil, err
			}
			tokens = append(tokens, part.token)
			continue
		}
		// Special tokens belong to the ends of the whole.
		tokens = t.AppendEncode(tokens, part.text, tokenizer.AddSpecial(addSpecial && i == 0), tokenizer.ParseSpecial(parseSpecial))
	}
	return tokens, nil
}
