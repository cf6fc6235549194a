package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"trit/hub"
	"trit/internal/textfile"
)

// maxModelfile is the size of the largest Modelfile, in bytes.
const maxModelfile = 1 << 20

func (a *app) createCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "create NAME",
		GroupID: "files",
		Short:   "Make a model of another one: with a system prompt, parameters, messages, a template",
		Long: `Make a model of another one, whose weights it shares, as a Modelfile says; Ollama has this form.

    FROM demo
    SYSTEM You are a friendly fox.
    PARAMETER temperature 0.7
    PARAMETER stop "\n\n"
    MESSAGE user Who are you?
    MESSAGE assistant A fox.

FROM names a model or a GGUF file, from the folder of the Modelfile. TEMPLATE is a chat template in Jinja, LICENSE a
text. A value in three quotes may go over several lines. A model of the name that was made so is replaced.`,
		Example: "  trit create fox -f Modelfile\n  trit run fox",
		Args: func(cmd *cobra.Command, args []string) error {
			return oneArg(cmd, args, "what the new model is to be called")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			text, folder, err := a.readModelfile(cmd, path)
			if err != nil {
				return err
			}
			d, err := hub.ParseModelfile(text)
			if err != nil {
				return err
			}
			if file := filepath.Join(folder, d.From); !filepath.IsAbs(d.From) && isFile(file) {
				d.From = file
			}
			d.Name = args[0]
			m, err := hub.Create(*d)
			if err != nil {
				return err
			}
			return a.print(m, func(b *strings.Builder) { fmt.Fprintf(b, "%s: made of %s\n", m.Name, m.Derived.From) })
		},
	}
	cmd.Flags().StringVarP(&path, "file", "f", "Modelfile", "the Modelfile; - is standard input")
	return cmd
}

// readModelfile returns a Modelfile and the folder that files in it are found from.
func (a *app) readModelfile(cmd *cobra.Command, path string) (text, folder string, err error) {
	var data []byte
	if path == "-" {
		data, err = readText(cmd.Context(), a.in, "standard input", maxModelfile)
	} else {
		data, err = textfile.Read(path, maxModelfile)
		folder = filepath.Dir(path)
	}
	if err != nil {
		err = fmt.Errorf("the Modelfile, which --file names: %w", err)
	}
	return string(data), folder, err
}
