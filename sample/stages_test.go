package sample

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// logs returns the logits whose softmax is p.
func logs(p ...float64) []float32 {
	out := make([]float32, len(p))
	for i, x := range p {
		out[i] = float32(math.Log(x))
	}
	return out
}

// run applies a chain and returns its distribution.
func run(t *testing.T, logits []float32, ctx *Context, stages ...Stage) *Distribution {
	t.Helper()
	d := new(Distribution)
	if err := NewChain(1, stages...).Distribution(d, logits, ctx); err != nil {
		t.Fatal(err)
	}
	return d
}

func probs(d *Distribution) []float64 {
	var p []float64
	for _, id := range d.IDs {
		p = append(p, d.Prob(id))
	}
	return p
}

var (
	quarters = logs(0.5, 0.25, 0.15, 0.1)
	// Surprises of 1, 2, 3 and 3 bits; entropy 0.5·1 + 0.25·2 + 2·0.125·3 =
	// 1.75 bits, of at most log2 4 = 2.
	halves = logs(0.5, 0.25, 0.125, 0.125)
)

func TestFilters(t *testing.T) {
	for _, tt := range []struct {
		name   string
		logits []float32
		stage  Stage
		want   []int32 // in descending order of probability
	}{
		{"top_k 2", quarters, TopK{K: 2}, []int32{0, 1}},
		{"top_k off", quarters, TopK{}, []int32{0, 1, 2, 3}},
		{"top_k min_keep", quarters, TopK{K: 1, MinKeep: 3}, []int32{0, 1, 2}},
		{"top_k ties take the lowest id", []float32{1, 2, 2, 2, 1}, TopK{K: 2}, []int32{1, 2}},

		// Cumulative: 0.5, 0.75, 0.9, 1.
		{"top_p 0.7", quarters, TopP{P: 0.7}, []int32{0, 1}},
		{"top_p 0.8", quarters, TopP{P: 0.8}, []int32{0, 1, 2}},
		{"top_p 0.49", quarters, TopP{P: 0.49}, []int32{0}},
		{"top_p 0", quarters, TopP{P: 0}, []int32{0}},
		{"top_p 1", quarters, TopP{P: 1}, []int32{0, 1, 2, 3}},
		{"top_p min_keep", quarters, TopP{P: 0.1, MinKeep: 2}, []int32{0, 1}},

		// Thresholds: 0.4·0.5 = 0.2; 0.25·0.5 = 0.125; 0.9·0.5 = 0.45.
		{"min_p 0.4", quarters, MinP{P: 0.4}, []int32{0, 1}},
		{"min_p 0.25", quarters, MinP{P: 0.25}, []int32{0, 1, 2}},
		{"min_p 0.9", quarters, MinP{P: 0.9}, []int32{0}},
		{"min_p 1 keeps all of the largest", []float32{3, 3, 1}, MinP{P: 1}, []int32{0, 1}},
		{"min_p takes -0 for 0", []float32{float32(math.Copysign(0, -1)), 0, -5}, MinP{P: 0.5}, []int32{0, 1}},
		{"min_p min_keep", quarters, MinP{P: 0.9, MinKeep: 3}, []int32{0, 1, 2}},
		{"min_p 0", quarters, MinP{}, []int32{0, 1, 2, 3}},

		// Distances of the surprises from 1.75 bits: 0.75, 0.25, 1.25, 1.25, so
		// typical first is token 1, then 0, 2, 3. (Sorting by the distance of
		// +ln p instead would start with token 0.)
		{"typical 0.2", halves, TypicalP{P: 0.2}, []int32{1}},
		{"typical 0.7", halves, TypicalP{P: 0.7}, []int32{0, 1}},
		{"typical 0.8", halves, TypicalP{P: 0.8}, []int32{0, 1, 2}},
		{"typical 0.9", halves, TypicalP{P: 0.9}, []int32{0, 1, 2, 3}},
		{"typical 1", halves, TypicalP{P: 1}, []int32{0, 1, 2, 3}},
		{"typical min_keep", halves, TypicalP{P: 0.1, MinKeep: 2}, []int32{0, 1}},
		// p = 0.3 three times and 0.1: surprises 1.737 and 3.322 bits, entropy
		// 0.9·1.737 + 0.1·3.322 = 1.895. The three share a distance of 0.158;
		// the lowest ids win: 0.3, 0.6.
		{"typical ties", logs(0.3, 0.3, 0.3, 0.1), TypicalP{P: 0.5}, []int32{0, 1}},

		// Mean 1, deviations 3, 1, −1, −3, variance 20/4 = 5, σ = 2.236.
		{"top_n_sigma 1: above 1.764", []float32{4, 2, 0, -2}, TopNSigma{N: 1}, []int32{0, 1}},
		{"top_n_sigma 2: above -0.472", []float32{4, 2, 0, -2}, TopNSigma{N: 2}, []int32{0, 1, 2}},
		{"top_n_sigma 0.5: above 2.882", []float32{4, 2, 0, -2}, TopNSigma{N: 0.5}, []int32{0}},
		{"top_n_sigma off", []float32{4, 2, 0, -2}, TopNSigma{}, []int32{0, 1, 2, 3}},
		{"top_n_sigma min_keep", []float32{4, 2, 0, -2}, TopNSigma{N: 0.5, MinKeep: 3}, []int32{0, 1, 2}},
		{"top_n_sigma ignores excluded tokens", []float32{4, 2, 0, -2, float32(math.Inf(-1))}, TopNSigma{N: 1}, []int32{0, 1}},

		// All but the least likely of the tokens at or above the threshold go.
		{"xtc 0.12: 0 and 1 go", quarters, NewXTC(1, 0.12, 1, 1), []int32{2, 3}},
		{"xtc 0.2: 0 goes", quarters, NewXTC(1, 0.2, 1, 1), []int32{1, 2, 3}},
		{"xtc 0.3: one above", quarters, NewXTC(1, 0.3, 1, 1), []int32{0, 1, 2, 3}},
		{"xtc 0.6: none above", quarters, NewXTC(1, 0.6, 1, 1), []int32{0, 1, 2, 3}},
		{"xtc probability 0", quarters, NewXTC(0, 0.1, 1, 1), []int32{0, 1, 2, 3}},
		{"xtc min_keep", quarters, NewXTC(1, 0.12, 3, 1), []int32{0, 1, 2, 3}},

		// μ = 2τ = 2.5 bits; 1 and 2 bits pass, 3 do not.
		{"mirostat 2", halves, NewMirostat(2, 1.25, 0.1), []int32{0, 1}},
		{"mirostat 2 keeps one", halves, NewMirostat(2, 0.1, 0.1), []int32{0}},

		{"greedy", []float32{1, 3, 3}, Greedy{}, []int32{1}},
		{"temperature 0", []float32{1, 3, 3}, Temperature{T: 0}, []int32{1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := run(t, tt.logits, nil, tt.stage)
			if diff := cmp.Diff(tt.want, d.IDs); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTemperature(t *testing.T) {
	for _, tt := range []struct {
		name   string
		logits []float32
		stages []Stage
		t      float64 // the temperature expected in effect
	}{
		{"2", quarters, []Stage{Temperature{T: 2}}, 2},
		{"0.5", quarters, []Stage{Temperature{T: 0.5}}, 0.5},
		{"twice", quarters, []Stage{Temperature{T: 0.5}, Temperature{T: 3}}, 1.5},
		// H/ln n = 1.75/2 = 0.875, so t = 0.5 + 1·0.875.
		{"dynamic", halves, []Stage{Temperature{T: 1, Range: 0.5, Exponent: 1}}, 1.375},
		// 0.5 + 0.875² = 1.265625
		{"dynamic, exponent 2", halves, []Stage{Temperature{T: 1, Range: 0.5, Exponent: 2}}, 1.265625},
		// lo = max(0, 1−3) = 0, hi = 4
		{"dynamic, clipped", halves, []Stage{Temperature{T: 1, Range: 3, Exponent: 1}}, 3.5},
		{"dynamic, uniform", []float32{2, 2, 2}, []Stage{Temperature{T: 1, Range: 0.5, Exponent: 1}}, 1.5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := run(t, tt.logits, nil, tt.stages...)
			var want []float64
			var sum float64
			for _, id := range d.IDs {
				want = append(want, math.Exp(float64(tt.logits[id])/tt.t))
				sum += want[len(want)-1]
			}
			for i := range want {
				want[i] /= sum
			}
			if diff := cmp.Diff(want, probs(d), cmpopts.EquateApprox(0, 1e-7)); diff != "" {
				t.Errorf("probabilities (-want +got):\n%s", diff)
			}
		})
	}
}

// editing reports the logits a stage leaves, relative to token n−1, which no
// case touches.
func edited(t *testing.T, logits []float32, ctx *Context, s Stage) []float64 {
	t.Helper()
	var c Candidates
	if err := c.load(logits); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(&c, ctx); err != nil {
		t.Fatal(err)
	}
	top, err := c.Top(nil, len(logits))
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, len(logits))
	for i := range out {
		out[i] = math.Inf(-1)
	}
	for _, k := range top {
		out[k.ID] = float64(k.Logit)
	}
	for _, m := range c.marks {
		if m != 0 {
			t.Fatal("a mark is left over")
		}
	}
	return out
}

func TestPenalties(t *testing.T) {
	logits := []float32{2, -2, 1, 0.5}
	history := []int32{3, 0, 0, 0, 1, -1, 99} // ids outside the vocabulary match nothing
	for _, tt := range []struct {
		name  string
		stage Penalties
		want  []float64
	}{
		// Once per distinct token: 2/2, −2·2, although token 0 occurs thrice.
		{"repeat", Penalties{Repeat: 2, LastN: 6}, []float64{1, -4, 1, 0.5}},
		{"repeat, whole history", Penalties{Repeat: 2, LastN: -1}, []float64{1, -4, 1, 0.25}},
		// The window's last three tokens are 1, −1 and 99.
		{"window", Penalties{Repeat: 2, LastN: 3}, []float64{2, -4, 1, 0.5}},
		// 2 − 3·0.25; −2 − 0.25
		{"frequency grows with the count", Penalties{Repeat: 1, Frequency: 0.25, LastN: 6}, []float64{1.25, -2.25, 1, 0.5}},
		{"presence does not", Penalties{Repeat: 1, Presence: 0.5, LastN: 6}, []float64{1.5, -2.5, 1, 0.5}},
		// 2/2 − 3·0.25 − 0.5; −2·2 − 0.25 − 0.5
		{"all", Penalties{2, 0.25, 0.5, 6}, []float64{-0.25, -4.75, 1, 0.5}},
		{"off", Penalties{2, 0.25, 0.5, 0}, []float64{2, -2, 1, 0.5}},
		{"encouraging", Penalties{0.5, -0.25, 0, 6}, []float64{4.75, -0.75, 1, 0.5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := edited(t, logits, &Context{History: history}, tt.stage)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
				t.Errorf("logits (-want +got):\n%s", diff)
			}
			// The same on a list.
			var c Candidates
			if err := c.load(logits); err != nil {
				t.Fatal(err)
			}
			c.list()
			if err := tt.stage.Apply(&c, &Context{History: history}); err != nil {
				t.Fatal(err)
			}
			top, _ := c.Top(nil, 4)
			for _, k := range top {
				if math.Abs(float64(k.Logit)-tt.want[k.ID]) > 1e-6 {
					t.Errorf("listed: token %d has %v, want %v", k.ID, k.Logit, tt.want[k.ID])
				}
			}
		})
	}
}

func TestDRY(t *testing.T) {
	const (
		a, b, c, y, x = 0, 1, 2, 3, 4
	)
	logits := make([]float32, 5)
	// The last three tokens "a b c" occur at the start, followed by c: n = 3.
	// "b c" occurs before y: n = 2. "c" occurs before b and c: n = 1.
	// With multiplier 0.8, base 1.75 and allowed length 2:
	// c loses 0.8·1.75^(3−2) = 1.4, y loses 0.8·1.75^0 = 0.8.
	history := []int32{a, b, c, c, b, c, y, a, b, c}
	base := DRYOptions{Multiplier: 0.8, Base: 1.75, AllowedLength: 2, PenaltyLastN: -1}
	with := func(f func(*DRYOptions)) DRYOptions {
		o := base
		f(&o)
		return o
	}
	for _, tt := range []struct {
		name    string
		o       DRYOptions
		history []int32
		want    []float64 // a, b, c, y, x
	}{
		{"whole history", base, history, []float64{0, 0, -1.4, -0.8, 0}},
		{"allowed length 1", with(func(o *DRYOptions) { o.AllowedLength = 1 }), history,
			[]float64{0, -0.8, -0.8 * 1.75 * 1.75, -0.8 * 1.75, 0}},
		{"allowed length 3", with(func(o *DRYOptions) { o.AllowedLength = 3 }), history, []float64{0, 0, -0.8, 0, 0}},
		// Only "c b c y a b c" counts: "b c" before y.
		{"window", with(func(o *DRYOptions) { o.PenaltyLastN = 7 }), history, []float64{0, 0, 0, -0.8, 0}},
		{"off", with(func(o *DRYOptions) { o.PenaltyLastN = 0 }), history, []float64{0, 0, 0, 0, 0}},
		// Three tokens follow the breaker y, and y itself is never penalised.
		{"breaker y", with(func(o *DRYOptions) { o.Breakers = [][]int32{{y}} }), history, []float64{0, 0, -1.4, 0, 0}},
		// Two tokens follow the last a.
		{"breaker a", with(func(o *DRYOptions) { o.Breakers = [][]int32{{a}} }), history, []float64{0, 0, -0.8, -0.8, 0}},
		// One token follows the last "a b", too few.
		{"breaker a b", with(func(o *DRYOptions) { o.Breakers = [][]int32{{a, b}, {}} }), history, []float64{0, 0, 0, 0, 0}},
		{"breaker at the end", with(func(o *DRYOptions) { o.Breakers = [][]int32{{x, y}, {c}} }), history, []float64{0, 0, 0, 0, 0}},
		{"breaker longer than the history", with(func(o *DRYOptions) { o.Breakers = [][]int32{{x, x, a}} }), []int32{a, b, c, a, b}, []float64{0, 0, -0.8, 0, 0}},
		{"empty history", base, nil, []float64{0, 0, 0, 0, 0}},
		// Overlapping repetitions: a a a a, then a would be the fifth: n = 3.
		{"run", base, []int32{a, a, a, a}, []float64{-1.4, 0, 0, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := edited(t, logits, &Context{History: tt.history}, NewDRY(tt.o))
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
				t.Errorf("logits (-want +got):\n%s", diff)
			}
		})
	}
	// A long loop must not overflow.
	long := make([]int32, 5000)
	if got := edited(t, logits, &Context{History: long}, NewDRY(base)); got[0] != -math.MaxFloat32 || got[1] != 0 {
		t.Errorf("after a long loop the logits are %v", got)
	}
}

