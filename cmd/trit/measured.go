package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"trit/gguf"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/kernel/autotune"
	"trit/internal/model"
	"trit/internal/ternary"
)

// measuredFlags choose what bench and profile measure: a model, or random
// weights, and how it runs.
type measuredFlags struct {
	synthFlags
	model  string
	engine engine.Options
	load   model.LoadOptions
	svg    string
	again  bool // the model is opened more than once
}

// add defines the flags on a command; drawn is what --svg draws.
func (f *measuredFlags) add(cmd *cobra.Command, drawn string) {
	checksModel(cmd)
	cmd.Flags().StringVarP(&f.model, "model", "m", "", "path of a GGUF file or name of a model ('demo' is built in)")
	f.synthFlags.add(cmd, "head-type")
	engineFlags(cmd, &f.engine, "how logits are computed: auto, plain, coarse (exact, reads less), q8, q6, q4 (requantised)")
	parsedFlag(cmd, &f.load.Layout, "layout", "auto",
		"layout of ternary weights in memory: t2, t5, or auto for the faster on this machine", parseLayout)
	parsedFlag(cmd, &f.load.SkipZeros, "skip-zeros", "auto", skipZerosHelp, model.ParseSkipZeros)
	cmd.Flags().StringVar(&f.svg, "svg", "", "also draw "+drawn+" into this SVG file")
}

// check finds mistakes in the choice of the model.
func (f *measuredFlags) check(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	switch {
	case f.model == "" && f.shape == "":
		return usage(cmd, fmt.Errorf("--model or --shape is missing; try --model demo"))
	case f.model != "" && f.shape != "":
		return usage(cmd, fmt.Errorf("--model and --shape exclude each other"))
	case f.model != "" && (given("type") || given("head-type") || given("seed") || given("zeros")):
		return usage(cmd, fmt.Errorf("--type, --head-type, --seed and --zeros belong to --shape; a file has its own"))
	}
	return nil
}

// options says how the model runs.
func (f *measuredFlags) options(a *app) (engine.Options, model.LoadOptions) {
	f.engine.Threads = a.threads
	f.load.Tuner = autotune.New(a.tuningFile, a.warn)
	return f.engine, f.load
}

// source returns the name of the model and how to open it. done removes what was
// made for that, and may be called when the model has been closed.
func (f *measuredFlags) source(a *app, cmd *cobra.Command) (name string, open func() (*gguf.File, error), done func(), err error) {
	if f.shape == "" {
		if a.validate {
			if err := a.validateFirst(cmd, &modelFlags{model: f.model, engine: f.engine}); err != nil {
				return "", nil, nil, err
			}
		}
		found, err := hub.Resolve(f.model)
		if err != nil {
			return "", nil, nil, err
		}
		return found.Name, found.Open, func() {}, nil
	}
	g, shape, err := f.generator(a, cmd)
	if err != nil {
		return "", nil, nil, err
	}
	path, err := g.WriteTemp(cmd.Context(), "")
	if err != nil {
		return "", nil, nil, fmt.Errorf("%w (TMPDIR chooses another folder)", err)
	}
	open = func() (*gguf.File, error) {
		file, err := gguf.Open(path)
		if !f.again {
			os.Remove(path) // the mapping stays
		}
		return file, err
	}
	done = func() { os.Remove(path) } // where an open file cannot be removed
	weights, _ := g.Types()
	return fmt.Sprintf("%s, random weights, %s", shape.Name, strings.ToLower(weights.String())), open, done, nil
}

// measuredModel is what is measured, and who is told how far that is.
type measuredModel struct {
	name     string
	open     func() (*gguf.File, error)
	progress func(what string, done, total int)
}

// drawn is a report that can be drawn.
type drawn interface{ WriteSVG(io.Writer) error }

// measure runs a measurement of the model that the flags name, and draws its report
// if --svg asks for that.
func measure[R drawn](a *app, cmd *cobra.Command, f *measuredFlags, run func(measuredModel) (R, error)) (report R, err error) {
	name, open, done, err := f.source(a, cmd)
	if err != nil {
		return report, err
	}
	defer done()
	status := a.statusLine()
	report, err = run(measuredModel{name, open, status.show})
	status.clear()
	if err == nil {
		err = f.draw(report.WriteSVG)
	}
	return report, err
}

// draw writes the SVG file, if there is to be one.
func (f *measuredFlags) draw(write func(io.Writer) error) error {
	if f.svg == "" {
		return nil
	}
	file, err := createOutput(f.svg)
	if err != nil {
		return fmt.Errorf("--svg: %w", err)
	}
	if err := file.close(write(file)); err != nil {
		return fmt.Errorf("--svg: %w", err)
	}
	return nil
}

// parseLayout reads the choice of a layout; that of "auto" is left to the loader.
func parseLayout(name string) (func(rows, cols int) ternary.Layout, error) {
	if strings.EqualFold(name, "auto") {
		return nil, nil
	}
	layout, err := ternary.ParseLayout(name)
	if err != nil {
		return nil, err
	}
	return func(int, int) ternary.Layout { return layout }, nil
}
