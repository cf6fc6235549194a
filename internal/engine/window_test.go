package engine_test

import (
	"math"
	"testing"

	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// sliding loads a tiny model whose first layer has a sliding window.
func sliding(t *testing.T, window int) *model.Model {
	t.Helper()
	f := synthtest.File(t, synthtest.Shape(t, "tiny-llama"), synth.Options{})
	for key, v := range map[string]any{
		"llama.attention.sliding_window": uint32(window), "llama.attention.sliding_window_pattern": []bool{true, false},
	} {
		if err := f.Metadata.Set(key, v); err != nil {
			t.Fatal(err)
		}
	}
	m, err := model.Load(f, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// attended compares the attention of each layer with the formula, in float64, on the
// queries, keys and values that it has observed.
type attended struct {
	t       *testing.T
	c       *model.Config
	q, k, v []float32
	seen    int
}

func (a *attended) Stage(layer int, name string, rows, width int, data []float32) {
	switch name {
	case model.StageQ:
		a.q = append([]float32(nil), data...)
	case model.StageK:
		a.k = append([]float32(nil), data...)
	case model.StageV:
		a.v = append([]float32(nil), data...)
	case model.StageAttention:
		a.seen++
		d, group, kv := a.c.HeadDim, a.c.Heads/a.c.KVHeads, a.c.KVHeads*a.c.HeadDim
		for row := range rows {
			first := 0
			if n := a.c.WindowOf(layer); n > 0 {
				first = max(0, row-n+1)
			}
			want := make([]float64, width)
			for h := range a.c.Heads {
				sum, weights := 0.0, make([]float64, row+1)
				for i := first; i <= row; i++ {
					dot := 0.0
					for e := range d {
						dot += float64(a.q[row*width+h*d+e]) * float64(a.k[i*kv+h/group*d+e])
					}
					weights[i] = math.Exp(dot * float64(a.c.AttnScale))
					sum += weights[i]
				}
				for i := first; i <= row; i++ {
					for e := range d {
						want[h*d+e] += weights[i] / sum * float64(a.v[i*kv+h/group*d+e])
					}
				}
			}
			var diff, norm float64
			for i, w := range want {
				x := float64(data[row*width+i]) - w
				diff, norm = diff+x*x, norm+w*w
			}
			if d := math.Sqrt(diff / norm); !(d < 1e-5) {
				a.t.Fatalf("layer %d, row %d: distance %.3g", layer, row, d)
			}
		}
	}
}

// TestSlidingWindow: what a window hides does not count, over pages and chunks of the
// cache, and the bits are the same however the text is cut.
func TestSlidingWindow(t *testing.T) {
	const n = 600
	windows := []int{1, 33, 300}
	if testing.Short() {
		windows = windows[1:2]
	}
	for _, window := range windows {
		m := sliding(t, window)
		tokens := longTokens(n)
		for i := range tokens {
			tokens[i] %= int32(m.Config.Vocab)
		}
		o := engine.Options{KVType: kernel.KVF32, Context: n, MaxRows: n}
		a := &attended{t: t, c: m.Config}
		want := logits(t, newEngine(t, m, o), tokens, a, n)
		if a.seen != m.Config.Layers {
			t.Fatalf("%d layers attended", a.seen)
		}
		for _, threads := range []int{1, 2} {
			o.Threads = threads
			equalBits(t, "whole", logits(t, newEngine(t, m, o), tokens, nil, n), want)
			equalBits(t, "cut", logits(t, newEngine(t, m, o), tokens, nil, 250, 1, 7, 64, 1, 1, 100, 30), want)
		}
		o.KVType = kernel.KVQ4
		equalBits(t, "cut, in four bits", logits(t, newEngine(t, m, o), tokens, nil, 250, 1, 7, 64, 1, 1, 100, 30),
			logits(t, newEngine(t, m, o), tokens, nil, n))
	}
}

// TestWindowMemory: a long text takes no more memory than is planned, which is little
// where all layers slide but one, and none is taken in a step.
func TestWindowMemory(t *testing.T) {
	m := maple(t)
	o := engine.Options{KVType: kernel.KVF16, Context: 4096, MaxRows: 32, Threads: 1}
	plan := engine.EstimateMemory(m, o)
	e := newEngine(t, m, o)
	s, b := e.NewSequence(), e.NewBatch()
	step := func(rows int) {
		b.Reset()
		for range rows {
			if _, err := b.Add(s, 1, engine.None, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
	}
	for s.Len() < o.Context-64 {
		step(32)
	}
	if n := testing.AllocsPerRun(60, func() { step(1) }); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
	if got := e.Cache().InUse(); got > plan.SequencePages || got > o.Context/kernel.PageTokens/2 {
		t.Errorf("%d pages are in use, %d were planned, for a text of %d tokens", got, plan.SequencePages, o.Context)
	}
	if m := e.Memory(); m.KV > int64(plan.SequencePages)*plan.PageBytes {
		t.Errorf("%d bytes, planned %d", m.KV, int64(plan.SequencePages)*plan.PageBytes)
	}
}
