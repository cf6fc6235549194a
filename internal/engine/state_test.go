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
	if n, want := e.Memory().State, int64(3*4*m.Graph.StateSize()); n != want {
		t.Errorf("three states take %d bytes, want %d", n, want)
	}
	if got, want := e.Cache().Config().Layers, 2; got != want {
		t.Errorf("the KV cache has %d layers, of those that attend there are %d", got, want)
	}
	if got := engine.EstimateMemory(m, o); got.StateBytes != int64(4*m.Graph.StateSize()) || got.PageBytes != e.Cache().PageBytes() {
		t.Errorf("the estimate is %+v", got)
	}
}

// TestStateTruncate: a state does not go back, so what is before the cut has to be run
// again: by the caller of an engine, who is told so, or by a scheduler.
func TestStateTruncate(t *testing.T) {
	m := decodertest.Open(t, model.LoadOptions{})
	tokens := longTokens(120)
	vocab := m.Config.Vocab
	want := logits(t, newEngine(t, m, engine.Options{}), tokens, nil, len(tokens))

	e := newEngine(t, m, engine.Options{CachePages: 5})
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
	run := func(i, from, to int) {
		t.Helper()
		if err := sessions[i].Run(ctx, tokens[from:to], engine.All, 0); err != nil {
			t.Fatal(err)
		}
		for k := from; k < to; k++ {
			equalBits(t, fmt.Sprintf("session %d, token %d", i, k), sessions[i].Logits(k-from), want[k*vocab:(k+1)*vocab])
		}
	}
	run(0, 0, 80)
	if err := sessions[0].Truncate(50); err != nil {
		t.Fatal(err)
	}
	run(0, 50, 90)
	run(1, 0, 100) // takes the pages of the other, and with them its state
	run(0, 90, 120)
	run(1, 100, 120)
	if stats, err := s.PrefixStats(); err != nil || stats.Hits != 0 || stats.Pages != 0 {
		t.Errorf("keys and values without their state are shared: %+v, %v", stats, err)
	}
	if !slices.Equal(sessions[0].Tokens(), tokens) {
		t.Error("the first session holds other tokens")
	}
}

// hybrid opens a small hybrid model with rotated weights.
func hybrid(t testing.TB) *model.Model {
	t.Helper()
	return synthtest.Model(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{}, model.LoadOptions{})
}

// TestHybridSameBits: a model of a real hybrid family gives the same bits however its
// text is cut, with any number of threads.
func TestHybridSameBits(t *testing.T) {
	m := hybrid(t)
	tokens := longTokens(150)
	want := logits(t, newEngine(t, m, engine.Options{Threads: 1}), tokens, nil, len(tokens))
	e := newEngine(t, m, engine.Options{Threads: 3})
	equalBits(t, "three threads", logits(t, e, tokens, nil, len(tokens)), want)
	equalBits(t, "token by token", logits(t, e, tokens, nil, 1), want)
	equalBits(t, "uneven chunks", logits(t, e, tokens, nil, 1, 40, 31, 70, 7), want)
	testTogether(t, e, tokens, want)
}

// TestStateAllocates nothing in a step.
func TestStateAllocates(t *testing.T) {
	for _, m := range []*model.Model{decodertest.Open(t, model.LoadOptions{}), hybrid(t)} {
		e := newEngine(t, m, engine.Options{KVType: kernel.KVF16})
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
