package tracing

import (
	"context"
	"log/slog"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// reporting says in our own log when spans cannot be sent, and when they can again. The SDK would write to a log of its own, each time.
// It is used by one goroutine.
type reporting struct {
	sdktrace.SpanExporter

	log     *slog.Logger
	failing bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (r *reporting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !r.failing:
		r.log.Warn("traces can not be sent, and are dropped", "error", err)
	case err == nil && r.failing:
		r.log.Info("traces can be sent again")
	}
	r.failing = err != nil
	return nil
}
