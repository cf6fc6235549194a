package profile

import (
	"strings"
	"testing"

	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/synth"
)

// TestWork adds up the work of all operations of recorded steps and compares it
// with plain loops (FLOPs, MACs) and with Count (bytes).
func TestWork(t *testing.T) {
	for _, shape := range []string{"tiny", "tiny-llama", "tiny-qwen3"} {
		for _, act := range []model.Activations{model.Int8, model.Float} {
			m := tinyModel(t, shape, synth.Options{}, model.LoadOptions{Activations: act})
			e, err := engine.New(m, engine.Options{Threads: 2, KVType: kernel.KVI8, Head: head.Plain})
			if err != nil {
				t.Fatal(err)
			}
			table := newWorkTable(m, kernel.KVI8)
			var work Work
			var head int64
			r := &recorder{take: func() *frame { return newFrame(2) }, done: func(f *frame) {
				for i := range f.ops {
					w, _ := table.of(f, i)
					work.add(w)
				}
				head += f.result.HeadBytes
			}}
			e.SetTracer(r)
			b, s := e.NewBatch(), e.NewSequence()
			step := func(rows int) {
				work, head = Work{}, 0
				b.Reset()
				for i := range rows {
					if _, err := b.Add(s, int32(i), engine.All, nil); err != nil {
						t.Fatal(err)
					}
				}
				if err := e.Step(b, nil); err != nil {
					t.Fatal(err)
				}
			}
			depth := 0
			for _, rows := range []int{1, 1, 40, 1, 7} {
				step(rows)
				var want tally
				var bytes int64
				for i := range rows {
					want.forward(m.Config, depth+i)
					counts := Count(m, kernel.KVI8, depth+i)
					total := counts.Total()
					bytes += total.CacheWrite
					if i == rows-1 { // the rows read keys and values together
						bytes += total.CacheRead
					}
					for _, s := range counts.Stages {
						if i == 0 || s.Name == "embedding" { // weights are read once
							bytes += int64(s.Times) * s.WeightBytes
						}
					}
				}
				if work.MACs != want.macs || work.FLOPs != want.flops {
					t.Errorf("%s, %v, %d rows after %d: %d MACs and %d FLOPs, want %d and %d", shape, act, rows, depth, work.MACs, work.FLOPs, want.macs, want.flops)
				}
				if got := work.Bytes + head; got != bytes {
					t.Errorf("%s, %v, %d rows after %d: %d bytes, want %d", shape, act, rows, depth, got, bytes)
				}
				depth += rows
			}
			if len(table.unknown) > 0 {
				t.Errorf("%s: the work of %v is not known", shape, table.unknown)
			}
			s.Close()
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestGroups: every operation is known by a name of the few that reports have, and one
// that nobody knows is neither counted nor passed over.
func TestGroups(t *testing.T) {
	m := tinyModel(t, "tiny", synth.Options{}, model.LoadOptions{})
	table := newWorkTable(m, kernel.KVF32)
	f := newFrame(1)
	list := []struct{ name, group string }{
		{engine.OpBatch, "batch"}, {model.OpRopeTable, "rope"}, {"attn_norm", "norms"}, {model.OpQuantize, "quantize"}, {"attn_q+attn_k+attn_v", "q, k, v"},
		{"q_rope", "rope"}, {engine.OpStore, "KV store"}, {engine.OpAttention, "attention"}, {engine.OpMerge, "attention"}, {"attn_output", "o"},
		{"attn_residual", "residual"}, {"ffn_gate+ffn_up", "gate, up"}, {"gated", "activation"}, {"ffn_sub_norm", "norms"}, {"ffn_down", "down"},
		{opSample, "sampling"}, {"router", "router"},
	}
	for _, op := range list {
		f.ops = append(f.ops, opEvent{name: op.name, rows: 1})
	}
	for i, op := range list {
		work, group := table.of(f, i)
		if group != op.group {
			t.Errorf("%s is called %q, want %q", op.name, group, op.group)
		}
		if op.name == "router" && work != (Work{}) {
			t.Errorf("the work of an unknown operation is %+v", work)
		}
	}
	if len(table.unknown) != 1 || table.unknown[0] != "router" {
		t.Errorf("unknown are %v, want the router", table.unknown)
	}
}

// TestWorkOfNarrowed drops rows in the last layer: the work there is that of the
// rows that are left.
func TestWorkOfNarrowed(t *testing.T) {
	m := tinyModel(t, "tiny", synth.Options{}, model.LoadOptions{})
	e, err := engine.New(m, engine.Options{Threads: 1, Head: head.Plain})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	table := newWorkTable(m, kernel.KVF32)
	down := map[int]int64{}
	e.SetTracer(&recorder{take: func() *frame { return newFrame(1) }, done: func(f *frame) {
		for i := range f.ops {
			if strings.HasSuffix(f.ops[i].name, "ffn_down") {
				w, _ := table.of(f, i)
				down[f.ops[i].layer] = w.MACs
			}
		}
	}})
	b, s := e.NewBatch(), e.NewSequence()
	defer s.Close()
	for i := range 20 {
		want := engine.None
		if i == 19 {
			want = engine.All
		}
		if _, err := b.Add(s, int32(i), want, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Step(b, nil); err != nil {
		t.Fatal(err)
	}
	one := int64(m.Config.Hidden) * int64(m.Config.FFN)
	last := m.Config.Layers - 1
	if down[0] != 20*one || down[last] != one {
		t.Errorf("the first layer does %d multiply-accumulates, the last %d, want %d and %d", down[0], down[last], 20*one, one)
	}
}
