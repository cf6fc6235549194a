package engine_test

import (
	"context"
	"testing"
	"time"

	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/model"
	"trit/internal/parallel"
)

// checker is a tracer that checks the order of its calls.
type checker struct {
	t        testing.TB
	inStep   bool
	op       string
	began    int64
	steps    int
	sections int
	info     engine.StepInfo
	result   engine.StepResult
	ops      map[string]int
	layers   map[int]bool
}

func newChecker(t testing.TB) *checker {
	return &checker{t: t, ops: map[string]int{}, layers: map[int]bool{}}
}

func (c *checker) BeginStep(info engine.StepInfo) {
	if c.inStep || c.op != "" {
		c.t.Error("a step begins within another")
	}
	c.inStep, c.info = true, info
}

func (c *checker) EndStep(r engine.StepResult) {
	if !c.inStep || r.Err == nil && c.op != "" {
		c.t.Errorf("a step ends that did not begin, or within operation %q", c.op)
	}
	c.inStep, c.op, c.result = false, "", r
	c.steps++
}

func (c *checker) Skipped(int64) {}

func (c *checker) Begin(layer int, op string, rows int) {
	if c.op != "" {
		c.t.Errorf("operation %s begins within %s", op, c.op)
	}
	if rows < 0 || rows > c.info.Rows {
		c.t.Errorf("operation %s has %d rows of %d", op, rows, c.info.Rows)
	}
	c.op, c.began = op, parallel.Now()
	c.ops[op]++
	c.layers[layer] = true
}

func (c *checker) End() {
	if c.op == "" {
		c.t.Error("an operation ends that did not begin")
	}
	c.op = ""
}

func (c *checker) Section(begin, end int64, workers []parallel.Span) {
	if c.op == "" || begin < c.began || end < begin {
		c.t.Errorf("a section from %d to %d in operation %q, which began at %d", begin, end, c.op, c.began)
	}
	for w := range workers {
		s := &workers[w]
		if s.Slices > 0 && (s.Begin < begin || s.End < s.Begin || s.End > end) {
			c.t.Errorf("worker %d from %d to %d in a section from %d to %d", w, s.Begin, s.End, begin, end)
		}
	}
	c.sections++
}

// TestTracer follows steps of one row and of many.
func TestTracer(t *testing.T) {
	m := load(t, committed(), model.LoadOptions{})
	tokens := longTokens(201)
	o := engine.Options{Threads: 2, Context: longContext}
	want := logits(t, newEngine(t, m, o), tokens, nil, 200, 1)

	e := newEngine(t, m, o)
	c := newChecker(t)
	e.SetTracer(c)
	equalBits(t, "traced", logits(t, e, tokens, nil, 200, 1), want)
	if c.steps < 2 || c.sections == 0 {
		t.Errorf("%d steps and %d sections", c.steps, c.sections)
	}
	layers := m.Config.Layers
	for op, n := range map[string]int{
		engine.OpBatch: 1, model.OpRopeTable: 1, "embedding": 1, "output_norm": 1, engine.OpResults: 1,
		"attn_norm": layers, model.OpQuantize: 4 * layers, "attn_q+attn_k+attn_v": layers, "q_rope": layers, "k_rope": layers,
		engine.OpStore: layers, engine.OpAttention: layers, "attn_output": layers, "attn_residual": layers,
		"ffn_norm": layers, "ffn_gate+ffn_up": layers, "gated": layers, "ffn_down": layers, "ffn_residual": layers,
	} {
		if c.ops[op] != n*c.steps {
			t.Errorf("operation %s: %d times in %d steps, want %d in each", op, c.ops[op], c.steps, n)
		}
	}
	if len(c.layers) != layers+2 {
		t.Errorf("%d layers, want %d and those before and after", len(c.layers), layers)
	}
	if c.info.Rows != 1 || c.info.Sequences != 1 || c.info.Positions != 201 || c.info.Context != 201 || c.info.Scored != 1 {
		t.Errorf("the last step: %+v", c.info)
	}
	if head := e.HeadInfo(); c.result.Pages < 1 || c.result.Err != nil || c.result.HeadBytes != head.Bytes {
		t.Errorf("its end: %+v, the head has %d bytes", c.result, head.Bytes)
	}

	steps := c.steps
	e.SetTracer(nil)
	logits(t, e, tokens, nil, 201)
	if c.steps != steps {
		t.Error("the tracer was called after it was taken away")
	}
}

