package core

import (
	"log/slog"
	"strings"
)

// Probe reports whether the request is one that comes every few seconds, and is
// not worth a line in a log or a span.
func (r *RequestInfo) Probe() bool { return isProbe(r.Route) }

func isProbe(pattern string) bool {
	return pattern == "GET /health" || pattern == "GET /ready" || pattern == "GET /metrics"
}

// SpanName is what OpenTelemetry's conventions call a span of the request: its route, or its method if it has none.
func (r *RequestInfo) SpanName() string {
	if r.Route != "" {
		return r.Route
	}
	return r.Method
}

// SpanAttributes are those of a span of the request, by OpenTelemetry's conventions for
// HTTP servers and generative AI (opentelemetry.io/docs/specs/semconv): strings and
// int64 numbers. Texts are not among them.
func (r *RequestInfo) SpanAttributes() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("http.request.method", r.Method), slog.String("url.path", r.Path),
		slog.Int("http.response.status_code", r.Status), slog.String("trit.request_id", r.ID),
	}
	if _, path, ok := strings.Cut(r.Route, " "); ok {
		attrs = append(attrs, slog.String("http.route", path))
	}
	if r.Model != "" {
		attrs = append(attrs, slog.String("gen_ai.provider.name", "trit"), slog.String("gen_ai.request.model", r.Model),
			slog.Int64("gen_ai.usage.input_tokens", r.PromptTokens), slog.Int64("gen_ai.usage.output_tokens", r.GeneratedTokens))
	}
	if r.GuessedTokens > 0 {
		attrs = append(attrs, slog.Int64("trit.guessed_tokens", r.GuessedTokens), slog.Int64("trit.accepted_tokens", r.AcceptedTokens))
	}
	if r.Error != "" {
		attrs = append(attrs, slog.String("error.message", r.Error))
	}
	return attrs
}
