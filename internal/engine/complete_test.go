package engine_test

import (
	"context"
	"errors"
	"testing"

	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/model"
)

// TestComplete asks for all logits after a selection, of a batch's row and of a
// session.
func TestComplete(t *testing.T) {
	m := load(t, committed(), model.LoadOptions{})
	want := logits(t, newEngine(t, m, engine.Options{Head: head.Plain}), goldenTokens, nil, 16)
	want = want[len(want)-m.Config.Vocab:]
	for _, mode := range []head.Mode{head.Plain, head.Coarse} {
		e := newEngine(t, m, engine.Options{Head: mode})
		s, b := e.NewSequence(), e.NewBatch()
		for i, token := range goldenTokens {
			want, sel := engine.None, (*head.Selector)(nil)
			if i == len(goldenTokens)-1 {
				want, sel = engine.Select, &head.Selector{K: 3}
			}
			if _, err := b.Add(s, token, want, sel); err != nil {
				t.Fatal(err)
			}
		}
		last := b.Len() - 1
		if err := b.Complete(last); !errors.Is(err, engine.ErrBatch) {
			t.Errorf("%s: before the step: %v", mode, err)
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := b.Complete(last); err != nil {
				t.Fatal(err)
			}
			equalBits(t, mode.String(), b.Logits(last), want)
		}
		for _, row := range []int{-1, 0, b.Len()} {
			if err := b.Complete(row); !errors.Is(err, engine.ErrBatch) {
				t.Errorf("%s: row %d: %v", mode, row, err)
			}
		}
		s.Close()
		if info := e.HeadInfo(); info.Mode != mode || info.Selections != 1 || info.Complete != 1 {
			t.Errorf("%s: %+v", mode, info)
		}
	}

	session := session(t, newScheduler(t, engine.Options{Head: head.Coarse}))
	if _, err := session.Complete(); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("before the first run: %v", err)
	}
	var sel head.Selector
	if err := session.Select(context.Background(), goldenTokens, &sel); err != nil {
		t.Fatal(err)
	}
	got, err := session.Complete()
	if err != nil {
		t.Fatal(err)
	}
	equalBits(t, "session", got, want)
	if len(sel.Tokens) != 1 || sel.Logits[0] != want[sel.Tokens[0]] {
		t.Errorf("selected %v %v", sel.Tokens, sel.Logits)
	}
}
