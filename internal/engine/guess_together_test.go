package engine_test

import (
	"testing"

	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/model"
)

// TestGuessesTogether: guesses of several clients are made in one pass, once all are there who
// were just given tokens, and are those that each gets alone. Who is late is not waited for
// again, and neither are the other choices of a generation.
func TestGuessesTogether(t *testing.T) {
	m := guessing(t, model.LoadOptions{})
	h := engine.NewByHand(newEngine(t, m, engine.Options{}), server)
	var sessions []*engine.Session
	var want [][]guessed
	var sels [3]head.Selector
	e := newEngine(t, m, engine.Options{})
	b := e.NewBatch()
	for i := range 3 {
		text := own(i+1, 20+7*i)
		seq := e.NewSequence()
		states := extend(t, b, seq, text, len(text))
		want = append(want, guesses(t, b, seq, states[len(states)-m.Config.Hidden:], int32(40+i), 4))
		seq.Close()
		sessions = append(sessions, h.Session())
		sels[i].K = 1
		h.Submit(t, engine.Job{Session: sessions[i], Tokens: text, Want: engine.Hidden, From: len(text) - 1})
	}
	for n := 0; n < len(sessions); {
		n += len(h.Step(t))
	}
	check := func(i, ahead int) int32 {
		t.Helper()
		got, w := &sels[i], want[i][ahead]
		if len(got.Tokens) != 1 || got.Tokens[0] != w.token || got.Logits[0] != w.logit {
			t.Errorf("client %d guesses %v with %v, alone %d with %v", i, got.Tokens, got.Logits, w.token, w.logit)
		}
		return w.token
	}
	ask := func(i, ahead int, ready bool) {
		t.Helper()
		token, row := int32(40+i), 0
		if ahead > 0 {
			token, row = want[i][ahead-1].token, -1
		}
		if got := h.Guess(t, sessions[i], token, row, &sels[i]); got != ready {
			t.Errorf("client %d asks for guess %d: is nobody missing? %v", i, ahead, got)
		}
	}
	run := func(n int) {
		t.Helper()
		if got, passes := h.Guesses(t); got != n || passes != 1 {
			t.Errorf("%d guesses are made in %d passes, want %d in one", got, passes, n)
		}
	}
	ask(0, 0, false)
	ask(1, 0, false)
	ask(2, 0, true)
	run(3)
	for i := range sessions {
		check(i, 0)
	}
	ask(1, 1, false)
	ask(0, 1, false)
	h.Submit(t, engine.Job{Session: sessions[2], Tokens: []int32{7}, Want: engine.Hidden})
	if !h.GuessersOnly() {
		t.Error("a client that wants a token is waited for")
	}
	run(2)
	check(0, 1)
	check(1, 1)
	ask(0, 2, false)
	run(1) // the other one is late
	check(0, 2)
	ask(0, 3, true)
	run(1)
	check(0, 3)
	for n := 0; n < 1; {
		n += len(h.Step(t))
	}

	// Two choices of a generation: one guesses after the other.
	h.SubmitAll(t, engine.Job{Session: sessions[0], Tokens: []int32{5}, Want: engine.Hidden},
		engine.Job{Session: sessions[1], Tokens: []int32{6}, Want: engine.Hidden})
	for n := 0; n < 2; {
		n += len(h.Step(t))
	}
	h.Submit(t, engine.Job{Session: sessions[2], Tokens: []int32{8}, Want: engine.Hidden})
	for i := range 2 {
		if !h.Guess(t, sessions[i], 9, 0, &sels[i]) {
			t.Errorf("choice %d waits for another", i)
		}
		run(1)
	}
}
