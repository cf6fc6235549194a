package anthropic

import (
	"fmt"
	"net/http"
	"strings"

	"trit/server/core"
)

// Family reports errors as Anthropic's API does. Its clients look for
// the id of a request in a header of another name.
var Family = &core.Family{Name: "anthropic", Error: errorReply{}, WriteError: func(w http.ResponseWriter, e *core.Error) {
	id := w.Header().Get("X-Request-Id")
	w.Header().Set("Request-Id", id)
	_ = core.WriteJSON(w, e.Status, newErrorReply(e, id)) // the client may have gone, and then there is nobody to tell
}}

type errorReply struct {
	Type      string     `json:"type"` // "error"
	Error     errorCause `json:"error"`
	RequestID string     `json:"request_id,omitempty"`
}

type errorCause struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

func newErrorReply(e *core.Error, id string) errorReply {
	message := e.Message
	if o := e.Overflow; o != nil {
		message = fmt.Sprintf("prompt is too long: %d tokens > %d maximum: %s", o.Tokens, o.Context, e.Message)
	} else if q := e.Quota; q != nil {
		message = fmt.Sprintf("This request would exceed the rate limit of %s of the key %s (%s). Please try again in %s.", q.Of, q.Key,
			q.Quota, e.Retry)
	} else if e.Param != "" && !strings.Contains(message, e.Param) {
		message = e.Param + ": " + message
	}
	return errorReply{Type: "error", Error: errorCause{Type: errorType(e.Status), Message: message}, RequestID: id}
}

// errorType returns the name that a status has.
func errorType(status int) string {
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

// api answers as Anthropic's API does.
type api struct{ *core.Server }

// Routes returns the endpoints of Anthropic's API.
func Routes(c *core.Server) []core.Route {
	s := &api{c}
	return []core.Route{
		{Pattern: "POST /v1/messages", Family: Family, Handle: s.messages},
		{Pattern: "POST /v1/messages/count_tokens", Family: Family, Handle: s.countTokens},
	}
}

// messages answers a conversation.
func (s *api) messages(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Request-Id", core.RequestID(r))
	var q messagesRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	if q.MaxTokens == nil {
		return core.BadRequest("max_tokens", "Field required")
	}
	if *q.MaxTokens < 0 {
		return core.BadRequest("max_tokens", "max_tokens is %d; want 1 or more, or 0 to have the prompt in the cache only",
			*q.MaxTokens)
	}
	c, err := q.conversation()
	if err != nil {
		return err
	}
	l, err := s.Models.Acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.Release()
	if c.Options, err = q.options(r.Context(), l.Model); err != nil {
		return err
	}
	p, err := l.Prepare(r.Context(), c)
	if err != nil {
		return err
	}
	core.SayIgnored(r, c.Ignored)
	out := s.NewReply(w, r, core.FormOf(q.Stream, core.Events))
	return core.Answer(out, s.Converse(out.Context(), p), newMessageBuilder(&q, p, out, core.RequestID(r)))
}

// countTokens tells how many tokens a conversation has.
func (s *api) countTokens(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Request-Id", core.RequestID(r))
	var q messagesRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	c, err := q.conversation()
	if err != nil {
		return err
	}
	l, err := s.Models.Acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.Release()
	p, err := l.Prepare(r.Context(), c)
	if err != nil {
		return err
	}
	return core.WriteJSON(w, http.StatusOK, map[string]int{"input_tokens": len(p.Prompt)})
}
