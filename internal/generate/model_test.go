package generate_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	_ "trit/demo"
	"trit/gguf"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/kernel"
	"trit/internal/model"
	_ "trit/internal/model/arch"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/sample"
	"trit/tokenizer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// demo is the demo model with a scheduler of its own.
type demo struct {
	t         testing.TB
	scheduler *engine.Scheduler
	tokenizer *tokenizer.Tokenizer
}

func open(t testing.TB, o engine.Options, load model.LoadOptions) *demo {
	t.Helper()
	found, err := hub.Resolve("demo")
	if err != nil {
		t.Fatal(err)
	}
	f, err := found.Open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, load)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return openModel(t, m, o)
}

// openHybrid opens a small hybrid model. A budget of pages is one for keys and values.
func openHybrid(t testing.TB, o engine.Options, load model.LoadOptions) *demo {
	t.Helper()
	m := synthtest.Model(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{MTP: load.MTP}, load)
	if o.CachePages > 0 {
		o.CachePages += 3 * engine.EstimateMemory(m, engine.Options{KVType: kernel.KVF16}).StatePages
	}
	return openModel(t, m, o)
}

// opener is open or openHybrid.
type opener func(testing.TB, engine.Options, model.LoadOptions) *demo

// onModels runs a test on the demo model and on a hybrid one.
func onModels(t *testing.T, test func(*testing.T, opener)) {
	t.Run("demo", func(t *testing.T) { test(t, open) })
	t.Run("hybrid", func(t *testing.T) { test(t, openHybrid) })
}

func openModel(t testing.TB, m *model.Model, o engine.Options) *demo {
	t.Helper()
	d := &demo{t: t}
	var err error
	if d.tokenizer, err = tokenizer.FromGGUF(m.File.Metadata); err != nil {
		t.Fatal(err)
	}
	if o.Threads == 0 {
		o.Threads = 1
	}
	o.KVType = kernel.KVF16
	e, err := engine.New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	d.scheduler = engine.NewScheduler(e)
	t.Cleanup(func() {
		if n := e.Cache().InUse(); n != 0 {
			t.Errorf("%d KV pages are in use at the end", n)
		}
		if err := d.scheduler.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func openDemo(t testing.TB) *demo { return open(t, engine.Options{}, model.LoadOptions{}) }

// session returns an empty session, which the caller closes.
func (d *demo) session() *engine.Session {
	d.t.Helper()
	s, err := d.scheduler.NewSession()
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *demo) encode(text string) []int32 {
	return d.tokenizer.Encode(text, tokenizer.ParseSpecial(true))
}

// text is a generated text.
type text struct {
	ids    []int32
	text   string
	finish generate.Finish
	cut    bool
	last   generate.Token
}

// generate collects all choices of a prompt.
func (d *demo) generate(prompt string, o generate.Options) ([]text, generate.Stats) {
	d.t.Helper()
	s := d.session()
	defer s.Close()
	g, err := generate.New(s, d.tokenizer, o)
	if err != nil {
		d.t.Fatal(err)
	}
	choices := make([]text, max(o.Choices, 1))
	ids := d.encode(prompt)
	for t, err := range g.Tokens(context.Background(), ids) {
		if err != nil {
			d.t.Fatal(err)
		}
		a := &choices[t.Index]
		if a.finish != "" {
			d.t.Errorf("choice %d goes on after its last token", t.Index)
		}
		a.ids = append(a.ids, t.ID)
		a.text += t.Text
		a.finish, a.cut, a.last = t.Finish, t.Cut, t
	}
	for i, a := range choices {
		if a.finish == "" {
			d.t.Errorf("choice %d has no end", i)
		}
	}
	// The first choice's session holds the text but for its last token.
	first := choices[0]
	want := slices.Concat(ids, first.ids[:len(first.ids)-1])
	if !slices.Equal(s.Tokens(), want) {
		d.t.Errorf("the session holds %d tokens, want the prompt's %d and all of %d but one", s.Len(), len(ids), len(first.ids))
	}
	return choices, g.Stats()
}

// one is generate for one choice.
func (d *demo) one(prompt string, o generate.Options) (text, generate.Stats) {
	d.t.Helper()
	choices, stats := d.generate(prompt, o)
	return choices[0], stats
}

func greedy(tokens int) generate.Options {
	o := generate.Options{MaxTokens: tokens, Sampling: sample.Neutral()}
	o.Sampling.Temperature = 0
	return o
}

func seeded(tokens int, seed uint64) generate.Options {
	o := generate.Options{MaxTokens: tokens, Sampling: sample.Neutral()}
	o.Sampling.Seed = &seed
	return o
}

const story = "Once upon a time"

// manyPrompts are prompts of different kinds.
var manyPrompts = []string{
	story,
	"User: What is the capital of France?<|eot_id|>Assistant:",
	"User: Tell me a story about a fox.<|eot_id|>Assistant:",
	strings.Repeat("The little dog ran to the park. ", 6),
}

// otherVocabulary returns a scheduler for a model with another vocabulary.
func otherVocabulary(t testing.TB) *engine.Scheduler {
	t.Helper()
	g, err := gguf.Open(filepath.Join("..", "engine", "testdata", "d.i2_s.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(g, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(m, engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := engine.NewScheduler(e)
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}
