package sample

import (
	"errors"
	"math"
	"math/bits"
	"slices"
	"testing"
)

func mustPipeline(t testing.TB, o Options) *Pipeline {
	t.Helper()
	p, err := NewPipeline(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func seeded(o Options, seed uint64) Options {
	o.Seed = &seed
	return o
}

// generate draws n tokens from changing logits.
func generate(t *testing.T, p *Pipeline, n int) []int32 {
	t.Helper()
	var ctx Context
	for i := range n {
		r, err := p.Sample(syntheticLogits(2000, uint64(i)), &ctx)
		if err != nil {
			t.Fatal(err)
		}
		p.Accept(r.Token)
		ctx.History = append(ctx.History, r.Token)
		ctx.Generated++
	}
	return ctx.History
}

// TestGolden pins tokens: they must be the same on every CPU and in every
// later version.
func TestGolden(t *testing.T) {
	xtc := Default()
	xtc.XTCProbability = 0.5
	xtc.RepeatPenalty = 1.1
	xtc.DRY.Multiplier = 0.8
	typical := Neutral()
	typical.TypicalP = 0.9
	typical.TopNSigma = 3
	typical.DynTempRange = 0.5
	m1 := Neutral()
	m1.Mirostat, m1.MirostatTau = 1, 2
	m2 := Neutral()
	m2.Mirostat, m2.MirostatTau = 2, 2
	for _, tt := range []struct {
		name string
		o    Options
		want []int32
	}{
		{"default", Default(), []int32{393, 462, 32, 694, 1278, 553, 59, 1741, 626, 526, 445, 1374}},
		{"neutral", Neutral(), []int32{393, 462, 32, 694, 1278, 931, 59, 1741, 96, 1269, 445, 103}},
		{"xtc", xtc, []int32{393, 462, 32, 881, 1784, 553, 59, 1090, 626, 526, 549, 819}},
		{"typical", typical, []int32{592, 462, 32, 694, 1175, 462, 59, 1741, 96, 1552, 445, 103}},
		{"mirostat 1", m1, []int32{969, 462, 1383, 694, 1278, 544, 1078, 1741, 495, 665, 445, 62}},
		{"mirostat 2", m2, []int32{393, 462, 1237, 694, 1278, 1648, 59, 1741, 1543, 562, 445, 472}},
	} {
		got := generate(t, mustPipeline(t, seeded(tt.o, 42)), 12)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %#v, want %v", tt.name, got, tt.want)
		}
	}
	s := NewStream(42, 0)
	if got := []uint64{s.Uint64(), s.Uint64(), s.Uint64()}; !slices.Equal(got, []uint64{0x61c88529c9612c1b, 0x2608d8a3075aa168, 0x5418c9208d9f1374}) {
		t.Errorf("stream: %#x", got)
	}
}

func TestGreedy(t *testing.T) {
	o := Default()
	o.Temperature = 0
	o.XTCProbability = 1 // must not matter
	p := mustPipeline(t, o)
	if !p.Greedy() {
		t.Error("temperature 0 is not greedy")
	}
	before := p.rng
	r, err := p.Sample([]float32{1, 5, float32(math.Copysign(0, -1)), 5}, nil)
	if err != nil || r.Token != 1 || r.Prob != 1 {
		t.Errorf("got %+v, %v, want token 1, the lower of two equals", r, err)
	}
	if p.rng != before {
		t.Error("greedy sampling drew a random number")
	}
	// Negative zero equals zero, so the lower id wins.
	if r, err := p.Sample([]float32{float32(math.Copysign(0, -1)), 0, -1}, nil); err != nil || r.Token != 0 {
		t.Errorf("-0 against 0: %+v, %v", r, err)
	}
	o.RepeatPenalty = 2
	o.LogitBias = map[int32]float32{2: 3}
	p = mustPipeline(t, o)
	// 5/2 = 2.5 against 0 + 3
	if r, err := p.Sample([]float32{1, 5, 0, 0}, &Context{History: []int32{1, 1}}); err != nil || r.Token != 2 {
		t.Errorf("penalty and bias: %+v, %v, want token 2", r, err)
	}
	if r, err := p.Sample([]float32{1, 5, 0, 0}, &Context{Mask: []uint64{0b1001}}); err != nil || r.Token != 0 {
		t.Errorf("mask: %+v, %v, want token 0", r, err)
	}
}

func TestBadInput(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, tt := range []struct {
		name   string
		logits []float32
		ctx    *Context
		want   error
	}{
		{"empty", nil, nil, ErrLogits},
		{"NaN", []float32{1, nan, 2}, nil, ErrLogits},
		{"+Inf", []float32{1, inf, 2}, nil, ErrLogits},
		{"all -Inf", []float32{-inf, -inf}, nil, ErrNoCandidate},
		{"too many", make([]float32, maxVocab+1), nil, ErrLogits},
		{"mask", []float32{1, 2}, &Context{Mask: []uint64{}}, ErrMask},
		{"masked", []float32{1, 2}, &Context{Mask: []uint64{0}}, ErrNoCandidate},
	} {
		for _, temperature := range []float64{0, 1} {
			o := Default()
			o.Temperature = temperature
			p := mustPipeline(t, o)
			before := p.rng
			if _, err := p.Sample(tt.logits, tt.ctx); !errors.Is(err, tt.want) {
				t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
			}
			if p.rng != before {
				t.Errorf("%s: drew a number in spite of the error", tt.name)
			}
		}
	}
	if _, err := LogSumExp([]float32{-inf}); !errors.Is(err, ErrLogits) {
		t.Errorf("LogSumExp of -Inf: %v", err)
	}
	if _, err := LogSumExp([]float32{nan}); !errors.Is(err, ErrLogits) {
		t.Errorf("LogSumExp of NaN: %v", err)
	}
	if _, err := LogProb([]float32{1}, 1); !errors.Is(err, ErrToken) {
		t.Errorf("LogProb of a token outside: %v", err)
	}
	// Extreme finite logits are fine.
	p := mustPipeline(t, seeded(Neutral(), 1))
	if r, err := p.Sample([]float32{-math.MaxFloat32, math.MaxFloat32, 0}, nil); err != nil || r.Token != 1 || r.Prob != 1 {
		t.Errorf("extreme logits: %+v, %v", r, err)
	}
}

// TestTopCandidates: what the stages leave, with the probabilities that Distribution gives
// them; asking for it changes neither the token nor the stream of chance.
func TestTopCandidates(t *testing.T) {
	logits := syntheticLogits(3000, 8)
	for name, o := range map[string]Options{"default": Default(), "neutral": Neutral(), "greedy": {}} {
		if name == "greedy" {
			o = Neutral()
			o.Temperature = 0
		}
		o = seeded(o, 5)
		plain := mustPipeline(t, o)
		o.TopCandidates = 7
		p := mustPipeline(t, o)
		for range 5 {
			var d Distribution
			if err := p.Distribution(&d, logits, nil); err != nil {
				t.Fatal(err)
			}
			r, err := p.Sample(logits, nil)
			if err != nil {
				t.Fatal(err)
			}
			if name == "greedy" {
				if len(r.Candidates) != 1 || r.Candidates[0] != (TokenProb{r.Token, 1}) {
					t.Errorf("greedy: %+v", r)
				}
			} else if !slices.Equal(r.Candidates, d.Top(7)) || len(r.Candidates) != 7 {
				t.Errorf("%s: %v, want %v", name, r.Candidates, d.Top(7))
			}
			if want, err := plain.Sample(logits, nil); err != nil || want.Token != r.Token || want.Candidates != nil {
				t.Errorf("%s: token %d, without candidates %+v, %v", name, r.Token, want, err)
			}
		}
	}
	o := Default()
	for _, n := range []int{-1, 1001} {
		o.TopCandidates = n
		if _, err := NewPipeline(o); !errors.Is(err, ErrOption) {
			t.Errorf("%d candidates: %v", n, err)
		}
	}
}

func TestLogProbs(t *testing.T) {
	logits := syntheticLogits(3000, 8)
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v))
	}
	lse := math.Log(sum)
	got, err := LogSumExp(logits)
	if err != nil || math.Abs(got-lse) > 1e-9 {
		t.Errorf("LogSumExp = %v, %v, want %v", got, err, lse)
	}
	o := seeded(Default(), 3)
	o.TopLogProbs = 20
	o.LogitBias = map[int32]float32{17: 30} // the raw distribution ignores it
	p := mustPipeline(t, o)
	r, err := p.Sample(logits, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Token != 17 || math.Abs(r.LogProb-(float64(logits[17])-lse)) > 1e-9 {
		t.Errorf("token %d with %v, want 17 with %v", r.Token, r.LogProb, float64(logits[17])-lse)
	}
	ids := make([]int32, len(logits))
	for i := range ids {
		ids[i] = int32(i)
	}
	slices.SortStableFunc(ids, func(a, b int32) int {
		switch {
		case logits[a] > logits[b]:
			return -1
		case logits[a] < logits[b]:
			return 1
		}
		return 0
	})
	if len(r.Top) != 20 {
		t.Fatalf("%d top tokens, want 20", len(r.Top))
	}
	for i, x := range r.Top {
		if x.ID != ids[i] || math.Abs(x.LogProb-(float64(logits[ids[i]])-lse)) > 1e-9 {
			t.Errorf("top %d is %+v, want token %d", i, x, ids[i])
		}
	}
	o.TopLogProbs = 0
	if r, err := mustPipeline(t, o).Sample(logits, nil); err != nil || !math.IsNaN(r.LogProb) || r.Top != nil {
		t.Errorf("unasked log-probabilities: %+v, %v", r, err)
	}
	if top, err := TopLogProbs(nil, logits[:3], 10); err != nil || len(top) != 3 {
		t.Errorf("TopLogProbs of three: %v, %v", top, err)
	}
}

