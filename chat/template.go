package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"trit/jinja"
)

// What can go wrong with a template; test with errors.Is.
var (
	// ErrTemplate: the template does not parse.
	ErrTemplate = errors.New("chat template is invalid")
	// ErrRender: the template parses but cannot render this conversation.
	ErrRender = errors.New("chat template failed")
	// ErrRefused: the template itself refused the conversation (raise_exception), for example
	// because it has no system role. It comes wrapped together with ErrRender.
	ErrRefused = errors.New("chat template refuses this conversation")
	// ErrLimit: the template is too large, or rendering exceeded its Limits.
	ErrLimit = errors.New("chat template exceeds its limits")
)

// Limits bounds one render. A zero field means its default.
type Limits struct {
	// Steps is how many nodes may be evaluated and items visited; default 20 million (about a second).
	Steps int64
	// Output is the largest prompt in bytes; default 1 MiB + 16 × (input + template).
	Output int
	// Time is the longest a render may take; default 10 s.
	Time time.Duration
}

// Template is a parsed chat template. It is immutable and safe for concurrent use.
type Template struct {
	source string
	tpl    *jinja.Template
	now    func() time.Time
	limits Limits
	probe  func() inputForm
	syntax func() ToolSyntax

	reasoning func() ReasoningFormat
	// field is what the template calls the reasoning of a message.
	field string
}

// Option changes how a template renders.
type Option func(*Template)

// WithClock sets the clock that strftime_now reads; default time.Now.
func WithClock(now func() time.Time) Option { return func(t *Template) { t.now = now } }

// WithLimits bounds what a render may cost.
func WithLimits(l Limits) Option { return func(t *Template) { t.limits = l } }

// Parse reads a Jinja chat template as model files carry it. Errors match [ErrTemplate], name the
// line, and say which feature of the language is missing if one is.
func Parse(source string, opts ...Option) (*Template, error) {
	tpl, err := jinja.Parse(source)
	if err != nil {
		if errors.Is(err, jinja.ErrLimit) {
			return nil, fmt.Errorf("%w: %w: %w", ErrTemplate, ErrLimit, err)
		}
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	t := &Template{source: source, tpl: tpl, now: time.Now}
	for _, o := range opts {
		o(t)
	}
	t.field = t.findReasoningField()
	t.probe = sync.OnceValue(t.findForm)
	t.syntax = sync.OnceValue(t.findToolSyntax)
	t.reasoning = sync.OnceValue(t.findReasoning)
	return t, nil
}

// Source returns the text the template was parsed from.
func (t *Template) Source() string { return t.source }

// Input is what a template renders.
type Input struct {
	Messages []Message
	Tools    []Tool
	// AddGenerationPrompt asks for the words that open the assistant's answer.
	AddGenerationPrompt bool
	// BOS and EOS are the texts of the model's special tokens.
	BOS, EOS string
	// Extra holds further variables, such as enable_thinking or documents. It overrides the
	// variables above.
	Extra map[string]any
}

// Render returns the prompt. Errors match [ErrRender], and [ErrRefused] or [ErrLimit] where those
// apply, and name the template's line.
func (t *Template) Render(in Input) (string, error) { return t.RenderContext(context.Background(), in) }

// RenderContext is Render until the context ends; the error is then the context's.
func (t *Template) RenderContext(ctx context.Context, in Input) (string, error) {
	form := inputForm{}
	if t.needsProbe(&in) {
		form = t.probe()
	}
	return t.renderUntil(ctx, &in, form, t.limits)
}

// KnowsRole reports whether the template can say that a message is by this role: one that all
// conversations have, or one that the template's text names.
func (t *Template) KnowsRole(role string) bool {
	switch role {
	case "system", "developer", "user", "assistant", "tool":
		return true
	}
	return role != "" && (strings.Contains(t.source, "'"+role+"'") || strings.Contains(t.source, `"`+role+`"`))
}

// render is what probes use.
func (t *Template) render(in *Input, form inputForm, limits Limits) (string, error) {
	return t.renderUntil(context.Background(), in, form, limits)
}

func (t *Template) renderUntil(ctx context.Context, in *Input, form inputForm, limits Limits) (string, error) {
	vars := make(map[string]any, 8+len(in.Extra))
	messages := jinja.NewList()
	messages.Items = make([]jinja.Value, len(in.Messages))
	for i := range in.Messages {
		m := &in.Messages[i]
		messages.Items[i] = m.value(t.role(m.Role), t.field, form)
	}
	vars["messages"] = messages
	// As in transformers, tools and documents are always defined, and None when there are none.
	vars["tools"] = nil
	vars["documents"] = nil
	if len(in.Tools) > 0 {
		tools := jinja.NewList()
		for i := range in.Tools {
			v, err := in.Tools[i].value()
			if err != nil {
				return "", fmt.Errorf("%w: tool %d (%q): %w", ErrRender, i, in.Tools[i].Function.Name, err)
			}
			tools.Items = append(tools.Items, v)
		}
		vars["tools"] = tools
	}
	vars["add_generation_prompt"] = in.AddGenerationPrompt
	vars["bos_token"] = in.BOS
	vars["eos_token"] = in.EOS
	for name, v := range in.Extra {
		vars[name] = v
	}
	out, err := t.tpl.RenderContext(ctx, vars, jinja.Config{
		Limits: jinja.Limits{Steps: limits.Steps, Output: limits.Output, Time: limits.Time},
		Now:    t.now,
	})
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, jinja.ErrRaised):
		return "", fmt.Errorf("%w: %w: %w", ErrRender, ErrRefused, err)
	case errors.Is(err, jinja.ErrLimit):
		return "", fmt.Errorf("%w: %w: %w", ErrRender, ErrLimit, err)
	}
	return "", fmt.Errorf("%w: %w", ErrRender, err)
}
