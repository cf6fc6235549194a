package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"trit/internal/model/synth"
	"trit/internal/parallel"
	"trit/internal/profile"
	"trit/internal/termtext"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	measuredFlags
	prompt, generate, repeat int
	batches, depths, threads []int
	kernels                  bool
}

func (a *app) benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:     "bench --model NAME|PATH | --shape SHAPE | --kernels",
		GroupID: "check",
		Short:   "Measure speed and memory, against the limits of the machine",
		Long: `Measure the speed of a model, against the limits of the machine.

A prompt of random tokens runs in a fresh sequence, and tokens are generated
after it, greedily and without regard to end tokens. Between these, and again
and again, streaming reads and int8 arithmetic are measured on the same worker
threads: generation cannot be faster than the weights can be read, nor a prompt
faster than the arithmetic. Figures are medians of the repetitions, with the
least and the largest.

--batch measures empty sequences that generate together, --depth one sequence
that already holds so many tokens; --depth 0 is what llama-bench calls tg.
--shape takes random weights in the shape of a known model instead of a file.
They go into a temporary file that is mapped like a downloaded one, so memory
and loading are measured as they are for real models.
--mtp loads the layer that some files have to guess further tokens, and measures
what a guess and a step that checks some take. What follows for the speed of
generating depends on how many guesses are right, which random tokens do not tell.
--kernels compares all implementations of the ternary products instead. Several
numbers of --threads are measured one after the other, for a table.`,
		Example: "  trit bench --model demo\n  trit bench --shape bitnet-2b -p 256 -n 32 --batch 1,2,4,8,16 --depth 0,2048 --svg bench.svg\n  trit bench --kernels --shape bitnet-2b",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.takeThreads(a, cmd); err != nil {
				return err
			}
			switch {
			case f.kernels:
				return a.benchKernels(cmd, &f)
			case len(f.threads) > 1:
				return a.benchThreads(cmd, &f)
			}
			return a.benchModel(cmd, &f)
		},
	}
	f.measuredFlags.add(cmd, "the results")
	cmd.Flags().IntVarP(&f.prompt, "n-prompt", "p", 256, "tokens of the prompt")
	cmd.Flags().IntVarP(&f.generate, "n-gen", "n", 32, "tokens to generate")
	cmd.Flags().IntVarP(&f.repeat, "repetitions", "r", 3, "how often everything is measured")
	cmd.Flags().IntSliceVar(&f.batches, "batch", []int{1}, "numbers of sequences that generate together")
	cmd.Flags().IntSliceVar(&f.depths, "depth", []int{0}, "numbers of tokens that a sequence holds before it generates")
	// In place of the flag of all commands, which takes one number.
	cmd.Flags().IntSliceVarP(&f.threads, "threads", "t", []int{0}, "worker threads, at most one per processor (0: one per physical core)")
	cmd.Flags().BoolVar(&f.kernels, "kernels", false, "compare the kernels over the shapes of known models (or of --shape)")
	cmd.Flags().BoolVar(&f.load.MTP, "mtp", false, "also measure guesses of the layer for that, of files that have one")
	takesModel(cmd)
	return cmd
}

// takeThreads checks the numbers of threads.
func (f *benchFlags) takeThreads(a *app, cmd *cobra.Command) error {
	for _, n := range f.threads {
		if n < 0 || n > parallel.MaxThreads || n == 0 && len(f.threads) > 1 {
			return usage(cmd, fmt.Errorf("--threads %d: want numbers from 1 to %d, or 0 for one per physical core", n, parallel.MaxThreads))
		}
	}
	if len(f.threads) == 1 {
		a.threads = f.threads[0]
	} else if f.kernels || f.svg != "" || len(f.threads) == 0 {
		return usage(cmd, fmt.Errorf("--threads: want one number with --kernels or --svg"))
	}
	return nil
}

// threadsReport is what bench prints of several numbers of threads.
type threadsReport struct {
	Asked []int                  `json:"asked"` // threads; a run has no more than there are processors
	Runs  []*profile.BenchReport `json:"runs"`  // one for each
}

func (r *threadsReport) String() string {
	var b strings.Builder
	first := r.Runs[0]
	fmt.Fprintf(&b, "%s, layout %s, %s; prompts of %d tokens, %d generated, %d times\n\n", first.Model, first.Layout, first.CPU,
		first.Prompt, first.Generate, first.Repeat)
	fmt.Fprintf(&b, "%7s %7s  %21s %21s %21s %7s\n", "threads", "workers", "reading GB/s", "prompt tokens/s", "generating tokens/s", "")
	for i, x := range r.Runs {
		cell := func(v float64, spread [2]float64, unit float64) string {
			return fmt.Sprintf("%.1f (%.1f–%.1f)", v/unit, spread[0]/unit, spread[1]/unit)
		}
		fmt.Fprintf(&b, "%7d %7d  %21s %21s %21s %5.1f %%\n", r.Asked[i], x.Threads, cell(x.ReadBandwidth, x.ReadBandwidthRange, 1e9),
			cell(x.PrefillSpeed, x.PrefillRange, 1), cell(x.DecodeSpeed, x.DecodeRange, 1), 100*x.DecodeFraction)
	}
	b.WriteString("\nThe last column is what generating reads, of what can be read.\n")
	return b.String()
}

