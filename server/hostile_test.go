package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
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

// TestHostileSoak has 64 honest clients of all APIs, a fifth of which leave, at three models.
// First they are alone. Then
// every attack is sent beside them, again and again, connections say nothing, little, or what is no HTTP, another
// origin asks for models, and two clients read slowly; the file of one model is truncated, and the engine of another
// panics. Honest requests fail only where their model is gone, and nothing is left. It takes as long as TRIT_SOAK says,
// or a quarter of an hour with TRIT_LONG=1; a quarter of that is the calm before.
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
	// Every client has a key, and whoever attacks has one, too.
	key := func(client string) []string { return []string{"Authorization", "Bearer " + client} }
	keys := []string{"hostile"}
	for i := range clients {
		keys = append(keys, fmt.Sprint("client", i))
	}
	s := serve(t, Options{Models: models, Parallel: 24, Queue: 2 * clients, WriteTimeout: 2 * time.Second, APIKeys: keys,
		Log: slog.New(slog.DiscardHandler)})
	shared := strings.Repeat("Once upon a time there was a cat who had a red hat. ", 4)
	var gone [3]atomic.Bool // models whose requests may fail

	// run has the honest clients for some time, and returns how long their answers took for each token.
	run := func(duration time.Duration) (p50, p99 time.Duration) {
		end := time.Now().Add(duration)
		var mu sync.Mutex
		var times []time.Duration
		var complete, left, busy int
		failed := map[string]int{} // of models that were gone, by what was said
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(2, uint64(i)))
				for time.Now().Before(end) && !t.Failed() {
					which := i % len(names)
					leave := random.IntN(5) == 0
					before, start := gone[which].Load(), time.Now()
					n, err := s.mixedOnce(random, names[which], shared, leave, key(keys[1+i])...)
					took := time.Since(start)
					refused, isRefused := errors.AsType[*refusal](err)
					mu.Lock()
					switch {
					case err == nil && !leave:
						complete++
						times = append(times, took/time.Duration(max(n, 1)))
					case err == nil:
						left++
					case isRefused && refused.status == http.StatusTooManyRequests:
						busy++
					case before || gone[which].Load():
						what := "the stream ended with an error"
						if isRefused {
							what = fmt.Sprint("status ", refused.status)
						}
						failed[what]++
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
		p50, p99 = times[len(times)/2], times[len(times)*99/100]
		t.Logf("%d answers complete, %d left, %d too many, failures of models that were gone %v; a token takes %s, p99 %s",
			complete, left, busy, failed, p50, p99)
		return p50, p99
	}
	quiet := func() {
		client.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
	}
	rest := func() uint64 {
		quiet()
		s.until("all places are free", func() bool {
			running, waiting := s.demo().Counts()
			return running == 0 && waiting == 0
		})
		if err := inside.Of(s.demo().Model).Scheduler.ForgetPrefixes(); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.GC() // pools keep what they have for one
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	calmly, calm := run(duration / 4)
	quiet()
	time.Sleep(time.Second) // until the server has seen that its connections are closed
	heap, routines := rest(), runtime.NumGoroutine()

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var attacked [600]atomic.Int64 // by status
	all := attacks()
	for i := range all {
		wg.Go(func() {
			for a := &all[i]; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
				r, err := s.try(ctx, "POST", a.path, a.body, key("hostile")...)
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
	for i, said := range []string{"", "GET / HT", "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
		"Content-Length: 100\r\n\r\n{", "\x16\x03\x01\x02\x00\x01\x00", "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"} {
		wg.Go(func() {
			for ctx.Err() == nil {
				s.linger(ctx, said, i%2 == 0)
			}
		})
	}
	wg.Go(func() { // a page of somebody else
		for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
			r, err := s.try(ctx, "GET", "/props?model=nobody", "",
				append(key("hostile"), "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site")...)
			if err == nil && r.status != http.StatusForbidden && r.status != http.StatusNotFound {
				t.Errorf("another origin has the answer %d %.300s", r.status, r.body)
			}
		}
	})
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
		for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
			r, err := s.try(ctx, "POST", "/v1/completions", `{"model":"mistaken","prompt":"Once","max_tokens":2}`, key(keys[1])...)
			if err == nil && r.status == http.StatusOK {
				gone[2].Store(false)
				return
			}
		}
	})
	hostilely, hostile := run(duration * 3 / 4)
	stop()
	wg.Wait()
	if gone[2].Load() {
		t.Error("the model whose engine had panicked was not loaded again")
	}
	for status := range attacked {
		if n := attacked[status].Load(); n > 0 {
			t.Logf("%d attacks were answered %d", n, status)
		}
	}
	s.until("the goroutines of the requests have ended", func() bool {
		quiet()
		return runtime.NumGoroutine() <= routines+16
	})
	// Bodies that nobody waits for any more are kept for some seconds.
	after, most := rest(), heap+heap/4+32<<20
	for end := time.Now().Add(2 * time.Minute); after > most && time.Now().Before(end); after = rest() {
		time.Sleep(time.Second)
	}
	if after > most {
		t.Errorf("the heap grew from %d to %d bytes", heap, after)
	}
	t.Logf("a token takes %s, alone %s; p99 %s, alone %s; heap %.1f → %.1f MB; goroutines %d → %d", hostilely, calmly, hostile, calm,
		float64(heap)/1e6, float64(after)/1e6, routines, runtime.NumGoroutine())
}

