// Package otel adds OpenTelemetry tracing to a server of package trit/server. It
// is a module of its own, so that programs that do not trace do not carry it.
//
//	tracing, err := otel.Start(ctx, otel.Options{Endpoint: "http://localhost:4318"})
//	if err != nil {
//		return err
//	}
//	defer tracing.Close(context.Background())
//	s, err := server.New(server.Options{OnRequest: tracing.OnRequest})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	return http.ListenAndServe("127.0.0.1:8080", tracing.Handler(s.Handler()))
//
// Every request becomes a span, named by its route, with the attributes of the
// semantic conventions for HTTP and for generative AI. A span continues the trace
// that the header traceparent names. Texts are not recorded.
package otel

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	oteltrace "go.opentelemetry.io/otel/trace"

	"trit/server"
)

// Options configure tracing.
type Options struct {
	// Endpoint is the URL of an OTLP/HTTP receiver, such as
	// "http://localhost:4318"; empty means what the environment says
	// (OTEL_EXPORTER_OTLP_ENDPOINT and its relatives).
	Endpoint string
	// Service is the name of the service; empty means "trit".
	Service string
	// Ratio is the fraction of new traces that are recorded; 0 means all. Traces
	// that a caller has begun follow the caller's decision.
	Ratio float64
}

// Tracing sends spans to a receiver.
type Tracing struct {
	provider   *trace.TracerProvider
	tracer     oteltrace.Tracer
	propagator propagation.TextMapPropagator
}

// Start begins to trace. Spans are sent in batches, in the background.
func Start(ctx context.Context, o Options) (*Tracing, error) {
	var options []otlptracehttp.Option
	if o.Endpoint != "" {
		options = append(options, otlptracehttp.WithEndpointURL(strings.TrimSuffix(o.Endpoint, "/")+"/v1/traces"))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, err
	}
	if o.Service == "" {
		o.Service = "trit"
	}
	about, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName(o.Service), semconv.ServiceVersion(server.Version())))
	if err != nil {
		return nil, err
	}
	sampler := trace.AlwaysSample()
	if o.Ratio > 0 && o.Ratio < 1 {
		sampler = trace.TraceIDRatioBased(o.Ratio)
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(about), trace.WithSampler(trace.ParentBased(sampler)))
	return &Tracing{
		provider: provider, tracer: provider.Tracer("trit/otel"),
		propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}, nil
}

// Close sends what is left and stops.
func (t *Tracing) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// quiet are asked for every few seconds.
var quiet = map[string]bool{"/health": true, "/ready": true, "/metrics": true}

// Handler gives every request that next answers a span, except probes.
func (t *Tracing) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if quiet[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		ctx := t.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, r.Method, oteltrace.WithSpanKind(oteltrace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// OnRequest completes the span of a request. It is for server.Options.
func (t *Tracing) OnRequest(ctx context.Context, r server.RequestInfo) {
	span := oteltrace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetName(r.SpanName())
	for _, a := range r.SpanAttributes() {
		if a.Value.Kind() == slog.KindInt64 {
			span.SetAttributes(attribute.Int64(a.Key, a.Value.Int64()))
		} else {
			span.SetAttributes(attribute.String(a.Key, a.Value.String()))
		}
	}
	if r.Status >= 500 {
		span.SetStatus(codes.Error, r.Error)
	}
}
