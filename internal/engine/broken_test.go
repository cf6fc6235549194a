package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"trit/internal/engine"
	"trit/internal/mmap"
	"trit/internal/model"
)

// panics is an observer with a mistake.
type panics struct{}

func (panics) Stage(int, string, int, int, []float32) { panic("a mistake") }

// TestBroken stops a model by a file that is cut short, by one that is overwritten and by
// a panic: its requests, also those that come later, fail with the reason; another
// model goes on.
func TestBroken(t *testing.T) {
	data, err := os.ReadFile(committed())
	if err != nil {
		t.Fatal(err)
	}
	start := func(path string) *engine.Scheduler {
		s := engine.NewScheduler(newEngine(t, load(t, path, model.LoadOptions{}), engine.Options{Threads: 2}))
		t.Cleanup(func() { s.Close() })
		return s
	}
	other := start(committed())
	tests := []struct {
		name  string
		stop  func(t *testing.T, s *engine.Scheduler, path string, running *engine.Session) error
		cause error
	}{
		{"truncated", func(t *testing.T, s *engine.Scheduler, path string, running *engine.Session) error {
			if runtime.GOOS == "windows" {
				t.Skip("Windows does not let anybody truncate a mapped file")
			}
			if err := os.Truncate(path, 4096); err != nil {
				t.Fatal(err)
			}
			return running.Run(context.Background(), []int32{400}, engine.Hidden, 0)
		}, mmap.ErrFault},
		{"panic", func(t *testing.T, s *engine.Scheduler, path string, running *engine.Session) error {
			return running.Observe(context.Background(), []int32{4}, engine.Hidden, 0, panics{})
		}, engine.ErrBroken},
		{"told", func(t *testing.T, s *engine.Scheduler, path string, running *engine.Session) error {
			s.Fail(mmap.ErrChanged)
			return running.Run(context.Background(), []int32{4}, engine.Hidden, 0)
		}, mmap.ErrChanged},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.gguf")
			if err := os.WriteFile(path, data, 0o666); err != nil {
				t.Fatal(err)
			}
			s := start(path)
			running, err := s.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if err := running.Run(context.Background(), []int32{1, 2, 3}, engine.Hidden, 2); err != nil {
				t.Fatal(err)
			}
			err = test.stop(t, s, path, running)
			var broken *engine.BrokenError
			if !errors.Is(err, test.cause) || !errors.As(err, &broken) || s.Err() != error(broken) {
				t.Fatalf("the running request: %v; the scheduler: %v; want %v", err, s.Err(), test.cause)
			}
			if test.name != "told" && len(broken.Stack) == 0 {
				t.Error("no stack")
			}
			if _, err := s.NewSession(); !errors.Is(err, engine.ErrBroken) {
				t.Errorf("a later request: %v", err)
			}
			if err := running.Run(context.Background(), []int32{5}, engine.Hidden, 0); !errors.Is(err, engine.ErrBroken) {
				t.Errorf("the session's next request: %v", err)
			}
			running.Close()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			session, err := other.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if err := session.Run(context.Background(), []int32{1, 2, 3}, engine.Hidden, 2); err != nil {
				t.Errorf("another model: %v", err)
			}
		})
	}
}
