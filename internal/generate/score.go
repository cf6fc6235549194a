package generate

import (
	"context"
	"fmt"
	"iter"

	"trit/internal/engine"
	"trit/internal/fault"
	"trit/sample"
)

// Scored is a token of a given text and how likely the model finds it there.
type Scored struct {
	ID int32
	// LogProb is the natural logarithm of the token's probability in the model's
	// own distribution, Rank its place there: 1 is the most likely one, and of
	// two that are equally likely the one with the lower id comes first.
	LogProb float64
	Rank    int
	// Top are the most likely tokens in its place, as many as were asked for.
	Top []sample.TokenLogProb
}

// maxTopScores bounds what Score lists for each token.
const maxTopScores = 1000

// scoreBytes bounds the logits that Score has in memory at a time.
const scoreBytes = 16 << 20

// Score runs a text and yields its tokens with their probabilities, from the
// second one on: the first has nothing before it, unless the session already
// holds the beginning of the text. top is the number of likely tokens to list
// for each. The session holds the text afterwards, or its beginning if the loop
// was left.
func Score(ctx context.Context, s *engine.Session, tokens []int32, top int) iter.Seq2[Scored, error] {
	return func(yield func(Scored, error) bool) {
		if err := score(ctx, s, tokens, top, func(t Scored) bool { return yield(t, nil) }); err != nil {
			yield(Scored{}, err)
		}
	}
}

func score(ctx context.Context, s *engine.Session, tokens []int32, top int, yield func(Scored) bool) error {
	if len(tokens) == 0 {
		return fmt.Errorf("%w: it has no tokens", ErrPrompt)
	}
	if top < 0 || top > maxTopScores {
		return fault.Option("top", "%d; want 0 to %d", top, maxTopScores)
	}
	e := s.Scheduler().Engine()
	vocab := e.Model().Config.Vocab
	if n, context := s.Len()+len(tokens), e.Context(); n > context {
		return &fault.ContextError{What: "the text", Tokens: n, Room: context, Context: context}
	}
	for i, id := range tokens {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("%w: token %d is %d, the vocabulary has %d", ErrPrompt, i, id, vocab)
		}
	}
	if s.Len() > 0 {
		// Running the last token once more gives what follows it.
		last := s.Tokens()[s.Len()-1]
		if err := s.Truncate(s.Len() - 1); err != nil {
			return err
		}
		tokens = append([]int32{last}, tokens...)
	}
	rows := max(1, min(e.MaxRows(), scoreBytes/4/vocab))
	for begin := 0; begin < len(tokens); begin += rows {
		end := min(begin+rows, len(tokens))
		if err := s.Run(ctx, tokens[begin:end], engine.All, 0); err != nil {
			return err
		}
		for i := begin; i < end && i+1 < len(tokens); i++ {
			scored, err := scoreToken(s.Logits(i-begin), tokens[i+1], top)
			if err != nil {
				return err
			}
			if !yield(scored) {
				return nil
			}
		}
	}
	return nil
}

// scoreToken judges a token by the logits of its place.
func scoreToken(logits []float32, id int32, top int) (Scored, error) {
	logProb, err := sample.LogProb(logits, id)
	if err != nil {
		return Scored{}, err
	}
	scored := Scored{ID: id, LogProb: logProb, Rank: 1}
	own := logits[id]
	for i, v := range logits {
		if v > own || v == own && i < int(id) {
			scored.Rank++
		}
	}
	if top > 0 {
		if scored.Top, err = sample.TopLogProbs(nil, logits, top); err != nil {
			return Scored{}, err
		}
	}
	return scored, nil
}
