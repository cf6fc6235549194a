package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"trit/convert"
	"trit/gguf"
	"trit/hub"
)

// print prints the result of a command: as JSON with --json, and otherwise as the
// text that write makes of it.
func (a *app) print(result any, write func(*strings.Builder)) error {
	if a.json {
		return a.printJSON(result)
	}
	var b strings.Builder
	write(&b)
	_, err := io.WriteString(a.out, b.String())
	return err
}

// printText is print for results of packages, which speak of options and not of
// flags.
func (a *app) printText(result fmt.Stringer) error {
	return a.print(result, func(b *strings.Builder) { b.WriteString(inFlags(result.String())) })
}

// verdict is the error of a command that has printed what a check found.
func verdict(passed bool, err error) error {
	if err == nil && !passed {
		return errCheckFailed
	}
	return err
}

// writeNotes lists the decisions and warnings of a report.
func writeNotes(b *strings.Builder, decisions []convert.Decision, warnings []string) {
	for _, d := range decisions {
		fmt.Fprintf(b, "- %s\n", d)
	}
	for _, w := range warnings {
		fmt.Fprintf(b, "warning: %s\n", w)
	}
}

// withFile opens the file of a model for the time that use takes.
func withFile(name string, use func(found *hub.Model, f *gguf.File) error) error {
	found, err := hub.Resolve(name)
	if err != nil {
		return err
	}
	f, err := found.Open()
	if err != nil {
		return err
	}
	return errors.Join(use(found, f), f.Close())
}

// required reports the first of the flags that is empty.
func required(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		switch f := cmd.Flags().Lookup(name); {
		case f.Value.String() != "":
		case name == "model":
			return usage(cmd, errors.New("--model is missing; try --model demo"))
		default:
			return usage(cmd, fmt.Errorf("--%s is missing", name))
		}
	}
	return nil
}

// outputFlag defines --output, the file that a command writes, and --force.
func outputFlag(cmd *cobra.Command, path *string, what string) {
	cmd.Flags().StringVarP(path, "output", "o", "", what)
	forceFlag(cmd)
}

// forceFlag defines --force, which mayWrite asks for.
func forceFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("force", false, "replace an output that exists")
}

// mayWrite returns an error if there is a file under a path that --force does not allow
// to replace. Devices and pipes are there to be written to, and what is wrong with a
// folder, writing says better.
func mayWrite(cmd *cobra.Command, path string) error {
	if force, err := cmd.Flags().GetBool("force"); err != nil || force {
		return err
	}
	if found, err := os.Stat(path); err != nil || !found.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("%s exists; choose another name, or replace it with --force", path)
}

// fileProgress returns a function that shows how far a file is, nil where nobody
// would see it, and one that clears it away.
func (a *app) fileProgress(what string) (show func(convert.Progress), done func()) {
	bar := a.progress(what, byteSize)
	if bar != nil {
		show = func(p convert.Progress) { bar.Set(p.Bytes, p.TotalBytes) }
	}
	return show, bar.Clear
}
