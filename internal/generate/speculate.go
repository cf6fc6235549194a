package generate

import (
	"context"
	"fmt"
	"math"

	"trit/internal/engine"
	"trit/internal/fault"
	"trit/sample"
)

// Speculation guesses the next tokens and lets the model check all guesses in
// one forward pass, which costs little more than a pass for one token as long as
// reading the weights is what takes the time. What comes out is distributed
// exactly as without it.
//
// Guesses by Lookup and MTP, and all guesses when sampling is greedy, are accepted only
// when they are what the sampler chooses anyway: same seed, same text. Guesses
// that a draft model has drawn by chance are accepted by the rule of Leviathan,
// Kalman and Matias, "Fast Inference from Transformers via Speculative
// Decoding", 2023, arXiv:2211.17192 (also Chen et al., arXiv:2302.01318): the
// text is another one than without guessing, with the same probabilities.
//
// How many tokens are guessed follows from how often guesses like these were
// right and from what they cost. Guesses that fail are paid from a budget of 2 %
// of the steps and of what guesses that came true have saved, so a text that
// cannot be guessed hardly takes longer.
type Speculation struct {
	// Lookup guesses that the text goes on as it did after an earlier
	// occurrence of its last tokens: prompt lookup decoding (Saxena, 2023,
	// github.com/apoorvumang/prompt-lookup-decoding).
	Lookup bool
	// Draft runs a smaller model with the same vocabulary that guesses. It
	// excludes Lookup.
	Draft *engine.Scheduler
	// MTP guesses with a layer of the model itself, which it must have been loaded with. It
	// excludes Lookup and Draft.
	MTP bool
	// MaxGuesses is the largest number of tokens guessed at once; 0 means 16
	// for Lookup, 8 for Draft and 4 for MTP.
	MaxGuesses int
	// MinMatch is how many tokens must agree for Lookup; 0 means 2.
	MinMatch int
	// Cost is what one more guess costs, as a fraction of a step that guesses
	// nothing; 0 means that it is measured. With Draft and sampling that is not
	// greedy it is not measured, as then the text would depend on the machine's
	// speed: 0 means 0.3 and the ratio of the models' sizes.
	Cost float64

	keeps func(u, p, q float64) bool // nil is keepGuess; tests use another
}

func (o *Speculation) validate(e *engine.Engine) error {
	if o.Lookup && o.Draft != nil {
		return fault.Option("speculate", "lookup and a draft model exclude each other")
	}
	if o.MTP && (o.Lookup || o.Draft != nil) {
		return fault.Option("speculate", "a layer that guesses excludes lookup and a draft model")
	}
	if o.MTP && e.Model().Config.MTP == 0 {
		return fault.Option("speculate", "the model has been loaded without a layer that guesses; see option mtp")
	}
	if o.MaxGuesses < 0 || o.MaxGuesses > maxGuesses {
		return fault.Option("max_guesses", "%d; want 1 to %d, or 0 for the default", o.MaxGuesses, maxGuesses)
	}
	if o.MinMatch < 0 || o.MinMatch > maxMatch {
		return fault.Option("min_match", "%d; want 1 to %d, or 0 for the default", o.MinMatch, maxMatch)
	}
	if !(o.Cost >= 0) {
		return fault.Option("cost", "a guess costs %v steps; want 0 or more", o.Cost)
	}
	if o.Draft != nil {
		if got, want := o.Draft.Engine().Model().Config.Vocab, e.Model().Config.Vocab; got != want {
			return fault.Option("draft", "the draft model has a vocabulary of %d tokens, the model one of %d; they must be the same", got, want)
		}
	}
	return nil
}

// maxGuesses bounds the tokens guessed at once.
const maxGuesses = 64

// guesser proposes tokens for one choice.
type guesser interface {
	// look examines the history and says how many tokens can be guessed and,
	// for the pacer, how good a guess it is.
	look(a *choice) (n, class int)
	// next returns guess i, or noGuess. The earlier ones are in the history's memory,
	// behind the history.
	next(ctx context.Context, a *choice, i int) (int32, error)
	// branch returns a guesser for another choice with the same history.
	branch() (guesser, error)
	close()
}

// noGuess stands for a token that cannot be guessed.
const noGuess = -1

