package sample

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// ref is a candidate in the straightforward implementations below.
type ref struct {
	id int32
	l  float64 // logit
	p  float64
}

func refSoftmax(logits []float32, scale float64) []ref {
	var out []ref
	top := math.Inf(-1)
	for _, l := range logits {
		top = max(top, float64(l))
	}
	var sum float64
	for id, l := range logits {
		p := math.Exp((float64(l) - top) * scale)
		out = append(out, ref{int32(id), float64(l) * scale, p})
		sum += p
	}
	for i := range out {
		out[i].p /= sum
	}
	slices.SortStableFunc(out, func(a, b ref) int { return cmp.Compare(b.l, a.l) })
	return out
}

// refFilter applies the textbook form of a filter. ok is false if a decision
// is too close to call in floating point.
func refFilter(name string, v float64, c []ref) (kept []ref, ok bool) {
	const eps = 1e-9
	near := func(a, b float64) bool { return math.Abs(a-b) < eps }
	switch name {
	case NameTopK:
		return c[:min(int(v), len(c))], true
	case NameTopP:
		var cum float64
		for i, x := range c {
			cum += x.p
			if near(cum, v) {
				return nil, false
			}
			if cum > v {
				return c[:i+1], true
			}
		}
		return c, true
	case NameMinP:
		for _, x := range c {
			if near(x.p, v*c[0].p) {
				return nil, false
			}
			if x.p > v*c[0].p {
				kept = append(kept, x)
			}
		}
		return kept, true
	case NameTypicalP:
		var h float64
		for _, x := range c {
			h -= x.p * math.Log(x.p)
		}
		distance := func(x ref) float64 { return math.Abs(-math.Log(x.p) - h) }
		sorted := slices.Clone(c)
		slices.SortStableFunc(sorted, func(a, b ref) int { return cmp.Compare(distance(a), distance(b)) })
		for i := range sorted[1:] {
			// Equal logits are exactly equally typical and sorted already.
			if sorted[i].l != sorted[i+1].l && near(distance(sorted[i]), distance(sorted[i+1])) {
				return nil, false
			}
		}
		var cum float64
		for _, x := range sorted {
			kept = append(kept, x)
			cum += x.p
			if near(cum, v) {
				return nil, false
			}
			if cum > v {
				break
			}
		}
		slices.SortFunc(kept, func(a, b ref) int {
			return cmp.Or(cmp.Compare(b.l, a.l), cmp.Compare(a.id, b.id))
		})
		return kept, true
	case NameTopNSigma:
		var mean, variance float64
		for _, x := range c {
			mean += x.l / float64(len(c))
		}
		for _, x := range c {
			variance += (x.l - mean) * (x.l - mean) / float64(len(c))
		}
		limit := c[0].l - v*math.Sqrt(variance)
		for _, x := range c {
			if near(x.l, limit) && v > 0 && variance > 0 {
				return nil, false
			}
			if x.l >= limit {
				kept = append(kept, x)
			}
		}
		return kept, true
	case NameXTC:
		above := 0
		for _, x := range c {
			if near(x.p, v) {
				return nil, false
			}
			if x.p > v {
				above++
			}
		}
		return c[max(above-1, 0):], true
	}
	panic(name)
}

// TestFiltersAgainstReference compares every filter with its definition, on
// dense and listed candidates, at several temperatures.
func TestFiltersAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits := drawLogits(t, drawVocab(t))
		temperature := rapid.SampledFrom([]float64{0.5, 1, 3}).Draw(t, "temperature")
		name := rapid.SampledFrom([]string{NameTopK, NameTopP, NameMinP, NameTypicalP, NameTopNSigma, NameXTC}).Draw(t, "filter")
		v := rapid.Float64Range(0.001, 0.999).Draw(t, "v")
		var stage Stage
		switch name {
		case NameTopK:
			v = float64(rapid.IntRange(1, 300).Draw(t, "k"))
			stage = TopK{K: int(v)}
		case NameTopP:
			stage = TopP{P: v}
		case NameMinP:
			stage = MinP{P: v}
		case NameTypicalP:
			stage = TypicalP{P: v}
		case NameTopNSigma:
			v *= 3
			stage = TopNSigma{N: v}
		case NameXTC:
			v *= 0.5
			stage = NewXTC(1, v, 1, 0)
		}
		want, ok := refFilter(name, v, refSoftmax(logits, 1/temperature))
		if !ok {
			t.Skip("too close to call")
		}
		stages := []Stage{Temperature{T: temperature}, stage}
		if rapid.Bool().Draw(t, "listed") {
			stages = slices.Insert(stages, rapid.IntRange(0, 1).Draw(t, "at"), Stage(MinP{P: 1e-300}))
		}
		var d Distribution
		if err := NewChain(1, stages...).Distribution(&d, logits, nil); err != nil {
			t.Fatal(err)
		}
		var ids []int32
		for _, x := range want {
			if x.p > 1e-13 { // lighter ones have weight zero
				ids = append(ids, x.id)
			}
		}
		got := d.IDs
		if len(got) > len(ids) {
			got = got[:len(ids)]
		}
		if !slices.Equal(got, ids) {
			t.Fatalf("kept %v, want %v", d.IDs, ids)
		}
	})
}

