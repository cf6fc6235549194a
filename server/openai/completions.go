package openai

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"

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

	Suffix *string `json:"suffix"` // not supported
}

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
	limit, err := req.limit(defaultMaxTokens, req.MaxTokens)
	if err != nil {
		return err
	}
	model, err := s.Models.Acquire(r.Context(), req.Model)
	if err != nil {
		return err
	}
	defer model.Release()
	if err := req.Prompt.encode(model.Model, "prompt", tokenizer.AddSpecial(core.ValueOr(req.AddSpecialTokens, true))); err != nil {
		return err
	}
	answers := core.ValueOr(req.N, 1)
	if req.BestOf != nil {
		answers = *req.BestOf
	}
	options, err := req.apply(model.Model, limit, req.LogProbs != nil || answers > core.ValueOr(req.N, 1), core.ValueOr(req.LogProbs, 0))
	if err != nil {
		return err
	}
	work := make([]*completionJob, len(req.Prompt))
	for i := range work {
		work[i] = &completionJob{
			Job:    core.Job{Model: model, Prompt: req.Prompt[i].tokens, Answers: answers, Options: options, Stats: new(trit.Stats)},
			server: s.Server, request: &req, prompt: &req.Prompt[i],
		}
		c, err := model.Constraint(f)
		if err != nil {
			return err
		}
		if c != nil {
			work[i].Options = append(slices.Clip(options), trit.Constrain(c))
		}
	}
	if req.Stream {
		return s.streamCompletions(w, r, &req, work)
	}
	reply, err := completeAll(r.Context(), &req, work)
	if err != nil {
		return err
	}
	return core.WriteJSON(w, http.StatusOK, reply)
}

// defaultMaxTokens is OpenAI's.
const defaultMaxTokens = 16

