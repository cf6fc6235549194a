package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"trit/chat"
	"trit/internal/atomicfile"
	"trit/internal/textfile"
	"trit/internal/tui"
)

// slashCommand is what an input that begins with a slash asks for.
type slashCommand struct {
	name    string
	args    string
	help    string
	aliases string // other names, that people know from other programs
	values  values // what its argument may be, nil: anything
	// run returns what to print, if anything, and the exchange of commands that
	// ask the model.
	run func(c *conversation, ctx context.Context, args string, emit func(tui.Event)) (string, *exchange, error)
}

// slashCommands lists the commands in the order of /help. It is a function
// because /help reads it.
func slashCommands() []slashCommand {
	return []slashCommand{
		{"/system", "[TEXT|off]", "show, set or remove the system prompt", "", nil, (*conversation).systemCommand},
		{"/file", "[FILE|off]", "send a text file with the next message, as @FILE in it does", "/read", paths,
			(*conversation).fileCommand},
		{"/edit", "", "change the last message in $EDITOR and ask again", "", nil, (*conversation).editCommand},
		{"/undo", "", "take back the last message and its answer", "", nil, (*conversation).undoCommand},
		{"/regenerate", "", "answer the last message again", "/retry /regen", nil, (*conversation).regenerateCommand},
		{"/continue", "", "go on with an answer that was stopped or cut", "", nil, (*conversation).continueCommand},
		{"/versions", "[NUMBER]", "what was said before an edit or another answer; go back to it", "/branches", nil,
			(*conversation).versionsCommand},
		{"/copy", "[code]", "put the last answer, or its last code, into the clipboard", "", words("code"),
			(*conversation).copyCommand},
		{"/json", "[on|off]", "answers are JSON objects", "", words("on", "off"), (*conversation).jsonCommand},
		{"/schema", "[FILE|{…}|off]", "answers are JSON that a JSON Schema describes", "", paths, (*conversation).schemaCommand},
		{"/tools", "[FILE|off]", "the model may call these functions, a list as OpenAI's API takes it", "", paths,
			(*conversation).toolsCommand},
		{"/result", "TEXT", "what a function that the model has called gives", "", nil, (*conversation).resultCommand},
		{"/model", "[NAME]", "the models that are there; go on with another one", "/models /list", modelNames,
			(*conversation).modelCommand},
		{"/show", "[template|license]", "what the model is, its chat template, its licence", "", words("template", "license"),
			(*conversation).showCommand},
		{"/think", "[on|off|auto|N]", "think before answers, or for at most N tokens", "", words("on", "off", "auto"),
			(*conversation).thinkCommand},
		{"/set", "[NAME VALUE]", "show or change how tokens are chosen", "", settingNames, (*conversation).setCommand},
		{"/save", "FILE|NAME", "write the conversation to a file, as JSON, or make a model that begins with it", "", paths, (*conversation).saveCommand},
		{"/load", "FILE", "go on with a conversation from a file", "", paths, (*conversation).loadCommand},
		{"/clear", "", "forget the conversation; the system prompt stays", "/new", nil, (*conversation).clearCommand},
		{"/stats", "", "tokens, speed and use of the context", "", nil, (*conversation).statsCommand},
		{"/help", "", "this list", "/? /h", nil, (*conversation).helpCommand},
		{"/quit", "", "leave", "/exit /bye /q", nil, (*conversation).quitCommand},
	}
}

// findCommand finds a command by one of its names.
func findCommand(name string) (*slashCommand, bool) {
	for _, known := range slashCommands() {
		if known.name == name || slices.Contains(strings.Fields(known.aliases), name) {
			return &known, true
		}
	}
	return nil, false
}

// command runs a command line, given without its slash.
func (c *conversation) command(ctx context.Context, line string, emit func(tui.Event)) *exchange {
	name, args, _ := strings.Cut(line, " ")
	known, ok := findCommand("/" + name)
	if !ok {
		emit(tui.Event{Kind: tui.Problem, Text: fmt.Sprintf(
			"No command /%s; /help lists them. A message that begins with a slash is written with two.", name)})
		return nil
	}
	args = strings.TrimSpace(args)
	if args != "" && known.args == "" {
		emit(tui.Event{Kind: tui.Problem, Text: fmt.Sprintf("%s takes no argument, got %q.", known.name, args)})
		return nil
	}
	output, x, err := known.run(c, ctx, args, emit)
	if err != nil {
		emit(tui.Event{Kind: tui.Problem, Text: fmt.Sprintf("%s: %v", known.name, inFlags(err.Error()))})
	} else if output != "" {
		emit(tui.Event{Kind: tui.Output, Text: output})
	}
	return x
}

