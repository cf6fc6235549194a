package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/chat"
	"trit/convert"
	"trit/gguf"
	"trit/hub"
	"trit/internal/model"
	"trit/quant"
)

func (a *app) repairCommand() *cobra.Command {
	var (
		o    convert.RepairOptions
		name string
	)
	cmd := &cobra.Command{
		Use:     "repair",
		GroupID: "files",
		Short:   "Rewrite a GGUF file as a clean one of version 3",
		Long: `Rewrite a GGUF file as a clean one of version 3.

Old versions, big-endian files, misaligned or unordered tensors, gaps, trailing
bytes and split models become one tidy file. What can be derived is mended:
tokenizer.ggml.pre, a chat template that a converter put in place of the right
one, the activation function, general.file_type. 'trit inspect' lists all of
that beforehand. I2_S tensors in layout b or c, which nothing in a file tells,
are packed anew in layout a if --i2s-layout says so.

All other keys and tensors are kept, known or not. The input is never changed.`,
		Example: "  trit repair --model old.gguf --output new.gguf\n  trit repair --model arm.gguf --output mended.gguf --i2s-layout b",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "model", "output"); err != nil {
				return err
			}
			if err := mayWrite(cmd, o.Output); err != nil {
				return err
			}
			return withFile(name, func(found *hub.Model, f *gguf.File) error {
				o.Input = f
				var done func()
				o.Progress, done = a.fileProgress("repairing")
				defer done()
				r, err := convert.Repair(cmd.Context(), o)
				if err != nil {
					return err
				}
				r.Input = found.Name
				return a.print(r, func(b *strings.Builder) { writeRepaired(b, r) })
			})
		},
	}
	cmd.Flags().StringVarP(&name, "model", "m", "", "path of a GGUF file or name of a model (required)")
	outputFlag(cmd, &o.Output, "file to write (required)")
	parsedFlag(cmd, &o.I2SLayout, "i2s-layout", "a", "packing of the input's I2_S tensors: a, b, c", quant.ParseI2SLayout)
	cmd.Flags().StringVar(&o.Pre, "pre", "", "write this tokenizer.ggml.pre (default: derived if it is missing)")
	cmd.Flags().StringVar(&o.Template, "chat-template", "", "write this built-in chat template: "+strings.Join(chat.BuiltinNames(), ", "))
	parsedFlag(cmd, &o.HiddenAct, "hidden-act", "", "write down this activation function: silu, relu2", model.ParseHiddenAct)
	parsedFlag(cmd, &o.Activations, "activations", "",
		"write down what projections round their input to: int8, int8g128, float", model.ParseActivations)
	takesModel(cmd)
	return cmd
}

func writeRepaired(b *strings.Builder, r *convert.RepairReport) {
	fmt.Fprintf(b, "%s -> %s\n", r.Input, r.Output)
	if len(r.Repaired) == 0 {
		b.WriteString("nothing was wrong: the content is the same\n")
	}
	for _, f := range r.Repaired {
		fmt.Fprintf(b, "repaired %s\n", f)
	}
	for _, f := range r.Remaining {
		fmt.Fprintf(b, "remains %s\n", f)
	}
	if len(r.Keys) > 0 {
		fmt.Fprintf(b, "metadata changed: %s\n", strings.Join(r.Keys, ", "))
	}
}
