package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"trit/gguf"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/inside"
	"trit/internal/kernel"
	"trit/internal/kernel/autotune"
	"trit/internal/model"
	"trit/internal/textfile"
	"trit/internal/validate"
	"trit/tokenizer"
)

func (a *app) validateCommand() *cobra.Command {
	var (
		flags     modelFlags
		logits    string
		vectors   string
		tokens    string
		tolerance float64
		output    string
		suite     suiteFlags
		against   againstFlags
	)
	cmd := &cobra.Command{
		Use:     "validate",
		GroupID: "check",
		Short:   "Check a model: file, weights, layers, attention, tokenizer, perplexity; or its logits, vectors or predictions",
		Long: `Check a model.

Without --logits or --vectors this is the whole suite: the structure of the
file, its tensors against the architecture, every weight (legal codes, finite
numbers, scales), the tokenizer and the chat template, the values of every stage
of every layer, attention (weights that sum to one and never look ahead),
decoding token by token against the whole prompt, and the perplexity of a simple
text, or with embedding models the likeness of sentences. The last shows when a
file is read wrongly: in another layout of I2_S, with another activation
function, or with another pooling. The exit code is 1 if a check fails; --output
writes the report as JSON.

With --logits it compares logits with a reference: a file of little-endian
float32 values of shape [tokens, vocabulary], the logits after each of --tokens.
The report has the relative L2 distance of every token, their median and
maximum, and how often the largest logit is the same token's. The exit code is 1
if the maximum is beyond the tolerance.

With --vectors it compares the vectors of texts (see 'trit embed'): a file of
little-endian float32 values with a row for each of the texts, whose tokens stand
in --tokens with semicolons between the texts: 1,2;3,4,5. No token is added.

With --against it compares the predictions with those of another model of the
same vocabulary, for example a ternary file with the F16 file that it was made
from, or a file with itself in exact arithmetic: the other model's activations
are not rounded (see --against-activations), and its keys and values are F32. It
prints the KL divergence, how often both find the same token most likely, and
the perplexities on --text, with standard errors. With --tolerance the exit code
is 1 if the mean divergence is beyond it.

Rounding to int8 is chaotic: one value that rounds the other way moves all
later ones, so two correct engines differ by some percent. To check a graph
exactly, compare with a reference whose activations were not rounded, with
--activations float --kv-type f32.`,
		Example: "  trit validate --model demo\n  trit validate --model model.gguf --output report.json\n  trit validate --model model.gguf --logits reference.f32 --tokens 1,17,300 --activations float --kv-type f32\n" +
			"  trit validate --model model.gguf --vectors reference.f32 --tokens '1,17,300;5,9' --activations float --kv-type f32\n" +
			"  trit validate --model demo --against demo",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := mayWrite(cmd, output); err != nil {
				return err
			}
			if against.twin != "" {
				for _, name := range []string{"logits", "vectors", "tokens", "skip", "max-perplexity"} {
					if cmd.Flags().Changed(name) {
						return usage(cmd, fmt.Errorf("--%s does not go with --against", name))
					}
				}
				if !cmd.Flags().Changed("tolerance") {
					tolerance = 0
				} else if !(tolerance > 0) {
					return usage(cmd, fmt.Errorf("--tolerance %v: want a positive number", tolerance))
				}
				return a.validateAgainst(cmd, &flags, &against, suite.text, tolerance, output)
			}
			if cmd.Flags().Changed("against-activations") {
				return usage(cmd, fmt.Errorf("--against-activations goes with --against"))
			}
			if logits != "" && vectors != "" {
				return usage(cmd, fmt.Errorf("--logits and --vectors exclude each other"))
			}
			if logits == "" && vectors == "" {
				for _, name := range []string{"tokens", "tolerance"} {
					if cmd.Flags().Changed(name) {
						return usage(cmd, fmt.Errorf("--%s goes with --logits, --vectors or --against", name))
					}
				}
				return a.validateModel(cmd, &flags, &suite, output)
			}
			for _, name := range []string{"skip", "text", "max-perplexity"} {
				if cmd.Flags().Changed(name) {
					return usage(cmd, fmt.Errorf("--%s does not go with --logits or --vectors", name))
				}
			}
			var texts [][]int32
			for text := range strings.SplitSeq(tokens, ";") {
				ids, err := parseIDs("tokens", text)
				if err != nil {
					return usage(cmd, err)
				}
				texts = append(texts, ids)
			}
			if logits != "" && len(texts) > 1 {
				return usage(cmd, fmt.Errorf("--tokens: with --logits one text is compared, and there are %d", len(texts)))
			}
			if !cmd.Flags().Changed("tolerance") && flags.load.Activations == model.Float && flags.engine.KVType == kernel.KVF32 {
				tolerance = exactTolerance
			}
			if !(tolerance > 0) {
				return usage(cmd, fmt.Errorf("--tolerance %v: want a positive number", tolerance))
			}
			if vectors != "" {
				return a.validateVectors(cmd, &flags, vectors, texts, tolerance, output)
			}
			return a.validateLogits(cmd, &flags, logits, texts[0], tolerance, output)
		},
	}
	flags.add(cmd)
	cmd.Annotations = nil // it checks anyway
	outputFlag(cmd, &output, "also write the report to this file, as JSON")
	cmd.Flags().StringSliceVar(&suite.skip, "skip", nil, "checks to leave out: "+strings.Join(validate.CheckNames(), ", "))
	cmd.Flags().StringVar(&suite.text, "text", "", "file with the text for the perplexity check and --against (default: a built-in story)")
	cmd.Flags().Float64Var(&suite.maxPerplexity, "max-perplexity", 0, "what the perplexity may be (0: 200)")
	cmd.Flags().StringVar(&logits, "logits", "", "file with reference logits to compare with, instead of the suite")
	cmd.Flags().StringVar(&vectors, "vectors", "", "file with reference vectors of texts to compare with, instead of the suite")
	cmd.Flags().StringVar(&tokens, "tokens", "", "with --logits and --vectors: token ids, separated by commas, texts by semicolons")
	cmd.Flags().Float64Var(&tolerance, "tolerance", roundedTolerance, fmt.Sprintf("with --logits and --vectors: largest distance allowed (with --activations float --kv-type f32 the default is %g); with --against: largest mean divergence (default: any)", exactTolerance))
	against.add(cmd)
	takesModel(cmd)
	return cmd
}

