package tokenizer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// endingContext ends when its error has been asked for a number of times.
type endingContext struct {
	context.Context
	left int
}

func (c *endingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestEncodeContext: long texts of every kind become the same tokens with a context as without, and encoding stops
// when the context is first seen to have ended, which is looked at every few thousand steps.
func TestEncodeContext(t *testing.T) {
	const length = 1 << 18
	toks := map[string]*Tokenizer{"SentencePiece": tinySPM(t)}
	for _, pre := range []string{"llama-bpe", "qwen2", "default", "falcon"} {
		spec := demo(t).Spec()
		spec.Pre, spec.NFC = pre, pre == "qwen2"
		tok, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		toks[pre] = tok
	}
	for name, tok := range toks {
		for _, piece := range []string{"a", " ", "\n", "abcdefg", "The quick brown fox. ", "<|eot_id|>", "<", "<tool>x", "漢字", "\xff",
			"e\u0301", "\u0301", "\u0323\u0301", "!a "} {
			text := strings.Repeat(piece, length/len(piece))
			want := tok.Encode(text, ParseSpecial(true))
			whole := &endingContext{t.Context(), 1 << 30}
			if got, err := tok.EncodeContext(whole, text, ParseSpecial(true)); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s, %q: %d tokens, %v, want %d", name, piece, len(got), err, len(want))
			}
			looks := 1<<30 - whole.left
			if looks < 4 {
				t.Errorf("%s, %q: looks at its context %d times", name, piece, looks)
			}
			for _, n := range []int{0, looks / 2, looks - 1} {
				ctx := &endingContext{t.Context(), n}
				if _, err := tok.EncodeContext(ctx, text, ParseSpecial(true)); !errors.Is(err, context.Canceled) || ctx.left != -1 {
					t.Errorf("%s, %q: %v after %d looks, want the error of the context after %d", name, piece, err, n-ctx.left, n+1)
				}
			}
			if got := tok.Encode(text, ParseSpecial(true)); !slices.Equal(got, want) {
				t.Errorf("%s, %q: %d tokens after others have ended, want %d", name, piece, len(got), len(want))
			}
		}
	}
}

// TestNormalInPieces: a long text is normalised as it would be at once.
func TestNormalInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mark := rapid.SampledFrom([]string{"\u0301", "\u0323", "e\u0301", "가", "\u1100", "\u1161", "\u11a8", "\xff", "\xe2\x82", "a", "\U0001d15e"})
		var parts []string
		for _, s := range rapid.SliceOfN(mark, 1, 8).Draw(t, "parts") {
			parts = append(parts, strings.Repeat(s, rapid.IntRange(1, maxNormal).Draw(t, "times")))
		}
		text := strings.Join(parts, "")
		if got := normal(text, nil); got != norm.NFC.String(text) {
			t.Fatalf("%d bytes became %d, at once %d", len(text), len(got), len(norm.NFC.String(text)))
		}
	})
}
