package openai

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"trit/internal/engine"
	"trit/internal/inside"
	"trit/server/core"
)

// api answers as OpenAI does.
type api struct{ *core.Server }

// Routes returns the endpoints of OpenAI's API. Of its responses this server has
// what needs no memory between requests.
func Routes(c *core.Server) []core.Route {
	s := &api{c}
	routes := []core.Route{
		{Pattern: "POST /v1/chat/completions", Handle: s.chatCompletions},
		{Pattern: "POST /v1/completions", Handle: s.completions},
		{Pattern: "POST /v1/embeddings", Handle: s.embeddings},
		{Pattern: "POST /v1/rerank", Handle: refuseRerank},
		{Pattern: "POST /v1/reranking", Handle: refuseRerank},
		{Pattern: "POST /rerank", Handle: refuseRerank},
		{Pattern: "POST /reranking", Handle: refuseRerank},
		{Pattern: "GET /v1/models", Handle: s.listModels},
		{Pattern: "GET /v1/models/{id...}", Handle: s.getModel},
		{Pattern: "POST /v1/responses", Handle: s.responses},
		{Pattern: "POST /v1/responses/input_tokens", Handle: s.countResponse},
		{Pattern: "POST /v1/chat/completions/input_tokens", Handle: s.countChat},
		{Pattern: "GET /v1/responses/{id}", Handle: notStored},
		{Pattern: "DELETE /v1/responses/{id}", Handle: notStored},
		{Pattern: "POST /v1/responses/{id}/cancel", Handle: notStored},
		{Pattern: "GET /v1/responses/{id}/input_items", Handle: notStored},
	}
	for i := range routes {
		routes[i].Family = Family
	}
	return routes
}

// Family reports errors as OpenAI does.
var Family = &core.Family{Name: "openai", Error: errorReply{}, WriteError: func(w http.ResponseWriter, e *core.Error) {
	// An error in writing means that the client has gone.
	_ = core.WriteJSON(w, e.Status, newErrorReply(e))
}}

// errorReply is the form of OpenAI's errors.
type errorReply struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`

	// of a prompt that is too long, as llama-server has them
	PromptTokens int `json:"n_prompt_tokens,omitempty"`
	Context      int `json:"n_ctx,omitempty"`
}

func newErrorReply(e *core.Error) errorReply {
	body := errorBody{Message: e.Message, Type: "invalid_request_error"}
	if o := e.Overflow; o != nil {
		body.Message = fmt.Sprintf("This model's maximum context length is %d tokens, and the prompt has %d: %s",
			o.Context, o.Tokens, e.Message)
		body.PromptTokens, body.Context = o.Tokens, o.Context
	}
	switch {
	case e.Quota != nil:
		body.Type = e.Quota.Of
		body.Message = fmt.Sprintf("Rate limit reached for %s on %s: Limit %s. Please try again in %s.", e.Quota.Key, e.Quota.Of,
			e.Quota.Quota, e.Retry)
	case e.Status == http.StatusUnauthorized:
		body.Type = "authentication_error"
	case e.Status == http.StatusForbidden:
		body.Type = "permission_error"
	case e.Status == http.StatusTooManyRequests:
		body.Type = "rate_limit_error"
	case e.Status >= 500:
		body.Type = "server_error"
	}
	if e.Param != "" {
		body.Param = &e.Param
	}
	if e.Code != "" {
		body.Code = &e.Code
	}
	return errorReply{Error: body}
}

// fingerprint identifies what an answer depends on beside the request: the
// model, how it was opened, and the version of the arithmetic.
func fingerprint(l *core.Lease) string {
	m := inside.Of(l.Model)
	e := m.Scheduler.Engine()
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %+v %d %v", engine.Numerics, l.Name, *m.Weights.Config, e.Context(),
		e.HeadInfo().Mode))
	return "fp_" + hex.EncodeToString(sum[:6])
}
