package generate_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/model"
	"trit/sample"
)

// openDrafts returns draft models: one that is nearly as good as the demo model,
// and one that is nearly always wrong.
func openDrafts(t testing.TB, open opener) (good, bad *demo) {
	return open(t, engine.Options{}, model.LoadOptions{Activations: model.Float}),
		open(t, engine.Options{}, model.LoadOptions{HiddenAct: model.SiLU})
}

// TestGuessesChangeNothing: the greedy text, and with lookup the sampled text
// too, is the same token for token with and without guessing.
func TestGuessesChangeNothing(t *testing.T) { onModels(t, testGuessesChangeNothing) }

func testGuessesChangeNothing(t *testing.T, open opener) {
	d := open(t, engine.Options{}, model.LoadOptions{})
	good, bad := openDrafts(t, open)
	sampled := seeded(100, 5)
	sampled.Sampling.Temperature = 0.7
	sampled.Sampling.RepeatPenalty, sampled.Sampling.PenaltyLastN = 1.1, 32
	mirostat := seeded(100, 6)
	mirostat.Sampling.Mirostat = 2
	xtc := seeded(100, 7)
	xtc.Sampling.XTCProbability, xtc.Sampling.XTCThreshold = 0.5, 0.05
	early := greedy(100)
	early.MinTokens, early.Stop = 40, []string{"happy"}
	speculations := map[string]generate.Speculation{
		"lookup":      {Lookup: true, Cost: 0.05},
		"lookup, 1":   {Lookup: true, Cost: 0.05, MinMatch: 1, MaxGuesses: 40},
		"lookup free": {Lookup: true},
		"good draft":  {Draft: good.scheduler, Cost: 0.05},
		"bad draft":   {Draft: bad.scheduler, Cost: 0.01},
	}
	options, prompts := []generate.Options{early, sampled, greedy(100), mirostat, xtc}, manyPrompts
	if testing.Short() {
		options, prompts = options[:2], prompts[3:]
	}
	for i, o := range options {
		for _, prompt := range prompts {
			want, _ := d.one(prompt, o)
			for name, s := range speculations {
				if s.Draft != nil && o.Sampling.Temperature > 0 {
					continue
				}
				o.Speculation = s
				got, stats := d.one(prompt, o)
				if got.text != want.text || got.finish != want.finish || !slices.Equal(got.ids, want.ids) {
					t.Errorf("options %d, %s, %q:\n%q (%s), want\n%q (%s)", i, name, prompt, got.text, got.finish, want.text, want.finish)
				}
				// The first token takes no step of its own, and behind a guess
				// that ends the text none is taken.
				tokens := 1 + stats.Steps + stats.AcceptedTokens
				if tokens != stats.GeneratedTokens && (tokens != stats.GeneratedTokens+1 || got.finish != generate.FinishStop) {
					t.Errorf("options %d, %s: %+v", i, name, stats)
				}
			}
			o.Speculation = generate.Speculation{}
		}
	}
}

// TestLookupSaves counts the steps of a text that repeats itself, and the
// guesses in one that never does.
func TestLookupSaves(t *testing.T) {
	d := openDemo(t)
	o := greedy(200)
	o.Speculation = generate.Speculation{Lookup: true, Cost: 0.2}
	o.Sampling.Forced = d.encode(strings.Repeat(" The little dog ran to the park. The cat sat in the sun.", 20))
	_, stats := d.one(story, o)
	t.Logf("repetitive: %d tokens in %d steps, %d of %d guesses accepted", stats.GeneratedTokens, stats.Steps, stats.AcceptedTokens, stats.GuessedTokens)
	if stats.Steps > stats.GeneratedTokens/4 {
		t.Errorf("%d tokens took %d steps", stats.GeneratedTokens, stats.Steps)
	}
	if rate := float64(stats.AcceptedTokens) / float64(stats.GuessedTokens); rate < 0.8 {
		t.Errorf("%.2f of the guesses were right", rate)
	}
	// Pairs of tokens come back, but each time another token follows.
	for i := range o.Sampling.Forced {
		o.Sampling.Forced[i] = int32([]int{100, 200, 300 + i}[i%3])
	}
	_, stats = d.one(story, o)
	t.Logf("misleading: %d tokens in %d steps, %d of %d guesses accepted", stats.GeneratedTokens, stats.Steps, stats.AcceptedTokens, stats.GuessedTokens)
	if lost := 0.2*float64(stats.GuessedTokens) - float64(stats.AcceptedTokens); stats.GuessedTokens == 0 || lost > 0.05*float64(stats.GeneratedTokens) {
		t.Errorf("%d tokens cost %.1f steps more", stats.GeneratedTokens, lost)
	}
}

