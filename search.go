package trit

import (
	"bytes"
	"context"
	"fmt"

	"trit/internal/generate"
	"trit/tokenizer"
)

// Beam is a text that beam search has found, BeamOptions say how it looks.
type (
	Beam        = generate.Beam
	BeamOptions = generate.BeamOptions
)

// Beams searches for the most likely continuations of a prompt, the best first.
func (m *Model) Beams(ctx context.Context, prompt string, o BeamOptions) ([]Beam, error) {
	tokens, err := m.encode(ctx, prompt, tokenizer.ParseSpecial(o.Special))
	if err != nil {
		return nil, err
	}
	return m.BeamsFrom(ctx, tokens, o)
}

// BeamsFrom is Beams for a prompt that is given as tokens.
func (m *Model) BeamsFrom(ctx context.Context, prompt []int32, o BeamOptions) ([]Beam, error) {
	s, err := m.newSession()
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
		err = &OptionError{Option: "draft", Err: fmt.Errorf("model %s: %w", draft.name, err)}
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
