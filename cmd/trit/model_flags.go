package main

import (
	"fmt"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"trit"
	"trit/internal/head"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/quant"
)

// modelFlags are the flags of all commands that run a model.
type modelFlags struct {
	model       string
	tokenizer   string
	pre         string
	context     int
	kvType      string
	kernel      string
	head        string
	activations string
	hiddenAct   string
	i2sLayout   string
}

// add defines the flags on a command.
func (f *modelFlags) add(cmd *cobra.Command) {
	checksModel(cmd)
	cmd.Flags().StringVarP(&f.model, "model", "m", "", "path of a GGUF file or name of a model (required; 'demo' is built in)")
	cmd.Flags().StringVar(&f.tokenizer, "tokenizer", "", "take the tokenizer from this tokenizer.json, tokenizer.model or folder")
	cmd.Flags().StringVar(&f.pre, "pre", "", "pre-tokenizer instead of the file's (for example llama-bpe, default)")
	cmd.Flags().IntVarP(&f.context, "ctx-size", "c", 0, "context size in tokens (0: what the model was trained for)")
	cmd.Flags().StringVar(&f.kvType, "kv-type", "f16", "element type of the KV cache: f32, f16, int8")
	cmd.Flags().StringVar(&f.kernel, "kernel", "", "kernel for ternary weights: "+strings.Join(kernelNames(), ", "))
	cmd.Flags().StringVar(&f.head, "head", "auto", "output head: auto, plain, coarse (all exact), or requantised in memory: q8, q6, q4")
	cmd.Flags().StringVar(&f.activations, "activations", "", "what projections round their input to: int8, float (default: as the model was trained)")
	cmd.Flags().StringVar(&f.hiddenAct, "hidden-act", "", "activation function instead of the file's: silu, relu2")
	cmd.Flags().StringVar(&f.i2sLayout, "i2s-layout", "", "packing of I2_S tensors: a (all official files), b (ARM builds since November 2025), c")
	groupFlags(cmd, "Model", "model", "tokenizer", "pre", "ctx-size", "kv-type", "kernel", "head", "activations", "hidden-act", "i2s-layout")
}

func kernelNames() []string {
	var names []string
	for _, v := range kernel.Variants() {
		names = append(names, v.String())
	}
	return names
}

// options translates the flags.
func (f *modelFlags) options(a *app, cmd *cobra.Command) ([]trit.Option, error) {
	if f.model == "" {
		return nil, usage(cmd, fmt.Errorf("--model is missing; try --model demo"))
	}
	if f.context < 0 {
		return nil, usage(cmd, fmt.Errorf("--ctx-size %d: want a number of tokens, or 0 for what the model was trained for", f.context))
	}
	kv, err := kernel.ParseKVType(f.kvType)
	if err != nil {
		return nil, usage(cmd, fmt.Errorf("--kv-type: %w", err))
	}
	opts := []trit.Option{
		trit.Threads(a.threads), trit.ContextSize(f.context), trit.KVType(kv),
		trit.PreTokenizer(f.pre), trit.TokenizerPath(f.tokenizer), trit.TuningFile(a.tuningFile, a.warn),
	}
	if f.head != "" {
		v, err := head.ParseMode(f.head)
		if err != nil {
			return nil, usage(cmd, fmt.Errorf("--head: %w", err))
		}
		opts = append(opts, trit.Head(v))
	}
	if f.kernel != "" {
		v, err := kernel.ParseVariant(f.kernel)
		if err != nil {
			return nil, usage(cmd, fmt.Errorf("--kernel: %w", err))
		}
		opts = append(opts, trit.Kernel(v))
	}
	if f.activations != "" {
		v, err := model.ParseActivations(f.activations)
		if err != nil {
			return nil, usage(cmd, fmt.Errorf("--activations: %w", err))
		}
		opts = append(opts, trit.Activations(v))
	}
	if f.hiddenAct != "" {
		v, err := model.ParseHiddenAct(f.hiddenAct)
		if err != nil {
			return nil, usage(cmd, fmt.Errorf("--hidden-act: %w", err))
		}
		opts = append(opts, trit.HiddenAct(v))
	}
	if f.i2sLayout != "" {
		v, err := quant.ParseI2SLayout(f.i2sLayout)
		if err != nil {
			return nil, usage(cmd, fmt.Errorf("--i2s-layout: %w", err))
		}
		opts = append(opts, trit.I2SLayout(v))
	}
	return opts, nil
}

// open opens the model that the flags name, with a progress bar on a terminal.
func (f *modelFlags) open(a *app, cmd *cobra.Command) (*trit.Model, error) {
	opts, err := f.options(a, cmd)
	if err != nil {
		return nil, err
	}
	if a.validate {
		if err := a.validateFirst(cmd, f); err != nil {
			return nil, err
		}
	}
	if bar := a.progress("loading"); bar != nil {
		defer bar.Clear()
		opts = append(opts, trit.Progress(func(done, total int64) {
			bar.ChangeMax64(total)
			bar.Set64(done)
		}))
	}
	m, err := trit.Open(f.model, opts...)
	if err != nil {
		return nil, err
	}
	for _, note := range m.Info().Notes {
		a.log.Warn(note)
	}
	for _, warning := range m.Tokenizer().Warnings() {
		a.log.Info(warning)
	}
	return m, nil
}

// progress returns a bar on the error stream, or nil where nobody would see it.
func (a *app) progress(what string) *progressbar.ProgressBar {
	if !isTerminal(a.err) {
		return nil
	}
	return progressbar.NewOptions64(1,
		progressbar.OptionSetWriter(a.err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100_000_000),
		progressbar.OptionSetPredictTime(true),
	)
}
