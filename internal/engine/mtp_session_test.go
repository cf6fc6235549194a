package engine_test

import (
	"context"
	"slices"
	"testing"

	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/model"
)

// TestGuessSessions: guesses of sessions are the same when the prompt comes from the prefix
// cache, when the session is a fork, when tokens were taken back and when its memory was given to others.
func TestGuessSessions(t *testing.T) {
	m := guessing(t, model.LoadOptions{})
	tokens := longTokens(120)
	const n = 100
	kv := engine.EstimateMemory(m, engine.Options{})
	type best struct {
		token int32
		logit float32
	}
	var want []best // from all states, without a scheduler
	e := newEngine(t, m, engine.Options{})
	b, seq := e.NewBatch(), e.NewSequence()
	states := extend(t, b, seq, tokens[:n], n)
	for _, g := range guesses(t, b, seq, states[(n-1)*m.Config.Hidden:], tokens[n], 5) {
		want = append(want, best{g.token, g.logit})
	}
	seq.Close()
	s, ctx := engine.NewScheduler(newEngine(t, m, engine.Options{})), context.Background()
	defer func() { s.Close() }()
	open := func() *engine.Session {
		c, err := s.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	run := func(c *engine.Session, tokens []int32) {
		t.Helper()
		if err := c.Run(ctx, tokens, engine.Hidden, len(tokens)-1); err != nil {
			t.Fatal(err)
		}
	}
	guess := func(c *engine.Session) (found []best) {
		t.Helper()
		token, row := tokens[n], 0
		for range 5 {
			sel := head.Selector{K: 1}
			ok, err := c.Guess(token, row, &sel)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			token, row = sel.Tokens[0], -1
			found = append(found, best{token, sel.Logits[0]})
		}
		return found
	}
	one := open()
	if got := guess(one); got != nil {
		t.Errorf("a session without a text guesses %v", got)
	}
	check := func(what string, c *engine.Session) {
		t.Helper()
		if got := guess(c); !slices.Equal(got, want) {
			t.Errorf("%s: guesses %v, want %v", what, got, want)
		}
	}
	run(one, tokens[:n])
	check("at once", one)

	// Guesses that prove right enter the state from what was noted of them.
	noted := open()
	run(noted, tokens[:n-9])
	for at := n - 9; at < n; at += 3 {
		tries := slices.Concat(tokens[at:at+3], []int32{1, 2})
		job := engine.Job{Session: noted, Tokens: tries, Want: engine.Hidden, From: 2, Guesses: 4}
		if err := s.Run(ctx, []engine.Job{job}); err != nil {
			t.Fatal(err)
		}
		if err := noted.Truncate(at + 3); err != nil {
			t.Fatal(err)
		}
	}
	check("behind guesses that were right", noted)
	noted.Close()

	job := engine.Job{Session: one, Tokens: []int32{tokens[n], want[0].token, want[1].token, want[2].token}, Want: engine.All, Guesses: 3}
	if err := s.Run(ctx, []engine.Job{job}); err != nil {
		t.Fatal(err)
	}
	if err := one.Truncate(n); err != nil {
		t.Fatal(err)
	}
	if got := guess(one); slices.Equal(got, want) {
		t.Error("a guess from the state of another row is the same")
	}
	if err := one.Truncate(n - 1); err != nil { // what is lost is run again
		t.Fatal(err)
	}
	if got := guess(one); got != nil {
		t.Errorf("a session that has lost tokens guesses %v", got)
	}
	run(one, tokens[n-1:n])
	check("after tokens were taken back", one)

	fork, err := one.Fork()
	if err != nil {
		t.Fatal(err)
	}
	if err := fork.Truncate(n - 2); err != nil {
		t.Fatal(err)
	}
	run(fork, tokens[n-2:n])
	check("a fork", fork)
	fork.Close()

	two := open()
	run(two, tokens[:n])
	if two.Reused() == 0 {
		t.Error("nothing came from the prefix cache")
	}
	check("from the prefix cache", two)
	two.Close()

	one.Close()
	if got := guess(one); got != nil {
		t.Errorf("a closed session guesses %v", got)
	}

	s.Close()
	s = engine.NewScheduler(newEngine(t, m, engine.Options{CachePages: 8 + 2*kv.StatePages, PrefixPages: -1}))
	one, other := open(), open()
	run(one, tokens[:n])
	check("another engine", one)
	run(other, slices.Repeat([]int32{5}, 130))
	if s.Preemptions() == 0 {
		t.Error("nobody had to give memory away")
	}
	if got := guess(one); got != nil {
		t.Errorf("a session without memory guesses %v", got)
	}
	if err := one.Truncate(n - 1); err != nil {
		t.Fatal(err)
	}
	other.Close()
	run(one, tokens[n-1:n])
	check("after it gave its memory to others", one)
	one.Close()
}

// TestGuessDoesNotAllocate: a step of a model that guesses does not allocate, nor does a guess.
func TestGuessDoesNotAllocate(t *testing.T) {
	m := guessing(t, model.LoadOptions{})
	s := engine.NewScheduler(newEngine(t, m, engine.Options{}))
	defer s.Close()
	c, err := s.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, sel, next := context.Background(), head.Selector{K: 1}, []int32{3}
	turn := func() {
		if err := c.Run(ctx, next, engine.Hidden, 0); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			if ok, err := c.Guess(int32(9+i), -min(i, 1), &sel); err != nil || !ok {
				t.Fatal(ok, err)
			}
		}
	}
	for range 40 {
		turn()
	}
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("a step and four guesses allocate %v times", n)
	}
}
