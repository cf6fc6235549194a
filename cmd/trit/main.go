// Command trit runs ternary language models on the CPU.
//
// Each command is one file of this package, a thin translation of flags into
// calls of the library.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"trit"
	"trit/internal/mmap"
	"trit/internal/termtext"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1   // the command could not do what it was asked, or a check failed
	exitUsage       = 2   // wrong flags or arguments
	exitInterrupted = 130 // SIGINT or SIGTERM
)

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// A terminal gets nothing but text from models, files and registries; a pipe gets it raw.
	for _, stream := range []*io.Writer{&stdout, &stderr} {
		if isTerminal(*stream) {
			*stream = &termtext.Writer{Terminal: *stream}
		}
	}
	a := &app{args: args, in: stdin, out: stdout, err: stderr, memory: trit.MemoryLimit}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	var cmd *cobra.Command
	err := mmap.Guard(func() (err error) { // models and checkpoints are mapped files
		cmd, err = root.ExecuteContextC(ctx)
		return err
	})
	if err != nil && cmd == root && !errors.As(err, new(*usageError)) { // there is no such command
		err = usage(root, errors.New(strings.TrimSpace(err.Error())+suggestions(root, args)))
	}
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errCheckFailed):
		return exitFailed // the report has been printed
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "trit: interrupted")
		return exitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "trit: %s\nRun '%s --help' for the flags and an example.\n", inFlags(err.Error()), usage.command)
		return exitUsage
	}
	fmt.Fprintf(stderr, "trit: %s\n", inFlags(err.Error()))
	return exitFailed
}

// suggestions says which commands may have been meant. One that deletes is never among them.
func suggestions(root *cobra.Command, args []string) string {
	root.DisableSuggestions = false
	root.SuggestionsMinimumDistance = 2
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") {
			continue
		}
		names := slices.DeleteFunc(root.SuggestionsFor(arg), func(name string) bool { return name == "rm" })
		if len(names) > 0 {
			return "; is 'trit " + strings.Join(names, "' or 'trit ") + "' meant?"
		}
		break
	}
	return ""
}

// errCheckFailed is returned by commands whose checks failed after they have
// printed their report.
var errCheckFailed = errors.New("check failed")

// usageError is a mistake in the command line.
type usageError struct {
	command string // with the program's name
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
