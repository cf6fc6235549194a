package trit

import (
	"context"
	"iter"

	"trit/internal/generate"
)

// Scored is a token of a text with its probability there.
type Scored = generate.Scored

// Score yields the tokens of a text, from the second one on, with how likely the
// model finds each behind those before it, and the top most likely ones in its
// place.
func (m *Model) Score(ctx context.Context, tokens []int32, top int) iter.Seq2[Scored, error] {
	return func(yield func(Scored, error) bool) {
		s, err := m.newSession()
		if err != nil {
			yield(Scored{}, err)
			return
		}
		defer s.Close()
		generate.Score(ctx, s, tokens, top)(yield)
	}
}
