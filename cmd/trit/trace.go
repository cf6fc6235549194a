package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"trit"
	"trit/chat"
	"trit/internal/inside"
	"trit/internal/layers"
)

// traceFlags are the flags of trace beside the model's.
type traceFlags struct {
	prompt, promptFile, ids string
	chat                    bool
	layers, tokens          string
	stages                  []string
	samples                 int
	lens                    string
	out                     string
	compare                 bool
	tolerance               float64
}

func (a *app) traceCommand() *cobra.Command {
	var (
		flags modelFlags
		t     traceFlags
	)
	cmd := &cobra.Command{
		Use:     "trace [--compare A B]",
		GroupID: "check",
		Short:   "Look at the values of every layer, or find where two runs part",
		Long: `Look at the values of every layer, or find where two runs part.

A prompt is run once. For the chosen tokens, every stage of every layer is
described: minimum, maximum, mean, standard deviation, root mean square, zeros, NaN,
infinities, a checksum and samples. The table that is printed has one line for
each layer, or with --stages one for each record; --out writes all of it as
JSON, --json prints that instead of the table.

--lens shows what each layer would predict if it were the last: the output norm
and the head, as it is stored, applied to its output.

--compare reads two traces of the same tokens and names the first stage where
the runs part. One value that int8 rounding sends the other way moves all that
follow, so a stage may differ as much as what lies before it explains; as
long as the bits are the same, that is 0.00001. --tolerance sets one limit for
all. A file may also be a reference's dump: NAME.stages.json, a list of {"stage",
"offset", "width"}, with the values as float32 in NAME.stages.f32. The exit
code is 0 if the runs agree, 1 if they part, 2 if they cannot be compared.

docs/debugging.md shows what to do with it.`,
		Example: `  trit trace --model demo --prompt "Once upon a time"
  trit trace --model demo --prompt "Once upon a time" --lens
  trit trace --model good.gguf --prompt "Once upon a time" --out a.json
  trit trace --model bad.gguf --prompt "Once upon a time" --out b.json
  trit trace --compare a.json b.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case t.compare && len(args) != 2:
				return usage(cmd, fmt.Errorf("--compare wants two files, there are %d", len(args)))
			case t.compare:
				return nil
			case len(args) > 0 && cmd.Flags().Changed("lens"):
				return usage(cmd, fmt.Errorf("unexpected argument %q; a number for the lens is given as --lens=%s", args[0], args[0]))
			case len(args) == 2:
				return usage(cmd, fmt.Errorf("unexpected arguments %q and %q; two traces are compared with --compare", args[0], args[1]))
			}
			return modelArg(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if t.compare {
				for _, name := range []string{"model", "prompt", "prompt-file", "ids", "out", "lens", "layers", "stages", "tokens", "samples"} {
					if cmd.Flags().Changed(name) {
						return usage(cmd, fmt.Errorf("--%s does not go with --compare, which reads traces that have been recorded", name))
					}
				}
				return a.compareTraces(cmd, args[0], args[1], t.tolerance)
			}
			if cmd.Flags().Changed("tolerance") {
				return usage(cmd, fmt.Errorf("--tolerance goes with --compare"))
			}
			return a.trace(cmd, &flags, &t)
		},
	}
	flags.add(cmd)
	f := cmd.Flags()
	f.StringVarP(&t.prompt, "prompt", "p", "", "the text to run")
	f.StringVar(&t.promptFile, "prompt-file", "", "file with the text to run; - is standard input")
	f.StringVar(&t.ids, "ids", "", "token ids to run instead of a text, separated by commas")
	f.BoolVar(&t.chat, "chat", false, "put the prompt into the model's chat template")
	f.StringVar(&t.layers, "layers", "all", "layers to record: for example 0,3-5,in,out, or all")
	f.StringSliceVar(&t.stages, "stages", nil, "stages to record: for example q_rope,attention (default: all); the table then lists each record")
	f.StringVar(&t.tokens, "tokens", "0,-1", "positions to record: for example 0,2-8,-1 (the last), or all")
	f.IntVar(&t.samples, "samples", layers.DefaultSamples, "how many of the first values of a stage are kept, and how many spread over it")
	f.StringVar(&t.lens, "lens", "", "also show the K tokens that each layer would predict: --lens or --lens=K")
	f.Lookup("lens").NoOptDefVal = "3"
	f.StringVarP(&t.out, "out", "o", "", "write the trace to this file, as JSON")
	f.BoolVar(&t.compare, "compare", false, "find the first stage where two recorded traces part")
	f.Float64Var(&t.tolerance, "tolerance", 0, "with --compare: distance that every stage may have (0: as much as rounding explains)")
	groupFlags(cmd, "Prompt", "prompt", "prompt-file", "ids", "chat")
	groupFlags(cmd, "What is recorded", "layers", "stages", "tokens", "samples", "lens", "out")
	groupFlags(cmd, "Comparison", "compare", "tolerance")
	groupedHelp(cmd, "Prompt", "What is recorded", "Comparison", "Model")
	return cmd
}

// options translates the flags that choose what is recorded.
func (t *traceFlags) options() (o layers.TraceOptions, err error) {
	if o.Layers, err = layers.ParseLayers(t.layers); err != nil {
		return o, fmt.Errorf("--layers: %w", err)
	}
	if o.Tokens, err = layers.ParsePositions(t.tokens); err != nil {
		return o, fmt.Errorf("--tokens: %w", err)
	}
	if t.samples < 1 {
		return o, fmt.Errorf("--samples %d: want a positive number", t.samples)
	}
	o.Stages, o.Samples = t.stages, t.samples
	if t.lens != "" {
		if o.Lens, err = strconv.Atoi(t.lens); err != nil || o.Lens < 1 {
			return o, fmt.Errorf("--lens %q: want a positive number", t.lens)
		}
	}
	given := 0
	for _, s := range []string{t.prompt, t.promptFile, t.ids} {
		if s != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return o, fmt.Errorf("--prompt is missing (or --prompt-file, or --ids)")
	case given > 1:
		return o, fmt.Errorf("--prompt, --prompt-file and --ids exclude each other")
	case t.chat && t.ids != "":
		return o, fmt.Errorf("--chat does not go with --ids")
	}
	return o, nil
}

func (a *app) trace(cmd *cobra.Command, flags *modelFlags, t *traceFlags) (err error) {
	o, err := t.options()
	if err != nil {
		return usage(cmd, err)
	}
	m, err := flags.open(a, cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	tokens, err := a.traceTokens(cmd, m, t, &o)
	if err != nil {
		return err
	}
	o.Model = m.Name()
	o.Text = func(id int32) string { return m.Tokenizer().Piece(id, true) }
	o.Settings = map[string]string{}
	for _, name := range []string{"i2s-layout", "pre", "tokenizer"} {
		if value := cmd.Flags().Lookup(name).Value.String(); value != "" {
			o.Settings["--"+name] = value
		}
	}
	health := &layers.Health{Detail: len(t.stages) > 0}
	sinks := layers.Sinks{health}
	var printed *layers.Writer
	if a.json {
		printed = layers.NewWriter(a.out)
		sinks = append(sinks, printed)
	}
	record := func(sinks layers.Sinks) error {
		return recordTrace(cmd.Context(), m, tokens, o, sinks)
	}
	if t.out == "" {
		err = record(sinks)
	} else {
		err = writeTrace(t.out, m, func(w *layers.Writer) error { return record(append(sinks, w)) })
	}
	switch {
	case errors.Is(err, layers.ErrOptions):
		return usage(cmd, err)
	case err != nil:
		return err
	case a.json:
		return printed.Close()
	}
	_, err = io.WriteString(a.out, health.String())
	return err
}

// traceTokens returns the tokens to run.
func (a *app) traceTokens(cmd *cobra.Command, m *trit.Model, t *traceFlags, o *layers.TraceOptions) ([]int32, error) {
	if t.ids != "" {
		tokens, err := parseIDs("ids", t.ids)
		if err != nil {
			return nil, usage(cmd, err)
		}
		return tokens, nil
	}
	text := t.prompt
	var err error
	switch t.promptFile {
	case "":
	case "-":
		var data []byte
		data, err = readText(cmd.Context(), a.in, "the standard input", maxText)
		text = string(data)
	default:
		text, err = readTextFile(t.promptFile)
	}
	if err != nil {
		return nil, err
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("the prompt is not UTF-8 text")
	}
	o.Prompt = text
	if t.chat {
		p, err := m.Prepare(cmd.Context(), trit.Conversation{Messages: []chat.Message{{Role: "user", Content: text}}})
		if err != nil {
			return nil, err
		}
		return p.Prompt, nil
	}
	tokens := m.Tokenize(text)
	if len(tokens) == 0 {
		return nil, fmt.Errorf("the prompt has no tokens")
	}
	return tokens, nil
}

// recordTrace runs the tokens on a session of their own.
func recordTrace(ctx context.Context, m *trit.Model, tokens []int32, o layers.TraceOptions, sink layers.Sink) error {
	s, err := inside.Of(m).Scheduler.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	return layers.Trace(ctx, s, tokens, o, sink)
}

// writeTrace gives record a writer to a file, which is removed if that fails.
func writeTrace(path string, m *trit.Model, record func(*layers.Writer) error) error {
	if there, err := os.Stat(path); err == nil {
		if in, err := os.Stat(inside.Of(m).Weights.File.Path); err == nil && os.SameFile(there, in) {
			return fmt.Errorf("the output %s is the model", path)
		}
	}
	f, err := createOutput(path)
	if err != nil {
		return err
	}
	w := layers.NewWriter(f)
	if err = record(w); err == nil {
		err = w.Close()
	}
	return f.close(err)
}

// compareTraces prints where two traces part.
func (a *app) compareTraces(cmd *cobra.Command, pathA, pathB string, tolerance float64) (err error) {
	x, err := layers.Open(pathA)
	if err != nil {
		return comparisonError(cmd, err)
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	y, err := layers.Open(pathB)
	if err != nil {
		return comparisonError(cmd, err)
	}
	defer func() { err = errors.Join(err, y.Close()) }()
	result, err := layers.Compare(x, y, layers.CompareOptions{Tolerance: tolerance})
	if err != nil {
		return comparisonError(cmd, err)
	}
	return verdict(result.Agree, a.printText(result))
}

// comparisonError makes what keeps two traces from being compared a mistake in
// the command line, so that its exit code is not that of runs that part.
func comparisonError(cmd *cobra.Command, err error) error {
	return &usageError{cmd.CommandPath(), err}
}
