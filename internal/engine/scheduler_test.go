package engine_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trit/internal/cache"
	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/model"
	"trit/internal/model/arch/decoder/decodertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opener makes a scheduler of a test's model.
type opener func(testing.TB, engine.Options) *engine.Scheduler

// onModels runs a test on a model without state, on one that gives pages back behind a
// sliding window, and on two with state: one whose state is as large as a page, and one
// of a real family, whose state is larger. A budget of pages is
// one for keys and values, and beside them for so many states.
func onModels(t *testing.T, states int, test func(*testing.T, opener)) {
	t.Run("attention", func(t *testing.T) { test(t, newScheduler) })
	for name, m := range map[string]*model.Model{"sums": decodertest.Open(t, model.LoadOptions{}), "qwen35": hybrid(t), "window": sliding(t, 20)} {
		t.Run(name, func(t *testing.T) {
			test(t, func(t testing.TB, o engine.Options) *engine.Scheduler {
				if o.CachePages > 0 {
					o.CachePages += states * statePages(t, m, o)
				}
				return schedulerOf(t, m, o)
			})
		})
	}
}

// statePages returns as how many pages a state counts.
func statePages(t testing.TB, m *model.Model, o engine.Options) int {
	t.Helper()
	o.CachePages = 0
	return engine.EstimateMemory(m, o).StatePages
}

func newScheduler(t testing.TB, o engine.Options) *engine.Scheduler {
	t.Helper()
	return schedulerOf(t, load(t, committed(), model.LoadOptions{}), o)
}

func schedulerOf(t testing.TB, m *model.Model, o engine.Options) *engine.Scheduler {
	t.Helper()
	if o.Threads == 0 {
		o.Threads = 2
	}
	e, err := engine.New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	s := engine.NewScheduler(e)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func session(t testing.TB, s *engine.Scheduler) *engine.Session {
	t.Helper()
	c, err := s.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestManyClients runs clients of random habits at once and compares each one's
// logits with those that it gets alone.
func TestManyClients(t *testing.T) { onModels(t, 0, testManyClients) }

func testManyClients(t *testing.T, newScheduler opener) {
	ctx := context.Background()
	s := newScheduler(t, engine.Options{MaxRows: 24})
	tokens := longTokens(120)
	alone := session(t, s)
	if err := alone.Run(ctx, tokens, engine.All, 0); err != nil {
		t.Fatal(err)
	}
	var want [][]float32
	for i := range tokens {
		want = append(want, slices.Clone(alone.Logits(i)))
	}
	var clients sync.WaitGroup
	for id := range 12 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			r := rand.New(rand.NewPCG(uint64(id), 7))
			c, err := s.NewSession()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for c.Len() < len(tokens) {
				n := min(1+r.IntN(1+r.IntN(40)), len(tokens)-c.Len())
				at := c.Len()
				if err := c.Run(ctx, tokens[at:at+n], engine.All, n-1); err != nil {
					t.Error(err)
					return
				}
				if !slices.Equal(c.Logits(0), want[at+n-1]) {
					t.Errorf("client %d: the logits after token %d differ from those of a client alone", id, at+n-1)
					return
				}
				switch r.IntN(8) {
				case 0:
					if err := c.Truncate(r.IntN(c.Len() + 1)); err != nil {
						t.Error(err)
					}
				case 1:
					f, err := c.Fork()
					if err != nil {
						t.Error(err)
						return
					}
					c.Close()
					c = f
				case 2:
					time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
				}
			}
		}()
	}
	clients.Wait()
}

// TestCancelledClient: a client that has gone is dropped within a step, and
// the others do not notice.
func TestCancelledClient(t *testing.T) { onModels(t, 0, testCancelledClient) }

