package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"trit/chat"
	"trit/hub"
	"trit/sample"
)

// isModelName reports whether what is to be saved is a model: what looks like the path of a file is none.
func isModelName(name string) bool {
	return name != "" && !strings.ContainsAny(name, `/\`) && !slices.Contains([]string{".json", ".txt"}, filepath.Ext(name))
}

// saveModel makes a model of the conversation: with its system prompt, its settings, and what was said.
func (c *conversation) saveModel(name string) (string, error) {
	d := hub.Derived{Name: name, From: c.source, System: c.system, Parameters: map[string]any{}}
	if own := c.model.Derived(); own != nil {
		d.Messages = slices.Clone(own.Messages)
	}
	for _, m := range c.messages {
		if m.Role == "tool" || len(m.ToolCalls) > 0 {
			return "", errors.New("a conversation with calls of tools cannot begin those of a model; save it to a file, " +
				name + ".json")
		}
		d.Messages = append(d.Messages, chat.Message{Role: m.Role, Content: m.Content})
	}
	base := newSettings(c.model)
	for _, p := range sample.Params() {
		if value := p.Get(&c.settings.sampling); value != p.Get(&base.sampling) {
			d.Parameters[p.Name] = value
		}
	}
	if n := c.settings.maxTokens; n != base.maxTokens {
		d.Parameters[hub.ParameterPredict] = float64(n)
	}
	m, err := hub.Create(d)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("The model %s begins with these %d messages.", m.Name, len(d.Messages)), nil
}
