package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"trit/hub"
	"trit/internal/parallel"
	"trit/internal/termtext"
	"trit/internal/textfile"
	"trit/internal/version"
)

// app holds what all commands share: the streams and the global flags.
type app struct {
	args []string // of the command line
	in   io.Reader
	out  io.Writer
	err  io.Writer

	threads  int
	numa     parallel.NUMA
	validate bool
	json     bool
	logLevel string
	log      *slog.Logger

	tuningFile string // keeps what was measured to choose kernels

	memory func() (bytes int64, source string) // that models may take
}

func (a *app) warn(err error) { a.log.Warn(err.Error()) }

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "trit",
		Short: "Run ternary (BitNet b1.58) language models on the CPU",
		Long: `Trit runs ternary (BitNet b1.58) language models on ordinary CPUs.

A model is named by the path of a GGUF file or by a name that 'trit models'
lists. The model "demo" is part of the program.`,
		Example:       "  trit demo\n  trit infer --model demo --prompt \"Once upon a time\"",
		Version:       version.Get().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.setUp(cmd)
		},
	}
	root.PersistentFlags().IntVarP(&a.threads, "threads", "t", 0, "worker threads, at most one per processor (0: one per physical core)")
	root.PersistentFlags().Var(&parsedValue[parallel.NUMA]{dst: &a.numa, parse: parallel.ParseNUMA, text: "auto", usual: "auto"}, "numa",
		"on machines with several nodes of memory: auto (workers and weights on all), isolate (on one), off (as it comes)")
	root.PersistentFlags().BoolVar(&a.validate, "validate", false, "check the model with 'trit validate' before the command runs it")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print machine-readable JSON where the command has results")
	root.PersistentFlags().StringVar(&a.logLevel, "log-level", "warn", "least level of log messages: debug, info, warn, error")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(cmd, fmt.Errorf("%w%s", flagError(err), translated(a.args)))
	})
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run a model:"},
		&cobra.Group{ID: "server", Title: "Ask a running server:"},
		&cobra.Group{ID: "files", Title: "Look at and make files:"},
		&cobra.Group{ID: "check", Title: "Check and measure:"},
	)
	root.AddCommand(a.demoCommand(), a.serveCommand(), a.manCommand()) // they print no results
	root.AddCommand(helpTopics()...)
	for _, cmd := range []*cobra.Command{
		a.inferCommand(),
		a.chatCommand(),
		a.runCommand(),
		a.psCommand(), a.logsCommand(),
		a.loadCommand(),
		a.unloadCommand(),
		a.embedCommand(),
		a.healthCommand(),
		a.modelsCommand(),
		a.pullCommand(),
		a.showCommand(),
		a.createCommand(),
		a.cpCommand(),
		a.rmCommand(),
		a.infoCommand(),
		a.inspectCommand(),
		a.testTokenizerCommand(),
		a.convertCommand(),
		a.repairCommand(),
		a.quantizeCommand(),
		a.exportCommand(),
		a.validateCommand(),
		a.evalCommand(),
		a.perplexityCommand(),
		a.traceCommand(),
		a.benchCommand(),
		a.profileCommand(),
		a.synthCommand(),
		a.versionCommand(),
	} {
		annotate(cmd, jsonNote)
		root.AddCommand(cmd)
	}
	root.DisableSuggestions = true // run makes them
	complete(root)
	return root
}

// setUp checks the global flags and makes the logger.
func (a *app) setUp(cmd *cobra.Command) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return usage(cmd, fmt.Errorf("--log-level %q: want debug, info, warn or error", a.logLevel))
	}
	a.log = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
	if a.validate && cmd.Annotations[validateNote] == "" {
		return usage(cmd, fmt.Errorf("--validate: this command runs no model that could be checked before; 'trit validate' checks one"))
	}
	if a.json && cmd.Annotations[jsonNote] == "" {
		return usage(cmd, fmt.Errorf("--json: this command has no results that could be printed as JSON"))
	}
	if a.threads < 0 || a.threads > parallel.MaxThreads {
		return usage(cmd, fmt.Errorf("--threads %d: want 1 to %d, or 0 for one per physical core", a.threads, parallel.MaxThreads))
	}
	parallel.SetNUMA(a.numa)
	if a.threads > 0 {
		a.threads = parallel.Workers(a.threads)
	}
	if home, err := hub.Home(); err == nil { // without one, measurements are made anew each time
		a.tuningFile = filepath.Join(home, "kernels.json")
	}
	return nil
}

// Annotations of commands that heed a global flag; the others refuse it.
const (
	validateNote = "validate"
	jsonNote     = "json"
)

// annotate marks a command as one that heeds a global flag.
func annotate(cmd *cobra.Command, note string) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[note] = "yes"
}

// checksModel marks a command as one that heeds --validate.
func checksModel(cmd *cobra.Command) { annotate(cmd, validateNote) }

// usage marks an error as a mistake in the command line of cmd. A file that cannot be read is none, whatever names it.
func usage(cmd *cobra.Command, err error) error {
	if _, unreadable := errors.AsType[*fs.PathError](err); unreadable {
		return err
	}
	return &usageError{cmd.CommandPath(), err}
}

// flagError says what a flag that cannot be read should look like.
func flagError(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	if _, ok := invalid.GetFlag().Value.(interface{ explains() }); ok {
		return fmt.Errorf("--%s: %w", invalid.GetFlag().Name, errors.Unwrap(invalid))
	}
	want := ""
	switch flag := invalid.GetFlag(); flag.Value.Type() {
	case "int":
		want = "a whole number"
		if errors.Is(err, strconv.ErrRange) {
			want = "a smaller number"
		}
	case "intSlice":
		want = "whole numbers with commas between them"
	case "float64":
		want = "a number"
	case "bool":
		want = "true or false"
	case "duration":
		want = "a time such as 30s or 5m"
	default: // a type of this program, which says it itself
		return err
	}
	return fmt.Errorf("--%s %q: want %s", invalid.GetFlag().Name, invalid.GetValue(), want)
}

// noArgs refuses positional arguments with a hint.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(cmd, fmt.Errorf("unexpected argument %q", args[0]))
}

// printJSON writes a value as indented JSON.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// readText is textfile.ReadFrom that ends with ctx, also while the other end of a
// pipe or terminal says nothing.
func readText(ctx context.Context, r io.Reader, name string, most int64) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := textfile.ReadFrom(r, name, most)
		done <- result{data, err}
	}()
	select {
	case got := <-done:
		return got.data, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	if w, ok := stream.(io.Writer); ok {
		stream = termtext.Raw(w)
	}
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
