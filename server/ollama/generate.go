package ollama

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"time"

	"trit"
	"trit/chat"
	"trit/server/core"
	"trit/tokenizer"
)

// commonFields are the fields that /api/generate and /api/chat share.
type commonFields struct {
	Model       string         `json:"model"`
	Stream      *bool          `json:"stream"` // true where it is left out
	Format      formatField    `json:"format"`
	KeepAlive   *durationField `json:"keep_alive"`
	Options     optionFields   `json:"options"`
	Think       thinkField     `json:"think"`
	Truncate    *bool          `json:"truncate"` // true where it is left out
	Logprobs    bool           `json:"logprobs"`
	TopLogprobs int            `json:"top_logprobs"`
}

func (q *commonFields) stream() bool { return q.Stream == nil || *q.Stream }

func (q *commonFields) truncate() bool { return q.Truncate == nil || *q.Truncate }

// generateRequest is the body of /api/generate.
type generateRequest struct {
	commonFields
	Prompt   string            `json:"prompt"`
	Suffix   string            `json:"suffix"`
	System   string            `json:"system"`
	Template string            `json:"template"`
	Raw      bool              `json:"raw"`
	Context  []int32           `json:"context"` // the tokens of an earlier prompt and answer
	Images   []json.RawMessage `json:"images"`
}

// check reports what is not served, before a model is loaded for it.
func (q *generateRequest) check() error {
	switch {
	case len(q.Images) > 0:
		return core.Unsupported("images", "%q does not support images", q.Model)
	case q.Suffix != "":
		return core.Unsupported("suffix", "%q does not support insert; leave suffix out", q.Model)
	case q.Raw && (q.Template != "" || q.System != "" || len(q.Context) > 0):
		return core.BadRequest("raw", "raw mode does not support template, system, or context")
	case q.Template != "":
		return core.Unsupported("template", "the template of a request is not supported; leave it out to use the model's own, or send a finished prompt with raw")
	}
	return nil
}

// lineMetrics are at the end of an answer. Times are in nanoseconds.
type lineMetrics struct {
	TotalDuration      time.Duration `json:"total_duration"`
	LoadDuration       time.Duration `json:"load_duration"`
	PromptEvalCount    int           `json:"prompt_eval_count"`
	PromptEvalDuration time.Duration `json:"prompt_eval_duration"`
	EvalCount          int           `json:"eval_count"`
	EvalDuration       time.Duration `json:"eval_duration"`
}

// answerLine is what the lines of an answer have in common.
type answerLine struct {
	Model      string          `json:"model"`
	CreatedAt  time.Time       `json:"created_at"`
	Done       bool            `json:"done"`
	DoneReason string          `json:"done_reason,omitempty"`
	Logprobs   []tokenLogprobs `json:"logprobs,omitempty"`
	*lineMetrics
}

type generateLine struct {
	answerLine
	Response string  `json:"response"`
	Context  []int32 `json:"context,omitempty"`
}

func (a *api) generate(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	var q generateRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	if q.Prompt == "" {
		return a.loadOnly(w, r, &q.commonFields, func(line answerLine) any { return generateLine{answerLine: line} })
	}
	l, load, err := a.acquire(r.Context(), q.Model, q.KeepAlive)
	if err != nil {
		return err
	}
	defer l.Release()
	g, err := q.Options.generation(l, q.Logprobs, q.TopLogprobs)
	if err != nil {
		return err
	}
	p, err := a.prepareGenerate(l, &q, g)
	if err != nil {
		return err
	}
	limit, err := g.bound(len(p.Prompt))
	if err != nil {
		return err
	}
	p.Options = append(p.Options, limit)
	pieces := a.Converse
	if q.Raw {
		pieces = a.continueRaw
	}
	tokens := append([]int32(nil), p.Prompt...)
	answer := &answer{api: a, common: &q.commonFields, lease: l, start: start, load: load}
	answer.line = func(line answerLine, content string, calls []toolCall) any {
		out := generateLine{answerLine: line, Response: content}
		if line.Done && !q.Raw {
			out.Context = tokens
		}
		return out
	}
	answer.token = func(t trit.Token) { tokens = append(tokens, t.ID) }
	return answer.write(w, r, p, pieces)
}

