package server

import (
	"context"
	"iter"
	"time"

	"trit"
)

// job is one prompt to continue, in the terms that all APIs share.
type job struct {
	model   *lease
	prompt  []int32
	answers int // at least 1
	options []trit.GenerateOption
	stats   *trit.Stats // filled in when the job is over; may be nil
}

// run waits for its turn and continues the prompt. Its errors are for classify.
// Leaving the loop ends the generation and frees its memory.
func (s *Server) run(ctx context.Context, j *job) iter.Seq2[trit.Token, error] {
	return func(yield func(trit.Token, error) bool) {
		came := time.Now()
		leave, err := j.model.gate.enter(ctx, clientIn(ctx), j.answers)
		if err != nil {
			yield(trit.Token{}, stopped(ctx, err))
			return
		}
		defer leave()
		stats := j.stats
		if stats == nil {
			stats = new(trit.Stats)
		}
		slot := j.model.gate.slot(j)
		defer slot.close()
		rec := recordIn(ctx)
		if rec != nil {
			rec.prompt.Add(int64(len(j.prompt)))
		}
		options := append(j.options[:len(j.options):len(j.options)], trit.Answers(j.answers), trit.CollectStats(stats), trit.Arrived(came))
		for token, err := range j.model.Model.GenerateFrom(ctx, j.prompt, options...) {
			if err != nil {
				yield(token, stopped(ctx, err))
				return
			}
			slot.generated.Add(1)
			if rec != nil {
				rec.generated.Add(1)
			}
			if !yield(token, nil) {
				return
			}
		}
	}
}
