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
		o     convert.Options
		types storageFlags
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
		Example: "  trit convert --input bitnet-b1.58-2B-4T-bf16 --output model.gguf\n  trit convert --input checkpoint --output small.gguf --type tq2_0 --embedding q6_k",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "input", "output"); err != nil {
				return err
			}
			if err := mayWrite(cmd, o.Output); err != nil {
				return err
			}
			o.Type, o.Embedding = types.chosen()
			var done func()
			o.Progress, done = a.fileProgress("converting")
			defer done()
			o.Threads = a.threads
			report, err := convert.FromHF(cmd.Context(), o)
			if err != nil {
				return err
			}
			return a.print(report, func(b *strings.Builder) { writeConverted(b, report) })
		},
	}
	cmd.Flags().StringVarP(&o.Input, "input", "i", "", "folder of the checkpoint (required)")
	outputFlag(cmd, &o.Output, "file to write (required)")
	types.add(cmd, "")
	parsedFlag(cmd, &o.ScaleConvention, "scale-convention", "auto",
		"what weight_scale of packed checkpoints means: auto, multiplier, divisor", convert.ParseScaleConvention)
	parsedFlag(cmd, &o.Activations, "activations", "",
		"what projections round their input to: int8, int8g128, float (default: as the checkpoint says)", model.ParseActivations)
	cmd.Flags().StringVar(&o.Pre, "pre", "", "name of the pre-tokenizer (default: recognised from the tokenizer)")
	cmd.Flags().StringVar(&o.Name, "name", "", "name of the model (default: the folder's name)")
	cmd.Flags().StringVar(&o.License, "license", "", "SPDX identifier of the licence (default: as the checkpoint's README.md says)")
	cmd.Flags().BoolVar(&o.MTP, "mtp", false, "also convert the layer that guesses further tokens, of Qwen3.5 checkpoints that have one, to Q8_0")
	cmd.Flags().BoolVar(&o.Round, "round", false, "also convert a model that was not trained with ternary weights")
	return cmd
}

// storageFlags are the flags for the storage types of what is converted.
type storageFlags struct {
	weights   gguf.Type
	embedding *gguf.Type
}

// add defines the flags; when says in which case they count.
func (f *storageFlags) add(cmd *cobra.Command, when string) {
	parsedFlag(cmd, &f.weights, "type", "i2_s", when+"storage type of the ternary weights: "+typeNames(convert.Types()), gguf.ParseType)
	parsedFlag(cmd, &f.embedding, "embedding", "", when+"storage type of embedding and head: "+
		typeNames(convert.EmbeddingTypes())+" (default: f16, or as --type for f32 and bf16)", pointerTo(gguf.ParseType))
}

func (f *storageFlags) chosen() (weights, embedding gguf.Type) {
	if f.embedding != nil {
		return f.weights, *f.embedding
	}
	return f.weights, convert.DefaultEmbedding(f.weights)
}

func typeNames(types []gguf.Type) string {
	var names []string
	for _, t := range types {
		names = append(names, strings.ToLower(t.String()))
	}
	return strings.Join(names, ", ")
}

func writeConverted(b *strings.Builder, r *convert.Report) {
	fmt.Fprintf(b, "%s (%s) -> %s\n", r.Input, r.Class, r.Output)
	fmt.Fprintf(b, "%s, %s, %s activations; projections %s, embedding %s; %d tensors, %.1f MB -> %.1f MB\n", r.Architecture, r.HiddenAct,
		r.Activations, r.Type, r.Embedding, len(r.Tensors), float64(r.SourceBytes)/1e6, float64(r.TensorBytes)/1e6)
	writeNotes(b, r.Decisions, r.Warnings)
}