// prepareGenerate makes the prompt of /api/generate.
func (a *api) prepareGenerate(l *core.Lease, q *generateRequest, g *generation) (*core.Prepared, error) {
	t := l.Model.Tokenizer()
	if q.Raw {
		p := &core.Prepared{Job: core.Job{Model: l, Answers: 1, Options: g.options}}
		p.Prompt = core.WithoutSecondBOS(t, t.Encode(q.Prompt, tokenizer.ParseSpecial(true)))
		constraint, err := l.Constraint(q.Format.Format)
		if constraint != nil {
			p.Options = append(p.Options, trit.Constrain(constraint))
		}
		return p, err
	}
	extra, err := q.Think.extra(q.Model)
	if err != nil {
		return nil, err
	}
	if err := core.CheckTokens("context", q.Context, t); err != nil {
		return nil, err
	}
	c := core.Conversation{Extra: extra, Format: q.Format.Format, Options: g.options}
	if q.System != "" {
		c.Messages = append(c.Messages, chat.Message{Role: "system", Content: q.System})
	}
	c.Messages = append(c.Messages, chat.Message{Role: "user", Content: q.Prompt})
	p, err := a.Prepare(l, &c)
	if err != nil || len(q.Context) == 0 {
		return p, err
	}
	// The template begins every text with BOS, and this one has begun already.
	turn := p.Prompt
	if id, ok := t.BOS(); ok && len(turn) > 0 && turn[0] == id {
		turn = turn[1:]
	}
	earlier := q.Context
	if room := g.context - g.reserve() - len(turn); q.truncate() && len(earlier) > room {
		earlier = earlier[len(earlier)-max(room, 0):]
	}
	p.Prompt = append(append([]int32(nil), earlier...), turn...)
	return p, nil
}

// continueRaw is converse for prompts that are no conversations: the answer is
// as the model writes it.
func (a *api) continueRaw(ctx context.Context, p *core.Prepared) iter.Seq2[core.Piece, error] {
	return func(yield func(core.Piece, error) bool) {
		for t, err := range a.Run(ctx, &p.Job) {
			if !yield(core.Piece{Token: t, Content: t.Text}, err) || err != nil {
				return
			}
		}
	}
}

// loadOnly answers a request that asks nothing: it loads the model, or unloads
// it if it is not to be kept. The server's own models are always kept.
func (a *api) loadOnly(w http.ResponseWriter, r *http.Request, q *commonFields, answer func(answerLine) any) error {
	line := answerLine{Model: q.Model, Done: true, DoneReason: "load"}
	m, err := a.find(q.Model)
	if err != nil {
		return err
	}
	loaded, own := a.Models.Has(m.Name)
	if q.KeepAlive != nil && q.KeepAlive.Duration == 0 && !own {
		line.DoneReason = "unload"
	}
	if line.DoneReason == "load" || loaded {
		l, _, err := a.acquire(r.Context(), q.Model, q.KeepAlive)
		if err != nil {
			return err
		}
		l.Release()
	}
	line.CreatedAt = time.Now().UTC()
	return core.WriteJSON(w, http.StatusOK, answer(line))
}

// answer writes one answer, whole or in lines.
type answer struct {
	*api
	common *commonFields
	lease  *core.Lease
	start  time.Time
	load   time.Duration
	// line makes a line of what the answer goes on with, or the last one.
	line  func(line answerLine, content string, calls []toolCall) any
	token func(trit.Token) // sees every token; may be nil
}

// write runs a prompt and answers the request.
func (a *answer) write(w http.ResponseWriter, r *http.Request, p *core.Prepared, run func(context.Context, *core.Prepared) iter.Seq2[core.Piece, error]) error {
	var (
		stats     trit.Stats
		stream    = a.NewLineStream(w)
		streaming = a.common.stream()
		content   string
		calls     []toolCall
		logprobs  []tokenLogprobs
		last      = answerLine{Model: a.common.Model, Done: true, DoneReason: "stop"}
	)
	p.Stats = &stats
	for piece, err := range run(r.Context(), p) {
		if err != nil {
			return fail(stream, r, err)
		}
		if a.token != nil {
			a.token(piece.Token)
		}
		called := newToolCalls(piece.Calls, len(calls))
		calls = append(calls, called...)
		var probs []tokenLogprobs
		if a.common.Logprobs {
			probs = []tokenLogprobs{newTokenLogprobs(a.lease.Model.Tokenizer(), piece.Token)}
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
		line := answerLine{Model: a.common.Model, CreatedAt: time.Now().UTC(), Logprobs: probs}
		if err := stream.Line(a.line(line, piece.Content, called)); err != nil {
			return err
		}
	}
	last.CreatedAt = time.Now().UTC()
	last.Logprobs = logprobs
	last.lineMetrics = &lineMetrics{
		TotalDuration: time.Since(a.start), LoadDuration: a.load,
		PromptEvalCount: stats.PromptTokens, PromptEvalDuration: stats.PromptTime,
		EvalCount: stats.GeneratedTokens, EvalDuration: stats.GenerateTime,
	}
	if streaming {
		return stream.Line(a.line(last, "", nil))
	}
	return core.WriteJSON(w, http.StatusOK, a.line(last, content, calls))
}

// fail reports an error as the last line of a stream that has begun.
func fail(t *core.Stream, r *http.Request, err error) error {
	return t.Fail(r, err, func(e *core.Error) error { return t.Line(errorLine{e.Message}) })
}

// errPromptTooLong is what clients read about prompts that leave no room.
func errPromptTooLong(prompt, context int) string {
	return fmt.Sprintf("the prompt has %d tokens, which leaves no room for an answer in a context of %d; shorten it, or start the server with a larger --ctx-size", prompt, context)
}
