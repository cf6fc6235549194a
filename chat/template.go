package chat

import (
	"context"
	"encoding/json"
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

// ToolFormat returns the form in which a model with this template writes tool calls, judged by
// the template's text; ToolsNone if the template knows no tools.
func (t *Template) ToolFormat() ToolFormat {
	switch src := t.source; {
	case strings.Contains(src, "[TOOL_CALLS]"):
		return ToolsMistral
	case strings.Contains(src, "<tool_call>"):
		return ToolsHermes
	case strings.Contains(src, "tools") && (strings.Contains(src, `"parameters"`) || strings.Contains(src, "<|python_tag|>")):
		return ToolsLlama
	}
	return ToolsNone
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

// inputForm is how a template wants its messages. The zero form is the one that
// transformers documents: content as text, arguments as an object.
type inputForm struct {
	typedContent  bool // content is a list of parts
	textArguments bool // tool call arguments are JSON text
}

// probeLimits keeps the trial renders of findForm cheap, whatever the template does.
var probeLimits = Limits{Steps: 200_000, Time: time.Second}

// needsProbe reports whether the input contains something templates disagree about.
func (t *Template) needsProbe(in *Input) bool {
	if strings.Contains(t.source, "content") && (strings.Contains(t.source, "'text'") || strings.Contains(t.source, `"text"`) || strings.Contains(t.source, ".text")) {
		return true
	}
	for i := range in.Messages {
		if len(in.Messages[i].ToolCalls) > 0 {
			return true
		}
	}
	return false
}

// findForm tries out which form of input the template shows completely.
func (t *Template) findForm() inputForm {
	const needle = "qZ7needle"
	shows := func(form inputForm, in *Input) bool {
		out, err := t.render(in, form, probeLimits)
		return err == nil && strings.Contains(out, needle)
	}
	var form inputForm
	text := &Input{Messages: []Message{{Role: "user", Content: needle}}, BOS: "<s>", EOS: "</s>"}
	if !shows(form, text) && shows(inputForm{typedContent: true}, text) {
		form.typedContent = true
	}
	quoted := `{"` + needle + `": 1}`
	call := &Input{
		Messages: []Message{
			{Role: "user", Content: "u"},
			{Role: "assistant", ToolCalls: []ToolCall{{ID: "call00000", Type: "function", Function: FunctionCall{Name: "f", Arguments: quoted}}}},
			{Role: "tool", Content: "r", ToolCallID: "call00000", Name: "f"},
		},
		Tools: []Tool{{Type: "function", Function: Function{Name: "f", Description: "f", Parameters: json.RawMessage(`{"type": "object", "properties": {}}`)}}},
		BOS:   "<s>", EOS: "</s>",
	}
	// As an object, the arguments must come out as JSON or in a form of the template's own, not as Python's
	// repr in single quotes.
	asText := inputForm{typedContent: form.typedContent, textArguments: true}
	out, err := t.render(call, form, probeLimits)
	if err != nil || !strings.Contains(out, needle) || strings.Contains(out, `'`+needle+`'`) {
		if out, err := t.render(call, asText, probeLimits); err == nil && strings.Contains(out, `"`+needle+`"`) {
			form = asText
		}
	}
	return form
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

// role returns the role as the template knows it: "developer", OpenAI's newer name of "system", is
// "system" unless the template mentions it.
func (t *Template) role(name string) string {
	if name == "developer" && !strings.Contains(t.source, "developer") {
		return "system"
	}
	return name
}

// value is the message as templates see it, with its reasoning in the given field. Absent fields are
// absent, not empty.
func (m *Message) value(role, field string, form inputForm) *jinja.Dict {
	d := jinja.NewDict(4)
	d.Set("role", role)
	if form.typedContent {
		part := jinja.NewDict(2)
		part.Set("type", "text")
		part.Set("text", m.Content)
		d.Set("content", jinja.NewList(part))
	} else {
		d.Set("content", m.Content)
	}
	// Templates that call it thinking refuse it beside text and calls.
	if m.Reasoning != "" && (field != "thinking" || len(m.ToolCalls) == 0 || m.Content == "") {
		d.Set(field, m.Reasoning)
	}
	if m.Name != "" {
		d.Set("name", m.Name)
	}
	if len(m.ToolCalls) > 0 {
		calls := jinja.NewList()
		for _, c := range m.ToolCalls {
			f := jinja.NewDict(2)
			f.Set("name", c.Function.Name)
			var args jinja.Value = c.Function.Arguments
			if !form.textArguments {
				// Text that is not a JSON object stays text: it is what the model wrote.
				if v, err := jinja.DecodeJSON([]byte(c.Function.Arguments)); err == nil {
					if obj, ok := v.(*jinja.Dict); ok {
						args = obj
					}
				}
			}
			f.Set("arguments", args)
			call := jinja.NewDict(3)
			if c.ID != "" {
				call.Set("id", c.ID)
			}
			call.Set("type", "function")
			call.Set("function", f)
			calls.Items = append(calls.Items, call)
		}
		d.Set("tool_calls", calls)
	}
	if m.ToolCallID != "" {
		d.Set("tool_call_id", m.ToolCallID)
	}
	return d
}

// value is the tool as templates see it.
func (t *Tool) value() (jinja.Value, error) {
	f := jinja.NewDict(3)
	f.Set("name", t.Function.Name)
	if t.Function.Description != "" {
		f.Set("description", t.Function.Description)
	}
	if len(t.Function.Parameters) > 0 {
		v, err := jinja.DecodeJSON(t.Function.Parameters)
		if err != nil {
			return nil, err
		}
		f.Set("parameters", v)
	}
	if t.Function.Strict != nil {
		f.Set("strict", *t.Function.Strict)
	}
	d := jinja.NewDict(2)
	d.Set("type", "function")
	d.Set("function", f)
	return d, nil
}
