package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit"
	"trit/hub"
)

func (a *app) modelsCommand() *cobra.Command {
	var catalogue bool
	cmd := &cobra.Command{
		Use:     "models",
		Aliases: []string{"list", "ls"},
		GroupID: "run",
		Short:   "List the models that can be named, or those that can be downloaded",
		Long: `List the models that can be named: the built-in one, those that the
environment registers (BITNET_MODEL_<NAME>, BITNET_REGISTRY), and the files in
the store, $TRIT_HOME/models. With --catalogue, list the ternary models that are
known to exist and can be downloaded with 'trit pull'.`,
		Example: "  trit models\n  trit models --catalogue\n  BITNET_MODEL_MY_MODEL=model.gguf trit models --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if catalogue {
				return a.listCatalogue()
			}
			return a.listModels()
		},
	}
	cmd.Flags().BoolVar(&catalogue, "catalogue", false, "list the models that can be downloaded")
	return cmd
}

// modelInfoLine is an element of what models prints.
type modelInfoLine struct {
	hub.Model
	Size         int64  `json:"size,omitempty"`
	Type         string `json:"type,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	Parameters   int64  `json:"parameters,omitempty"`
	License      string `json:"license,omitempty"`
	Error        string `json:"error,omitempty"` // why the file cannot be read
}

func (a *app) listModels() error {
	models, err := hub.List()
	if err != nil {
		return err
	}
	lines := []modelInfoLine{}
	for _, m := range models {
		line := modelInfoLine{Model: m}
		// One broken file must not hide the others.
		if d, err := hub.Describe(&m); err != nil {
			line.Error = err.Error()
		} else {
			line.Size, line.Type, line.Architecture, line.Parameters, line.License = d.Size, d.Type, d.Architecture, d.Parameters, d.License
		}
		lines = append(lines, line)
	}
	return a.print(lines, func(b *strings.Builder) {
		fmt.Fprintf(b, "%-28s %-9s %10s %-6s %-13s %7s  %s\n", "NAME", "SOURCE", "SIZE", "TYPE", "ARCHITECTURE", "PARAMS", "FILE")
		for _, l := range lines {
			what := l.Path
			if l.Description != "" {
				what = strings.TrimSpace(l.Path + "  # " + l.Description)
			}
			if l.Error != "" {
				fmt.Fprintf(b, "%-28s %-9s cannot be read: %s\n", l.Name, l.Source, inLine(l.Error))
				continue
			}
			fmt.Fprintf(b, "%-28s %-9s %10s %-6s %-13s %7s  %s\n", l.Name, l.Source, byteSize(l.Size), l.Type, inLine(l.Architecture), paramCount(l.Parameters), inLine(what))
		}
		b.WriteString("\nto download more: trit models --catalogue\n")
	})
}

// entryLine is an element of what models --catalogue prints, and what show prints of a model that is not installed.
type entryLine struct {
	hub.Entry
	Installed bool `json:"installed"`
}

func (a *app) listCatalogue() error {
	models, err := hub.List()
	if err != nil {
		return err
	}
	installed := map[string]bool{}
	for _, m := range models {
		installed[strings.ToLower(m.Name)] = true
	}
	var lines []entryLine
	for _, e := range hub.Catalogue() {
		lines = append(lines, entryLine{e, installed[e.Name]})
	}
	return a.print(lines, func(b *strings.Builder) {
		known := func(bytes int64) string {
			if bytes == 0 {
				return ""
			}
			return trit.Bytes(bytes).String()
		}
		const row = "%s %-26s %7s %9s %8s %8s %-9s %-19s %s\n"
		fmt.Fprintf(b, row, " ", "NAME", "PARAMS", "DOWNLOAD", "MEMORY", "CONTEXT", "FORM", "LICENCE", "DESCRIPTION")
		for _, l := range lines {
			mark, context := " ", ""
			if l.Installed {
				mark = "*"
			}
			if l.Context > 0 {
				context = fmt.Sprint(l.Context)
			}
			fmt.Fprintf(b, row, mark, l.Name, paramCount(l.Parameters), known(l.Size), known(l.Memory), context, l.Form, l.License, l.Description)
		}
		b.WriteString("\n* installed; to download: trit pull NAME. Memory is with a text of 4,096 tokens. Forms other than gguf are converted after the download.\n")
	})
}
