package llamacpp

import (
	"fmt"
	"net/http"

	"trit/server/core"
)

// Family reports errors as llama.cpp's server does.
var Family = &core.Family{Name: "llama.cpp", Error: errorReply{}, WriteError: func(w http.ResponseWriter, e *core.Error) {
	_ = core.WriteJSON(w, e.Status, newErrorReply(e)) // the client may have gone, and then there is nobody to tell
}}

type errorReply struct {
	Error errorCause `json:"error"`
}

type errorCause struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Type    string `json:"type"`

	// of a prompt that is too long
	PromptTokens int `json:"n_prompt_tokens,omitempty"`
	Context      int `json:"n_ctx,omitempty"`
}

func newErrorReply(e *core.Error) errorReply {
	kind := "invalid_request_error"
	switch e.Status {
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
		if e.Status >= 500 {
			kind = "server_error"
		} else if e.Code == "context_length_exceeded" {
			kind = "exceed_context_size_error"
		}
	}
	reply := errorReply{errorCause{Code: e.Status, Message: e.Message, Type: kind}}
	if o := e.Overflow; o != nil {
		reply.Error.Message = fmt.Sprintf("the request (%d tokens) exceeds the available context size (%d tokens): %s",
			o.Tokens, o.Context, e.Message)
		reply.Error.PromptTokens, reply.Error.Context = o.Tokens, o.Context
	}
	return reply
}

// api answers as llama.cpp's server does.
type api struct{ *core.Server }

// Routes returns the endpoints of llama.cpp's server that are its own.
func Routes(c *core.Server) []core.Route {
	s := &api{c}
	routes := []core.Route{
		{Pattern: "POST /tokenize", Handle: s.tokenize},
		{Pattern: "POST /detokenize", Handle: s.detokenize},
		{Pattern: "POST /apply-template", Handle: s.applyTemplate},
		{Pattern: "GET /props", Handle: s.props},
		{Pattern: "GET /slots", Handle: s.slots},
		{Pattern: "POST /slots/{id}", Handle: s.slotAction},
		{Pattern: "POST /completion", Handle: s.completion},
		{Pattern: "POST /completions", Handle: s.completion},
		{Pattern: "POST /embedding", Handle: s.embedding},
		{Pattern: "POST /models/load", Handle: s.loadModel},
		{Pattern: "POST /models/unload", Handle: s.unloadModel},
		{Pattern: "POST /infill", Handle: refuseInfill},
	}
	for i := range routes {
		routes[i].Family = Family
	}
	return routes
}

// refuseInfill answers what needs models trained to fill in the middle.
func refuseInfill(w http.ResponseWriter, r *http.Request) error {
	return &core.Error{Status: http.StatusNotImplemented, Code: "unsupported_endpoint",
		Message: "infill is not supported: no ternary model has been trained to fill in the middle"}
}

// loadModel loads a model, unloadModel frees its memory, as a router of llama-server does.
func (s *api) loadModel(w http.ResponseWriter, r *http.Request) error {
	return s.withModel(w, r, func(name string) error {
		l, err := s.Models.Acquire(r.Context(), name)
		if err == nil {
			l.Release()
		}
		return err
	})
}

func (s *api) unloadModel(w http.ResponseWriter, r *http.Request) error {
	return s.withModel(w, r, func(name string) error {
		m, err := s.Models.Resolve(name)
		if err != nil {
			return err
		}
		return s.Models.Drop(r.Context(), m.Name)
	})
}

// modelRequest is the body of requests that are about a model only.
type modelRequest struct {
	Model string `json:"model"`
}

func (s *api) withModel(w http.ResponseWriter, r *http.Request, do func(name string) error) error {
	var q modelRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	if q.Model == "" {
		return core.BadRequest("model", "model is required")
	}
	if err := do(q.Model); err != nil {
		return err
	}
	return core.WriteJSON(w, http.StatusOK, map[string]bool{"success": true})
}

// embeddingRequest is the body of POST /embedding.
type embeddingRequest struct {
	Model   string           `json:"model"`
	Content *core.StringList `json:"content"`
	Input   *core.StringList `json:"input"`
}

// embeddedText is the vector of one text.
type embeddedText struct {
	Index     int         `json:"index"`
	Embedding [][]float32 `json:"embedding"` // of one element: what is pooled is not per token
}

// embedding answers with the embedding of a text or of several.
func (s *api) embedding(w http.ResponseWriter, r *http.Request) error {
	var q embeddingRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	texts := q.Content
	if texts == nil {
		texts = q.Input
	}
	if texts == nil {
		return core.BadRequest("content", "content is required: a string or an array of strings")
	}
	if err := core.CheckTexts("content", len(*texts)); err != nil {
		return err
	}
	l, err := s.Models.Acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.Release()
	var all [][]int32
	for i, text := range *texts {
		tokens, err := l.Tokens(r.Context(), "content", text)
		if err != nil {
			return err
		}
		if limit := l.Model.Context(); len(tokens) == 0 || len(tokens) > limit {
			return &core.Error{Status: http.StatusBadRequest, Code: "context_length_exceeded", Param: "content",
				Message: fmt.Sprintf("text %d has %d tokens; want 1 to %d", i, len(tokens), limit)}
		}
		all = append(all, tokens)
	}
	vectors, err := l.Embed(r.Context(), all)
	if err != nil {
		return err
	}
	answers := []embeddedText{}
	for i, v := range vectors {
		answers = append(answers, embeddedText{Index: i, Embedding: [][]float32{v}})
	}
	return core.WriteJSON(w, http.StatusOK, answers)
}
