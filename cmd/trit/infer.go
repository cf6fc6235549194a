package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"trit"
	"trit/grammar"
	"trit/internal/atomicfile"
	"trit/internal/tui"
	"trit/tokenizer"
)

// inferCommand continues texts. Its flags are checked in infer_flags.go, what
// it prints is in infer_output.go.
func (a *app) inferCommand() *cobra.Command {
	var f inferFlags
	cmd := &cobra.Command{
		Use:     "infer",
		GroupID: "run",
		Short:   "Continue a text, or answer one question",
		Long: `Continue a text, or answer one question.

The prompt comes from --prompt, from --prompt-file, or from standard input. It is
continued as it is; with --chat it is a user's message, put into the model's own
chat template. The text goes to standard output as it is generated, a summary
with the speed to standard error.

A constraint makes the text keep to a form: JSON, a JSON Schema, a grammar, a
regular expression. Near --max-tokens it is steered to its shortest end; if even
that does not fit, the command fails.`,
		Example: `  trit infer -m demo -p "Once upon a time" --max-tokens 60
  trit infer -m demo --chat -p "What is the capital of France?"
  echo "Once upon a time" | trit infer -m demo --temperature 0.7 --seed 7 --n 3
  trit infer -m demo -p "A fox: " --json-schema '{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}'
  trit infer -m demo --chat -p "Is a fox an animal?" --choice Yes --choice No
  trit infer -m demo -p "Once upon a time" --beams 4 --length-penalty 1
  trit infer -m model.gguf --prompt-file long.txt --lookup --prompt-cache long.cache`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return usage(cmd, err)
			}
			constraint, err := f.constraint.compile()
			if err != nil {
				return usage(cmd, err)
			}
			prompt, err := f.readPrompt(a, cmd)
			if err != nil {
				return err
			}
			if !utf8.ValidString(prompt) {
				a.log.Warn("the prompt is not valid UTF-8; the bytes that are not are read as U+FFFD")
			}
			m, err := f.model.open(a, cmd)
			if err != nil {
				return err
			}
			defer m.Close()
			r := &inference{app: a, flags: &f, model: m, prompt: prompt, given: cmd.Flags().Changed}
			if constraint != nil && len(constraint.Relaxed()) > 0 {
				r.relaxed = constraint
				for _, x := range constraint.Relaxed() {
					a.log.Warn("the text is not held to a part of the JSON Schema, and checked when it is finished", "place",
						x.Place(), "reason", x.Reason)
				}
			}
			return withTrace(cmd, m, func() error { return r.run(cmd, constraint) })
		},
	}
	f.add(cmd)
	takesModel(cmd)
	return cmd
}

// inference is one run of infer.
type inference struct {
	app    *app
	flags  *inferFlags
	model  *trit.Model
	prompt string
	given  func(flag string) bool

	tokens    []int32        // the prompt's
	prepared  *trit.Prepared // with --chat
	stops     []int32        // --stop-token
	maxTokens int
	seed      uint64
	relaxed   *grammar.Grammar // the constraint, if it is made of a schema that it does not hold to altogether
}

func (r *inference) run(cmd *cobra.Command, constraint *grammar.Grammar) error {
	f, ctx := r.flags, cmd.Context()
	if err := r.encode(ctx, constraint); err != nil {
		return err
	}
	for _, text := range f.stopTokens {
		id, err := parseToken(r.model, text)
		if err != nil {
			return usage(cmd, fmt.Errorf("--stop-token: %w", err))
		}
		r.stops = append(r.stops, id)
	}
	r.maxTokens = f.limit(r.given)
	if err := r.loadCache(); err != nil {
		return err
	}
	var err error
	if f.beams > 0 {
		err = r.beams(ctx, constraint)
	} else {
		err = r.generate(cmd, constraint)
	}
	var cut *cutError
	if err != nil && !errors.As(err, &cut) {
		return err
	}
	if saveErr := r.saveCache(); saveErr != nil {
		return errors.Join(err, saveErr)
	}
	return err
}

// encode finds the prompt's tokens.
func (r *inference) encode(ctx context.Context, constraint *grammar.Grammar) (err error) {
	if !r.flags.ask {
		r.tokens = r.model.Tokenizer().Encode(r.prompt, tokenizer.ParseSpecial(r.flags.special))
		return nil
	}
	c := trit.Conversation{Messages: r.messages(), Format: trit.Format{Grammar: constraint}}
	r.flags.think.apply(&c)
	if r.prepared, err = r.model.Prepare(ctx, c); err == nil {
		r.tokens = r.prepared.Prompt
	}
	return err
}

