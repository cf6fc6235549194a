package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/termtext"
	"trit/internal/tui"
	"trit/quant"
)

// modelFlags are the flags of all commands that run a model.
type modelFlags struct {
	model     string
	tokenizer string
	pre       string
	context   int
	load      model.LoadOptions
	engine    engine.Options // but for threads and context
	template  templateFlags  // of commands that talk
	repacked  string         // how many bytes of repacked weights are kept
}

// add defines the flags on a command.
func (f *modelFlags) add(cmd *cobra.Command) {
	checksModel(cmd)
	cmd.Flags().StringVarP(&f.model, "model", "m", "", "path of a GGUF file or name of a model (required; 'demo' is built in)")
	cmd.Flags().StringVar(&f.tokenizer, "tokenizer", "", "take the tokenizer from this tokenizer.json, tokenizer.model or folder")
	cmd.Flags().StringVar(&f.pre, "pre", "", "pre-tokenizer instead of the file's (for example llama-bpe, default)")
	cmd.Flags().IntVarP(&f.context, "ctx-size", "c", 0, "context size in tokens (0: what the model was trained for)")
	engineFlags(cmd, &f.engine, "output head: auto, plain, coarse (all exact), or requantised in memory: q8, q6, q4")
	parsedFlag(cmd, &f.load.Activations, "activations", "",
		"what projections round their input to: int8, int8g128, float (default: as the model was trained)", model.ParseActivations)
	parsedFlag(cmd, &f.load.HiddenAct, "hidden-act", "", "activation function instead of the file's: silu, relu2, gelu_pytorch_tanh", model.ParseHiddenAct)
	parsedFlag(cmd, &f.load.I2SLayout, "i2s-layout", "",
		"packing of I2_S tensors: a (all official files), b (ARM builds since November 2025), c", quant.ParseI2SLayout)
	cmd.Flags().BoolVar(&f.load.CopyTables, "copy-tables", false,
		"hold the embedding and the head in memory: the file may then be overwritten while the model is used")
	parsedFlag(cmd, &f.load.SkipZeros, "skip-zeros", "auto", skipZerosHelp, model.ParseSkipZeros)
	cmd.Flags().StringVar(&f.repacked, "repacked-cache", "16GB",
		"keep weights as they lie in memory in up to so many bytes below TRIT_HOME, so that large models start sooner; or off")
	cmd.Flags().BoolVar(&f.load.MTP, "mtp", false, "guess ahead with the layer for that, of files that have one; faster, with the same text")
	groupFlags(cmd, "Model", "model", "tokenizer", "pre", "ctx-size", "kv-type", "kernel", "head", "activations", "hidden-act",
		"i2s-layout", "copy-tables", "skip-zeros", "repacked-cache", "mtp")
}

const skipZerosHelp = "leave out weights that relu² makes nothing of, for which some are kept twice: auto (if it pays and there is memory), on, off"

// engineFlags are the flags of all commands with an engine.
func engineFlags(cmd *cobra.Command, o *engine.Options, headHelp string) {
	parsedFlag(cmd, &o.KVType, "kv-type", kernel.KVF16.String(), "element type of the KV cache: f32, f16, int8, q4", kernel.ParseKVType)
	parsedFlag(cmd, &o.Variant, "kernel", "", "kernel for ternary weights: "+strings.Join(kernelNames(), ", "), kernel.ParseVariant)
	parsedFlag(cmd, &o.Head, "head", "auto", headHelp, head.ParseMode)
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
	opts := []trit.Option{
		trit.Threads(a.threads), trit.ContextSize(f.context), trit.KVType(f.engine.KVType),
		trit.Head(f.engine.Head), trit.Kernel(f.engine.Variant), trit.I2SLayout(f.load.I2SLayout), trit.Skip(f.load.SkipZeros),
		trit.PreTokenizer(f.pre), trit.TokenizerPath(f.tokenizer), trit.TuningFile(a.tuningFile, a.warn),
	}
	if f.load.Activations != 0 {
		opts = append(opts, trit.Activations(f.load.Activations))
	}
	if f.load.CopyTables {
		opts = append(opts, trit.CopyTables())
	}
	if f.load.MTP {
		opts = append(opts, trit.MTP())
	}
	if f.load.HiddenAct != 0 {
		opts = append(opts, trit.HiddenAct(f.load.HiddenAct))
	}
	// Without a home nothing is kept.
	if dir, err := hub.Repacked(); err == nil && f.repacked != "off" && f.repacked != "" {
		limit, err := parseBytes("repacked-cache", f.repacked)
		if err != nil {
			return nil, usage(cmd, err)
		}
		opts = append(opts, trit.RepackedCache(dir, limit, func(err error) {
			a.warn(fmt.Errorf("%w; --repacked-cache off does without", err))
		}))
	}
	template, err := f.template.options()
	if err != nil {
		return nil, usage(cmd, err)
	}
	return append(opts, template...), nil
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
	if bar := a.progress("loading", byteSize); bar != nil {
		defer bar.Clear()
		opts = append(opts, trit.Progress(bar.Set))
	}
	m, err := trit.OpenContext(cmd.Context(), f.model, opts...)
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
func (a *app) progress(what string, amount func(int64) string) *tui.Bar {
	if !isTerminal(a.err) {
		return nil
	}
	return tui.NewBar(termtext.Raw(a.err), what, amount)
}
