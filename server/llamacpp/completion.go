package llamacpp

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"trit"
	"trit/sample"
	"trit/server/core"
	"trit/tokenizer"
)

// completionRequest is the body of /completion, llama.cpp's own form of
// completions.
type completionRequest struct {
	core.Sampling
	Model        string              `json:"model"`
	Prompt       promptField         `json:"prompt"`
	NPredict     *int                `json:"n_predict"`
	MaxTokens    *int                `json:"max_tokens"`
	Stream       bool                `json:"stream"`
	Stop         core.StopField      `json:"stop"`
	IgnoreEOS    bool                `json:"ignore_eos"`
	LogitBias    core.LogitBias      `json:"logit_bias"`
	NProbs       int                 `json:"n_probs"`
	Grammar      string              `json:"grammar"`
	JSONSchema   json.RawMessage     `json:"json_schema"`
	Samplers     *core.SamplersField `json:"samplers"`
	ReturnTokens bool                `json:"return_tokens"`
	ParseSpecial *bool               `json:"parse_special"` // true where it is left out
	Fields       []string            `json:"response_fields"`

	TimingsPerToken   bool `json:"timings_per_token"`
	ReturnProgress    bool `json:"return_progress"`
	PostSamplingProbs bool `json:"post_sampling_probs"`
}

// API implements core.Bound.
func (*completionRequest) API() core.API { return core.Completion }

// completionReply is an answer of /completion, or a part of one.
type completionReply struct {
	Index           int          `json:"index"`
	Content         string       `json:"content"`
	Tokens          []int32      `json:"tokens"`
	IDSlot          int          `json:"id_slot"`
	Stop            bool         `json:"stop"`
	TokensPredicted int          `json:"tokens_predicted"`
	TokensEvaluated int          `json:"tokens_evaluated"`
	Probabilities   []tokenProbs `json:"completion_probabilities,omitempty"`
	*replyEnd
	Timings  *timings             `json:"timings,omitempty"` // at the end, or where they are asked for
	Progress *core.PromptProgress `json:"prompt_progress,omitempty"`
}

// replyEnd is what only the end of an answer says.
type replyEnd struct {
	Model        string             `json:"model"`
	Settings     generationSettings `json:"generation_settings"`
	Prompt       string             `json:"prompt"`
	HasNewLine   bool               `json:"has_new_line"`
	Truncated    bool               `json:"truncated"`
	StopType     string             `json:"stop_type"`
	StoppingWord string             `json:"stopping_word"`
	TokensCached int                `json:"tokens_cached"`
}

type timings struct {
	PromptN            int     `json:"prompt_n"`
	PromptMS           float64 `json:"prompt_ms"`
	PromptPerTokenMS   float64 `json:"prompt_per_token_ms"`
	PromptPerSecond    float64 `json:"prompt_per_second"`
	PredictedN         int     `json:"predicted_n"`
	PredictedMS        float64 `json:"predicted_ms"`
	PredictedPerToken  float64 `json:"predicted_per_token_ms"`
	PredictedPerSecond float64 `json:"predicted_per_second"`
	CacheN             int     `json:"cache_n"`
	*core.Drafted
}

// tokenProbs is what is told of one token: of the model's own distribution, or of what the
// samplers have left.
type tokenProbs struct {
	tokenProb
	Top      *[]tokenProb `json:"top_logprobs,omitempty"`
	TopProbs *[]tokenProb `json:"top_probs,omitempty"`
}

type tokenProb struct {
	ID      int32    `json:"id"`
	Token   string   `json:"token"`
	Bytes   []int    `json:"bytes"`
	Logprob *float64 `json:"logprob,omitempty"`
	Prob    *float64 `json:"prob,omitempty"`
}

// completion continues a text.
func (s *api) completion(w http.ResponseWriter, r *http.Request) error {
	var q completionRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	l, err := s.Models.Acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.Release()
	prompts, several, err := q.Prompt.split()
	if err != nil {
		return err
	}
	sampling, err := q.sampling(r.Context(), l)
	if err != nil {
		return err
	}
	var runs []*completionRun
	for i, prompt := range prompts {
		c, err := q.prepare(r.Context(), l, sampling, prompt)
		if err != nil {
			return err
		}
		c.index = i
		runs = append(runs, c)
	}
	if len(runs) == 0 {
		return core.BadRequest("prompt", "prompt is required: a string, an array of strings and token ids, or several of these")
	}
	core.SayIgnored(r, runs[0].ignored)
	out := s.NewReply(w, r, core.FormOf(q.Stream, core.Events))
	for _, c := range runs {
		c.out = out
	}
	if !several {
		return core.Answer(out, s.Run(out.Context(), &runs[0].Job), runs[0])
	}
	return s.completeAll(w, out, runs)
}