// suiteFlags are the flags of the suite.
type suiteFlags struct {
	skip          []string
	text          string
	maxPerplexity float64
}

// validateModel runs the suite and prints its report.
func (a *app) validateModel(cmd *cobra.Command, flags *modelFlags, suite *suiteFlags, output string) error {
	report, err := a.runSuite(cmd, flags, suite)
	if err != nil {
		return err
	}
	if err = a.printText(report); err == nil {
		err = writeReport(output, report)
	}
	return verdict(report.Passed, err)
}

// validateFirst runs the suite before another command uses the model. Nothing is
// printed if all checks pass; otherwise the report goes to the error stream and the
// error ends the command with exit code 1.
func (a *app) validateFirst(cmd *cobra.Command, flags *modelFlags) error {
	report, err := a.runSuite(cmd, flags, &suiteFlags{})
	if err != nil {
		return err
	}
	for _, c := range report.Checks {
		for _, w := range c.Warnings {
			a.log.Warn(w, "check", c.Name)
		}
	}
	if report.Passed {
		return nil
	}
	if _, err := fmt.Fprint(a.err, inFlags(report.String())); err != nil {
		return err
	}
	return errCheckFailed
}

// runSuite opens the model that the flags name and checks it.
func (a *app) runSuite(cmd *cobra.Command, flags *modelFlags, suite *suiteFlags) (*validate.Report, error) {
	d, err := flags.direct(a, cmd)
	if err != nil {
		return nil, err
	}
	o := validate.Options{Load: d.load, Engine: d.engine, Pre: flags.pre, Skip: suite.skip, MaxPerplexity: suite.maxPerplexity}
	for _, name := range suite.skip {
		if !slices.Contains(validate.CheckNames(), name) {
			return nil, usage(cmd, fmt.Errorf("--skip %q: want some of %s", name, strings.Join(validate.CheckNames(), ", ")))
		}
	}
	if suite.maxPerplexity < 0 {
		return nil, usage(cmd, fmt.Errorf("--max-perplexity %v: want a positive number", suite.maxPerplexity))
	}
	if suite.text != "" {
		if o.Text, err = readTextFile(suite.text); err != nil {
			return nil, err
		}
	}
	if flags.tokenizer != "" {
		if o.Tokenizer, err = d.openTokenizer(nil); err != nil {
			return nil, err
		}
	}
	found, err := hub.Resolve(flags.model)
	if err != nil {
		return nil, err
	}
	f, err := found.Open()
	if err != nil {
		return validate.Unreadable(found.Name, err), nil
	}
	defer f.Close()
	if bar := a.progress("checking", nil); bar != nil {
		defer bar.Clear()
		begun := int64(0)
		o.Progress = func(check string) {
			bar.Describe(check)
			begun++
			bar.Set(begun, int64(len(validate.CheckNames())))
		}
	}
	return validate.Run(cmd.Context(), found.Name, f, o)
}

