package generate

import (
	"context"
	"fmt"
	"math"
	"time"

	"trit/internal/engine"
	"trit/internal/fault"
	"trit/internal/kernel"
	"trit/sample"
)

// Contrastive search takes, of the K most likely tokens v, the one with the
// largest
//
//	(1 − α)·p(v | x) − α·max_j cos(h_v, h_j)
//
// where h_v is the hidden state that v would have and h_j are those of all
// tokens before it: likely, but not a repetition. It uses no randomness. Each
// step runs the K candidates in one batch.
//
// Source: Su et al., "A Contrastive Framework for Neural Text Generation",
// 2022, arXiv:2202.06417, equation 5.
type Contrastive struct {
	// K is the number of candidates; 0 turns contrastive search off. The paper
	// uses 3 to 10.
	K int
	// Alpha is the weight of the penalty, 0 to 1; the paper uses 0.6.
	Alpha float64
}

func (c *Contrastive) validate(o *Options) error {
	switch {
	case c.K == 0:
		return nil
	case c.K < 0 || c.K > maxContrastive:
		return fault.Option("contrastive", "%d candidates; want 1 to %d", c.K, maxContrastive)
	case !(c.Alpha >= 0 && c.Alpha <= 1):
		return fault.Option("contrastive", "alpha is %v; want 0 to 1", c.Alpha)
	case o.Choices > 1:
		return fault.Option("contrastive", "contrastive search gives one choice, not %d", o.Choices)
	case o.Sampling.TopCandidates > 0:
		return fault.Option("contrastive", "contrastive search has no samplers that leave candidates")
	case o.Speculation.Lookup || o.Speculation.MTP || o.Speculation.Draft != nil:
		return fault.Option("contrastive", "contrastive search and speculation exclude each other")
	}
	return nil
}

// maxContrastive bounds the candidates.
const maxContrastive = 256

// contrast is a contrastive search that runs. The session of candidate 0 is the
// caller's, the others are forks of it.
type contrast struct {
	options  Contrastive
	choice   *choice
	sessions []*engine.Session
	jobs     []engine.Job
	ids      []int32 // of the candidates

	states     []float32 // [tokens, D], of length 1
	state      []float32 // [D], a candidate's
	candidates []sample.TokenLogProb
	logits     []float32 // [V], masked
	given      []float32 // [V], what the model said, where log-probabilities are asked for
}

// contrastive is the loop of contrastive search.
func (g *Generation) contrastive(ctx context.Context, prompt []int32, limit int, prompted func(error), yield func(Token) bool) error {
	a := g.choices[0]
	if a.session.Len() > 0 {
		return fmt.Errorf("%w: contrastive search needs the hidden states of the whole text, so the session must be empty", ErrOptions)
	}
	a.begin(nil, prompt, limit)
	c := &contrast{options: g.options.Contrastive, choice: a, sessions: []*engine.Session{a.session}}
	defer c.close()
	err := c.prompt(ctx, prompt)
	prompted(err)
	if err != nil {
		return err
	}
	for range c.options.K - 1 {
		s, err := a.session.Fork()
		if err != nil {
			return err
		}
		c.sessions = append(c.sessions, s)
	}
	g.stats.PromptTokens, g.stats.PromptTime = len(prompt), time.Since(g.start)
	g.start = time.Now()
	logits := a.session.Logits(0)
	for {
		if err := c.propose(logits); err != nil {
			return err
		}
		if o := &g.options.Sampling; o.LogProb || o.TopLogProbs > 0 {
			c.given = append(c.given[:0], logits...) // the candidates' logits take their place
		}
		chosen := 0
		final := a.generated+1 == a.limit
		if len(c.candidates) > 1 || !final {
			if err := c.run(ctx); err != nil {
				return err
			}
			g.stats.Steps++
			chosen = c.best()
		}
		pick := c.candidates[chosen]
		token := Token{ID: pick.ID, Prob: c.probability(pick)}
		if err := a.addLogProb(&token, c.given); err != nil {
			return err
		}
		if err := a.accept(&token); err != nil {
			return err
		}
		g.stats.GeneratedTokens++
		if g.stats.GeneratedTokens > 1 {
			g.stats.GenerateTime = time.Since(g.start)
		}
		if a.finish != "" {
			g.finish = a.finish
		}
		if err := c.settle(chosen); err != nil {
			return err
		}
		if !yield(token) {
			if a.finish == "" {
				g.finish = FinishCancelled
			}
			return c.rewind()
		}
		if a.finish != "" {
			return c.rewind()
		}
		logits = c.sessions[chosen].Logits(0)
	}
}

