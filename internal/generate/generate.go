// Package generate is the loop above a sequence: it runs the prompt, chooses
// token after token, turns them into text, and knows when to stop.
//
// A [Generation] is consumed as an iterator. It continues the prompt in one way or
// in several, the choices ([Options].Choices), which are decoded together; it may
// guess ahead to save forward passes without changing the text ([Options].Speculation), keep to a
// formal language ([Options].Constraint), and choose by contrastive search
// ([Options].Contrastive). Leaving the loop early is fine: the session is then
// where the last token left it.
//
// [Beams] looks for the most likely sequences instead, by beam search.
package generate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"trit/internal/engine"
	"trit/internal/fault"
	"trit/internal/kernel"
	"trit/sample"
	"trit/tokenizer"
)

// Finish says why a text ended.
type Finish string

// The reasons to end.
const (
	// FinishStop: the model ended the text with one of its end tokens, or a
	// constraint allows nothing more.
	FinishStop Finish = "stop"
	// FinishStopString: one of the caller's stop strings came up.
	FinishStopString Finish = "stop_string"
	// FinishLength: MaxTokens were generated or the context is full.
	FinishLength Finish = "length"
	// FinishCancelled: the caller's context ended or the caller left the loop.
	FinishCancelled Finish = "cancelled"
)

// Errors of this package, wrapped with details.
var (
	// ErrPrompt reports a prompt that cannot be continued.
	ErrPrompt = errors.New("generate: bad prompt")
	// ErrOptions reports options that make no sense. Those of Options are a
	// [fault.OptionError].
	ErrOptions = fault.ErrOption
)

// Options say how to continue a prompt.
type Options struct {
	// MaxTokens bounds the generated tokens; 0 means up to the end of the
	// context.
	MaxTokens int
	// PromptOnly runs the prompt, so that the prefix cache has it, and generates nothing.
	PromptOnly bool
	// MinTokens is the number of tokens before which end tokens are not
	// allowed.
	MinTokens int
	// Stop are strings that end the text. They are not part of it.
	Stop []string
	// StopTokens end the text beside the model's own end tokens.
	StopTokens []int32
	// IgnoreEnd goes on after the model's end tokens.
	IgnoreEnd bool
	// Special renders control tokens as text instead of leaving them out.
	Special bool
	// Sampling chooses the tokens. The zero value is not valid; start from
	// sample.Default().
	Sampling sample.Options

	// Salt keeps the text apart from texts with another salt in the prefix cache.
	Salt string

	// Progress, if not nil, is told how far the prompt is: before the first of its tokens
	// is run, from time to time, and when all have been. It is called by the goroutine that
	// asks for the first token.
	Progress func(PromptProgress)

	// Choices is the number of continuations of the prompt, 0 meaning 1. They are
	// decoded together; Token.Index tells them apart. The first is the one that
	// would come alone, the others have seeds derived from the first one's.
	Choices int
	// Constraint, if not nil, is what the text must keep to. It is at the
	// beginning of the generated text, and is not changed.
	Constraint Constraint
	// Speculation guesses tokens ahead; the zero value does not.
	Speculation Speculation
	// Contrastive chooses the tokens by contrastive search instead of
	// Sampling; the zero value does not.
	Contrastive Contrastive
}

// Token is one generated token.
type Token struct {
	ID int32
	// Index is the number of the choice, from 0.
	Index int
	// Text is what the token adds to the text. It is empty while a character
	// is incomplete or while the text could still become a stop string; the
	// following token then carries the rest.
	Text string
	// Prob is the token's probability after all samplers, LogProb its
	// log-probability in the model's own distribution (NaN unless asked for
	// in the sampling options), Top the most likely tokens there and Candidates the
	// most likely ones after all samplers.
	Prob       float64
	LogProb    float64
	Top        []sample.TokenLogProb
	Candidates []sample.TokenProb
	// Finish is set on the last token of a choice only.
	Finish Finish
	// StopString is the stop string that ended the text, with FinishStopString.
	StopString string
	// Cut is set on a last token that ends the text before the constraint was
	// satisfied: at the limit, or by a stop token or string that came before. A
	// stop string counts as part of the text here.
	Cut bool
}

// PromptProgress says how far a prompt is.
type PromptProgress struct {
	Done   int           // tokens that have been run, with those from the prefix cache
	Cached int           // tokens that were taken from the prefix cache
	Total  int           // tokens of the prompt
	Time   time.Duration // since the generation began
}

// Stats count and time a generation.
type Stats struct {
	PromptTokens    int           `json:"prompt_tokens"`
	CachedTokens    int           `json:"cached_tokens"` // of the prompt, taken from the prefix cache
	GeneratedTokens int           `json:"generated_tokens"`
	PromptTime      time.Duration `json:"prompt_nanoseconds"`
	GenerateTime    time.Duration `json:"generate_nanoseconds"`
	// Steps counts the model's forward passes after the prompt, GuessedTokens
	// the tokens that speculation proposed and AcceptedTokens those of them
	// that were right.
	Steps          int `json:"steps"`
	GuessedTokens  int `json:"guessed_tokens"`
	AcceptedTokens int `json:"accepted_tokens"`
}

