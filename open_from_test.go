package trit_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"trit"
	"trit/gguf"
	"trit/internal/inside"
)

// TestOpenFrom opens the demo from everywhere that a file can come from.
func TestOpenFrom(t *testing.T) {
	ctx := context.Background()
	data := demoBytes(t)
	path := write(t, "demo.gguf", data)
	dir := os.DirFS(filepath.Dir(path))
	file := func(f *gguf.File, err error) func() (*trit.Model, error) {
		if err != nil {
			t.Fatal(err)
		}
		return func() (*trit.Model, error) { return trit.OpenFile(ctx, "mine", f) }
	}
	want := continued(t, openDemo(t), "Once upon a time")
	for name, open := range map[string]func() (*trit.Model, error){
		"path":   func() (*trit.Model, error) { return trit.OpenContext(ctx, path) },
		"bytes":  file(gguf.Parse(data)),
		"reader": file(gguf.NewReader(bytes.NewReader(data), int64(len(data)))),
		"folder": func() (*trit.Model, error) { return trit.OpenFS(ctx, dir, "demo.gguf") },
		"file system without ReaderAt": func() (*trit.Model, error) {
			return trit.OpenFS(ctx, plainFS{fstest.MapFS{"a/demo": {Data: data}}}, "a/demo")
		},
	} {
		m, err := open()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := continued(t, m, "Once upon a time"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if err := m.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for says, open := range map[string]func() (*trit.Model, error){
		"it is nil":   func() (*trit.Model, error) { return trit.OpenFile(ctx, "x", nil) },
		"file_system": func() (*trit.Model, error) { return trit.OpenFS(ctx, nil, "x") },
		"none.gguf":   func() (*trit.Model, error) { return trit.OpenFS(ctx, dir, "none.gguf") },
		"text: ": func() (*trit.Model, error) {
			return trit.OpenFS(ctx, fstest.MapFS{"text": {Data: []byte("hello, world")}}, "text")
		},
		"plain: ": func() (*trit.Model, error) {
			return trit.OpenFS(ctx, plainFS{fstest.MapFS{"plain": {Data: []byte("x")}}}, "plain")
		},
		"threads: -1; want": func() (*trit.Model, error) { return trit.OpenFS(ctx, dir, "demo.gguf", trit.Threads(-1)) },
	} {
		if m, err := open(); err == nil {
			m.Close()
			t.Errorf("%s: no error", says)
		} else if !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q in it", err, says)
		}
	}
}

// plainFS hides what its files can do beside reading.
type plainFS struct{ fs.FS }

func (f plainFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	return struct{ fs.File }{file}, err
}

// TestOpenCancelled ends the loading in the middle.
func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	calls := 0
	m, err := trit.OpenContext(ctx, "demo", trit.Progress(func(done, total int64) {
		calls++
		cancel()
	}))
	if err == nil {
		m.Close()
	}
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%v after %d reports; want context.Canceled after one", err, calls)
	}
}

// TestMaxMemory opens the demo within limits.
func TestMaxMemory(t *testing.T) {
	plan, err := trit.Plan("demo")
	if err != nil {
		t.Fatal(err)
	}
	small, err := trit.Plan("demo", trit.MaxMemory(plan.Least()))
	if err != nil || small.KVTokens >= plan.KVTokens || small.KVTokens < small.Context {
		t.Fatalf("%+v, %v; without a limit %+v", small, err, plan)
	}
	m := openDemo(t, trit.MaxMemory(plan.Least()))
	if got := inside.Of(m).Scheduler.Engine().Cache().Config().MaxPages * plan.PageTokens; got != small.KVTokens {
		t.Errorf("the KV cache holds %d tokens, want %d", got, small.KVTokens)
	}
	var e *trit.MemoryError
	if _, err := trit.Open("demo", trit.MaxMemory(plan.Least()-1)); !errors.As(err, &e) || e.Context < 64 || e.Context >= plan.Context ||
		strings.Contains(err.Error(), "--") || !strings.Contains(err.Error(), "option context_size") {
		t.Errorf("%v", err)
	}
	openDemo(t, trit.MaxMemory(plan.Least()-1), trit.ContextSize(e.Context))
	if _, err := trit.Open("demo", trit.MaxMemory(1)); !errors.Is(err, trit.ErrMemory) || !strings.Contains(err.Error(), "machine") {
		t.Errorf("%v", err)
	}
}
