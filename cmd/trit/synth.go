package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trit/gguf"
	"trit/internal/model/synth"
)

// synthFlags choose a synthetic model.
type synthFlags struct {
	shape   string
	weights gguf.Type
	head    gguf.Type
	seed    uint64
	zeros   float64
	mtp     bool
}

// add defines the flags; headFlag is the name of the one for the head's type.
func (f *synthFlags) add(cmd *cobra.Command, headFlag string) {
	cmd.Flags().StringVar(&f.shape, "shape", "", "shape of a known model: "+strings.Join(synth.ShapeNames(), ", "))
	parsedFlag(cmd, &f.weights, "type", "", "storage type of the ternary weights (default: that of the published file): "+typeNames(synth.Types()), oneOf(synth.Types()))
	parsedFlag(cmd, &f.head, headFlag, "", "storage type of the output head (default: that of the published file): "+typeNames(synth.HeadTypes()), oneOf(synth.HeadTypes()))
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "seed of the weights; the same seed gives the same file")
	cmd.Flags().Float64Var(&f.zeros, "zeros", 0, "share of the gates of relu² networks that are not positive, 0.5 to below 1 (default: about a half, as it comes)")
}

// generator makes the generator that the flags name.
func (f *synthFlags) generator(a *app, cmd *cobra.Command) (*synth.Generator, synth.Shape, error) {
	shape, err := synth.LookupShape(f.shape)
	if err != nil {
		return nil, shape, usage(cmd, fmt.Errorf("--shape: %w", err))
	}
	o := synth.Options{Type: f.weights, Head: f.head, Seed: f.seed, Zeros: f.zeros, MTP: f.mtp, Workers: a.threads}
	if bar := a.progress("generating", byteSize); bar != nil {
		o.Progress = func(done, total int64) {
			bar.Set(done, total)
			if done == total {
				bar.Clear()
			}
		}
	}
	g, err := synth.New(shape, o)
	if err != nil {
		return nil, shape, usage(cmd, err)
	}
	return g, shape, nil
}

// oneOf returns a function that reads the name of one of the given types.
func oneOf(types []gguf.Type) func(string) (gguf.Type, error) {
	return func(name string) (gguf.Type, error) {
		t, err := gguf.ParseType(name)
		if err != nil || !slices.Contains(types, t) {
			return 0, fmt.Errorf("%q: want one of %s", name, typeNames(types))
		}
		return t, nil
	}
}

func (a *app) synthCommand() *cobra.Command {
	var flags synthFlags
	cmd := &cobra.Command{
		Use:     "synth --shape SHAPE [--type TYPE] [--head TYPE] OUT",
		GroupID: "files",
		Short:   "Make a model with random weights in the shape of a known one",
		Long: `Make a model with random weights in the shape of a known one.

The file is valid and complete, with a small byte-level vocabulary, and takes
the time and memory of the real model; what it generates is noise. It serves
for measuring without downloading anything. Memory use does not grow with the
model, and the same seed gives the same bytes on every machine.`,
		Example: "  trit synth --shape bitnet-2b --type i2_s --head f16 random-2b.gguf\n  trit synth --shape tiny tiny.gguf",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, fmt.Errorf("want one argument, the file to write, found %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.shape == "" {
				return usage(cmd, fmt.Errorf("--shape is missing; try --shape tiny"))
			}
			g, shape, err := flags.generator(a, cmd)
			if err != nil {
				return err
			}
			if err := mayWrite(cmd, args[0]); err != nil {
				return err
			}
			start := time.Now()
			if err := g.WriteFile(cmd.Context(), args[0]); err != nil {
				return err
			}
			var weights int64
			for _, p := range shape.Projections() {
				weights += int64(p.Count) * int64(p.Rows) * int64(p.Cols)
			}
			result := synthResult{
				Output: args[0], Shape: shape.Name, Model: shape.Model, Type: strings.ToLower(flags.weights.String()), Head: strings.ToLower(flags.head.String()),
				Seed: flags.seed, TernaryWeights: weights, TensorBytes: g.TensorBytes(), Seconds: time.Since(start).Seconds(),
			}
			return a.print(result, func(b *strings.Builder) {
				fmt.Fprintf(b, "%s: random weights in the shape of %s: %.1f M ternary, %.1f MB, in %.1f s\n",
					result.Output, result.Model, float64(result.TernaryWeights)/1e6, float64(result.TensorBytes)/1e6, result.Seconds)
			})
		},
	}
	flags.add(cmd, "head")
	cmd.Flags().BoolVar(&flags.mtp, "mtp", false, "add a layer that guesses further tokens, in Q8_0 (shapes of qwen35)")
	forceFlag(cmd)
	return cmd
}

// synthResult is what synth prints with --json.
type synthResult struct {
	Output         string  `json:"output"`
	Shape          string  `json:"shape"`
	Model          string  `json:"model"`
	Type           string  `json:"type"`
	Head           string  `json:"head"`
	Seed           uint64  `json:"seed"`
	TernaryWeights int64   `json:"ternary_weights"`
	TensorBytes    int64   `json:"tensor_bytes"`
	Seconds        float64 `json:"seconds"`
}
