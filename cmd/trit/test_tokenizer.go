package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/gguf"
	"trit/hub"
	"trit/tokenizer"
)

func (a *app) testTokenizerCommand() *cobra.Command {
	var (
		name    string
		path    string
		pre     string
		text    string
		special bool
	)
	cmd := &cobra.Command{
		Use:     "test-tokenizer",
		GroupID: "check",
		Short:   "Show how a text is cut into tokens, and whether it comes back whole",
		Long: `Show how a text is cut into tokens, and whether it comes back whole.

The tokenizer is a model's (--model) or a file of its own (--tokenizer: a
tokenizer.json, a tokenizer.model, or a folder with one). The exit code is 1 if
decoding the tokens does not give the text back.`,
		Example: "  trit test-tokenizer --model demo --text \"Tell me a story.\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (name == "") == (path == "") {
				return usage(cmd, fmt.Errorf("give either --model or --tokenizer"))
			}
			if !cmd.Flags().Changed("text") {
				return usage(cmd, fmt.Errorf("--text is missing"))
			}
			t, err := openTokenizer(name, path, pre)
			if err != nil {
				return err
			}
			report := tokenizeReport(t, text, special)
			return verdict(report.RoundTrip, a.printText(report))
		},
	}
	cmd.Flags().StringVarP(&name, "model", "m", "", "path of a GGUF file or name of a model")
	cmd.Flags().StringVar(&path, "tokenizer", "", "tokenizer.json, tokenizer.model, or a folder with one")
	cmd.Flags().StringVar(&pre, "pre", "", "pre-tokenizer instead of the file's: "+strings.Join(tokenizer.PreTokenizers(), ", "))
	cmd.Flags().StringVar(&text, "text", "", "the text to tokenize (required)")
	cmd.Flags().BoolVar(&special, "special", false, "recognise control tokens in the text")
	takesModel(cmd)
	return cmd
}

// openTokenizer opens the tokenizer of a model or of a file.
func openTokenizer(model, path, pre string) (*tokenizer.Tokenizer, error) {
	var opts []tokenizer.Option
	if pre != "" {
		opts = append(opts, tokenizer.WithPre(pre))
	}
	if path != "" {
		return tokenizer.Open(path, opts...)
	}
	var t *tokenizer.Tokenizer
	return t, withFile(model, func(m *hub.Model, f *gguf.File) (err error) {
		if t, err = tokenizer.FromGGUF(f.Metadata, opts...); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		return nil
	})
}

// tokenReport is what test-tokenizer prints.
type tokenReport struct {
	Model        string      `json:"model"`
	PreTokenizer string      `json:"pre_tokenizer"`
	Vocabulary   int         `json:"vocabulary"`
	Tokens       []tokenText `json:"tokens"`
	Decoded      string      `json:"decoded"`
	RoundTrip    bool        `json:"round_trip"`
	Warnings     []string    `json:"warnings,omitempty"`
}

type tokenText struct {
	ID   int32  `json:"id"`
	Text string `json:"text"`
}

func tokenizeReport(t *tokenizer.Tokenizer, text string, special bool) *tokenReport {
	r := &tokenReport{Model: t.Model(), PreTokenizer: t.Pre(), Vocabulary: t.Len(), Warnings: t.Warnings(), Tokens: []tokenText{}}
	ids := t.Encode(text, tokenizer.ParseSpecial(special))
	for _, id := range ids {
		r.Tokens = append(r.Tokens, tokenText{id, t.Piece(id, true)})
	}
	// Special tokens around a text change how its first space is decoded, so
	// the way back starts from the text's own tokens.
	own := t.Encode(text, tokenizer.ParseSpecial(special), tokenizer.AddSpecial(false))
	r.Decoded = t.Decode(own, tokenizer.RenderSpecial(special), tokenizer.CleanSpaces(false))
	r.RoundTrip = r.Decoded == text
	return r
}

func (r *tokenReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s tokenizer (%s), %d tokens in the vocabulary\n\n", r.Model, r.PreTokenizer, r.Vocabulary)
	for _, t := range r.Tokens {
		fmt.Fprintf(&b, "%8d  %q\n", t.ID, t.Text)
	}
	fmt.Fprintf(&b, "\n%d tokens\ndecoded: %q\n", len(r.Tokens), r.Decoded)
	if r.RoundTrip {
		b.WriteString("round trip: the text comes back unchanged\n")
	} else {
		b.WriteString("round trip: FAILED, the text does not come back\n")
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}
