package server

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strings"

	"trit/internal/engine"
)

// openAIRoutes are the endpoints of OpenAI's API but for its responses.
func (s *Server) openAIRoutes() []route {
	return []route{
		{pattern: "POST /v1/chat/completions", family: openAIForm, handle: s.chatCompletions},
		{pattern: "POST /v1/completions", family: openAIForm, handle: s.completions},
		{pattern: "POST /v1/embeddings", family: openAIForm, handle: s.embeddings},
		{pattern: "GET /v1/models", family: openAIForm, handle: s.listModels},
		{pattern: "GET /v1/models/{id...}", family: openAIForm, handle: s.getModel},
	}
}

// openAIForm reports errors as OpenAI does.
var openAIForm = &family{name: "openai", writeError: func(w http.ResponseWriter, e *apiError) {
	// An error in writing means that the client has gone.
	_ = writeJSON(w, e.status, openAIErrorOf(e))
}}

// openAIError is the form of OpenAI's errors.
type openAIError struct {
	Error openAIErrorBody `json:"error"`
}

type openAIErrorBody struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func openAIErrorOf(e *apiError) openAIError {
	body := openAIErrorBody{Message: e.message, Type: "invalid_request_error"}
	switch {
	case e.status == http.StatusUnauthorized:
		body.Type = "authentication_error"
	case e.status == http.StatusForbidden:
		body.Type = "permission_error"
	case e.status == http.StatusTooManyRequests:
		body.Type = "rate_limit_error"
	case e.status >= 500:
		body.Type = "server_error"
	}
	if e.param != "" {
		body.Param = &e.param
	}
	if e.code != "" {
		body.Code = &e.code
	}
	return openAIError{Error: body}
}

// blame adds the field of the request that is at fault to an error, unless it
// names one already.
func blame(err error, param string) error {
	if err == nil || param == "" {
		return err
	}
	e := *classify(err)
	if e.status != http.StatusBadRequest || e.param != "" {
		return err
	}
	e.param = param
	return &e
}

// newID returns an identifier that nobody can guess, with the prefix that says
// of what.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()[:24]) }

// fingerprint identifies what an answer depends on beside the request: the
// model, how it was opened, and the version of the arithmetic.
func (l *lease) fingerprint() string {
	e := l.Model.Scheduler().Engine()
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %+v %d %v", engine.Numerics, l.name, *l.Model.Config(), e.Context(), e.HeadInfo().Mode))
	return "fp_" + hex.EncodeToString(sum[:6])
}

// openAIModel describes a model. root is vLLM's field and status is llama.cpp's.
type openAIModel struct {
	ID      string            `json:"id"`
	Object  string            `json:"object"`
	Created int64             `json:"created"`
	OwnedBy string            `json:"owned_by"`
	Root    string            `json:"root"` // the name of the model that an alias stands for
	Status  openAIModelStatus `json:"status"`
}

type openAIModelStatus struct {
	Value modelState `json:"value"`
}

// newOpenAIModel describes a model under a name of its own or an alias.
func (s *Server) newOpenAIModel(name string, m *servedModel) openAIModel {
	created := s.started
	if info, err := os.Stat(m.Hub.Path); m.Hub.Path != "" && err == nil {
		created = info.ModTime()
	}
	return openAIModel{ID: name, Object: "model", Created: created.Unix(), OwnedBy: "trit", Root: m.Name, Status: openAIModelStatus{m.State}}
}

// listModels answers with the models that a request may name, and their aliases.
func (s *Server) listModels(w http.ResponseWriter, r *http.Request) error {
	served, err := s.models.list()
	if err != nil {
		return err
	}
	data := []openAIModel{}
	for _, m := range served {
		for _, name := range append([]string{m.Name}, m.Aliases...) {
			data = append(data, s.newOpenAIModel(name, &m))
		}
	}
	return writeJSON(w, http.StatusOK, struct {
		Object string        `json:"object"`
		Data   []openAIModel `json:"data"`
	}{"list", data})
}

// getModel answers with one of them.
func (s *Server) getModel(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("id")
	found, err := s.models.resolve(name)
	if err != nil {
		return err
	}
	m := servedModel{Name: found.Name, Hub: found}
	s.models.describe(&m)
	return writeJSON(w, http.StatusOK, s.newOpenAIModel(name, &m))
}
