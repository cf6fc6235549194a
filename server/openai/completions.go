package openai

import (
	"context"
	"iter"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"

	"trit"
	"trit/internal/generate"
	"trit/server/core"
	"trit/tokenizer"
)

// completionRequest is the body of POST /v1/completions.
type completionRequest struct {
	Model  string      `json:"model"`
	Prompt promptField `json:"prompt"`
	requestOptions

	N         *int  `json:"n"`
	BestOf    *int  `json:"best_of"`
	MaxTokens *int  `json:"max_tokens"`
	LogProbs  *int  `json:"logprobs"`
	Echo      *bool `json:"echo"`

	Stream        bool           `json:"stream"`
	StreamOptions *streamOptions `json:"stream_options"`

	ResponseFormat   *responseFormat `json:"response_format"`
	AddSpecialTokens *bool           `json:"add_special_tokens"` // vLLM
	ParseSpecial     *bool           `json:"parse_special"`      // true where it is left out
	TimingsPerToken  bool            `json:"timings_per_token"`  // llama.cpp
	ReturnProgress   bool            `json:"return_progress"`    // likewise
}

// API implements core.Bound.
func (*completionRequest) API() core.API { return core.Completions }

// textChoice is an answer, or a piece of one in a stream.
type textChoice struct {
	Index          int                        `json:"index"`
	Text           string                     `json:"text"`
	LogProbs       *textLogProbs              `json:"logprobs"`
	FinishReason   *string                    `json:"finish_reason"`
	PromptLogProbs []map[string]promptLogProb `json:"prompt_logprobs,omitempty"`
}

// completions answers POST /v1/completions.
func (s *api) completions(w http.ResponseWriter, r *http.Request) error {
	var req completionRequest
	if err := core.ReadJSON(r, &req); err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	f, err := req.guideFields.format(req.ResponseFormat, "response_format")
	if err != nil {
		return err
	}
	limit, err := req.limit(defaultMaxTokens, limitField{"max_tokens", req.MaxTokens})
	if err != nil {
		return err
	}
	model, err := s.Models.Acquire(r.Context(), req.Model)
	if err != nil {
		return err
	}
	defer model.Release()
	if err := req.Prompt.encode(r.Context(), model, "prompt", tokenizer.AddSpecial(core.ValueOr(req.AddSpecialTokens, true)),
		tokenizer.ParseSpecial(core.ValueOr(req.ParseSpecial, true))); err != nil {
		return err
	}
	choices := core.ValueOr(req.N, 1)
	if req.BestOf != nil {
		choices = *req.BestOf
	}
	options, err := req.apply(r.Context(), model.Model, limit, req.LogProbs != nil ||
		choices > core.ValueOr(req.N, 1), core.ValueOr(req.LogProbs, 0))
	if err != nil {
		return err
	}
	jobs := make([]*completionJob, len(req.Prompt))
	for i := range jobs {
		constraint, ignored, err := model.Formatted(r.Context(), f) // each text has one of its own
		if err != nil {
			return err
		}
		if i == 0 {
			core.SayIgnored(r, ignored)
		}
		jobs[i] = &completionJob{
			Job: core.Job{Model: model, Prompt: req.Prompt[i].tokens, Choices: choices,
				Options: slices.Concat(options, constraint), FormatField: f.Field, Stats: new(trit.Stats)},
			server: s.Server, request: &req, prompt: &req.Prompt[i],
		}
	}
	out := s.NewReply(w, r, core.FormOf(req.Stream, core.Events))
	b := newTextBuilder(&req, jobs, out)
	if req.Stream && req.ReturnProgress {
		for i, j := range jobs {
			j.ReportPrompt(func(p *core.PromptProgress) error { return b.progress(i, p) })
		}
	}
	// More than the model takes at a time would only fill the queue.
	together := max(1, s.Options.Parallel/choices)
	return core.Answer(out, runAll(out.Context(), jobs, together), b)
}

// defaultMaxTokens is OpenAI's.
const defaultMaxTokens = 16

func (req *completionRequest) check() error {
	for _, f := range []struct {
		name     string
		value    *int
		min, max int
	}{
		{"n", req.N, 1, maxAnswers},
		{"best_of", req.BestOf, core.ValueOr(req.N, 1), maxAnswers},
		{"logprobs", req.LogProbs, 0, maxTopLogProbs},
		{"prompt_logprobs", req.PromptLogProbs, 0, maxTopLogProbs},
	} {
		if err := within(f.name, f.value, f.min, f.max); err != nil {
			return err
		}
	}
	switch {
	case req.Stream && core.ValueOr(req.BestOf, 1) > core.ValueOr(req.N, 1):
		return core.BadRequest("best_of", "best_of cannot be streamed: the best answer is known at the end only")
	case req.PromptLogProbs != nil && req.Stream:
		return core.Unsupported("prompt_logprobs", "prompt_logprobs is not supported in streams; send stream false")
	case req.StreamOptions != nil && !req.Stream:
		return core.BadRequest("stream_options", "stream_options needs stream to be true")
	}
	return nil
}