// loadCache reads the file with the prompts of earlier runs, if there is one.
func (r *inference) loadCache() error {
	path := r.flags.promptCache
	if path == "" {
		return nil
	}
	err := r.model.LoadPrompts(path)
	if errors.Is(err, fs.ErrNotExist) {
		if r.flags.promptCacheRO {
			return fmt.Errorf("--prompt-cache %s: there is no such file, and --prompt-cache-ro would not write it", path)
		}
		return canCreate(path)
	}
	if err != nil {
		return fmt.Errorf("--prompt-cache: %w; to keep that file, name another one", err)
	}
	return nil
}

// canCreate finds out before a long computation whether its result can be
// written.
func canCreate(path string) error {
	probe, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return fmt.Errorf("--prompt-cache %s: the file cannot be created: %w", path, errors.Unwrap(err))
	}
	return probe.Abort()
}

func (r *inference) saveCache() error {
	if r.flags.promptCache == "" || r.flags.promptCacheRO {
		return nil
	}
	if err := r.model.SavePrompts(r.flags.promptCache); err != nil {
		return fmt.Errorf("--prompt-cache: %w", err)
	}
	return nil
}

// generate runs everything but beam search.
func (r *inference) generate(cmd *cobra.Command, constraint *grammar.Grammar) error {
	f, ctx := r.flags, cmd.Context()
	sampling := r.model.Sampling()
	if err := f.sampling.apply(&sampling, r.model); err != nil {
		return usage(cmd, err)
	}
	var err error
	if r.seed, err = f.sampling.seed(); err != nil {
		return usage(cmd, err)
	}
	sampling.Seed = &r.seed
	if f.logprobs >= 0 {
		sampling.LogProb, sampling.TopLogProbs = true, f.logprobs
	}
	var stats trit.Stats
	opts := []trit.GenerateOption{
		trit.Sampling(sampling), trit.MaxTokens(r.maxTokens), trit.MinTokens(f.minTokens), trit.Stop(f.stop...),
		trit.StopTokens(r.stops...), trit.Choices(f.answers), trit.CollectStats(&stats),
	}
	if f.special {
		opts = append(opts, trit.ShowSpecial())
	}
	if f.ignoreEOS {
		opts = append(opts, trit.IgnoreEnd())
	}
	if constraint != nil && !f.ask {
		opts = append(opts, trit.Grammar(constraint))
	}
	if f.contrastiveK > 0 {
		opts = append(opts, trit.Contrastive(f.contrastiveK, f.contrastiveAlpha))
	}
	switch {
	case f.draft != "":
		flags := f.model
		flags.model, flags.tokenizer = f.draft, ""
		draft, err := flags.open(r.app, cmd)
		if err != nil {
			return fmt.Errorf("--draft: %w", err)
		}
		defer draft.Close()
		opts = append(opts, trit.Draft(draft), trit.MaxGuesses(f.draftMax))
	case f.lookup:
		opts = append(opts, trit.Lookup(), trit.MaxGuesses(f.draftMax))
	case f.model.load.MTP:
		opts = append(opts, trit.MaxGuesses(f.draftMax))
	}
	pieces := plainPieces(r.model.GenerateFrom(ctx, r.tokens, opts...))
	if f.ask {
		pieces = r.prepared.Run(ctx, opts...)
	}
	return r.print(pieces, &stats, sampling.Temperature == 0 || f.contrastiveK > 0)
}

// plainPieces makes pieces of texts that are no answers.
func plainPieces(tokens iter.Seq2[trit.Token, error]) iter.Seq2[trit.Piece, error] {
	return func(yield func(trit.Piece, error) bool) {
		for token, err := range tokens {
			if !yield(trit.Piece{Token: token, Content: token.Text}, err) {
				return
			}
		}
	}
}

// speaker makes what a terminal shows of an answer: what the model thinks, dimmed, an empty line, and
// what it says, both without control characters: the text is for termtext.Raw. Elsewhere only what
// it says is written, as it is.
type speaker struct {
	terminal          bool
	thought, answered bool
}

func (s *speaker) say(reasoning, content string) string {
	text := ""
	if s.terminal {
		content = tui.Printable(content)
		text = dimmed(tui.Printable(reasoning))
		s.thought = s.thought || reasoning != ""
	}
	if content != "" && s.thought && !s.answered {
		text += "\n\n"
	}
	s.answered = s.answered || content != ""
	return text + content
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
