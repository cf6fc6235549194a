package main

import (
	"errors"
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
		o                            convert.QuantizeOptions
		input, kind, embedding, head string
		method, layout               string
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
refused unless --force is given: it would be useless.`,
		Example: "  trit quantize --input model-f32.gguf --output model.gguf --type i2_s --embedding f16\n  trit quantize --input demo --output small.gguf --type tq1_0 --embedding q6_k",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case input == "":
				return usage(cmd, fmt.Errorf("--input is missing"))
			case o.Output == "":
				return usage(cmd, fmt.Errorf("--output is missing"))
			case kind == "" && embedding == "" && head == "":
				return usage(cmd, fmt.Errorf("--type is missing; --embedding and --head may stand for it"))
			}
			var err error
			for _, t := range []struct {
				flag, value string
				dst         **gguf.Type
			}{{"type", kind, &o.Type}, {"embedding", embedding, &o.Embedding}, {"head", head, &o.Head}} {
				if t.value == "" {
					continue
				}
				v, err := gguf.ParseType(t.value)
				if err != nil {
					return usage(cmd, fmt.Errorf("--%s: %w", t.flag, err))
				}
				*t.dst = &v
			}
			if o.Method, err = convert.ParseMethod(method); err != nil {
				return usage(cmd, fmt.Errorf("--method: %w", err))
			}
			if o.I2SLayout, err = quant.ParseI2SLayout(layout); err != nil {
				return usage(cmd, fmt.Errorf("--i2s-layout: %w", err))
			}
			return a.quantize(cmd, input, o)
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "path of a GGUF file or name of a model (required)")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "file to write (required)")
	cmd.Flags().StringVar(&kind, "type", "", "storage type of the ternary weights: "+typeNames(convert.QuantizeTypes()))
	cmd.Flags().StringVar(&embedding, "embedding", "", "storage type of the embedding: "+typeNames(convert.EmbeddingTypes())+" (default: as it is)")
	cmd.Flags().StringVar(&head, "head", "", "storage type of an output head beside the embedding (default: as it is)")
	cmd.Flags().StringVar(&method, "method", "auto", "how weights that are not ternary are rounded: absmean, absmax, auto (absmean where the type asks for it)")
	cmd.Flags().StringVar(&layout, "i2s-layout", "a", "packing of the input's I2_S tensors: a, b, c")
	cmd.Flags().BoolVar(&o.Force, "force", false, "also round a model that was not trained with ternary weights")
	return cmd
}

func (a *app) quantize(cmd *cobra.Command, input string, o convert.QuantizeOptions) (err error) {
	found, err := hub.Resolve(input)
	if err != nil {
		return err
	}
	if o.Input, err = found.Open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Input.Close()) }()
	o.Threads = a.threads
	o.Progress = a.fileProgress("quantizing")
	report, err := convert.Quantize(cmd.Context(), o)
	if err != nil {
		return err
	}
	report.Input = found.Name
	if a.json {
		return a.printJSON(report)
	}
	return a.printQuantized(report)
}

// fileProgress returns a function that shows how far a file is, or nil where
// nobody would see it.
func (a *app) fileProgress(what string) func(convert.Progress) {
	bar := a.progress(what)
	if bar == nil {
		return nil
	}
	return func(p convert.Progress) {
		bar.ChangeMax64(max(p.TotalBytes, 1))
		bar.Set64(p.Bytes)
		if p.Tensors == p.TotalTensors {
			bar.Clear()
		}
	}
}

func (a *app) printQuantized(r *convert.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s -> %s: %d tensors, %.1f MB -> %.1f MB\n", r.Input, r.Output, len(r.Tensors), float64(r.SourceBytes)/1e6, float64(r.TensorBytes)/1e6)
	for _, d := range r.Decisions {
		fmt.Fprintf(&b, "- %s\n", d)
	}
	copied := 0
	fmt.Fprintf(&b, "%-32s %-14s %10s %8s %8s\n", "tensor", "type", "RMSE", "zeros", "cosine")
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
		fmt.Fprintf(&b, "%-32s %-14s %10.3g %8s %8s\n", t.Name, t.SourceType+" > "+t.Type, t.RMSE, zeros, cosine)
	}
	fmt.Fprintf(&b, "%d tensors copied\n", copied)
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}
