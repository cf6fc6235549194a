package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trit/gguf"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/model"
	"trit/internal/parallel"
	"trit/internal/validate"
	"trit/tokenizer"
)

func (a *app) perplexityCommand() *cobra.Command {
	var (
		flags modelFlags
		file  string
		o     validate.PerplexityOptions
	)
	cmd := &cobra.Command{
		Use:     "perplexity",
		GroupID: "check",
		Short:   "Measure how well a model predicts a text",
		Long: `Measure how well a model predicts a text.

The protocol is that of llama.cpp's perplexity tool: the text is cut into windows
of --ctx tokens, each begins with the BOS token if the model wants one, and the
tokens of the second half of each are scored. With a --stride of at most half a
window, windows overlap and each scores its last --stride tokens, so that
nearly every token counts. The result is exp of the mean of -ln p, with its
standard error.

The same text with other flags or files shows what they cost: --kv-type int8,
--head q6, a file made by quantize.`,
		Example: "  trit perplexity --model demo --file text.txt\n  trit perplexity --model model.gguf --file wiki.test.raw --ctx 512 --kv-type int8",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usage(cmd, fmt.Errorf("--file is missing"))
			}
			if o.Context == 0 {
				o.Context = flags.context
			}
			if o.Context < 0 || o.Stride < 0 || o.Windows < 0 {
				return usage(cmd, fmt.Errorf("--ctx, --stride and --windows: want 0 or a positive number"))
			}
			if o.Context > 0 && o.Context < 4 {
				return usage(cmd, fmt.Errorf("--ctx %d: want at least 4", o.Context))
			}
			return a.perplexity(cmd, &flags, file, o)
		},
	}
	flags.add(cmd)
	cmd.Flags().Lookup("ctx-size").Usage = "the same as --ctx"
	cmd.Flags().StringVarP(&file, "file", "f", "", "file with the text (required)")
	cmd.Flags().IntVar(&o.Context, "ctx", 0, "tokens of a window (0: 512, or what the model was trained for if that is less)")
	cmd.Flags().IntVar(&o.Stride, "stride", 0, "tokens between the beginnings of windows (0: as --ctx)")
	cmd.Flags().IntVar(&o.Windows, "windows", 0, "largest number of windows (0: all)")
	takesModel(cmd)
	return cmd
}

// perplexityResult is what perplexity prints as JSON.
type perplexityResult struct {
	Model string `json:"model"`
	File  string `json:"file"`
	*validate.PerplexityReport
	Seconds float64 `json:"seconds"`
}

func (a *app) perplexity(cmd *cobra.Command, flags *modelFlags, file string, o validate.PerplexityOptions) error {
	flags.context = o.Context
	d, err := flags.direct(a, cmd)
	if err != nil {
		return err
	}
	text, err := readTextFile(file)
	if err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	return withFile(flags.model, func(found *hub.Model, f *gguf.File) error {
		report, seconds, err := a.score(cmd.Context(), d, f, text, o)
		if err != nil {
			return err
		}
		return a.print(perplexityResult{found.Name, file, report, seconds}, func(b *strings.Builder) {
			fmt.Fprintf(b, "%v\n%d tokens in %.1f s, stride %d\n", report, report.Tokens, seconds, report.Stride)
		})
	})
}

// score computes the perplexity of a text, and how long that took.
func (a *app) score(ctx context.Context, d *directOptions, f *gguf.File, text string, o validate.PerplexityOptions) (
	report *validate.PerplexityReport, seconds float64, err error) {
	e, tok, err := d.start(f)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if bar := a.progress("scoring", nil); bar != nil {
		defer bar.Clear()
		o.Progress = func(done, total int, r *validate.PerplexityReport) {
			bar.Describe(fmt.Sprintf("perplexity %.4f", r.Perplexity))
			bar.Set(int64(done), int64(total))
		}
	}
	start := time.Now()
	report, err = validate.Perplexity(ctx, e, tok, text, o)
	return report, time.Since(start).Seconds(), err
}

// start loads the model of a file into an engine.
func (d *directOptions) start(f *gguf.File) (*engine.Engine, *tokenizer.Tokenizer, error) {
	tok, err := d.openTokenizer(f.Metadata)
	if err != nil {
		return nil, nil, err
	}
	d.engine.Threads = parallel.Workers(d.engine.Threads)
	team, err := parallel.NewTeam(d.engine.Threads)
	if err != nil {
		return nil, nil, err
	}
	d.load.Team = team
	m, err := model.Load(f, d.load)
	team.Close()
	if err != nil {
		return nil, nil, err
	}
	if tok.Len() > m.Config.Vocab {
		return nil, nil, fmt.Errorf("the tokenizer has %d tokens, the model only %d", tok.Len(), m.Config.Vocab)
	}
	e, err := engine.New(m, d.engine)
	return e, tok, err
}
