package engine_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/ternary"
)

// skipModels are models with relu²: a golden one, the demo, and random weights with a
// share of zeros.
func skipModels(t *testing.T) map[string]func(o model.LoadOptions) *model.Model {
	t.Helper()
	list := map[string]func(o model.LoadOptions) *model.Model{
		"golden": func(o model.LoadOptions) *model.Model { return load(t, committed(), o) },
		"demo": func(o model.LoadOptions) *model.Model {
			return load(t, filepath.Join("..", "..", "demo", "demo.gguf.gz"), o)
		},
	}
	for _, zeros := range []float64{0, 0.8, 0.95} {
		list[fmt.Sprintf("zeros %g", zeros)] = func(o model.LoadOptions) *model.Model { return loadZeros(t, zeros, o) }
	}
	return list
}

// loadZeros makes a model with a share of zeros.
func loadZeros(t *testing.T, zeros float64, o model.LoadOptions) *model.Model {
	t.Helper()
	shape, err := synth.LookupShape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	g, err := synth.New(shape, synth.Options{Seed: 3, Zeros: zeros})
	if err != nil {
		t.Fatal(err)
	}
	data, err := g.Bytes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestSkippingKeepsBits compares texts that leave out weights with texts that do not, in
// both layouts and with several numbers of threads.
func TestSkippingKeepsBits(t *testing.T) {
	for name, open := range skipModels(t) {
		t.Run(name, func(t *testing.T) {
			for _, layout := range ternary.Layouts() {
				o := model.LoadOptions{SkipZeros: model.SkipOff, Layout: func(int, int) ternary.Layout { return layout }}
				m := open(o)
				tokens := longTokens(40)
				for i := range tokens {
					tokens[i] %= int32(m.Config.Vocab)
				}
				e := newEngine(t, m, engine.Options{Threads: 1})
				want := logits(t, e, tokens, nil, len(tokens))
				if s := e.TakeSkipped(); s != (model.Skipped{}) || m.LineBytes != 0 {
					t.Fatalf("a model without copies has left out %+v, with copies of %d bytes", s, m.LineBytes)
				}
				o.SkipZeros = model.SkipOn
				m = open(o)
				if m.LineBytes == 0 {
					t.Fatal("there are no copies")
				}
				for threads := 1; threads <= 4; threads++ {
					e := newEngine(t, m, engine.Options{Threads: threads})
					equalBits(t, fmt.Sprintf("%v, %d threads", layout, threads), logits(t, e, tokens, nil, 1), want)
					s := e.TakeSkipped()
					if s.Saved <= 0 || s.Saved > s.Bytes || s.ZeroGates <= 0 || s.ZeroInputs < s.ZeroGates/2 {
						t.Errorf("%v, %d threads: left out %+v", layout, threads, s)
					}
					equalBits(t, fmt.Sprintf("%v, uneven chunks", layout), logits(t, e, tokens, nil, 3, 1, 1, 5, 1), want)
				}
			}
		})
	}
}

// TestSkippingWithObserver checks that an observer sees the rows of up that are left out
// otherwise.
func TestSkippingWithObserver(t *testing.T) {
	up := func(skip model.SkipZeros) (values []float32) {
		e := newEngine(t, loadZeros(t, 0.8, model.LoadOptions{SkipZeros: skip}), engine.Options{})
		logits(t, e, []int32{5}, observerFunc(func(_ int, stage string, _, _ int, v []float32) {
			if stage == "up" {
				values = append(values, v...)
			}
		}), 1)
		return values
	}
	got, want := up(model.SkipOn), up(model.SkipOff)
	equalBits(t, "up", got, want)
	if len(got) == 0 {
		t.Error("no values of up")
	}
}

// observerFunc is an observer.
type observerFunc func(layer int, stage string, rows, width int, values []float32)

func (f observerFunc) Stage(layer int, stage string, rows, width int, values []float32) {
	f(layer, stage, rows, width, values)
}

// TestSkippingAllocatesNothing runs single rows.
func TestSkippingAllocatesNothing(t *testing.T) {
	e := newEngine(t, loadZeros(t, 0.8, model.LoadOptions{SkipZeros: model.SkipOn}), engine.Options{})
	s := e.NewSequence()
	defer s.Close()
	b := e.NewBatch()
	step := func() {
		b.Reset()
		if _, err := b.Add(s, 7, engine.Hidden, nil); err != nil {
			t.Fatal(err)
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		step()
	}
	if n := testing.AllocsPerRun(20, step); n != 0 {
		t.Errorf("%g allocations in a step", n)
	}
}

// TestSkippingWhereItIsOff checks that other graphs have no copies.
func TestSkippingWhereItIsOff(t *testing.T) {
	for _, o := range []model.LoadOptions{
		{SkipZeros: model.SkipOn, HiddenAct: model.SiLU}, {SkipZeros: model.SkipOn, Activations: model.Float}, {SkipZeros: model.SkipOff}, {},
	} {
		if m := loadZeros(t, 0, o); m.LineBytes != 0 {
			t.Errorf("%+v: copies of %d bytes", o, m.LineBytes)
		}
	}
}

// TestSkippingBeginsInTime: the copies are made after some passes of single rows, by one of
// the engines of a model, or before, if they are asked for.
func TestSkippingBeginsInTime(t *testing.T) {
	const patience = 16
	m := loadZeros(t, 0.8, model.LoadOptions{SkipZeros: model.SkipOn})
	tokens := make([]int32, patience)
	want := m.Config.Layers // passes that copy a pair of matrices each
	first, second := newEngine(t, m, engine.Options{Threads: 2}), newEngine(t, m, engine.Options{Threads: 1})
	logits(t, first, tokens, nil, 1)
	if s := first.TakeSkipped(); s.Bytes != 0 {
		t.Errorf("after %d passes something has been left out: %+v", patience, s)
	}
	var both sync.WaitGroup
	for _, e := range []*engine.Engine{first, second} {
		both.Go(func() { logits(t, e, make([]int32, patience+want), nil, 1) })
	}
	both.Wait()
	second.TakeSkipped()
	logits(t, second, tokens[:1], nil, 1)
	whole := second.TakeSkipped()
	if whole.Saved == 0 {
		t.Error("nothing is left out after all copies have been made")
	}
	prepared := newEngine(t, loadZeros(t, 0.8, model.LoadOptions{SkipZeros: model.SkipOn}), engine.Options{Threads: 2})
	prepared.Prepare()
	logits(t, prepared, tokens[:1], nil, 1)
	if s := prepared.TakeSkipped(); s != whole {
		t.Errorf("the first token of a prepared engine left out %+v, a later one of another %+v", s, whole)
	}
}
