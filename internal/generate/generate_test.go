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
	"trit/internal/head"
	"trit/internal/model"
	"trit/sample"
)

// TestSelect: with a head that computes only the logits that are needed, the
// text is the same.
func TestSelect(t *testing.T) {
	plain := open(t, engine.Options{Head: head.Plain}, model.LoadOptions{})
	coarse := open(t, engine.Options{Head: head.Coarse}, model.LoadOptions{})
	var tests []generate.Options
	tests = append(tests, greedy(60), seeded(60, 1))
	topK := seeded(60, 2)
	topK.Sampling = sample.Default()
	topK.Sampling.Seed = new(uint64(7))
	tests = append(tests, topK)
	topP := seeded(60, 3)
	topP.Sampling.TopP = 0.7
	tests = append(tests, topP)
	penalties := greedy(60)
	penalties.Sampling.RepeatPenalty = 1.3
	penalties.Sampling.LogitBias = map[int32]float32{5: 2, 9: float32(math.Inf(-1))}
	tests = append(tests, penalties)
	early := topK
	early.MinTokens, early.Choices = 50, 3
	tests = append(tests, early)
	guessing := topK
	guessing.Speculation = generate.Speculation{Lookup: true, Cost: 0.1}
	tests = append(tests, guessing)
	prompts := manyPrompts
	if testing.Short() {
		prompts = prompts[3:]
	}
	for i, o := range tests {
		for _, prompt := range prompts {
			want, _ := plain.generate(prompt, o)
			got, _ := coarse.generate(prompt, o)
			for k := range want {
				if got[k].text != want[k].text || !slices.Equal(got[k].ids, want[k].ids) {
					t.Errorf("options %d, %q: choice %d is\n%q, want\n%q", i, prompt, k, got[k].text, want[k].text)
				}
			}
		}
	}
	info := coarse.scheduler.Engine().HeadInfo()
	if info.Selections == 0 || info.Complete == info.Selections {
		t.Errorf("%d selections, %d of them complete: the test compares nothing", info.Selections, info.Complete)
	}
}

// TestChoices: several choices come out of one prompt and one batch each step;
// the first is the one that comes alone, and each is what its seed gives.
func TestChoices(t *testing.T) { onModels(t, testChoices) }

func testChoices(t *testing.T, open opener) {
	d := open(t, engine.Options{}, model.LoadOptions{})
	o := seeded(40, 11)
	alone, _ := d.one(story, o)
	o.Choices = 5
	before, rows := d.scheduler.Steps(), d.scheduler.Rows()
	choices, stats := d.generate(story, o)
	steps := d.scheduler.Steps() - before
	if choices[0].text != alone.text {
		t.Errorf("the first of 5 choices is %q, alone %q", choices[0].text, alone.text)
	}
	longest, total := 0, 0
	for i, a := range choices {
		longest, total = max(longest, len(a.ids)), total+len(a.ids)
		for k := range i {
			if choices[k].text == a.text {
				t.Errorf("choices %d and %d are the same", k, i)
			}
		}
	}
	if steps != int64(longest) {
		t.Errorf("%d choices of up to %d tokens take %d steps", len(choices), longest, steps)
	}
	if stats.GeneratedTokens != total || stats.Steps != longest-1 {
		t.Errorf("%+v, want %d tokens", stats, total)
	}
	// The prompt is run once: nearly all rows are generated tokens.
	if got := d.scheduler.Rows() - rows; got > int64(total+len(d.encode(story))) {
		t.Errorf("%d rows for %d tokens", got, total)
	}
	again, _ := d.generate(story, o)
	for i := range choices {
		if again[i].text != choices[i].text {
			t.Errorf("choice %d is another one the second time", i)
		}
	}
	// With several choices, guessing changes nothing either.
	o.Speculation.Lookup = true
	guessed, _ := d.generate(story, o)
	for i := range choices {
		if guessed[i].text != choices[i].text {
			t.Errorf("choice %d with guessing is\n%q, want\n%q", i, guessed[i].text, choices[i].text)
		}
	}
}

// TestChoicesFullCache: choices that do not fit into the KV cache together are made
// one after the other as it fills, not by taking memory from each other in every
// step.
func TestChoicesFullCache(t *testing.T) { onModels(t, testChoicesFullCache) }

func testChoicesFullCache(t *testing.T, open opener) {
	o := seeded(120, 11)
	o.Choices = 6
	// Texts may end earlier, but not before they fill the cache.
	o.MinTokens = 100
	want, _ := open(t, engine.Options{}, model.LoadOptions{}).generate(story, o)
	d := open(t, engine.Options{CachePages: 12, Context: 300}, model.LoadOptions{})
	got, _ := d.generate(story, o)
	total := len(d.encode(story))
	for i := range want {
		total += len(want[i].ids)
		if got[i].text != want[i].text {
			t.Errorf("choice %d is\n%q, want\n%q", i, got[i].text, want[i].text)
		}
	}
	if d.scheduler.Preemptions() == 0 {
		t.Error("the cache was large enough: the test tests nothing")
	}
	if rows := d.scheduler.Rows(); rows > 2*int64(total) {
		t.Errorf("%d rows were run for %d tokens", rows, total)
	}
}

