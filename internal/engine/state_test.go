package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/arch/decoder/decodertest"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// TestStateSameBits: a model that keeps state beside keys and values gives the same
// bits however its text is cut, and beside other texts.
func TestStateSameBits(t *testing.T) {
	m := decodertest.Open(t, model.LoadOptions{})
	tokens := longTokens(300)
	o := engine.Options{Threads: 1, MaxRows: 300}
	want := logits(t, newEngine(t, m, o), tokens, nil, len(tokens))
	o.Threads = 3
	e := newEngine(t, m, o)
	equalBits(t, "three threads", logits(t, e, tokens, nil, len(tokens)), want)
	equalBits(t, "token by token", logits(t, e, tokens, nil, 1), want)
	equalBits(t, "uneven chunks", logits(t, e, tokens, nil, 1, 40, 31, 200, 7), want)
	testTogether(t, e, tokens, want)

	// Rows of two sequences by turns.
	vocab := m.Config.Vocab
	one, two, b := e.NewSequence(), e.NewSequence(), e.NewBatch()
	defer one.Close()
	defer two.Close()
	for i := range 40 {
		for _, s := range []*engine.Sequence{one, two} {
			if _, err := b.Add(s, tokens[i], engine.All, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := e.Step(b, nil); err != nil {
		t.Fatal(err)
	}
	for row := range b.Len() {
		equalBits(t, fmt.Sprint("by turns, row ", row), b.Logits(row), want[row/2*vocab:(row/2+1)*vocab])
	}

	// A fork goes on from a copy of the state.
	fork := one.Fork()
	defer fork.Close()
	for _, s := range []*engine.Sequence{one, fork} {
		b.Reset()
		if _, err := b.Add(s, tokens[40], engine.All, nil); err != nil {
			t.Fatal(err)
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		equalBits(t, "after a fork", b.Logits(0), want[40*vocab:41*vocab])
	}
	if n, want := e.Memory().StateInUse, int64(3*4*m.Graph.StateSize()); n != want || e.Memory().State < n {
		t.Errorf("three states take %d bytes, want %d, in all %d", n, want, e.Memory().State)
	}
	if got, want := e.Cache().Config().Layers, 2; got != want {
		t.Errorf("the KV cache has %d layers, of those that attend there are %d", got, want)
	}
	if got := engine.EstimateMemory(m, o); got.StateBytes != int64(4*m.Graph.StateSize()) || got.PageBytes != e.Cache().PageBytes() {
		t.Errorf("the estimate is %+v", got)
	}
}

// TestStateTruncate: a state does not go back, so what is behind the last snapshot has
// to be run again: by the caller of an engine, who is told so, or by a scheduler.
func TestStateTruncate(t *testing.T) {
	m := decodertest.Open(t, model.LoadOptions{})
	tokens := longTokens(120)
	vocab := m.Config.Vocab
	want := logits(t, newEngine(t, m, engine.Options{}), tokens, nil, len(tokens))

	e := newEngine(t, m, engine.Options{CachePages: 6})
	seq, b := e.NewSequence(), e.NewBatch()
	if _, err := b.Add(seq, 1, engine.None, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add(seq, 2, engine.None, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.Step(b, nil); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := seq.Truncate(1); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add(seq, 2, engine.None, nil); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("a sequence that has lost tokens goes on: %v", err)
	}
	if err := seq.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add(seq, 2, engine.None, nil); err != nil {
		t.Errorf("a sequence that starts again: %v", err)
	}
	b.Reset()
	seq.Close()

	s := engine.NewScheduler(e)
	defer s.Close()
	ctx := context.Background()
	sessions := make([]*engine.Session, 2)
	for i := range sessions {
		var err error
		if sessions[i], err = s.NewSession(); err != nil {
			t.Fatal(err)
		}
		defer sessions[i].Close()
	}
	// run runs tokens, and in all so many.
	run := func(i, from, to, rows int) {
		t.Helper()
		before := s.Rows()
		if err := sessions[i].Run(ctx, tokens[from:to], engine.All, 0); err != nil {
			t.Fatal(err)
		}
		for k := from; k < to; k++ {
			equalBits(t, fmt.Sprintf("session %d, token %d", i, k), sessions[i].Logits(k-from), want[k*vocab:(k+1)*vocab])
		}
		if got := s.Rows() - before; got != int64(rows) {
			t.Errorf("session %d, tokens %d to %d: %d rows, want %d", i, from, to, got, rows)
		}
	}
	cut := func(i, n int) {
		t.Helper()
		if err := sessions[i].Truncate(n); err != nil {
			t.Fatal(err)
		}
	}
	run(0, 0, 70, 70)
	cut(0, 66)
	run(0, 66, 80, 14+2) // from the snapshot at 64
	cut(0, 50)
	run(0, 50, 90, 90)  // there is no snapshot before 64
	run(1, 0, 120, 120) // takes the pages of the other, and with them its state
	run(0, 90, 120, 120)
	if !slices.Equal(sessions[0].Tokens(), tokens) {
		t.Error("the first session holds other tokens")
	}
}

// TestStateGuesses: guesses are taken back, and others kept, without running anything
// again.
func TestStateGuesses(t *testing.T) {
	m := hybrid(t)
	tokens := longTokens(100)
	vocab := m.Config.Vocab
	want := logits(t, newEngine(t, m, engine.Options{}), tokens, nil, len(tokens))
	s := schedulerOf(t, m, engine.Options{})
	ctx := context.Background()
	c := session(t, s)
	run := func(what string, job engine.Job, rows int64) {
		t.Helper()
		before := s.Rows()
		job.Session, job.Want = c, engine.All
		if err := s.Run(ctx, []engine.Job{job}); err != nil {
			t.Fatal(err)
		}
		at := c.Len() - job.Guesses - 1
		equalBits(t, what, c.Logits(len(job.Tokens)-job.Guesses-1-job.From), want[at*vocab:(at+1)*vocab])
		if got := s.Rows() - before; got != rows {
			t.Errorf("%s: %d rows, want %d", what, got, rows)
		}
	}
	cut := func(n int) {
		t.Helper()
		if err := c.Truncate(n); err != nil {
			t.Fatal(err)
		}
	}
	guess := func(from, to, right, wrong int) []int32 {
		text := slices.Clone(tokens[from : to+right])
		for range wrong {
			text = append(text, 7)
		}
		return text
	}
	run("a prompt", engine.Job{Tokens: tokens[:40], From: 39}, 40)
	run("all guesses wrong", engine.Job{Tokens: guess(40, 41, 0, 3), Guesses: 3}, 4)
	cut(41)
	run("two of four right", engine.Job{Tokens: guess(41, 42, 2, 2), Guesses: 4}, 5)
	cut(44)
	run("behind them", engine.Job{Tokens: guess(44, 45, 0, 2), Guesses: 2}, 3)
	cut(45)
	// One by one, as a draft model guesses.
	run("no guess", engine.Job{Tokens: tokens[45:47]}, 2)
	for i := range 3 {
		if err := s.Run(ctx, []engine.Job{{Session: c, Tokens: tokens[47+i : 48+i], Want: engine.All, Guesses: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	cut(48)
	run("one of three right", engine.Job{Tokens: tokens[48:49]}, 1)
	// A cut before the guesses.
	run("two right", engine.Job{Tokens: guess(49, 50, 2, 0), Guesses: 2}, 3)
	cut(45)
	run("further back", engine.Job{Tokens: tokens[45:46]}, 45-32+1)
	if stats := s.Engine().Cache().StateStats(); stats.Held > 2 {
		t.Errorf("%d states are held", stats.Held)
	}
}

// hybrid opens a small hybrid model with rotated weights.
func hybrid(t testing.TB) *model.Model {
	t.Helper()
	return synthtest.Model(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{}, model.LoadOptions{})
}

// maple opens a small mixture of experts with sliding windows.
func maple(t testing.TB) *model.Model {
	t.Helper()
	return synthtest.Model(t, synthtest.Shape(t, "tiny-maple"), synth.Options{}, model.LoadOptions{})
}

// TestMapleSameBits is TestHybridSameBits for a mixture of experts.
func TestMapleSameBits(t *testing.T) { testSameBits(t, maple(t)) }

// TestHybridSameBits: a model of a real hybrid family gives the same bits however its
// text is cut, with any number of threads.
func TestHybridSameBits(t *testing.T) { testSameBits(t, hybrid(t)) }

func testSameBits(t *testing.T, m *model.Model) {
	tokens := longTokens(150)
	want := logits(t, newEngine(t, m, engine.Options{Threads: 1}), tokens, nil, len(tokens))
	e := newEngine(t, m, engine.Options{Threads: 3})
	equalBits(t, "three threads", logits(t, e, tokens, nil, len(tokens)), want)
	equalBits(t, "token by token", logits(t, e, tokens, nil, 1), want)
	equalBits(t, "uneven chunks", logits(t, e, tokens, nil, 1, 40, 31, 70, 7), want)
	testTogether(t, e, tokens, want)
}

// TestExpertParts compares prompts whose experts' rows go through the network in parts,
// several of them for one expert, with the same prompts one operation after the other, as
// an observer has them.
func TestExpertParts(t *testing.T) {
	m, tokens := maple(t), longTokens(400)
	e := newEngine(t, m, engine.Options{Threads: 2, MaxRows: len(tokens)})
	nothing := observerFunc(func(int, string, int, int, []float32) {})
	for _, n := range []int{100, len(tokens)} {
		equalBits(t, fmt.Sprint(n, " rows"), logits(t, e, tokens[:n], nil, n), logits(t, e, tokens[:n], nothing, n))
	}
	s, b := e.NewSequence(), e.NewBatch()
	defer s.Close()
	step := func() {
		if err := s.Truncate(0); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		for _, token := range tokens {
			if _, err := b.Add(s, token, engine.None, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if n := testing.AllocsPerRun(3, step); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
}

// TestStateAllocates nothing in a step.
func TestStateAllocates(t *testing.T) {
	for _, m := range []*model.Model{decodertest.Open(t, model.LoadOptions{}), hybrid(t), maple(t)} {
		e := newEngine(t, m, engine.Options{KVType: kernel.KVQ4})
		s, b := e.NewSequence(), e.NewBatch()
		defer s.Close()
		step := func() {
			b.Reset()
			if _, err := b.Add(s, 1, engine.All, nil); err != nil {
				t.Fatal(err)
			}
			if err := e.Step(b, nil); err != nil {
				t.Fatal(err)
			}
		}
		step()
		if n := testing.AllocsPerRun(50, step); n != 0 {
			t.Errorf("%s: a step allocates %v times", m.Config.Architecture, n)
		}
	}
}