// writeReport writes a report as JSON; an empty path writes nothing.
func writeReport(path string, report any) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	file, err := createOutput(path)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	return file.close(err)
}

// maxText bounds the size of a text file, far beyond what can be computed with.
const maxText = 256 << 20

// readTextFile reads a text file.
func readTextFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxText {
		return "", fmt.Errorf("%s is not a text file of at most %d MB", path, maxText>>20)
	}
	data, err := textfile.Read(path, maxText)
	return string(data), err
}

// directOptions are what the flags of a model say to the packages below the
// library, for commands that need an engine of their own.
type directOptions struct {
	flags  *modelFlags
	load   model.LoadOptions
	engine engine.Options
}

// direct translates the flags. Their errors are those of options.
func (f *modelFlags) direct(a *app, cmd *cobra.Command) (*directOptions, error) {
	if _, err := f.options(a, cmd); err != nil {
		return nil, err
	}
	d := &directOptions{flags: f, load: f.load, engine: f.engine}
	d.load.Tuner = autotune.New(a.tuningFile, a.warn)
	d.engine.Threads, d.engine.Context = a.threads, f.context
	return d, nil
}

// openTokenizer reads the tokenizer that the flags name, or that of a file.
func (d *directOptions) openTokenizer(meta *gguf.Metadata) (*tokenizer.Tokenizer, error) {
	var opts []tokenizer.Option
	if d.flags.pre != "" {
		opts = append(opts, tokenizer.WithPre(d.flags.pre))
	}
	if d.flags.tokenizer != "" {
		return tokenizer.Open(d.flags.tokenizer, opts...)
	}
	return tokenizer.FromGGUF(meta, opts...)
}

// Default tolerances: what int8 rounding explains, and what it does not.
const (
	roundedTolerance = 0.05
	exactTolerance   = 1e-5
)

// parseIDs reads a list of token ids that a flag has.
func parseIDs(flag, list string) ([]int32, error) {
	if list == "" {
		return nil, fmt.Errorf("--%s is missing", flag)
	}
	var ids []int32
	for s := range strings.SplitSeq(list, ",") {
		id, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		if err != nil || id < 0 {
			return nil, fmt.Errorf("--%s: %q is not a token id", flag, s)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

// logitsResult is what validate --logits prints with --json.
type logitsResult struct {
	*validate.LogitReport
	Tolerance float64 `json:"tolerance"`
	Passed    bool    `json:"passed"`
}

func (a *app) validateLogits(cmd *cobra.Command, flags *modelFlags, path string, tokens []int32, tolerance float64, output string) error {
	m, err := flags.open(a, cmd)
	if err != nil {
		return err
	}
	defer m.Close()
	vocabulary := inside.Of(m).Weights.Config.Vocab
	want, err := validate.ReadRows(path, len(tokens), vocabulary)
	if err != nil {
		return err
	}
	s, err := inside.Of(m).Scheduler.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Run(cmd.Context(), tokens, engine.All, 0); err != nil {
		return err
	}
	got := make([]float32, 0, len(want))
	for i := range tokens {
		got = append(got, s.Logits(i)...)
	}
	report, err := validate.CompareLogits(tokens, got, want, vocabulary)
	if err != nil {
		return err
	}
	passed := float64(report.Max) <= tolerance
	full := logitsResult{report, tolerance, passed}
	err = a.print(full, func(b *strings.Builder) { writeLogitReport(b, report, tolerance, passed) })
	if err == nil {
		err = writeReport(output, full)
	}
	return verdict(passed, err)
}

func writeLogitReport(b *strings.Builder, r *validate.LogitReport, tolerance float64, passed bool) {
	fmt.Fprintf(b, "%8s %8s  %-12s %s\n", "position", "token", "distance", "arg-max (reference)")
	for i, t := range r.Tokens {
		fmt.Fprintf(b, "%8d %8d  %-12.4g %d (%d)\n", i, t.Token, t.Distance, t.Got, t.Want)
	}
	outcome := "passed"
	if !passed {
		outcome = "FAILED"
	}
	fmt.Fprintf(b, "median %.4g, maximum %.4g, arg-max agreement %.1f %%\n%s: the tolerance is %g\n",
		r.Median, r.Max, 100*r.ArgMaxAgreement, outcome, tolerance)
}
