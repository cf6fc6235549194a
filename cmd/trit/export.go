package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/convert"
	"trit/gguf"
	"trit/hub"
	"trit/quant"
)

func (a *app) exportCommand() *cobra.Command {
	var (
		o    convert.ToHFOptions
		name string
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "model", "output"); err != nil {
				return err
			}
			return withFile(name, func(found *hub.Model, f *gguf.File) error {
				o.Input = f
				var done func()
				o.Progress, done = a.fileProgress("exporting")
				defer done()
				r, err := convert.ToHF(cmd.Context(), o)
				if err != nil {
					return err
				}
				r.Input = found.Name
				return a.print(r, func(b *strings.Builder) {
					fmt.Fprintf(b, "%s -> %s (%s): %d tensors, %.1f MB\n",
						r.Input, r.Output, r.Class, len(r.Tensors), float64(r.TensorBytes)/1e6)
					writeNotes(b, r.Decisions, r.Warnings)
				})
			})
		},
	}
	cmd.Flags().StringVarP(&name, "model", "m", "", "path of a GGUF file or name of a model (required)")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "folder to make (required)")
	parsedFlag(cmd, &o.ScaleConvention, "scale-convention", "auto",
		"what weight_scale is to mean: auto (as transformers expects), multiplier, divisor", convert.ParseScaleConvention)
	parsedFlag(cmd, &o.I2SLayout, "i2s-layout", "a", "packing of the input's I2_S tensors: a, b, c", quant.ParseI2SLayout)
	takesModel(cmd)
	return cmd
}
