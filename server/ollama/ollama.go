package ollama

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"trit"
	"trit/chat"
	"trit/hub"
	"trit/server/core"
)

// Family reports errors as Ollama does.
var Family = &core.Family{Name: "ollama", Error: errorLine{}, WriteError: func(w http.ResponseWriter, e *core.Error) {
	line := errorLine{Error: errorText(e)}
	if e.Status == http.StatusUnauthorized {
		line.Status = line.Error
	}
	_ = core.WriteJSON(w, e.Status, line)
}}

// version is the version of Ollama whose API this is. Clients compare it
// with the first version that has what they need.
const version = "0.17.4"

// api answers as Ollama does.
type api struct{ *core.Server }

type errorLine struct {
	Error string `json:"error"`
	// Status is what Ollama's own client shows of an answer 401.
	Status string `json:"status,omitempty"`
}

func errorText(e *core.Error) string {
	if e.Overflow != nil {
		return "prompt too long; exceeded max context length: " + e.Message
	}
	return e.Message
}

// Routes returns the endpoints of Ollama's API.
func Routes(c *core.Server) []core.Route {
	a := &api{c}
	routes := []core.Route{
		{Pattern: "HEAD /{$}", Access: core.AccessOpen, Handle: a.alive},
		{Pattern: "GET /api/status", Access: core.AccessOpen, Handle: a.status},
		{Pattern: "GET /api/version", Access: core.AccessOpen, Handle: a.version},
		{Pattern: "GET /api/tags", Handle: a.tags},
		{Pattern: "POST /api/show", Handle: a.show},
		{Pattern: "GET /api/ps", Handle: a.running},
		{Pattern: "POST /api/generate", Handle: a.generate},
		{Pattern: "POST /api/chat", Handle: a.chat},
		{Pattern: "POST /api/embed", Handle: a.embed},
		{Pattern: "POST /api/embeddings", Handle: a.embedOne},
		{Pattern: "POST /api/pull", Access: core.AccessAdmin, Handle: a.pull},
		{Pattern: "POST /api/copy", Access: core.AccessAdmin, Handle: a.copy},
		{Pattern: "DELETE /api/delete", Access: core.AccessAdmin, Handle: a.remove},
		{Pattern: "POST /api/create", Access: core.AccessAdmin, Handle: a.create},
		{Pattern: "HEAD /api/blobs/{digest}", Access: core.AccessAdmin, Handle: a.hasBlob},
		{Pattern: "POST /api/blobs/{digest}", Access: core.AccessAdmin, Streams: true, Handle: a.putBlob},
		{Pattern: "POST /api/push", Handle: refuse},
		{Pattern: "POST /api/me", Handle: refuse}, // Ollama's client asks for an account before it pushes
		{Pattern: "POST /api/signout", Handle: refuse},
	}
	for i := range routes {
		routes[i].Family = Family
	}
	return routes
}

// alive is how Ollama's clients find out whether there is a server.
func (a *api) alive(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (a *api) version(w http.ResponseWriter, r *http.Request) error {
	return core.WriteJSON(w, http.StatusOK, map[string]string{"version": version})
}

// status says that nothing is passed on to Ollama's cloud.
func (a *api) status(w http.ResponseWriter, r *http.Request) error {
	return core.WriteJSON(w, http.StatusOK, map[string]any{"cloud": map[string]any{"disabled": true, "source": "none"}})
}

func refuse(w http.ResponseWriter, r *http.Request) error {
	return &core.Error{Status: http.StatusNotImplemented, Code: "unsupported_endpoint",
		Message: r.URL.Path + " is not served: there are no accounts, and models are fetched by POST /api/pull and sent to nobody"}
}

// acquire returns the model of that name, which may have the tag that
// Ollama's clients add, and how long it took to load.
func (a *api) acquire(ctx context.Context, name string, keep *durationField) (*core.Lease, time.Duration, error) {
	start := time.Now()
	m, err := a.answering(name)
	if err != nil {
		return nil, 0, err
	}
	l, err := a.Models.Acquire(ctx, m.Name)
	if err != nil {
		return nil, 0, err
	}
	if keep != nil {
		l.KeepAlive(keep.Duration)
	}
	return l, time.Since(start), nil
}

// latest is the tag of names that have none.
const latest = ":latest"

// find returns the model that goes by a name, answering the one that answers requests for
// it.
func (a *api) find(name string) (*hub.Model, error) { return found(name, a.Models.Resolve) }

func (a *api) answering(name string) (*hub.Model, error) { return found(name, a.Models.Answering) }

// found says in Ollama's words that there is no model of a name.
func found(name string, find func(string) (*hub.Model, error)) (*hub.Model, error) {
	if name == "" {
		return nil, core.BadRequest("model", "model is required")
	}
	m, err := find(name)
	if errors.Is(err, hub.ErrNotFound) {
		return nil, &core.Error{Status: http.StatusNotFound, Code: "model_not_found", Param: "model",
			Message: fmt.Sprintf("model '%s' not found; GET /api/tags lists the models of this server, and POST "+
				"/api/pull fetches others", name)}
	}
	return m, err
}

// taggedName returns the name of a model as Ollama's clients expect it.
func taggedName(name string) string {
	if strings.Contains(name, ":") {
		return name
	}
	return name + latest
}

// durationField is a time in Ollama's notation: "5m", or a number of seconds. Below
// zero it means for ever.
type durationField struct{ time.Duration }

// UnmarshalJSON implements json.Unmarshaler.
func (d *durationField) UnmarshalJSON(data []byte) error {
	wrong := core.BadRequest("keep_alive",
		"keep_alive is %s; want a duration such as \"5m\", or a number of seconds; below zero means for ever",
		core.ShortJSON(data))
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
		d.Duration = time.Duration(min(seconds, most) * float64(time.Second))
	default:
		return wrong
	}
	if d.Duration < 0 {
		d.Duration = -1
	}
	return nil
}