// TestDistributionProperties checks what holds for every pipeline.
func TestDistributionProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vocab := drawVocab(t)
		logits := drawLogits(t, vocab)
		o := drawOptions(t, vocab)
		ctx := drawContext(t, vocab)
		p, err := NewPipeline(o)
		if err != nil {
			t.Fatal(err)
		}
		shifted := p.Clone()
		var d Distribution
		original := slices.Clone(logits)
		err = p.Distribution(&d, logits, ctx)
		if !slices.Equal(logits, original) {
			t.Fatal("the logits were changed")
		}
		if err != nil {
			if !errors.Is(err, ErrNoCandidate) {
				t.Fatal(err)
			}
			return
		}
		var total uint64
		var sum float64
		for i, id := range d.IDs {
			total += d.Weights[i]
			sum += d.Prob(id)
			if i > 0 && (d.Weights[i] > d.Weights[i-1]) {
				t.Fatal("weights ascend")
			}
			if ctx.Mask != nil && ctx.Mask[id/64]>>(id%64)&1 == 0 {
				t.Fatalf("token %d is masked", id)
			}
			if o.Allowed != nil && !slices.Contains(o.Allowed, id) {
				t.Fatalf("token %d is not allowed", id)
			}
			if b, ok := o.LogitBias[id]; ok && math.IsInf(float64(b), -1) {
				t.Fatalf("token %d is banned", id)
			}
		}
		if total != d.Total || math.Abs(sum-1) > 1e-12 {
			t.Fatalf("weights add up to %d of %d, probabilities to %v", total, d.Total, sum)
		}
		if o.RepeatPenalty != 1 {
			return // its effect depends on the sign of logits
		}
		// Softmax does not change when all logits rise by a constant. (Quarters
		// plus 16 and half-integer edits are exact, except under a temperature
		// that precedes an edit.)
		if i := slices.Index(o.StageOrder(), NameTemperature); i >= 0 {
			for _, s := range o.StageOrder()[i:] {
				if s == NamePenalties || s == NameDRY {
					return
				}
			}
		}
		for i := range logits {
			logits[i] += 16
		}
		var e Distribution
		if err := shifted.Distribution(&e, logits, ctx); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(o.StageOrder(), NameTopNSigma) && o.TopNSigma > 0 {
			return // the rounding of σ may decide
		}
		// min-p and Mirostat compare with a rounded threshold.
		if o.MinP == 0 && (!slices.Equal(d.IDs, e.IDs) || !slices.Equal(d.Weights, e.Weights)) {
			t.Fatalf("shifted logits keep %v instead of %v", e.IDs, d.IDs)
		}
	})
}

// TestFiltersOnlyRemove: a filter leaves the survivors' ratios alone.
func TestFiltersOnlyRemove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits := drawLogits(t, drawVocab(t))
		var all, d Distribution
		if err := NewChain(1).Distribution(&all, logits, nil); err != nil {
			t.Fatal(err)
		}
		v := rapid.Float64Range(0.01, 0.99).Draw(t, "v")
		stage := rapid.SampledFrom([]Stage{TopK{K: 3}, TopP{P: v}, MinP{P: v}, TypicalP{P: v}, TopNSigma{N: v}}).Draw(t, "stage")
		if err := NewChain(1, stage).Distribution(&d, logits, nil); err != nil {
			t.Fatal(err)
		}
		if len(d.IDs) > len(all.IDs) {
			t.Fatalf("%s added candidates", stage.Name())
		}
		for _, id := range d.IDs {
			want := all.Prob(id) / all.Prob(d.IDs[0])
			if got := d.Prob(id) / d.Prob(d.IDs[0]); math.Abs(got-want) > 1e-6*want+1e-9 {
				t.Fatalf("%s: token %d has ratio %v, want %v", stage.Name(), id, got, want)
			}
		}
	})
}

// TestTopNSigmaCommutesWithTemperature is the paper's claim.
func TestTopNSigmaCommutesWithTemperature(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits := drawLogits(t, drawVocab(t))
		n := rapid.Float64Range(0, 4).Draw(t, "n")
		temperature := rapid.Float64Range(0.1, 10).Draw(t, "temperature")
		var a, b Distribution
		if err := NewChain(1, TopNSigma{N: n}, Temperature{T: temperature}).Distribution(&a, logits, nil); err != nil {
			t.Fatal(err)
		}
		if err := NewChain(1, Temperature{T: temperature}, TopNSigma{N: n}).Distribution(&b, logits, nil); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.IDs, b.IDs) || !slices.Equal(a.Weights, b.Weights) {
			t.Fatalf("%v before, %v after", a.IDs, b.IDs)
		}
	})
}

