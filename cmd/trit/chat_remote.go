package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"trit"
	"trit/chat"
	"trit/internal/apiclient"
	"trit/internal/tui"
	"trit/sample"
)

// remoteModel is a partner of a server with OpenAI's API.
type remoteModel struct {
	server *remote
	model  string
	base   chatSettings
	served *atomic.Pointer[[]servedModel] // that the server has told of; the terminal reads them too
	spared map[string]bool                // fields that the server has refused

	reasoning string // the name by which the server tells reasoning, "" until it has
}

// servedModel is what is read of a model in /v1/models, whose fields differ between servers.
type servedModel struct {
	ID      string `json:"id"`
	OwnedBy string `json:"owned_by"`

	ContextLength int `json:"context_length"` // Trit, OpenRouter
	MaxModelLen   int `json:"max_model_len"`  // Trit, vLLM
	Meta          struct {
		Context      int    `json:"n_ctx"` // Trit, llama-server, as the rest
		Trained      int    `json:"n_ctx_train"`
		Parameters   int64  `json:"n_params"`
		Size         int64  `json:"size"`
		Architecture string `json:"architecture"`
		Quantization string `json:"quantization"`
	} `json:"meta"`
	Status struct {
		Value string `json:"value"` // Trit, llama-server
	} `json:"status"`
}

func (m *servedModel) context() int { return cmp.Or(m.ContextLength, m.MaxModelLen, m.Meta.Context) }

// How long the chat waits: for the list of models, and for a server that has no room.
const (
	listTime     = 30 * time.Second
	chatPatience = 5 * time.Minute
)

// remotely finds the model in a server.
func (f *chatFlags) remotely(a *app, cmd *cobra.Command) (partner, error) {
	if err := f.checkRemote(cmd); err != nil {
		return nil, usage(cmd, err)
	}
	if err := f.server.open(cmd); err != nil {
		return nil, err
	}
	f.server.Patience = chatPatience
	m := &remoteModel{server: &f.server, model: f.model, spared: map[string]bool{},
		served: &atomic.Pointer[[]servedModel]{},
		base:   chatSettings{sampling: sample.Neutral(), server: true}}
	if err := f.settings.numbersOnly(&m.base); err != nil {
		return nil, usage(cmd, err)
	}
	err := m.update(cmd.Context())
	failed, ok := errors.AsType[*apiclient.Error](err)
	switch unlisted := ok && failed.Status == http.StatusNotFound; {
	case unlisted && m.model != "":
		return m, nil
	case unlisted:
		return nil, fmt.Errorf("%w; if this is the address of the API, name a model with --model", m.server.explain(err))
	case err != nil:
		return nil, m.server.explain(err)
	}
	if m.model == "" {
		m.model, err = m.only(func(names []string) (string, error) {
			if !isTerminal(a.in) || !isTerminal(a.err) {
				return "", fmt.Errorf("%s has several models, and --model names none: %s", m.server.URL, someOf(names))
			}
			return a.pick(cmd.Context(), names)
		})
	} else {
		m.model, err = m.known(m.model)
	}
	return m, err
}

// checkRemote finds flags that are about a model in this process.
func (f *chatFlags) checkRemote(cmd *cobra.Command) error {
	numbers := []string{"greedy", "seed"}
	for _, p := range sample.Params() {
		numbers = append(numbers, p.Flag)
	}
	if used := f.settings.used(cmd, numbers...); len(used) > 0 {
		return fmt.Errorf("%s with --server: it needs the model's tokens, which the server has", used[0])
	}
	name := givenOf(cmd, "Model", "model")
	if f.debug {
		name = "debug"
	}
	if name != "" {
		return fmt.Errorf("--%s with --server: it is about a model in this process", name)
	}
	return nil
}

// update asks for the models.
func (m *remoteModel) update(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	var list struct {
		Object string         `json:"object"`
		Data   *[]servedModel `json:"data"`
	}
	err := m.server.Call(ctx, http.MethodGet, "/v1/models", nil, &list, maxAnswer)
	_, said := errors.AsType[*apiclient.Error](err)
	switch {
	case !said && errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w of a server at %s within %s", apiclient.ErrNoAnswer, m.server.URL, listTime)
	case err != nil:
		return err
	case list.Data == nil && list.Object == "list": // Ollama's, which has none
		list.Data = new([]servedModel)
	case list.Data == nil:
		return fmt.Errorf("%s/v1/models answers without a list of models: %w; is this the address of the API?",
			m.server.URL, apiclient.ErrForeign)
	}
	// A name with control characters is none that somebody could type.
	served := slices.DeleteFunc(*list.Data, func(s servedModel) bool { return s.ID == "" || inLine(s.ID) != s.ID })
	m.served.Store(&served)
	return nil
}

// list returns the models.
func (m *remoteModel) list() []servedModel {
	if list := m.served.Load(); list != nil {
		return *list
	}
	return nil
}

// only returns the model of a server that has one, or the one that it has in memory, or asks which one.
func (m *remoteModel) only(ask func([]string) (string, error)) (string, error) {
	var names, loaded []string
	for _, s := range m.list() {
		names = append(names, s.ID)
		if s.Status.Value == "loaded" {
			loaded = append(loaded, s.ID)
		}
	}
	switch {
	case len(names) == 0:
		return "", fmt.Errorf("%s has no models", m.server.URL)
	case len(names) == 1:
		return names[0], nil
	case len(loaded) == 1:
		return loaded[0], nil
	}
	return ask(names)
}

