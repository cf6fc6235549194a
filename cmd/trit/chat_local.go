package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"trit"
	"trit/chat"
	"trit/hub"
	"trit/internal/tui"
	"trit/sample"
	"trit/tokenizer"
)

// localModel is a partner in this process.
type localModel struct {
	model  *trit.Model
	source string       // the name or the path that it was opened by
	base   chatSettings // what the flags and the model gave
	reopen reopen       // nil: it cannot be changed
}

// reopen opens another model as the first one was opened, with the settings that
// the flags and the model give. Progress is told the share that is loaded.
type reopen func(ctx context.Context, name string, progress func(done, total int64)) (*trit.Model, chatSettings, error)

// newSettings are what a model recommends.
func newSettings(m *trit.Model) chatSettings {
	s := chatSettings{sampling: m.Sampling(), maxTokens: chatMaxTokens}
	if template, _, err := m.ChatTemplate(); err == nil && template.CanThink() {
		s.maxTokens = thinkMaxTokens
	}
	return s
}

func (m *localModel) Name() string           { return m.model.Name() }
func (m *localModel) Context() int           { return m.model.Context() }
func (m *localModel) Close() error           { return m.model.Close() }
func (m *localModel) settings() chatSettings { return m.base }

func (m *localModel) greeting() string {
	info := m.model.Info()
	return fmt.Sprintf("%s (%s, %s weights), a context of %d tokens, loaded in %s. /help lists the commands.",
		m.model.Name(), info.Architecture, countName(info.TernaryWeights), m.model.Context(),
		m.model.LoadTime().Round(time.Millisecond))
}

// anyQuestion stands for what will be asked.
var anyQuestion = chat.Message{Role: "user", Content: "x"}

func (m *localModel) accepts(ctx context.Context, c trit.Conversation) error {
	c.Messages = []chat.Message{anyQuestion}
	_, err := m.model.Prepare(ctx, c)
	return err
}

func (m *localModel) checks(think *thinkFlags) error { return think.checkModel(m.model) }

func (m *localModel) system(text string) (remark string, err error) {
	without, err := m.model.Prepare(context.Background(), trit.Conversation{Messages: []chat.Message{anyQuestion}})
	if err != nil {
		return "", err
	}
	with, err := m.model.Prepare(context.Background(),
		trit.Conversation{Messages: []chat.Message{{Role: "system", Content: text}, anyQuestion}})
	if err != nil {
		return "", fmt.Errorf("this model's template takes no system prompt: %w", err)
	}
	if len(with.Prompt) >= m.model.Context() {
		return "", fmt.Errorf("the system prompt has %d tokens, the context only %d", len(with.Prompt)-len(without.Prompt),
			m.model.Context())
	}
	if with.Text == without.Text {
		return "this model's chat template leaves the system prompt out", nil
	}
	return "", nil
}

func (m *localModel) length(messages []chat.Message) (int, error) {
	p, err := m.model.Prepare(context.Background(), trit.Conversation{Messages: messages})
	if err != nil {
		return 0, err
	}
	return len(p.Prompt), nil
}

func (m *localModel) tokens(text string) int {
	return len(m.model.Tokenizer().Encode(text, tokenizer.AddSpecial(false)))
}

func (m *localModel) prepare(
	ctx context.Context, c trit.Conversation, how answering,
) (*prepared, error) {
	opts, seed := how.settings.options(how.attempt)
	if how.debug {
		sampling := how.settings.sampling
		sampling.TopLogProbs = debugCandidates
		sampling.Seed = &seed
		opts = append(opts, trit.Sampling(sampling))
	}
	p, err := m.model.Prepare(ctx, c, append(opts, trit.CollectStats(how.stats))...)
	if err != nil {
		return nil, err
	}
	run := p.Run(ctx)
	if how.debug {
		run = m.explained(ctx, p, how.emit)
	}
	return &prepared{p.Messages, p.Dropped, len(p.Prompt), &seed, run}, nil
}

// explained shows the prompt, and the candidates of the first token.
func (m *localModel) explained(
	ctx context.Context, p *trit.Prepared, emit func(tui.Event),
) iter.Seq2[trit.Piece, error] {
	return func(yield func(trit.Piece, error) bool) {
		emit(tui.Event{Kind: tui.Notice, Text: m.debugPrompt(p.Prompt)})
		first := true
		for piece, err := range p.Run(ctx) {
			if first && err == nil {
				emit(tui.Event{Kind: tui.Notice, Text: m.debugCandidates(piece.Token)})
				first = false
			}
			if !yield(piece, err) {
				return
			}
		}
	}
}

// debugCandidates is the number of candidates that --debug shows.
const debugCandidates = 10

// debugPrompt shows a prompt as the model sees it.
func (m *localModel) debugPrompt(prompt []int32) string {
	text := m.model.Tokenizer().Decode(prompt, tokenizer.RenderSpecial(true))
	return fmt.Sprintf("prompt, %d tokens: %q", len(prompt), text)
}

