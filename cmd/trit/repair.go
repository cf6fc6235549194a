package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/chat"
	"trit/convert"
	"trit/hub"
	"trit/internal/model"
	"trit/quant"
)

func (a *app) repairCommand() *cobra.Command {
	var (
		o                              convert.RepairOptions
		name                           string
		layout, hiddenAct, activations string
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
		Example: "  trit repair --model old.gguf --output new.gguf\n  trit repair --model arm.gguf --output new.gguf --i2s-layout b",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case name == "":
				return usage(cmd, fmt.Errorf("--model is missing"))
			case o.Output == "":
				return usage(cmd, fmt.Errorf("--output is missing"))
			}
			var err error
			if o.I2SLayout, err = quant.ParseI2SLayout(layout); err != nil {
				return usage(cmd, fmt.Errorf("--i2s-layout: %w", err))
			}
			if hiddenAct != "" {
				if o.HiddenAct, err = model.ParseHiddenAct(hiddenAct); err != nil {
					return usage(cmd, fmt.Errorf("--hidden-act: %w", err))
				}
			}
			if activations != "" {
				if o.Activations, err = model.ParseActivations(activations); err != nil {
					return usage(cmd, fmt.Errorf("--activations: %w", err))
				}
			}
			return a.repair(cmd, name, o)
		},
	}
	cmd.Flags().StringVarP(&name, "model", "m", "", "path of a GGUF file or name of a model (required)")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "file to write (required)")
	cmd.Flags().StringVar(&layout, "i2s-layout", "a", "packing of the input's I2_S tensors: a, b, c")
	cmd.Flags().StringVar(&o.Pre, "pre", "", "write this tokenizer.ggml.pre (default: derived if it is missing)")
	cmd.Flags().StringVar(&o.Template, "chat-template", "", "write this built-in chat template: "+strings.Join(chat.BuiltinNames(), ", "))
	cmd.Flags().StringVar(&hiddenAct, "hidden-act", "", "write down this activation function: silu, relu2")
	cmd.Flags().StringVar(&activations, "activations", "", "write down what projections round their input to: int8, float")
	return cmd
}

func (a *app) repair(cmd *cobra.Command, name string, o convert.RepairOptions) (err error) {
	found, err := hub.Resolve(name)
	if err != nil {
		return err
	}
	if o.Input, err = found.Open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Input.Close()) }()
	o.Progress = a.fileProgress("repairing")
	r, err := convert.Repair(cmd.Context(), o)
	if err != nil {
		return err
	}
	r.Input = found.Name
	if a.json {
		return a.printJSON(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s -> %s\n", r.Input, r.Output)
	if len(r.Repaired) == 0 {
		b.WriteString("nothing was wrong: the content is the same\n")
	}
	for _, f := range r.Repaired {
		fmt.Fprintf(&b, "repaired %s\n", f)
	}
	for _, f := range r.Remaining {
		fmt.Fprintf(&b, "remains %s\n", f)
	}
	if len(r.Keys) > 0 {
		fmt.Fprintf(&b, "metadata changed: %s\n", strings.Join(r.Keys, ", "))
	}
	_, err = fmt.Fprint(a.out, b.String())
	return err
}
