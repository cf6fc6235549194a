package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"trit/chat"
	"trit/internal/tui"
)

// versions are conversations that went on in another way: before an answer was
// generated again, before a message was edited or taken back.
type versions [][]chat.Message

// maxVersions bounds them; the oldest are forgotten.
const maxVersions = 50

// keep adds a conversation, unless it is the beginning of one that is there. What
// is the beginning of it is no version of its own any more.
func (v *versions) keep(messages []chat.Message) {
	if len(messages) == 0 || slices.ContainsFunc(*v, func(kept []chat.Message) bool { return begins(kept, messages) }) {
		return
	}
	*v = slices.DeleteFunc(*v, func(kept []chat.Message) bool { return begins(messages, kept) })
	*v = append(*v, slices.Clone(messages))
	*v = (*v)[max(len(*v)-maxVersions, 0):]
}

// begins reports whether a conversation begins with another one.
func begins(messages, beginning []chat.Message) bool {
	return len(messages) >= len(beginning) && reflect.DeepEqual(messages[:len(beginning)], beginning)
}

func (c *conversation) versionsCommand(
	_ context.Context, args string, emit func(tui.Event),
) (string, *exchange, error) {
	c.versions.keep(c.messages)
	current := func(v []chat.Message) bool { return len(c.messages) > 0 && begins(v, c.messages) }
	if args == "" {
		if len(c.versions) < 2 {
			return "There is one version of this conversation.", nil, nil
		}
		var b strings.Builder
		for i, v := range c.versions {
			mark := " "
			if current(v) {
				mark = "*"
			}
			fmt.Fprintf(&b, "%s%2d  %3d messages, the last: %s\n", mark, i+1, len(v), shortText(v[len(v)-1].Content))
		}
		return b.String(), nil, nil
	}
	n, err := strconv.Atoi(args)
	if err != nil || n < 1 || n > len(c.versions) {
		return "", nil, fmt.Errorf("%q; there are the versions 1 to %d", args, len(c.versions))
	}
	messages := slices.Clone(c.versions[n-1])
	used, err := c.length(messages)
	if err != nil {
		return "", nil, err
	}
	c.restart(messages, used)
	c.replay(emit)
	return fmt.Sprintf("This is version %d.", n), nil, nil
}

// shortText is the beginning of a text in one line.
func shortText(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return text
}

func (c *conversation) regenerateCommand(
	ctx context.Context, _ string, emit func(tui.Event),
) (string, *exchange, error) {
	messages, window, pending := c.messages, c.window, c.pending
	question, ok := trimAnswers(&c.messages)
	if _, seen := trimAnswers(&c.window); !ok || !seen {
		c.messages, c.window = messages, window
		return "", nil, errors.New("there is no message to answer")
	}
	c.attempt++
	c.pending = nil
	x := c.answer(ctx, question, emit)
	if x.empty() { // the answer before stays
		c.messages, c.window, c.pending = messages, window, pending
	} else {
		c.versions.keep(messages)
	}
	return "", x, nil
}

// trimAnswers removes what follows the last message of the user and returns
// that message's text, or reports that there is none. What is appended
// afterwards does not overwrite what was removed.
func trimAnswers(list *[]chat.Message) (string, bool) {
	for i := len(*list) - 1; i >= 0; i-- {
		if m := (*list)[i]; m.Role == "user" {
			*list = (*list)[: i+1 : i+1]
			return m.Content, true
		}
	}
	return "", false
}

// takeBack removes the last message of the user and what follows, and returns
// its text.
func (c *conversation) takeBack() (string, error) {
	messages := c.messages
	question, ok := trimAnswers(&messages)
	if !ok {
		return "", errors.New("there is no message to take back")
	}
	messages = messages[: len(messages)-1 : len(messages)-1]
	used, err := c.length(messages)
	if err != nil {
		return "", err
	}
	c.versions.keep(c.messages)
	c.restart(messages, used)
	return question, nil
}

func (c *conversation) undoCommand(_ context.Context, _ string, emit func(tui.Event)) (string, *exchange, error) {
	question, err := c.takeBack()
	if err != nil {
		return "", nil, err
	}
	if c.screen {
		c.replay(emit)
	}
	return fmt.Sprintf("Taken back: %s", shortText(question)), nil, nil
}

func (c *conversation) editCommand(ctx context.Context, _ string, emit func(tui.Event)) (string, *exchange, error) {
	messages := c.messages
	before, ok := trimAnswers(&messages)
	if !ok {
		return "", nil, errors.New("there is no message to edit")
	}
	after, err := runEditor(ctx, before, emit)
	if err != nil {
		return "", nil, err
	}
	if strings.TrimSpace(after) == "" || after == before {
		return "The message stays as it was.", nil, nil
	}
	if _, err := c.takeBack(); err != nil {
		return "", nil, err
	}
	if c.screen {
		c.replay(emit)
	}
	emit(tui.Event{Kind: tui.Question, Text: after})
	c.attempt = 0
	return "", c.ask(ctx, chat.Message{Role: "user", Content: after}, emit), nil
}

func (c *conversation) continueCommand(
	ctx context.Context, _ string, emit func(tui.Event),
) (string, *exchange, error) {
	n := len(c.messages)
	if n == 0 || c.messages[n-1].Role != "assistant" || len(c.messages[n-1].ToolCalls) > 0 {
		return "", nil, errors.New("there is no answer to go on with")
	}
	messages := c.messages
	question, _ := trimAnswers(&messages)
	return "", c.answer(ctx, question, emit), nil
}
