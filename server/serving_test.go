package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"trit"
	"trit/internal/inside"
	"trit/server/core"
)

func TestFaultsOfRequests(t *testing.T) {
	s := serve(t, Options{MaxBody: 20000})
	chat := "/v1/chat/completions"
	for _, c := range []struct {
		name, path, body string
		headers          []string
		status           int
		mentions         []string
	}{
		{"malformed", chat, `{"model":"demo",`, nil, 400, []string{"ends too early"}},
		{"not JSON", chat, `hello`, nil, 400, []string{"not valid JSON", "byte 1"}},
		{"two values", chat, `{} {}`, nil, 400, []string{"more than one JSON value"}},
		{"not an object", chat, `[1]`, nil, 400, nil},
		{"wrong type", chat, `{"model":"demo","messages":"hello"}`, nil, 400, []string{"messages"}},
		{"wrong type of a number", chat, `{"model":"demo","max_tokens":"many","messages":[{"role":"user","content":"x"}]}`, nil, 400, []string{"max_tokens"}},
		{"wrong kind of content", chat, `x=1`, []string{"Content-Type", "text/plain"}, 415, []string{"application/json"}},
		{"as curl sends it", chat, `{"messages":[]}`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, []string{"messages"}},
		{"huge body", chat, `{"model":"` + strings.Repeat("x", 30000) + `"}`, nil, 413, []string{"20000 bytes"}},
		{"unknown model", chat, `{"model":"gpt-4","messages":[{"role":"user","content":"x"}]}`, nil, 404, []string{"gpt-4", "model_not_found"}},
		{"a path is no model", chat, `{"model":"/etc/passwd","messages":[{"role":"user","content":"x"}]}`, nil, 404, nil},
		{"long prompt", chat, `{"model":"demo","messages":[{"role":"user","content":"` + strings.Repeat("the cat ", 2000) + `"}]}`, nil, 400, []string{"context_length_exceeded", "512"}},
		{"no messages", chat, `{"model":"demo","messages":[]}`, nil, 400, []string{"messages"}},
		{"nothing there", "/v1/nothing", `{}`, nil, 404, []string{"/v1/nothing", `"type":"invalid_request_error"`, `"param":null`}},
		{"nothing there for Anthropic's clients", "/v1/messages/batches", `{}`, nil, 404, []string{"/v1/messages/batches", `"type":"not_found_error"`, `"request_id"`}},
		{"nothing there for Ollama's clients", "/api/nothing", `{}`, nil, 404, []string{`{"error":"there is nothing at /api/nothing`}},
	} {
		t.Run(c.name, func(t *testing.T) { s.do("POST", c.path, c.body, c.headers...).expect(t, c.status, c.mentions...) })
	}
	r := s.do("PUT", "/health", "")
	r.expect(t, 405, "GET")
	if got := r.header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow is %q", got)
	}
	// The server is as well as before.
	s.do("POST", chat, `{"model":"demo","temperature":0,"messages":[{"role":"user","content":"What is the capital of France?"}]}`).expect(t, 200, "Paris")
	if g := inside.Of(s.demo().Model).Scheduler.Gauges(); g.Sessions != 0 || g.UsedPages != 0 {
		t.Errorf("%+v", g)
	}
}

func TestPanicBecomes500(t *testing.T) {
	s := serve(t, Options{})
	var routes []core.Route
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /early": func(http.ResponseWriter, *http.Request) error { panic("early") },
		"GET /late": func(w http.ResponseWriter, r *http.Request) error {
			out := s.core.NewReply(w, r, core.Events)
			defer out.Close()
			if err := out.Piece("", "begun"); err != nil {
				return err
			}
			panic("late")
		},
	} {
		routes = append(routes, core.Route{Pattern: pattern, Family: core.PlainFamily, Handle: handle})
	}
	listener := listen(t)
	hs := &http.Server{Handler: s.core.Handler(routes, pathFamily)}
	go hs.Serve(listener)
	defer hs.Close()
	url := s.url
	s.url = "http://" + listener.Addr().String()
	r := s.do("GET", "/early", "", "X-Request-Id", "mine-1")
	r.expect(t, 500, "internal_error", "mine-1")
	if strings.Contains(r.body, "early") {
		t.Error("the client learns what the panic was")
	}
	if _, err := s.try(t.Context(), "GET", "/late", ""); err == nil {
		t.Error("an answer that was cut looks complete")
	}
	s.url = url
	s.do("GET", "/health", "").expect(t, 200)
	for _, want := range []string{"panic=early", "panic=late", "serving_test.go", "id=mine-1"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not mention %q", want)
		}
	}
}

