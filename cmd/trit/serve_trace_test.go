package main

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestServeTraces: the requests of a server become spans of their callers' traces, with
// what they waited for.
func TestServeTraces(t *testing.T) {
	type span struct {
		TraceID, SpanID, ParentSpanID, Name string
		Attributes                          []struct {
			Key   string
			Value struct{ StringValue, IntValue string }
		}
	}
	var mu sync.Mutex
	var spans []span
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			ResourceSpans []struct{ ScopeSpans []struct{ Spans []span } }
		}
		z, err := gzip.NewReader(r.Body)
		if err == nil {
			err = json.NewDecoder(z).Decode(&body)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		spans = append(spans, body.ResourceSpans[0].ScopeSpans[0].Spans...)
	}))
	defer receiver.Close()
	url, log, stop := startServe(t, "--model", "demo", "--otlp-endpoint", receiver.URL)
	for _, path := range []string{"/health", "/v1/completions"} {
		method, body := "GET", ""
		if path != "/health" {
			method, body = "POST", `{"prompt":"Once upon a time","max_tokens":3,"ignore_eos":true}`
		}
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Fatal(answer.Status)
		}
	}
	if code := stop(); code != exitOK { // sends what is left
		t.Errorf("exit code %d: %s", code, log)
	}
	mu.Lock()
	defer mu.Unlock()
	var names []string
	for _, s := range spans {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	if want := []string{"POST /v1/completions", "generate", "prompt", "queue"}; !slices.Equal(names, want) {
		t.Fatalf("spans %v, want %v; the log: %s", names, want, log)
	}
	root := spans[0]
	if root.TraceID != "0af7651916cd43dd8448eb211c80319c" || root.ParentSpanID != "b7ad6b7169203331" || spans[1].ParentSpanID != root.SpanID {
		t.Errorf("%+v", spans)
	}
	got := map[string]string{}
	for _, a := range root.Attributes {
		got[a.Key] = a.Value.StringValue + a.Value.IntValue
	}
	for name, want := range map[string]string{
		"http.request.method": "POST", "http.route": "/v1/completions", "http.response.status_code": "200",
		"gen_ai.request.model": "demo", "gen_ai.usage.output_tokens": "3",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// TestServeTracesWrongly: a flag that can't be followed is an error, variables that are set for
// all programs are not.
func TestServeTracesWrongly(t *testing.T) {
	runTrit(t, "serve", "--otlp-endpoint", "localhost:4318").expect(t, exitUsage, "--otlp-endpoint", "http://localhost:4318")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	_, log, stop := startServe(t, "--model", "demo")
	stop()
	if !strings.Contains(log.String(), "requests are not traced") || !strings.Contains(log.String(), "grpc") {
		t.Errorf("the log says %s", log)
	}
}
