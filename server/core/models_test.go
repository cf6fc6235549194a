package core

import (
	"context"
	"errors"
	"testing"
	"time"

	"trit"
	_ "trit/demo"
)

// While a model is being loaded no more requests wait for it than may wait at
// all.
func TestWaitingForAModelIsBounded(t *testing.T) {
	s, err := New(Options{Parallel: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}
	loading := &Loaded{Name: "demo", own: true, ready: make(chan struct{}), gone: make(chan struct{}), gate: newGate(1, 1), keep: -1}
	s.Models.loaded["demo"] = loading
	results := make(chan error, 3)
	for range 3 {
		go func() {
			l, err := s.Models.Acquire(context.Background(), "demo")
			if err == nil {
				l.Release()
			}
			results <- err
		}()
	}
	if err := <-results; Classify(err).Status != 429 {
		t.Errorf("the third got %v", err)
	}
	loading.err = errors.New("it could not be loaded")
	close(loading.ready)
	for range 2 {
		if err := <-results; err == nil || err.Error() != "it could not be loaded" {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestServedNames(t *testing.T) {
	for path, want := range map[string]string{"demo": "demo", "/models/BitNet-2B.gguf": "BitNet-2B", "x.GGUF": "x", `sub/model`: "model", "bitnet-2b-4t": "bitnet-2b-4t"} {
		if got := servedName(path); got != want {
			t.Errorf("%s is served as %q, want %q", path, got, want)
		}
	}
}

// TestAcquireUnloading: who asks for a model that is being unloaded waits until it is gone, and gets it anew.
func TestAcquireUnloading(t *testing.T) {
	s, err := New(Options{Parallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	old := &Loaded{Name: "demo", own: true, ready: make(chan struct{}), gone: make(chan struct{}), gate: newGate(1, 1), keep: -1,
		unloading: true}
	close(old.ready)
	s.Models.loaded["demo"] = old
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Models.Acquire(ctx, "demo"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is unloaded: %v", err)
	}
	s.Models.mu.Lock()
	delete(s.Models.loaded, "demo")
	s.Models.mu.Unlock()
	close(old.gone)
	var before *Loaded
	for range 2 { // loaded for the first, there for the second
		l, err := s.Models.Acquire(t.Context(), "demo")
		if err != nil {
			t.Fatal(err)
		}
		if l.Loaded == old || l.Model == nil || before != nil && l.Loaded != before {
			t.Error("the lease is of another model")
		}
		if l.plan.KVTokens != 2*l.plan.TextTokens {
			t.Errorf("there is room for %d tokens, want that for 2 texts of %d", l.plan.KVTokens, l.plan.TextTokens)
		}
		before = l.Loaded
		l.Release()
	}
	// The end of the server waits for what others unload, and for nothing that was never loaded.
	gone := &Loaded{Name: "a", ready: old.ready, gone: make(chan struct{}), gate: newGate(1, 1), unloading: true}
	failed := &Loaded{Name: "b", ready: old.ready, gone: make(chan struct{}), gate: newGate(1, 1), err: errors.New("not loaded")}
	s.Models.loaded["a"], s.Models.loaded["b"] = gone, failed
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("closed while a model is unloaded: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(gone.gone)
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestReserve: a model may have all the memory that others leave, and no more.
func TestReserve(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ms := s.Models
	for _, missing := range []int64{0, 1} {
		plan, err := trit.Plan("demo")
		if err != nil {
			t.Fatal(err)
		}
		const used = 1 << 20
		least := plan.Least()
		ms.used, ms.limit = used, used+least-missing
		l := &Loaded{Name: "x"}
		err = ms.reserve(l, plan)
		if missing == 0 && (err != nil || l.Charge != least || ms.used != used+least) {
			t.Errorf("with just enough memory: %v; it has %d bytes of %d", err, l.Charge, least)
		}
		if missing > 0 && (!errors.Is(err, trit.ErrMemory) || ms.used != used) {
			t.Errorf("with %d bytes less than it needs: %v", missing, err)
		}
	}
}
