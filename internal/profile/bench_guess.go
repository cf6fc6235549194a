package profile

import (
	"fmt"
	"strings"
	"time"

	"trit/internal/engine"
	"trit/internal/head"
)

// Guesses is what it costs to guess tokens with a model's own layer for that. Times are
// medians.
type Guesses struct {
	StepSeconds  float64        `json:"step_seconds"`  // that checks none
	GuessSeconds float64        `json:"guess_seconds"` // of one: the layer and the head
	CheckSeconds []float64      `json:"check_seconds"` // of a step that checks 1, 2, … guesses
	Expected     []GuessesSpeed `json:"expected"`
}

// GuessesSpeed is what follows from the times where each guess is right with a probability,
// as long as those before it are.
type GuessesSpeed struct {
	Right  float64   `json:"right"`
	Faster []float64 `json:"times_as_fast"` // with 1, 2, … guesses in a step
}

// mostGuesses are made at once, guessRounds times in a repetition.
const (
	mostGuesses = 4
	guessRounds = 8
)

// guessTokens is how many tokens the rounds of a repetition add, with the last guesses.
const guessTokens = guessRounds*(1+mostGuesses) + mostGuesses

// guessing holds the samples.
type guessing struct {
	step, guess Samples
	check       [mostGuesses]Samples
	state       []float32
	lanes       [mostGuesses]lane // what is chosen by a guess and, when it is checked, after it
}

// guesses times steps without guesses, guesses, and steps that check some, on a sequence. All
// but the first token of a check are taken back, whatever they are.
func (b *bench) guesses(l *lane) error {
	g := &b.guess
	for i := range g.lanes {
		g.lanes[i].sel.K = 1
	}
	for range guessRounds {
		if err := b.checkStep(l, 0); err != nil {
			return err
		}
		g.state = append(g.state[:0], b.batch.Hidden(0)...)
		token := l.next
		for i := range g.lanes {
			to := &g.lanes[i]
			b.batch.Reset()
			start := time.Now()
			if err := b.batch.Guess(l.seq, token, i, g.state, &to.sel); err != nil {
				return err
			}
			g.guess = append(g.guess, time.Since(start).Seconds())
			g.state = append(g.state[:0], b.batch.Hidden(0)...)
			if err := to.choose(); err != nil {
				return err
			}
			token = to.next
		}
		for n := range mostGuesses {
			if err := b.checkStep(l, n+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkStep times a step that checks n guesses.
func (b *bench) checkStep(l *lane, n int) error {
	g := &b.guess
	if err := b.ctx.Err(); err != nil {
		return err
	}
	b.batch.Reset()
	add := func(token int32, sel *head.Selector) error {
		_, err := b.batch.Add(l.seq, token, engine.Select, sel)
		return err
	}
	if err := add(l.next, &l.sel); err != nil {
		return err
	}
	for i := range n {
		if err := add(g.lanes[i].next, &g.lanes[i].sel); err != nil {
			return err
		}
	}
	kept := l.seq.Len() + 1
	if n > 0 {
		l.seq.Guesses(kept)
		defer l.seq.Guesses(-1)
	}
	start := time.Now()
	if err := b.engine.Step(b.batch, nil); err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	if n == 0 {
		g.step = append(g.step, took)
	} else {
		g.check[n-1] = append(g.check[n-1], took)
		if err := l.seq.Truncate(kept); err != nil {
			return err
		}
	}
	return l.choose()
}

// report says what follows from the samples.
func (g *guessing) report() *Guesses {
	r := &Guesses{StepSeconds: g.step.Median(), GuessSeconds: g.guess.Median()}
	for _, s := range g.check {
		r.CheckSeconds = append(r.CheckSeconds, s.Median())
	}
	for _, right := range []float64{.6, .7, .8, .9} {
		e := GuessesSpeed{Right: right}
		tokens, next := 1.0, 1.0
		for i, check := range r.CheckSeconds {
			next *= right
			tokens += next
			e.Faster = append(e.Faster, ratio(tokens*r.StepSeconds, check+float64(i+1)*r.GuessSeconds))
		}
		r.Expected = append(r.Expected, e)
	}
	return r
}

// String returns a table.
func (r *Guesses) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "a guess takes %.1f ms, a step without guesses %.1f ms\n\n", 1e3*r.GuessSeconds, 1e3*r.StepSeconds)
	fmt.Fprintf(&b, "%-16s %12s  times as fast, if of the guesses are right\n%-29s", "guesses at once", "checking ms", "")
	for _, e := range r.Expected {
		fmt.Fprintf(&b, " %8.0f %%", 100*e.Right)
	}
	for i, check := range r.CheckSeconds {
		fmt.Fprintf(&b, "\n%-16d %12.1f", i+1, 1e3*check)
		for _, e := range r.Expected {
			fmt.Fprintf(&b, " %10.2f", e.Faster[i])
		}
	}
	b.WriteByte('\n')
	return b.String()
}