// TestChiSquare draws from known distributions and compares frequencies.
func TestChiSquare(t *testing.T) {
	logits := logs(0.3, 0.2, 0.15, 0.12, 0.08, 0.06, 0.04, 0.03, 0.015, 0.005)
	o := Neutral()
	o.Temperature = 1.3
	for seed := range uint64(4) {
		p := mustPipeline(t, seeded(o, seed))
		var d Distribution
		if err := p.Distribution(&d, logits, nil); err != nil {
			t.Fatal(err)
		}
		const draws = 20000
		count := make([]float64, len(logits))
		for range draws {
			r, err := p.Sample(logits, nil)
			if err != nil {
				t.Fatal(err)
			}
			count[r.Token]++
		}
		var chi2 float64
		for id, n := range count {
			want := d.Prob(int32(id)) * draws
			chi2 += (n - want) * (n - want) / want
		}
		// 9 degrees of freedom: 27.9 is exceeded with probability 0.001, 2.09
		// is fallen short of with probability 0.01.
		if chi2 > 27.9 || chi2 < 1.2 {
			t.Errorf("seed %d: chi² = %.2f for %v", seed, chi2, count)
		}
	}
	// XTC's coin: token 0 survives only when it falls the other way.
	x := NewChain(5, NewXTC(0.3, 0.18, 1, 0))
	kept := 0
	var d Distribution
	for range 10000 {
		if err := x.Distribution(&d, logits, nil); err != nil {
			t.Fatal(err)
		}
		if d.IDs[0] == 0 {
			kept++
		}
	}
	if kept < 6850 || kept > 7150 { // 7000 ± 3.3 σ
		t.Errorf("XTC kept the top choice %d times of 10000, want about 7000", kept)
	}
}

