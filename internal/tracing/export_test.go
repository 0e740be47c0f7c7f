package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// collector is an exporter that returns failure.
type collector struct {
	sdktrace.SpanExporter

	failure error
}

func (c *collector) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return c.failure }

func TestExportFailuresAreLoggedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := &collector{SpanExporter: tracetest.NewNoopExporter()}
	r := &loggingExporter{SpanExporter: c, log: slog.New(slog.NewTextHandler(&log, nil))}
	away := errors.New("nobody listens")
	for _, c.failure = range []error{nil, away, away, away, nil, nil, away} {
		if err := r.ExportSpans(t.Context(), nil); err != nil {
			t.Errorf("ExportSpans returned %v, which the SDK would log", err)
		}
	}
	var said []string
	for line := range strings.Lines(log.String()) {
		_, message, _ := strings.Cut(strings.TrimSpace(line), "level=")
		said = append(said, message)
	}
	want := `WARN msg="exporting traces fails; they are dropped" error="nobody listens"
INFO msg="exporting traces works again"
WARN msg="exporting traces fails; they are dropped" error="nobody listens"`
	if got := strings.Join(said, "\n"); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
}
