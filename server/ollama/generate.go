package ollama

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
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

// Salt keeps prompts apart in the prefix cache.
func (q *commonFields) Salt() string { return q.Options.CacheSalt }

func (q *commonFields) stream() bool { return q.Stream == nil || *q.Stream }

func (q *commonFields) truncate() bool { return q.Truncate == nil || *q.Truncate }

// generateRequest is the body of /api/generate.
type generateRequest struct {
	commonFields
	Prompt   string `json:"prompt"`
	Suffix   string `json:"suffix"`
	System   string `json:"system"`
	Template string `json:"template"`
	Raw      bool   `json:"raw"`
	// ParseSpecial is not Ollama's: false has the names of control tokens in a raw prompt
	// stand for themselves. Left out, it is true.
	ParseSpecial *bool `json:"parse_special"`

	Context []int32           `json:"context"` // the tokens of an earlier prompt and answer
	Images  []json.RawMessage `json:"images"`
}

// API implements core.Bound.
func (*generateRequest) API() core.API { return core.OllamaGenerate }

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
		return core.Unsupported("template",
			"the template of a request is not supported; leave it out to use the model's own, "+
				"or send a finished prompt with raw")
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
	Thinking string  `json:"thinking,omitempty"`
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
	g, err := q.Options.generation(r, l, q.Logprobs, q.TopLogprobs)
	if err != nil {
		return err
	}
	p, pieces, err := a.prepareGenerate(r, l, &q, g)
	if err != nil {
		return err
	}
	limit, err := g.bound(len(p.Prompt))
	if err != nil {
		return err
	}
	p.Options = append(p.Options, limit)
	b := &answerBuilder{common: &q.commonFields, job: p, start: start, load: load}
	tokens := append([]int32(nil), p.Prompt...)
	b.token = func(id int32) { tokens = append(tokens, id) }
	b.line = func(line answerLine, content, thinking string, calls []toolCall) any {
		out := generateLine{answerLine: line, Response: content, Thinking: thinking}
		if line.Done && !q.Raw {
			out.Context = tokens
		}
		return out
	}
	return a.answer(w, r, b, pieces)
}

// runner runs a prompt.
type runner func(ctx context.Context) iter.Seq2[trit.Piece, error]

// prepareGenerate makes the prompt of /api/generate, and what runs it.
func (a *api) prepareGenerate(r *http.Request, l *core.Lease, q *generateRequest, g *generation) (
	*core.Job, runner, error) {
	t := l.Model.Tokenizer()
	if q.Raw {
		prompt, err := l.Tokens(r.Context(), "prompt", q.Prompt,
			tokenizer.ParseSpecial(core.ValueOr(q.ParseSpecial, true)))
		if err != nil {
			return nil, nil, err
		}
		constraint, ignored, err := l.Formatted(r.Context(), q.Format.format())
		if err != nil {
			return nil, nil, err
		}
		core.SayIgnored(r, ignored)
		j := &core.Job{Model: l, Choices: 1, Options: append(g.options, constraint...), Stats: new(trit.Stats),
			FormatField: "format", Prompt: core.WithoutSecondBOS(t, prompt)}
		return j, func(ctx context.Context) iter.Seq2[trit.Piece, error] { return a.continueRaw(ctx, j) }, nil
	}
	if err := core.CheckTokens("context", q.Context, t); err != nil {
		return nil, nil, err
	}
	c := core.Conversation{Options: g.options}
	c.Begun = len(q.Context) > 0
	c.SetFormat(q.Format.format())
	var err error
	if err := q.Think.apply(&c, l, q.Model); err != nil {
		return nil, nil, err
	}
	if q.System != "" {
		c.Messages = append(c.Messages, chat.Message{Role: "system", Content: q.System})
	}
	c.Messages = append(c.Messages, chat.Message{Role: "user", Content: q.Prompt})
	p, err := l.Prepare(r.Context(), &c)
	if err != nil {
		return nil, nil, err
	}
	core.SayIgnored(r, c.Ignored)
	if len(q.Context) > 0 {
		// The template begins every text with BOS, and this one has begun already.
		turn := p.Prompt
		if id, ok := t.BOS(); ok && slices.Index(turn, id) == 0 {
			turn = turn[1:]
		}
		earlier := q.Context
		if q.truncate() && len(earlier)+len(turn) >= g.context {
			room := min(max(g.context-g.reserve()-len(turn), 0), len(earlier))
			earlier = earlier[len(earlier)-room:]
		}
		p.Prompt = slices.Concat(earlier, turn)
	}
	return &p.Job, func(ctx context.Context) iter.Seq2[trit.Piece, error] { return a.Converse(ctx, p) }, nil
}