// completionJob continues one of the prompts.
type completionJob struct {
	core.Job
	server  *core.Server
	request *completionRequest
	prompt  *promptText
}

// textEvent is something that happens to a prompt: an echo of it, or a token of
// one of its answers.
type textEvent struct {
	prompt int
	echo   *textEcho
	token  trit.Token
	// timings are those of the prompt's answers so far, if they are asked for.
	timings *timings
}

// textEcho is the prompt as a part of the answer.
type textEcho struct {
	text   string
	tokens []int32 // without those that the server has added
	scored []generate.Scored
	// known is how many of the last tokens have probabilities.
	known int
}

// events runs the job and yields what happens.
func (j *completionJob) events(ctx context.Context, index int, yield func(textEvent) bool) error {
	req := j.request
	echo := core.IsTrue(req.Echo)
	if echo || req.PromptLogProbs != nil {
		e, err := j.echo(ctx)
		if err != nil {
			return err
		}
		if !yield(textEvent{prompt: index, echo: e}) {
			return nil
		}
	}
	if echo && req.MaxTokens != nil && *req.MaxTokens == 0 {
		j.Stats.PromptTokens = len(j.Job.Prompt)
		for i := range j.Choices {
			if !yield(textEvent{prompt: index, token: trit.Token{ID: core.NoToken, Index: i, Finish: trit.FinishLength}}) {
				return nil
			}
		}
		return nil
	}
	for token, err := range j.server.Run(ctx, &j.Job) {
		if err != nil {
			return err
		}
		e := textEvent{prompt: index, token: token}
		if req.TimingsPerToken {
			e.timings = newTimings(j.Stats)
		}
		if !yield(e) {
			return nil
		}
	}
	return nil
}

// echo returns the prompt, with the probabilities that are asked for.
func (j *completionJob) echo(ctx context.Context) (*textEcho, error) {
	req := j.request
	e := &textEcho{text: j.prompt.text, tokens: j.Job.Prompt}
	t := j.Model.Model.Tokenizer()
	if j.prompt.ids {
		e.text = t.Decode(j.Job.Prompt, tokenizer.CleanSpaces(false))
	} else if t.AddBOS() && core.ValueOr(req.AddSpecialTokens, true) {
		e.tokens = e.tokens[1:]
	}
	top := -1
	if req.LogProbs != nil && core.IsTrue(req.Echo) {
		top = *req.LogProbs
	}
	if req.PromptLogProbs != nil {
		top = max(top, *req.PromptLogProbs)
	}
	if top < 0 {
		return e, nil
	}
	var err error
	e.scored, err = j.Model.Score(ctx, j.Job.Prompt, top)
	e.known = min(len(e.scored), len(e.tokens))
	return e, err
}

// logProbs adds the prompt's tokens to the lists.
func (e *textEcho) logProbs(w *textLogProbsWriter, top int) {
	unknown := len(e.tokens) - e.known
	for _, id := range e.tokens[:unknown] {
		w.add(id, 0, nil, true)
	}
	for i, id := range e.tokens[unknown:] {
		s := &e.scored[len(e.scored)-e.known+i]
		w.add(id, s.LogProb, s.Top[:min(top, len(s.Top))], false)
	}
}

// runAll runs jobs, so many of them at a time, and yields all that happens, one
// after the other. The first error ends all of them.
func runAll(ctx context.Context, jobs []*completionJob, together int) iter.Seq2[textEvent, error] {
	return func(yield func(textEvent, error) bool) {
		running, cancel := context.WithCancel(ctx)
		group, running := errgroup.WithContext(running)
		group.SetLimit(together)
		events := make(chan textEvent)
		send := func(e textEvent) bool {
			select {
			case events <- e:
				return true
			case <-running.Done():
				return false
			}
		}
		var failed error
		go func() {
			defer close(events)
			for i, j := range jobs {
				group.Go(func() error { return j.events(running, i, send) })
			}
			failed = group.Wait()
		}()
		defer func() {
			cancel()
			for range events { // until the last job is over
			}
		}()
		for e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if failed == nil {
			// A job that was cancelled between two tokens has ended without an error.
			failed = ctx.Err()
		}
		if failed != nil {
			yield(textEvent{}, failed)
		}
	}
}
