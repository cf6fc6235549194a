package openai

import (
	"slices"
	"testing"

	"trit"
)

// TestBestChoices: the likeliest tokens on average win, not the likeliest text;
// where all are wanted they keep their order.
func TestBestChoices(t *testing.T) {
	choices := []textChoiceBuilder{{sum: -4, tokens: 2}, {sum: -3, tokens: 1}, {}, {sum: -4, tokens: 4}, {sum: -2, tokens: 1}}
	for n, want := range [][]int{1: {3}, 2: {3, 0}, 3: {3, 0, 4}, 4: {3, 0, 4, 1}, 5: {0, 1, 2, 3, 4}, 6: {0, 1, 2, 3, 4}} {
		if got := bestChoices(choices, n); n > 0 && !slices.Equal(got, want) {
			t.Errorf("the best %d are %v, want %v", n, got, want)
		}
	}
}

// TestChoiceTokens: every token counts, also that with the id 0; what is none, the
// end of an answer that was cancelled, does not.
func TestChoiceTokens(t *testing.T) {
	var c textChoiceBuilder
	for _, token := range []trit.Token{{ID: 0, LogProb: -1}, {ID: 7, LogProb: -2}, {ID: -1, LogProb: -8, Finish: trit.FinishCancelled}} {
		c.add(&token, true)
	}
	if c.tokens != 2 || c.sum != -3 || c.finish == "" {
		t.Errorf("%d tokens, log-probability %v, finish %q", c.tokens, c.sum, c.finish)
	}
}
