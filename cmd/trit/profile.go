package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/internal/profile"
	"trit/sample"
)

// profileFlags are the flags of profile.
type profileFlags struct {
	measuredFlags
	prompt, repeat, iterations int
	batch                      int
	temperature, topP          float64
	topK                       int
	trace                      string
	layers                     bool
}

func (a *app) profileCommand() *cobra.Command {
	var f profileFlags
	cmd := &cobra.Command{
		Use:     "profile --model NAME|PATH | --shape SHAPE",
		GroupID: "check",
		Short:   "Show where the time of a prompt and of generating goes",
		Long: `Show where the time of a prompt and of generating goes.

A prompt of random tokens runs three times, and after the last one tokens are
generated without regard to end tokens. For each operation the report has its
time in a step (median and 95th percentile), its share, how long its workers
wait for each other, and the rate of its work: the bytes that it reads or the
int8 multiply-accumulates that it does, whichever is nearer to the limit of the
machine that is measured in the same run. Below are what each worker did, and
what is between the operations.

--batch has several sequences generate together, each after a prompt of its own,
as a server's clients do.

Every profiled step of the generation has a neighbour without profiling, so the
last line says what profiling costs.

--trace writes all profiled steps for ui.perfetto.dev or chrome://tracing: a
track per worker with nested spans for steps, layers, operations and work.
--json has everything, also by stage and by layer. --shape takes random weights in
the shape of a known model.`,
		Example: "  trit profile --model demo\n  trit profile --shape bitnet-2b --batch 8\n  trit profile --shape bitnet-2b --prompt-tokens 256 --iterations 100 --svg profile.svg\n" +
			"  trit profile --model demo --iterations 20 --trace trace.json   # open it in ui.perfetto.dev",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.profile(cmd, &f) },
	}
	f.measuredFlags.add(cmd, "the operations")
	cmd.Flags().IntVarP(&f.prompt, "prompt-tokens", "p", 256, "tokens of the prompt")
	cmd.Flags().IntVarP(&f.repeat, "repetitions", "r", 3, "how often the prompt runs")
	cmd.Flags().IntVarP(&f.iterations, "iterations", "n", 100, "tokens to generate with profiling, and as many without")
	cmd.Flags().IntVar(&f.batch, "batch", 1, "number of sequences that generate together")
	cmd.Flags().Float64Var(&f.temperature, "temperature", 0, "divide the logits; 0 is greedy")
	cmd.Flags().IntVar(&f.topK, "top-k", 0, "keep the k most likely tokens; 0 keeps all")
	cmd.Flags().Float64Var(&f.topP, "top-p", 1, "keep the most likely tokens with this total probability")
	cmd.Flags().StringVar(&f.trace, "trace", "", "also write the profiled steps as a Chrome trace into this file")
	cmd.Flags().BoolVar(&f.layers, "layers", false, "also print a table of all layers")
	takesModel(cmd)
	return cmd
}

// profile runs the command.
func (a *app) profile(cmd *cobra.Command, f *profileFlags) error {
	o, err := f.options(a, cmd)
	if err != nil {
		return err
	}
	report, err := measure(a, cmd, &f.measuredFlags, func(s measuredModel) (_ *profile.ProfileReport, err error) {
		o.Name, o.Open, o.Progress = s.name, s.open, s.progress
		if f.trace != "" {
			file, createErr := createStream(f.trace)
			if createErr != nil {
				return nil, fmt.Errorf("--trace: %w", createErr)
			}
			o.Trace = file
			defer func() {
				if traceErr := file.close(nil); err == nil && traceErr != nil {
					err = fmt.Errorf("--trace: %w", traceErr)
				}
			}()
		}
		return profile.Profile(cmd.Context(), o)
	})
	if err != nil {
		return err
	}
	return a.print(report, func(b *strings.Builder) {
		b.WriteString(report.String())
		if f.layers {
			for i := range report.Phases {
				fmt.Fprintf(b, "\n%s", report.Phases[i].LayersString())
			}
		}
	})
}

// options checks and translates the flags.
func (f *profileFlags) options(a *app, cmd *cobra.Command) (profile.ProfileOptions, error) {
	o := profile.ProfileOptions{Prompt: f.prompt, PromptRepeat: f.repeat, Iterations: f.iterations, Sequences: f.batch,
		LimitBytes: limitBytes}
	if err := f.check(cmd); err != nil {
		return o, err
	}
	// The lower limits are the command's: 0 means a default to the library.
	for _, n := range []struct {
		flag  string
		value int
	}{{"--prompt-tokens", f.prompt}, {"--repetitions", f.repeat}, {"--iterations", f.iterations}, {"--batch", f.batch}} {
		if n.value < 1 {
			return o, usage(cmd, fmt.Errorf("%s %d: want a positive number", n.flag, n.value))
		}
	}
	o.Engine, o.Load = f.measuredFlags.options(a)
	sampling := sample.Neutral()
	sampling.Temperature, sampling.TopK, sampling.TopP = f.temperature, f.topK, f.topP
	sampling.Seed = new(uint64(1))
	if err := sampling.Validate(); err != nil {
		return o, usage(cmd, err)
	}
	o.Sampling = &sampling
	return o, nil
}
