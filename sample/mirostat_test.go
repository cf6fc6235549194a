package sample

import (
	"math"
	"testing"
)

func TestMirostatFeedback(t *testing.T) {
	// Version 2: surprises of 1 and 2 bits. μ = 2.5; after token 1,
	// μ −= 0.1·(2 − 1.25) gives 2.425; after token 0, μ −= 0.1·(1 − 1.25)
	// gives 2.45.
	m := NewMirostat(2, 1.25, 0.1)
	p := NewChain(1, m)
	d := new(Distribution)
	for _, step := range []struct {
		token int32
		mu    float64
	}{{1, 2.425}, {0, 2.45}, {3, 2.45}, {99, 2.45}} { // the last two were no candidates
		if err := p.Distribution(d, halves, nil); err != nil {
			t.Fatal(err)
		}
		clone := p.Clone()
		p.Accept(step.token)
		if math.Abs(m.Mu()-step.mu) > 1e-6 {
			t.Errorf("after token %d μ = %v, want %v", step.token, m.Mu(), step.mu)
		}
		before := clone.stages[0].(*Mirostat).Mu()
		clone.Accept(step.token)
		if got := clone.stages[0].(*Mirostat).Mu(); got != m.Mu() {
			t.Errorf("the clone's μ went from %v to %v, want %v", before, got, m.Mu())
		}
	}
	p.Accept(0) // twice: nothing pending
	if math.Abs(m.Mu()-2.45) > 1e-6 {
		t.Errorf("an Accept without a sample moved μ to %v", m.Mu())
	}
	p.Reset()
	if m.Mu() != 2.5 {
		t.Errorf("after Reset μ = %v", m.Mu())
	}
}

func TestMirostatZipf(t *testing.T) {
	// Tokens with pᵢ ∝ (i+1)^−s have the Zipf exponent s exactly. N = 1000,
	// μ = 2·3 = 6 bits.
	for _, tt := range []struct {
		name string
		s    float64
		want int
	}{
		// (0.5·64/(1 − 1000^−0.5))^(1/1.5) = 33.045^(2/3) = 10.30
		{"1.5", 1.5, 10},
		// the limit: 64/ln 1000 = 9.265
		{"1", 1, 9},
		// (−0.2·64/(1 − 1000^0.2))^(1/0.8) = (12.8/2.98107)^1.25 = 6.181
		{"0.8", 0.8, 6},
		{"flat", 0, 1000},
		{"steep", 50, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			logits := make([]float32, 1000)
			for i := range logits {
				logits[i] = float32(-tt.s * math.Log(float64(i+1)))
			}
			var c Candidates
			if err := c.load(logits); err != nil {
				t.Fatal(err)
			}
			if err := NewMirostat(1, 3, 0.1).Apply(&c, nil); err != nil {
				t.Fatal(err)
			}
			if c.Len() != tt.want {
				t.Errorf("kept %d, want %d", c.Len(), tt.want)
			}
		})
	}
}

// TestMirostatReachesTarget generates from a fixed distribution and checks
// what the method promises: the mean surprise approaches tau. (Its likeliest
// token has a surprise of 3.5 bits, and its
// entropy is 6.4 bits.)
func TestMirostatReachesTarget(t *testing.T) {
	logits := syntheticLogits(5000, 5)
	for i := range logits {
		logits[i] *= 0.5
	}
	for _, version := range []int{1, 2} {
		for _, tau := range []float64{4.5, 5.5} {
			p := NewChain(7, NewMirostat(version, tau, 0.1))
			const n = 1500
			var sum float64
			for range n {
				r, err := p.Sample(logits, nil)
				if err != nil {
					t.Fatal(err)
				}
				lp, err := LogProb(logits, r.Token)
				if err != nil {
					t.Fatal(err)
				}
				sum -= lp / math.Ln2
				p.Accept(r.Token)
			}
			if mean := sum / n; math.Abs(mean-tau) > 0.25 {
				t.Errorf("version %d: mean surprise %.3f bits, want %v", version, mean, tau)
			}
		}
	}
}