// dialects are requests for streams in the forms of all APIs, with a model, a prompt and a length, what their events
// begin with, and what their last one has.
var dialects = []struct {
	path, body, event string
	end               *regexp.Regexp
}{
	{"/v1/completions", `{"model":%q,"prompt":%q,"max_tokens":%d,"stream":true,"ignore_eos":true}`, "data: ", done},
	{"/v1/completions", `{"model":%q,"prompt":%q,"max_tokens":%d,"stream":true,"ignore_eos":true,"n":2}`, "data: ", done},
	{"/v1/chat/completions", `{"model":%q,"messages":[{"role":"user","content":%q}],"max_tokens":%d,"stream":true,"ignore_eos":true}`,
		"data: ", done},
	{"/v1/responses", `{"model":%q,"input":%q,"max_output_tokens":%d,"stream":true}`, "data: ",
		regexp.MustCompile(`"response\.(in)?complete`)},
	{"/v1/messages", `{"model":%q,"messages":[{"role":"user","content":%q}],"max_tokens":%d,"stream":true}`, "data: ",
		regexp.MustCompile(`"message_stop"`)},
	{"/api/generate", `{"model":%q,"prompt":%q,"options":{"num_predict":%d}}`, "{", regexp.MustCompile(`"done":true`)},
	{"/api/chat", `{"model":%q,"messages":[{"role":"user","content":%q}],"options":{"num_predict":%d}}`, "{", regexp.MustCompile(`"done":true`)},
	{"/completion", `{"model":%q,"prompt":%q,"n_predict":%d,"stream":true,"ignore_eos":true}`, "data: ",
		regexp.MustCompile(`"stop":true`)},
	{"/v1/chat/completions", `{"model":%q,"messages":[{"role":"user","content":%q}],"max_tokens":%d,"stream":true,` +
		`"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"array","items":{"type":"integer"}}}}}`,
		"data: ", done},
}

// mixedOnce sends one request for a stream in any form and reads it, or leaves before its end.
func (s *served) mixedOnce(random *rand.Rand, model, shared string, leave bool, headers ...string) (
	events int, err error) {
	d := &dialects[random.IntN(len(dialects))]
	limit := 16 + random.IntN(200)
	return s.stream(d.path, fmt.Sprintf(d.body, model, shared[:random.IntN(len(shared)-1)+1], limit), d.event, d.end, leave,
		random.IntN(limit), headers...)
}

// linger opens a connection, says something, and waits until it is closed; or resets it soon.
func (s *served) linger(ctx context.Context, said string, reset bool) {
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := io.WriteString(c, said); err != nil {
		return
	}
	if reset {
		time.Sleep(200 * time.Millisecond)
		_ = c.(*net.TCPConn).SetLinger(0)
		return
	}
	_, _ = io.Copy(io.Discard, c)
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
	fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer hostile\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		len(body), body)
	for b := make([]byte, 64); ; time.Sleep(50 * time.Millisecond) {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}