// TestDraftSaves counts the steps with a good draft model, and the guesses of a
// bad one, which must give up.
func TestDraftSaves(t *testing.T) {
	d := openDemo(t)
	good, bad := openDrafts(t, open)
	for _, temperature := range []float64{0, 0.8} {
		o := seeded(150, 3)
		o.IgnoreEnd = true
		o.Sampling.Temperature = temperature
		o.Speculation = generate.Speculation{Draft: good.scheduler, Cost: 0.2}
		_, stats := d.one(story, o)
		t.Logf("temperature %v: %d tokens in %d steps, %d of %d guesses accepted", temperature, stats.GeneratedTokens, stats.Steps, stats.AcceptedTokens, stats.GuessedTokens)
		if stats.Steps > stats.GeneratedTokens/3 {
			t.Errorf("temperature %v: with a good draft model %d tokens take %d steps", temperature, stats.GeneratedTokens, stats.Steps)
		}
		o.Speculation = generate.Speculation{Draft: bad.scheduler, Cost: 0.2}
		_, stats = d.one(story, o)
		if lost := 0.2*float64(stats.GuessedTokens) - float64(stats.AcceptedTokens); lost > 0.05*float64(stats.GeneratedTokens) {
			t.Errorf("temperature %v: with a bad draft model %d tokens cost %.1f steps more", temperature, stats.GeneratedTokens, lost)
		}
	}
}

// TestDraftRepeatable: with a draft model the sampled text is another one than
// without, but the same every time.
func TestDraftRepeatable(t *testing.T) { onModels(t, testDraftRepeatable) }

func testDraftRepeatable(t *testing.T, open opener) {
	d := open(t, engine.Options{}, model.LoadOptions{})
	good, _ := openDrafts(t, open)
	o := seeded(80, 9)
	o.Choices = 2
	o.Speculation.Draft = good.scheduler
	want, _ := d.generate(story, o)
	got, stats := d.generate(story, o)
	if got[0].text != want[0].text || got[1].text != want[1].text || stats.AcceptedTokens == 0 {
		t.Errorf("%q and %q, want %q and %q; %+v", got[0].text, got[1].text, want[0].text, want[1].text, stats)
	}
}