// debugCandidates shows the most likely first tokens and the chosen one.
func (m *localModel) debugCandidates(token trit.Token) string {
	var b strings.Builder
	fmt.Fprintln(&b, "first token, by the model's own probabilities:")
	for i, candidate := range token.Top {
		chosen := ""
		if candidate.ID == token.ID {
			chosen = fmt.Sprintf("  chosen; %.1f %% after the samplers", 100*token.Prob)
		}
		fmt.Fprintf(&b, "%3d. %6.2f %%  %-16q %6d%s\n", i+1, 100*math.Exp(candidate.LogProb), m.piece(candidate.ID),
			candidate.ID, chosen)
	}
	if !slices.ContainsFunc(token.Top, func(t sample.TokenLogProb) bool { return t.ID == token.ID }) {
		fmt.Fprintf(&b, "chosen: %q %d, %.2f %%\n", m.piece(token.ID), token.ID, 100*math.Exp(token.LogProb))
	}
	return strings.TrimRight(b.String(), "\n")
}

func (m *localModel) piece(id int32) string { return m.model.Tokenizer().Piece(id, true) }

func (m *localModel) change(
	ctx context.Context, name string, emit func(tui.Event), loading func(string),
) (partner, string, error) {
	if m.reopen == nil {
		return m, "", errors.New("the model of this conversation cannot be changed")
	}
	if _, err := hub.Resolve(name); err != nil {
		return m, "", err
	}
	// Two models need not fit into memory.
	if err := m.model.Close(); err != nil {
		return m, "", err
	}
	emit(tui.Event{Kind: tui.Notice, Text: "Loading " + name + "."})
	next, err := m.load(ctx, name, loading)
	if err != nil {
		old, back := m.load(context.WithoutCancel(ctx), m.source, loading)
		if back != nil {
			return nil, "", errors.Join(err, fmt.Errorf("and %s cannot be opened again: %w", m.source, back))
		}
		return old, "", fmt.Errorf("%w; %s goes on", err, m.source)
	}
	return next, fmt.Sprintf("%s, loaded in %s.", next.Name(), next.model.LoadTime().Round(time.Millisecond)), nil
}

// load opens a model in place of one that is closed.
func (m *localModel) load(ctx context.Context, name string, loading func(string)) (*localModel, error) {
	defer loading("")
	next, base, err := m.reopen(ctx, name, func(done, total int64) {
		loading(fmt.Sprintf("loading %d %%", 100*done/max(total, 1)))
	})
	if err != nil {
		return nil, err
	}
	if _, _, err := next.ChatTemplate(); err != nil {
		return nil, errors.Join(err, next.Close())
	}
	return &localModel{next, name, base, m.reopen}, nil
}

func (m *localModel) names() []string { return installedNames() }

func (m *localModel) models(context.Context) (string, error) {
	models, err := hub.List()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, found := range models {
		mark := " "
		if found.Name == m.source || found.Path == m.source {
			mark = "*"
		}
		fmt.Fprintf(&b, "%s %-30s %s\n", mark, found.Name, inLine(found.Description))
	}
	return b.String(), nil
}

func (m *localModel) show(_ context.Context, what string) (string, error) {
	found, err := hub.Resolve(m.source)
	if err != nil {
		return "", err
	}
	d, err := hub.Describe(found)
	if err != nil {
		return "", err
	}
	switch what {
	case showTemplate:
		if d.ChatTemplate == "" {
			return "The file has no chat template.", nil
		}
		return d.ChatTemplate, nil
	case showLicense:
		if d.License == "" {
			return "The file names no licence.", nil
		}
		return d.License, nil
	}
	return showDetails(d), nil
}

// save makes a model of the conversation: with its system prompt, its settings, and what was said.
func (m *localModel) save(name string, c *conversation) (string, error) {
	d := hub.Derived{Name: name, From: m.source, System: c.system, Parameters: map[string]any{}}
	if own := m.model.Derived(); own != nil {
		d.Messages = slices.Clone(own.Messages)
	}
	for _, said := range c.messages {
		if said.Role == "tool" || len(said.ToolCalls) > 0 {
			return "", errors.New("a conversation with calls of tools cannot begin those of a model; save it to a file, " +
				name + ".json")
		}
		d.Messages = append(d.Messages, chat.Message{Role: said.Role, Content: said.Content})
	}
	base := newSettings(m.model)
	for _, p := range sample.Params() {
		if value := p.Get(&c.settings.sampling); value != p.Get(&base.sampling) {
			d.Parameters[p.Name] = value
		}
	}
	if n := c.settings.maxTokens; n != base.maxTokens {
		d.Parameters[hub.ParameterPredict] = float64(n)
	}
	made, err := hub.Create(d)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("The model %s begins with these %d messages.", made.Name, len(d.Messages)), nil
}
