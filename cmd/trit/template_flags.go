package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit"
	"trit/chat"
	"trit/internal/textfile"
)

// templateFlags say which chat template takes the place of a model's own.
type templateFlags struct{ source, file string }

// maxTemplate bounds the size of a chat template.
const maxTemplate = 1 << 20

// add defines the flags on a command.
func (f *templateFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.source, "chat-template", "", "template of conversations instead of the model's own: Jinja, or the name of a built-in one ("+
		strings.Join(chat.BuiltinNames(), ", ")+")")
	cmd.Flags().StringVar(&f.file, "chat-template-file", "", "file with such a template")
	groupFlags(cmd, "Model", "chat-template", "chat-template-file")
}

// options translates the flags.
func (f *templateFlags) options() ([]trit.Option, error) {
	source, flag := f.source, "--chat-template"
	if f.file != "" {
		if source != "" {
			return nil, errors.New("--chat-template and --chat-template-file exclude each other")
		}
		data, err := textfile.Read(f.file, maxTemplate)
		if err != nil {
			return nil, fmt.Errorf("--chat-template-file: %w", err)
		}
		source, flag = string(data), "--chat-template-file "+f.file
	}
	if source == "" {
		return nil, nil
	}
	t, builtin := chat.Builtin(source)
	if !builtin {
		if !strings.Contains(source, "{") {
			return nil, fmt.Errorf("%s %q: want Jinja, or one of %s", flag, source, strings.Join(chat.BuiltinNames(), ", "))
		}
		var err error
		if t, err = chat.Parse(source); err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
	}
	return []trit.Option{trit.ChatTemplate(t)}, nil
}