// TestDraftDistribution draws many texts with a draft model that is mostly wrong
// and compares the frequencies of their second and third token with the target's
// probabilities. Accepting everything must fail the same comparison.
// TestVerify tries finer deviations.
func TestDraftDistribution(t *testing.T) {
	if testing.Short() {
		t.Skip("draws thousands of texts")
	}
	pages := engine.Options{CachePages: 1200}
	d, bad := open(t, pages, model.LoadOptions{}), open(t, pages, model.LoadOptions{HiddenAct: model.SiLU})
	prompt := "Once upon a time there was a little fox. The fox saw a"
	first := d.encode(" big")[0]
	const choices, rounds = 250, 3
	run := func(rounds int, rule func(u, p, q float64) bool) (statistic, limit float64, accepted int) {
		var drawn [][2]int32
		for round := range rounds {
			o := seeded(3, uint64(round))
			o.Choices, o.IgnoreEnd = choices, true
			o.Sampling.Forced = []int32{first}
			// A flat distribution gives a bad model a chance.
			o.Sampling.Temperature = 1.5
			o.Speculation = generate.Speculation{Draft: bad.scheduler, Cost: 1e-6, MaxGuesses: 2}
			o.Speculation.SetRule(rule)
			texts, stats := d.generate(prompt, o)
			accepted += stats.AcceptedTokens
			for _, text := range texts {
				drawn = append(drawn, [2]int32(text.ids[1:]))
			}
		}
		statistic, limit = d.chiSquare(t, append(d.encode(prompt), first), drawn, 1.5)
		return statistic, limit, accepted
	}
	statistic, limit, accepted := run(rounds, generate.KeepGuess)
	t.Logf("chi-square %.1f, limit %.1f, %d guesses accepted of up to %d", statistic, limit, accepted, 2*choices*rounds)
	if statistic > limit {
		t.Errorf("the distribution is off: chi-square %.1f, limit %.1f", statistic, limit)
	}
	if accepted < 100 || accepted > choices*rounds {
		t.Errorf("%d guesses were accepted: the rule is hardly tried", accepted)
	}
	statistic, limit, _ = run(1, func(u, p, q float64) bool { return true })
	if statistic <= limit {
		t.Errorf("accepting every guess passes the comparison: chi-square %.1f, limit %.1f", statistic, limit)
	}
}

// chiSquare compares pairs of tokens, drawn behind a text, with the model's
// probabilities: the first of all pairs, and the second of those with the most
// common first. It returns Pearson's statistic and a limit, which chance exceeds
// once in about 10,000 times.
func (d *demo) chiSquare(t testing.TB, behind []int32, drawn [][2]int32, temperature float64) (statistic, limit float64) {
	t.Helper()
	count := map[int32]int{}
	for _, pair := range drawn {
		count[pair[0]]++
	}
	common := drawn[0][0]
	for id, n := range count {
		if n > count[common] || n == count[common] && id < common {
			common = id
		}
	}
	second := map[int32]int{}
	for _, pair := range drawn {
		if pair[0] == common {
			second[pair[1]]++
		}
	}
	freedom := 0
	for i, counts := range []map[int32]int{count, second} {
		text := behind
		if i == 1 {
			text = append(slices.Clone(behind), common)
		}
		s := d.session()
		if err := s.Run(context.Background(), text, engine.All, len(text)-1); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, n := range counts {
			total += n
		}
		logits := slices.Clone(s.Logits(0))
		for k := range logits {
			logits[k] = float32(float64(logits[k]) / temperature)
		}
		s.Close()
		rest, restWant := total, float64(total)
		for id := range logits {
			lp, err := sample.LogProb(logits, int32(id))
			if err != nil {
				t.Fatal(err)
			}
			if want := math.Exp(lp) * float64(total); want >= 8 {
				diff := float64(counts[int32(id)]) - want
				statistic += diff * diff / want
				rest, restWant = rest-counts[int32(id)], restWant-want
				freedom++
			}
		}
		if restWant >= 8 {
			diff := float64(rest) - restWant
			statistic += diff * diff / restWant
		}
	}
	// Wilson and Hilferty's approximation of the quantile at 3.72 standard
	// deviations.
	n := float64(freedom)
	return statistic, n * math.Pow(1-2/(9*n)+3.72*math.Sqrt(2/(9*n)), 3)
}

func TestDraftVocabulary(t *testing.T) {
	d := openDemo(t)
	o := greedy(5)
	o.Speculation.Draft = otherVocabulary(t)
	s := d.session()
	defer s.Close()
	if _, err := generate.New(s, d.tokenizer, o); !errors.Is(err, generate.ErrOptions) {
		t.Errorf("a draft model with another vocabulary: %v", err)
	}
}
