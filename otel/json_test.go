package otel

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"trit/internal/otlp"
)

// binaryIDs makes of the ids of OTLP's JSON, which are hexadecimal digits, what protobuf's has.
func binaryIDs(t *testing.T, v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			binaryIDs(t, x)
		}
	case map[string]any:
		for name, x := range v {
			if name == "traceId" || name == "spanId" || name == "parentSpanId" {
				id, err := hex.DecodeString(x.(string))
				if err != nil {
					t.Error(err)
				}
				v[name] = base64.StdEncoding.EncodeToString(id)
			}
			binaryIDs(t, x)
		}
	}
}

// TestJSON: what `trit serve` sends by itself is what OpenTelemetry's protocol buffers say.
func TestJSON(t *testing.T) {
	got := make(chan *collector.ExportTraceServiceRequest, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		var raw any
		if err := json.NewDecoder(z).Decode(&raw); err != nil {
			t.Error(err)
		}
		binaryIDs(t, raw)
		data, err := json.Marshal(raw)
		if err != nil {
			t.Error(err)
		}
		m := new(collector.ExportTraceServiceRequest)
		if err := protojson.Unmarshal(data, m); err != nil { // refuses fields that there are not
			t.Errorf("%v in %s", err, data)
		}
		got <- m
	}))
	defer s.Close()
	config, err := otlp.FromEnvironment(s.URL, "trit", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	e := otlp.Start(*config, slog.New(slog.DiscardHandler))
	span, sampled := e.Begin("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "k=v")
	if !sampled {
		t.Fatal("the span is not sampled")
	}
	span.Name, span.Start, span.End, span.Error = "POST /x", time.Unix(1, 2), time.Unix(3, 4), "why"
	span.Attributes = []otlp.Attribute{{Name: "s", Value: "a\xff"}, {Name: "i", Value: int64(-7)}, {Name: "b", Value: true}, {Name: "f", Value: 1.5}}
	e.Send(span, span.Child("queue", span.Start, span.End))
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	m := <-got
	spans := m.ResourceSpans[0].ScopeSpans[0].Spans
	if len(spans) != 2 || m.ResourceSpans[0].ScopeSpans[0].Scope.Version != "1.2.3" {
		t.Fatalf("%v", m)
	}
	a, b := spans[0], spans[1]
	if hex.EncodeToString(a.TraceId) != "0af7651916cd43dd8448eb211c80319c" || hex.EncodeToString(a.ParentSpanId) != "b7ad6b7169203331" ||
		a.TraceState != "k=v" || a.Name != "POST /x" || a.StartTimeUnixNano != 1_000_000_002 || a.EndTimeUnixNano != 3_000_000_004 ||
		a.Kind.String() != "SPAN_KIND_SERVER" || a.Status.Code.String() != "STATUS_CODE_ERROR" || a.Status.Message != "why" {
		t.Errorf("%v", a)
	}
	if string(b.ParentSpanId) != string(a.SpanId) || string(b.TraceId) != string(a.TraceId) || b.Kind.String() != "SPAN_KIND_INTERNAL" || b.Status != nil {
		t.Errorf("%v", b)
	}
	if v := a.Attributes; len(v) != 4 || v[0].Value.GetStringValue() != "a\uFFFD" || v[1].Value.GetIntValue() != -7 || !v[2].Value.GetBoolValue() ||
		v[3].Value.GetDoubleValue() != 1.5 {
		t.Errorf("%v", v)
	}
	for _, kv := range m.ResourceSpans[0].Resource.Attributes {
		if kv.Key == "service.name" && kv.Value.GetStringValue() == "trit" {
			return
		}
	}
	t.Errorf("no name of the service in %v", m.ResourceSpans[0].Resource)
}
