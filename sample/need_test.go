package sample

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// selectFor answers a Need as an engine would, with the mass of the rest known
// up to a factor of e^±slack.
func selectFor(n Need, logits []float32, slack float64) *Selected {
	allowed := func(id int) bool { return n.Mask == nil || n.Mask[id/64]>>(id%64)&1 != 0 }
	var c Candidates
	if err := c.load(logits); err != nil {
		panic(err)
	}
	sel := &Selected{Vocab: len(logits), TailMax: float32(math.Inf(-1)), HasTailMass: n.TailMass}
	c.list()
	slices.Sort(c.keys)
	var mass float64
	var top float32
	seen := 0
	for _, k := range c.keys {
		id := keyID(k)
		wanted := slices.Contains(n.IDs, id)
		if allowed(int(id)) {
			if seen == 0 {
				top = keyLogit(k)
			}
			if seen < n.K || float64(top)-float64(keyLogit(k)) < n.Window {
				wanted = true
			}
			seen++
		}
		switch {
		case wanted:
			sel.IDs = append(sel.IDs, id)
			sel.Logits = append(sel.Logits, logits[id])
		case allowed(int(id)):
			sel.TailMax = max(sel.TailMax, keyLogit(k))
			mass += math.Exp(float64(keyLogit(k)))
		}
	}
	sel.TailLogMassMin, sel.TailLogMassMax = math.Log(mass)-slack, math.Log(mass)+slack
	return sel
}

func drawVocab(t *rapid.T) int {
	return rapid.SampledFrom([]int{1, 2, 3, 10, 40, 65, 150}).Draw(t, "vocab")
}

// drawLogits returns random multiples of 1/4, so that ties are common.
func drawLogits(t *rapid.T, n int) []float32 {
	s := NewStream(rapid.Uint64().Draw(t, "logits"), 0)
	spread := rapid.SampledFrom([]uint64{2, 10, 40}).Draw(t, "spread")
	logits := make([]float32, n)
	for i := range logits {
		logits[i] = float32(int(s.Uint64()%(2*spread))-int(spread)) / 4
	}
	return logits
}

func drawOptions(t *rapid.T, vocab int) Options {
	o := Neutral()
	maybe := func(name string, f func()) {
		if rapid.IntRange(0, 2).Draw(t, name) == 0 {
			f()
		}
	}
	unit := rapid.Float64Range(0, 1)
	id := rapid.Int32Range(0, int32(vocab-1))
	maybe("temperature", func() { o.Temperature = rapid.SampledFrom([]float64{0, 0.5, 0.8, 2}).Draw(t, "t") })
	maybe("dynatemp", func() { o.DynTempRange = rapid.Float64Range(0, 2).Draw(t, "range") })
	maybe("top_k", func() { o.TopK = rapid.IntRange(1, vocab).Draw(t, "k") })
	maybe("top_p", func() { o.TopP = unit.Draw(t, "p") })
	maybe("min_p", func() { o.MinP = unit.Draw(t, "m") })
	maybe("typical", func() { o.TypicalP = unit.Draw(t, "typ") })
	maybe("sigma", func() { o.TopNSigma = rapid.Float64Range(0, 4).Draw(t, "n") })
	maybe("xtc", func() {
		o.XTCProbability, o.XTCThreshold = 0.5, rapid.Float64Range(0, 0.5).Draw(t, "threshold")
	})
	maybe("min_keep", func() { o.MinKeep = rapid.IntRange(0, 5).Draw(t, "keep") })
	maybe("penalties", func() {
		o.RepeatPenalty = rapid.SampledFrom([]float64{0.9, 1.1, 2}).Draw(t, "repeat")
		o.PresencePenalty = rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "presence")
		o.PenaltyLastN = rapid.IntRange(-1, 6).Draw(t, "last")
	})
	maybe("dry", func() { o.DRY.Multiplier = 1; o.DRY.AllowedLength = 1 })
	maybe("bias", func() {
		o.LogitBias = rapid.MapOfN(id, rapid.SampledFrom([]float32{-3, 0.5, 4, float32(math.Inf(-1))}), 0, 4).Draw(t, "bias")
	})
	maybe("bad", func() { o.BadWords = [][]int32{{id.Draw(t, "b0")}, {id.Draw(t, "b1"), id.Draw(t, "b2")}} })
	maybe("allowed", func() { o.Allowed = rapid.SliceOfN(id, 1, vocab).Draw(t, "allowed") })
	maybe("forced", func() { o.Forced = []int32{id.Draw(t, "forced")} })
	maybe("order", func() {
		o.Order = rapid.Permutation(DefaultOrder()).Draw(t, "order")[:rapid.IntRange(0, 9).Draw(t, "stages")]
	})
	seed := rapid.Uint64().Draw(t, "seed")
	o.Seed = &seed
	return o
}