// continueRaw is Converse for prompts that are no conversations: the answer is
// as the model writes it.
func (a *api) continueRaw(ctx context.Context, j *core.Job) iter.Seq2[trit.Piece, error] {
	return func(yield func(trit.Piece, error) bool) {
		for t, err := range a.Run(ctx, j) {
			if !yield(trit.Piece{Token: t, Content: t.Text}, err) {
				return
			}
		}
	}
}

// loadOnly answers a request that asks nothing: it loads the model, or unloads
// it if it is not to be kept. The server's own models are always kept.
func (a *api) loadOnly(w http.ResponseWriter, r *http.Request, q *commonFields, answer func(answerLine) any) error {
	line := answerLine{Model: q.Model, Done: true, DoneReason: "load"}
	m, err := a.answering(q.Model)
	if err != nil {
		return err
	}
	loaded, own := a.Models.Has(m)
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

// answerBuilder makes an answer, whole or in lines.
type answerBuilder struct {
	common *commonFields
	job    *core.Job
	start  time.Time
	load   time.Duration
	// line makes a line of what the answer goes on with, or the last one.
	line  func(line answerLine, content, thinking string, calls []toolCall) any
	token func(id int32) // sees every token; may be nil
	out   *core.Reply

	content, thinking strings.Builder
	calls             []toolCall
	logprobs          []tokenLogprobs
	reason            string // why the answer ended
}

// answer runs a prompt and answers the request.
func (a *api) answer(w http.ResponseWriter, r *http.Request, b *answerBuilder, run runner) error {
	b.out = a.NewReply(w, r, core.FormOf(b.common.stream(), core.Lines))
	return core.Answer(b.out, run(b.out.Context()), b)
}

// Add takes the next piece.
func (b *answerBuilder) Add(p trit.Piece) error {
	if b.token != nil {
		b.token(p.ID)
	}
	called := newToolCalls(p.Calls, len(b.calls))
	b.calls = append(b.calls, called...)
	b.content.WriteString(p.Content)
	b.thinking.WriteString(p.Reasoning)
	var probs []tokenLogprobs
	if b.common.Logprobs {
		probs = []tokenLogprobs{newTokenLogprobs(b.job.Model.Model.Tokenizer(), p.Token)}
		b.logprobs = append(b.logprobs, probs...)
	}
	switch p.Finish {
	case "":
	case trit.FinishLength:
		b.reason = "length"
	default:
		b.reason = "stop"
	}
	if p.Content == "" && p.Reasoning == "" && called == nil && probs == nil {
		return nil
	}
	line := answerLine{Model: b.common.Model, CreatedAt: time.Now().UTC(), Logprobs: probs}
	return b.out.Piece("", b.line(line, p.Content, p.Reasoning, called))
}

// End sends the last line of a stream, which has the counts and times.
func (b *answerBuilder) End() (any, error) {
	stats := b.job.Stats
	last := answerLine{Model: b.common.Model, Done: true, DoneReason: cmp.Or(b.reason, "stop"),
		CreatedAt: time.Now().UTC(), lineMetrics: &lineMetrics{
			TotalDuration: time.Since(b.start), LoadDuration: b.load,
			PromptEvalCount: stats.PromptTokens, PromptEvalDuration: stats.PromptTime,
			EvalCount: stats.GeneratedTokens, EvalDuration: stats.GenerateTime,
		}}
	if b.out.Streams() {
		return nil, b.out.Piece("", b.line(last, "", "", nil))
	}
	last.Logprobs = b.logprobs
	return b.line(last, b.content.String(), b.thinking.String(), b.calls), nil
}

// Fail ends the stream with an error.
func (b *answerBuilder) Fail(e *core.Error) error {
	return b.out.Piece("", errorLine{Error: errorText(e)})
}

// errPromptTooLong is what clients read about prompts that leave no room.
func errPromptTooLong(prompt, context int) string {
	return fmt.Sprintf("the prompt has %d tokens, which leaves no room for an answer in a context of %d; shorten "+
		"it, or start the server with a larger context", prompt, context)
}
