package engine_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"trit/internal/cache"
	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/model"
)

// TestPreemption lets more clients run than the KV cache has room for, idle ones
// and such that try, cut and fork among them. All of them get the logits that
// they get alone.
func TestPreemption(t *testing.T) { onModels(t, 3, testPreemption) }

func testPreemption(t *testing.T, newScheduler opener) {
	texts, prefixes := prompts(4, 40, 70), []int{0, -1}
	if testing.Short() {
		texts, prefixes = prompts(4, 40, 30), prefixes[1:]
	}
	for _, prefixPages := range prefixes {
		s := newScheduler(t, engine.Options{MaxRows: 24, Context: 200, CachePages: 9, PrefixPages: prefixPages})
		var want [][]float32 // [text·len + position]
		for _, text := range texts {
			c := session(t, s)
			c.SetPrivate(true)
			if err := c.Run(context.Background(), text, engine.All, 0); err != nil {
				t.Fatal(err)
			}
			for i := range text {
				want = append(want, slices.Clone(c.Logits(i)))
			}
			c.Close()
		}
		var clients sync.WaitGroup
		for id := range 7 {
			clients.Add(1)
			go func() {
				defer clients.Done()
				r := rand.New(rand.NewPCG(uint64(id), 5))
				which := id % len(texts)
				text := texts[which]
				c, err := s.NewSession()
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { c.Close() }()
				c.SetPrivate(id == 3)
				for c.Len() < len(text) {
					at := c.Len()
					if !slices.Equal(c.Tokens(), text[:at]) {
						t.Errorf("client %d has other tokens than it has run", id)
						return
					}
					n := 1
					if r.IntN(5) == 0 {
						n = 1 + r.IntN(len(text)-at)
					}
					job := engine.Job{Session: c, Tokens: text[at : at+n], Want: engine.All, From: r.IntN(n), Guesses: max(0, r.IntN(3*n+1)-2*n)}
					var sel []*head.Selector
					if r.IntN(3) == 0 {
						job.Want = engine.Select
						for range n - job.From {
							sel = append(sel, &head.Selector{K: 5})
						}
						job.Selectors = slices.Clone(sel)
					}
					ctx, cancel := context.WithCancel(context.Background())
					if r.IntN(8) == 0 {
						time.AfterFunc(time.Duration(r.IntN(300))*time.Microsecond, cancel)
					}
					err := s.Run(ctx, []engine.Job{job})
					cancel()
					if errors.Is(err, context.Canceled) {
						if c.Len() < at {
							t.Errorf("client %d loses tokens: %d, before %d", id, c.Len(), at)
							return
						}
						continue
					}
					if err != nil {
						t.Errorf("client %d: %v", id, err)
						return
					}
					for i := range n - job.From {
						all := want[which*len(text)+at+job.From+i]
						if job.Want == engine.All && !slices.Equal(c.Logits(i), all) {
							t.Errorf("client %d: the logits after token %d are not those of a client alone", id, at+job.From+i)
							return
						}
						if sel != nil {
							for k, token := range sel[i].Tokens {
								if sel[i].Logits[k] != all[token] {
									t.Errorf("client %d: the selection after token %d is not that of a client alone", id, at+job.From+i)
									return
								}
							}
						}
					}
					switch r.IntN(40) {
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
					case 2, 3:
						time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
					}
				}
			}()
		}
		clients.Wait()
		if s.Preemptions() == 0 {
			t.Error("nobody had to give way: the test tries nothing")
		}
		checkAllFree(t, s)
	}
}

// TestIdleSessions: sessions that nobody runs give way, and go on where they
// were; what does not fit alone is an error.
func TestIdleSessions(t *testing.T) { onModels(t, 1, testIdleSessions) }

func testIdleSessions(t *testing.T, newScheduler opener) {
	ctx := context.Background()
	s := newScheduler(t, engine.Options{Context: 400, CachePages: 5, PrefixPages: -1})
	text := longTokens(160)
	want := lastLogits(t, s, [][]int32{text})[0]
	var sessions []*engine.Session
	for range 4 {
		c := session(t, s)
		sessions = append(sessions, c)
		if err := c.Run(ctx, text[:120], engine.None, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n, most := s.Engine().Cache().InUse(), s.Engine().Cache().Config().MaxPages; n > most {
		t.Errorf("%d of %d pages are in use", n, most)
	}
	for i, c := range sessions {
		if c.Len() != 120 {
			t.Errorf("session %d has %d tokens", i, c.Len())
		}
		if i == 2 {
			if err := c.Truncate(100); err != nil {
				t.Fatal(err)
			}
		}
		if i == 3 {
			if err := errors.Join(c.Assign(sessions[1]), c.Truncate(130)); err != nil {
				t.Fatal(err)
			}
		}
		at := c.Len()
		if i == 1 {
			var o countRows
			if err := c.Observe(ctx, text[at:], engine.All, 160-at-1, &o); err != nil {
				t.Fatal(err)
			}
			if o.rows != 160-at {
				t.Errorf("the observer sees %d rows, want %d", o.rows, 160-at)
			}
		} else if err := c.Run(ctx, text[at:], engine.All, 160-at-1); err != nil {
			t.Fatal(err)
		}
		equalBits(t, "logits of a session that had to give way", c.Logits(0), want)
	}
	c := session(t, s)
	if err := c.Run(ctx, longTokens(161), engine.None, 0); !errors.Is(err, cache.ErrFull) {
		t.Errorf("more than fits alone: %v", err)
	}
}

// countRows counts the tokens that go in.
type countRows struct{ rows int }

func (o *countRows) Stage(layer int, name string, rows, width int, data []float32) {
	if layer == model.LayerIn {
		o.rows += rows
	}
}