// prompt runs the prompt and keeps its hidden states.
func (c *contrast) prompt(ctx context.Context, prompt []int32) error {
	s := c.choice.session
	n := len(prompt) - 1
	if err := s.Run(ctx, prompt[:n], engine.Hidden, 0); err != nil {
		return err
	}
	for i := range n {
		c.states = append(c.states, unit(s.Hidden(i))...)
	}
	if err := s.Run(ctx, prompt[n:], engine.All, 0); err != nil {
		return err
	}
	c.states = append(c.states, unit(s.Hidden(0))...)
	return nil
}

// propose finds the most likely tokens that may come next.
func (c *contrast) propose(logits []float32) error {
	a, r := c.choice, c.choice.row(0)
	r.context = sample.Context{History: a.history, Generated: a.generated}
	if err := a.mask(r, a.constraint, 0); err != nil {
		return err
	}
	c.logits = append(c.logits[:0], logits...)
	for id := range c.logits {
		if !allows(&r.context, int32(id)) {
			c.logits[id] = float32(math.Inf(-1))
		}
	}
	var err error
	if c.candidates, err = sample.TopLogProbs(c.candidates[:0], c.logits, c.options.K); err != nil {
		return err
	}
	// Of fewer allowed tokens than K, the rest are not candidates.
	for n := len(c.candidates); n > 1 && math.IsInf(c.candidates[n-1].LogProb, -1); n-- {
		c.candidates = c.candidates[:n-1]
	}
	return nil
}

// run runs each candidate behind the text.
func (c *contrast) run(ctx context.Context) error {
	c.jobs, c.ids = c.jobs[:0], c.ids[:0]
	for _, t := range c.candidates {
		c.ids = append(c.ids, t.ID)
	}
	for i := range c.ids {
		c.jobs = append(c.jobs, engine.Job{Session: c.sessions[i], Tokens: c.ids[i : i+1], Want: engine.All, Guesses: 1})
	}
	return c.sessions[0].Scheduler().Run(ctx, c.jobs)
}

// best returns the candidate with the largest score, of equal ones the most
// likely.
func (c *contrast) best() int {
	best, largest := 0, math.Inf(-1)
	for i, candidate := range c.candidates {
		c.state = append(c.state[:0], c.sessions[i].Hidden(0)...)
		if score := c.options.score(c.probability(candidate), similarity(unit(c.state), c.states)); score > largest {
			best, largest = i, score
		}
	}
	return best
}

// score is equation 5 of the paper.
func (c *Contrastive) score(p, similarity float64) float64 {
	return float64((1-c.Alpha)*p) - float64(c.Alpha*similarity)
}

// probability is computed in float32, as the kernel's exponential has the same
// bits on every machine.
func (c *contrast) probability(t sample.TokenLogProb) float64 {
	x := [1]float32{float32(t.LogProb)}
	kernel.Exp(x[:], x[:])
	return float64(x[0])
}

// similarity returns the largest cosine between a state and others, all of
// length 1.
func similarity(state, others []float32) float64 {
	largest := float32(-1)
	for d := len(state); len(others) > 0; others = others[d:] {
		largest = max(largest, kernel.Dot(state, others[:d]))
	}
	return float64(largest)
}

// unit scales a vector to length 1, in place. A vector of zeros stays.
func unit(v []float32) []float32 {
	if length := math.Sqrt(float64(kernel.Dot(v, v))); length > 0 {
		kernel.Scale(v, v, float32(1/length))
	}
	return v
}

// settle makes all sessions go on from the chosen candidate.
func (c *contrast) settle(chosen int) error {
	s := c.sessions[chosen]
	if s.Len() < len(c.choice.history) {
		return nil // nothing was run, at the end
	}
	c.states = append(c.states, unit(s.Hidden(0))...)
	for _, other := range c.sessions {
		if err := other.Assign(s); err != nil {
			return err
		}
	}
	return nil
}

// rewind leaves the caller's session without the last token, as other
// generations do.
func (c *contrast) rewind() error {
	n := len(c.choice.history)
	if !c.choice.ended {
		n--
	}
	return c.sessions[0].Truncate(min(c.sessions[0].Len(), n))
}

// close closes all sessions but the caller's.
func (c *contrast) close() {
	for _, s := range c.sessions[1:] {
		s.Close()
	}
}
