package trit

import (
	"fmt"

	"trit/chat"
	"trit/hub"
	"trit/internal/fault"
)

// Derive returns the model as d has it: with its template, its system message and messages, its sampling and limits
// where a generation says nothing. It shares all that m has and ends with it: closing it does nothing. A template that
// m was opened with goes before that of d.
func (m *Model) Derive(d *hub.Derived) (*Model, error) {
	if d == nil {
		return nil, fault.Option("derived", "it is nil")
	}
	view := &Model{name: d.Name, model: m.model, scheduler: m.scheduler, tokenizer: m.tokenizer, sampling: m.sampling,
		loadTime: m.loadTime, metrics: m.metrics, constraints: m.constraints, shared: true}
	view.format.given = m.format.given
	return view, view.derive(d)
}

// derive makes the model, which nobody uses yet, what d says.
func (m *Model) derive(d *hub.Derived) error {
	m.derived = d
	if err := d.Sampling(&m.sampling); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	if d.Template == "" || m.format.given != nil {
		return nil
	}
	t, err := chat.Parse(d.Template)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.format.given = t
	return nil
}

// Derived returns what the model has of its own beside the weights of another one, nil if it is not made of one.
func (m *Model) Derived() *hub.Derived { return m.derived }

// begun returns messages behind those that conversations with a derived model begin with.
func (m *Model) begun(messages []chat.Message) []chat.Message {
	d := m.derived
	if d == nil || d.System == "" && len(d.Messages) == 0 {
		return messages
	}
	var out []chat.Message
	switch role := messages[0].Role; {
	case role == "system" || role == "developer":
		out, messages = messages[:1:1], messages[1:]
	case d.System != "":
		out = []chat.Message{{Role: "system", Content: d.System}}
	}
	return append(append(out, d.Messages...), messages...)
}
