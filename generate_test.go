package trit_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trit"
	"trit/chat"
	_ "trit/demo"
	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/inside"
	"trit/sample"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("runtime.handleEvent")) // how JavaScript calls Go
}

// text collects a generation.
func text(t testing.TB, m *trit.Model, prompt string, opts ...trit.GenerateOption) (string, trit.Finish) {
	t.Helper()
	var b strings.Builder
	var finish trit.Finish
	for token, err := range m.Generate(context.Background(), prompt, opts...) {
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(token.Text)
		finish = token.Finish
	}
	return b.String(), finish
}

// TestSeed: the same seed gives the same text, whatever the number of threads
// and whoever else is in the batch; another seed gives another text.
func TestSeed(t *testing.T) {
	opts := []trit.GenerateOption{trit.Seed(42), trit.Temperature(1), trit.MaxTokens(60)}
	want, _ := text(t, openDemo(t, trit.Threads(1)), "Once upon a time", opts...)
	m := openDemo(t, trit.Threads(3), trit.BatchRows(7))
	if got, _ := text(t, m, "Once upon a time", opts...); got != want {
		t.Errorf("3 threads and small batches give\n%q, want\n%q", got, want)
	}
	if got, _ := text(t, m, "Once upon a time", trit.Seed(43), trit.Temperature(1), trit.MaxTokens(60)); got == want {
		t.Errorf("another seed gives the same text %q", got)
	}
	var all sync.WaitGroup
	for i := range 6 {
		all.Add(1)
		go func() {
			defer all.Done()
			prompt, o := "Once upon a time", opts
			if i%2 == 1 {
				prompt, o = "The little dog", []trit.GenerateOption{trit.MaxTokens(20 + 10*i)}
			}
			var b strings.Builder
			for token, err := range m.Generate(context.Background(), prompt, o...) {
				if err != nil {
					t.Error(err)
					return
				}
				b.WriteString(token.Text)
			}
			if i%2 == 0 && b.String() != want {
				t.Errorf("among other clients the text is\n%q, want\n%q", b.String(), want)
			}
		}()
	}
	all.Wait()
	if n := pagesInUse(m); n != 0 {
		t.Errorf("%d KV pages are in use after all generations", n)
	}
}

// pagesInUse reads the page counter once all sessions are closed; closing is
// asynchronous to nobody, so it is exact.
func pagesInUse(m *trit.Model) int { return inside.Of(m).Scheduler.Engine().Cache().InUse() }

func TestFinish(t *testing.T) {
	m := openDemo(t)
	whole, _ := text(t, m, "Once upon a time", trit.Greedy(), trit.MaxTokens(40))
	if got, finish := text(t, m, "Once upon a time", trit.Greedy(), trit.MaxTokens(5)); finish != trit.FinishLength || !strings.HasPrefix(whole, got) {
		t.Errorf("5 tokens: %q, finish %q", got, finish)
	}
	before, _, _ := strings.Cut(whole, "forest")
	if got, finish := text(t, m, "Once upon a time", trit.Greedy(), trit.MaxTokens(40), trit.Stop("forest", "zebra")); finish != trit.FinishStopString || got != before {
		t.Errorf("stop string: %q, finish %q; want %q", got, finish, before)
	}
	if _, finish := text(t, m, "User: Who are you?<|eot_id|>Assistant:", trit.Greedy(), trit.ShowSpecial()); finish != trit.FinishStop {
		t.Errorf("an answer ends with %q, want stop", finish)
	}
	// Up to the end of the context: 512 positions.
	var stats trit.Stats
	_, finish := text(t, m, "Once upon a time", trit.Greedy(), trit.IgnoreEnd(), trit.CollectStats(&stats))
	if finish != trit.FinishLength || stats.PromptTokens+stats.GeneratedTokens != inside.Of(m).Weights.Config.Context {
		t.Errorf("without a limit: finish %q after %d + %d tokens, want length at %d", finish, stats.PromptTokens, stats.GeneratedTokens, inside.Of(m).Weights.Config.Context)
	}
}