func (c *conversation) systemCommand(_ context.Context, args string, _ func(tui.Event)) (string, *exchange, error) {
	switch args {
	case "":
		if c.system == "" {
			return "There is no system prompt.", nil, nil
		}
		return "System prompt: " + c.system, nil, nil
	case "off":
		args = ""
	}
	remark, err := c.setSystem(args)
	switch {
	case err != nil:
		return "", nil, err
	case remark != "":
		return "The system prompt is set, but " + remark + ".", nil, nil
	case args == "":
		return "The system prompt is removed.", nil, nil
	}
	return "The system prompt is set.", nil, nil
}

func (c *conversation) clearCommand(_ context.Context, _ string, emit func(tui.Event)) (string, *exchange, error) {
	c.restart(nil, 0)
	c.versions = nil
	emit(tui.Event{Kind: tui.Clear})
	return "The conversation is empty.", nil, nil
}

// length returns the number of tokens of messages after the system prompt.
func (c *conversation) length(messages []chat.Message) (int, error) {
	if len(messages) == 0 {
		return 0, nil
	}
	return c.partner.length(c.withSystem(messages))
}

// restart replaces the messages of the conversation, which are used tokens long.
func (c *conversation) restart(messages []chat.Message, used int) {
	c.messages, c.window, c.attempt, c.pending = messages, messages, 0, unanswered(messages)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used, c.last, c.totals = used, nil, totals{}
}

func (c *conversation) saveCommand(_ context.Context, args string, _ func(tui.Event)) (string, *exchange, error) {
	if isModelName(args) {
		said, err := c.partner.save(args, c)
		return said, nil, err
	}
	path, err := filePath(args)
	if err != nil {
		return "", nil, err
	}
	list := []chat.Message{}
	if c.system != "" {
		list = append(list, chat.Message{Role: "system", Content: c.system})
	}
	list = append(list, c.messages...)
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(list); err != nil {
		return "", nil, err
	}
	if err := atomicfile.Write(path, data.Bytes(), 0o600); err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("%d messages are in %s.", len(list), path), nil, nil
}

// maxConversation is the size of the largest file that /load reads.
const maxConversation = 64 << 20

func (c *conversation) loadCommand(_ context.Context, args string, emit func(tui.Event)) (string, *exchange, error) {
	path, err := filePath(args)
	if err != nil {
		return "", nil, err
	}
	list, err := readConversation(path)
	if err != nil {
		return "", nil, err
	}
	system := ""
	if len(list) > 0 && list[0].Role == "system" {
		system, list = list[0].Content, list[1:]
	}
	old := c.system
	remark, err := c.setSystem(system)
	if err != nil {
		return "", nil, err
	}
	used, err := c.length(list)
	if err != nil {
		c.system = old
		return "", nil, err
	}
	c.restart(list, used)
	c.versions = nil
	c.replay(emit)
	output := fmt.Sprintf("%d messages from %s.", len(list), path)
	if system != "" {
		output += " The system prompt is set."
	}
	if remark != "" {
		output += " But " + remark + "."
	}
	if n := len(list); n > 0 && list[n-1].Role == "user" {
		output += " The last one has no answer; /regenerate gives it one."
	}
	return output, nil, nil
}

// replay shows the conversation again.
func (c *conversation) replay(emit func(tui.Event)) {
	emit(tui.Event{Kind: tui.Clear})
	for _, m := range c.messages {
		switch m.Role {
		case "user":
			emit(tui.Event{Kind: tui.Question, Text: m.Content})
		case "assistant":
			if m.Content != "" {
				emit(tui.Event{Kind: tui.Answer, Text: m.Content})
			}
			for _, call := range m.ToolCalls {
				emit(tui.Event{Kind: tui.Notice, Text: callText(&call)})
			}
		default:
			emit(tui.Event{Kind: tui.Notice, Text: m.Role + ": " + m.Content})
		}
	}
}

// readConversation reads a list of messages, or an object with one as OpenAI's
// chat API takes it.
func readConversation(path string) ([]chat.Message, error) {
	data, err := textfile.Read(path, maxConversation)
	if err != nil {
		return nil, err
	}
	var list []chat.Message
	if text := bytes.TrimSpace(data); len(text) > 0 && text[0] == '{' {
		var request struct {
			Messages *[]chat.Message `json:"messages"`
		}
		if err := json.Unmarshal(data, &request); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if request.Messages == nil {
			return nil, fmt.Errorf("%s: the object has no \"messages\"", path)
		}
		list = *request.Messages
	} else if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s: want a JSON list of messages: %w", path, err)
	}
	for i := range list {
		if list[i].Role == "" {
			return nil, fmt.Errorf("%s: message %d has no \"role\"", path, i)
		}
	}
	return list, nil
}

