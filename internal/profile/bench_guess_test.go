package profile

import (
	"math"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// TestBenchGuesses: a model with a layer that guesses is measured with it, on a sequence that
// gains one token with each step, whatever the guesses were.
func TestBenchGuesses(t *testing.T) {
	data := synthtest.Bytes(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{MTP: true})
	for _, mtp := range []bool{true, false} {
		o := BenchOptions{Open: func() (*gguf.File, error) { return gguf.Parse(data) }, Load: model.LoadOptions{MTP: mtp},
			Prompt: 8, Generate: 2, Repeat: 2, LimitTime: 1, LimitBytes: 1 << 20}
		r, err := Bench(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(r.String(), "a guess takes"); said != mtp || (r.Guesses != nil) != mtp {
			t.Fatalf("with the layer: %v; said: %v, %+v", mtp, said, r.Guesses)
		}
		if !mtp {
			continue
		}
		if r.Guesses.StepSeconds <= 0 || r.Guesses.GuessSeconds <= 0 || len(r.Guesses.CheckSeconds) != mostGuesses {
			t.Errorf("times %+v", r.Guesses)
		}
		for i, s := range r.Guesses.CheckSeconds {
			if s <= 0 {
				t.Errorf("checking %d guesses takes no time", i+1)
			}
		}
	}
}

// TestGuessesExpected: tokens for each second, by hand.
func TestGuessesExpected(t *testing.T) {
	var g guessing
	g.step, g.guess = Samples{.040}, Samples{.010}
	for i := range g.check {
		g.check[i] = Samples{.040 + .010*float64(i+1)}
	}
	r := g.report()
	for _, want := range []struct {
		right, guesses int
		faster         float64
	}{
		{60, 1, 1.6 * 40 / 60},
		{60, 2, 1.96 * 40 / 80},
		{80, 2, 2.44 * 40 / 80},
		{80, 4, (1 + .8 + .64 + .512 + .4096) * 40 / 120},
	} {
		found := false
		for _, e := range r.Expected {
			if int(math.Round(100*e.Right)) == want.right {
				found = true
				if got := e.Faster[want.guesses-1]; math.Abs(got-want.faster) > 1e-9 {
					t.Errorf("%d guesses that are right in %d %%: %v times as fast, want %v", want.guesses, want.right, got, want.faster)
				}
			}
		}
		if !found {
			t.Errorf("nothing about %d %%", want.right)
		}
	}
}
