package otlp

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func setenv(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, e := range os.Environ() {
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, value) // puts it back
			os.Unsetenv(name)
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

func TestEnvironment(t *testing.T) {
	setenv(t, nil)
	if c, err := FromEnvironment("", "trit", "1.2"); c != nil || err != nil {
		t.Errorf("nothing is said: %+v, %v", c, err)
	}
	c, err := FromEnvironment("http://localhost:4318/", "trit", "1.2")
	if err != nil || c.URL != "http://localhost:4318/v1/traces" || c.Attributes["service.name"] != "trit" || c.Attributes["service.version"] != "1.2" ||
		c.Sampler != (Sampler{1, true}) || c.Timeout != 10*time.Second || c.Delay != 5*time.Second || c.MaxQueue != 2048 || c.MaxBatch != 512 {
		t.Errorf("%+v, %v", c, err)
	}
	setenv(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c:1/x", "OTEL_EXPORTER_OTLP_HEADERS": "a=b%20c, d = e", "OTEL_SERVICE_NAME": "mine",
		"OTEL_RESOURCE_ATTRIBUTES": "service.name=other,service.version=9,k=v%2C", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25",
		"OTEL_EXPORTER_OTLP_TIMEOUT": "5", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "7", "OTEL_BSP_MAX_QUEUE_SIZE": "9", "OTEL_BSP_SCHEDULE_DELAY": "11",
		"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
	})
	c, err = FromEnvironment("", "trit", "1.2")
	if err != nil || c.URL != "https://c:1/x/v1/traces" || c.Headers["a"] != "b c" || c.Headers["d"] != "e" || c.Attributes["service.name"] != "mine" ||
		c.Attributes["service.version"] != "9" || c.Attributes["k"] != "v," || c.Sampler != (Sampler{0.25, false}) ||
		c.Timeout != 7*time.Millisecond || c.Delay != 11*time.Millisecond || c.MaxQueue != 9 || c.MaxBatch != 9 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = FromEnvironment("http://flag", "trit", ""); err != nil || c.URL != "http://flag/v1/traces" {
		t.Errorf("%+v, %v", c, err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/as/it/is")
	if c, err = FromEnvironment("", "trit", ""); err != nil || c.URL != "http://traces/as/it/is" {
		t.Errorf("%+v, %v", c, err)
	}
	for name, value := range map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "none"} {
		setenv(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", name: value})
		if c, err := FromEnvironment("http://x", "", ""); c != nil || err != nil {
			t.Errorf("%s=%s: %+v, %v", name, value, c, err)
		}
	}
	none := filepath.Join(t.TempDir(), "none.pem")
	if err := os.WriteFile(none, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][2]string{
		{"OTEL_TRACES_EXPORTER", "zipkin"}, {"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"}, {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a"}, {"OTEL_RESOURCE_ATTRIBUTES", "a=%zz"}, {"OTEL_TRACES_SAMPLER", "jaeger_remote"},
		{"OTEL_TRACES_SAMPLER_ARG", "2"}, {"OTEL_EXPORTER_OTLP_TIMEOUT", "soon"}, {"OTEL_BSP_MAX_QUEUE_SIZE", "0"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", none}, {"OTEL_EXPORTER_OTLP_CERTIFICATE", none + "x"},
	} {
		setenv(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_SAMPLER": "traceidratio"})
		t.Setenv(bad[0], bad[1])
		name := bad[0]
		if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
			name = "OTLP endpoint"
		}
		if c, err := FromEnvironment("", "", ""); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: %+v, %v", bad, c, err)
		}
	}
}

func TestParents(t *testing.T) {
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	p, ok := ParseParent("00-"+trace+"-"+span+"-01", "a=b")
	if !ok || !p.Sampled || p.State != "a=b" || p.Trace[0] != 0x0a || p.Span[7] != 0x31 {
		t.Errorf("%+v, %v", p, ok)
	}
	for header, want := range map[string]bool{
		"00-" + trace + "-" + span + "-00":                      true,
		"01-" + trace + "-" + span + "-01-more":                 true, // of a version to come
		"00-" + trace + "-" + span + "-01-more":                 false,
		"ff-" + trace + "-" + span + "-01":                      false,
		"00-" + strings.ToUpper(trace) + "-" + span + "-01":     false,
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01":    false,
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01":   false,
		"00-" + trace[1:] + "-" + span + "-01":                  false,
		"00-" + trace + "-" + span + "-0":                       false,
		"00-" + trace + "-" + span[:15] + "g-01":                false,
		"":                                                      false,
		"00-" + trace + "-" + span:                              false,
		"0x-" + trace + "-" + span + "-01":                      false,
		"00-" + trace + "-" + span + "-" + "zz":                 false,
		strings.Repeat("00-"+trace+"-"+span+"-01", 1000):        false,
		"00-" + trace + "-" + span + "-01" + "\x00":             false,
		" 00-" + trace + "-" + span + "-01":                     false,
		"00-" + trace + "-" + span + "-01 ":                     false,
		"00" + "-" + trace + "-" + span + "-" + "01" + "-" + "": false,
	} {
		if p, ok := ParseParent(header, strings.Repeat("x", 513)); ok != want || ok && p.State != "" || !ok && p != (Parent{}) {
			t.Errorf("%q: %v, want %v: %+v", header, ok, want, p)
		}
	}
	for _, test := range []struct {
		s      Sampler
		parent string
		want   bool
	}{
		{Sampler{1, true}, "", true}, {Sampler{0, true}, "", false},
		{Sampler{0, true}, "00-" + trace + "-" + span + "-01", true}, {Sampler{1, true}, "00-" + trace + "-" + span + "-00", false},
		{Sampler{1, false}, "00-" + trace + "-" + span + "-00", true}, {Sampler{0, false}, "00-" + trace + "-" + span + "-01", false},
		// 0x8448eb211c80319c >> 1 of 2⁶³ is 0.5167.
		{Sampler{0.51, false}, "00-" + trace + "-" + span + "-01", false}, {Sampler{0.52, false}, "00-" + trace + "-" + span + "-01", true},
	} {
		s, got := test.s.Begin(test.parent, "")
		if got != test.want || s.Trace == (TraceID{}) || s.ID == (SpanID{}) || (s.Parent != SpanID{}) != (test.parent != "") {
			t.Errorf("%+v of %q: %v, %+v", test.s, test.parent, got, s)
		}
	}
}

// receiver answers with one status after the other, and then with 200.
type receiver struct {
	t        *testing.T
	mu       sync.Mutex
	statuses []int
	batches  []int // spans in each body
	hold     chan struct{}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if r.hold != nil {
		<-r.hold
	}
	z, err := gzip.NewReader(q.Body)
	if err != nil {
		r.t.Error(err)
		return
	}
	body, err := io.ReadAll(z)
	if err != nil {
		r.t.Error(err)
	}
	var e exportRequest
	if err := json.Unmarshal(body, &e); err != nil || q.Header.Get("K") != "v" || q.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%v, %v: %s", err, q.Header, body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, len(e.ResourceSpans[0].ScopeSpans[0].Spans))
	if len(r.statuses) > 0 {
		w.WriteHeader(r.statuses[0])
		r.statuses = r.statuses[1:]
		return
	}
	io.WriteString(w, `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}`)
}

// syncLog is a log that a test reads while others write.
type syncLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, r *receiver, c Config) (*Exporter, *syncLog) {
	t.Helper()
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	c.URL, c.Headers, c.Timeout = s.URL+"/v1/traces", map[string]string{"K": "v"}, time.Minute
	if c.Delay == 0 {
		c.Delay = time.Hour
	}
	log := &syncLog{}
	return Start(c, slog.New(slog.NewTextHandler(log, nil))), log
}

func (e *Exporter) some(n int) {
	for range n {
		s, _ := e.Begin("", "")
		s.Name, s.Start, s.End = "GET /", time.Unix(1, 2), time.Unix(3, 4)
		e.Send(s)
	}
}

// TestBatches: spans go in batches, again after an error that passes, and what is left goes
// at the end.
func TestBatches(t *testing.T) {
	r := &receiver{t: t, statuses: []int{503}}
	e, log := start(t, r, Config{MaxQueue: 100, MaxBatch: 4, Delay: time.Millisecond})
	e.some(9)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		r.mu.Lock()
		n := len(r.batches)
		r.mu.Unlock()
		if n > 1 { // after the pause
			break
		}
		if ctx.Err() != nil {
			t.Fatal("nothing was sent again")
		}
		time.Sleep(time.Millisecond)
	}
	if err := e.Close(ctx); err != nil {
		t.Error(err)
	}
	e.some(1) // is dropped
	sent := 0
	for _, n := range r.batches[1:] {
		if n > 4 {
			t.Errorf("batches of %v", r.batches)
		}
		sent += n
	}
	if sent != 9 {
		t.Errorf("%d spans were sent: %v", sent, r.batches)
	}
	if !strings.Contains(log.String(), "rejects 2 of them: too old") {
		t.Errorf("the log says %q", log)
	}
}

// TestFullQueue: requests do not wait for a receiver that does not answer, and the log says
// what that costs.
func TestFullQueue(t *testing.T) {
	r := &receiver{t: t, hold: make(chan struct{}), statuses: []int{400}}
	e, log := start(t, r, Config{MaxQueue: 8, MaxBatch: 8})
	e.some(100)
	close(r.hold)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "spans were dropped") || !strings.Contains(log.String(), "400 Bad Request") {
		t.Errorf("the log says %q", log)
	}
	total := 0
	for _, n := range r.batches {
		total += n
	}
	if total < 8 || total > 16 {
		t.Errorf("%v", r.batches)
	}
}

// TestCloseGivesUp: the end of the program waits for a receiver only so long.
func TestCloseGivesUp(t *testing.T) {
	r := &receiver{t: t, hold: make(chan struct{})}
	defer close(r.hold)
	e, _ := start(t, r, Config{MaxQueue: 8, MaxBatch: 8})
	e.some(1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); err == nil {
		t.Error("the span was sent")
	}
}
