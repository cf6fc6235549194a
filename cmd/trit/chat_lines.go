package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"trit"
	"trit/internal/termtext"
	"trit/internal/textfile"
	"trit/internal/tui"

	"github.com/charmbracelet/x/ansi"
)

// chatOnce is a conversation of one question, which is sent as it is.
func (a *app) chatOnce(ctx context.Context, c *conversation, question string) error {
	l := &lineChat{app: a, conversation: c, terminal: isTerminal(a.out), errTerminal: isTerminal(a.err)}
	x, err := l.answer(ctx, strings.ToValidUTF8(question, "\uFFFD"), c.say)
	if err == nil && (x == nil || x.err != nil) {
		err = errCheckFailed // what is wrong has been said
	}
	return err
}

// chatLines is the conversation without a terminal's help: a line is a message.
func (a *app) chatLines(ctx context.Context, c *conversation) error {
	l := &lineChat{app: a, conversation: c, terminal: isTerminal(a.out), errTerminal: isTerminal(a.err)}
	if isTerminal(a.in) {
		// Ctrl-C ends an answer and not the program, so the commands' own
		// reaction to signals is replaced.
		ctx = context.WithoutCancel(ctx)
		l.signals = make(chan os.Signal, 1)
		signal.Notify(l.signals, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(l.signals)
		l.prompt = a.out
		if !l.terminal || a.json {
			l.prompt = a.err
		}
	}
	return l.run(ctx)
}

// lineChat reads messages from lines and writes answers.
type lineChat struct {
	*app
	conversation *conversation
	signals      chan os.Signal // nil: signals end the program as usual
	prompt       io.Writer      // nil: nobody would see it
	terminal     bool           // the output is a terminal
	errTerminal  bool

	speaker speaker // of the current answer
	open    bool    // the output is in the middle of a line
	quit    bool
	failure error // of writing
}

// chatResult is what --json prints for an answer.
type chatResult struct {
	Model           string      `json:"model"`
	Message         string      `json:"message"`
	Text            string      `json:"text"`
	Reasoning       string      `json:"reasoning,omitempty"`
	Finish          trit.Finish `json:"finish_reason,omitempty"`
	Error           string      `json:"error,omitempty"`
	Seed            *uint64     `json:"seed,omitempty"`
	Stats           trit.Stats  `json:"stats"`
	PromptRate      float64     `json:"prompt_tokens_per_second"`
	GenerateRate    float64     `json:"generated_tokens_per_second"`
	ContextUsed     int         `json:"context_used"`
	Context         int         `json:"context"`
	DroppedMessages int         `json:"dropped_messages"`
}

func (l *lineChat) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := readLines(ctx, l.in)
	leaving := false
	for !l.quit {
		l.ask("> ")
		input, err := l.next(ctx, lines)
		switch {
		case errors.Is(err, errInterrupt):
			if leaving {
				fmt.Fprintln(l.prompt)
				return nil
			}
			leaving = true
			fmt.Fprintln(l.prompt, "\nCtrl-C again or Ctrl-D leaves.")
			continue
		case errors.Is(err, io.EOF):
			if l.prompt != nil {
				fmt.Fprintln(l.prompt)
			}
			return nil
		case err != nil:
			return err
		}
		leaving = false
		if _, err := l.answer(ctx, input, l.conversation.handle); err != nil {
			return err
		}
	}
	return nil
}

// errInterrupt reports Ctrl-C at the prompt.
var errInterrupt = errors.New("interrupted")

