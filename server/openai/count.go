package openai

import (
	"net/http"

	"trit/server/core"
)

// countResponse answers POST /v1/responses/input_tokens: how many tokens a request would
// have, without answering it.
func (s *api) countResponse(w http.ResponseWriter, r *http.Request) error {
	var req responseRequest
	if err := core.ReadJSON(r, &req); err != nil {
		return err
	}
	c, err := req.conversation()
	if err != nil {
		return err
	}
	return s.count(w, r, req.Model, c)
}

// countChat does so for the chat API, as llama-server has it.
func (s *api) countChat(w http.ResponseWriter, r *http.Request) error {
	var req chatRequest
	if err := core.ReadJSON(r, &req); err != nil {
		return err
	}
	c, err := req.conversation()
	if err != nil {
		return err
	}
	return s.count(w, r, req.Model, c)
}

// countReply says how many tokens a request has.
type countReply struct {
	Object string `json:"object"`
	Tokens int    `json:"input_tokens"`
}

func (s *api) count(w http.ResponseWriter, r *http.Request, name string, c *core.Conversation) error {
	model, err := s.Models.Acquire(r.Context(), name)
	if err != nil {
		return err
	}
	defer model.Release()
	p, err := model.Prepare(r.Context(), c)
	if err != nil {
		return err
	}
	core.SayIgnored(r, c.Ignored)
	return core.WriteJSON(w, http.StatusOK, countReply{"response.input_tokens", len(p.Prompt)})
}
