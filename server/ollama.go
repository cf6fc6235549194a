package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"trit/chat"
	"trit/hub"
)

// ollamaVersion is the version of Ollama whose API this is. Clients compare it
// with the first version that has what they need.
const ollamaVersion = "0.17.4"

// ollamaAPI answers as Ollama does.
type ollamaAPI struct {
	*Server
	about modelInfoCache
}

type ollamaError struct {
	Error string `json:"error"`
}

func (s *Server) ollamaRoutes() []route {
	a := &ollamaAPI{Server: s}
	routes := []route{
		{pattern: "HEAD /{$}", access: accessOpen, handle: a.alive},
		{pattern: "GET /api/version", access: accessOpen, handle: a.version},
		{pattern: "GET /api/tags", handle: a.tags},
		{pattern: "POST /api/show", handle: a.show},
		{pattern: "GET /api/ps", handle: a.running},
		{pattern: "POST /api/generate", handle: a.generate},
		{pattern: "POST /api/chat", handle: a.chat},
		{pattern: "POST /api/embed", handle: a.embed},
		{pattern: "POST /api/embeddings", handle: a.embedOne},
		{pattern: "POST /api/pull", access: accessAdmin, handle: a.pull},
		{pattern: "POST /api/copy", access: accessAdmin, handle: a.copy},
		{pattern: "DELETE /api/delete", access: accessAdmin, handle: a.remove},
	}
	for _, path := range []string{"POST /api/create", "POST /api/push", "POST /api/blobs/{digest}"} {
		routes = append(routes, route{pattern: path, access: accessAdmin, handle: refuseOllama})
	}
	for i := range routes {
		routes[i].family = ollamaForm
	}
	return routes
}

// alive is how Ollama's clients find out whether there is a server.
func (a *ollamaAPI) alive(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (a *ollamaAPI) version(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"version": ollamaVersion})
}

func refuseOllama(w http.ResponseWriter, r *http.Request) error {
	return &apiError{status: http.StatusNotImplemented, code: "unsupported_endpoint",
		message: fmt.Sprintf("%s is not served: models are made by trit convert and trit quantize, and fetched by POST /api/pull", r.URL.Path)}
}

// readOllama reads the body of a request. curl sends what it is given as a
// form unless it is told otherwise, and Ollama's own examples do not tell it.
func readOllama(r *http.Request, v any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && media == "application/x-www-form-urlencoded" {
		r.Header.Del("Content-Type")
	}
	return readJSON(r, v)
}

// acquireOllama returns the model of that name, which may have the tag that
// Ollama's clients add, and how long it took to load.
func (a *ollamaAPI) acquireOllama(ctx context.Context, name string, keep *ollamaDuration) (*lease, time.Duration, error) {
	start := time.Now()
	m, err := a.find(name)
	if err != nil {
		return nil, 0, err
	}
	l, err := a.models.acquire(ctx, m.Name)
	if err != nil {
		return nil, 0, err
	}
	if keep != nil {
		l.keepAlive(keep.Duration)
	}
	return l, time.Since(start), nil
}

// latest is the tag of names that have none.
const latest = ":latest"

// find returns the model that a client means.
func (a *ollamaAPI) find(name string) (*hub.Model, error) {
	if name == "" {
		return nil, badRequest("model", "model is required")
	}
	m, err := a.models.resolve(name)
	if errors.Is(err, hub.ErrNotFound) {
		return nil, &apiError{status: http.StatusNotFound, code: "model_not_found", param: "model",
			message: fmt.Sprintf("model '%s' not found; GET /api/tags lists the models of this server, and POST /api/pull fetches others", name)}
	}
	return m, err
}

// ollamaName returns the name of a model as Ollama's clients expect it.
func ollamaName(name string) string {
	if strings.Contains(name, ":") {
		return name
	}
	return name + latest
}

// ollamaDuration is a time in Ollama's notation: "5m", or a number of seconds. Below
// zero it means for ever.
type ollamaDuration struct{ time.Duration }

// UnmarshalJSON implements json.Unmarshaler.
func (d *ollamaDuration) UnmarshalJSON(data []byte) error {
	wrong := badRequest("keep_alive", "keep_alive is %s; want a duration such as \"5m\", or a number of seconds; below zero means for ever", shortJSON(data))
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	var text string
	var seconds float64
	switch {
	case json.Unmarshal(data, &text) == nil:
		var err error
		if d.Duration, err = time.ParseDuration(text); err != nil {
			return wrong
		}
	case json.Unmarshal(data, &seconds) == nil:
		const most = float64(1 << 33) // 272 years, and the rest of a Duration's range
		if seconds > most {
			seconds = most
		}
		d.Duration = time.Duration(seconds * float64(time.Second))
	default:
		return wrong
	}
	if d.Duration < 0 {
		d.Duration = -1
	}
	return nil
}

// ollamaFormat is what an answer must look like: "json", or a JSON Schema.
type ollamaFormat struct{ format }

// UnmarshalJSON implements json.Unmarshaler.
func (f *ollamaFormat) UnmarshalJSON(data []byte) error {
	switch s := string(data); {
	case s == "null" || s == `""`:
		f.format = format{}
	case s == `"json"`:
		f.format = format{object: true, param: "format"}
	case data[0] == '{':
		f.format = format{schema: bytes.Clone(data), param: "format"}
	default:
		return badRequest("format", "format is %s; want \"json\" or a JSON Schema", shortJSON(data))
	}
	return nil
}

// ollamaThink asks for thinking: true, false or a level.
type ollamaThink struct {
	set, on bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *ollamaThink) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "null":
	case "false":
		t.set = true
	case "true", `"low"`, `"medium"`, `"high"`, `"max"`:
		t.set, t.on = true, true
	default:
		return badRequest("think", "think is %s; want true, false, \"low\", \"medium\", \"high\" or \"max\"", shortJSON(data))
	}
	return nil
}

// extra returns the variables of the template that switch thinking off, or an
// error where it is asked for.
func (t ollamaThink) extra(model string) (map[string]any, error) {
	if t.on {
		return nil, unsupported("think", "%q does not support thinking", model)
	}
	if t.set {
		return map[string]any{"enable_thinking": false}, nil
	}
	return nil, nil
}

// ollamaToolCall is a call in an answer or in a conversation.
type ollamaToolCall struct {
	ID       string             `json:"id,omitempty"`
	Function ollamaCallFunction `json:"function"`
}

type ollamaCallFunction struct {
	Index     int             `json:"index"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// ollamaCalls puts calls into Ollama's form, the first of which has that index.
func ollamaCalls(calls []chat.ToolCall, first int) []ollamaToolCall {
	var out []ollamaToolCall
	for i, c := range calls {
		out = append(out, ollamaToolCall{ID: "call_" + strings.TrimPrefix(c.ID, "call_"),
			Function: ollamaCallFunction{Index: first + i, Name: c.Function.Name, Arguments: argumentsObject(c.Function.Arguments)}})
	}
	return out
}

// argumentsObject returns the arguments of a call as a JSON object.
func argumentsObject(text string) json.RawMessage {
	if text == "" || !json.Valid([]byte(text)) {
		return json.RawMessage("{}")
	}
	return json.RawMessage(text)
}

// errTextTooLong is what clients read about texts that cannot be embedded.
func errTextTooLong(i, tokens, context int) string {
	return fmt.Sprintf("input[%d] has %d tokens, more than the context of %d; shorten it, or leave truncate out", i, tokens, context)
}
