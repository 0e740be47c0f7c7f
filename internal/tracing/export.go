package tracing

import (
	"context"
	"log/slog"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// loggingExporter logs when exporting starts and stops failing. The SDK would log every failed
// export to its global logger. It is used by one goroutine.
type loggingExporter struct {
	sdktrace.SpanExporter

	log     *slog.Logger
	failing bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *loggingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !e.failing:
		e.log.Warn("exporting traces fails; they are dropped", "error", err)
	case err == nil && e.failing:
		e.log.Info("exporting traces works again")
	}
	e.failing = err != nil
	return nil
}
