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

// TestWorkOfExperts: with many rows the networks of experts are one operation, with few rows
// several, as without a tracer. Either way all work is counted, under a name.
func TestWorkOfExperts(t *testing.T) {
	m := tinyModel(t, "tiny-maple", synth.Options{}, model.LoadOptions{})
	e, err := engine.New(m, engine.Options{Threads: 1, Head: head.Plain})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	table := newWorkTable(m, kernel.KVF32)
	var work Work
	groups := map[string]int{}
	e.SetTracer(&recorder{take: func() *frame { return newFrame(1) }, done: func(f *frame) {
		work, groups = Work{}, map[string]int{}
		for i := range f.ops {
			w, group := table.of(f, i)
			if f.ops[i].layer >= 0 && !strings.HasPrefix(f.ops[i].name, "attention") {
				work.add(w)
			}
			groups[group]++
		}
	}})
	var macs, flops int64 // of a row
	for _, op := range m.Tally(kernel.KVF32).Ops {
		if op.Layer >= 0 && op.Kind != model.OpKindAttend {
			macs, flops = macs+op.Cost.MACs, flops+op.Cost.FLOPs
		}
	}
	b, s := e.NewBatch(), e.NewSequence()
	defer s.Close()
	layers := 0
	for _, op := range m.Tally(kernel.KVF32).Ops {
		if strings.HasSuffix(op.Name, "_down_exps") {
			layers++
		}
	}
	for _, rows := range []int{1, 40} {
		b.Reset()
		for i := range rows {
			if _, err := b.Add(s, int32(i), engine.All, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"gate_exps, up_exps, down_exps": layers, "gate_exps, up_exps": 0, "down_exps": 0}
		if rows == 1 {
			want = map[string]int{"gate_exps, up_exps, down_exps": 0, "gate_exps, up_exps": layers, "down_exps": layers}
		}
		for name, n := range want {
			if groups[name] != n {
				t.Errorf("%d rows: %d operations %q, want %d", rows, groups[name], name, n)
			}
		}
		if work.MACs != int64(rows)*macs || work.FLOPs != int64(rows)*flops {
			t.Errorf("%d rows: %d MACs and %d FLOPs, want %d and %d", rows, work.MACs, work.FLOPs, int64(rows)*macs, int64(rows)*flops)
		}
	}
	if len(table.unknown) > 0 {
		t.Errorf("the work of %v is not known", table.unknown)
	}
}
