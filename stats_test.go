package trit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"trit"
)

func TestModelMetrics(t *testing.T) {
	m := openDemo(t)
	generate := func(ctx context.Context, leave int, opts ...trit.GenerateOption) (n int, err error) {
		for _, err := range m.Generate(ctx, "Once upon a time", append(opts, trit.Greedy(), trit.IgnoreEnd(), trit.MaxTokens(8))...) {
			if err != nil {
				return n, err
			}
			if n++; n == leave {
				break
			}
		}
		return n, nil
	}
	ctx := t.Context()
	if _, err := generate(ctx, 0, trit.Arrived(time.Now().Add(-3*time.Second))); err != nil {
		t.Fatal(err)
	}
	x := m.Metrics()
	if q := x.Queue.Snapshot(); q.Count != 1 || q.Sum < 3 || q.Sum > 10 {
		t.Errorf("queue time: %+v", q)
	}
	if f := x.FirstToken.Snapshot(); f.Count != 1 || f.Sum < 3 {
		t.Errorf("time to first token: %+v", f)
	}
	// A consumer that takes its time does not make the model slow.
	for _, err := range m.Generate(ctx, "Once upon a time", trit.Greedy(), trit.IgnoreEnd(), trit.MaxTokens(3)) {
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
	}
	if o := x.OutputToken.Snapshot(); o.Count != 7+2 || o.Sum > 0.55 {
		t.Errorf("time per output token: %+v", o)
	}
	if _, err := generate(ctx, 0, trit.Choices(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := generate(ctx, 2); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := generate(gone, 0); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := generate(ctx, 0, trit.MinTokens(-1)); err == nil {
		t.Fatal("a bad option")
	}
	finished := x.Finished.Load()
	if finished["length"] != 5 || finished["cancelled"] != 2 || finished["error"] != 0 {
		t.Errorf("finished: %v", finished)
	}
	if n := x.GeneratedTokens.Load(); n != 8+3+24+2 {
		t.Errorf("%d tokens", n)
	}
	if x.Running.Load() != 0 || x.Total.Snapshot().Count != 5 {
		t.Errorf("%d running, %d over", x.Running.Load(), x.Total.Snapshot().Count)
	}
}
