package otel

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"trit"
	_ "trit/demo"
	"trit/server"
)

// receiver is an OTLP/HTTP receiver that keeps the spans.
type receiver struct {
	mu    sync.Mutex
	spans []*otlp.Span
	t     *testing.T
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Error(err)
	}
	var m collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &m); err != nil || req.URL.Path != "/v1/traces" {
		r.t.Errorf("%s: %v", req.URL.Path, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range m.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			r.spans = append(r.spans, ss.Spans...)
		}
	}
}

func TestTracing(t *testing.T) {
	spans := &receiver{t: t}
	endpoint := httptest.NewServer(spans)
	defer endpoint.Close()
	tracing, err := Start(t.Context(), Options{Endpoint: endpoint.URL})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Open: []trit.Option{trit.Threads(1)}, OnRequest: tracing.OnRequest})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	web := httptest.NewServer(tracing.Handler(s.Handler()))
	defer web.Close()

	req, err := http.NewRequest("POST", web.URL+"/v1/completions", strings.NewReader(`{"prompt":"Once","max_tokens":3,"ignore_eos":true}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	for _, do := range []func() (*http.Response, error){
		func() (*http.Response, error) { return http.DefaultClient.Do(req) },
		func() (*http.Response, error) { return http.Get(web.URL + "/health") },
		func() (*http.Response, error) { return http.Get(web.URL + "/nothing") },
	} {
		r, err := do()
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
	}
	if err := tracing.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(spans.spans) != 2 {
		t.Fatalf("%d spans, want 2", len(spans.spans))
	}
	first := spans.spans[0]
	attributes := map[string]string{}
	for _, a := range first.Attributes {
		attributes[a.Key] = a.Value.String()
	}
	if first.Name != "POST /v1/completions" || string(first.ParentSpanId) != "\xb7\xad\x6b\x71\x69\x20\x33\x31" ||
		!strings.Contains(attributes["gen_ai.usage.output_tokens"], "3") || !strings.Contains(attributes["gen_ai.request.model"], "demo") {
		t.Errorf("%s, parent %x, %v", first.Name, first.ParentSpanId, attributes)
	}
}