// PromptRate returns the prompt tokens per second that were computed, GenerateRate
// the generated tokens per second. The first generated token comes out of the
// prompt's last step and is not counted in the rate.
func (s Stats) PromptRate() float64 { return rate(s.PromptTokens-s.CachedTokens, s.PromptTime) }

// GenerateRate returns the generated tokens per second.
func (s Stats) GenerateRate() float64 { return rate(s.GeneratedTokens-1, s.GenerateTime) }

func rate(n int, d time.Duration) float64 {
	if n <= 0 || d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// Generation continues a prompt on a session.
type Generation struct {
	session  *engine.Session
	options  Options
	pipeline *sample.Pipeline
	choices  []*choice
	jobs     []engine.Job

	finish Finish
	stats  Stats
	start  time.Time
	used   bool
}

// New prepares a generation. The session may already hold the beginning of
// the text.
func New(s *engine.Session, t *tokenizer.Tokenizer, o Options) (*Generation, error) {
	if err := o.validate(s.Scheduler().Engine()); err != nil {
		return nil, err
	}
	p, err := sample.NewPipeline(o.Sampling)
	if err != nil {
		return nil, err
	}
	if s.Len() == 0 {
		s.SetSalt(o.Salt)
	}
	g := &Generation{session: s, options: o, pipeline: p}
	for i := range max(o.Choices, 1) {
		own := p
		if i > 0 {
			own = p.Fork(uint64(i))
		}
		g.choices = append(g.choices, newChoice(&g.options, i, s, t, own))
	}
	return g, nil
}

func (o *Options) validate(e *engine.Engine) error {
	if o.MaxTokens < 0 {
		return fault.Option("max_tokens", "%d; want 0 or more", o.MaxTokens)
	}
	if o.MinTokens < 0 {
		return fault.Option("min_tokens", "%d; want 0 or more", o.MinTokens)
	}
	if o.Choices < 0 || o.Choices > MaxChoices {
		return fault.Option("choices", "%d; want 1 to %d", o.Choices, MaxChoices)
	}
	if err := validateStops(o.Stop); err != nil {
		return err
	}
	if err := o.Speculation.validate(e); err != nil {
		return err
	}
	return o.Contrastive.validate(o)
}

// MaxChoices bounds the continuations of one prompt.
const MaxChoices = 1024

// Finish tells why the generation ended; it is empty before that. Of several
// choices it is the reason of the one that ended last.
func (g *Generation) Finish() Finish { return g.finish }

// Stats returns counts and times so far, of all choices together.
func (g *Generation) Stats() Stats { return g.stats }

// Tokens runs the prompt and yields the continuation. An error ends the
// iteration; a cancelled context ends it with the context's error and Finish
// cancelled. It can be used once.
func (g *Generation) Tokens(ctx context.Context, prompt []int32) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if g.used {
			yield(Token{}, fmt.Errorf("%w: a generation can be used once", ErrOptions))
			return
		}
		g.used = true
		err := g.run(ctx, prompt, func(t Token) bool { return yield(t, nil) })
		for _, a := range g.choices {
			a.close()
		}
		if err == nil || err == errLeft {
			return
		}
		if ctx.Err() != nil {
			g.finish = FinishCancelled
		}
		yield(Token{}, err)
	}
}

// errLeft reports that the consumer has left the loop.
var errLeft = errors.New("generate: the consumer has left")

// run is the loop: in each step all choices that the KV cache has room for run what
// they need in one batch, and then choose their tokens.
func (g *Generation) run(ctx context.Context, prompt []int32, yield func(Token) bool) error {
	limit, err := room(g.session, prompt, g.options.MaxTokens)
	if err != nil {
		return err
	}
	g.start = time.Now()
	stop := g.watch(len(prompt))
	if g.options.PromptOnly {
		err := g.session.Run(ctx, prompt, engine.None, len(prompt))
		g.stats.PromptTokens, g.stats.CachedTokens = len(prompt), g.session.Reused()
		g.stats.PromptTime, g.finish = time.Since(g.start), FinishLength
		stop(err)
		return err
	}
	if g.options.Contrastive.K > 0 {
		return g.contrastive(ctx, prompt, limit, stop, yield)
	}
	first := g.choices[0]
	for _, a := range g.choices {
		a.begin(g.session.Tokens(), prompt, limit)
	}
	if err := first.warmUp(ctx); err != nil {
		return err
	}
	err = g.step(ctx, g.choices[:1])
	stop(err)
	if err != nil {
		return err
	}
	for _, a := range g.choices[1:] {
		if err := a.branch(first); err != nil {
			return err
		}
	}
	g.stats.PromptTokens, g.stats.CachedTokens = len(prompt), g.session.Reused()
	g.stats.PromptTime = time.Since(g.start)
	g.start = time.Now()
	g.stats.Steps, first.step = 0, stepFacts{}

	from := func(*choice) *choice { return first }
	shared := len(first.history) / kernel.PageTokens * kernel.PageTokens
	for live, ran := append([]*choice(nil), g.choices...), len(g.choices); ; {
		kept := live[:0]
		for _, a := range live[:ran] {
			if err := g.harvest(a, from(a), yield); err != nil {
				return err
			}
			if a.finish == "" {
				kept = append(kept, a)
			}
		}
		live = append(kept, live[ran:]...)
		if len(live) == 0 {
			return nil
		}
		ran = g.fitting(live, shared)
		if err := g.step(ctx, live[:ran]); err != nil {
			return err
		}
		from = func(a *choice) *choice { return a }
	}
}