func (req *completionRequest) check() error {
	low := 1
	if core.IsTrue(req.Echo) { // which can be all that is wanted
		low = 0
	}
	for _, f := range []struct {
		name     string
		value    *int
		min, max int
	}{
		{"n", req.N, 1, maxAnswers},
		{"best_of", req.BestOf, core.ValueOr(req.N, 1), maxAnswers},
		{"max_tokens", req.MaxTokens, low, maxInt32},
		{"logprobs", req.LogProbs, 0, maxTopLogProbs},
		{"prompt_logprobs", req.PromptLogProbs, 0, maxTopLogProbs},
	} {
		if err := within(f.name, f.value, f.min, f.max); err != nil {
			return err
		}
	}
	switch {
	case req.Suffix != nil && *req.Suffix != "":
		return core.Unsupported("suffix", "suffix is not supported: this server's models write what follows a text, not what is missing in it")
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
		for i := range j.Answers {
			if !yield(textEvent{prompt: index, token: trit.Token{ID: -1, Index: i, Finish: trit.FinishLength}}) {
				return nil
			}
		}
		return nil
	}
	for token, err := range j.server.Run(ctx, &j.Job) {
		if err != nil {
			return err
		}
		if !yield(textEvent{prompt: index, token: token}) {
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
	} else if bos, ok := t.BOS(); ok && t.AddBOS() && len(e.tokens) > 1 && e.tokens[0] == bos && core.ValueOr(req.AddSpecialTokens, true) {
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

// fanOut runs jobs, some of them at a time, and hands all that happens to handle,
// one after the other. The first error ends all of them.
func fanOut(ctx context.Context, jobs []*completionJob, handle func(textEvent) error) error {
	whole := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// More than the model takes at a time would only fill the queue.
	together := min(len(jobs), max(1, jobs[0].server.Options.Parallel/jobs[0].Answers))
	next := make(chan int)
	events := make(chan textEvent)
	failed := make(chan error, together)
	for range together {
		go func() {
			for i := range next {
				err := jobs[i].events(ctx, i, func(e textEvent) bool {
					select {
					case events <- e:
						return true
					case <-ctx.Done():
						return false
					}
				})
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	go func() {
		defer close(next)
		for i := range jobs {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	var first error
	note := func(err error) {
		if err != nil && first == nil {
			first = err
			cancel()
		}
	}
	for together > 0 {
		select {
		case e := <-events:
			if first == nil {
				note(handle(e))
			}
		case err := <-failed:
			note(err)
			together--
		}
	}
	if first == nil {
		// A job that was cancelled between two tokens has ended without an error.
		first = whole.Err()
	}
	return first
}

// textAnswer is an answer in the making.
type textAnswer struct {
	text   strings.Builder
	writer *textLogProbsWriter // nil if no probabilities are wanted
	sum    float64             // of the log-probabilities
	tokens int
	finish string
	prompt []map[string]promptLogProb
}

// newTextAnswers returns the answers to all prompts.
func newTextAnswers(req *completionRequest, jobs []*completionJob) [][]textAnswer {
	all := make([][]textAnswer, len(jobs))
	for i, j := range jobs {
		all[i] = make([]textAnswer, j.Answers)
		if req.LogProbs == nil {
			continue
		}
		special := req.SkipSpecialTokens != nil && !*req.SkipSpecialTokens
		for k := range all[i] {
			all[i][k].writer = newTextLogProbsWriter(j.Model.Model.Tokenizer(), special, !core.IsTrue(req.Echo))
		}
	}
	return all
}

// take adds what has happened to the answers of a prompt, and returns the text
// that each answer from index on to end gains.
func takeText(answers []textAnswer, e *textEvent, j *completionJob) (text string, index, end int) {
	req := j.request
	if e.echo != nil {
		for i := range answers {
			a := &answers[i]
			if req.PromptLogProbs != nil {
				a.prompt = promptLogProbs(j.Model.Model.Tokenizer(), e.echo.scored)
			}
			if core.IsTrue(req.Echo) && a.writer != nil {
				e.echo.logProbs(a.writer, *req.LogProbs)
			}
		}
		if !core.IsTrue(req.Echo) {
			return "", 0, 0
		}
		return e.echo.text, 0, len(answers)
	}
	t := &e.token
	a := &answers[t.Index]
	a.finish = finishReason(t.Finish, false)
	if t.ID >= 0 {
		a.tokens++
		a.sum += t.LogProb
		if a.writer != nil && !req.ends(j.Model, t) {
			a.writer.add(t.ID, t.LogProb, t.Top, false)
		}
	}
	return t.Text, t.Index, t.Index + 1
}

// completeAll runs all jobs and returns the complete answers.
func completeAll(ctx context.Context, req *completionRequest, jobs []*completionJob) (*textReply[textChoice], error) {
	all := newTextAnswers(req, jobs)
	err := fanOut(ctx, jobs, func(e textEvent) error {
		text, from, to := takeText(all[e.prompt], &e, jobs[e.prompt])
		for i := from; i < to; i++ {
			all[e.prompt][i].text.WriteString(text)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	reply := newReply[textChoice](jobs[0].Model, core.NewID("cmpl-"), "text_completion")
	for i := range jobs {
		for _, k := range bestAnswers(all[i], core.ValueOr(req.N, 1)) {
			a := &all[i][k]
			c := textChoice{Index: len(reply.Choices), Text: a.text.String(), FinishReason: &a.finish, PromptLogProbs: a.prompt}
			if a.writer != nil {
				c.LogProbs = a.writer.lists
			}
			reply.Choices = append(reply.Choices, c)
		}
	}
	stats := sumStats(jobs)
	reply.Usage, reply.Timings = newUsage(stats), newTimings(stats)
	return &reply, nil
}

// bestAnswers returns the indexes of the n answers whose tokens are the most
// likely on average, the best first, or all in their order if there are only n.
func bestAnswers(answers []textAnswer, n int) []int {
	order := make([]int, len(answers))
	for i := range order {
		order[i] = i
	}
	if len(answers) > n {
		mean := func(i int) float64 {
			if answers[i].tokens == 0 {
				return math.Inf(-1)
			}
			return answers[i].sum / float64(answers[i].tokens)
		}
		slices.SortStableFunc(order, func(i, k int) int {
			switch a, b := mean(i), mean(k); {
			case a > b:
				return -1
			case a < b:
				return 1
			}
			return 0
		})
		order = order[:n]
	}
	return order
}

// sumStats adds the counts and times of all jobs.
func sumStats(jobs []*completionJob) *trit.Stats {
	sum := new(trit.Stats)
	for _, j := range jobs {
		sum.PromptTokens += j.Stats.PromptTokens
		sum.CachedTokens += j.Stats.CachedTokens
		sum.GeneratedTokens += j.Stats.GeneratedTokens
		sum.PromptTime += j.Stats.PromptTime
		sum.GenerateTime += j.Stats.GenerateTime
	}
	return sum
}

// streamCompletions sends the answers piece by piece.
func (s *api) streamCompletions(w http.ResponseWriter, r *http.Request, req *completionRequest, jobs []*completionJob) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	live := s.NewLiveStream(w, core.KeepAliveEvery, cancel)
	defer live.Close()
	base := newReply[textChoice](jobs[0].Model, core.NewID("cmpl-"), "text_completion")
	usage := req.StreamOptions != nil && req.StreamOptions.IncludeUsage
	if usage {
		base.Usage = json.RawMessage("null")
	}
	// The end of an answer is held back, as the very last one has the timings.
	var last *textChoice
	flush := func(t *timings) error {
		if last == nil {
			return nil
		}
		reply := base
		reply.Choices, reply.Timings = []textChoice{*last}, t
		last = nil
		return live.Event("", reply)
	}
	all := newTextAnswers(req, jobs)
	err := fanOut(ctx, jobs, func(e textEvent) error {
		answers := all[e.prompt]
		text, from, to := takeText(answers, &e, jobs[e.prompt])
		for i := from; i < to; i++ {
			if text == "" && answers[i].finish == "" {
				continue
			}
			if err := flush(nil); err != nil {
				return err
			}
			c := &textChoice{Index: e.prompt*len(answers) + i, Text: text}
			if answers[i].writer != nil {
				c.LogProbs = answers[i].writer.take()
			}
			if f := answers[i].finish; f != "" {
				c.FinishReason = &f
			}
			last = c
			if c.FinishReason == nil {
				if err := flush(nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return live.Fail(r, err, func(e *core.Error) error { return live.Event("", newErrorReply(e)) })
	}
	stats := sumStats(jobs)
	if err := flush(newTimings(stats)); err != nil {
		return err
	}
	if usage {
		reply := base
		reply.Usage = newUsage(stats)
		if err := live.Event("", reply); err != nil {
			return err
		}
	}
	return live.End()
}
