package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"trit"
	"trit/hub"
	"trit/internal/tui"
)

// reopen opens another model as the first one was opened, with the settings that
// the flags and the model give. Progress is told the share that is loaded.
type reopen func(ctx context.Context, name string, progress func(done, total int64)) (*trit.Model, chatSettings, error)

func (c *conversation) modelCommand(
	ctx context.Context, args string, emit func(tui.Event),
) (string, *exchange, error) {
	if args == "" {
		return listModels(c.source)
	}
	if c.reopen == nil {
		return "", nil, errors.New("the model of this conversation cannot be changed")
	}
	if _, err := hub.Resolve(args); err != nil {
		return "", nil, err
	}
	old := c.source
	base := c.base
	// Two models need not fit into memory.
	if err := c.model.Close(); err != nil {
		return "", nil, err
	}
	emit(tui.Event{Kind: tui.Notice, Text: "Loading " + args + "."})
	err := c.load(ctx, args)
	if err != nil {
		if back := c.load(context.WithoutCancel(ctx), old); back != nil {
			emit(tui.Event{Kind: tui.Quit})
			return "", nil, errors.Join(err, fmt.Errorf("and %s cannot be opened again: %w", old, back))
		}
		return "", nil, fmt.Errorf("%w; %s goes on", err, old)
	}
	output := fmt.Sprintf("%s, loaded in %s.", c.model.Name(), c.model.LoadTime().Round(time.Millisecond))
	if !reflect.DeepEqual(base, c.settings) {
		output += " The settings of /set are kept."
	} else {
		c.settings = c.base
	}
	used, err := c.length(c.messages)
	if err != nil {
		output += fmt.Sprintf(" What was said does not go into its template: %v. /clear forgets it.", err)
	}
	c.window = c.messages
	c.mu.Lock()
	c.used = used
	c.mu.Unlock()
	return output, nil, nil
}

// load opens a model in place of one that is closed.
func (c *conversation) load(ctx context.Context, name string) error {
	show := func(text string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.loading = text
	}
	defer show("")
	m, base, err := c.reopen(ctx, name, func(done, total int64) {
		show(fmt.Sprintf("loading %d %%", 100*done/max(total, 1)))
	})
	if err != nil {
		return err
	}
	if _, _, err := m.ChatTemplate(); err != nil {
		return errors.Join(err, m.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.model, c.base, c.source = m, base, name
	return nil
}

// listModels shows the models that are there.
func listModels(current string) (string, *exchange, error) {
	models, err := hub.List()
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	for _, m := range models {
		mark := " "
		if m.Name == current || m.Path == current {
			mark = "*"
		}
		fmt.Fprintf(&b, "%s %-30s %s\n", mark, m.Name, inLine(m.Description))
	}
	return b.String(), nil, nil
}

func (c *conversation) showCommand(_ context.Context, args string, _ func(tui.Event)) (string, *exchange, error) {
	m, err := hub.Resolve(c.source)
	if err != nil {
		return "", nil, err
	}
	d, err := hub.Describe(m)
	if err != nil {
		return "", nil, err
	}
	switch args {
	case "":
		return showDetails(d), nil, nil
	case "template":
		if d.ChatTemplate == "" {
			return "The file has no chat template.", nil, nil
		}
		return d.ChatTemplate, nil, nil
	case "license":
		if d.License == "" {
			return "The file names no licence.", nil, nil
		}
		return d.License, nil, nil
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