func TestSampleFromMatchesSample(t *testing.T) {
	for _, o := range []Options{Default(), Neutral()} {
		p := mustPipeline(t, seeded(o, 9))
		q := p.Clone()
		var d Distribution
		for i := range 200 {
			logits := syntheticLogits(500, uint64(i))
			r, err := p.Sample(logits, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := q.Distribution(&d, logits, nil); err != nil {
				t.Fatal(err)
			}
			token, err := q.SampleFrom(&d)
			if err != nil || token != r.Token || d.Prob(token) != r.Prob {
				t.Fatalf("Sample %+v, SampleFrom %d with %v, %v", r, token, d.Prob(token), err)
			}
		}
	}
	if _, err := NewChain(1).SampleFrom(new(Distribution)); !errors.Is(err, ErrNoCandidate) {
		t.Errorf("an empty distribution: %v", err)
	}
}

func TestCloneForkReset(t *testing.T) {
	o := seeded(Default(), 77)
	o.XTCProbability = 0.5
	p := mustPipeline(t, o)
	first := generate(t, p, 20)
	clone := p.Clone()
	next := generate(t, p, 20)
	if got := generate(t, clone, 20); !slices.Equal(got, next) {
		t.Errorf("the clone went on with %v, want %v", got, next)
	}
	p.Reset()
	if got := generate(t, p, 20); !slices.Equal(got, first) {
		t.Errorf("after Reset %v, want %v", got, first)
	}
	f0, f1 := p.Fork(0), p.Fork(1)
	if f0.Seed() == f1.Seed() || f0.Seed() == p.Seed() {
		t.Error("forks share a seed")
	}
	a, b := generate(t, f0, 20), generate(t, f1, 20)
	if slices.Equal(a, b) {
		t.Error("two forks gave the same tokens")
	}
	if got := generate(t, p.Fork(0), 20); !slices.Equal(got, a) {
		t.Error("the same fork gave other tokens")
	}
	o.Seed = nil
	if one, two := mustPipeline(t, o), mustPipeline(t, o); one.Seed() == two.Seed() {
		t.Error("two random seeds are equal")
	}
	if u := p.Uniform(); u < 0 || u >= 1 {
		t.Errorf("Uniform = %v", u)
	}
}

// TestSpeculation checks the identity behind lossless speculative sampling:
// q(x)·min(1, p(x)/q(x)) + P(reject)·residual(x) = p(x).
func TestSpeculation(t *testing.T) {
	dist := func(seed uint64, o Options) *Distribution {
		d := new(Distribution)
		if err := mustPipeline(t, o).Distribution(d, syntheticLogits(300, seed), nil); err != nil {
			t.Fatal(err)
		}
		return d
	}
	wide := Neutral()
	wide.Temperature = 3
	for seed := range uint64(10) {
		p, q := dist(seed, Default()), dist(seed, wide)
		var r Distribution
		if err := r.Residual(p, q); err != nil {
			t.Fatal(err)
		}
		var reject float64
		for _, id := range q.IDs {
			reject += q.Prob(id) - min(q.Prob(id), p.Prob(id))
		}
		for id := range int32(300) {
			got := min(q.Prob(id), p.Prob(id)) + reject*r.Prob(id)
			if math.Abs(got-p.Prob(id)) > 1e-12 {
				t.Fatalf("token %d would be drawn with %v, want %v", id, got, p.Prob(id))
			}
		}
		// In place, and from a distribution that leaves nothing.
		want := r
		if err := p.Residual(p, q); err != nil || !slices.Equal(p.IDs, want.IDs) || p.Total != want.Total {
			t.Errorf("in place: %v", err)
		}
		if err := r.Residual(q, q); err != nil || !slices.Equal(r.IDs, q.IDs) {
			t.Errorf("q − q: %v", err)
		}
	}
	var r Distribution
	if err := r.Residual(new(Distribution), new(Distribution)); !errors.Is(err, ErrNoCandidate) {
		t.Errorf("empty: %v", err)
	}
	if h := dist(1, Neutral()).Entropy(); h <= 0 || h > math.Log(300) {
		t.Errorf("entropy %v", h)
	}
}

// tripler is a custom stage; it uses the exported methods only.
type tripler struct{ t *testing.T }

func (tripler) Name() string { return "tripler" }

func (s tripler) Apply(c *Candidates, _ *Context) error {
	if c.Vocab() != 4 || c.Len() != 4 {
		s.t.Errorf("vocabulary %d, candidates %d", c.Vocab(), c.Len())
	}
	top, err := c.Top(nil, 2)
	if err != nil {
		return err
	}
	p, err := c.Prob(top[0].Logit)
	if err != nil || math.Abs(p-0.5) > 1e-7 {
		s.t.Errorf("Prob = %v, %v, want 0.5", p, err)
	}
	if err := c.Edit(top[1].ID, func(l float32) float32 { return l + float32(math.Log(3)) }); err != nil {
		return err
	}
	if err := c.Edit(4, nil); !errors.Is(err, ErrToken) {
		s.t.Errorf("Edit outside: %v", err)
	}
	if err := c.Filter(func(k Candidate) bool { return k.ID != 0 }); err != nil {
		return err
	}
	if err := c.Scale(0); !errors.Is(err, ErrOption) {
		s.t.Errorf("Scale(0): %v", err)
	}
	return c.Truncate(2)
}

func TestCustomStage(t *testing.T) {
	// 0.25·3 = 0.75 and 0.15 remain.
	d := run(t, quarters, nil, Temperature{T: 1}, tripler{t})
	if !slices.Equal(d.IDs, []int32{1, 2}) || math.Abs(d.Prob(1)-0.75/0.9) > 1e-7 {
		t.Errorf("left %v with %v", d.IDs, probs(d))
	}
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	logits := syntheticLogits(32000, 1)
	history := make([]int32, 500)
	for i := range history {
		history[i] = int32(i * 7 % 60)
	}
	mask := make([]uint64, 500)
	for i := range mask {
		mask[i] = bits.Reverse64(uint64(i)) | 0x7f
	}
	for name, change := range map[string]func(o *Options){
		"default":   func(o *Options) {},
		"greedy":    func(o *Options) { o.Temperature = 0 },
		"penalties": func(o *Options) { o.RepeatPenalty, o.DRY.Multiplier, o.PresencePenalty = 1.1, 1, 1 },
		"limits": func(o *Options) {
			o.LogitBias, o.BadWords, o.Allowed = map[int32]float32{1: 2}, [][]int32{{1, 2}, {3}}, []int32{1, 2, 3, 4, 5, 6}
		},
		"all":        func(o *Options) { o.TypicalP, o.TopNSigma, o.XTCProbability, o.DynTempRange = 0.9, 2, 0.5, 0.5 },
		"neutral":    func(o *Options) { *o = Neutral() },
		"mirostat 1": func(o *Options) { *o = Neutral(); o.Mirostat = 1 },
		"mirostat 2": func(o *Options) { *o = Neutral(); o.Mirostat = 2 },
		"logprobs":   func(o *Options) { o.TopLogProbs = 20 },
	} {
		o := Default()
		change(&o)
		p := mustPipeline(t, seeded(o, 1))
		ctx := Context{History: history, Generated: 10, Mask: mask}
		var d Distribution
		step := func() {
			r, err := p.Sample(logits, &ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Distribution(&d, logits, &ctx); err != nil {
				t.Fatal(err)
			}
			p.Need(&ctx, len(logits))
			p.Accept(r.Token)
		}
		step()
		step()
		if n := testing.AllocsPerRun(20, step); n != 0 {
			t.Errorf("%s: %v allocations per token", name, n)
		}
	}
}
