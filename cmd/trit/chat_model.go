package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"trit/internal/tui"
)

func (c *conversation) modelCommand(
	ctx context.Context, args string, emit func(tui.Event),
) (string, *exchange, error) {
	if args == "" {
		list, err := c.partner.models(ctx)
		return list, nil, err
	}
	before := c.partner.settings()
	next, output, err := c.partner.change(ctx, args, emit, func(text string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.loading = text
	})
	if next == nil {
		emit(tui.Event{Kind: tui.Quit})
		return "", nil, err
	}
	c.mu.Lock()
	c.partner = next
	c.mu.Unlock()
	if err != nil {
		return "", nil, err
	}
	kept := !reflect.DeepEqual(before, c.settings)
	if kept {
		output += " The settings of /set are kept."
	}
	used, err := c.length(c.messages)
	if err != nil {
		output += fmt.Sprintf(" What was said does not go into its template: %v. /clear forgets it.", err)
	}
	c.window = c.messages
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used = used; !kept {
		c.settings = next.settings()
	}
	return output, nil, nil
}

// What /show shows beside an overview.
const (
	showTemplate = "template"
	showLicense  = "license"
)

func (c *conversation) showCommand(ctx context.Context, args string, _ func(tui.Event)) (string, *exchange, error) {
	switch args {
	case "", showTemplate, showLicense:
		shown, err := c.partner.show(ctx, args)
		return shown, nil, err
	}
	return "", nil, fmt.Errorf("%q; want template, license or nothing", args)
}

// copyCommand puts what was answered into the clipboard.
func (c *conversation) copyCommand(_ context.Context, args string, emit func(tui.Event)) (string, *exchange, error) {
	text := ""
	for _, m := range c.messages {
		if m.Role == "assistant" {
			text = m.Content
		}
	}
	what := "answer"
	switch args {
	case "":
	case "code":
		what, text = "code", lastCode(text)
	default:
		return "", nil, fmt.Errorf("%q; want code or nothing", args)
	}
	if text == "" {
		return "", nil, fmt.Errorf("there is no %s to copy", what)
	}
	emit(tui.Event{Kind: tui.Copy, Text: text})
	return fmt.Sprintf("%d characters for the clipboard, if the terminal takes them.", len([]rune(text))), nil, nil
}

// lastCode returns the last block of code of a text in Markdown.
func lastCode(text string) string {
	var block, last []string
	fence := ""
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		ticks := bare[:len(bare)-len(strings.TrimLeft(bare, "`"))]
		switch {
		case fence == "" && len(ticks) >= 3:
			fence, block = ticks, nil
		case fence != "" && len(ticks) >= len(fence) && ticks == bare:
			fence, last = "", block
		case fence != "":
			block = append(block, line)
		}
	}
	if fence != "" { // the answer was cut within it
		last = block
	}
	return strings.Join(last, "")
}
