package server

import (
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"trit"
	"trit/sample"
)

// llamaCompletion is the body of /completion, llama.cpp's own form of
// completions.
type llamaCompletion struct {
	llamaSampling
	Model        string          `json:"model"`
	Prompt       llamaPrompt     `json:"prompt"`
	NPredict     *int            `json:"n_predict"`
	MaxTokens    *int            `json:"max_tokens"`
	Stream       bool            `json:"stream"`
	Stop         stringList      `json:"stop"`
	IgnoreEOS    bool            `json:"ignore_eos"`
	LogitBias    llamaBias       `json:"logit_bias"`
	NProbs       int             `json:"n_probs"`
	Grammar      string          `json:"grammar"`
	JSONSchema   json.RawMessage `json:"json_schema"`
	Samplers     *llamaOrder     `json:"samplers"`
	ReturnTokens bool            `json:"return_tokens"`

	// What would change the answer, and is not served.
	MaxTime           int   `json:"t_max_predict_ms"`
	Indent            int   `json:"n_indent"`
	PostSamplingProbs bool  `json:"post_sampling_probs"`
	LoRA              []any `json:"lora"`
}

// llamaOrder is an order of samplers: a list of names.
type llamaOrder struct{ sample.Order }

// UnmarshalJSON implements json.Unmarshaler.
func (o *llamaOrder) UnmarshalJSON(data []byte) error {
	var names stringList
	if err := json.Unmarshal(data, &names); err != nil {
		return badRequest("samplers", "samplers is %s; want an array of names", shortJSON(data))
	}
	var err error
	o.Order, err = sample.ParseOrder(strings.Join(names, ";"))
	return err
}

// llamaAnswer is an answer of /completion, or a part of one.
type llamaAnswer struct {
	Index           int            `json:"index"`
	Content         string         `json:"content"`
	Tokens          []int32        `json:"tokens"`
	IDSlot          int            `json:"id_slot"`
	Stop            bool           `json:"stop"`
	TokensPredicted int            `json:"tokens_predicted"`
	TokensEvaluated int            `json:"tokens_evaluated"`
	Probabilities   []llamaLogprob `json:"completion_probabilities,omitempty"`
	*llamaEnd
}

// llamaEnd is what only the end of an answer says.
type llamaEnd struct {
	Model        string        `json:"model"`
	Settings     llamaSettings `json:"generation_settings"`
	Prompt       string        `json:"prompt"`
	HasNewLine   bool          `json:"has_new_line"`
	Truncated    bool          `json:"truncated"`
	StopType     string        `json:"stop_type"`
	StoppingWord string        `json:"stopping_word"`
	TokensCached int           `json:"tokens_cached"`
	Timings      llamaTimings  `json:"timings"`
}

type llamaTimings struct {
	PromptN            int     `json:"prompt_n"`
	PromptMS           float64 `json:"prompt_ms"`
	PromptPerTokenMS   float64 `json:"prompt_per_token_ms"`
	PromptPerSecond    float64 `json:"prompt_per_second"`
	PredictedN         int     `json:"predicted_n"`
	PredictedMS        float64 `json:"predicted_ms"`
	PredictedPerToken  float64 `json:"predicted_per_token_ms"`
	PredictedPerSecond float64 `json:"predicted_per_second"`
	CacheN             int     `json:"cache_n"`
}

// llamaLogprob is what is told of one token.
type llamaLogprob struct {
	llamaTokenLogprob
	Top []llamaTokenLogprob `json:"top_logprobs"`
}

type llamaTokenLogprob struct {
	ID      int32   `json:"id"`
	Token   string  `json:"token"`
	Bytes   []int   `json:"bytes"`
	Logprob float64 `json:"logprob"`
}

