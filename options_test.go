package trit_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"trit"
	"trit/sample"
)

// TestOpenOptions gives options values that they cannot have.
func TestOpenOptions(t *testing.T) {
	tests := []struct {
		option string
		with   trit.Option
		says   string
	}{
		{"threads", trit.Threads(-1), "-1"},
		{"threads", trit.Threads(9999), "9999"},
		{"context_size", trit.ContextSize(-1), "-1"},
		{"context_size", trit.ContextSize(1 << 30), "1073741824"},
		{"kv_type", trit.KVType(99), "99"},
		{"kv_tokens", trit.KVTokens(-1), "-1"},
		{"max_memory", trit.MaxMemory(-1), "-1"},
		{"batch_rows", trit.BatchRows(-1), "-1"},
		{"batch_rows", trit.BatchRows(1 << 20), "1048576"},
		{"kernel", trit.Kernel(77), "77"},
		{"head", trit.Head(99), "99"},
		{"activations", trit.Activations(99), "99"},
		{"activations", trit.Activations(0), "0"},
		{"hidden_act", trit.HiddenAct(99), "99"},
		{"i2s_layout", trit.I2SLayout(9), "9"},
		{"option", nil, "nil"},
	}
	for _, test := range tests {
		t.Run(test.option+" "+test.says, func(t *testing.T) {
			m, err := trit.Open("demo", test.with)
			if err == nil {
				m.Close()
			}
			var bad *trit.OptionError
			if !errors.As(err, &bad) || !errors.Is(err, trit.ErrOption) || bad.Option != test.option || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v; want an error of the option %s with %q", err, test.option, test.says)
			}
		})
	}
	if _, err := trit.Open("demo", trit.Threads(-1), trit.KVType(99)); !strings.Contains(err.Error(), "threads") || !strings.Contains(err.Error(), "kv_type") {
		t.Errorf("of two bad options one is not named: %v", err)
	}
	for _, o := range []trit.Option{
		trit.KVType(trit.KVF32), trit.KVType(trit.KVInt8), trit.KVType(trit.KVQ4), trit.Kernel(trit.KernelLUT), trit.Head(trit.HeadPlain), trit.Head(trit.HeadQ8),
		trit.Activations(trit.ActivationsFloat), trit.HiddenAct(trit.HiddenSiLU), trit.I2SLayout(trit.I2SLayoutA), trit.PrefixCache(-1),
	} {
		openDemo(t, o)
	}
}

// TestGenerateOptions gives options values that they cannot have.
func TestGenerateOptions(t *testing.T) {
	m := openDemo(t)
	tests := []struct {
		option string
		with   trit.GenerateOption
	}{
		{"max_tokens", trit.MaxTokens(-1)},
		{"min_tokens", trit.MinTokens(-1)},
		{"choices", trit.Choices(-1)},
		{"choices", trit.Choices(1 << 20)},
		{"stop", trit.Stop("")},
		{"temperature", trit.Temperature(-1)},
		{"top_p", trit.TopP(2)},
		{"stages", trit.Stages(nil)},
		{"stages", trit.Stages(sample.TopK{K: 1}, nil)},
		{"process_logits", trit.ProcessLogits(nil)},
		{"constrain", trit.Constrain(nil)},
		{"grammar", trit.Grammar(nil)},
		{"draft", trit.Draft(nil)},
		{"max_guesses", trit.Speculate(trit.Speculation{Lookup: true, MaxGuesses: -1})},
		{"contrastive", trit.Contrastive(-1, 0.5)},
		{"contrastive", trit.Contrastive(4, 2)},
		{"collect_stats", trit.CollectStats(nil)},
		{"bad_words", trit.BadWords("fox", "")},
		{"dry_sequence_breakers", trit.Breakers("")},
		{"option", nil},
	}
	for _, test := range tests {
		t.Run(test.option, func(t *testing.T) {
			for _, err := range m.Generate(context.Background(), "Once", test.with) {
				var bad *trit.OptionError
				if !errors.As(err, &bad) || !errors.Is(err, trit.ErrOption) || bad.Option != test.option {
					t.Errorf("%v; want an error of the option %s", err, test.option)
				}
				break
			}
		})
	}
}

