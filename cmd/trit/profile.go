package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"trit/engine"
	"trit/gguf"
	"trit/hub"
	"trit/kernel"
	"trit/profile"
	"trit/sample"
)

// profileFlags are the flags of profile.
type profileFlags struct {
	synthFlags
	model                        string
	prompt, repeat, iterations   int
	kvType, kernel, layout, head string
	temperature, topP            float64
	topK                         int
	trace, svg                   string
	layers                       bool
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

Every profiled step of the generation has a neighbour without profiling, so the
last line says what profiling costs.

--trace writes all profiled steps for ui.perfetto.dev or chrome://tracing: a
track per worker with nested spans for steps, layers, operations and work.
--json has everything, also by stage and by layer. --shape takes random weights in
the shape of a known model.`,
		Example: "  trit profile --model demo\n  trit profile --shape bitnet-2b --prompt-tokens 256 --iterations 100 --svg profile.svg\n" +
			"  trit profile --model demo --iterations 20 --trace trace.json   # open it in ui.perfetto.dev",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.profile(cmd, &f) },
	}
	cmd.Flags().StringVarP(&f.model, "model", "m", "", "path of a GGUF file or name of a model ('demo' is built in)")
	f.synthFlags.add(cmd, "head-type")
	cmd.Flags().IntVarP(&f.prompt, "prompt-tokens", "p", 256, "tokens of the prompt")
	cmd.Flags().IntVarP(&f.repeat, "repetitions", "r", 3, "how often the prompt runs")
	cmd.Flags().IntVarP(&f.iterations, "iterations", "n", 100, "tokens to generate with profiling, and as many without")
	cmd.Flags().StringVar(&f.kvType, "kv-type", "f16", "element type of the KV cache: f32, f16, int8")
	cmd.Flags().StringVar(&f.kernel, "kernel", "", "kernel for ternary weights: "+strings.Join(kernelNames(), ", "))
	cmd.Flags().StringVar(&f.layout, "layout", "auto", "layout of ternary weights in memory: t2, t5, or auto for the faster on this machine")
	cmd.Flags().StringVar(&f.head, "head", "auto", "how logits are computed: auto, plain, coarse (exact, reads less), q8, q6, q4 (requantised)")
	cmd.Flags().Float64Var(&f.temperature, "temperature", 0, "divide the logits; 0 is greedy")
	cmd.Flags().IntVar(&f.topK, "top-k", 0, "keep the k most likely tokens; 0 keeps all")
	cmd.Flags().Float64Var(&f.topP, "top-p", 1, "keep the most likely tokens with this total probability")
	cmd.Flags().StringVar(&f.trace, "trace", "", "also write the profiled steps as a Chrome trace into this file")
	cmd.Flags().StringVar(&f.svg, "svg", "", "also draw the operations into this SVG file")
	cmd.Flags().BoolVar(&f.layers, "layers", false, "also print a table of all layers")
	checksModel(cmd)
	return cmd
}

// profile runs the command.
func (a *app) profile(cmd *cobra.Command, f *profileFlags) (err error) {
	o, err := f.options(a, cmd)
	if err != nil {
		return err
	}
	if f.shape != "" {
		g, shape, err := f.generator(a, cmd, "head-type")
		if err != nil {
			return err
		}
		path, err := g.WriteTemp(cmd.Context(), "")
		if err != nil {
			return fmt.Errorf("%w (TMPDIR chooses another folder)", err)
		}
		defer os.Remove(path) // where an open file cannot be removed
		o.Name = fmt.Sprintf("%s, random weights, %s", shape.Name, strings.ToLower(f.kind))
		o.Open = func() (*gguf.File, error) {
			file, err := gguf.Open(path)
			os.Remove(path) // the mapping stays
			return file, err
		}
	} else {
		if a.validate {
			if err := a.validateFirst(cmd, &modelFlags{model: f.model, kvType: f.kvType, kernel: f.kernel}); err != nil {
				return err
			}
		}
		found, err := hub.Resolve(f.model)
		if err != nil {
			return err
		}
		o.Name, o.Open = found.Name, found.Open
	}
	if f.trace != "" {
		file, err := os.Create(f.trace)
		if err != nil {
			return fmt.Errorf("--trace: %w", err)
		}
		o.Trace = file
		defer func() {
			if closeErr := file.Close(); closeErr != nil {
				err = errors.Join(err, fmt.Errorf("--trace: %w", closeErr))
			}
		}()
	}
	status := a.statusLine()
	o.Progress = status.show
	report, err := profile.Profile(cmd.Context(), o)
	status.clear()
	if err != nil {
		return err
	}
	if f.svg != "" {
		var svg bytes.Buffer
		if err := report.WriteSVG(&svg); err != nil {
			return err
		}
		if err := os.WriteFile(f.svg, svg.Bytes(), 0o644); err != nil {
			return fmt.Errorf("--svg: %w", err)
		}
	}
	if a.json {
		return a.printJSON(report)
	}
	if _, err := fmt.Fprint(a.out, report); err != nil {
		return err
	}
	if f.layers {
		for i := range report.Phases {
			if _, err := fmt.Fprintf(a.out, "\n%s", report.Phases[i].LayersString()); err != nil {
				return err
			}
		}
	}
	return nil
}

// options checks and translates the flags.
func (f *profileFlags) options(a *app, cmd *cobra.Command) (profile.ProfileOptions, error) {
	o := profile.ProfileOptions{Prompt: f.prompt, PromptRepeat: f.repeat, Iterations: f.iterations}
	given := cmd.Flags().Changed
	switch {
	case f.model == "" && f.shape == "":
		return o, usage(cmd, fmt.Errorf("--model or --shape is missing; try --model demo"))
	case f.model != "" && f.shape != "":
		return o, usage(cmd, fmt.Errorf("--model and --shape exclude each other"))
	case f.model != "" && (given("type") || given("head-type") || given("seed")):
		return o, usage(cmd, fmt.Errorf("--type, --head-type and --seed belong to --shape; a file has its own"))
	}
	// The lower limits are the command's: 0 means a default to the library.
	for _, n := range []struct {
		flag  string
		value int
	}{{"--prompt-tokens", f.prompt}, {"--repetitions", f.repeat}, {"--iterations", f.iterations}} {
		if n.value < 1 {
			return o, usage(cmd, fmt.Errorf("%s %d: want a positive number", n.flag, n.value))
		}
	}
	var err error
	o.Engine.Threads = a.threads
	if o.Engine.KVType, err = parseKVType(f.kvType); err != nil {
		return o, usage(cmd, err)
	}
	if f.kernel != "" {
		if o.Engine.Variant, err = kernel.ParseVariant(f.kernel); err != nil {
			return o, usage(cmd, fmt.Errorf("--kernel: %w", err))
		}
	}
	if o.Engine.Head, err = engine.ParseHeadMode(f.head); err != nil {
		return o, usage(cmd, fmt.Errorf("--head: %w", err))
	}
	if o.Load.Layout, err = parseLayout(f.layout); err != nil {
		return o, usage(cmd, fmt.Errorf("--layout: %w", err))
	}
	sampling := sample.Neutral()
	sampling.Temperature, sampling.TopK, sampling.TopP = f.temperature, f.topK, f.topP
	sampling.Seed = new(uint64(1))
	if err := sampling.Validate(); err != nil {
		return o, usage(cmd, err)
	}
	o.Sampling = &sampling
	return o, nil
}
