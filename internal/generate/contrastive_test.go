package generate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/model"
	"trit/sample"
)

// states runs a text and returns the hidden states of all tokens and the logits
// after the last.
func (d *demo) states(tokens []int32) (hidden [][]float32, logits []float32) {
	d.t.Helper()
	s := d.session()
	defer s.Close()
	if err := s.Run(context.Background(), tokens, engine.All, 0); err != nil {
		d.t.Fatal(err)
	}
	for i := range tokens {
		hidden = append(hidden, slices.Clone(s.Hidden(i)))
	}
	return hidden, slices.Clone(s.Logits(len(tokens) - 1))
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

// contrastive is the paper's equation 5 as it stands, computed from scratch for
// every candidate.
func (d *demo) contrastive(prompt []int32, k int, alpha float64, tokens int) (ids []int32) {
	text := slices.Clone(prompt)
	for range tokens {
		hidden, logits := d.states(text)
		top, err := sample.TopLogProbs(nil, logits, k)
		if err != nil {
			d.t.Fatal(err)
		}
		best, bestScore := int32(-1), math.Inf(-1)
		for _, v := range top {
			with, _ := d.states(append(slices.Clone(text), v.ID))
			penalty := math.Inf(-1)
			for _, h := range hidden {
				penalty = max(penalty, cosine(with[len(text)], h))
			}
			if score := (1-alpha)*math.Exp(v.LogProb) - alpha*penalty; score > bestScore {
				best, bestScore = v.ID, score
			}
		}
		text = append(text, best)
	}
	return text[len(prompt):]
}

func TestContrastive(t *testing.T) { onModels(t, testContrastive) }

func testContrastive(t *testing.T, open opener) {
	d := open(t, engine.Options{}, model.LoadOptions{})
	tests := []generate.Contrastive{{K: 4, Alpha: 0.6}, {K: 1, Alpha: 0.6}, {K: 4, Alpha: 0}, {K: 8, Alpha: 0.9}}
	if testing.Short() {
		tests = tests[:1]
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("k=%d alpha=%v", test.K, test.Alpha), func(t *testing.T) {
			o := greedy(14)
			o.IgnoreEnd = true
			plain, _ := d.one(story, o)
			o.Contrastive = test
			got, stats := d.one(story, o)
			if want := d.contrastive(d.encode(story), test.K, test.Alpha, 14); !slices.Equal(got.ids, want) {
				t.Errorf("%v, want %v", got.ids, want)
			}
			if same := slices.Equal(got.ids, plain.ids); same != (test.K == 1 || test.Alpha == 0) {
				t.Errorf("the text is the greedy one: %v", same)
			}
			if got.finish != generate.FinishLength || stats.GeneratedTokens != 14 {
				t.Errorf("finish %q, %+v", got.finish, stats)
			}
		})
	}
}

// TestContrastiveEnds: end tokens, stop strings and constraints work as
// elsewhere.
func TestContrastiveEnds(t *testing.T) {
	d := openDemo(t)
	o := greedy(60)
	o.Contrastive = generate.Contrastive{K: 4, Alpha: 0.3}
	if got, _ := d.one("User: What is the capital of France?<|eot_id|>Assistant:", o); got.finish != generate.FinishStop {
		t.Errorf("%q, finish %q", got.text, got.finish)
	}
	o.Stop = []string{"e"}
	if got, _ := d.one(story, o); got.finish != generate.FinishStopString {
		t.Errorf("%q, finish %q", got.text, got.finish)
	}
	o.Stop, o.MaxTokens = nil, 5
	allowed := d.encode(" cat dog the")
	o.Constraint = &only{allowed: allowed}
	got, _ := d.one(story, o)
	for _, id := range got.ids {
		if !slices.Contains(allowed, id) {
			t.Errorf("token %d is not allowed", id)
		}
	}
	s := d.session()
	defer s.Close()
	if err := s.Run(context.Background(), []int32{1}, engine.None, 0); err != nil {
		t.Fatal(err)
	}
	g, err := generate.New(s, d.tokenizer, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range g.Tokens(context.Background(), allowed) {
		if !errors.Is(err, generate.ErrOptions) {
			t.Errorf("a session that is not empty: %v", err)
		}
	}
}

// TestContrastiveLogProbs: they are those of the model's own distribution in the
// token's place.
func TestContrastiveLogProbs(t *testing.T) {
	d := openDemo(t)
	o := greedy(12)
	o.Contrastive = generate.Contrastive{K: 4, Alpha: 0.6}
	o.Sampling.TopLogProbs = 3
	s := d.session()
	defer s.Close()
	g, err := generate.New(s, d.tokenizer, o)
	if err != nil {
		t.Fatal(err)
	}
	text := d.encode(story)
	for token, err := range g.Tokens(context.Background(), text) {
		if err != nil {
			t.Fatal(err)
		}
		_, logits := d.states(text)
		want, err := sample.LogProb(logits, token.ID)
		if err != nil {
			t.Fatal(err)
		}
		top, err := sample.TopLogProbs(nil, logits, 3)
		if err != nil {
			t.Fatal(err)
		}
		if token.LogProb != want || !slices.Equal(token.Top, top) {
			t.Errorf("token %d: %v and %v, want %v and %v", token.ID, token.LogProb, token.Top, want, top)
		}
		text = append(text, token.ID)
	}
}
