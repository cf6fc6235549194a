package eval

import (
	"context"
	"fmt"
	"iter"

	"trit/internal/generate"
	"trit/tokenizer"
)

// Model is what a Scorer needs of a model; those of the library are some.
type Model interface {
	Tokenizer() *tokenizer.Tokenizer
	Score(ctx context.Context, tokens []int32, top int) iter.Seq2[generate.Scored, error]
	Context() int
}

// Direct asks a model of this program. Texts without a context may be longer than the model's: they are scored in
// windows that have the last token of the one before them, as the harness does.
type Direct struct{ Model Model }

// Score implements Scorer.
func (d Direct) Score(ctx context.Context, context string, texts []string) ([]Score, error) {
	out := make([]Score, len(texts))
	var before int // tokens of the context
	if context != "" {
		before = len(d.tokens(context))
	}
	for i, text := range texts {
		tokens := d.tokens(context + text)
		most := d.Model.Context()
		if context != "" && len(tokens) > most {
			return nil, fmt.Errorf("%d tokens are more than the context of %d; ask for fewer shots, or open the model with a "+
				"larger context", len(tokens), most)
		}
		if err := d.add(ctx, &out[i], tokens[:min(len(tokens), most)], max(before, 1)); err != nil {
			return nil, err
		}
		for at := most; at < len(tokens); {
			// A window reaches back as far as it can.
			end := min(at+most-1, len(tokens))
			if err := d.add(ctx, &out[i], tokens[end-most:end], most-(end-at)); err != nil {
				return nil, err
			}
			at = end
		}
	}
	return out, nil
}

// tokens reads control tokens in texts, as servers do in prompts.
func (d Direct) tokens(text string) []int32 {
	return d.Model.Tokenizer().Encode(text, tokenizer.ParseSpecial(true))
}

// add scores the tokens from an index on.
func (d Direct) add(ctx context.Context, s *Score, tokens []int32, from int) error {
	at := 0
	for t, err := range d.Model.Score(ctx, tokens, 0) {
		if err != nil {
			return err
		}
		if at++; at >= from {
			s.LogProb += t.LogProb
			s.Tokens++
		}
	}
	return nil
}