// start makes the guesser of a choice whose prompt is about to run, and what
// says how many tokens it guesses.
func (o *Speculation) start(ctx context.Context, a *choice) (guesser, pacer, error) {
	limit := min(maxGuesses, a.session.Scheduler().Engine().MaxRows()-1)
	switch {
	case o.Lookup:
		return newLookup(o.MinMatch), newPacer(min(limit, orDefault(o.MaxGuesses, 16)), o.Cost, 0.25), nil
	case o.MTP:
		return &mtp{}, newPacer(min(limit, orDefault(o.MaxGuesses, mtpGuesses)), o.Cost, mtpCost), nil
	case o.Draft != nil:
		d, err := newDraft(ctx, o.Draft, a)
		if err != nil {
			return nil, pacer{}, fmt.Errorf("draft model: %w", err)
		}
		cost, estimate := o.Cost, 0.3+d.ratio
		if cost == 0 && !a.pipeline.Greedy() {
			cost = estimate
		}
		return d, newPacer(min(limit, orDefault(o.MaxGuesses, 8)), cost, estimate), nil
	}
	return nil, pacer{}, nil
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// branchGuesser returns a guesser for a choice that branches off from this one.
func (a *choice) branchGuesser() (guesser, pacer, error) {
	if a.guesser == nil {
		return nil, pacer{}, nil
	}
	g, err := a.guesser.branch()
	return g, a.pace, err
}

// guess prepares the rows of the next step: the one that follows the history,
// and one behind each token that is guessed.
func (a *choice) guess(ctx context.Context) error {
	base, n := len(a.history), 0
	a.guesses, a.count = a.guesses[:0], 0
	if a.guesser != nil && a.generated > 0 {
		n, a.class = a.guesser.look(a)
		if n = max(min(n, a.limit-a.generated-1), 0); n > 0 {
			n = min(n, a.pace.length(a.class))
		}
	}
	constraint := a.constraint
	for i := 0; ; i++ {
		r := a.row(i)
		r.context = sample.Context{History: a.history[:base+i], Generated: a.generated + i}
		r.drawn = false
		if err := a.mask(r, constraint, i); err != nil {
			return err
		}
		a.count++
		if i == n {
			return nil
		}
		id, err := a.guesser.next(ctx, a, i)
		if err != nil {
			return err
		}
		if id == noGuess || !allows(&r.context, id) {
			return nil
		}
		a.guesses = append(a.guesses, id)
		_ = append(a.history[:base+i], id)
		if a.isEnd(id) {
			return nil // nothing can follow
		}
		if constraint != nil {
			if i == 0 {
				constraint = constraint.Clone()
			}
			if err := constraint.Accept(id); err != nil {
				return err
			}
			if constraint.Done() {
				return nil
			}
		}
	}
}

// keepGuess decides about a guess that has probability p in the model's
// distribution and q in the one it was drawn from; u is uniform in [0, 1).
func keepGuess(u, p, q float64) bool { return float64(u*q) < p }

// verify decides about a guess that was drawn from a distribution, and chooses
// another token if it is rejected.
func (a *choice) verify(r *row, logits []float32, guess int32) (Token, error) {
	if err := a.pipeline.Distribution(&r.p, logits, &r.context); err != nil {
		return Token{}, a.explain(err)
	}
	keeps := a.options.Speculation.keeps
	if keeps == nil {
		keeps = keepGuess
	}
	t := Token{ID: guess, Prob: r.p.Prob(guess)}
	if !keeps(a.pipeline.Uniform(), t.Prob, r.guess.Prob(guess)) {
		if err := r.rest.Residual(&r.p, &r.guess); err != nil {
			return Token{}, err
		}
		id, err := a.pipeline.SampleFrom(&r.rest)
		if err != nil {
			return Token{}, err
		}
		t.ID, t.Prob = id, r.p.Prob(id)
	}
	t.Candidates = r.p.Top(a.options.Sampling.TopCandidates)
	return t, a.addLogProb(&t, logits)
}

// addLogProb fills in the log-probabilities that the sampling options ask for.
func (a *choice) addLogProb(t *Token, logits []float32) error {
	o := &a.options.Sampling
	t.LogProb = math.NaN()
	if !o.LogProb && o.TopLogProbs == 0 {
		return nil
	}
	var err error
	if t.LogProb, err = sample.LogProb(logits, t.ID); err == nil && o.TopLogProbs > 0 {
		t.Top, err = sample.TopLogProbs(nil, logits, o.TopLogProbs)
	}
	return err
}
