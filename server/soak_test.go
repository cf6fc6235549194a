package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"trit/internal/inside"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"

	"trit"
)

// TestSoak lets many streaming clients at the server, a fifth of which leave in
// the middle, and checks that nothing goes wrong and nothing is left. It takes a
// few seconds, or with TRIT_LONG=1 minutes.
func TestSoak(t *testing.T) { soak(t, nil) }

// TestSoakHybrid is the same with a model that keeps state.
func TestSoakHybrid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.gguf")
	data := synthtest.Bytes(t, synthtest.Shape(t, "tiny-qwen35"), synth.Options{})
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	soak(t, []string{path})
}

func soak(t *testing.T, models []string) {
	clients, longest := 64, 200
	duration := 3 * time.Second
	if os.Getenv("TRIT_LONG") != "" {
		duration = 4 * time.Minute
	}
	if testing.Short() { // each client finishes what it has begun, which takes an emulator or the race detector long
		duration, clients, longest = time.Second, 16, 60
	}
	s := serve(t, Options{Models: models, Parallel: 24, Queue: clients})
	scheduler := inside.Of(s.demo().Model).Scheduler
	shared := strings.Repeat("Once upon a time there was a cat who had a red hat. ", 4)

	var complete, left, tokens atomic.Int64
	end := time.Now().Add(duration)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for time.Now().Before(end) && !t.Failed() {
				leave := random.IntN(5) == 0
				n, err := s.soakOnce(random, "demo", shared, longest, leave)
				tokens.Add(int64(n))
				switch {
				case err != nil:
					t.Error(err)
				case leave:
					left.Add(1)
				default:
					complete.Add(1)
				}
			}
		})
	}
	// The heap is looked at in the second and in the last quarter. On a machine that is busy
	// a short run may have no look in one of them, and says nothing of the heap then.
	memory := make(chan [2]uint64, 1)
	go func() {
		var early, late uint64
		for start := time.Now(); time.Now().Before(end); time.Sleep(duration / 50) {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			switch at := time.Since(start) * 4 / duration; at {
			case 1:
				early = max(early, m.HeapAlloc)
			case 3:
				late = max(late, m.HeapAlloc)
			}
		}
		memory <- [2]uint64{early, late}
	}()
	wg.Wait()
	heap := <-memory
	if early, late := heap[0], heap[1]; early > 0 && late > early+early/4+16<<20 {
		t.Errorf("the heap grew from %d to %d bytes", early, late)
	}
	s.until("all places are free", func() bool {
		running, waiting := s.demo().Counts()
		return running == 0 && waiting == 0 && scheduler.Gauges().Sessions == 0
	})
	if err := scheduler.ForgetPrefixes(); err != nil {
		t.Error(err)
	}
	g := scheduler.Gauges()
	if g.UsedPages != 0 || g.PrefixPages != 0 || g.FreePages() != g.Pages || g.Queued != 0 || g.States.Held != 0 || g.States.Snapshots != 0 {
		t.Errorf("pages are left: %+v", g)
	}
	if complete.Load() == 0 || left.Load() == 0 {
		t.Error("the test shows nothing")
	}
	finished := s.demo().Model.Metrics().Finished.Load()
	if finished["error"] > 0 {
		t.Errorf("finished: %v", finished)
	}
	t.Logf("%d answers complete, %d left, %d events in %s; %d preemptions, prefix cache %.0f %%, heap %.1f → %.1f MB, finished %v",
		complete.Load(), left.Load(), tokens.Load(), duration, g.Preemptions, 100*g.Prefix.HitRate(), float64(heap[0])/1e6, float64(heap[1])/1e6, finished)
}

// refusal is an answer that is no stream.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.text) }

// done is the end of OpenAI's streams.
var done = regexp.MustCompile(`\[DONE\]`)

// soakOnce sends one request for a stream and reads it, or leaves before its end.
func (s *served) soakOnce(random *rand.Rand, model, shared string, longest int, leave bool) (events int, err error) {
	limit := 1 + random.IntN(longest)
	prompt := shared[:random.IntN(len(shared)-1)+1]
	path, body := "/v1/completions", fmt.Sprintf(`{"model":%q,"prompt":%q,"stream":true,"ignore_eos":true,"max_tokens":%d,"n":%d}`, model, prompt, limit, 1+random.IntN(2))
	if random.IntN(2) == 0 {
		path, body = "/v1/chat/completions", fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}],"stream":true,"ignore_eos":true,"max_tokens":%d}`, model, prompt, limit)
	}
	return s.stream(path, body, "data: ", done, leave, random.IntN(limit))
}

// stream reads the answer to a request, lines with events and an end, or leaves after some events.
func (s *served) stream(path, body, event string, end *regexp.Regexp, leave bool, goodbye int, headers ...string) (
	events int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	r, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(r.Body)
		return 0, &refusal{r.StatusCode, string(text)}
	}
	in := bufio.NewScanner(r.Body)
	in.Buffer(nil, 1<<20)
	ended := false
	for in.Scan() {
		line := in.Text()
		switch {
		case !strings.HasPrefix(line, event):
			continue
		case strings.HasPrefix(line[len(event):], `{"error"`), strings.HasPrefix(line[len(event)-1:], `{"error"`),
			strings.HasPrefix(line, `data: {"type":"error"`):
			return events, errors.New(line)
		case end.MatchString(line):
			ended = true
		default:
			events++
		}
		if leave && events > goodbye {
			return events, nil
		}
	}
	if err := in.Err(); err != nil {
		return events, err
	}
	if !ended {
		return events, fmt.Errorf("a stream ended after %d events without its end", events)
	}
	return events, nil
}

// BenchmarkServe measures the tokens per second of streams over HTTP, from one
// client and from eight at a time, on the demo model or the one that
// TRIT_BENCH_MODEL names:
//
//	trit synth --shape bitnet-2b 2b.gguf
//	TRIT_BENCH_MODEL=$PWD/2b.gguf go test ./server -run - -bench Serve -benchtime 16x
//
// The texts are greedy: random weights give flat distributions, and choosing from
// those costs more than it does with a model. Prompts have five tokens, as "Once upon
// a time" has in the vocabulary of such a model; that of random weights knows only
// bytes.
func BenchmarkServe(b *testing.B) {
	path, tokens := os.Getenv("TRIT_BENCH_MODEL"), 128
	if path == "" {
		path, tokens = "demo", 200
	}
	for _, clients := range []int{1, 8} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := serve(b, Options{Models: []string{path}, Open: []trit.Option{trit.Threads(0)}})
			body := fmt.Sprintf(`{"prompt":[1,2,3,4,5],"stream":true,"ignore_eos":true,"temperature":0,"max_tokens":%d}`, tokens)
			var next atomic.Int64
			b.ResetTimer()
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						s.do("POST", "/v1/completions", body).expect(b, 200, "[DONE]")
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N*tokens)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