// benchThreads runs the benchmark of a model with several numbers of threads.
func (a *app) benchThreads(cmd *cobra.Command, f *benchFlags) error {
	o, err := f.options(a, cmd)
	if err != nil {
		return err
	}
	f.again = true
	report, err := measure(a, cmd, &f.measuredFlags, func(s measuredModel) (*threadsReport, error) {
		r := &threadsReport{Asked: f.threads}
		o.Name, o.Open = s.name, s.open
		for _, n := range f.threads {
			o.Engine.Threads = n
			o.Progress = func(what string, done, total int) { s.progress(fmt.Sprintf("%d threads: %s", n, what), done, total) }
			run, err := profile.Bench(cmd.Context(), o)
			if err != nil {
				return nil, err
			}
			r.Runs = append(r.Runs, run)
		}
		return r, nil
	})
	if err != nil {
		return err
	}
	return a.printText(report)
}

// WriteSVG makes the report one that measure takes: --svg wants a single number of threads.
func (r *threadsReport) WriteSVG(io.Writer) error { return nil }

// benchModel runs the benchmark of a model.
func (a *app) benchModel(cmd *cobra.Command, f *benchFlags) error {
	o, err := f.options(a, cmd)
	if err != nil {
		return err
	}
	report, err := measure(a, cmd, &f.measuredFlags, func(s measuredModel) (*profile.BenchReport, error) {
		o.Name, o.Open, o.Progress = s.name, s.open, s.progress
		return profile.Bench(cmd.Context(), o)
	})
	if err != nil {
		return err
	}
	return a.printText(report)
}

// options checks and translates the flags.
func (f *benchFlags) options(a *app, cmd *cobra.Command) (profile.BenchOptions, error) {
	o := profile.BenchOptions{Prompt: f.prompt, Generate: f.generate, Repeat: f.repeat, Batches: f.batches, Depths: f.depths, LimitBytes: limitBytes}
	err := f.check(cmd)
	// The lower limits are the command's: 0 means a default to the library.
	for _, n := range []struct {
		flag  string
		value int
	}{{"-p", f.prompt}, {"-n", f.generate}, {"-r", f.repeat}} {
		if n.value < 1 && err == nil {
			err = usage(cmd, fmt.Errorf("%s %d: want a positive number", n.flag, n.value))
		}
	}
	for _, n := range f.batches {
		if n < 1 && err == nil {
			err = usage(cmd, fmt.Errorf("--batch %d: want positive numbers", n))
		}
	}
	for _, n := range f.depths {
		if n < 0 && err == nil {
			err = usage(cmd, fmt.Errorf("--depth %d: want 0 or positive numbers", n))
		}
	}
	if err != nil {
		return o, err
	}
	f.synthFlags.mtp = f.load.MTP
	o.Engine, o.Load = f.measuredFlags.options(a)
	return o, nil
}

// limitBytes and weightBytes are the sizes of the arrays that the machine's limits and
// the kernels are measured with; 0 for what internal/profile takes, which exceeds the
// caches. Tests, which only look at what is printed, take less.
var limitBytes, weightBytes int

// benchKernels compares the kernels.
func (a *app) benchKernels(cmd *cobra.Command, f *benchFlags) error {
	for _, flag := range []string{"model", "svg", "batch", "depth", "n-prompt", "n-gen", "repetitions", "kv-type", "kernel", "layout", "head", "type", "head-type", "seed", "zeros", "skip-zeros", "mtp"} {
		if cmd.Flags().Changed(flag) {
			return usage(cmd, fmt.Errorf("--%s has no meaning with --kernels, which compares all", flag))
		}
	}
	o := profile.KernelOptions{Threads: a.threads, LimitBytes: limitBytes, WeightBytes: weightBytes}
	if f.shape != "" {
		shape, err := synth.LookupShape(f.shape)
		if err != nil {
			return usage(cmd, fmt.Errorf("--shape: %w", err))
		}
		o.Shapes = []synth.Shape{shape}
	}
	status := a.statusLine()
	o.Progress = status.show
	report, err := profile.BenchKernels(cmd.Context(), o)
	status.clear()
	if err != nil {
		return err
	}
	return a.printText(report)
}

// statusLine shows on a terminal, in one line, what is being done.
type statusLine struct {
	a  *app
	on bool
}

func (a *app) statusLine() *statusLine { return &statusLine{a: a, on: isTerminal(a.err)} }

func (s *statusLine) show(what string, done, total int) {
	if !s.on {
		return
	}
	s.clear()
	if total > 0 {
		what = fmt.Sprintf("[%d/%d] %s", done+1, total, what)
	}
	fmt.Fprint(s.a.err, what)
}

func (s *statusLine) clear() {
	if s.on {
		fmt.Fprint(termtext.Raw(s.a.err), "\r\x1b[2K")
	}
}
