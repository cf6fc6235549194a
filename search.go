package trit

import (
	"bytes"
	"context"
	"fmt"

	"trit/internal/generate"
	"trit/tokenizer"
)

// Answers generates n answers to one prompt, decoded together. Token.Index
// tells them apart.
func Answers(n int) GenerateOption { return func(o *generateOptions) { o.Options.Answers = n } }

// Constrain makes the text keep to a grammar; see generate.Grammar.
func Constrain(c generate.Constraint) GenerateOption {
	return func(o *generateOptions) { o.Options.Constraint = c }
}

// Lookup guesses tokens ahead from earlier occurrences of the text's last ones,
// which saves time where a text repeats parts of itself or of the prompt. It
// does not change the text.
func Lookup() GenerateOption {
	return func(o *generateOptions) { o.Options.Speculation.Lookup, o.draft = true, nil }
}

// Draft guesses tokens ahead with a smaller model that has the same tokens. It
// does not change what the text can be, nor how likely; a greedy text stays the
// same. The draft model must stay open.
func Draft(m *Model) GenerateOption {
	return func(o *generateOptions) { o.draft, o.Options.Speculation.Lookup = m, false }
}

// Speculate sets all options of guessing ahead.
func Speculate(s generate.Speculation) GenerateOption {
	return func(o *generateOptions) { o.Options.Speculation, o.draft = s, nil }
}

// Contrastive chooses among the k most likely tokens by contrastive search with
// the given weight of the penalty against repetition, 0 to 1, instead of by
// sampling.
func Contrastive(k int, alpha float64) GenerateOption {
	return func(o *generateOptions) { o.Options.Contrastive = generate.Contrastive{K: k, Alpha: alpha} }
}

// MaxGuesses bounds the tokens that Lookup or Draft, given before it, guesses at
// once; 0 means 16 for Lookup and 8 for Draft.
func MaxGuesses(n int) GenerateOption {
	return func(o *generateOptions) { o.Options.Speculation.MaxGuesses = n }
}

// Beams searches for the most likely continuations of a prompt, the best first.
func (m *Model) Beams(ctx context.Context, prompt string, o generate.BeamOptions) ([]generate.Beam, error) {
	return m.BeamsFrom(ctx, m.TokenizePrompt(prompt, o.Special), o)
}

// TokenizePrompt returns the tokens of a prompt as Generate sees it: special
// says whether the texts of control tokens stand for those tokens.
func (m *Model) TokenizePrompt(prompt string, special bool) []int32 {
	return m.tokenizer.Encode(prompt, tokenizer.ParseSpecial(special))
}

// BeamsFrom is Beams for a prompt that is given as tokens.
func (m *Model) BeamsFrom(ctx context.Context, prompt []int32, o generate.BeamOptions) ([]generate.Beam, error) {
	s, err := m.scheduler.NewSession()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return generate.Beams(ctx, s, m.tokenizer, prompt, o)
}

// useDraft makes a model the draft model, if it has the same tokens. The answer
// is remembered, as there may be a hundred thousand to compare.
func (m *Model) useDraft(draft *Model, o *generate.Options) error {
	o.Speculation.Draft = draft.scheduler
	if known, ok := m.drafts.Load(draft.tokenizer); ok {
		err, _ := known.(error)
		return err
	}
	err := sameTokens(m.tokenizer, draft.tokenizer)
	if err != nil {
		err = fmt.Errorf("%w: draft model %s: %w", generate.ErrOptions, draft.name, err)
		m.drafts.Store(draft.tokenizer, err)
	} else {
		m.drafts.Store(draft.tokenizer, true)
	}
	return err
}

func sameTokens(a, b *tokenizer.Tokenizer) error {
	if a.Len() != b.Len() {
		return fmt.Errorf("it has %d tokens, the model %d; they must be the same", b.Len(), a.Len())
	}
	for id := range int32(a.Len()) {
		if x, y := a.TokenBytes(id), b.TokenBytes(id); !bytes.Equal(x, y) || a.IsEOG(id) != b.IsEOG(id) {
			return fmt.Errorf("its token %d is %q, the model's %q; they must be the same", id, y, x)
		}
	}
	return nil
}