// next returns the next message: a line, and more of them after a backslash at
// the end.
func (l *lineChat) next(ctx context.Context, lines <-chan inputLine) (string, error) {
	var message strings.Builder
	for {
		select {
		case line, ok := <-lines:
			if !ok && message.Len() > 0 {
				return message.String(), nil
			}
			if !ok {
				return "", io.EOF
			}
			if line.err != nil {
				return "", fmt.Errorf("reading the messages: %w", line.err)
			}
			rest, more := strings.CutSuffix(line.text, `\`)
			message.WriteString(rest)
			if !more && !tui.Unclosed(message.String()) || line.last {
				return message.String(), nil
			}
			message.WriteByte('\n')
			l.ask("… ")
		case s := <-l.signals:
			if s == os.Interrupt {
				return "", errInterrupt
			}
			return "", context.Canceled
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// ask shows a prompt where somebody sees it.
func (l *lineChat) ask(prompt string) {
	if l.prompt != nil {
		fmt.Fprint(l.prompt, prompt)
	}
}

// answer handles a message. It returns errors that end the program: those of
// writing, and the end of ctx.
func (l *lineChat) answer(ctx context.Context, input string,
	send func(context.Context, string, func(tui.Event)) *exchange) (*exchange, error) {

	answerCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.speaker = speaker{terminal: l.terminal}
	terminated := false
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case s := <-l.signals:
			terminated = s != os.Interrupt
			cancel()
		case <-answerCtx.Done():
		}
	}()
	x := send(answerCtx, input, func(e tui.Event) {
		l.show(e)
		if l.failure != nil {
			cancel() // an answer that cannot be written need not be generated
		}
	})
	cancel()
	<-watching
	l.endLine()
	if x != nil && l.json {
		l.keep(l.printResult(x))
	}
	switch {
	case l.failure != nil:
		return x, fmt.Errorf("writing the answer: %w", l.failure)
	case terminated:
		return x, context.Canceled
	}
	return x, ctx.Err()
}

// show writes an event: answers and what commands print to the output, the
// rest to the error stream. With --json the output has nothing but results.
func (l *lineChat) show(e tui.Event) {
	switch e.Kind {
	case tui.Answer, tui.Thought:
		if l.json {
			return
		}
		text := ""
		if e.Kind == tui.Answer {
			text = l.speaker.say("", e.Text)
		} else {
			text = l.speaker.say(e.Text, "")
		}
		_, err := io.WriteString(termtext.Raw(l.out), text)
		l.keep(err)
		if text != "" {
			l.open = !strings.HasSuffix(strings.TrimSuffix(text, undimmed), "\n")
		}
	case tui.Output:
		l.endLine()
		out, terminal := l.out, l.terminal
		if l.json {
			out, terminal = l.err, l.errTerminal
		}
		l.keep(l.line(out, terminal, e.Text))
	case tui.Question:
		l.endLine()
		if !l.json {
			l.keep(l.line(l.out, l.terminal, "> "+e.Text))
		}
	case tui.Notice, tui.Problem:
		l.endLine()
		l.keep(l.line(l.err, l.errTerminal, e.Text))
	case tui.Copy:
		l.keep(l.copy(e.Text))
	case tui.Exec:
		e.Done <- l.exec(e.Command)
	case tui.Quit:
		l.quit = true
	}
}

// copy gives a text to the clipboard of the terminal.
func (l *lineChat) copy(text string) error {
	if !l.terminal || os.Getenv("TERM") == "dumb" {
		return l.line(l.err, l.errTerminal, "There is no terminal with a clipboard here.")
	}
	_, err := io.WriteString(termtext.Raw(l.out), ansi.SetSystemClipboard(text))
	return err
}

// exec runs a program that has the terminal.
func (l *lineChat) exec(command *exec.Cmd) error {
	if l.signals == nil || !l.terminal {
		return errors.New("there is no terminal for it")
	}
	command.Stdin, command.Stdout, command.Stderr = l.in, termtext.Raw(l.out), termtext.Raw(l.err)
	return command.Run()
}

// line writes a text that is complete.
func (l *lineChat) line(out io.Writer, terminal bool, text string) error {
	if terminal {
		text = tui.Printable(text)
	}
	_, err := fmt.Fprintln(out, strings.TrimRight(text, "\n"))
	return err
}

// endLine ends an open line of the answer.
func (l *lineChat) endLine() {
	if l.open {
		_, err := fmt.Fprintln(l.out)
		l.keep(err)
		l.open = false
	}
}

// keep remembers the first error of writing.
func (l *lineChat) keep(err error) {
	if l.failure == nil {
		l.failure = err
	}
}

// printResult writes an answer as one line of JSON.
func (l *lineChat) printResult(x *exchange) error {
	r := chatResult{
		Model: l.conversation.partner.Name(), Message: x.question, Text: x.text, Reasoning: x.reasoning, Finish: x.finish, Seed: x.seed,
		Stats: x.stats, PromptRate: x.stats.PromptRate(), GenerateRate: x.stats.GenerateRate(),
		ContextUsed: x.prompt + x.generated, Context: l.conversation.context(), DroppedMessages: x.dropped,
	}
	if x.err != nil && x.finish != trit.FinishCancelled {
		r.Error = x.err.Error()
	}
	enc := json.NewEncoder(l.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// inputLine is a line without its end, or an error.
type inputLine struct {
	text string
	last bool // nothing follows
	err  error
}

// readLines reads in a goroutine of its own, because a read cannot be
// interrupted. The channel is closed at the end of the input; after the end of
// ctx nobody needs to receive from it.
func readLines(ctx context.Context, in io.Reader) <-chan inputLine {
	lines := make(chan inputLine)
	send := func(line inputLine) bool {
		select {
		case lines <- line:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(lines)
		r := bufio.NewReader(in)
		for first := true; ; first = false {
			text, err := r.ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				send(inputLine{err: err})
				return
			}
			if first {
				text = textfile.Trim(text)
			}
			if text != "" && !send(inputLine{text: strings.TrimRight(text, "\r\n"), last: err != nil}) {
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}
