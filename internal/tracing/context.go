package tracing

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
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

// Exemplar names that trace beside a measurement, so that from the measurement the trace is found; nil if there is none.
func Exemplar(ctx context.Context) prometheus.Labels {
	if id, ok := SampledTraceID(ctx); ok {
		return prometheus.Labels{"trace_id": id}
	}
	return nil
}

// Observe measures something, with the Exemplar of ctx if there is one.
func Observe(ctx context.Context, histogram prometheus.Observer, value float64) {
	if labels := Exemplar(ctx); labels != nil {
		if h, ok := histogram.(prometheus.ExemplarObserver); ok {
			h.ObserveWithExemplar(value, labels)
			return
		}
	}
	histogram.Observe(value)
}

// LogAttr is SampledTraceID for a log line; without a trace it is empty, which slog leaves out.
func LogAttr(ctx context.Context) slog.Attr {
	if id, ok := SampledTraceID(ctx); ok {
		return slog.String("trace_id", id)
	}
	return slog.Attr{}
}