// completion continues a text.
func (s *Server) completion(w http.ResponseWriter, r *http.Request) error {
	var q llamaCompletion
	if err := readOllama(r, &q); err != nil {
		return err
	}
	l, err := s.models.acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.release()
	c, err := q.prepare(l)
	if err != nil {
		return err
	}
	pieces := s.run(r.Context(), &c.job)
	if q.Stream {
		return c.stream(s.newEventStream(w), r, pieces)
	}
	return c.whole(w, pieces)
}

// llamaRun is a completion on its way.
type llamaRun struct {
	job
	request  *llamaCompletion
	settings llamaSettings
	stop     *stopFinder
	text     strings.Builder
	tokens   []int32
	probs    []llamaLogprob
	finish   trit.Finish
	stats    trit.Stats
}

func (q *llamaCompletion) prepare(l *lease) (*llamaRun, error) {
	if len(q.Prompt) == 0 {
		return nil, badRequest("prompt", "prompt is required: a string, or an array of strings and token ids")
	}
	if len(q.Prompt) > 1 && !slices.ContainsFunc(q.Prompt, func(p promptPart) bool { return !p.isText }) {
		return nil, unsupported("prompt", "prompt has %d texts without a token id, which are %[1]d prompts; send them one by one, or to /v1/completions", len(q.Prompt))
	}
	switch {
	case q.MaxTime > 0:
		return nil, unsupported("t_max_predict_ms", "t_max_predict_ms is not supported; bound the answer with n_predict")
	case q.Indent > 0:
		return nil, unsupported("n_indent", "n_indent is not supported; a grammar can ask for indented lines")
	case q.PostSamplingProbs:
		return nil, unsupported("post_sampling_probs", "post_sampling_probs is not supported; n_probs gives probabilities of the model's own distribution")
	case len(q.LoRA) > 0:
		return nil, unsupported("lora", "LoRA adapters are not supported")
	}
	t := l.Model.Tokenizer()
	sampling, err := q.llamaSampling.options(l.Model)
	if err != nil {
		return nil, err
	}
	if sampling.LogitBias, err = q.LogitBias.resolve(t); err != nil {
		return nil, err
	}
	if q.Samplers != nil {
		sampling.Order = q.Samplers.Order
	}
	if q.NProbs < 0 || q.NProbs > 1000 {
		return nil, badRequest("n_probs", "n_probs is %d; want 0 to 1000", q.NProbs)
	}
	if q.NProbs > 0 {
		sampling.LogProb, sampling.TopLogProbs = true, q.NProbs
	}
	predict := -1
	set(&predict, q.MaxTokens)
	set(&predict, q.NPredict)
	if predict == 0 {
		return nil, badRequest("n_predict", "n_predict is 0; want the number of tokens to generate, or -1 for as many as fit")
	}
	f := format{gbnf: q.Grammar, param: "grammar"}
	if len(q.JSONSchema) > 0 && string(q.JSONSchema) != "null" {
		if q.Grammar != "" {
			return nil, badRequest("json_schema", "json_schema and grammar exclude each other")
		}
		f = format{schema: q.JSONSchema, param: "json_schema"}
	}
	constraint, err := l.constraint(f)
	if err != nil {
		return nil, err
	}
	c := &llamaRun{request: q, settings: newLlamaSettings(&sampling), stop: newStopFinder(t, false, q.Stop...)}
	c.settings.Stop = append(c.settings.Stop, q.Stop...)
	c.settings.MaxTokens, c.settings.NPredict = predict, predict
	c.settings.IgnoreEOS, c.settings.Stream, c.settings.NProbs, c.settings.Grammar = q.IgnoreEOS, q.Stream, q.NProbs, q.Grammar
	c.job = job{model: l, answers: 1, stats: &c.stats, options: []trit.GenerateOption{trit.Sampling(sampling), trit.Stop(q.Stop...)}}
	if c.prompt, err = q.Prompt.encode(t, "prompt", true, true); err != nil {
		return nil, err
	}
	c.prompt = withoutSecondBOS(t, c.prompt)
	if predict > 0 {
		c.options = append(c.options, trit.MaxTokens(predict))
	}
	if q.IgnoreEOS {
		c.options = append(c.options, trit.IgnoreEnd())
	}
	if constraint != nil {
		c.options = append(c.options, trit.Constrain(constraint))
	}
	return c, nil
}

