package generate_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"trit/internal/engine"
	"trit/internal/fault"
	"trit/internal/generate"
	"trit/internal/model"
	"trit/sample"
)

func TestScore(t *testing.T) {
	// Few rows per step, so that the text is cut into several.
	d := open(t, engine.Options{MaxRows: 5}, model.LoadOptions{})
	text := d.tokenizer.Encode("Once upon a time there was a little girl named Lily. She liked to play.")
	whole := d.session()
	defer whole.Close()
	if err := whole.Run(context.Background(), text, engine.All, 0); err != nil {
		t.Fatal(err)
	}
	for _, held := range []int{0, 1, 7} {
		s := d.session()
		if err := s.Run(context.Background(), text[:held], engine.None, 0); err != nil {
			t.Fatal(err)
		}
		at := max(held, 1)
		for got, err := range generate.Score(context.Background(), s, text[held:], 3) {
			if err != nil {
				t.Fatal(err)
			}
			logits := whole.Logits(at - 1)
			want, err := sample.LogProb(logits, text[at])
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != text[at] || got.LogProb != want {
				t.Fatalf("held %d: token %d is %d with %v, want %d with %v", held, at, got.ID, got.LogProb, text[at], want)
			}
			if len(got.Top) != 3 || got.Top[0].LogProb < got.Top[1].LogProb {
				t.Fatalf("token %d: top is %v", at, got.Top)
			}
			if first := got.Top[0].ID == got.ID; first != (got.Rank == 1) {
				t.Errorf("token %d has rank %d, but the most likely is %d", at, got.Rank, got.Top[0].ID)
			}
			if got.Rank < 1 || got.Rank > len(logits) || math.IsNaN(got.LogProb) || got.LogProb > 0 {
				t.Errorf("token %d: %+v", at, got)
			}
			at++
		}
		if at != len(text) {
			t.Errorf("held %d: scored up to token %d of %d", held, at, len(text))
		}
		if s.Len() != len(text) {
			t.Errorf("held %d: the session holds %d tokens, want %d", held, s.Len(), len(text))
		}
		s.Close()
	}
}

func TestScoreErrors(t *testing.T) {
	d := openDemo(t)
	s := d.session()
	defer s.Close()
	tooLong := make([]int32, d.scheduler.Engine().Context()+1)
	for _, test := range []struct {
		name   string
		tokens []int32
		top    int
		want   error
	}{
		{"no tokens", nil, 0, generate.ErrPrompt},
		{"too many", tooLong, 0, fault.ErrContext},
		{"unknown token", []int32{1, 1 << 30}, 0, generate.ErrPrompt},
		{"negative token", []int32{-1}, 0, generate.ErrPrompt},
		{"negative top", []int32{1, 2}, -1, generate.ErrOptions},
		{"large top", []int32{1, 2}, 1001, generate.ErrOptions},
	} {
		n := 0
		for _, err := range generate.Score(context.Background(), s, test.tokens, test.top) {
			if n++; !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", test.name, err, test.want)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d results", test.name, n)
		}
	}
	for range generate.Score(context.Background(), s, []int32{1, 2, 3}, 0) {
		break // leaving is fine
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range generate.Score(ctx, s, []int32{1, 2, 3}, 0) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}