func TestMinTokens(t *testing.T) {
	m := openDemo(t)
	var stats trit.Stats
	text(t, m, "User: Who are you?<|eot_id|>Assistant:", trit.Greedy(), trit.ShowSpecial(), trit.MinTokens(50), trit.MaxTokens(60), trit.CollectStats(&stats))
	if stats.GeneratedTokens < 50 {
		t.Errorf("%d tokens were generated, want at least 50", stats.GeneratedTokens)
	}
}

func TestPromptErrors(t *testing.T) {
	m := openDemo(t)
	one := func(prompt string, opts ...trit.GenerateOption) error {
		for _, err := range m.Generate(context.Background(), prompt, opts...) {
			return err
		}
		return nil
	}
	if err := one(strings.Repeat("Once upon a time ", 200)); !errors.Is(err, trit.ErrContext) || !strings.Contains(err.Error(), "802 tokens") || !strings.Contains(err.Error(), "context of 512") {
		t.Errorf("a prompt longer than the context: %v", err)
	}
	for _, err := range m.GenerateFrom(context.Background(), nil) {
		if !errors.Is(err, generate.ErrPrompt) {
			t.Errorf("no prompt: %v", err)
		}
	}
	for _, err := range m.GenerateFrom(context.Background(), []int32{5, 4000}) {
		if !errors.Is(err, engine.ErrToken) {
			t.Errorf("a token beyond the vocabulary: %v", err)
		}
	}
	if err := one("x", trit.Stop("")); !errors.Is(err, generate.ErrOptions) {
		t.Errorf("an empty stop string: %v", err)
	}
	if err := one("x", trit.TopP(-1)); !errors.Is(err, sample.ErrOption) {
		t.Errorf("top-p of -1: %v", err)
	}
	if err := one("x", trit.MaxTokens(-1)); !errors.Is(err, generate.ErrOptions) {
		t.Errorf("-1 tokens: %v", err)
	}
}

// TestCancel ends generations by context and by leaving the loop; both give
// their memory back.
func TestCancel(t *testing.T) {
	m := openDemo(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	var last error
	for _, err := range m.Generate(ctx, "Once upon a time", trit.IgnoreEnd()) {
		if n++; n == 5 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) || n > 7 {
		t.Errorf("after cancelling: %d elements, error %v", n, last)
	}
	for range m.Generate(context.Background(), "Once upon a time") {
		break
	}
	for _, err := range m.Generate(ctx, "Once upon a time") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v", err)
		}
	}
	if n := pagesInUse(m); n != 0 {
		t.Errorf("%d KV pages are in use", n)
	}
}

// TestClose closes a model while it generates.
func TestClose(t *testing.T) {
	m, err := trit.Open("demo", trit.Threads(2))
	if err != nil {
		t.Fatal(err)
	}
	started, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		var last error
		n := 0
		for {
			for _, err := range m.Generate(context.Background(), "Once upon a time", trit.IgnoreEnd()) {
				if n++; n == 2 {
					close(started)
				}
				last = err
			}
			if last != nil {
				failed <- last
				return
			}
		}
	}()
	<-started
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-failed:
		if !errors.Is(err, engine.ErrClosed) {
			t.Errorf("generation ends with %v, want ErrClosed", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the generation goes on after Close")
	}
	runtime.KeepAlive(m)
}

