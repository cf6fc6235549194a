package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"trit"
	"trit/chat"
)

// samplingFlags are the flags that choose tokens. A flag that is not given
// leaves the model's own recommendation.
type samplingFlags struct {
	temperature float64
	topK        int
	topP        float64
	minP        float64
	seed        uint64
	greedy      bool
}

func (f *samplingFlags) add(cmd *cobra.Command) {
	cmd.Flags().Float64Var(&f.temperature, "temperature", 0, "divide the logits; 0 is greedy (default: what the model recommends)")
	cmd.Flags().IntVar(&f.topK, "top-k", 0, "keep the k most likely tokens; 0 keeps all (default: what the model recommends)")
	cmd.Flags().Float64Var(&f.topP, "top-p", 1, "keep the most likely tokens with this total probability (default: what the model recommends)")
	cmd.Flags().Float64Var(&f.minP, "min-p", 0, "keep tokens at least this fraction as likely as the most likely (default: what the model recommends)")
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the random choices; the same seed gives the same text (default: random)")
	cmd.Flags().BoolVar(&f.greedy, "greedy", false, "always take the most likely token")
}

// options translates the flags that were given.
func (f *samplingFlags) options(cmd *cobra.Command) []trit.GenerateOption {
	var opts []trit.GenerateOption
	given := cmd.Flags().Changed
	if given("temperature") {
		opts = append(opts, trit.Temperature(f.temperature))
	}
	if given("top-k") {
		opts = append(opts, trit.TopK(f.topK))
	}
	if given("top-p") {
		opts = append(opts, trit.TopP(f.topP))
	}
	if given("min-p") {
		opts = append(opts, trit.MinP(f.minP))
	}
	if given("seed") {
		opts = append(opts, trit.Seed(f.seed))
	}
	if f.greedy {
		opts = append(opts, trit.Greedy())
	}
	return opts
}

func (a *app) inferCommand() *cobra.Command {
	var (
		flags     modelFlags
		sampling  samplingFlags
		prompt    string
		maxTokens int
		stop      []string
		raw, ask  bool
		special   bool
	)
	cmd := &cobra.Command{
		Use:     "infer",
		GroupID: "run",
		Short:   "Continue a text, or answer one question",
		Long: `Continue a text, or answer one question.

The prompt is continued as it is; with --chat it is a user's message, put into
the model's own chat template. The text goes to standard output as it is
generated, a summary with the speed to standard error.`,
		Example: "  trit infer --model demo --prompt \"Once upon a time\" --max-tokens 60\n  trit infer --model demo --chat --prompt \"What is the capital of France?\"",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case prompt == "":
				return usage(cmd, fmt.Errorf("--prompt is missing"))
			case raw && ask:
				return usage(cmd, fmt.Errorf("--raw and --chat exclude each other"))
			case maxTokens < 0:
				return usage(cmd, fmt.Errorf("--max-tokens %d: want 0 or a positive number", maxTokens))
			}
			m, err := flags.open(a, cmd)
			if err != nil {
				return err
			}
			defer m.Close()
			var stats trit.Stats
			opts := append(sampling.options(cmd), trit.MaxTokens(maxTokens), trit.Stop(stop...), trit.CollectStats(&stats))
			if special {
				opts = append(opts, trit.ShowSpecial())
			}
			var tokens iter.Seq2[trit.Token, error]
			if ask {
				tokens = m.Chat(cmd.Context(), []chat.Message{{Role: "user", Content: prompt}}, opts...)
			} else {
				tokens = m.Generate(cmd.Context(), prompt, opts...)
			}
			out := a.out
			if a.json {
				out = io.Discard
			}
			answer, err := a.stream(cmd.Context(), out, tokens)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(inferResult{Model: m.Name(), Prompt: prompt, Text: answer.text, Tokens: answer.ids, Finish: answer.finish,
					Stats: stats, PromptRate: stats.PromptRate(), GenerateRate: stats.GenerateRate()})
			}
			a.printStats(&stats, answer.finish)
			return nil
		},
	}
	flags.add(cmd)
	sampling.add(cmd)
	cmd.Flags().StringVarP(&prompt, "prompt", "p", "", "the text to continue (required)")
	cmd.Flags().IntVarP(&maxTokens, "max-tokens", "n", 50, "generate at most this many tokens; 0: up to the end of the context")
	cmd.Flags().StringArrayVar(&stop, "stop", nil, "end the text at this string (repeatable)")
	cmd.Flags().BoolVar(&raw, "raw", false, "continue the prompt as it is (the default)")
	cmd.Flags().BoolVar(&ask, "chat", false, "put the prompt into the model's chat template")
	cmd.Flags().BoolVar(&special, "special", false, "recognise control tokens in the prompt and show them in the text")
	return cmd
}

// inferResult is what infer prints with --json.
type inferResult struct {
	Model        string      `json:"model"`
	Prompt       string      `json:"prompt"`
	Text         string      `json:"text"`
	Tokens       []int32     `json:"tokens"`
	Finish       trit.Finish `json:"finish_reason"`
	Stats        trit.Stats  `json:"stats"`
	PromptRate   float64     `json:"prompt_tokens_per_second"`
	GenerateRate float64     `json:"generated_tokens_per_second"`
}

// answer is a text that has been streamed.
type answer struct {
	text   string
	ids    []int32
	finish trit.Finish
}

// stream writes tokens to out as they come, and a line end after the last.
func (a *app) stream(ctx context.Context, out io.Writer, tokens iter.Seq2[trit.Token, error]) (answer, error) {
	var result answer
	var text strings.Builder
	for token, err := range tokens {
		if err != nil {
			if text.Len() > 0 {
				fmt.Fprintln(out)
			}
			return result, err
		}
		text.WriteString(token.Text)
		result.ids = append(result.ids, token.ID)
		result.finish = token.Finish
		if _, err := io.WriteString(out, token.Text); err != nil {
			return result, fmt.Errorf("writing the text: %w", err)
		}
	}
	result.text = text.String()
	if !strings.HasSuffix(result.text, "\n") {
		if _, err := fmt.Fprintln(out); err != nil {
			return result, fmt.Errorf("writing the text: %w", err)
		}
	}
	return result, nil
}

// printStats writes the summary of a generation to the error stream.
func (a *app) printStats(s *trit.Stats, finish trit.Finish) {
	fmt.Fprintf(a.err, "\nprompt: %d tokens, %.1f tokens/s; generated: %d tokens, %.1f tokens/s; finish: %s\n",
		s.PromptTokens, s.PromptRate(), s.GeneratedTokens, s.GenerateRate(), finish)
}
