package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"trit/hub"
	"trit/internal/order"
)

// modelArg takes the one argument of a command as its model, which --model may name as well.
func modelArg(cmd *cobra.Command, args []string) error {
	model := cmd.Flags().Lookup("model")
	switch {
	case len(args) == 0:
		return nil
	case model.Changed:
		return usage(cmd, fmt.Errorf("unexpected argument %q", args[0]))
	case len(args) > 1:
		return usage(cmd, fmt.Errorf("unexpected argument %q; texts are given with flags, and put in quotes", args[1]))
	}
	return cmd.Flags().Set("model", args[0])
}

// takesModel marks a command whose argument is its model.
func takesModel(cmd *cobra.Command) {
	cmd.Use += " [MODEL]"
	cmd.Args = modelArg
}

// installedNames returns the names of all models that can be opened; what cannot be listed has no names.
func installedNames() (names []string) {
	models, err := hub.List()
	if err != nil {
		return nil
	}
	for _, m := range models {
		names = append(names, m.Name)
	}
	return names
}

// catalogueNames returns the names of all models that can be downloaded.
func catalogueNames() (names []string) {
	for _, e := range hub.Catalogue() {
		names = append(names, e.Name)
	}
	return names
}

// completeModels completes names of models and of files.
func completeModels(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return installedNames(), cobra.ShellCompDirectiveDefault
}

// completeInstalled completes the names of models where no file may stand.
func completeInstalled(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return installedNames(), cobra.ShellCompDirectiveNoFileComp
}

// completeCatalogue completes what can be downloaded.
func completeCatalogue(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return catalogueNames(), cobra.ShellCompDirectiveNoFileComp
}

// complete gives the flags and arguments of all commands the completion of their values.
func complete(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			var values []string
			switch v, parsed := f.Value.(interface{ choices(usage string) []string }); {
			case f.Name == "model" || f.Name == "draft":
				values = nil
			case parsed:
				values = v.choices(f.Usage)
			case f.Name == "log-format":
				values = []string{"text", "json"}
			default:
				return
			}
			complete := cobra.CompletionFunc(completeModels)
			if values != nil {
				complete = cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
			}
			if err := cmd.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
				panic(err) // the flag has just been found
			}
		})
		switch cmd.Name() {
		case "pull":
			cmd.ValidArgsFunction = completeCatalogue
		case "run":
			cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
				if len(args) > 0 {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return append(installedNames(), catalogueNames()...), cobra.ShellCompDirectiveDefault
			}
		case "show", "cp":
			cmd.ValidArgsFunction = completeModels
		case "rm", "load", "unload":
			cmd.ValidArgsFunction = completeInstalled
		default:
			if strings.HasSuffix(cmd.Use, " [MODEL]") {
				cmd.ValidArgsFunction = completeModels
			}
		}
	}
	err := root.RegisterFlagCompletionFunc("log-level",
		cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err)
	}
}

// question shows a text on the error stream and returns the line that is typed. It ends with ctx.
func (a *app) question(ctx context.Context, text string) (string, error) {
	fmt.Fprint(a.err, text)
	type answer struct {
		text string
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		var line []byte
		for b := make([]byte, 1); ; { // by bytes, because what follows the line is for others
			n, err := a.in.Read(b)
			if n > 0 && b[0] != '\n' {
				line = append(line, b[0])
			}
			if n > 0 && b[0] == '\n' || errors.Is(err, io.EOF) || len(line) > 1000 {
				typed <- answer{strings.TrimSpace(string(line)), nil}
				return
			}
			if err != nil {
				typed <- answer{"", err}
				return
			}
		}
	}()
	select {
	case got := <-typed:
		return got.text, got.err
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return "", ctx.Err()
	}
}

// pickModel lets somebody at a terminal choose one of the installed models.
func (a *app) pickModel(ctx context.Context) (string, error) {
	models, err := hub.List()
	if err != nil {
		return "", err
	}
	order.Stable(models, func(x, y hub.Model) int { // the demo is for when there is nothing else
		return map[bool]int{true: 1}[x.Name == "demo"] - map[bool]int{true: 1}[y.Name == "demo"]
	})
	if len(models) == 1 {
		fmt.Fprintf(a.err, "Taking %s; 'trit models --catalogue' lists models that can be downloaded.\n", models[0].Name)
		return models[0].Name, nil
	}
	var names []string
	for _, m := range models {
		names = append(names, m.Name)
	}
	return a.pick(ctx, names)
}

// pick lets somebody at a terminal choose one of these models.
func (a *app) pick(ctx context.Context, names []string) (string, error) {
	for i, name := range names {
		fmt.Fprintf(a.err, "%3d  %s\n", i+1, name)
	}
	for {
		text, err := a.question(ctx, fmt.Sprintf("Which model? [1-%d, or a name; 1] ", len(names)))
		if err != nil {
			return "", err
		}
		if text == "" {
			return names[0], nil
		}
		if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(names) {
			return names[n-1], nil
		}
		if slices.Contains(names, text) {
			return text, nil
		}
		fmt.Fprintf(a.err, "There is no %q.\n", text)
	}
}
