package generate

import (
	"math"
	"time"
)

// pacer decides how many tokens to guess. It counts in steps that guess
// nothing: each accepted guess saves one, and each guess costs a part of one. Of
// choices that are decoded together each counts its share of a step as one.
//
// Guesses are worth while as long as the probability that all up to this one
// are right exceeds the cost. Those that are not, for want of experience, are
// paid from the budget.
type pacer struct {
	max      int
	cost     float64 // of a guess
	measured bool
	credit   float64 // what guesses may lose
	plain    float64 // nanoseconds of a step without guesses, 0 if unknown
	choices  int     // that ran in it
	rates    [guessClasses]guessRate
}

// guessClasses is the number of kinds of guesses that are judged apart, the
// less promising ones first.
const guessClasses = 4

// guessRate is how often guesses of one class were right. Older ones count
// less.
type guessRate struct{ right, tried float64 }

const (
	firstCredit = 0.5  // steps
	maxCredit   = 4    // steps: a long text that was easy to guess cannot pay for a long one that is not
	allowance   = 0.02 // of each step
	oldGuesses  = 0.9  // weight of the past
)

// newPacer returns a pacer for up to max guesses of the given cost. Cost 0 means
// that it is measured; until then the estimate holds.
func newPacer(max int, cost, estimate float64) pacer {
	p := pacer{max: max, cost: cost, credit: firstCredit}
	if cost == 0 {
		p.cost, p.measured = estimate, true
	}
	for i := range p.rates {
		p.rates[i] = guessRate{1.2 + 0.2*float64(i), 2}
	}
	return p
}

// length returns how many tokens to guess.
func (p *pacer) length(class int) int {
	r := p.rates[class]
	rate := r.right / r.tried
	n := 0
	for all := rate; n < p.max && all > p.cost; all *= rate {
		n++
	}
	return min(max(n, 1), max(int(p.credit/p.cost), 0), p.max)
}

// stepFacts describe a step that may have run several choices.
type stepFacts struct {
	took    time.Duration
	choices int
	guessed int // by all of them
}

// record notes a step: how many tokens were guessed, and how many of them were
// right.
func (p *pacer) record(class, guessed, accepted int, step stepFacts) {
	const smooth = 0.2
	t := float64(step.took)
	spent := float64(guessed) * p.cost
	if p.choices != step.choices {
		p.plain, p.choices = 0, step.choices
	}
	if p.measured {
		switch {
		case step.guessed == 0 && p.plain == 0:
			p.plain = t
		case step.guessed == 0:
			// A step that was held up by something else says nothing.
			p.plain += float64(smooth * (min(t, 2*p.plain) - p.plain))
		case p.plain > 0:
			each := (t/p.plain - 1) * float64(step.choices) / float64(step.guessed)
			each = min(max(each, 0.01), 1.5)
			spent = each * float64(guessed)
			p.cost += float64(smooth * (each - p.cost))
		}
	}
	if guessed > 0 {
		r := &p.rates[class]
		tried := accepted
		if accepted < guessed {
			tried++
		}
		r.right = float64(r.right*oldGuesses) + float64(accepted)
		r.tried = float64(r.tried*oldGuesses) + float64(tried)
	}
	p.credit = math.Min(p.credit+allowance+float64(accepted)-spent, maxCredit)
}