// watch tells the client how far a prompt of so many tokens is until stop is called.
func (g *Generation) watch(total int) (stop func(error)) {
	f := g.options.Progress
	if f == nil {
		return func(error) {}
	}
	var p PromptProgress
	p.Done, p.Total = -1, total
	report := func(done, cached int) {
		// A prompt that is run in two parts, or with guesses behind it, only goes forward.
		if done = min(done, total); done <= p.Done {
			return
		}
		p.Cached, p.Time = max(p.Cached, cached), time.Since(g.start)
		if p.Done < 0 && done > p.Cached { // a short prompt can be done before anybody has looked
			p.Done = p.Cached
			f(p)
		}
		p.Done = done
		f(p)
	}
	g.session.SetProgress(report)
	return func(err error) {
		g.session.SetProgress(nil)
		if err == nil {
			report(total, g.session.Reused())
		}
	}
}

// fitting returns how many of the choices, from the first on, the KV cache can hold
// with the tokens of another step. All of them share the first positions, of the prompt. If
// those that do not fit went on too, each would in every step take the memory of
// another, whose text had to be run again.
func (g *Generation) fitting(live []*choice, shared int) int {
	cache := g.session.Scheduler().Engine().Cache().Config()
	left, own := cache.MaxPages-cache.Room(shared), cache.StatePages()-cache.Shared(shared)
	for i, a := range live {
		if left -= cache.Room(len(a.history)+maxGuesses+1) + own; left < 0 {
			return max(i, 1)
		}
	}
	return len(live)
}

// room returns how many tokens can be generated behind a prompt.
func room(s *engine.Session, prompt []int32, maxTokens int) (int, error) {
	context := s.Scheduler().Engine().Context()
	if len(prompt) == 0 {
		return 0, fmt.Errorf("%w: it has no tokens", ErrPrompt)
	}
	n := s.Len() + len(prompt)
	if n >= context {
		return 0, &fault.ContextError{What: "the prompt", Tokens: n, Room: context - 1, Context: context}
	}
	limit := context - n
	if maxTokens > 0 {
		limit = min(limit, maxTokens)
	}
	return limit, nil
}

// step runs what some choices need.
func (g *Generation) step(ctx context.Context, live []*choice) error {
	start := time.Now()
	guessed := 0
	g.jobs = g.jobs[:0]
	for _, a := range live {
		job, err := a.plan(ctx)
		if err != nil {
			return err
		}
		g.jobs = append(g.jobs, job)
		guessed += len(a.guesses)
	}
	err := g.session.Scheduler().Run(ctx, g.jobs)
	g.stats.Steps++
	g.stats.GuessedTokens += guessed
	facts := stepFacts{time.Since(start), len(live), guessed}
	for _, a := range live {
		a.step = facts
	}
	return err
}

// harvest chooses the tokens of one choice from the results of a step and
// yields them.
func (g *Generation) harvest(a, from *choice, yield func(Token) bool) error {
	accepted := 0
	for i := 0; ; i++ {
		token, err := a.choose(from, i)
		if err != nil {
			return errors.Join(err, a.settle(accepted))
		}
		right := i < len(a.guesses) && token.ID == a.guesses[i]
		if right {
			accepted++
			g.stats.AcceptedTokens++
		}
		if err := a.accept(&token); err != nil {
			return errors.Join(err, a.settle(accepted))
		}
		g.stats.GeneratedTokens++
		if g.stats.GeneratedTokens > len(g.choices) {
			g.stats.GenerateTime = time.Since(g.start)
		}
		last := a.finish != "" || !right
		if last {
			if err := a.settle(accepted); err != nil {
				return err
			}
		}
		if a.finish != "" {
			g.finish = a.finish
		}
		if !yield(token) {
			if a.finish == "" || len(g.choices) > 1 {
				g.finish = FinishCancelled
			}
			if err := a.settle(accepted); err != nil {
				return err
			}
			return errLeft
		}
		if last {
			return nil
		}
	}
}
