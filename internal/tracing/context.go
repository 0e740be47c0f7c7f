package tracing

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// SampledTraceID is the id of the trace that ctx is in, if the trace is being recorded: whoever reads the id somewhere else finds the
// trace under it.
func SampledTraceID(ctx context.Context) (string, bool) {
	if s := trace.SpanContextFromContext(ctx); s.IsSampled() {
		return s.TraceID().String(), true
	}
	return "", false
}

// LogAttr is SampledTraceID for a log line; without a trace it is empty, which slog leaves out.
func LogAttr(ctx context.Context) slog.Attr {
	if id, ok := SampledTraceID(ctx); ok {
		return slog.String("trace_id", id)
	}
	return slog.Attr{}
}