func TestEmbed(t *testing.T) {
	m := openDemo(t)
	embed := func(s string) []float32 {
		v, err := m.Embed(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		if len(v) != inside.Of(m).Weights.Config.Hidden || norm(v) < 0.999 || norm(v) > 1.001 {
			t.Fatalf("%q: %d elements of length %v", s, len(v), norm(v))
		}
		return v
	}
	dot := func(a, b []float32) (sum float64) {
		for i := range a {
			sum += float64(a[i]) * float64(b[i])
		}
		return sum
	}
	a, b, c := embed("What is the capital of France?"), embed("What is the capital of Italy?"), embed("She ate a cookie in the garden.")
	if dot(a, b) <= dot(a, c) {
		t.Errorf("two questions about capitals are %.3f alike, a question and a story %.3f", dot(a, b), dot(a, c))
	}
	if !slices.Equal(a, embed("What is the capital of France?")) {
		t.Error("the same text has two embeddings")
	}
}

// TestTemplateSpace: the demo's prompt must end exactly where its template
// ends. One space more and it knows nothing; that is how a template that is
// rendered or tokenized wrongly shows.
func TestTemplateSpace(t *testing.T) {
	m := openDemo(t)
	p, err := m.Prepare(t.Context(), trit.Conversation{Messages: []chat.Message{{Role: "user", Content: "What is the capital of France?"}}})
	if err != nil {
		t.Fatal(err)
	}
	prompt := p.Prompt
	var want map[string]struct {
		Prompt []int32 `json:"prompt_ids"`
	}
	readJSON(t, "testdata/greedy.json", &want)
	if w := want["User: What is the capital of France?<|eot_id|>Assistant:"].Prompt; !slices.Equal(prompt, w) {
		t.Errorf("prompt %v, want %v", prompt, w)
	}
	if got, _ := text(t, m, "User: What is the capital of France?<|eot_id|>Assistant: ", trit.Greedy(), trit.ShowSpecial()); strings.Contains(got, "Paris") {
		t.Errorf("with a space too many the answer is still %q", got)
	}
}

// TestOnPrompt: a prompt of several passes is reported pass by pass, also where it is all
// that is run or a search has its own way, and what the cache has counts at once.
func TestOnPrompt(t *testing.T) {
	prompt := strings.Repeat("The dog barks at the cat. ", 12)
	most := 0
	for name, o := range map[string][]trit.GenerateOption{
		"tokens": {trit.Greedy(), trit.MaxTokens(3)}, "guesses": {trit.Greedy(), trit.MaxTokens(3), trit.Lookup()},
		"prompt only": {trit.PromptOnly()}, "contrastive": {trit.Contrastive(3, 0.6), trit.MaxTokens(3)},
	} {
		m := openDemo(t, trit.BatchRows(16))
		total := len(m.Tokenize(prompt))
		for again := range 2 {
			var seen []trit.PromptProgress
			tokens := 0
			for _, err := range m.GenerateFrom(context.Background(), m.Tokenize(prompt), append(o, trit.OnPrompt(func(p trit.PromptProgress) {
				if tokens > 0 || p.Total != total {
					t.Errorf("%s: %+v of %d after %d tokens", name, p, total, tokens)
				}
				seen = append(seen, p)
			}))...) {
				if err != nil {
					t.Fatal(name, err)
				}
				tokens++
			}
			first, last := seen[0], seen[len(seen)-1]
			if first.Done != first.Cached || last.Done != total || last.Time <= 0 {
				t.Errorf("%s: from %+v to %+v", name, first, last)
			}
			if !slices.IsSortedFunc(seen, func(a, b trit.PromptProgress) int { return a.Done - b.Done }) {
				t.Errorf("%s: %+v", name, seen)
			}
			most = max(most, len(seen))
			if cached := last.Cached >= 64; cached != (again == 1) && name != "contrastive" {
				t.Errorf("%s, time %d: %+v", name, again, last)
			}
		}
	}
	if most < 3 { // a pass may be over before its report is read, but not all of them
		t.Errorf("at most %d reports of a prompt of many passes", most)
	}
	for _, err := range openDemo(t).Generate(context.Background(), "x", trit.OnPrompt(nil)) {
		if !errors.Is(err, trit.ErrOption) {
			t.Errorf("no function: %v", err)
		}
	}
}