// TestDRYAgainstReference compares the linear-time search with a direct one.
func TestDRYAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.Int32Range(0, 3)
		h := rapid.SliceOfN(token, 0, 40).Draw(t, "history")
		o := DRYOptions{Multiplier: 1, Base: 2, PenaltyLastN: -1,
			AllowedLength: rapid.IntRange(1, 4).Draw(t, "allowed"),
			Breakers:      rapid.SliceOfN(rapid.SliceOfN(token, 1, 4), 0, 2).Draw(t, "breakers"),
		}
		limit := len(h)
		for end := len(h); end > 0 && limit == len(h); end-- {
			for _, b := range o.Breakers {
				if end >= len(b) && slices.Equal(h[end-len(b):end], b) {
					limit = len(h) - end
				}
			}
		}
		want := make([]float32, 4)
		for end := 1; end < len(h); end++ { // h[end] follows the earlier text
			n := 0
			for n < end && h[end-1-n] == h[len(h)-1-n] {
				n++
			}
			n = min(n, limit)
			single := slices.ContainsFunc(o.Breakers, func(b []int32) bool { return len(b) == 1 && b[0] == h[end] })
			if n >= o.AllowedLength && !single {
				want[h[end]] = min(want[h[end]], -float32(math.Pow(2, float64(n-o.AllowedLength))))
			}
		}
		var c Candidates
		if err := c.load(make([]float32, 4)); err != nil {
			t.Fatal(err)
		}
		if err := NewDRY(o).Apply(&c, &Context{History: h}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.dense[:4], want) {
			t.Fatalf("logits %v, want %v", c.dense[:4], want)
		}
	})
}

// TestSelection checks the selection algorithms on inputs of every shape.
func TestSelection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3000).Draw(t, "n")
		distinct := rapid.IntRange(1, 5000).Draw(t, "distinct")
		s := NewStream(rapid.Uint64().Draw(t, "seed"), 0)
		logits := make([]float32, n)
		for i := range logits {
			logits[i] = float32(int(s.Uint64()%uint64(distinct)) - distinct/2)
		}
		switch rapid.IntRange(0, 2).Draw(t, "shape") {
		case 1:
			slices.Sort(logits)
		case 2:
			slices.Sort(logits)
			slices.Reverse(logits)
		}
		want := make([]uint64, n)
		for i, l := range logits {
			want[i] = makeKey(int32(i), l)
			if keyID(want[i]) != int32(i) || keyLogit(want[i]) != l {
				t.Fatalf("key of %d, %v", i, l)
			}
		}
		keys := slices.Clone(want)
		slices.SortStableFunc(want, func(a, b uint64) int { return cmp.Compare(keyLogit(b), keyLogit(a)) })
		m := rapid.IntRange(0, n).Draw(t, "m")
		if got := topKeys(nil, logits, m); !slices.Equal(got, want[:m]) {
			t.Fatalf("topKeys(%d) is wrong", m)
		}
		partition(keys, m)
		slices.Sort(keys[:m])
		if !slices.Equal(keys[:m], want[:m]) {
			t.Fatalf("partition(%d) is wrong", m)
		}
		// A walk along the order, from a dense set.
		var c Candidates
		if err := c.load(logits); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if k, err := c.at(i); err != nil || k != want[i] {
				t.Fatalf("at(%d) = %#x, %v", i, k, err)
			}
		}
	})
	// Past the length that a heap selects.
	logits := syntheticLogits(20000, 4)
	var c Candidates
	if err := c.load(logits); err != nil {
		t.Fatal(err)
	}
	if err := c.prefix(heapLimit + 1000); err != nil || !c.listed || !slices.IsSorted(c.keys[:c.sorted]) {
		t.Errorf("a long prefix: %v", err)
	}
	if got := topKeys(nil, logits, heapLimit+1000); !slices.Equal(got, c.keys[:c.sorted]) {
		t.Error("heap and partition differ")
	}
}

// TestPoolReuse: nothing of one call shows in the next, whatever its size.
func TestPoolReuse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vocab := drawVocab(t)
		logits := drawLogits(t, vocab)
		o := drawOptions(t, vocab)
		ctx := drawContext(t, vocab)
		p, err := NewPipeline(o)
		if err != nil {
			t.Fatal(err)
		}
		q := p.Clone()
		used, err := p.Sample(logits, ctx)
		fresh, freshErr := q.sample(new(Candidates), logits, ctx)
		if !errors.Is(err, freshErr) && !errors.Is(freshErr, err) || used.Token != fresh.Token || used.Prob != fresh.Prob {
			t.Fatalf("%+v, %v from the pool, %+v, %v fresh", used, err, fresh, freshErr)
		}
	})
}