// add follows the text by a token and returns the part of the answer it makes.
func (c *llamaRun) add(t trit.Token) llamaAnswer {
	c.stop.push(t.ID)
	c.text.WriteString(t.Text)
	c.tokens = append(c.tokens, t.ID)
	if t.Finish != "" {
		c.finish = t.Finish
	}
	part := llamaAnswer{Content: t.Text, Tokens: []int32{t.ID}, TokensPredicted: len(c.tokens), TokensEvaluated: len(c.prompt)}
	if c.request.NProbs > 0 {
		one := c.model.llamaLogprob(t)
		c.probs = append(c.probs, one)
		part.Probabilities = []llamaLogprob{one}
	}
	return part
}

// end returns the end of the answer, without its text.
func (c *llamaRun) end() llamaAnswer {
	e := &llamaEnd{
		Model: c.model.name, Settings: c.settings, Prompt: c.model.Model.Detokenize(c.prompt),
		HasNewLine: strings.Contains(c.text.String(), "\n"), StopType: "limit", TokensCached: c.stats.CachedTokens,
		Timings: newLlamaTimings(&c.stats),
	}
	switch c.finish {
	case trit.FinishStop:
		e.StopType = "eos"
	case trit.FinishStopString:
		e.StopType, e.StoppingWord = "word", c.stop.found()
	}
	return llamaAnswer{Tokens: []int32{}, Stop: true, TokensPredicted: len(c.tokens), TokensEvaluated: len(c.prompt), llamaEnd: e}
}

func (c *llamaRun) whole(w http.ResponseWriter, tokens iter.Seq2[trit.Token, error]) error {
	for t, err := range tokens {
		if err != nil {
			return err
		}
		c.add(t)
	}
	answer := c.end()
	answer.Content = c.text.String()
	answer.Probabilities = c.probs
	if c.request.ReturnTokens {
		answer.Tokens = c.tokens
	}
	return writeJSON(w, http.StatusOK, answer)
}

func (c *llamaRun) stream(out *stream, r *http.Request, tokens iter.Seq2[trit.Token, error]) error {
	for t, err := range tokens {
		if err != nil && !out.begun {
			return err
		}
		if err != nil {
			e := classify(err)
			noteFailure(r, e)
			_ = out.event("", newLlamaError(e)) // whoever has gone need not know
			return errAnswered
		}
		if err := out.event("", c.add(t)); err != nil {
			return err
		}
	}
	return out.event("", c.end())
}

func newLlamaTimings(s *trit.Stats) llamaTimings {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	t := llamaTimings{PromptN: s.PromptTokens - s.CachedTokens, PromptMS: ms(s.PromptTime), PromptPerSecond: s.PromptRate(),
		PredictedN: s.GeneratedTokens, PredictedMS: ms(s.GenerateTime), PredictedPerSecond: s.GenerateRate(), CacheN: s.CachedTokens}
	t.PromptPerTokenMS = t.PromptMS / float64(max(t.PromptN, 1))
	t.PredictedPerToken = t.PredictedMS / float64(max(t.PredictedN, 1))
	return t
}

// llamaLogprob describes a generated token.
func (l *lease) llamaLogprob(t trit.Token) llamaLogprob {
	one := func(p sample.TokenLogProb) llamaTokenLogprob {
		text, codes := tokenText(l.Model.Tokenizer(), p.ID)
		return llamaTokenLogprob{ID: p.ID, Token: text, Bytes: codes, Logprob: finite(p.LogProb)}
	}
	out := llamaLogprob{llamaTokenLogprob: one(sample.TokenLogProb{ID: t.ID, LogProb: t.LogProb}), Top: []llamaTokenLogprob{}}
	for _, p := range t.Top {
		out.Top = append(out.Top, one(p))
	}
	return out
}