// known checks the name of a model. What follows a colon is up to the server.
func (m *remoteModel) known(name string) (string, error) {
	family := func(name string) string { return name[:max(strings.LastIndexByte(name, ':'), 0)] }
	for _, s := range m.list() {
		if s.ID == name || family(s.ID) == name || family(name) == s.ID {
			return name, nil
		}
	}
	if len(m.list()) == 0 {
		return "", fmt.Errorf("%s has no models", m.server.URL)
	}
	return "", fmt.Errorf("%s has no model %s; it has %s", m.server.URL, inLine(name), someOf(m.names()))
}

// someOf lists names, not all if they are many.
func someOf(names []string) string {
	const most = 20
	var shown []string
	for _, name := range names[:min(len(names), most)] {
		shown = append(shown, inLine(name))
	}
	if len(names) > most {
		shown = append(shown, fmt.Sprintf("and %d more", len(names)-most))
	}
	return cmp.Or(strings.Join(shown, ", "), "none")
}

func (m *remoteModel) Name() string           { return m.model }
func (m *remoteModel) Close() error           { return nil }
func (m *remoteModel) settings() chatSettings { return m.base }

// entry is what the server has told of the model.
func (m *remoteModel) entry() servedModel {
	for _, s := range m.list() {
		if s.ID == m.model {
			return s
		}
	}
	return servedModel{ID: m.model}
}

func (m *remoteModel) Context() int {
	s := m.entry()
	return s.context()
}

func (m *remoteModel) greeting() string {
	of := m.model + " of " + m.server.URL
	if n := m.Context(); n > 0 {
		of += fmt.Sprintf(", a context of %d tokens", n)
	}
	return of + ". /help lists the commands."
}

// accepts leaves to the server what it can do.
func (m *remoteModel) accepts(_ context.Context, c trit.Conversation) error {
	var schema map[string]any
	if c.Format.Schema == nil {
		return nil
	}
	if err := json.Unmarshal(c.Format.Schema, &schema); err != nil {
		return fmt.Errorf("want a JSON Schema, which is an object: %w", err)
	}
	return nil
}

func (m *remoteModel) checks(*thinkFlags) error                    { return nil }
func (m *remoteModel) system(string) (remark string, err error)    { return "", nil }
func (m *remoteModel) length([]chat.Message) (tokens int, e error) { return 0, nil }
func (m *remoteModel) tokens(string) int                           { return 0 }

func (m *remoteModel) names() (names []string) {
	for _, s := range m.list() {
		names = append(names, s.ID)
	}
	return names
}

func (m *remoteModel) models(ctx context.Context) (string, error) {
	if err := m.update(ctx); err != nil {
		return "", m.server.explain(err)
	}
	var b strings.Builder
	for _, s := range m.list() {
		mark, about := " ", s.Status.Value
		if s.ID == m.model {
			mark = "*"
		}
		if n := s.context(); n > 0 {
			about = strings.TrimPrefix(about+fmt.Sprintf(", a context of %d tokens", n), ", ")
		}
		fmt.Fprintf(&b, "%s %-30s %s\n", mark, inLine(s.ID), inLine(about))
	}
	return b.String(), nil
}

func (m *remoteModel) change(
	ctx context.Context, name string, _ func(tui.Event), _ func(string),
) (partner, string, error) {
	if err := m.update(ctx); err != nil {
		return m, "", m.server.explain(err)
	}
	name, err := m.known(name)
	if err != nil {
		return m, "", err
	}
	next := *m
	next.model = name
	return &next, name + " answers from now on.", nil
}

func (m *remoteModel) show(ctx context.Context, what string) (string, error) {
	if what == "" {
		if err := m.update(ctx); err != nil {
			return "", m.server.explain(err)
		}
		s := m.entry()
		var t table
		t.row("name", s.ID)
		t.row("server", m.server.URL)
		t.row("owned by", s.OwnedBy)
		t.row("state", s.Status.Value)
		t.row("architecture", s.Meta.Architecture)
		t.row("type", s.Meta.Quantization)
		if s.Meta.Parameters > 0 {
			t.row("parameters", paramCount(s.Meta.Parameters))
		}
		if s.Meta.Size > 0 {
			t.row("size", byteSize(s.Meta.Size))
		}
		t.row("context", s.context())
		return t.b.String(), nil
	}
	// Ollama's API, which Trit has too, tells more.
	var about struct{ Template, License string }
	err := m.server.Call(ctx, http.MethodPost, "/api/show", map[string]string{"model": m.model}, &about, maxAnswer)
	if failed, ok := errors.AsType[*apiclient.Error](err); err != nil && !ok && !errors.Is(err, apiclient.ErrForeign) {
		return "", m.server.explain(err)
	} else if ok && failed.Status == http.StatusUnauthorized {
		return "", m.server.explain(err)
	}
	text := map[string]string{showTemplate: about.Template, showLicense: about.License}[what]
	return cmp.Or(text, fmt.Sprintf("The server does not tell the %s of a model.", what)), nil
}

func (m *remoteModel) save(name string, _ *conversation) (string, error) {
	return "", fmt.Errorf("a model is made where its file is, and this one is on a server; save the conversation to a "+
		"file, %s.json", name)
}