// TestPrefix: a second generation finds the prompt, and what the first one has
// generated, in the prefix cache.
func TestPrefix(t *testing.T) { onModels(t, testPrefix) }

func testPrefix(t *testing.T, open opener) {
	d := open(t, engine.Options{}, model.LoadOptions{})
	prompt := strings.Repeat("The little dog ran to the park. ", 8)
	n := len(d.encode(prompt))
	first, stats := d.one(prompt, greedy(60))
	if stats.CachedTokens != 0 || stats.PromptTokens != n {
		t.Errorf("%+v", stats)
	}
	second, stats := d.one(prompt, greedy(60))
	if second.text != first.text || stats.CachedTokens != (n-1)/32*32 {
		t.Errorf("%d of %d tokens are cached; %q, want %q", stats.CachedTokens, n, second.text, first.text)
	}
	longer := prompt + first.text
	if _, stats = d.one(longer, greedy(1)); stats.CachedTokens < (n+50)/32*32-32 {
		t.Errorf("of a conversation %d of %d tokens are cached", stats.CachedTokens, stats.PromptTokens)
	}
}

// TestLogProbs compares log-probabilities with the model's own, and shows that
// forbidding an early end does not change them.
func TestLogProbs(t *testing.T) {
	d := openDemo(t)
	o := greedy(30)
	o.MinTokens = 25
	o.Sampling.TopLogProbs = 3
	o.Speculation.Lookup = true
	s := d.session()
	defer s.Close()
	g, err := generate.New(s, d.tokenizer, o)
	if err != nil {
		t.Fatal(err)
	}
	prompt := d.encode("User: What is the capital of France?<|eot_id|>Assistant:")
	var tokens []generate.Token
	ids := slices.Clone(prompt)
	for token, err := range g.Tokens(context.Background(), prompt) {
		if err != nil {
			t.Fatal(err)
		}
		tokens, ids = append(tokens, token), append(ids, token.ID)
	}
	check := d.session()
	defer check.Close()
	if err := check.Run(context.Background(), ids, engine.All, 0); err != nil {
		t.Fatal(err)
	}
	for i, token := range tokens {
		logits := check.Logits(len(prompt) - 1 + i)
		if want, err := sample.LogProb(logits, token.ID); err != nil || token.LogProb != want {
			t.Errorf("token %d: log-probability %v, want %v (%v)", i, token.LogProb, want, err)
		}
		if want, err := sample.TopLogProbs(nil, logits, 3); err != nil || !slices.Equal(token.Top, want) {
			t.Errorf("token %d: most likely %v, want %v (%v)", i, token.Top, want, err)
		}
	}
}

// TestLeave leaves the loop after every number of tokens; the session then holds
// what was yielded but for the last token, whatever was guessed ahead.
func TestLeave(t *testing.T) {
	d := openDemo(t)
	prompt, step := d.encode(manyPrompts[3]), 1
	if testing.Short() {
		step = 5
	}
	for _, lookup := range []bool{false, true} {
		for leave := 1; leave < 25; leave += step {
			o := greedy(60)
			o.Speculation = generate.Speculation{Lookup: lookup, Cost: 0.01}
			s := d.session()
			g, err := generate.New(s, d.tokenizer, o)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(prompt)
			n := 0
			for token, err := range g.Tokens(context.Background(), prompt) {
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, token.ID)
				if n++; n == leave {
					break
				}
			}
			if !slices.Equal(s.Tokens(), want[:len(want)-1]) {
				t.Errorf("lookup %v: after leaving at token %d the session holds %d tokens, want %d", lookup, leave, s.Len(), len(want)-1)
			}
			if g.Finish() != generate.FinishCancelled {
				t.Errorf("finish %q", g.Finish())
			}
			s.Close()
		}
	}
}

func TestBadOptions(t *testing.T) {
	d := openDemo(t)
	for name, edit := range map[string]func(o *generate.Options){
		"choices":       func(o *generate.Options) { o.Choices = -1 },
		"many choices":  func(o *generate.Options) { o.Choices = 1 << 20 },
		"min tokens":    func(o *generate.Options) { o.MinTokens = -1 },
		"guesses":       func(o *generate.Options) { o.Speculation.MaxGuesses = 1000 },
		"match":         func(o *generate.Options) { o.Speculation.MinMatch = -1 },
		"cost":          func(o *generate.Options) { o.Speculation.Cost = math.NaN() },
		"two guessers":  func(o *generate.Options) { o.Speculation = generate.Speculation{Lookup: true, Draft: d.scheduler} },
		"candidates":    func(o *generate.Options) { o.Contrastive.K = -1 },
		"alpha":         func(o *generate.Options) { o.Contrastive = generate.Contrastive{K: 4, Alpha: 2} },
		"contrastive n": func(o *generate.Options) { o.Contrastive.K = 4; o.Choices = 2 },
		"contrastive":   func(o *generate.Options) { o.Contrastive.K = 4; o.Speculation.Lookup = true },
	} {
		o := greedy(5)
		edit(&o)
		s := d.session()
		if _, err := generate.New(s, d.tokenizer, o); !errors.Is(err, generate.ErrOptions) {
			t.Errorf("%s: %v, want ErrOptions", name, err)
		}
		s.Close()
	}
}