// completeAll answers several prompts, so many at a time as the model takes: whole answers
// in a list, pieces of a stream as they come.
func (s *api) completeAll(w http.ResponseWriter, out *core.Reply, runs []*completionRun) error {
	defer out.Close()
	whole := make([]any, len(runs))
	group, ctx := errgroup.WithContext(out.Context())
	group.SetLimit(s.Options.Parallel)
	for i, c := range runs {
		group.Go(func() error {
			for token, err := range s.Run(ctx, &c.Job) {
				if err != nil {
					return err
				}
				if err := c.Add(token); err != nil {
					return err
				}
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			whole[i], err = c.End()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return out.Fail(err, runs[0].Fail)
	}
	if out.Streams() {
		return nil
	}
	return core.WriteJSON(w, http.StatusOK, whole)
}

// completionRun makes the answer of a completion of its tokens: the parts of
// a stream and the whole answer.
type completionRun struct {
	core.Job
	index    int // among the prompts of the request
	request  *completionRequest
	ignored  []string // what of the format is left out
	settings generationSettings
	out      *core.Reply
	text     strings.Builder
	tokens   []int32
	probs    []tokenProbs
	end      trit.Token // the last one
}

// sampling returns how the tokens of all prompts are chosen.
func (q *completionRequest) sampling(ctx context.Context, l *core.Lease) (sample.Options, error) {
	sampling, err := q.Sampling.Options(ctx, l.Model)
	if err != nil {
		return sampling, err
	}
	if sampling.LogitBias, err = q.LogitBias.Resolve(ctx, l.Model.Tokenizer()); err != nil {
		return sampling, err
	}
	if q.Samplers != nil {
		sampling.Order = sample.Order(*q.Samplers)
	}
	if q.NProbs < 0 || q.NProbs > 1000 {
		return sampling, core.BadRequest("n_probs", "n_probs is %d; want 0 to 1000", q.NProbs)
	}
	switch {
	case q.PostSamplingProbs:
		sampling.TopCandidates = q.NProbs
	case q.NProbs > 0:
		sampling.LogProb, sampling.TopLogProbs = true, q.NProbs
	}
	return sampling, nil
}

func (q *completionRequest) prepare(ctx context.Context, l *core.Lease, sampling sample.Options, prompt promptField) (
	*completionRun, error) {
	t := l.Model.Tokenizer()
	predict := int(l.Limit())
	core.Set(&predict, q.MaxTokens)
	core.Set(&predict, q.NPredict)
	f := core.Format{Format: trit.Format{GBNF: q.Grammar}, Field: "grammar"}
	if !core.IsNull(q.JSONSchema) {
		if q.Grammar != "" {
			return nil, core.BadRequest("json_schema", "json_schema and grammar exclude each other")
		}
		f = core.Format{Format: trit.Format{Schema: q.JSONSchema}, Field: "json_schema"}
	}
	constraint, ignored, err := l.Formatted(ctx, f)
	if err != nil {
		return nil, err
	}
	c := &completionRun{request: q, ignored: ignored, settings: newGenerationSettings(&sampling)}
	for name, value := range map[string]any{
		"stop": append([]string{}, q.Stop...), "max_tokens": predict, "n_predict": predict,
		"ignore_eos": q.IgnoreEOS, "stream": q.Stream, "n_probs": q.NProbs, "grammar": q.Grammar,
		"post_sampling_probs": q.PostSamplingProbs, "logit_bias": biases(sampling.LogitBias, q.IgnoreEOS, t),
	} {
		c.settings[name] = value
	}
	c.Job = core.Job{Model: l, Choices: 1, Stats: new(trit.Stats), FormatField: f.Field,
		Options: []trit.GenerateOption{trit.Sampling(sampling), trit.Stop(q.Stop...)}}
	if c.Prompt, err = prompt.encode(ctx, l, "prompt", true, core.ValueOr(q.ParseSpecial, true)); err != nil {
		return nil, err
	}
	c.Prompt = core.WithoutSecondBOS(t, c.Prompt)
	c.Options = append(c.Options, core.Limit(predict).Option())
	if q.IgnoreEOS {
		c.Options = append(c.Options, trit.IgnoreEnd())
	}
	c.Options = append(c.Options, constraint...)
	if q.Stream && q.ReturnProgress {
		c.ReportPrompt(c.progress)
	}
	return c, nil
}

// tokenBias is what is added to a logit.
type tokenBias struct {
	Token int32    `json:"token"`
	Bias  *float32 `json:"bias"` // nil: the token is banned
}

// biases returns what is added to the logits of tokens, those that an answer may not end with among them.
func biases(given map[int32]float32, ignoreEnd bool, t *tokenizer.Tokenizer) []tokenBias {
	list := []tokenBias{}
	for _, id := range slices.Sorted(maps.Keys(given)) {
		b := tokenBias{Token: id}
		if x := given[id]; !math.IsInf(float64(x), -1) {
			b.Bias = &x
		}
		list = append(list, b)
	}
	if ignoreEnd {
		for _, id := range t.EOG() {
			list = append(list, tokenBias{Token: id})
		}
	}
	return list
}

// progress tells how far the prompt is.
func (c *completionRun) progress(p *core.PromptProgress) error {
	part := completionReply{Index: c.index, Tokens: []int32{}, TokensEvaluated: p.Processed, Progress: p}
	if c.request.TimingsPerToken {
		s := trit.Stats{PromptTokens: p.Processed, CachedTokens: p.Cache}
		if p.Processed > p.Cache { // before that it has only waited
			s.PromptTime = time.Duration(p.TimeMS) * time.Millisecond
		}
		part.Timings = newTimings(&s)
	}
	return c.out.Piece("", part)
}

// Add takes the next token.
func (c *completionRun) Add(t trit.Token) error {
	if t.ID == core.NoToken {
		return nil
	}
	c.text.WriteString(t.Text)
	c.tokens = append(c.tokens, t.ID)
	c.end = t
	part := completionReply{Index: c.index, Content: t.Text, Tokens: []int32{t.ID}, TokensPredicted: len(c.tokens),
		TokensEvaluated: len(c.Prompt)}
	if c.request.NProbs > 0 {
		one := newTokenProbs(c.Model.Model.Tokenizer(), t, c.request.PostSamplingProbs)
		c.probs = append(c.probs, one)
		part.Probabilities = []tokenProbs{one}
	}
	if c.request.TimingsPerToken {
		part.Timings = newTimings(c.Stats)
	}
	return c.out.Piece("", part)
}

// End sends the end of a stream, which has no text.
func (c *completionRun) End() (any, error) {
	e := &replyEnd{
		Model: c.Model.Name, Settings: c.settings, Prompt: c.Model.Model.Detokenize(c.Prompt),
		HasNewLine: strings.Contains(c.text.String(), "\n"), StopType: "limit", TokensCached: c.Stats.CachedTokens,
	}
	switch c.end.Finish {
	case trit.FinishStop:
		e.StopType = "eos"
	case trit.FinishStopString:
		e.StopType, e.StoppingWord = "word", c.end.StopString
	}
	answer := completionReply{Index: c.index, Tokens: []int32{}, Stop: true, TokensPredicted: len(c.tokens),
		TokensEvaluated: len(c.Prompt), Timings: newTimings(c.Stats), replyEnd: e}
	e.Truncated = e.StopType == "limit" && len(c.Prompt)+len(c.tokens) >= c.Model.Model.Context()
	if !c.out.Streams() {
		answer.Content, answer.Probabilities = c.text.String(), c.probs
		if c.request.ReturnTokens {
			answer.Tokens = c.tokens
		}
	}
	var end any = answer
	if len(c.request.Fields) > 0 {
		var err error
		if end, err = pick(answer, c.request.Fields); err != nil {
			return nil, err
		}
	}
	return end, c.out.Piece("", end)
}

// pick returns the fields of an answer that are asked for, by the names they are asked for with:
// "generation_settings/n_predict" is within another. Those that are not there are left out.
func pick(answer any, fields []string) (map[string]any, error) {
	data, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	var all any
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	out := map[string]any{}
	for _, path := range fields {
		value, found := all, true
		for part := range strings.SplitSeq(path, "/") {
			object, ok := value.(map[string]any)
			if ok {
				value, ok = object[part]
			}
			found = found && ok
		}
		if found {
			out[path] = value
		}
	}
	return out, nil
}

// Fail ends the stream with an error.
func (c *completionRun) Fail(e *core.Error) error { return c.out.Piece("", newErrorReply(e)) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func newTimings(s *trit.Stats) *timings {
	t := &timings{
		PromptN: s.PromptTokens - s.CachedTokens, PromptMS: milliseconds(s.PromptTime), PromptPerSecond: s.PromptRate(),
		PredictedN: s.GeneratedTokens, PredictedMS: milliseconds(s.GenerateTime), PredictedPerSecond: s.GenerateRate(),
		CacheN: s.CachedTokens, Drafted: core.DraftedOf(s),
	}
	t.PromptPerTokenMS = t.PromptMS / float64(max(t.PromptN, 1))
	t.PredictedPerToken = t.PredictedMS / float64(max(t.PredictedN, 1))
	return t
}

// newTokenProbs describes a generated token, with what the samplers have left of the others
// or with the model's own distribution.
func newTokenProbs(tok *tokenizer.Tokenizer, t trit.Token, sampled bool) tokenProbs {
	one := func(id int32) tokenProb {
		text, codes := core.TokenText(tok, id)
		return tokenProb{ID: id, Token: text, Bytes: codes}
	}
	out, top := tokenProbs{tokenProb: one(t.ID)}, []tokenProb{}
	if sampled {
		out.Prob, out.TopProbs = &t.Prob, &top
		for _, c := range t.Candidates {
			p := one(c.ID)
			p.Prob = &c.Prob
			top = append(top, p)
		}
		return out
	}
	out.Logprob, out.Top = new(core.JSONLogProb(t.LogProb)), &top
	for _, c := range t.Top {
		p := one(c.ID)
		p.Logprob = new(core.JSONLogProb(c.LogProb))
		top = append(top, p)
	}
	return out
}