// formatField is what an answer must look like: "json", or a JSON Schema.
type formatField struct{ trit.Format }

// UnmarshalJSON implements json.Unmarshaler.
func (f *formatField) UnmarshalJSON(data []byte) error {
	switch s := string(data); {
	case s == "null" || s == `""`:
		f.Format = trit.Format{}
	case s == `"json"`:
		f.Format = trit.Format{Object: true}
	case data[0] == '{':
		f.Format = trit.Format{Schema: bytes.Clone(data)}
	default:
		return core.BadRequest("format", "format is %s; want \"json\" or a JSON Schema", core.ShortJSON(data))
	}
	return nil
}

// format returns the format with the name of its field.
func (f *formatField) format() core.Format { return core.Format{Format: f.Format, Field: "format"} }

// thinkField asks for thinking: true, false or a level.
type thinkField struct {
	set, on bool
	level   string
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *thinkField) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "null":
	case "false":
		t.set = true
	case "true", `"low"`, `"medium"`, `"high"`, `"max"`:
		t.set, t.on = true, true
		if data[0] == '"' {
			t.level = string(data[1 : len(data)-1])
		}
	default:
		return core.BadRequest("think", "think is %s; want true, false, \"low\", \"medium\", \"high\" or \"max\"",
			core.ShortJSON(data))
	}
	return nil
}

// apply puts the switch into a conversation with a model, or returns an error if it cannot think as
// it is asked to. What a level means is up to the template, as with Ollama.
func (t thinkField) apply(c *core.Conversation, l *core.Lease, name string) error {
	switch {
	case !t.set:
		return nil
	case !t.on:
		c.Thinking = trit.ThinkingOff
		return nil
	}
	c.Thinking = trit.ThinkingOn
	if t.level != "" {
		c.SetDegree(t.level)
	}
	template, _, err := l.Model.ChatTemplate()
	if err == nil && !template.CanThink() {
		err = core.Unsupported("think", "%q does not support thinking", name)
	}
	return err
}

// toolCall is a call in an answer or in a conversation.
type toolCall struct {
	ID       string       `json:"id,omitempty"`
	Function callFunction `json:"function"`
}

type callFunction struct {
	Index     int             `json:"index"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// newToolCalls puts calls into Ollama's form, the first of which has that index.
func newToolCalls(calls []chat.ToolCall, first int) []toolCall {
	var out []toolCall
	for i, c := range calls {
		out = append(out, toolCall{ID: "call_" + strings.TrimPrefix(c.ID, "call_"),
			Function: callFunction{Index: first + i, Name: c.Function.Name,
				Arguments: core.ArgumentsObject(c.Function.Arguments)}})
	}
	return out
}

// errTextTooLong is what clients read about texts that cannot be embedded.
func errTextTooLong(i, tokens, context int) string {
	return fmt.Sprintf("input[%d] has %d tokens, more than the context of %d; shorten it, or leave truncate out", i,
		tokens, context)
}
