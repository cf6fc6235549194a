package server

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trit"
	"trit/hub"
	"trit/internal/inside"
	"trit/server/core"
	"trit/server/internal/servertest"
)

// use acquires and releases a model.
func (s *served) use(name string) error {
	l, err := s.core.Models.Acquire(context.Background(), name)
	if err == nil {
		l.Release()
	}
	return err
}

// states returns the names of the loaded models.
func (s *served) states(t *testing.T) string {
	t.Helper()
	list, err := s.core.Models.List()
	if err != nil {
		t.Fatal(err)
	}
	var loaded []string
	for _, m := range list {
		if m.State == core.StateLoaded {
			loaded = append(loaded, m.Name)
		}
	}
	return strings.Join(loaded, " ")
}

func TestModelsOnDemand(t *testing.T) {
	servertest.Copies(t, "first", "second")
	s := serve(t, Options{KeepAlive: 300 * time.Millisecond})
	if got := s.states(t); got != "demo" {
		t.Errorf("loaded: %s", got)
	}
	before, _ := s.core.Models.Memory()
	s.do("POST", "/v1/completions", `{"model":"first","prompt":"Once","max_tokens":2}`).expect(t, 200, `"model":"first"`)
	if got := s.states(t); got != "demo first" {
		t.Errorf("loaded: %s", got)
	}
	// A model that is in use stays, however long that takes.
	l, err := s.core.Models.Acquire(t.Context(), "second")
	if err != nil {
		t.Fatal(err)
	}
	s.until("the idle one is unloaded", func() bool { return s.states(t) == "demo second" })
	time.Sleep(400 * time.Millisecond)
	if got := s.states(t); got != "demo second" {
		t.Errorf("loaded: %s", got)
	}
	l.Release()
	l.Release() // twice is once
	s.until("all idle ones are unloaded", func() bool { return s.states(t) == "demo" })

	// A client can ask for a model to stay or to go.
	if l, err = s.core.Models.Acquire(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	l.KeepAlive(-1)
	l.Release()
	time.Sleep(500 * time.Millisecond)
	if got := s.states(t); got != "demo first" {
		t.Errorf("loaded: %s", got)
	}
	for _, name := range []string{"first", "demo"} {
		if l, err = s.core.Models.Acquire(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		l.KeepAlive(0)
		l.Release()
	}
	s.until("it is unloaded at once", func() bool { return s.states(t) == "demo" })
	s.until("its memory is free", func() bool { used, _ := s.core.Models.Memory(); return used == before })
}

func TestMemoryBudget(t *testing.T) {
	servertest.Copies(t, "first", "second", "third")
	plan, err := trit.Plan("demo")
	if err != nil {
		t.Fatal(err)
	}
	one := plan.Fixed() + plan.KV(plan.Context)
	s := serve(t, Options{MemoryLimit: 3*one + one/2, Parallel: 1})
	charge := s.demo().Charge
	if charge > one {
		t.Fatalf("the demo takes %d bytes, its plan says %d", charge, one)
	}
	for _, name := range []string{"first", "second", "first", "third"} {
		if err := s.use(name); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.states(t); got != "demo first third" {
		t.Errorf("the least recently used model was not the one to go: %s", got)
	}
	// Those that are in use cannot go.
	var leases []*core.Lease
	for _, name := range []string{"first", "third"} {
		l, err := s.core.Models.Acquire(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		leases = append(leases, l)
	}
	// Who asks for another one waits, until its client leaves or one of them is idle.
	ctx, leave := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer leave()
	if _, err := s.core.Models.Acquire(ctx, "second"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a client that leaves: %v", err)
	}
	s.until("nobody waits for memory any more", func() bool {
		loaded, _ := s.core.Models.Has(&hub.Model{Name: "second"})
		return !loaded
	})
	if log := s.log.String(); !strings.Contains(log, "second needs") || !strings.Contains(log, "first, third") {
		t.Errorf("the log does not say what was waited for: %s", log)
	}
	done := make(chan error)
	go func() { done <- s.use("second") }()
	select {
	case err := <-done:
		t.Errorf("second was not waited for: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	leases[0].Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := s.states(t); got != "demo second third" {
		t.Errorf("loaded: %s", got)
	}
	leases[1].Release()
	if used, limit := s.core.Models.Memory(); used > limit || used != 3*charge {
		t.Errorf("%d of %d bytes are set aside", used, limit)
	}
	s.do("GET", "/metrics", "").expect(t, 200, `trit_model_loaded{model="second"} 1`, "trit_memory_limit_bytes")
}

func TestMemoryTooSmall(t *testing.T) {
	servertest.Copies(t, "other")
	s, err := New(Options{MemoryLimit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.core.Models.Acquire(t.Context(), "demo")
	if !errors.Is(err, trit.ErrMemory) {
		t.Fatal(err)
	}
	e := core.Classify(err)
	for _, want := range []string{"demo needs", "there is 1 MB", "KV cache", "memory_limit"} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("%q is not in %q", want, e.Message)
		}
	}
	if e.Status != 503 {
		t.Errorf("status %d", e.Status)
	}
	if used, _ := s.core.Models.Memory(); used != 0 {
		t.Errorf("%d bytes are set aside for nothing", used)
	}
	// What the server's own models hold will never be free.
	plan, err := trit.Plan("demo")
	if err != nil {
		t.Fatal(err)
	}
	own := serve(t, Options{MemoryLimit: plan.Fixed() + plan.KV(plan.Context) + 1<<20, Parallel: 1})
	if err := own.use("other"); !errors.Is(err, trit.ErrMemory) || !strings.Contains(err.Error(), "own models keep") {
		t.Error(err)
	}
}

// The KV cache takes what memory there is, and texts that do not fit together
// take turns.
func TestMemoryPressure(t *testing.T) {
	plan, err := trit.Plan("demo")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{MemoryLimit: plan.Fixed() + plan.KV(plan.Context) + plan.KVPage, Parallel: 6})
	l := s.demo()
	if got := inside.Of(l.Model).Scheduler.Gauges().Pages * plan.PageTokens; got < plan.Context || got > plan.Context+plan.PageTokens {
		t.Fatalf("the KV cache holds %d tokens", got)
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s.do("POST", "/v1/completions", `{"model":"demo","prompt":"Once upon a time","ignore_eos":true,"max_tokens":150,"n":2}`).expect(t, 200, `"completion_tokens":300`)
		})
	}
	wg.Wait()
	g := inside.Of(l.Model).Scheduler.Gauges()
	if g.UsedPages != 0 || g.Sessions != 0 {
		t.Errorf("%+v", g)
	}
	if g.Preemptions == 0 {
		t.Error("twelve texts of 150 tokens fitted; the test shows nothing")
	}
}

func TestConcurrentLoading(t *testing.T) {
	servertest.Copies(t, "first", "second", "third")
	plan, err := trit.Plan("demo")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{MemoryLimit: 2*(plan.Fixed()+plan.KV(plan.Context)) + 1<<20, Parallel: 1, KeepAlive: time.Millisecond})
	var wg sync.WaitGroup
	var ok, busy int
	var mu sync.Mutex
	for i := range 30 {
		wg.Go(func() {
			err := s.use([]string{"first", "second", "third"}[i%3])
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				ok++
			case core.Classify(err).Code == "out_of_memory":
				busy++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ok == 0 {
		t.Errorf("%d served, %d turned away", ok, busy)
	}
	s.until("all are unloaded", func() bool {
		used, _ := s.core.Models.Memory()
		return used == s.demo().Charge && s.states(t) == "demo"
	})
}

// TestAliasOfFile: a file has the name of its alias, also where another has its
// own already.
func TestAliasOfFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		t.Setenv(hub.HomeEnv, filepath.Join(dir, name))
		if _, err := hub.Copy(context.Background(), "demo", "m", false); err != nil {
			t.Fatal(err)
		}
	}
	a, b := filepath.Join(dir, "a", "models", "m.gguf"), filepath.Join(dir, "b", "models", "m.gguf")
	t.Setenv(hub.HomeEnv, filepath.Join(dir, "empty"))
	s := serve(t, Options{Models: []string{a}, Aliases: map[string]string{"other": b, "same": filepath.Dir(a) + "/./m.gguf", "later": "nobody"}})
	for name, want := range map[string]string{"": a, "m": a, "same": a, "other": b} {
		if m, err := s.core.Models.Resolve(name); err != nil || m.Path != want {
			t.Errorf("%q leads to %v (%v), want %s", name, m, err, want)
		}
	}
	if got := s.states(t); got != "m other" {
		t.Errorf("loaded: %s", got)
	}
	if log := s.log.String(); !strings.Contains(log, "alias=later model=nobody") || strings.Contains(log, "alias=other") {
		t.Errorf("the log is %s", log)
	}
}

func TestDropAndList(t *testing.T) {
	servertest.Copies(t, "first")
	s := serve(t, Options{Aliases: map[string]string{"gpt-4": "first"}})
	l, err := s.core.Models.Acquire(t.Context(), "gpt-4")
	if err != nil {
		t.Fatal(err)
	}
	if l.Name != "first" {
		t.Errorf("the alias leads to %s", l.Name)
	}
	if err := s.core.Models.Drop(t.Context(), "first"); core.Classify(err).Status != 409 {
		t.Errorf("a model in use was dropped: %v", err)
	}
	if err := s.core.Models.Drop(t.Context(), "demo"); core.Classify(err).Status != 409 {
		t.Errorf("the server's own model was dropped: %v", err)
	}
	list, err := s.core.Models.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || !list[0].Own || list[1].Name != "first" || list[1].Leases != 1 || list[1].State != core.StateLoaded || list[1].Memory == 0 || strings.Join(list[1].Aliases, "") != "gpt-4" {
		t.Errorf("%+v", list)
	}
	l.Release()
	if err := s.core.Models.Drop(t.Context(), "first"); err != nil {
		t.Error(err)
	}
	if got := s.states(t); got != "demo" {
		t.Errorf("loaded: %s", got)
	}
	if err := s.core.Models.Drop(t.Context(), "nothing"); err != nil {
		t.Error(err)
	}
}

// TestDerivedModels: models that are made of one share its memory, and one of the server's own that is derived keeps
// the weights in it.
func TestDerivedModels(t *testing.T) {
	servertest.Copies(t, "base")
	for _, d := range []hub.Derived{
		{Name: "red", From: "base", System: "Be kind.", Parameters: map[string]any{hub.ParameterPredict: 3.0, "temperature": 0.0}},
		{Name: "green", From: "base", Template: "{{ messages[-1].content }}", Parameters: map[string]any{"stop": " a"}},
	} {
		if _, err := hub.Create(d); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, Options{Models: []string{"red"}})
	if got := s.states(t); !strings.Contains(got, "red") || strings.Contains(got, "demo") {
		t.Errorf("loaded: %s", got)
	}
	s.do("GET", "/ready", "").expect(t, 200, `"red"`)
	before, _ := s.core.Models.Memory()
	// red is the first of the server's own, and ends as it says; the base does not.
	s.do("POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"Who are you?"}]}`).expect(t, 200, `"model":"red"`, `"completion_tokens":3`)
	s.do("POST", "/v1/completions", `{"model":"green","prompt":"Once upon","temperature":0}`).expect(t, 200, `"model":"green"`, `"text":""`)
	s.do("POST", "/v1/completions", `{"model":"base","prompt":"Once upon","temperature":0,"max_tokens":5}`).expect(t, 200, `"completion_tokens":5`)
	s.do("POST", "/apply-template", `{"model":"green","messages":[{"role":"user","content":"only this"}]}`).expect(t, 200, `"prompt":"only this"`)
	s.do("POST", "/apply-template", `{"model":"red","messages":[{"role":"user","content":"only this"}]}`).expect(t, 200, `Be kind.`)
	s.do("GET", "/metrics", "").expect(t, 200, `trit_model_loaded{model="base"} 1`)
	if after, _ := s.core.Models.Memory(); after != before {
		t.Errorf("%d bytes are used, %d before", after, before)
	}
}