func testCancelledClient(t *testing.T, newScheduler opener) {
	s := newScheduler(t, engine.Options{MaxRows: 4, Context: 4096})
	c, other := session(t, s), session(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		time.Sleep(5 * time.Millisecond)
		cancel()
	}()
	err := c.Run(ctx, longTokens(4000), engine.None, 0)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run gives %v", err)
	}
	if c.Len() >= 4000 {
		t.Error("the cancelled run went on to its end")
	}
	if err := other.Run(context.Background(), goldenTokens, engine.All, 15); err != nil {
		t.Error(err)
	}
	if err := c.Run(context.Background(), goldenTokens, engine.None, 0); err != nil {
		t.Errorf("the session cannot go on after a cancelled run: %v", err)
	}
	deadline, stop := context.WithTimeout(context.Background(), time.Millisecond)
	defer stop()
	if err := c.Run(deadline, longTokens(2000), engine.None, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a run past its deadline gives %v", err)
	}
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	s := newScheduler(t, engine.Options{CachePages: 2, Context: 1000})
	c := session(t, s)
	if err := c.Run(ctx, longTokens(1001), engine.None, 0); !errors.Is(err, engine.ErrContext) {
		t.Errorf("more tokens than the context: %v", err)
	}
	if err := c.Run(ctx, []int32{1, 512}, engine.None, 0); !errors.Is(err, engine.ErrToken) {
		t.Errorf("a token beyond the vocabulary: %v", err)
	}
	if err := c.Run(ctx, []int32{-1}, engine.None, 0); !errors.Is(err, engine.ErrToken) {
		t.Errorf("a negative token: %v", err)
	}
	if err := c.Run(ctx, longTokens(65), engine.None, 0); !errors.Is(err, cache.ErrFull) {
		t.Errorf("more tokens than the cache: %v", err)
	}
	if c.Len() != 0 {
		t.Errorf("%d tokens were run by runs that failed", c.Len())
	}
	if err := c.Run(ctx, longTokens(64), engine.None, 0); err != nil {
		t.Errorf("as many tokens as the cache holds: %v", err)
	}
	if err := c.Truncate(65); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("truncating to more than there is: %v", err)
	}
	c.Close()
	if err := c.Run(ctx, goldenTokens, engine.None, 0); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("running a closed session: %v", err)
	}
	s.Close()
	s.Close()
	if _, err := s.NewSession(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a session of a closed scheduler: %v", err)
	}
}

func TestOptions(t *testing.T) {
	m := load(t, committed(), model.LoadOptions{})
	for _, o := range []engine.Options{{MaxRows: -1}, {MaxRows: 1 << 20}, {Context: -5}, {Threads: -1}, {Threads: 1 << 20}, {CachePages: -1}} {
		if e, err := engine.New(m, o); err == nil {
			e.Close()
			t.Errorf("an engine was made with %+v", o)
		}
	}
}

// TestBatchErrors pins what a batch refuses.
func TestBatchErrors(t *testing.T) {
	m := load(t, committed(), model.LoadOptions{})
	e := newEngine(t, m, engine.Options{MaxRows: 2, Context: 3})
	other := newEngine(t, m, engine.Options{})
	b := e.NewBatch()
	s := e.NewSequence()
	add := func(s *engine.Sequence, token int32, want engine.Want, sel *head.Selector) error {
		_, err := b.Add(s, token, want, sel)
		return err
	}
	if err := add(other.NewSequence(), 1, engine.None, nil); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("a foreign sequence: %v", err)
	}
	if err := add(s, 1, engine.Select, nil); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("Select without a selector: %v", err)
	}
	if err := add(s, 1, engine.All, &head.Selector{}); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("a selector without Select: %v", err)
	}
	if err := errors.Join(add(s, 1, engine.None, nil), add(s, 2, engine.None, nil)); err != nil {
		t.Fatal(err)
	}
	if err := add(s, 3, engine.None, nil); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("one row too many: %v", err)
	}
	if err := s.Truncate(0); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("truncating a sequence of a batch: %v", err)
	}
	if err := other.Step(b, nil); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("a foreign batch: %v", err)
	}
	if err := e.Step(b, nil); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := e.Step(b, nil); err != nil {
		t.Errorf("an empty batch: %v", err)
	}
	if err := add(s, 3, engine.None, nil); err != nil {
		t.Fatal(err)
	}
	if err := add(s, 4, engine.None, nil); !errors.Is(err, engine.ErrContext) {
		t.Errorf("a token past the context: %v", err)
	}
	s.Close()
	s.Close()
	if err := e.Step(b, nil); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("a batch with a closed sequence: %v", err)
	}
	b.Reset()
	if err := add(s, 1, engine.None, nil); !errors.Is(err, engine.ErrBatch) {
		t.Errorf("a closed sequence: %v", err)
	}
}

// TestStepDoesNotAllocate counts allocations of decode steps, alone and with
// eight sequences, across page borders.
func TestStepDoesNotAllocate(t *testing.T) {
	m := load(t, committed(), model.LoadOptions{})
	e := newEngine(t, m, engine.Options{Context: 1024, CachePages: 300})
	for _, sequences := range []int{1, 8} {
		b := e.NewBatch()
		var list []*engine.Sequence
		for range sequences {
			s := e.NewSequence()
			defer s.Close()
			list = append(list, s)
		}
		step := func() {
			b.Reset()
			for i, s := range list {
				if _, err := b.Add(s, int32(i+1), engine.All, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Step(b, nil); err != nil {
				t.Fatal(err)
			}
		}
		step() // the batch's own lists grow once
		if n := testing.AllocsPerRun(300, step); n != 0 {
			t.Errorf("%d sequences: %v allocations per step", sequences, n)
		}
	}
}