func drawContext(t *rapid.T, vocab int) *Context {
	ctx := &Context{
		History:   rapid.SliceOfN(rapid.Int32Range(-1, int32(vocab)), 0, 12).Draw(t, "history"),
		Generated: rapid.IntRange(0, 2).Draw(t, "generated"),
	}
	if rapid.Bool().Draw(t, "masked") {
		s := NewStream(rapid.Uint64().Draw(t, "mask"), 0)
		for range (vocab + 63) / 64 {
			half, other := s.Uint64(), s.Uint64()
			ctx.Mask = append(ctx.Mask, half|other) // three in four allowed
		}
	}
	return ctx
}

// TestSampleSelected: a selection gives the same result as all logits, or says
// that it cannot.
func TestSampleSelected(t *testing.T) {
	answered, asked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		vocab := drawVocab(t)
		logits := drawLogits(t, vocab)
		o := drawOptions(t, vocab)
		if rapid.Bool().Draw(t, "simple") {
			// One stage decides whether the selection is enough.
			o.TopNSigma, o.DynTempRange, o.TopK, o.TopP, o.MinP, o.XTCProbability, o.Order = 0, 0, 0, 1, 0, 0, nil
			o.Allowed, o.Forced, o.TypicalP, o.Temperature = nil, nil, 1, 0.7
			switch rapid.IntRange(0, 3).Draw(t, "stage") {
			case 0:
				o.TopK = rapid.IntRange(1, 5).Draw(t, "k")
			case 1:
				o.TopP = rapid.Float64Range(0.1, 0.9).Draw(t, "p")
			case 2:
				o.MinP = rapid.SampledFrom([]float64{math.Exp(-0.25), math.Exp(-0.5), 0.3, 0.1}).Draw(t, "m")
			case 3:
				o.XTCProbability = 0.5
				o.TopK, o.Order = 4, Order{NameTopK, NameXTC}
				if rapid.Bool().Draw(t, "xtc first") {
					o.Order = Order{NameXTC, NameTopK}
				}
			}
		}
		p, err := NewPipeline(o)
		if err != nil {
			t.Fatal(err)
		}
		q := p.Clone()
		for range 3 {
			ctx := drawContext(t, vocab)
			want, wantErr := p.Sample(logits, ctx)
			n := q.Need(ctx, vocab)
			if n.All {
				n = Need{K: rapid.IntRange(1, vocab).Draw(t, "k anyway"), Mask: ctx.Mask, TailMass: true}
			} else {
				// Fewer than asked for must still be sound.
				n.K = rapid.IntRange(0, n.K).Draw(t, "k")
			}
			got, err := q.SampleSelected(selectFor(n, logits, rapid.Float64Range(0, 0.5).Draw(t, "slack")), ctx)
			asked++
			switch {
			case errors.Is(err, ErrNeedAll):
				got, err = q.Sample(logits, ctx)
			case err == nil:
				answered++
			}
			if !errors.Is(err, wantErr) && (err == nil) != (wantErr == nil) {
				t.Fatalf("error %v, want %v", err, wantErr)
			}
			if err == nil && (got.Token != want.Token || got.Prob != want.Prob) {
				t.Fatalf("got %+v, want %+v", got, want)
			}
		}
	})
	if answered*4 < asked {
		t.Errorf("only %d of %d selections were enough", answered, asked)
	}
}