func TestConstraints(t *testing.T) {
	logits := []float32{4, 3, 2, 1}
	inf := float32(math.Inf(-1))
	for _, tt := range []struct {
		name  string
		stage Stage
		ctx   Context
		want  []int32
		err   error
	}{
		{"bias", NewLogitBias(map[int32]float32{3: 10, 0: -2.5, 1: inf}), Context{}, []int32{3, 2, 0}, nil},
		{"bias bans all", NewLogitBias(map[int32]float32{0: inf, 1: inf, 2: inf, 3: inf}), Context{}, nil, ErrNoCandidate},
		{"bias outside", NewLogitBias(map[int32]float32{4: 1}), Context{}, nil, ErrToken},
		{"allowed", NewAllowed([]int32{3, 1, 3}), Context{}, []int32{1, 3}, nil},
		{"allowed none", NewAllowed(nil), Context{}, nil, ErrNoCandidate},
		{"allowed outside", NewAllowed([]int32{1, 7}), Context{}, nil, ErrToken},
		{"bad word of one token", NewBadWords([][]int32{{0}, {}}), Context{}, []int32{1, 2, 3}, nil},
		{"bad words follow their prefix", NewBadWords([][]int32{{7, 8, 0}, {8, 1}, {9, 2}, {6, 7, 8, 9, 3}}),
			Context{History: []int32{7, 8}}, []int32{2, 3}, nil},
		{"bad words repeat", NewBadWords([][]int32{{0}, {8, 0}}), Context{History: []int32{8}}, []int32{1, 2, 3}, nil},
		{"bad word outside", NewBadWords([][]int32{{4}}), Context{}, nil, ErrToken},
		{"forced first", NewForced([]int32{2, 3}), Context{}, []int32{2}, nil},
		{"forced second", NewForced([]int32{2, 3}), Context{Generated: 1}, []int32{3}, nil},
		{"forced no more", NewForced([]int32{2, 3}), Context{Generated: 2}, []int32{0, 1, 2, 3}, nil},
		{"forced but masked", NewForced([]int32{2}), Context{Mask: []uint64{0b1011}}, nil, ErrNoCandidate},
		{"forced outside", NewForced([]int32{4}), Context{}, nil, ErrToken},
		{"mask", TopK{}, Context{Mask: []uint64{0b1010}}, []int32{1, 3}, nil},
		{"mask of nothing", TopK{}, Context{Mask: []uint64{0b110000}}, nil, ErrNoCandidate},
		{"short mask", TopK{}, Context{Mask: []uint64{}}, nil, ErrMask},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := new(Distribution)
			err := NewChain(1, tt.stage).Distribution(d, logits, &tt.ctx)
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, d.IDs); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOrderMatters(t *testing.T) {
	// At temperature 1 top-p 0.7 keeps 0.5 and 0.25. Dividing by 4 first
	// flattens the distribution to 0.31, 0.26, 0.23, 0.21: three are needed.
	d := run(t, quarters, nil, TopP{P: 0.7}, Temperature{T: 4})
	if want := []int32{0, 1}; !slices.Equal(d.IDs, want) {
		t.Errorf("top_p;temperature kept %v, want %v", d.IDs, want)
	}
	d = run(t, quarters, nil, Temperature{T: 4}, TopP{P: 0.7})
	if want := []int32{0, 1, 2}; !slices.Equal(d.IDs, want) {
		t.Errorf("temperature;top_p kept %v, want %v", d.IDs, want)
	}
}

// TestEditAfterScale: stages after a temperature see the divided logits, in
// each of a set's forms.
func TestEditAfterScale(t *testing.T) {
	// {2, −2, 1, 0.5}/2 = {1, −1, 0.5, 0.25}; then token 0 loses 0.625 to
	// become 0.375 and token 1 gains nothing: it is not in the history.
	logits := []float32{2, -2, 1, 0.5}
	ctx := &Context{History: []int32{0}}
	halve, penalise := Temperature{T: 2}, Penalties{Repeat: 1, Presence: 0.625, LastN: -1}
	want := []Candidate{{2, 0.5}, {0, 0.375}, {3, 0.25}}
	apply := func(c *Candidates, stages ...Stage) {
		t.Helper()
		for _, s := range stages {
			if err := s.Apply(c, ctx); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := c.Top(nil, 3); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	var dense, listed, partial Candidates
	for _, c := range []*Candidates{&dense, &listed} {
		if err := c.load(logits); err != nil {
			t.Fatal(err)
		}
	}
	apply(&dense, halve, penalise)
	apply(&listed, TopK{K: 3}, halve, penalise)
	// The bound is halved as well: 0.4 becomes 0.2, below the three.
	sel := Selected{Vocab: 4, IDs: []int32{0, 2, 3}, Logits: []float32{2, 1, 0.5}, TailMax: 0.4}
	if err := partial.loadSelected(&sel); err != nil {
		t.Fatal(err)
	}
	apply(&partial, halve, penalise)
	sel.TailMax = 0.5 // as large as the third
	if err := partial.loadSelected(&sel); err != nil {
		t.Fatal(err)
	}
	if err := halve.Apply(&partial, ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := partial.Top(nil, 2); err != nil {
		t.Error(err)
	}
	if _, err := partial.Top(nil, 3); !errors.Is(err, ErrNeedAll) {
		t.Errorf("a tie with the rest: %v", err)
	}
}

func TestNames(t *testing.T) {
	var names Order
	for _, s := range []Stage{
		Penalties{}, NewDRY(DRYOptions{}), TopNSigma{}, TopK{}, TypicalP{}, TopP{}, MinP{}, NewXTC(0, 0, 0, 0), Temperature{},
	} {
		names = append(names, s.Name())
	}
	if !slices.Equal(names, DefaultOrder()) {
		t.Errorf("stage names %v, want %v", names, DefaultOrder())
	}
	for _, s := range []Stage{NewMirostat(1, 5, 0.1), Greedy{}, NewLogitBias(nil), NewAllowed(nil), NewBadWords(nil), NewForced(nil)} {
		if s.Name() == "" {
			t.Errorf("%T has no name", s)
		}
	}
}

// TestThresholdBetweenFloats: a threshold between two float32 values cuts
// between them, in both forms of a set.
func TestThresholdBetweenFloats(t *testing.T) {
	const v = float32(1.5)
	next := math.Nextafter32(v, 2)
	for _, list := range []bool{false, true} {
		for threshold, want := range map[float64]int{
			float64(v):                       2,
			math.Nextafter(float64(v), 2):    1,
			math.Nextafter(float64(next), 0): 1,
			float64(next):                    1,
			math.Nextafter(float64(next), 2): 0,
			-math.MaxFloat64:                 2,
		} {
			var c Candidates
			if err := c.load([]float32{v, next}); err != nil {
				t.Fatal(err)
			}
			if list {
				c.list()
			}
			if err := c.keepAbove(threshold, 0); err != nil || c.n != want {
				t.Errorf("listed %v, threshold %x: %d left, %v, want %d", list, threshold, c.n, err, want)
			}
		}
	}
}

// TestLargestAfterEdits: min-p compares with the largest logit as edited.
func TestLargestAfterEdits(t *testing.T) {
	logits := []float32{10, 2, 1.9, 0}
	for name, tt := range map[string]struct {
		bias map[int32]float32
		want []int32
	}{
		"banned":  {map[int32]float32{0: float32(math.Inf(-1))}, []int32{1, 2}},
		"lowered": {map[int32]float32{0: -9}, []int32{1, 2}},
		"raised":  {map[int32]float32{1: 8.5}, []int32{1, 0}},
	} {
		// ln 0.5 = −0.69
		d := run(t, logits, nil, NewLogitBias(tt.bias), MinP{P: 0.5})
		if !slices.Equal(d.IDs, tt.want) {
			t.Errorf("%s: kept %v, want %v", name, d.IDs, tt.want)
		}
	}
}
