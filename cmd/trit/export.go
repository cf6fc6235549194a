package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/convert"
	"trit/hub"
	"trit/quant"
)

func (a *app) exportCommand() *cobra.Command {
	var (
		o                   convert.ToHFOptions
		name, scale, layout string
	)
	cmd := &cobra.Command{
		Use:     "export",
		GroupID: "files",
		Short:   "Turn a GGUF file into a Hugging Face checkpoint folder",
		Long: `Turn a GGUF file into a Hugging Face checkpoint folder.

The folder has config.json, model.safetensors with packed weights as the
transformers library reads them, generation_config.json, and the tokenizer's
files if they can be reconstructed; the report says whether they could. Converting
the folder with 'trit convert' gives the same trits again.`,
		Example: "  trit export --model demo --output demo-hf\n  trit export --model model.gguf --output checkpoint",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			switch {
			case name == "":
				return usage(cmd, fmt.Errorf("--model is missing"))
			case o.Output == "":
				return usage(cmd, fmt.Errorf("--output is missing"))
			}
			if o.ScaleConvention, err = convert.ParseScaleConvention(scale); err != nil {
				return usage(cmd, fmt.Errorf("--scale-convention: %w", err))
			}
			if o.I2SLayout, err = quant.ParseI2SLayout(layout); err != nil {
				return usage(cmd, fmt.Errorf("--i2s-layout: %w", err))
			}
			found, err := hub.Resolve(name)
			if err != nil {
				return err
			}
			if o.Input, err = found.Open(); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.Input.Close()) }()
			o.Progress = a.fileProgress("exporting")
			r, err := convert.ToHF(cmd.Context(), o)
			if err != nil {
				return err
			}
			r.Input = found.Name
			if a.json {
				return a.printJSON(r)
			}
			var b strings.Builder
			fmt.Fprintf(&b, "%s -> %s (%s): %d tensors, %.1f MB\n", r.Input, r.Output, r.Class, len(r.Tensors), float64(r.TensorBytes)/1e6)
			for _, d := range r.Decisions {
				fmt.Fprintf(&b, "- %s\n", d)
			}
			for _, w := range r.Warnings {
				fmt.Fprintf(&b, "warning: %s\n", w)
			}
			_, err = fmt.Fprint(a.out, b.String())
			return err
		},
	}
	cmd.Flags().StringVarP(&name, "model", "m", "", "path of a GGUF file or name of a model (required)")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "folder to make (required)")
	cmd.Flags().StringVar(&scale, "scale-convention", "auto", "what weight_scale is to mean: auto (as transformers expects), multiplier, divisor")
	cmd.Flags().StringVar(&layout, "i2s-layout", "a", "packing of the input's I2_S tensors: a, b, c")
	return cmd
}