// TestNeedSuffices: for the chains that need only a few logits, what Need asks
// for is enough.
func TestNeedSuffices(t *testing.T) {
	logits := syntheticLogits(5000, 2)
	history := []int32{1, 2, 3, 1, 2, 3, 1, 2}
	for name, tt := range map[string]struct {
		change func(o *Options)
		k      int // the expected Need.K
	}{
		"default":   {func(o *Options) {}, 40},
		"greedy":    {func(o *Options) { o.Temperature = 0 }, 1},
		"penalties": {func(o *Options) { o.RepeatPenalty, o.DRY.Multiplier = 1.3, 1 }, 40 + 8 + 8},
		"bias":      {func(o *Options) { o.LogitBias = map[int32]float32{7: 3, 8: -3} }, 41},
		"min_p":     {func(o *Options) { o.TopK, o.TopP = 0, 1 }, 1},
		"top_p":     {func(o *Options) { o.TopK = 0 }, massCandidates},
		"banned": {func(o *Options) {
			o.BadWords, o.Allowed, o.TopK = [][]int32{{5}}, []int32{5, 6, 7, 4000}, 2
		}, 2},
		"forced": {func(o *Options) { o.Forced = []int32{0, 9} }, 1},
	} {
		o := seeded(Default(), 6)
		tt.change(&o)
		p := mustPipeline(t, o)
		q := p.Clone()
		ctx := &Context{History: history, Generated: 1}
		n := p.Need(ctx, len(logits))
		if n.All || n.K != tt.k {
			t.Errorf("%s: %+v, want K %d", name, n, tt.k)
		}
		want, err := q.Sample(logits, ctx)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.SampleSelected(selectFor(n, logits, 1e-3), ctx)
		if err != nil || got.Token != want.Token || got.Prob != want.Prob {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	for name, change := range map[string]func(o *Options){
		"logprobs":  func(o *Options) { o.LogProb = true },
		"sigma":     func(o *Options) { o.TopNSigma = 1 },
		"nothing":   func(o *Options) { *o = Neutral() },
		"mirostat":  func(o *Options) { o.Mirostat = 2 },
		"hot top_p": func(o *Options) { o.Order = Order{NameTemperature, NameTopP} },
		"dynatemp":  func(o *Options) { o.DynTempRange, o.Order = 1, Order{NameTemperature, NameTopK} },
		"typical":   func(o *Options) { o.TopK, o.TypicalP = 0, 0.9 },
	} {
		o := seeded(Default(), 6)
		change(&o)
		if n := mustPipeline(t, o).Need(nil, 100); !n.All {
			t.Errorf("%s: %+v, want all", name, n)
		}
	}
}

func TestBadSelection(t *testing.T) {
	nan := float32(math.NaN())
	p := mustPipeline(t, Default())
	for name, sel := range map[string]Selected{
		"no vocabulary": {IDs: []int32{0}, Logits: []float32{1}},
		"lengths":       {Vocab: 9, IDs: []int32{0}},
		"outside":       {Vocab: 9, IDs: []int32{9}, Logits: []float32{1}},
		"negative":      {Vocab: 9, IDs: []int32{-1}, Logits: []float32{1}},
		"twice":         {Vocab: 9, IDs: []int32{3, 3}, Logits: []float32{1, 1}},
		"rest":          {Vocab: 9, IDs: []int32{3}, Logits: []float32{1}, TailMax: nan},
		"mass":          {Vocab: 9, IDs: []int32{3}, Logits: []float32{1}, HasTailMass: true, TailLogMassMin: 2, TailLogMassMax: 1},
	} {
		if _, err := p.SampleSelected(&sel, nil); !errors.Is(err, ErrSelection) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := p.SampleSelected(&Selected{Vocab: 9, IDs: []int32{3}, Logits: []float32{nan}}, nil); !errors.Is(err, ErrLogits) {
		t.Errorf("NaN: error %v", err)
	}
	if _, err := p.SampleSelected(&Selected{Vocab: 9, TailMax: 3}, nil); !errors.Is(err, ErrNeedAll) {
		t.Errorf("nothing selected: error %v", err)
	}
	if _, err := p.SampleSelected(&Selected{Vocab: 9, TailMax: float32(math.Inf(-1))}, nil); !errors.Is(err, ErrNoCandidate) {
		t.Errorf("nothing there: error %v", err)
	}
	c := Candidates{partial: true}
	if err := c.Filter(nil); !errors.Is(err, ErrNeedAll) {
		t.Errorf("Filter of a partial set: %v", err)
	}
}

// TestUnlistedEdits: edits of tokens that the selection does not list.
func TestUnlistedEdits(t *testing.T) {
	logits := []float32{4, 3, 2.5, 2.5, 1, 1, 1}
	listed := Selected{Vocab: 7, IDs: []int32{0, 1}, Logits: logits[:2], TailMax: 2.5}
	// A bias that could lift an unlisted token over the listed ones.
	p := NewChain(1, NewLogitBias(map[int32]float32{2: 3}), TopK{K: 1})
	if _, err := p.SampleSelected(&listed, nil); !errors.Is(err, ErrNeedAll) {
		t.Errorf("raised: error %v", err)
	}
	// One that lowers it does no harm to top-k.
	p = NewChain(1, NewLogitBias(map[int32]float32{2: -3}), TopK{K: 1})
	if r, err := p.SampleSelected(&listed, nil); err != nil || r.Token != 0 {
		t.Errorf("lowered: %+v, %v", r, err)
	}
	// But top-p's cut moves with the rest's mass: e^4 = 54.6 of 54.6 + 20.1 +
	// 24.4 + 8.2 = 107.2 is 0.51; without tokens 2 and 3 it is 0.66.
	var mass float64
	for _, l := range logits[2:] {
		mass += math.Exp(float64(l))
	}
	listed.HasTailMass, listed.TailLogMassMin, listed.TailLogMassMax = true, math.Log(mass), math.Log(mass)
	top := TopP{P: 0.55}
	if r, err := NewChain(1, top).SampleSelected(&listed, nil); err != nil || r.Prob == 1 {
		t.Errorf("top-p: %+v, %v, want one of two tokens", r, err)
	}
	lower := NewLogitBias(map[int32]float32{2: -30, 3: -30})
	if _, err := NewChain(1, lower, top).SampleSelected(&listed, nil); !errors.Is(err, ErrNeedAll) {
		t.Errorf("top-p with a lighter rest: error %v", err)
	}
	// A custom edit may do anything to a token nobody has seen.
	var c Candidates
	if err := c.loadSelected(&listed); err != nil {
		t.Fatal(err)
	}
	if err := c.Edit(2, func(l float32) float32 { return l }); !errors.Is(err, ErrNeedAll) {
		t.Errorf("Edit: error %v", err)
	}
	if err := c.Edit(1, func(l float32) float32 { return l + 5 }); err != nil {
		t.Error(err)
	}
	if best, err := c.Top(nil, 1); err != nil || best[0] != (Candidate{1, 8}) {
		t.Errorf("edited: %v, %v", best, err)
	}
}
