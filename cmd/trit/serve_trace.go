package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"trit/internal/otlp"
	"trit/internal/version"
	"trit/server"
)

// lastSpans is how long the end of the server waits for its last spans to be sent.
const lastSpans = 3 * time.Second

// trace has spans of the requests sent, if the flag or the environment says where, until
// stop is called.
func (f *serveFlags) trace(a *app, cmd *cobra.Command, o *server.Options) (stop func(), err error) {
	config, err := otlp.FromEnvironment(f.otlp, "trit", version.Get().Version)
	if err != nil && f.otlp != "" {
		return nil, usage(cmd, fmt.Errorf("--otlp-endpoint %s: %w", f.otlp, err))
	}
	if err != nil { // variables that are set for many programs stop none
		a.log.Warn("requests are not traced", "error", err)
	}
	if err != nil || config == nil {
		return func() {}, nil
	}
	exporter := otlp.Start(*config, a.log)
	o.OnRequest = func(_ context.Context, r server.RequestInfo) {
		if spans := requestSpans(exporter, &r); len(spans) > 0 {
			exporter.Send(spans...)
		}
	}
	a.log.Info("tracing", "endpoint", config.URL)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), lastSpans)
		defer cancel()
		if err := exporter.Close(ctx); err != nil {
			a.log.Warn("tracing ends", "error", err)
		}
	}, nil
}

// requestSpans makes the span of a request, and within it those of waiting for a place, of
// the prompt and of the tokens.
func requestSpans(e *otlp.Exporter, r *server.RequestInfo) []*otlp.Span {
	if r.Probe() {
		return nil
	}
	span, sampled := e.Begin(r.TraceParent, r.TraceState)
	if !sampled {
		return nil
	}
	span.Name, span.Start, span.End = r.SpanName(), r.Start, r.Start.Add(r.Duration)
	for _, attr := range r.SpanAttributes() {
		value := any(attr.Value.String())
		if attr.Value.Kind() == slog.KindInt64 {
			value = attr.Value.Int64()
		}
		span.Attributes = append(span.Attributes, otlp.Attribute{Name: attr.Key, Value: value})
	}
	if r.Status >= 500 {
		span.Error = r.Error
	}
	spans := []*otlp.Span{span}
	if r.Begun > 0 {
		began, first := r.Start.Add(r.Begun), span.End
		spans = append(spans, span.Child("queue", r.Start, began))
		if r.FirstToken > 0 {
			first = r.Start.Add(r.FirstToken)
			spans = append(spans, span.Child("generate", first, span.End))
		}
		spans = append(spans, span.Child("prompt", began, first))
	}
	return spans
}
