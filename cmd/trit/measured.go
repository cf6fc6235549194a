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
	"trit/internal/head"
	"trit/internal/kernel"
	"trit/internal/kernel/autotune"
	"trit/internal/model"
	"trit/internal/ternary"
)

// measuredFlags choose what bench and profile measure: a model, or random
// weights, and how it runs.
type measuredFlags struct {
	synthFlags
	model                            string
	kvType, kernel, layout, headMode string
	svg                              string
}

// add defines the flags on a command; drawn is what --svg draws.
func (f *measuredFlags) add(cmd *cobra.Command, drawn string) {
	checksModel(cmd)
	cmd.Flags().StringVarP(&f.model, "model", "m", "", "path of a GGUF file or name of a model ('demo' is built in)")
	f.synthFlags.add(cmd, "head-type")
	cmd.Flags().StringVar(&f.kvType, "kv-type", "f16", "element type of the KV cache: f32, f16, int8")
	cmd.Flags().StringVar(&f.kernel, "kernel", "", "kernel for ternary weights: "+strings.Join(kernelNames(), ", "))
	cmd.Flags().StringVar(&f.layout, "layout", "auto", "layout of ternary weights in memory: t2, t5, or auto for the faster on this machine")
	cmd.Flags().StringVar(&f.headMode, "head", "auto", "how logits are computed: auto, plain, coarse (exact, reads less), q8, q6, q4 (requantised)")
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
	case f.model != "" && (given("type") || given("head-type") || given("seed")):
		return usage(cmd, fmt.Errorf("--type, --head-type and --seed belong to --shape; a file has its own"))
	}
	return nil
}

// options translates how the model runs.
func (f *measuredFlags) options(a *app, cmd *cobra.Command, o *engine.Options, load *model.LoadOptions) (err error) {
	o.Threads = a.threads
	if o.KVType, err = kernel.ParseKVType(f.kvType); err != nil {
		return usage(cmd, fmt.Errorf("--kv-type: %w", err))
	}
	if f.kernel != "" {
		if o.Variant, err = kernel.ParseVariant(f.kernel); err != nil {
			return usage(cmd, fmt.Errorf("--kernel: %w", err))
		}
	}
	if o.Head, err = head.ParseMode(f.headMode); err != nil {
		return usage(cmd, fmt.Errorf("--head: %w", err))
	}
	load.Tuner = autotune.New(a.tuningFile, a.warn)
	if load.Layout, err = parseLayout(f.layout); err != nil {
		return usage(cmd, fmt.Errorf("--layout: %w", err))
	}
	return nil
}

// source returns the name of the model and how to open it. done removes what was
// made for that, and may be called when the model has been closed.
func (f *measuredFlags) source(a *app, cmd *cobra.Command) (name string, open func() (*gguf.File, error), done func(), err error) {
	if f.shape == "" {
		if a.validate {
			if err := a.validateFirst(cmd, &modelFlags{model: f.model, kvType: f.kvType, kernel: f.kernel}); err != nil {
				return "", nil, nil, err
			}
		}
		found, err := hub.Resolve(f.model)
		if err != nil {
			return "", nil, nil, err
		}
		return found.Name, found.Open, func() {}, nil
	}
	g, shape, err := f.generator(a, cmd, "head-type")
	if err != nil {
		return "", nil, nil, err
	}
	path, err := g.WriteTemp(cmd.Context(), "")
	if err != nil {
		return "", nil, nil, fmt.Errorf("%w (TMPDIR chooses another folder)", err)
	}
	open = func() (*gguf.File, error) {
		file, err := gguf.Open(path)
		os.Remove(path) // the mapping stays
		return file, err
	}
	done = func() { os.Remove(path) } // where an open file cannot be removed
	return fmt.Sprintf("%s, random weights, %s", shape.Name, strings.ToLower(f.kind)), open, done, nil
}

// draw writes the SVG file, if there is to be one.
func (f *measuredFlags) draw(write func(io.Writer) error) error {
	if f.svg == "" {
		return nil
	}
	file, err := os.Create(f.svg)
	if err != nil {
		return fmt.Errorf("--svg: %w", err)
	}
	err = write(file)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
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