// TestTracerSeesErrors runs out of memory.
func TestTracerSeesErrors(t *testing.T) {
	e := newEngine(t, load(t, committed(), model.LoadOptions{}), engine.Options{Threads: 1, Context: 512, CachePages: 1})
	c := newChecker(t)
	e.SetTracer(c)
	b, s := e.NewBatch(), e.NewSequence()
	defer s.Close()
	for i := range 200 {
		if _, err := b.Add(s, int32(i), engine.None, nil); err != nil {
			t.Fatal(err)
		}
	}
	err := e.Step(b, nil)
	if err == nil || c.result.Err != err || c.steps != 1 {
		t.Errorf("error %v, the tracer saw %v in %d steps", err, c.result.Err, c.steps)
	}
}

// TestSetTracerDuringPrompt sets a tracer while a long prompt runs.
func TestSetTracerDuringPrompt(t *testing.T) {
	// Long enough for a machine that is busy with other tests.
	const steps = 2500
	s := newScheduler(t, engine.Options{MaxRows: 1, Context: steps + 100})
	long := session(t, s)
	long.SetPrivate(true)
	done := make(chan error)
	go func() { done <- long.Run(context.Background(), longTokens(steps), engine.Hidden, steps-1) }()
	for s.Steps() < 3 {
		time.Sleep(50 * time.Microsecond)
	}
	c := newChecker(t)
	if err := s.SetTracer(c); err != nil {
		t.Fatal(err)
	}
	at := s.Steps()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if at > steps*3/4 {
		t.Errorf("the tracer was set after %d of %d steps: calls wait for the prompt", at, steps)
	}
	if err := s.SetTracer(nil); err != nil {
		t.Fatal(err)
	}
	if c.steps == 0 {
		t.Error("the tracer saw no step")
	}
}

// counter is a tracer that costs nothing.
type counter struct{ n int }

func (c *counter) BeginStep(engine.StepInfo)             { c.n++ }
func (c *counter) EndStep(engine.StepResult)             { c.n++ }
func (c *counter) Begin(int, string, int)                { c.n++ }
func (c *counter) Skipped(int64)                         {}
func (c *counter) End()                                  { c.n++ }
func (c *counter) Section(_, _ int64, _ []parallel.Span) { c.n++ }

func TestTracedStepDoesNotAllocate(t *testing.T) {
	e := newEngine(t, load(t, committed(), model.LoadOptions{}), engine.Options{Context: 1024, Threads: 2})
	c := &counter{}
	e.SetTracer(c)
	b, s := e.NewBatch(), e.NewSequence()
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
	step() // lists grow once
	if n := testing.AllocsPerRun(200, step); n != 0 || c.n == 0 {
		t.Errorf("%v allocations per step, %d calls", n, c.n)
	}
}

// TestTracerCoarseHead counts what a selection reads of the coarse copy.
func TestTracerCoarseHead(t *testing.T) {
	e := newEngine(t, load(t, committed(), model.LoadOptions{}), engine.Options{Threads: 2, Head: head.Coarse})
	c := newChecker(t)
	e.SetTracer(c)
	b, s := e.NewBatch(), e.NewSequence()
	defer s.Close()
	sel := &head.Selector{K: 1}
	selected, copied := 0, 0
	for i := range 20 {
		b.Reset()
		if _, err := b.Add(s, int32(i), engine.Select, sel); err != nil {
			t.Fatal(err)
		}
		clear(c.ops)
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		info := e.HeadInfo()
		copied += c.ops[head.OpCopy]
		if c.ops[head.OpLogits] > 0 { // the copy was not whole, or no use
			if c.result.HeadBytes < info.Bytes {
				t.Errorf("step %d: %d bytes of a whole head of %d", i, c.result.HeadBytes, info.Bytes)
			}
			continue
		}
		selected++
		if c.result.HeadBytes != info.LastBytes || info.LastBytes == 0 {
			t.Errorf("step %d: %d bytes, the selection read %d", i, c.result.HeadBytes, info.LastBytes)
		}
		for _, op := range []string{head.OpScan, head.OpCandidates, head.OpRefine, head.OpSelect} {
			if c.ops[op] != 1 {
				t.Errorf("step %d: operation %s: %d times", i, op, c.ops[op])
			}
		}
	}
	if selected == 0 || copied == 0 {
		t.Errorf("%d steps used the copy, %d made a part of it", selected, copied)
	}
	if m := e.Memory(); m.Scratch <= 0 || m.ScratchPeak < m.Scratch || m.ScratchReserved < m.Scratch || m.Head != e.HeadInfo().Resident || m.KVInUse <= 0 || m.KV < m.KVInUse || m.KVMax < m.KV {
		t.Errorf("memory: %+v", m)
	}
}
