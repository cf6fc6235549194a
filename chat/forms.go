package chat

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"trit/jinja"
)

// How templates want a conversation: they disagree about the forms of contents and arguments.

// inputForm is how a template wants its messages. The zero form is the one that
// transformers documents: content as text, arguments as an object.
type inputForm struct {
	system, user, assistant, tool contentForm
	textArguments                 bool // tool call arguments are JSON text
	noContent                     bool // content is none where there are calls only
}

// contentForm is how a template wants the content of messages by one role.
type contentForm struct {
	noText bool // only as a list of parts
	list   bool // a list is welcome
}

// of returns the form of contents by a role.
func (f *inputForm) of(role string) contentForm {
	switch role {
	case "system", "developer":
		return f.system
	case "assistant":
		return f.assistant
	case "tool":
		return f.tool
	}
	return f.user
}

// probeLimits keeps the trial renders of findForm cheap, whatever the template does.
var probeLimits = Limits{Steps: 200_000, Time: time.Second}

// needsProbe reports whether the input contains something templates disagree about.
func (t *Template) needsProbe(in *Input) bool {
	if strings.Contains(t.source, "content") && (strings.Contains(t.source, "'text'") || strings.Contains(t.source, `"text"`) || strings.Contains(t.source, ".text")) {
		return true
	}
	for i := range in.Messages {
		if len(in.Messages[i].ToolCalls) > 0 || len(in.Messages[i].Parts) > 0 {
			return true
		}
	}
	return false
}

// Texts that no template contains.
const needle, needle2 = "qZ7needle", "qZ7noodle"

// quotedNeedle finds a text as Python and JSON write it in a list.
var quotedNeedle = regexp.MustCompile(`['"]` + needle + `['"]`)

// asksForNone finds templates that ask whether there is a content.
var asksForNone = regexp.MustCompile(`content['"]?\]?\s+is\s+(not\s+)?none`)

// findForm tries out which form of input the template shows completely.
func (t *Template) findForm() inputForm {
	var form inputForm
	u := Message{Role: "user", Content: "u"}
	said := func(role string) Message {
		return Message{Role: role, Content: needle + "\n" + needle2, Parts: []string{needle, needle2}}
	}
	// Of users first, since they are in all conversations.
	t.findContentForm(&form, &form.user, &Input{Messages: []Message{said("user")}})
	t.findContentForm(&form, &form.system, &Input{Messages: []Message{said("system"), u}})
	t.findContentForm(&form, &form.assistant, &Input{Messages: []Message{u, said("assistant"), u}})

	call := &Input{
		Messages: []Message{
			u,
			{Role: "assistant", ToolCalls: []ToolCall{{ID: "call00000", Type: "function", Function: FunctionCall{Name: "f", Arguments: `{"` + needle + `": 1}`}}}},
			{Role: "tool", Content: "r", ToolCallID: "call00000", Name: "f"},
		},
		Tools: []Tool{{Type: "function", Function: Function{Name: "f", Description: "f", Parameters: json.RawMessage(`{"type": "object", "properties": {}}`)}}},
		BOS:   "<s>", EOS: "</s>",
	}
	// As an object, the arguments must come out as JSON or in a form of the template's own, not as Python's
	// repr in single quotes.
	out, err := t.render(call, form, probeLimits)
	if err != nil || !strings.Contains(out, needle) || strings.Contains(out, `'`+needle+`'`) {
		asText := form
		asText.textArguments = true
		if out, err := t.render(call, asText, probeLimits); err == nil && strings.Contains(out, `"`+needle+`"`) {
			form = asText
		}
	}
	if asksForNone.MatchString(t.source) {
		bare := form
		bare.noContent = true
		with, _ := t.render(call, form, probeLimits)
		out, err := t.render(call, bare, probeLimits)
		if err == nil && !strings.Contains(out, "None") && strings.Contains(out, needle) == strings.Contains(with, needle) {
			form = bare
		}
	}
	call.Messages[1].ToolCalls[0].Function.Arguments = "{}"
	result := said("tool")
	result.ToolCallID, result.Name = "call00000", "f"
	call.Messages[2] = result
	t.findContentForm(&form, &form.tool, call)
	return form
}

// findContentForm finds how contents are to be given that hold the needles, and sets that in the form, of which
// content is a part.
func (t *Template) findContentForm(form *inputForm, content *contentForm, in *Input) {
	in.BOS, in.EOS = "<s>", "</s>"
	show := func(c contentForm) string {
		*content = c
		out, err := t.render(in, *form, probeLimits)
		if err != nil {
			return ""
		}
		return out
	}
	noText := !strings.Contains(show(contentForm{}), needle) && strings.Contains(show(contentForm{noText: true}), needle)
	// In quotes stands what a template that knows no lists makes of one.
	out := show(contentForm{noText: noText, list: true})
	list := strings.Contains(out, needle) && strings.Contains(out, needle2) && !quotedNeedle.MatchString(out)
	*content = contentForm{noText, list}
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
	d.Set("content", m.content(role, form))
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

// content is the content of the message as templates see it: text, a list of parts, or none.
func (m *Message) content(role string, form inputForm) jinja.Value {
	if m.Content == "" && len(m.ToolCalls) > 0 && form.noContent {
		return nil
	}
	takes := form.of(role)
	texts := m.Parts
	if !takes.list || len(texts) == 0 || strings.Join(texts, "\n") != m.Content {
		if !takes.noText {
			return m.Content
		}
		texts = []string{m.Content}
	}
	parts := jinja.NewList()
	for _, text := range texts {
		part := jinja.NewDict(2)
		part.Set("type", "text")
		part.Set("text", text)
		parts.Items = append(parts.Items, part)
	}
	return parts
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
