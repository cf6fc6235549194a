package server

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"time"

	"trit"
	"trit/chat"
	"trit/tokenizer"
)

// ollamaCommon are the fields that /api/generate and /api/chat share.
type ollamaCommon struct {
	Model       string          `json:"model"`
	Stream      *bool           `json:"stream"` // true where it is left out
	Format      ollamaFormat    `json:"format"`
	KeepAlive   *ollamaDuration `json:"keep_alive"`
	Options     ollamaOptions   `json:"options"`
	Think       ollamaThink     `json:"think"`
	Truncate    *bool           `json:"truncate"` // true where it is left out
	Logprobs    bool            `json:"logprobs"`
	TopLogprobs int             `json:"top_logprobs"`
}

func (q *ollamaCommon) stream() bool   { return q.Stream == nil || *q.Stream }
func (q *ollamaCommon) truncate() bool { return q.Truncate == nil || *q.Truncate }

// ollamaGenerateRequest is the body of /api/generate.
type ollamaGenerateRequest struct {
	ollamaCommon
	Prompt   string            `json:"prompt"`
	Suffix   string            `json:"suffix"`
	System   string            `json:"system"`
	Template string            `json:"template"`
	Raw      bool              `json:"raw"`
	Context  []int32           `json:"context"` // the tokens of an earlier prompt and answer
	Images   []json.RawMessage `json:"images"`
}

// check reports what is not served, before a model is loaded for it.
func (q *ollamaGenerateRequest) check() error {
	switch {
	case len(q.Images) > 0:
		return unsupported("images", "%q does not support images", q.Model)
	case q.Suffix != "":
		return unsupported("suffix", "%q does not support insert; leave suffix out", q.Model)
	case q.Raw && (q.Template != "" || q.System != "" || len(q.Context) > 0):
		return badRequest("raw", "raw mode does not support template, system, or context")
	case q.Template != "":
		return unsupported("template", "the template of a request is not supported; leave it out to use the model's own, or send a finished prompt with raw")
	}
	return nil
}

// ollamaMetrics are at the end of an answer. Times are in nanoseconds.
type ollamaMetrics struct {
	TotalDuration      time.Duration `json:"total_duration"`
	LoadDuration       time.Duration `json:"load_duration"`
	PromptEvalCount    int           `json:"prompt_eval_count"`
	PromptEvalDuration time.Duration `json:"prompt_eval_duration"`
	EvalCount          int           `json:"eval_count"`
	EvalDuration       time.Duration `json:"eval_duration"`
}

// ollamaLine is what the lines of an answer have in common.
type ollamaLine struct {
	Model      string          `json:"model"`
	CreatedAt  time.Time       `json:"created_at"`
	Done       bool            `json:"done"`
	DoneReason string          `json:"done_reason,omitempty"`
	Logprobs   []ollamaLogprob `json:"logprobs,omitempty"`
	*ollamaMetrics
}

type ollamaGenerateLine struct {
	ollamaLine
	Response string  `json:"response"`
	Context  []int32 `json:"context,omitempty"`
}

func (a *ollamaAPI) generate(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	var q ollamaGenerateRequest
	if err := readOllama(r, &q); err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	if q.Prompt == "" {
		return a.loadOnly(w, r, &q.ollamaCommon, func(line ollamaLine) any { return ollamaGenerateLine{ollamaLine: line} })
	}
	l, load, err := a.acquireOllama(r.Context(), q.Model, q.KeepAlive)
	if err != nil {
		return err
	}
	defer l.release()
	g, err := q.Options.generation(l, q.Logprobs, q.TopLogprobs)
	if err != nil {
		return err
	}
	p, err := a.prepareGenerate(l, &q, g)
	if err != nil {
		return err
	}
	limit, err := g.bound(len(p.prompt))
	if err != nil {
		return err
	}
	p.options = append(p.options, limit)
	pieces := a.converse
	if q.Raw {
		pieces = a.continueRaw
	}
	tokens := append([]int32(nil), p.prompt...)
	answer := &ollamaAnswer{ollamaAPI: a, common: &q.ollamaCommon, lease: l, start: start, load: load}
	answer.line = func(line ollamaLine, content string, calls []ollamaToolCall) any {
		out := ollamaGenerateLine{ollamaLine: line, Response: content}
		if line.Done && !q.Raw {
			out.Context = tokens
		}
		return out
	}
	answer.token = func(t trit.Token) { tokens = append(tokens, t.ID) }
	return answer.write(w, r, p, pieces)
}

// prepareGenerate makes the prompt of /api/generate.
func (a *ollamaAPI) prepareGenerate(l *lease, q *ollamaGenerateRequest, g *ollamaGeneration) (*prepared, error) {
	t := l.Model.Tokenizer()
	if q.Raw {
		p := &prepared{job: job{model: l, answers: 1, options: g.options}}
		p.prompt = withoutSecondBOS(t, t.Encode(q.Prompt, tokenizer.ParseSpecial(true)))
		constraint, err := l.constraint(q.Format.format)
		if constraint != nil {
			p.options = append(p.options, trit.Constrain(constraint))
		}
		return p, err
	}
	extra, err := q.Think.extra(q.Model)
	if err != nil {
		return nil, err
	}
	if err := checkTokens("context", q.Context, t); err != nil {
		return nil, err
	}
	c := conversation{extra: extra, format: q.Format.format, options: g.options}
	if q.System != "" {
		c.messages = append(c.messages, chat.Message{Role: "system", Content: q.System})
	}
	c.messages = append(c.messages, chat.Message{Role: "user", Content: q.Prompt})
	p, err := a.prepare(l, &c)
	if err != nil || len(q.Context) == 0 {
		return p, err
	}
	// The template begins every text with BOS, and this one has begun already.
	turn := p.prompt
	if id, ok := t.BOS(); ok && len(turn) > 0 && turn[0] == id {
		turn = turn[1:]
	}
	earlier := q.Context
	if room := g.context - g.reserve() - len(turn); q.truncate() && len(earlier) > room {
		earlier = earlier[len(earlier)-max(room, 0):]
	}
	p.prompt = append(append([]int32(nil), earlier...), turn...)
	return p, nil
}