func TestSlowLoris(t *testing.T) {
	s := serve(t, Options{ReadTimeout: 200 * time.Millisecond})
	dial := func() net.Conn {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	t.Run("header", func(t *testing.T) {
		c := dial()
		io.WriteString(c, "GET /health HTTP/1.1\r\nHost: localhost\r\n")
		start := time.Now()
		if _, err := io.ReadAll(c); errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
			t.Errorf("the connection was open for %s: %v", time.Since(start), err)
		}
	})
	t.Run("body", func(t *testing.T) {
		c := dial()
		io.WriteString(c, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		start := time.Now()
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		if r.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(body), "200ms") || time.Since(start) > 5*time.Second {
			t.Errorf("status %d after %s: %s", r.StatusCode, time.Since(start), body)
		}
	})
	t.Run("an answer may take longer than the request", func(t *testing.T) {
		slowly := core.Route{Pattern: "POST /slow", Family: core.PlainFamily, Handle: func(w http.ResponseWriter, r *http.Request) error {
			var v struct{}
			if err := core.ReadJSON(r, &v); err != nil {
				return err
			}
			select {
			case <-r.Context().Done():
				return r.Context().Err()
			case <-time.After(600 * time.Millisecond):
				return core.WriteJSON(w, 200, "done")
			}
		}}
		listener := listen(t)
		hs := &http.Server{Handler: s.core.Handler([]core.Route{slowly}, pathFamily), ReadHeaderTimeout: 200 * time.Millisecond}
		go hs.Serve(listener)
		defer hs.Close()
		slow := *s
		slow.url = "http://" + listener.Addr().String()
		slow.do("POST", "/slow", "{}").expect(t, 200, "done")
	})
}

