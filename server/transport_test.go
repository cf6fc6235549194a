package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// portless returns a client of a server without a port.
func portless(t *testing.T, o Options) (*http.Client, *Server) {
	t.Helper()
	if o.Models == nil {
		o.Models = []string{"demo"}
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &http.Client{Transport: s.Transport()}, s
}

func TestTransport(t *testing.T) {
	client, s := portless(t, Options{})
	if err := s.Load(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method, url, body string
		status            int
		kind, want        string
	}{
		{"POST", "http://trit/v1/completions", `{"prompt":"Once upon a","max_tokens":1,"temperature":0}`, 200, "application/json", `"text":" time"`},
		{"GET", "https://anything.example:1/v1/models?x=1", "", 200, "application/json", `"id":"demo"`},
		{"POST", "http://trit/v1/completions", `{`, 400, "application/json", `"error"`},
		{"GET", "http://trit/nothing", "", 404, "application/json", `"not_found_error"`},
		{"HEAD", "http://trit/health", "", 200, "application/json", ""},
		{"GET", "http://trit/", "", 200, "text/html; charset=utf-8", "<title>"},
	} {
		r, err := http.NewRequest(test.method, test.url, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(test.url, err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != test.status || !strings.Contains(string(body), test.want) || answer.Header.Get("Content-Type") != test.kind {
			t.Errorf("%s %s: %s, %q, %v, %.300s", test.method, test.url, answer.Status, answer.Header.Get("Content-Type"), err, body)
		}
		if test.method == "HEAD" && len(body) > 0 {
			t.Errorf("HEAD has a body: %q", body)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if r.URL.Host == "" || r.RequestURI != "" {
			t.Errorf("the client's request was changed: %+v", r)
		}
	}
}

// TestTransportStreams: pieces come while the answer is made, and leaving ends it.
func TestTransportStreams(t *testing.T) {
	client, s := portless(t, Options{})
	ask := func(ctx context.Context) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, "POST", "http://trit/v1/completions",
			strings.NewReader(`{"prompt":"Once upon a time","max_tokens":400,"stream":true,"ignore_eos":true}`))
		if err != nil {
			t.Fatal(err)
		}
		return client.Do(r)
	}
	first := func(answer *http.Response) {
		t.Helper()
		line, err := bufio.NewReaderSize(answer.Body, 16).ReadString('{')
		if err != nil || answer.Header.Get("Content-Type") != "text/event-stream" || line != "data: {" {
			t.Fatalf("%q, %v, %v", line, err, answer.Header)
		}
	}
	idle := func() {
		t.Helper()
		for range 500 {
			if models, err := s.core.Models.List(); err != nil {
				t.Fatal(err)
			} else if models[0].Leases == 0 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error("the answer goes on although nobody wants it")
	}

	answer, err := ask(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	first(answer)
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	idle()

	ctx, cancel := context.WithCancel(context.Background())
	if answer, err = ask(ctx); err != nil {
		t.Fatal(err)
	}
	first(answer)
	cancel()
	if _, err := io.Copy(io.Discard, answer.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("reading after the end: %v", err)
	}
	idle()
	if _, err := ask(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that is over before it begins: %v", err)
	}
	if answer, err = ask(context.Background()); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		t.Errorf("%v, %.200s", err, body)
	}
}

// TestTransportFaults: a handler that panics, and a client that never reads.
func TestTransportFaults(t *testing.T) {
	client := &http.Client{Transport: transport{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/early":
			panic("early")
		case "/late":
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		case "/slow":
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
				t.Error(err)
			}
			if _, err := io.WriteString(w, "nobody reads this"); err == nil {
				t.Error("a write that nobody has read went well")
			}
		case "/hints":
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Content-Length", "2")
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, "ok")
		}
	})}}
	if _, err := client.Get("http://trit/early"); err == nil || !strings.Contains(err.Error(), "/early panicked: early") {
		t.Errorf("early: %v", err)
	}
	read := func(path string) (*http.Response, string, error) {
		r, err := client.Get("http://trit" + path)
		if err != nil {
			t.Fatal(path, err)
		}
		time.Sleep(50 * time.Millisecond)
		body, err := io.ReadAll(r.Body)
		return r, string(body), err
	}
	if _, body, err := read("/late"); body != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("late: %q, %v", body, err)
	}
	if _, body, err := read("/slow"); body != "" || err == nil {
		t.Errorf("slow: %q, %v", body, err)
	}
	if r, body, err := read("/hints"); err != nil || body != "ok" || r.StatusCode != http.StatusTeapot || r.ContentLength != 2 {
		t.Errorf("hints: %+v, %q, %v", r, body, err)
	}
	if r, body, err := read("/empty"); err != nil || body != "" || r.StatusCode != http.StatusOK {
		t.Errorf("empty: %+v, %q, %v", r, body, err)
	}
}
