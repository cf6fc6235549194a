package server

import (
	"net/http"
	"strings"

	"trit/chat"
)

// anthropicForm reports errors as Anthropic's API does. Its clients look for
// the id of a request in a header of another name.
var anthropicForm = &family{name: "anthropic", writeError: func(w http.ResponseWriter, e *apiError) {
	id := w.Header().Get("X-Request-Id")
	w.Header().Set("Request-Id", id)
	_ = writeJSON(w, e.status, newAnthropicError(e, id)) // the client may have gone, and then there is nobody to tell
}}

type anthropicError struct {
	Type      string              `json:"type"` // "error"
	Error     anthropicErrorCause `json:"error"`
	RequestID string              `json:"request_id,omitempty"`
}

type anthropicErrorCause struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

func newAnthropicError(e *apiError, id string) anthropicError {
	message := e.message
	if e.param != "" && !strings.Contains(message, e.param) {
		message = e.param + ": " + message
	}
	return anthropicError{Type: "error", Error: anthropicErrorCause{Type: anthropicErrorType(e.status), Message: message}, RequestID: id}
}

// anthropicErrorType returns the name that a status has.
func anthropicErrorType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable:
		return "overloaded_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	}
	if status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}

func (s *Server) anthropicRoutes() []route {
	return []route{
		{pattern: "POST /v1/messages", family: anthropicForm, handle: s.messages},
		{pattern: "POST /v1/messages/count_tokens", family: anthropicForm, handle: s.countTokens},
	}
}

// messages answers a conversation.
func (s *Server) messages(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Request-Id", requestIDOf(r))
	var q anthropicRequest
	if err := readJSON(r, &q); err != nil {
		return err
	}
	if q.MaxTokens == nil {
		return badRequest("max_tokens", "Field required")
	}
	if *q.MaxTokens < 1 {
		return badRequest("max_tokens", "max_tokens is %d; want 1 or more", *q.MaxTokens)
	}
	c, err := q.conversation()
	if err != nil {
		return err
	}
	l, err := s.models.acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.release()
	if c.options, err = q.options(l.Model); err != nil {
		return err
	}
	p, err := s.prepare(l, c)
	if err != nil {
		return err
	}
	a := &anthropicAnswer{Server: s, request: &q, lease: l, prepared: p, run: s.converse, id: newID("msg_")}
	a.stop = newStopFinder(l.Model.Tokenizer(), p.tools != chat.ToolsNone && l.controlMarks(p.tools), append(l.Model.ChatStops(), q.StopSequences...)...)
	if q.Stream {
		return a.stream(w, r)
	}
	return a.whole(w, r)
}

// countTokens tells how many tokens a conversation has.
func (s *Server) countTokens(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Request-Id", requestIDOf(r))
	var q anthropicRequest
	if err := readJSON(r, &q); err != nil {
		return err
	}
	c, err := q.conversation()
	if err != nil {
		return err
	}
	l, err := s.models.acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.release()
	p, err := s.prepare(l, c)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]int{"input_tokens": len(p.prompt)})
}
