// Package tui is the terminal side of a conversation: a program that fills the
// screen with what has been said, an input of several lines and a line of
// status.
//
// It knows nothing about models. A [Handler] receives what the user enters and
// answers with events: pieces of an answer, remarks, the wish to clear the
// screen or to leave. Answers are Markdown and are rendered while they arrive.
//
//	err := tui.Run(ctx, tui.Options{Handler: h, Input: os.Stdin, Output: os.Stdout})
//
// A handler can serve a plain line mode with the same events; [Printable] makes
// text from a model safe to print there.
package tui

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
)

// Kind says what an event is.
type Kind int

// The kinds of events.
const (
	Answer   Kind = iota // a piece of the answer, in Markdown
	Thought              // a piece of what the model thinks before it answers
	Question             // a message of the user, when a conversation is shown again
	Output               // what a command prints
	Notice               // a remark of the program
	Problem              // an error
	Clear                // forget everything that is shown
	Copy                 // text for the clipboard, which terminals keep
	Exec                 // run a program that has the terminal meanwhile
	Quit                 // leave
)

// Event is something to show or to do.
type Event struct {
	Kind Kind
	Text string
	// Command is the program of Exec. How it has ended is sent to Done, which must
	// have room for it.
	Command *exec.Cmd
	Done    chan<- error
}

// Handler answers the user. Its methods are called from different goroutines:
// Status also while Handle is running.
type Handler interface {
	// Handle answers an input and returns when the answer is complete or soon
	// after ctx has ended. Events may be emitted until it returns, from one
	// goroutine.
	Handle(ctx context.Context, input string, emit func(Event))
	// Status returns the parts of the status line, the most important first:
	// what does not fit is left out.
	Status() []string
}

// Options say what to run and where.
type Options struct {
	Handler Handler
	// Input and Output are the terminal.
	Input  io.Reader
	Output io.Writer
	// Environ is the environment that tells about the terminal and colours; nil
	// is the process's.
	Environ []string
	// Greeting is shown first.
	Greeting string
	// History are earlier inputs, the oldest first.
	History []string
	// Remember is called with each new input; nil does nothing. Its errors are shown.
	Remember func(input string) error
	// Complete returns what the end of an input, from a byte on, may become; nil
	// completes nothing.
	Complete func(input string) (from int, options []string)
	// Edit prepares an editor for the input: a program, and what returns the text
	// when that has ended. nil: there is none.
	Edit func(input string) (*exec.Cmd, func() (string, error), error)
}

// Run shows the conversation until the user leaves. What was said is then
// printed below the command line, so that it stays when the screen is gone. The
// error wraps ctx's when ctx ended the program.
func Run(ctx context.Context, o Options) error {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	s := newScreen(ctx, o)
	// Signals arrive through ctx; Ctrl-C is a key here. tea.WithContext would
	// leave without waiting for the goroutine that reads the input.
	p := tea.NewProgram(s, tea.WithInput(o.Input), tea.WithOutput(o.Output),
		tea.WithEnvironment(o.Environ), tea.WithoutSignalHandler(), tea.WithFPS(30))
	done := context.AfterFunc(ctx, p.Quit)
	_, err := p.Run()
	done()
	s.stop()
	s.running.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	text := s.transcript()
	if text == "" {
		return nil
	}
	if _, err := io.WriteString(colorprofile.NewWriter(o.Output, o.Environ), text+"\n"); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	return nil
}

// Quotes around lines keep them together as one input.
const quotes = `"""`

// Unclosed reports that an input begins with three quotation marks and has no
// three at its end: it goes on in the next line.
func Unclosed(input string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSpace(input), quotes)
	return ok && !strings.HasSuffix(rest, quotes)
}

// Unquote returns what stands between the quotation marks of a complete input.
func Unquote(input string) string {
	rest, ok := strings.CutPrefix(strings.TrimSpace(input), quotes)
	if inside, closed := strings.CutSuffix(rest, quotes); ok && closed {
		return strings.Trim(inside, "\n")
	}
	return input
}

// Printable removes what would command a terminal instead of being shown:
// control characters other than the line end and the tab. Applied to pieces of
// a text it gives the pieces of the printable text.
func Printable(text string) string {
	clean := func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r <= 0x9f {
			return -1
		}
		return r
	}
	return strings.Map(clean, text)
}
