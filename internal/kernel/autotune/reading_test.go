package autotune

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"trit/internal/kernel"
	"trit/internal/ternary"
)

// Rates of one core that a panel of 2,560 columns is multiplied at, as on a machine where
// two cores read between 15 and 60 GB/s together: two bits at 46 GB/s, base 3 at 25.
func twoCores(_ Shape, l ternary.Layout, v kernel.Variant) time.Duration {
	switch {
	case v != kernel.Variants()[len(kernel.Variants())-1]:
		return time.Millisecond
	case l == ternary.T5:
		return 328
	}
	return 222
}

var decode = Shape{Rows: 2560, Cols: 2560, Tokens: 1}

// TestPredict: the larger time counts, and a quarter of the smaller.
func TestPredict(t *testing.T) {
	for _, c := range []struct{ arithmetic, reading, want float64 }{{4, 0, 4}, {0, 4, 4}, {4, 8, 9}, {8, 4, 9}, {4, 4, 5}} {
		if got := predict(c.arithmetic, c.reading); got != c.want {
			t.Errorf("%g of arithmetic and %g of reading take %g, want %g", c.arithmetic, c.reading, got, c.want)
		}
	}
}

// TestLayoutFollowsMemory: what is remembered of the arithmetic holds, and the layout is
// the one for what memory gives when a model is loaded.
func TestLayoutFollowsMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kernels.json")
	for _, step := range []struct {
		rate  float64 // of both workers
		want  ternary.Layout
		chose float64 // the rate that layouts are chosen by
	}{
		{30e9, ternary.T5, 30e9},
		{37e9, ternary.T5, 30e9}, // not far enough
		{25e9, ternary.T5, 30e9},
		{80e9, ternary.T2, 80e9},
		{65e9, ternary.T2, 80e9},
		{15e9, ternary.T5, 15e9},
		{80e9, ternary.T2, 80e9},
	} {
		tune := fakeTuner(path, func(err error) { t.Error(err) }, step.rate/2, twoCores)
		choices := tune.For(team(t, 2))
		if got := choices.Best(decode).Layout; got != step.want {
			t.Errorf("at %g: %v, want %v", step.rate, got, step.want)
		}
		if r := choices.Reading(); r.Rate != step.chose || r.Now != step.rate {
			t.Errorf("at %g: %+v, want by %g", step.rate, r, step.chose)
		}
		choices.Best(Shape{Rows: 100, Cols: 2560, Tokens: 1})
		if tune.read != 1 {
			t.Errorf("looked at memory %d times", tune.read)
		}
	}
	last := fakeTuner(path, nil, 1, twoCores)
	last.Arithmetic = nil // all is known
	last.best(t, decode)
}

// TestReadingIsRemembered: by the number of workers, and when that was.
func TestReadingIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kernels.json")
	tune := fakeTuner(path, func(err error) { t.Error(err) }, 15e9, twoCores)
	began := tune.clock
	for _, workers := range []int{1, 2} {
		tune.For(team(t, workers)).Best(decode)
		tune.clock = tune.clock.Add(time.Hour)
	}
	again := fakeTuner(path, nil, 16e9, twoCores)
	for workers, measured := range map[int]time.Time{1: began, 2: began.Add(time.Hour)} {
		choices := again.For(team(t, workers))
		choices.Best(decode)
		want := Reading{Workers: workers, Rate: 15e9 * float64(workers), Measured: measured, Now: 16e9 * float64(workers)}
		if got := choices.Reading(); got != want {
			t.Errorf("%d workers: %+v, want %+v", workers, got, want)
		}
	}
	// Kernels for a layout that is settled depend on arithmetic alone.
	choices := fakeTuner("", nil, 1, twoCores).For(team(t, 2))
	if choices.BestVariant(decode, ternary.T2); choices.Reading() != (Reading{}) {
		t.Errorf("%+v for a kernel", choices.Reading())
	}
}

// TestKeptLayout: what lies in a layout is repacked for a tenth of the time, not for less.
func TestKeptLayout(t *testing.T) {
	gain := func(rate float64) float64 { // of two bits over base 3
		reading := func(bytes float64) float64 { return bytes / (rate / 2) }
		return predict(328e-9, reading(128*64)) / predict(222e-9, reading(160*64))
	}
	for rate, want := range map[float64]ternary.Layout{64e9: ternary.T5, 80e9: ternary.T2} {
		if g := gain(rate); math.Abs(g-1.1) < 0.02 || g < 1 {
			t.Fatalf("two bits are %.3f times as fast at %g", g, rate)
		}
		tune := fakeTuner("", nil, rate/2, twoCores)
		if got := tune.best(t, decode).Layout; got != ternary.T2 {
			t.Errorf("at %g: %v, want t2", rate, got)
		}
		if got := tune.best(t, decode, ternary.T5).Layout; got != want {
			t.Errorf("at %g, with weights in base 3: %v, want %v", rate, got, want)
		}
		if got := tune.best(t, decode, ternary.G2).Layout; got != ternary.T2 { // no candidate
			t.Errorf("at %g, with weights in another layout: %v, want t2", rate, got)
		}
	}
}

// TestUnknownRate: where memory cannot be measured, what is remembered counts.
func TestUnknownRate(t *testing.T) {
	tune := fakeTuner("", nil, 0, twoCores)
	choices := tune.For(team(t, 2))
	choices.Best(decode)
	if r := choices.Reading(); r.Rate != 2*unknownRate || !r.Measured.IsZero() {
		t.Errorf("never measured: %+v", r)
	}
	tune.rate = 80e9
	tune.best(t, decode)
	tune.rate = 0
	if got := tune.best(t, decode).Layout; got != ternary.T2 {
		t.Errorf("measured before: %v, want t2", got)
	}
}
