package core

import (
	"context"
	"errors"
	"iter"
	"time"

	"trit"
	"trit/grammar"
	"trit/tokenizer"
)

// Job is one prompt to continue, in the terms that all APIs share.
type Job struct {
	Model   *Lease
	Prompt  []int32
	Choices int // at least 1
	Options []trit.GenerateOption
	// FormatField is the field of the request that the text is kept to, for errors.
	FormatField string
	Stats       *trit.Stats // so far, and when the job is over all of them; may be nil
}

// PromptProgress says how far a prompt is, as llama-server does.
type PromptProgress struct {
	Total     int   `json:"total"`
	Cache     int   `json:"cache"`     // tokens from the prefix cache
	Processed int   `json:"processed"` // with those
	TimeMS    int64 `json:"time_ms"`
}

// ReportPrompt has send told how far the prompt is, until its first token comes. A client
// that has gone ends the job by its context, so errors of sending are not needed.
func (j *Job) ReportPrompt(send func(*PromptProgress) error) {
	j.Options = append(j.Options, trit.OnPrompt(func(p trit.PromptProgress) {
		_ = send(&PromptProgress{p.Total, p.Cached, p.Done, p.Time.Milliseconds()})
	}))
}

// Limit is the largest number of tokens of an answer, as llama-server has it: below 0
// there is none but the context's, and 0 brings the prompt into the cache only.
type Limit int

// Option returns the option that keeps an answer to the limit.
func (n Limit) Option() trit.GenerateOption {
	switch {
	case n == 0:
		return trit.PromptOnly()
	case n < 0:
		return trit.MaxTokens(0)
	}
	return trit.MaxTokens(int(n))
}

// Generator continues the prompt of a job with these options.
type Generator func(ctx context.Context, j *Job, options []trit.GenerateOption) iter.Seq2[trit.Token, error]

// generateFrom is the Generator that asks the model.
func generateFrom(ctx context.Context, j *Job, options []trit.GenerateOption) iter.Seq2[trit.Token, error] {
	return j.Model.Model.GenerateFrom(ctx, j.Prompt, options...)
}

// Run waits for its turn and continues the prompt. Its errors are for Classify.
// Leaving the loop ends the generation and frees its memory.
func (s *Server) Run(ctx context.Context, j *Job) iter.Seq2[trit.Token, error] {
	return func(yield func(trit.Token, error) bool) {
		came := time.Now()
		leave, err := j.Model.Enter(ctx, j.Choices)
		if err != nil {
			yield(trit.Token{}, err)
			return
		}
		defer leave()
		stats := j.Stats
		if stats == nil {
			stats = new(trit.Stats)
		}
		rec := recordIn(ctx)
		defer func() {
			rec.cached.Add(int64(stats.CachedTokens))
			rec.guessed.Add(int64(stats.GuessedTokens))
			rec.accepted.Add(int64(stats.AcceptedTokens))
		}()
		slot := j.Model.gate.slot(j)
		defer slot.close()
		rec.since(&rec.begun)
		rec.prompt.Add(int64(len(j.Prompt)))
		options := append(j.Options[:len(j.Options):len(j.Options)], trit.Choices(j.Choices), trit.CollectStats(stats),
			trit.CacheSalt(rec.salt()),
			trit.Arrived(came))
		silent := true
		for token, err := range s.Generate(ctx, j, options) {
			if err != nil {
				if err = stopped(ctx, err); errors.Is(err, grammar.ErrLimit) || errors.Is(err, grammar.ErrNoCompletion) {
					err = Blame(err, j.FormatField)
				}
				yield(token, err)
				return
			}
			silent = false
			slot.generated.Add(1)
			rec.generated.Add(1)
			rec.since(&rec.first)
			if !yield(token, nil) {
				return
			}
		}
		// Where nothing was to be generated, that has an end as well.
		for i := 0; silent && i < j.Choices; i++ {
			if !yield(trit.Token{ID: NoToken, Index: i, Finish: trit.FinishLength}, nil) {
				return
			}
		}
	}
}

// Drafted is what llama-server's timings say of an answer that was guessed ahead.
type Drafted struct {
	N        int `json:"draft_n"`
	Accepted int `json:"draft_n_accepted"`
}

// DraftedOf returns how many tokens of a generation were guessed, nil for none.
func DraftedOf(s *trit.Stats) *Drafted {
	if s.GuessedTokens == 0 {
		return nil
	}
	return &Drafted{s.GuessedTokens, s.AcceptedTokens}
}

// NoToken is the id of what ends an answer without being a token.
const NoToken = -1

// Tokens returns the tokens of a text of a request, until ctx ends. A text that is certainly too long for the model is
// refused before; field is the one that has it.
func (l *Lease) Tokens(ctx context.Context, field, text string, options ...tokenizer.EncodeOption) ([]int32, error) {
	if err := l.Model.MayFit(text); err != nil {
		return nil, Blame(err, field)
	}
	return l.Model.Tokenizer().EncodeContext(ctx, text, options...)
}

// Embed returns the embeddings of texts, when it is their turn.
func (l *Lease) Embed(ctx context.Context, texts [][]int32, options ...trit.EmbedOption) ([][]float32, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	leave, err := l.Enter(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, text := range texts {
		recordIn(ctx).prompt.Add(int64(len(text)))
	}
	return l.Model.EmbedTokens(ctx, texts, options...)
}

// Score returns how likely the model finds the tokens of a prompt, from the
// second one on, each with the top most likely ones in its place.
func (l *Lease) Score(ctx context.Context, prompt []int32, top int) ([]trit.Scored, error) {
	leave, err := l.Enter(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer leave()
	recordIn(ctx).prompt.Add(int64(len(prompt)))
	out := make([]trit.Scored, 0, len(prompt))
	for t, err := range l.Model.Score(ctx, prompt, top) {
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// WithoutSecondBOS drops the BOS that the tokenizer has added to a prompt that
// begins with one already.
func WithoutSecondBOS(t *tokenizer.Tokenizer, prompt []int32) []int32 {
	if id, ok := t.BOS(); ok && t.AddBOS() && len(prompt) > 1 && prompt[0] == id && prompt[1] == id {
		return prompt[1:]
	}
	return prompt
}
