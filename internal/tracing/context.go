package tracing

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// SampledTraceID returns the id of the trace in ctx. It reports false if there is none or it is not
// sampled, because such a trace cannot be looked up.
func SampledTraceID(ctx context.Context) (string, bool) {
	if s := trace.SpanContextFromContext(ctx); s.IsSampled() {
		return s.TraceID().String(), true
	}
	return "", false
}

// Exemplar returns the exemplar labels of the sampled trace in ctx, or nil if there is none.
func Exemplar(ctx context.Context) prometheus.Labels {
	if id, ok := SampledTraceID(ctx); ok {
		return prometheus.Labels{"trace_id": id}
	}
	return nil
}

// Observe observes value, with the exemplar of ctx if there is one.
func Observe(ctx context.Context, histogram prometheus.Observer, value float64) {
	if labels := Exemplar(ctx); labels != nil {
		if h, ok := histogram.(prometheus.ExemplarObserver); ok {
			h.ObserveWithExemplar(value, labels)
			return
		}
	}
	histogram.Observe(value)
}

// LogAttr returns the sampled trace id of ctx as a log attribute. Without one the attribute is
// empty, which slog omits.
func LogAttr(ctx context.Context) slog.Attr {
	if id, ok := SampledTraceID(ctx); ok {
		return slog.String("trace_id", id)
	}
	return slog.Attr{}
}