// TestOptionsEnd: what options compute ends with the generation's context.
func TestOptionsEnd(t *testing.T) {
	m := openDemo(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for option, with := range map[string]trit.GenerateOption{
		"bad_words": trit.BadWords("fox"), "dry_sequence_breakers": trit.Breakers("fox"),
	} {
		var bad *trit.OptionError
		_, err := m.TextFrom(ended, []int32{4}, with)
		if !errors.As(err, &bad) || !errors.Is(err, context.Canceled) || bad.Option != option {
			t.Errorf("%v; want %s to end with the context", err, option)
		}
	}
}

// TestOwnSampling chooses tokens by code of one's own, beside stop strings and a
// constraint.
func TestOwnSampling(t *testing.T) {
	m := openDemo(t)
	text := func(opts ...trit.GenerateOption) (out string) {
		for token, err := range m.Generate(context.Background(), "Once upon a time", append(opts, trit.Greedy(), trit.MaxTokens(12))...) {
			if err != nil {
				t.Fatal(err)
			}
			out += token.Text
		}
		return out
	}
	plain := text()
	first := m.Tokenizer().Encode(plain)[1]
	lengths := 0
	ban := trit.ProcessLogits(func(logits []float32, tokens []int32) error {
		lengths = max(lengths, len(tokens))
		logits[first] = -1e30
		return nil
	})
	if without := text(ban); without == plain || strings.HasPrefix(without, m.Detokenize([]int32{first})) {
		t.Errorf("%q has the token %d that was taken out", without, first)
	}
	if prompt := len(m.Tokenize("Once upon a time")); lengths != prompt+11 {
		t.Errorf("the processor saw up to %d tokens, want %d", lengths, prompt+11)
	}
	if chosen := text(ban, trit.Choice(plain[:8], " xyz")); chosen != plain[:8] && chosen != " xyz" {
		t.Errorf("the constraint does not hold: %q", chosen)
	}
	// In the place of the sampling options, it does not see what they leave out.
	sampling := m.Sampling()
	sampling.TopK, sampling.Order = 3, sample.Order{"top_k", "mine"}
	seen := 0
	mine := sample.Process("mine", func(logits []float32, _ *sample.Context) error {
		seen = 0
		for _, v := range logits {
			if v > -1e30 {
				seen++
			}
		}
		return nil
	})
	for _, err := range m.Generate(context.Background(), "Once", trit.Sampling(sampling), trit.Stages(mine), trit.MaxTokens(2)) {
		if err != nil {
			t.Fatal(err)
		}
		if seen != 3 {
			t.Errorf("the stage saw %d candidates, want 3", seen)
		}
	}
}

// TestWords keeps words from coming up, and ends repetitions at texts.
func TestWords(t *testing.T) {
	m := openDemo(t)
	text := func(opts ...trit.GenerateOption) string {
		t.Helper()
		out, err := m.Text(context.Background(), "Once upon a time", append(opts, trit.MaxTokens(12))...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := text(trit.Greedy()); !strings.Contains(got, " brave girl") {
		t.Fatalf("%q is not what the rest of the test is about", got)
	}
	if got := text(trit.Greedy(), trit.BadWords("brave", "girl")); strings.Contains(got, "brave") || strings.Contains(got, "girl") {
		t.Errorf("bad words in %q", got)
	}
	// DRY punishes a repetition of what the breakers do not end.
	o := m.Sampling()
	o.Temperature, o.DRY = 0, sample.DRYOptions{Multiplier: 50, Base: 1.75, AllowedLength: 1, PenaltyLastN: -1}
	prompt := "The capital of France is Paris. The capital of France is"
	next := func(opts ...trit.GenerateOption) string {
		t.Helper()
		out, err := m.Text(context.Background(), prompt, append(opts, trit.MaxTokens(1))...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	plain := next(trit.Greedy())
	if got := next(trit.Sampling(o)); got == plain {
		t.Errorf("DRY lets %q repeat", prompt+got)
	}
	if got := next(trit.Sampling(o), trit.Breakers(" is", " of")); got != plain {
		t.Errorf("with breakers %q follows, want %q", got, plain)
	}
}