// withoutSecondBOS drops the BOS that the tokenizer has added to a prompt that
// begins with one already.
func withoutSecondBOS(t *tokenizer.Tokenizer, prompt []int32) []int32 {
	if id, ok := t.BOS(); ok && t.AddBOS() && len(prompt) > 1 && prompt[0] == id && prompt[1] == id {
		return prompt[1:]
	}
	return prompt
}

// continueRaw is converse for prompts that are no conversations: the answer is
// as the model writes it.
func (a *ollamaAPI) continueRaw(ctx context.Context, p *prepared) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		for t, err := range a.run(ctx, &p.job) {
			if !yield(piece{Token: t, Content: t.Text}, err) || err != nil {
				return
			}
		}
	}
}

// loadOnly answers a request that asks nothing: it loads the model, or unloads
// it if it is not to be kept. The server's own models are always kept.
func (a *ollamaAPI) loadOnly(w http.ResponseWriter, r *http.Request, q *ollamaCommon, answer func(ollamaLine) any) error {
	line := ollamaLine{Model: q.Model, Done: true, DoneReason: "load"}
	m, err := a.find(q.Model)
	if err != nil {
		return err
	}
	loaded, own := a.models.has(m.Name)
	if q.KeepAlive != nil && q.KeepAlive.Duration == 0 && !own {
		line.DoneReason = "unload"
	}
	if line.DoneReason == "load" || loaded {
		l, _, err := a.acquireOllama(r.Context(), q.Model, q.KeepAlive)
		if err != nil {
			return err
		}
		l.release()
	}
	line.CreatedAt = time.Now().UTC()
	return writeJSON(w, http.StatusOK, answer(line))
}

// has reports whether a model is loaded, or about to be, and whether it is one
// of the server's own.
func (ms *models) has(name string) (loaded, own bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	_, own = ms.own[name]
	return ms.loaded[name] != nil, own
}

// ollamaAnswer writes one answer, whole or in lines.
type ollamaAnswer struct {
	*ollamaAPI
	common *ollamaCommon
	lease  *lease
	start  time.Time
	load   time.Duration
	// line makes a line of what the answer goes on with, or the last one.
	line  func(line ollamaLine, content string, calls []ollamaToolCall) any
	token func(trit.Token) // sees every token; may be nil
}

// write runs a prompt and answers the request.
func (a *ollamaAnswer) write(w http.ResponseWriter, r *http.Request, p *prepared, run func(context.Context, *prepared) iter.Seq2[piece, error]) error {
	var (
		stats     trit.Stats
		stream    = a.newLineStream(w)
		streaming = a.common.stream()
		content   string
		calls     []ollamaToolCall
		logprobs  []ollamaLogprob
		last      = ollamaLine{Model: a.common.Model, Done: true, DoneReason: "stop"}
	)
	p.stats = &stats
	for piece, err := range run(r.Context(), p) {
		if err != nil {
			return stream.endOllama(r, err)
		}
		if a.token != nil {
			a.token(piece.Token)
		}
		called := ollamaCalls(piece.Calls, len(calls))
		calls = append(calls, called...)
		var probs []ollamaLogprob
		if a.common.Logprobs {
			probs = []ollamaLogprob{a.lease.logprob(piece.Token)}
		}
		if piece.Finish == trit.FinishLength {
			last.DoneReason = "length"
		}
		if !streaming {
			content += piece.Content
			logprobs = append(logprobs, probs...)
			continue
		}
		if piece.Content == "" && called == nil && probs == nil {
			continue
		}
		line := ollamaLine{Model: a.common.Model, CreatedAt: time.Now().UTC(), Logprobs: probs}
		if err := stream.line(a.line(line, piece.Content, called)); err != nil {
			return err
		}
	}
	last.CreatedAt = time.Now().UTC()
	last.Logprobs = logprobs
	last.ollamaMetrics = &ollamaMetrics{
		TotalDuration: time.Since(a.start), LoadDuration: a.load,
		PromptEvalCount: stats.PromptTokens, PromptEvalDuration: stats.PromptTime,
		EvalCount: stats.GeneratedTokens, EvalDuration: stats.GenerateTime,
	}
	if streaming {
		return stream.line(a.line(last, "", nil))
	}
	return writeJSON(w, http.StatusOK, a.line(last, content, calls))
}

// endOllama ends a stream with an error, or returns the error if nothing has
// been sent yet and it can still become the answer.
func (t *stream) endOllama(r *http.Request, err error) error {
	if !t.begun {
		return err
	}
	e := classify(err)
	noteFailure(r, e)
	_ = t.line(ollamaError{e.message}) // whoever has gone need not know
	return errAnswered
}

// errPromptTooLong is what clients read about prompts that leave no room.
func errPromptTooLong(prompt, context int) string {
	return fmt.Sprintf("the prompt has %d tokens, which leaves no room for an answer in a context of %d; shorten it, or start the server with a larger --ctx-size", prompt, context)
}
