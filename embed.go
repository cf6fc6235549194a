package trit

import (
	"context"
	"fmt"
	"math"

	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/kernel"
)

// Embed returns the mean of the final hidden states of a text's tokens, scaled
// to length 1: a vector of Info().Hidden elements. It tells texts apart by what
// they are about, less sharply than a model that is trained for that. A text
// that is empty is an error.
func (m *Model) Embed(ctx context.Context, text string) ([]float32, error) {
	vectors, err := m.EmbedAll(ctx, text)
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}

// EmbedAll returns what Embed returns for each of the texts. They are computed
// together.
func (m *Model) EmbedAll(ctx context.Context, texts ...string) ([][]float32, error) {
	tokens := make([][]int32, len(texts))
	for i, text := range texts {
		if text == "" {
			return nil, fmt.Errorf("%w: text %d is empty", generate.ErrPrompt, i)
		}
		tokens[i] = m.Tokenize(text)
	}
	return m.EmbedTokens(ctx, tokens...)
}

// Cosine returns the cosine of the angle between two vectors, which says how
// alike two embeddings are: from -1 to 1. It is NaN for vectors that have
// different lengths or no direction.
func Cosine(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.NaN()
	}
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return max(-1, min(1, ab/math.Sqrt(aa*bb)))
}

// EmbedTokens returns what Embed returns, for texts that are given as tokens.
// They are computed together.
func (m *Model) EmbedTokens(ctx context.Context, texts ...[]int32) ([][]float32, error) {
	vectors := make([][]float32, 0, len(texts))
	for i, tokens := range texts {
		if len(tokens) == 0 {
			return nil, fmt.Errorf("%w: text %d has no tokens", generate.ErrPrompt, i)
		}
	}
	room := m.scheduler.Engine().MaxRows()
	for len(texts) > 0 {
		// As many texts at a time as one forward pass takes, and at least one.
		n, rows := 1, len(texts[0])
		for n < len(texts) && rows+len(texts[n]) <= room {
			rows += len(texts[n])
			n++
		}
		some, err := m.embedTogether(ctx, texts[:n])
		if err != nil {
			return nil, err
		}
		vectors, texts = append(vectors, some...), texts[n:]
	}
	return vectors, nil
}

func (m *Model) embedTogether(ctx context.Context, texts [][]int32) ([][]float32, error) {
	jobs := make([]engine.Job, len(texts))
	for i, tokens := range texts {
		s, err := m.newSession()
		if err != nil {
			return nil, err
		}
		defer s.Close()
		jobs[i] = engine.Job{Session: s, Tokens: tokens, Want: engine.Hidden}
	}
	if err := m.scheduler.Run(ctx, jobs); err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(texts))
	for i := range jobs {
		sum := make([]float32, m.model.Config.Hidden)
		for row := range jobs[i].Tokens {
			kernel.Add(sum, sum, jobs[i].Session.Hidden(row))
		}
		// The length makes the difference between sum and mean disappear.
		if length := math.Sqrt(float64(kernel.Dot(sum, sum))); length > 0 {
			kernel.Scale(sum, sum, float32(1/length))
		}
		vectors[i] = sum
	}
	return vectors, nil
}
