package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trit"
	_ "trit/demo"
	"trit/server/core"
)

// served is a running server of a test.
type served struct {
	*Server
	t    testing.TB
	url  string
	stop context.CancelFunc
	done chan error // receives what Serve returns
	log  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve starts a server, waits until it is ready, and in the end checks that
// nothing of it is left.
func serve(t testing.TB, o Options) *served {
	t.Helper()
	return serveOn(t, o, listen(t))
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// narrow is a listener whose connections hold little of what is sent.
type narrow struct{ net.Listener }

func (n narrow) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(8192)
	}
	return c, err
}

func serveOn(t testing.TB, o Options, listener net.Listener) *served {
	t.Helper()
	return serveURL(t, o, listener, "http://"+listener.Addr().String())
}

func serveURL(t testing.TB, o Options, listener net.Listener, url string) *served {
	t.Helper()
	before := goleak.IgnoreCurrent()
	s := &served{t: t, url: url, done: make(chan error, 1), log: &lockedBuffer{}}
	o.Open = append([]trit.Option{trit.Threads(1)}, o.Open...)
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	var err error
	if s.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.done <- s.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-s.done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the server does not stop")
		}
		client.CloseIdleConnections()
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
	s.until("the server is ready", func() bool {
		r, err := client.Get(s.url + "/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return s
}

// client is not the default one, whose connections other tests may hold.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}

func (s *served) until(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited for 30 s: %s", what)
		}
	}
}

// reply is an answer with its body.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers are given as names and values in turn.
func (s *served) do(method, path, body string, headers ...string) reply {
	s.t.Helper()
	r, err := s.try(context.Background(), method, path, body, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *served) try(ctx context.Context, method, path, body string, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	r, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	return reply{r.StatusCode, r.Header, string(data)}, err
}

// expect checks status and body of an answer.
func (r reply) expect(t testing.TB, status int, mentions ...string) {
	t.Helper()
	if r.status != status {
		t.Errorf("status %d, want %d: %s", r.status, status, r.body)
	}
	for _, m := range mentions {
		if !strings.Contains(r.body, m) {
			t.Errorf("%q is not in the answer %s", m, r.body)
		}
	}
}

// long is a request for a stream of so many tokens.
func long(tokens int) string {
	return fmt.Sprintf(`{"model":"demo","prompt":"Once upon a time","stream":true,"ignore_eos":true,"max_tokens":%d}`, tokens)
}

// wide is a context in which streams may be long.
func wide() []trit.Option { return []trit.Option{trit.ContextSize(1 << 16)} }

// openStream begins a stream and returns after its first event.
func (s *served) openStream(ctx context.Context, body string) (*http.Response, *bufio.Reader) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/completions", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	r, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Body.Close() })
	in := bufio.NewReader(r.Body)
	if line, err := in.ReadString('\n'); err != nil || r.StatusCode != 200 || !strings.HasPrefix(line, "data: ") {
		s.t.Fatalf("status %d, %q, %v", r.StatusCode, line, err)
	}
	return r, in
}

// demo returns the loaded demo model.
func (s *served) demo() *core.Loaded {
	var found *core.Loaded
	s.core.Models.Each(func(l *core.Loaded) {
		if l.Name == "demo" {
			found = l
		}
	})
	return found
}