func (c *conversation) setCommand(_ context.Context, args string, _ func(tui.Event)) (string, *exchange, error) {
	fields := strings.Fields(strings.Replace(args, "=", " ", 1))
	switch len(fields) {
	case 0:
		var b strings.Builder
		for _, s := range chatSettingList {
			fmt.Fprintf(&b, "%-19s %-8s %s\n", s.name, c.settings.show(&s), s.help)
		}
		return b.String(), nil, nil
	case 1:
		s, err := findSetting(fields[0])
		if err != nil {
			return "", nil, err
		}
		return fmt.Sprintf("%s is %s: %s.", s.name, c.settings.show(s), s.help), nil, nil
	case 2:
		changed := c.settings
		if err := errors.Join(changed.set(fields[0], fields[1]), c.partner.checks(&changed.think)); err != nil {
			return "", nil, err
		}
		c.mu.Lock() // Status shows a setting
		c.settings = changed
		c.mu.Unlock()
		s, err := findSetting(fields[0])
		if err != nil {
			return "", nil, err
		}
		return fmt.Sprintf("%s is %s.", s.name, c.settings.show(s)), nil, nil
	}
	return "", nil, fmt.Errorf("want a name and a value, got %q", args)
}

func (c *conversation) thinkCommand(_ context.Context, args string, _ func(tui.Event)) (string, *exchange, error) {
	if args != "" {
		changed := c.settings.think
		if err := errors.Join(changed.set(args), c.partner.checks(&changed)); err != nil {
			return "", nil, err
		}
		c.settings.think = changed
		c.settings.give("think")
		c.settings.give("think-budget")
	}
	return c.settings.think.String(), nil, nil
}

func (c *conversation) statsCommand(context.Context, string, func(tui.Event)) (string, *exchange, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	if x := c.last; x != nil {
		fmt.Fprintf(&b, "last answer  %d tokens of prompt%s, %d generated%s, finish %s",
			x.stats.PromptTokens, atRate(x.stats.PromptRate()), x.generated, atRate(x.stats.GenerateRate()), finishName(x))
		if x.seed != nil {
			fmt.Fprintf(&b, ", seed %d", *x.seed)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "all answers  %d with %d tokens of prompts and %d generated, in %s\n",
		c.totals.answers, c.totals.prompt, c.totals.generated, c.totals.time.Round(time.Millisecond))
	fmt.Fprintf(&b, "messages     %d, of which the model sees %d\n", len(c.messages), len(c.window))
	if use := c.contextUse(); use != "" {
		fmt.Fprintf(&b, "context      %s", strings.TrimPrefix(use, "context "))
	}
	return b.String(), nil, nil
}

// atRate says how fast something was, if that is known.
func atRate(perSecond float64) string {
	if perSecond == 0 {
		return ""
	}
	return fmt.Sprintf(" at %.1f/s", perSecond)
}

// finishName says why an answer ended.
func finishName(x *exchange) string {
	if x.finish == "" {
		return "error"
	}
	return string(x.finish)
}

func (c *conversation) helpCommand(context.Context, string, func(tui.Event)) (string, *exchange, error) {
	var b strings.Builder
	for _, known := range slashCommands() {
		fmt.Fprintf(&b, "%-22s %s\n", known.name+" "+known.args, known.help)
	}
	b.WriteString(`
Enter sends. Alt-Enter, Ctrl-J or a backslash before Enter start another line,
and lines between """ and """ are one message. Tab completes commands and files.
Up and Down bring back earlier inputs, Ctrl-R searches them. Ctrl-G writes the
message in $EDITOR. PgUp, PgDn and the mouse wheel scroll; Shift and the mouse
select text. Ctrl-C stops an answer, clears the input, or twice at an empty
input leaves, as Ctrl-D does.`)
	return b.String(), nil, nil
}

func (c *conversation) quitCommand(_ context.Context, _ string, emit func(tui.Event)) (string, *exchange, error) {
	emit(tui.Event{Kind: tui.Quit})
	return "", nil, nil
}

// filePath reads the argument of a command as a path; "~/" is the home folder,
// as in a shell.
func filePath(args string) (string, error) {
	if args == "" {
		return "", errors.New("the name of a file is missing")
	}
	if rest, ok := strings.CutPrefix(args, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		return filepath.Join(home, rest), nil
	}
	return args, nil
}
