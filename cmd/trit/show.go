package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trit"
	"trit/hub"
)

func (a *app) showCommand() *cobra.Command {
	var template bool
	cmd := &cobra.Command{
		Use:     "show NAME",
		GroupID: "files",
		Short:   "Show what a model is: architecture, size, type, context, licence, origin",
		Long: `Show what a model is: architecture, size, type, context, licence, origin.

Only the header of the file is read. For a model of the catalogue that is not
installed, what the catalogue knows is shown.`,
		Example: "  trit show demo\n  trit show demo --template",
		Args: func(cmd *cobra.Command, args []string) error {
			return oneArg(cmd, args, "a model, for example demo")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := hub.Resolve(args[0])
			if err != nil {
				if e, ok := hub.Lookup(args[0]); ok && !template && errors.Is(err, hub.ErrNotFound) {
					return a.showEntry(&e)
				}
				return err
			}
			d, err := hub.Describe(m)
			if err != nil {
				return err
			}
			switch {
			case template && d.ChatTemplate == "":
				return fmt.Errorf("the model %s has no chat template", m.Name)
			case template:
				result := map[string]string{"chat_template": d.ChatTemplate}
				return a.print(result, func(b *strings.Builder) { b.WriteString(d.ChatTemplate + "\n") })
			}
			return a.print(d, func(b *strings.Builder) { b.WriteString(showDetails(d)) })
		},
	}
	cmd.Flags().BoolVar(&template, "template", false, "print the chat template and nothing else")
	return cmd
}

// table lines up keys and values, and leaves out keys without a value.
type table struct{ b strings.Builder }

func (t *table) row(key string, value any) {
	text := fmt.Sprint(value)
	if text == "" || text == "0" {
		return
	}
	fmt.Fprintf(&t.b, "%-14s %s\n", key, inLine(text))
}

func showDetails(d *hub.Details) string {
	var t table
	t.row("name", d.Name)
	t.row("title", d.Title)
	t.row("description", d.Description)
	t.row("architecture", d.Architecture)
	t.row("parameters", paramCount(d.Parameters))
	t.row("type", d.Type)
	t.row("embedding", d.EmbeddingType)
	t.row("size", byteSize(d.Size))
	t.row("layers", d.Layers)
	t.row("hidden", d.Hidden)
	t.row("vocabulary", d.Vocabulary)
	t.row("context", d.Context)
	t.row("tokenizer", strings.TrimSuffix(d.Tokenizer+", "+d.PreTokenizer, ", "))
	if d.ChatTemplate != "" {
		t.row("chat template", fmt.Sprintf("%d characters; --template prints it", len([]rune(d.ChatTemplate))))
	}
	t.row("license", d.License)
	t.row("source", d.Source)
	t.row("file", d.Path)
	if o := d.Origin; o != nil {
		t.row("from", o.From())
		t.row("revision", o.Revision)
		t.row("pulled", o.Time.Local().Format(time.DateTime))
		t.row("verified by", o.Verified)
		if o.Converted {
			t.row("converted to", o.Variant)
		}
		t.row("sha256", o.SHA256)
	}
	return t.b.String()
}

// showEntry prints what the catalogue knows about a model that is not installed.
func (a *app) showEntry(e *hub.Entry) error {
	var t table
	t.row("name", e.Name)
	t.row("description", e.Description)
	t.row("architecture", e.Architecture)
	t.row("parameters", paramCount(e.Parameters))
	t.row("form", e.Form)
	if e.Size > 0 {
		t.row("size", "about "+byteSize(e.Size))
	}
	if e.Memory > 0 {
		t.row("memory", fmt.Sprintf("about %s with a text of %d tokens", trit.Bytes(e.Memory), min(hub.MemoryTokens, cmp.Or(e.Context, hub.MemoryTokens))))
	}
	t.row("activation", e.HiddenAct+", inputs of projections "+e.Activations)
	t.row("context", e.Context)
	t.row("tokenizer", e.Tokenizer)
	t.row("chat format", e.Chat)
	t.row("license", e.License)
	t.row("from", hub.Ref{Repository: e.Repository, Select: e.File}.String())
	t.row("sha256", e.SHA256)
	return a.print(entryLine{*e, false}, func(b *strings.Builder) {
		fmt.Fprintf(b, "%s\nnot installed; to download it: trit pull %s\n", t.b.String(), e.Name)
	})
}
