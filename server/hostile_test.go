package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trit/internal/engine"
	"trit/internal/inside"
	"trit/server/core"
)

// mistaken is an observer of an engine with a mistake in it.
type mistaken struct{}

func (mistaken) Stage(int, string, int, int, []float32) { panic("a mistake") }

// loaded returns the model of that name, nil while it is not loaded.
func (s *served) loaded(name string) (found *core.Loaded) {
	s.core.Models.Each(func(l *core.Loaded) {
		if l.Name == name && l.Model != nil {
			found = l
		}
	})
	return found
}

// TestHostileSoak has 64 honest clients, a fifth of which leave, at three models. First they are alone. Then every
// attack is sent beside them, again and again, and two clients read slowly; the file of one model is truncated,
// and the engine of another panics. Honest requests fail only where their model is gone, and nothing is left. It
// takes as long as TRIT_SOAK says, or a quarter of an hour with TRIT_LONG=1.
func TestHostileSoak(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("TRIT_SOAK"))
	switch {
	case err != nil && os.Getenv("TRIT_LONG") == "":
		t.Skip("it takes long: set TRIT_LONG=1 or TRIT_SOAK=1m")
	case err != nil:
		duration = 15 * time.Minute
	}
	const clients = 64
	data, dir := demoFile(t), t.TempDir()
	names := []string{"demo", "victim", "mistaken"}
	models := []string{"demo"}
	for _, name := range names[1:] {
		models = append(models, filepath.Join(dir, name+".gguf"))
		if err := os.WriteFile(models[len(models)-1], data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, Options{Models: models, Parallel: 24, Queue: 2 * clients, WriteTimeout: 2 * time.Second})
	shared := strings.Repeat("Once upon a time there was a cat who had a red hat. ", 4)
	var gone [3]atomic.Bool // models whose requests may fail

	// run has the honest clients for some time, and returns how long their answers took for each token.
	run := func(duration time.Duration) (p99 time.Duration) {
		end := time.Now().Add(duration)
		var mu sync.Mutex
		var times []time.Duration
		var complete, failed, busy int
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(2, uint64(i)))
				for time.Now().Before(end) && !t.Failed() {
					which := i % len(names)
					leave := random.IntN(5) == 0
					before, start := gone[which].Load(), time.Now()
					n, err := s.soakOnce(random, names[which], shared, 200, leave)
					took := time.Since(start)
					refused, isRefused := errors.AsType[*refusal](err)
					mu.Lock()
					switch {
					case err == nil && !leave:
						complete++
						times = append(times, took/time.Duration(max(n, 1)))
					case err == nil:
					case isRefused && refused.status == http.StatusTooManyRequests:
						busy++
					case before || gone[which].Load():
						failed++
					default:
						t.Errorf("%s: %v", names[which], err)
					}
					mu.Unlock()
					if err != nil {
						time.Sleep(50 * time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
		if len(times) == 0 {
			t.Fatal("no answer was complete")
		}
		slices.Sort(times)
		p99 = times[len(times)*99/100]
		t.Logf("%d answers complete, %d of models that were gone, %d too many; p99 of the time for a token %s", complete, failed, busy, p99)
		return p99
	}
	rest := func() uint64 {
		s.until("all places are free", func() bool {
			running, waiting := s.demo().Counts()
			return running == 0 && waiting == 0
		})
		if err := inside.Of(s.demo().Model).Scheduler.ForgetPrefixes(); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	calm := run(duration / 4)
	heap, routines := rest(), runtime.NumGoroutine()

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var attacked [600]atomic.Int64 // by status
	all := attacks()
	for i := range all {
		wg.Go(func() {
			for a := &all[i]; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
				r, err := s.try(ctx, "POST", a.path, a.body)
				if err == nil {
					attacked[r.status].Add(1)
				}
				if err == nil && r.status >= 500 && r.status != http.StatusServiceUnavailable && r.status != http.StatusGatewayTimeout {
					t.Errorf("%s: %d %.300s", a.name, r.status, r.body)
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				s.readSlowly(ctx)
			}
		})
	}
	wg.Go(func() {
		pause := func() {
			select {
			case <-ctx.Done():
			case <-time.After(duration / 4):
			}
		}
		pause()
		gone[1].Store(true)
		if err := os.Truncate(models[1], 4096); err != nil {
			t.Error(err)
		}
		gone[2].Store(true)
		if l := s.loaded("mistaken"); l != nil {
			session, err := inside.Of(l.Model).Scheduler.NewSession()
			if err != nil {
				t.Error(err)
			} else if err := session.Observe(ctx, []int32{4}, engine.Hidden, 0, mistaken{}); !errors.Is(err, engine.ErrBroken) {
				t.Errorf("the engine goes on: %v", err)
			}
		}
		pause()
		// The one whose file is whole is back by now.
		s.until("the model is loaded again", func() bool {
			r, err := s.try(ctx, "POST", "/v1/completions", `{"model":"mistaken","prompt":"Once","max_tokens":2}`)
			return ctx.Err() != nil || err == nil && r.status == http.StatusOK
		})
		gone[2].Store(false)
	})
	hostile := run(duration * 3 / 4)
	stop()
	wg.Wait()
	for status := range attacked {
		if n := attacked[status].Load(); n > 0 {
			t.Logf("%d attacks were answered %d", n, status)
		}
	}
	client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	after := rest()
	s.until("the goroutines of the requests have ended", func() bool { return runtime.NumGoroutine() <= routines+4 })
	if after > heap+heap/4+32<<20 {
		t.Errorf("the heap grew from %d to %d bytes", heap, after)
	}
	t.Logf("p99 %s, alone %s; heap %.1f → %.1f MB", hostile, calm, float64(heap)/1e6, float64(after)/1e6)
}

// readSlowly asks for a long stream and takes a little of it now and then, until it is given up.
func (s *served) readSlowly(ctx context.Context) {
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	body := `{"model":"demo","prompt":"Once","stream":true,"ignore_eos":true,"max_tokens":500,"logprobs":5}`
	fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		len(body), body)
	for b := make([]byte, 64); ; time.Sleep(50 * time.Millisecond) {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}
