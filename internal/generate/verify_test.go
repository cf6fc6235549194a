package generate

import (
	"math"
	"testing"
	"time"

	"trit/sample"
)

// TestVerify draws many tokens from a distribution by guessing from another one,
// and compares the frequencies with the probabilities. Each of several wrong
// rules of acceptance, some of them nearly right, must fail the comparison.
func TestVerify(t *testing.T) {
	// The third token is never guessed, the last never right.
	p := []float32{1, 0.5, 0, -0.3, -1, -2, float32(math.Inf(-1))}
	q := []float32{0.2, 1, float32(math.Inf(-1)), 0, -1, -1, 0}
	const draws = 80_000
	statistic := func(rule func(u, p, q float64) bool) float64 {
		o := Options{Sampling: sample.Neutral(), Speculation: Speculation{keeps: rule}}
		o.Sampling.Seed = new(uint64(12))
		pipeline, err := sample.NewPipeline(o.Sampling)
		if err != nil {
			t.Fatal(err)
		}
		guesses := pipeline.Fork(draftSeeds)
		a := &choice{options: &o, pipeline: pipeline, vocab: len(p)}
		var r row
		counts := make([]int, len(p))
		for range draws {
			if err := guesses.Distribution(&r.guess, q, &r.context); err != nil {
				t.Fatal(err)
			}
			guess, err := guesses.SampleFrom(&r.guess)
			if err != nil {
				t.Fatal(err)
			}
			token, err := a.verify(&r, p, guess)
			if err != nil {
				t.Fatal(err)
			}
			counts[token.ID]++
		}
		sum := 0.0
		for id, n := range counts {
			lp, err := sample.LogProb(p, int32(id))
			if err != nil {
				t.Fatal(err)
			}
			want := math.Exp(lp) * draws
			if want == 0 {
				if n > 0 {
					return math.Inf(1)
				}
				continue
			}
			sum += (float64(n) - want) * (float64(n) - want) / want
		}
		return sum
	}
	// Five degrees of freedom: chance exceeds 25.7 once in 10,000 times.
	const limit = 25.7
	if x := statistic(nil); x > limit {
		t.Errorf("chi-square %.1f, limit %v", x, limit)
	}
	for name, rule := range map[string]func(u, p, q float64) bool{
		"always":        func(u, p, q float64) bool { return true },
		"never":         func(u, p, q float64) bool { return false },
		"the likelier":  func(u, p, q float64) bool { return p >= q },
		"p alone":       func(u, p, q float64) bool { return u < p },
		"too generous":  func(u, p, q float64) bool { return u*q < 1.1*p },
		"too strict":    func(u, p, q float64) bool { return u*q < 0.95*p },
		"squared ratio": func(u, p, q float64) bool { return u < (p/q)*(p/q) },
	} {
		x := statistic(rule)
		t.Logf("%s: %.1f", name, x)
		if x <= limit {
			t.Errorf("the wrong rule %q passes: chi-square %.1f", name, x)
		}
	}
}

// TestPacer: whatever comes true, the guesses cost at most 2 % of the steps and
// the first credit more than they save; and guesses that are right soon become
// long.
func TestPacer(t *testing.T) {
	for _, cost := range []float64{0.02, 0.2, 0.5, 0.9} {
		for name, right := range map[string]func(step, n int) int{
			"never":           func(step, n int) int { return 0 },
			"first only":      func(step, n int) int { return min(n, 1) },
			"at times":        func(step, n int) int { return n * (step / 50 % 2) },
			"until it counts": func(step, n int) int { return max(n-1, 0) * (step / 20 % 2) },
		} {
			p := newPacer(16, cost, 0)
			spent, saved := 0.0, 0
			for step := 1; step <= 2000; step++ {
				n := p.length(0)
				accepted := right(step, n)
				p.record(0, n, accepted, stepFacts{1, 1, n})
				spent, saved = spent+cost*float64(n), saved+accepted
				if bound := firstCredit + allowance*float64(step); spent-float64(saved) > bound+1e-9 {
					t.Fatalf("cost %v, %s: after %d steps guesses have lost %.2f steps, at most %.2f are allowed", cost, name, step, spent-float64(saved), bound)
				}
			}
		}
	}
	p := newPacer(16, 0.2, 0)
	steps := 0
	for ; p.length(1) < 16; steps++ {
		n := p.length(1)
		p.record(1, n, n, stepFacts{1, 1, n})
	}
	if steps > 40 {
		t.Errorf("it takes %d steps of right guesses until all 16 are made", steps)
	}
	if n := p.length(0); n > 3 {
		t.Errorf("guesses of another class are %d long before one was right", n)
	}
}

// TestPacerMeasures: the cost follows the times of the steps.
func TestPacerMeasures(t *testing.T) {
	for _, choices := range []int{1, 4} {
		p := newPacer(16, 0, 0.25)
		plain := time.Duration(1000 * choices)
		for range 10 {
			p.record(0, 0, 0, stepFacts{plain, choices, 0})
		}
		for _, cost := range []float64{0.6, 0.1} {
			for range 40 {
				p.record(0, 4, 4, stepFacts{plain + time.Duration(12*1000*cost), choices, 12})
			}
			if math.Abs(p.cost-cost) > 0.02 {
				t.Errorf("%d choices: the cost of a guess is %.3f of a step, want %v", choices, p.cost, cost)
			}
		}
	}
}