func TestFullQueue(t *testing.T) {
	s := serve(t, Options{Parallel: 1, Queue: 1})
	l, err := s.core.Models.Acquire(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	leave, err := l.Enter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"model":"demo","prompt":"Once","max_tokens":3}`
	first := make(chan reply)
	go func() { first <- s.do("POST", "/v1/completions", body) }()
	s.until("a request waits", func() bool { _, n := s.demo().Counts(); return n == 1 })
	r := s.do("POST", "/v1/completions", body)
	r.expect(t, 429, "queue_full")
	if r.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
	}
	s.do("GET", "/ready", "").expect(t, 503, "busy")
	s.do("GET", "/health", "").expect(t, 200)
	s.do("GET", "/metrics", "").expect(t, 200, `vllm:num_requests_waiting{model_name="demo"} 1`, `vllm:num_requests_running{model_name="demo"} 1`)
	// A client that gives up makes room.
	leave()
	r = <-first
	r.expect(t, 200)
	s.do("GET", "/ready", "").expect(t, 200)
}

func TestRequestTimeout(t *testing.T) {
	s := serve(t, Options{RequestTimeout: 300 * time.Millisecond, Open: wide()})
	r := s.do("POST", "/v1/completions", `{"model":"demo","prompt":"Once","ignore_eos":true,"max_tokens":60000}`)
	r.expect(t, 504, "timeout", "300ms", "request_timeout")
	s.until("the memory is free", func() bool {
		g := inside.Of(s.demo().Model).Scheduler.Gauges()
		return g.Sessions == 0 && g.UsedPages == 0
	})
}

// A client that goes away frees its pages within one step.
func TestCancellationFreesPages(t *testing.T) {
	s := serve(t, Options{Open: wide()})
	l, err := s.core.Models.Acquire(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	scheduler := inside.Of(l.Model).Scheduler
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	job := &core.Job{Model: l, Prompt: l.Model.Tokenize("Once upon a time"), Choices: 3, Options: []trit.GenerateOption{trit.IgnoreEnd(), trit.MaxTokens(50000)}}
	var steps int64
	n := 0
	var got error
	for _, err := range s.core.Run(ctx, job) {
		if err != nil {
			got = err
			break
		}
		if n++; n == 300 {
			if g := scheduler.Gauges(); g.UsedPages < 3 {
				t.Errorf("%d pages are used", g.UsedPages)
			}
			steps = scheduler.Steps()
			cancel()
		}
	}
	if g := scheduler.Gauges(); !errors.Is(got, context.Canceled) || g.UsedPages != 0 || g.Sessions != 0 || g.Steps > steps+1 {
		t.Errorf("%v; after %d steps: %+v", got, g.Steps-steps, g)
	}
	if running, waiting := l.Counts(); running != 0 || waiting != 0 {
		t.Errorf("%d running, %d waiting", running, waiting)
	}

	// The same through the network.
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	s.openStream(ctx, long(50000))
	cancel()
	s.until("the pages are free", func() bool { g := scheduler.Gauges(); return g.UsedPages == 0 && g.Sessions == 0 })
	s.until("the log has it", func() bool { return strings.Contains(s.log.String(), "the client has gone") })
	if c := l.Model.Metrics().Finished.Load(); c["cancelled"] < 4 {
		t.Errorf("finished: %v", c)
	}
}

// Somebody who does not read does not keep others waiting.
func TestSlowReader(t *testing.T) {
	s := serveOn(t, Options{Open: wide(), WriteTimeout: time.Second, Parallel: 4}, narrow{listen(t)})
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.(*net.TCPConn).SetReadBuffer(4096)
	body := long(60000)
	fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	s.until("the slow one runs", func() bool { n, _ := s.demo().Counts(); return n == 1 })
	start := time.Now()
	for range 5 {
		r := s.do("POST", "/v1/completions", `{"model":"demo","prompt":"Once upon a time","max_tokens":20,"ignore_eos":true}`)
		r.expect(t, 200)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("five short requests took %s beside a slow reader", d)
	}
	// It is given up in the end.
	s.until("the slow one is gone", func() bool {
		g := inside.Of(s.demo().Model).Scheduler.Gauges()
		return g.Sessions == 0 && g.UsedPages == 0
	})
}

// TestPlacesComeBack: clients that do not read, and one that reads a little now and then, hold all places; who waits
// for one gets it.
func TestPlacesComeBack(t *testing.T) {
	const places = 3
	s := serveOn(t, Options{Open: wide(), WriteTimeout: 600 * time.Millisecond, Parallel: places}, narrow{listen(t)})
	// Pieces of about 3 kB, so that a slow processor too makes more than is read below, 13 kB/s.
	body := `{"model":"demo","messages":[{"role":"user","content":"Tell me a story."}],"stream":true,"ignore_eos":true,` +
		`"max_tokens":60000,"logprobs":true,"top_logprobs":20}`
	for i := range places {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
			"Content-Length: %d\r\n\r\n%s", len(body), body)
		if i == 0 { // every piece is taken in time, but all together are not
			go func() {
				for b := make([]byte, 512); ; time.Sleep(40 * time.Millisecond) {
					if _, err := c.Read(b); err != nil {
						return
					}
				}
			}()
		}
		s.until("it runs", func() bool { n, _ := s.demo().Counts(); return n == i+1 })
	}
	s.do("POST", "/v1/completions", `{"prompt":"Once upon a time","max_tokens":5}`).expect(t, 200)
	s.until("all are gone", func() bool {
		running, waiting := s.demo().Counts()
		g := inside.Of(s.demo().Model).Scheduler.Gauges()
		return running == 0 && waiting == 0 && g.Sessions == 0 && g.UsedPages == 0
	})
	if n := s.demo().Model.Metrics().Finished.Load()["cancelled"]; n != places {
		t.Errorf("%v answers were given up, want %d", n, places)
	}
}

// The server answers while it is busy with a long prompt.
func TestHealthDuringLongPrompt(t *testing.T) {
	s := serve(t, Options{Open: wide()})
	prompt := strings.Repeat("the cat sat on the mat. ", 3000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := s.try(ctx, "POST", "/v1/completions", fmt.Sprintf(`{"model":"demo","prompt":%q,"max_tokens":1}`, prompt))
		done <- err
	}()
	s.until("the prompt runs", func() bool { return inside.Of(s.demo().Model).Scheduler.Gauges().UsedPages > 2 })
	const checks = 100
	var slow int
	var worst time.Duration
	for range checks {
		start := time.Now()
		s.do("GET", "/health", "").expect(t, 200)
		d := time.Since(start)
		if worst = max(worst, d); d > 50*time.Millisecond {
			slow++
		}
		time.Sleep(2 * time.Millisecond)
	}
	if len(done) > 0 {
		t.Error("the prompt was over before the checks were")
	}
	if slow > checks/20 { // machines that run many tests at a time have their moments
		t.Errorf("%d of %d answers took more than 50 ms; the longest %s", slow, checks, worst)
	}
	t.Logf("the slowest of %d checks took %s", checks, worst)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.until("the pages are free", func() bool { return inside.Of(s.demo().Model).Scheduler.Gauges().UsedPages == 0 })
}

func TestDrain(t *testing.T) {
	t.Run("streams finish", func(t *testing.T) {
		s := serve(t, Options{Open: wide(), DrainDelay: 300 * time.Millisecond, Grace: 20 * time.Second})
		tokens := 3000
		if testing.Short() {
			tokens = 500 // processors without assembly take long
		}
		_, in := s.openStream(t.Context(), long(tokens))
		s.stop()
		s.until("it is not ready", func() bool { return s.do("GET", "/ready", "").status == 503 })
		s.do("POST", "/v1/completions", `{"model":"demo","prompt":"Once"}`).expect(t, 503, "shutting down")
		rest, err := io.ReadAll(in)
		if err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") || !strings.Contains(string(rest), `"finish_reason":"length"`) {
			t.Errorf("the stream ends with %q, %v", rest[max(0, len(rest)-200):], err)
		}
		if err := <-s.done; err != nil {
			t.Error(err)
		}
		s.done <- nil
		if _, err := client.Get(s.url + "/health"); err == nil {
			t.Error("the server still answers")
		}
	})
	t.Run("or are cancelled", func(t *testing.T) {
		s := serve(t, Options{Open: wide(), Grace: 200 * time.Millisecond})
		_, in := s.openStream(t.Context(), long(60000))
		start := time.Now()
		s.stop()
		rest, err := io.ReadAll(in)
		if err != nil || !strings.Contains(string(rest), "shutting down") {
			t.Errorf("the stream ends with %q, %v", rest[max(0, len(rest)-200):], err)
		}
		if err := <-s.done; err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d < 200*time.Millisecond || d > 5*time.Second {
			t.Errorf("it took %s", d)
		}
		s.done <- nil
	})
}

func TestServeReportsWhatFails(t *testing.T) {
	s, err := New(Options{Models: []string{"/nowhere/model.gguf"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), listen(t)); err == nil || !strings.Contains(err.Error(), "/nowhere/model.gguf") {
		t.Errorf("Serve: %v", err)
	}
	for name, o := range map[string]Options{
		"a negative limit":   {RateLimit: -1},
		"an empty key":       {APIKeys: []string{""}},
		"an origin":          {CORSOrigins: []string{"example.org"}},
		"a host":             {AllowedHosts: []string{"http://example.org"}},
		"the same name":      {Models: []string{"a/m.gguf", "b/m.gguf"}},
		"an alias of itself": {Aliases: map[string]string{"demo": "x"}},
	} {
		if _, err := New(o); !errors.Is(err, core.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadyAndVersion(t *testing.T) {
	s := serve(t, Options{Aliases: map[string]string{"gpt-4": "demo"}})
	var ready readiness
	r := s.do("GET", "/ready", "")
	if err := json.Unmarshal([]byte(r.body), &ready); err != nil || len(ready.Models) != 1 || ready.Models[0].State != core.StateLoaded {
		t.Errorf("%v: %s", err, r.body)
	}
	s.do("GET", "/version", "").expect(t, 200, `"name":"trit"`, `"version":"`+Version()+`"`, runtime.Version(), "demo")
	s.do("GET", "/", "").expect(t, 200, "<html")
	for _, name := range []string{"gpt-4", "demo:latest", "gpt-4:latest", ""} {
		s.do("POST", "/v1/completions", fmt.Sprintf(`{"model":%q,"prompt":"Once","max_tokens":2}`, name)).expect(t, 200)
	}
	if got := s.states(t); got != "demo" {
		t.Errorf("loaded: %s", got)
	}
}
