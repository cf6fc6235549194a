package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/convert"
	"trit/gguf"
	"trit/internal/model"
)

func (a *app) convertCommand() *cobra.Command {
	var (
		o                  convert.Options
		kind, embedding    string
		scale, activations string
	)
	cmd := &cobra.Command{
		Use:     "convert",
		GroupID: "files",
		Short:   "Turn a Hugging Face checkpoint folder into a GGUF file",
		Long: `Turn a Hugging Face checkpoint folder into a GGUF file.

The folder holds config.json, safetensors files and tokenizer.json or
tokenizer.model. Master weights are rounded to {-1, 0, +1} by absmean, packed
and already ternary weights are taken as they are. The tokenizer, the chat
template and the recommended sampling go into the file. Memory use does not
grow with the model. Nothing is left under the output's name after an error.`,
		Example: "  trit convert --input bitnet-b1.58-2B-4T-bf16 --output model.gguf\n  trit convert --input checkpoint --output model.gguf --type tq2_0 --embedding q6_k",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			switch {
			case o.Input == "":
				return usage(cmd, fmt.Errorf("--input is missing"))
			case o.Output == "":
				return usage(cmd, fmt.Errorf("--output is missing"))
			}
			if o.Type, err = gguf.ParseType(kind); err != nil {
				return usage(cmd, fmt.Errorf("--type: %w", err))
			}
			o.Embedding = convert.DefaultEmbedding(o.Type)
			if embedding != "" {
				if o.Embedding, err = gguf.ParseType(embedding); err != nil {
					return usage(cmd, fmt.Errorf("--embedding: %w", err))
				}
			}
			if o.ScaleConvention, err = convert.ParseScaleConvention(scale); err != nil {
				return usage(cmd, fmt.Errorf("--scale-convention: %w", err))
			}
			if activations != "" {
				if o.Activations, err = model.ParseActivations(activations); err != nil {
					return usage(cmd, fmt.Errorf("--activations: %w", err))
				}
			}
			if bar := a.progress("converting"); bar != nil {
				defer bar.Clear()
				o.Progress = func(p convert.Progress) {
					bar.ChangeMax64(max(p.TotalBytes, 1))
					bar.Set64(p.Bytes)
				}
			}
			o.Threads = a.threads
			report, err := convert.FromHF(cmd.Context(), o)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(report)
			}
			return a.printConversion(report)
		},
	}
	cmd.Flags().StringVarP(&o.Input, "input", "i", "", "folder of the checkpoint (required)")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "file to write (required)")
	cmd.Flags().StringVar(&kind, "type", "i2_s", "storage type of the ternary weights: "+typeNames(convert.Types()))
	cmd.Flags().StringVar(&embedding, "embedding", "", "storage type of embedding and head: "+typeNames(convert.EmbeddingTypes())+" (default: f16, or as --type for f32 and bf16)")
	cmd.Flags().StringVar(&scale, "scale-convention", "auto", "what weight_scale of packed checkpoints means: auto, multiplier, divisor")
	cmd.Flags().StringVar(&activations, "activations", "", "what projections round their input to: int8, float (default: as the checkpoint says)")
	cmd.Flags().StringVar(&o.Pre, "pre", "", "name of the pre-tokenizer (default: recognised from the tokenizer)")
	cmd.Flags().StringVar(&o.Name, "name", "", "name of the model (default: the folder's name)")
	cmd.Flags().StringVar(&o.License, "license", "", "SPDX identifier of the licence (default: as the checkpoint's README.md says)")
	cmd.Flags().BoolVar(&o.Force, "force", false, "also convert a model that was not trained with ternary weights")
	return cmd
}

func typeNames(types []gguf.Type) string {
	var names []string
	for _, t := range types {
		names = append(names, strings.ToLower(t.String()))
	}
	return strings.Join(names, ", ")
}

func (a *app) printConversion(r *convert.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s) -> %s\n", r.Input, r.Class, r.Output)
	fmt.Fprintf(&b, "%s, %s, %s activations; projections %s, embedding %s; %d tensors, %.1f MB -> %.1f MB\n",
		r.Architecture, r.HiddenAct, r.Activations, r.Type, r.Embedding, len(r.Tensors), float64(r.SourceBytes)/1e6, float64(r.TensorBytes)/1e6)
	for _, d := range r.Decisions {
		fmt.Fprintf(&b, "- %s\n", d)
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}
