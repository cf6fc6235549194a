package generate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"trit/internal/generate"
)

// TestBreakers: each sequence that is found spells the string at its border,
// and every place of the string in a text ends one of them.
func TestBreakers(t *testing.T) {
	d := openDemo(t)
	for _, text := range []string{"\n", ":", ". The", "</s>"} {
		found, err := generate.Breakers(t.Context(), d.tokenizer, []string{text})
		if err != nil || len(found) == 0 {
			t.Fatalf("%q: %d sequences, %v", text, len(found), err)
		}
		for _, s := range found {
			if got := d.tokenizer.Decode(s); !strings.Contains(got, text) {
				t.Errorf("%q: the sequence %d is %q", text, s, got)
			}
		}
		ids := d.encode("The dog: one" + text + " two")
		ends := slices.ContainsFunc(found, func(s []int32) bool {
			for i := range ids {
				if i+len(s) <= len(ids) && slices.Equal(ids[i:i+len(s)], s) {
					return true
				}
			}
			return false
		})
		if !ends {
			t.Errorf("%q is not found in %d", text, ids)
		}
	}
	if _, err := generate.Breakers(t.Context(), d.tokenizer, []string{""}); !errors.Is(err, generate.ErrOptions) {
		t.Errorf("an empty breaker: %v", err)
	}
}

// TestBadWords: the word that the model would write is not written.
func TestBadWords(t *testing.T) {
	d := openDemo(t)
	prompt := "User: What is the capital of France?<|eot_id|>Assistant:"
	o := greedy(12)
	if got, _ := d.one(prompt, o); !strings.Contains(got.text, "Paris") {
		t.Fatalf("the model writes %q", got.text)
	}
	words, err := generate.BadWords(t.Context(), d.tokenizer, []string{"Paris"})
	if err != nil {
		t.Fatal(err)
	}
	o.Sampling.BadWords = words
	if got, _ := d.one(prompt, o); strings.Contains(got.text, " Paris") {
		t.Errorf("the model writes %q", got.text)
	}
	if _, err := generate.BadWords(t.Context(), d.tokenizer, []string{"x", ""}); !errors.Is(err, generate.ErrOptions) {
		t.Errorf("an empty word: %v", err)
	}
}

// TestWordsEnd: what is looked for in all of a vocabulary ends with the context, and is bounded.
func TestWordsEnd(t *testing.T) {
	d := openDemo(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := generate.Breakers(ended, d.tokenizer, []string{"\n"}); !errors.Is(err, context.Canceled) {
		t.Errorf("breakers: %v", err)
	}
	if _, err := generate.BadWords(ended, d.tokenizer, []string{"x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("bad words: %v", err)
	}
	var texts []string
	for i := range 2000 {
		texts = append(texts, "e"+strings.Repeat(string(rune('a'+i%26)), 62))
	}
	if _, err := generate.Breakers(t.Context(), d.tokenizer, texts); !errors.Is(err, generate.ErrOptions) {
		t.Errorf("thousands of long breakers: %v", err)
	}
}
