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

func (a *app) quantizeCommand() *cobra.Command {
	var (
		o     convert.QuantizeOptions
		input string
	)
	cmd := &cobra.Command{
		Use:     "quantize",
		GroupID: "files",
		Short:   "Rewrite a GGUF file with other storage types",
		Long: `Rewrite a GGUF file with other storage types.

--type is that of the ternary projections, --embedding and --head those of the
tables; what is not given stays as it is, and so do all other tensors and all
metadata. Weights that are ternary already keep their trits. Others are rounded
to {-1, 0, +1} by absmean (as BitNet models are trained) or absmax, and the
error is reported tensor by tensor. A model that was not trained for that is
refused unless --round is given: it would be useless.`,
		Example: "  trit quantize --input model-f32.gguf --output model.gguf --type i2_s --embedding f16\n  trit quantize --input demo --output small.gguf --type tq1_0 --embedding q6_k",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "input", "output"); err != nil {
				return err
			}
			if o.Type == nil && o.Embedding == nil && o.Head == nil {
				return usage(cmd, fmt.Errorf("--type is missing; --embedding and --head may stand for it"))
			}
			if err := mayWrite(cmd, o.Output); err != nil {
				return err
			}
			o.Threads = a.threads
			return withFile(input, func(found *hub.Model, f *gguf.File) error {
				o.Input = f
				var done func()
				o.Progress, done = a.fileProgress("quantizing")
				defer done()
				report, err := convert.Quantize(cmd.Context(), o)
				if err != nil {
					return err
				}
				report.Input = found.Name
				return a.print(report, func(b *strings.Builder) { writeQuantized(b, report) })
			})
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "path of a GGUF file or name of a model (required)")
	outputFlag(cmd, &o.Output, "file to write (required)")
	parseType := pointerTo(gguf.ParseType)
	parsedFlag(cmd, &o.Type, "type", "", "storage type of the ternary weights: "+typeNames(convert.QuantizeTypes()), parseType)
	parsedFlag(cmd, &o.Embedding, "embedding", "",
		"storage type of the embedding: "+typeNames(convert.EmbeddingTypes())+" (default: as it is)", parseType)
	parsedFlag(cmd, &o.Head, "head", "", "storage type of an output head beside the embedding (default: as it is)", parseType)
	parsedFlag(cmd, &o.Method, "method", "auto",
		"how weights that are not ternary are rounded: absmean, absmax, auto (absmean where the type asks for it)", convert.ParseMethod)
	parsedFlag(cmd, &o.I2SLayout, "i2s-layout", "a", "packing of the input's I2_S tensors: a, b, c", quant.ParseI2SLayout)
	cmd.Flags().BoolVar(&o.Round, "round", false, "also round a model that was not trained with ternary weights")
	return cmd
}

func writeQuantized(b *strings.Builder, r *convert.Report) {
	fmt.Fprintf(b, "%s -> %s: %d tensors, %.1f MB -> %.1f MB\n", r.Input, r.Output, len(r.Tensors), float64(r.SourceBytes)/1e6, float64(r.TensorBytes)/1e6)
	writeNotes(b, r.Decisions, nil)
	copied := 0
	fmt.Fprintf(b, "%-32s %-14s %10s %8s %8s\n", "tensor", "type", "RMSE", "zeros", "cosine")
	for _, t := range r.Tensors {
		if t.Type == t.SourceType && t.RMSE == 0 && t.Form == "" {
			copied++
			continue
		}
		zeros, cosine := "", ""
		if t.Form != "" {
			zeros = fmt.Sprintf("%.1f %%", 100*t.Zeros)
		}
		if t.Cosine != 0 {
			cosine = fmt.Sprintf("%.4f", t.Cosine)
		}
		fmt.Fprintf(b, "%-32s %-14s %10.3g %8s %8s\n", t.Name, t.SourceType+" > "+t.Type, t.RMSE, zeros, cosine)
	}
	fmt.Fprintf(b, "%d tensors copied\n", copied)
	writeNotes(b, nil, r.Warnings)
}
