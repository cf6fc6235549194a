package validate

import (
	"errors"
	"math"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/tokenizer"
)

// floatTwin is the demo in exact arithmetic.
func floatTwin(t testing.TB, context int) *engine.Engine {
	t.Helper()
	m, err := model.Load(demo(t), model.LoadOptions{Activations: model.Float})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(m, engine.Options{Threads: 2, Context: context, KVType: kernel.KVF32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestDivergence(t *testing.T) {
	logs := func(p ...float64) (logits []float32) {
		for _, x := range p {
			logits = append(logits, float32(math.Log(x)+3)) // a constant means nothing
		}
		return logits
	}
	p, q := logs(0.5, 0.25, 0.25), logs(0.25, 0.25, 0.5)
	for _, test := range []struct {
		p, q []float32
		want float64
	}{{p, p, 0}, {p, q, 0.25 * math.Ln2}, {logs(0.9, 0.1), logs(0.5, 0.5), 0.9*math.Log(1.8) + 0.1*math.Log(0.2)}} {
		if got := divergence(test.p, test.q); math.Abs(got-test.want) > 1e-6 {
			t.Errorf("KL(%v, %v) = %v, want %v", test.p, test.q, got, test.want)
		}
	}
	// The standard error of the mean of 1, 2, 3, 4 is √(5/3)/2.
	if e := estimate([]float64{1, 2, 3, 4}); e.Mean != 2.5 || math.Abs(e.StdErr-math.Sqrt(5.0/3)/2) > 1e-12 {
		t.Errorf("%+v", e)
	}
	if e := estimate([]float64{7}); e.Mean != 7 || e.StdErr != 0 {
		t.Errorf("of one value: %+v", e)
	}
}

// TestAgainst: a model is its own twin, rounding its activations costs a little, and the
// perplexities are those that are measured alone.
func TestAgainst(t *testing.T) {
	text := heldOut(t)[:4000]
	e, tok := demoEngine(t, engine.Options{Context: 256})
	same, err := Against(t.Context(), e, e, tok, tok, text, AgainstOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if same.Max != 0 || same.Agreement != (Estimate{1, 0}) || same.Loss != (Estimate{}) || same.Perplexity != same.TwinPerplexity {
		t.Errorf("the model against itself: %+v", *same)
	}
	calls := 0
	r, err := Against(t.Context(), e, floatTwin(t, 256), tok, tok, text, AgainstOptions{Progress: func(done, total int) {
		if calls++; done != calls || total != same.Windows {
			t.Errorf("window %d of %d", done, total)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	own, err := Perplexity(t.Context(), e, tok, text, PerplexityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Scored != own.Scored || r.Windows != own.Windows || calls != r.Windows || math.Abs(r.Perplexity-own.Perplexity) > 1e-9 {
		t.Errorf("%+v; alone %+v", *r, *own)
	}
	if math.Abs(math.Log(r.Perplexity/r.TwinPerplexity)-r.Loss.Mean) > 1e-9 {
		t.Errorf("perplexities %v and %v, loss %v", r.Perplexity, r.TwinPerplexity, r.Loss)
	}
	if m := r.Divergence.Mean; !(m > 1e-6 && m < 1e-4) || r.Divergence.StdErr >= m || r.Median > r.Percentile99 || r.Percentile99 > r.Max || r.Agreement.Mean < 0.97 {
		t.Errorf("rounding costs %+v", *r)
	}
}

func TestAgainstErrors(t *testing.T) {
	e, tok := demoEngine(t, engine.Options{Context: 64})
	twin := floatTwin(t, 64)
	small := synthtest.File(t, synthtest.Shape(t, "tiny"), synth.Options{})
	other, err := tokenizer.FromGGUF(small.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(small, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tiny, err := engine.New(m, engine.Options{Threads: 1, Context: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer tiny.Close()
	if _, err := Against(t.Context(), e, tiny, tok, tok, heldOut(t), AgainstOptions{}); !errors.Is(err, ErrReference) {
		t.Errorf("another vocabulary: %v", err)
	}
	for _, test := range []struct {
		name, text string
		tok        *tokenizer.Tokenizer
		o          AgainstOptions
		is         error
	}{
		{"short", "One", tok, AgainstOptions{}, ErrText},
		{"shorter than a window", "Once upon a time there was a dog.", tok, AgainstOptions{Context: 40}, ErrText},
		{"window of 2", heldOut(t)[:500], tok, AgainstOptions{Context: 2}, ErrOptions},
		{"window beyond the context", heldOut(t)[:900], tok, AgainstOptions{Context: 65}, ErrOptions},
		{"other tokenizer", heldOut(t)[:900], other, AgainstOptions{}, ErrReference},
	} {
		if r, err := Against(t.Context(), e, twin, tok, test.tok, test.text, test.o); !errors.Is(err, test.is) {
			t.Errorf("%s: %+v, %v", test.name, r, err)
		}
	}
}

// TestAgainstGolden: the same weights in two types of storage predict the same, and more
// is lost by rounding.
func TestAgainstGolden(t *testing.T) {
	start := func(name string, a model.Activations) (*engine.Engine, *tokenizer.Tokenizer) {
		f, err := gguf.Open(fixtures.Path(t, "golden-2026", name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		tok, err := tokenizer.FromGGUF(f.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		m, err := model.Load(f, model.LoadOptions{Activations: a})
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.New(m, engine.Options{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return e, tok
	}
	text := heldOut(t)[:1500]
	for first, second := range map[string]string{"q3.pq2_0.gguf": "q3.ptq1_0.gguf", "q35.q2_0.gguf": "q35.ptq1_0.gguf"} {
		e, tok := start(first, 0)
		twin, other := start(second, 0)
		same, err := Against(t.Context(), e, twin, tok, other, text, AgainstOptions{})
		if err != nil {
			t.Fatal(err)
		}
		exact, other := start(second, model.Float)
		r, err := Against(t.Context(), e, exact, tok, other, text, AgainstOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if same.Max != 0 || !(r.Divergence.Mean > 1e-4 && r.Divergence.Mean < 0.02) || r.Agreement.Mean < 0.85 {
			t.Errorf("%s: against %s %+v; in exact arithmetic %+v", first, second, *same, *r)
		}
	}
}
