package trit_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"path/filepath"
	"strings"
	"testing"

	"trit"
	"trit/chat"
	"trit/gguf"
	"trit/grammar"
	"trit/internal/cache"
	"trit/internal/generate"
	"trit/internal/kernel"
	"trit/internal/model"
)

// TestPrompts: prompts that were computed by one run need not be computed by the
// next, and the text stays the same.
func TestPrompts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prompts")
	prompt := strings.Repeat("The little dog ran to the park. ", 12)
	run := func(m *trit.Model) (string, trit.Stats) {
		var stats trit.Stats
		got, _ := text(t, m, prompt, trit.Greedy(), trit.MaxTokens(30), trit.CollectStats(&stats))
		return got, stats
	}
	first := openDemo(t)
	want, stats := run(first)
	if stats.CachedTokens != 0 {
		t.Errorf("the first run: %+v", stats)
	}
	if err := first.LoadPrompts(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file yet: %v", err)
	}
	if err := first.SavePrompts(path); err != nil {
		t.Fatal(err)
	}
	second := openDemo(t, trit.Threads(1))
	if err := second.LoadPrompts(path); err != nil {
		t.Fatal(err)
	}
	got, stats := run(second)
	if got != want || stats.CachedTokens < stats.PromptTokens-kernel.PageTokens {
		t.Errorf("%q, want %q; %+v", got, want, stats)
	}
	if stats, err := second.PrefixStats(); err != nil || stats.Hits != 1 || stats.HitRate() < 0.5 {
		t.Errorf("%+v, %v", stats, err)
	}
	for _, o := range []trit.Option{trit.KVType(kernel.KVF32), trit.Activations(model.Float)} {
		if err := openDemo(t, o).LoadPrompts(path); !errors.Is(err, cache.ErrPrefixFile) {
			t.Errorf("other settings: %v", err)
		}
	}
	off := openDemo(t, trit.PrefixCache(-1))
	if _, stats := run(off); stats.CachedTokens != 0 {
		t.Errorf("%+v", stats)
	}
	if got, stats := run(off); got != want || stats.CachedTokens != 0 {
		t.Errorf("without a prefix cache: %q, want %q; %+v", got, want, stats)
	}
}

func TestChatAnswers(t *testing.T) {
	m := openDemo(t)
	answers := make([]string, 3)
	for token, err := range m.Chat(context.Background(), []chat.Message{{Role: "user", Content: "Tell me a story about a fox."}},
		trit.Choices(3), trit.Seed(3), trit.Temperature(1.2), trit.MaxTokens(30)) {
		if err != nil {
			t.Fatal(err)
		}
		answers[token.Index] += token.Text
	}
	for i, a := range answers {
		if a == "" || strings.TrimLeft(a, " ") != a {
			t.Errorf("answer %d is %q", i, a)
		}
	}
}

// TestDraft: a draft model with the same tokens leaves the greedy text as it is;
// one with other tokens is refused.
func TestDraft(t *testing.T) {
	m, draft := openDemo(t), openDemo(t, trit.Activations(model.Float))
	want, _ := text(t, m, "Once upon a time", trit.Greedy(), trit.MaxTokens(60))
	var stats trit.Stats
	if got, _ := text(t, m, "Once upon a time", trit.Greedy(), trit.MaxTokens(60), trit.Draft(draft), trit.CollectStats(&stats)); got != want || stats.AcceptedTokens == 0 {
		t.Errorf("%q, want %q; %+v", got, want, stats)
	}
	if got, _ := text(t, m, "Once upon a time", trit.Greedy(), trit.MaxTokens(60), trit.Lookup()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	other, err := trit.Open(otherTokens(t))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for range 2 {
		for _, err := range m.Generate(context.Background(), "x", trit.Draft(other)) {
			if !errors.Is(err, generate.ErrOptions) {
				t.Errorf("a draft model with other tokens: %v", err)
			}
		}
	}
}

// otherTokens writes the demo model with two tokens exchanged and returns the
// file's path.
func otherTokens(t *testing.T) string {
	t.Helper()
	f, err := gguf.Parse(demoBytes(t))
	if err != nil {
		t.Fatal(err)
	}
	meta := f.Metadata.Clone()
	tokens, err := meta.Strings("tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	tokens = append([]string(nil), tokens...)
	tokens[20], tokens[21] = tokens[21], tokens[20]
	if err := meta.Set("tokenizer.ggml.tokens", tokens); err != nil {
		t.Fatal(err)
	}
	var specs []gguf.TensorSpec
	for _, tensor := range f.Tensors {
		specs = append(specs, tensor.Spec())
	}
	path := filepath.Join(t.TempDir(), "other.gguf")
	if err := gguf.WriteFile(path, meta, specs); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestContrastive(t *testing.T) {
	m := openDemo(t)
	if got, finish := text(t, m, "Once upon a time", trit.Contrastive(4, 0.6), trit.MaxTokens(10)); got == "" || finish != trit.FinishLength {
		t.Errorf("%q, finish %q", got, finish)
	}
	if n := pagesInUse(m); n != 0 {
		t.Errorf("%d pages are in use", n)
	}
}

func ExampleModel_Beams() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	found, err := m.Beams(context.Background(), "User: What does a cow say?<|eot_id|>Assistant:", generate.BeamOptions{Beams: 4, Results: 1, Special: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range found {
		fmt.Printf("%s (%s)\n", strings.TrimSpace(b.Text), b.Finish)
	}
	// Output: A cow says moo. (stop)
}

func ExampleConstrain() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	g, err := grammar.CompileRegexp(` ?(London|Paris|Rome)`)
	if err != nil {
		log.Fatal(err)
	}
	v, err := grammar.NewVocabulary(m.Tokenizer())
	if err != nil {
		log.Fatal(err)
	}
	matcher, err := grammar.NewMatcher(g, v)
	if err != nil {
		log.Fatal(err)
	}
	prompt := "User: What is the capital of France?<|eot_id|>Assistant: The capital of France is"
	for token, err := range m.Generate(context.Background(), prompt, trit.Greedy(), trit.ShowSpecial(), trit.Constrain(generate.Grammar(matcher.Start()))) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
	// Output: Paris
}
