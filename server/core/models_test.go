package core

import (
	"context"
	"errors"
	"testing"

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
