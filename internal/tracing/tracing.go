// Package tracing exports spans to an OpenTelemetry collector, if one is configured. It uses no
// global state: code that creates spans is given a *Tracing. A nil *Tracing, or one without a
// collector, creates none.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"merchstore.io/merchstore/internal/process"
)

// flushTimeout bounds the delay of a shutdown by an unreachable collector.
const flushTimeout = 3 * time.Second

// Tracing creates and exports the spans of a process.
type Tracing struct {
	provider *sdktrace.TracerProvider // nil if tracing is off
	ratio    float64
	log      *slog.Logger
}

// New returns a Tracing that exports spans to the collector in s, or one that is off if there is
// none. service names the process and instance its pod; an empty instance means the host name. An
// unreachable collector is not an error, because it may become reachable. The result must be
// stopped, see Component.
func New(ctx context.Context, s Settings, service, instance string, log *slog.Logger) (*Tracing, error) {
	if s.Endpoint == "" {
		return new(Tracing), nil
	}
	headers, err := s.headers()
	if err != nil {
		return nil, err
	}
	if instance == "" {
		if instance, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("get host name: %w", err)
		}
	}
	exporter, err := otlptracegrpc.New(ctx,
		otlptracegrpc.WithEndpointURL(s.Endpoint), otlptracegrpc.WithHeaders(headers))
	if err != nil {
		return nil, fmt.Errorf("create trace exporter: %w", err)
	}
	return &Tracing{log: log, ratio: s.Ratio, provider: sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&loggingExporter{SpanExporter: exporter, log: log}),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())), // callers start a trace only if Choose returned true
		sdktrace.WithResource(resource.NewWithAttributes(semconv.SchemaURL,
			semconv.ServiceName("merchstore-"+service), semconv.ServiceInstanceID(instance), semconv.ServiceVersion(version()),
		)),
	)}, nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}

// On reports whether tracing is on. If not, interceptors for it need not be installed.
func (t *Tracing) On() bool { return t != nil && t.provider != nil }

// Choose reports, at random, whether to start a trace for the next request. Requests that are not
// sampled get no span at all, to save its cost.
func (t *Tracing) Choose() bool { return t.On() && rand.Float64() < t.ratio }

// Provider returns a tracer provider for libraries.
func (t *Tracing) Provider() trace.TracerProvider {
	if t.On() {
		return t.provider
	}
	return noop.NewTracerProvider()
}

// Tracer returns the tracer of a part of the process with the given name.
func (t *Tracing) Tracer(name string) trace.Tracer {
	return t.Provider().Tracer("merchstore.io/merchstore/" + name)
}

// Propagator returns a propagator for W3C Trace Context.
func (t *Tracing) Propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }

// Component returns the exporter as a component of its process. It must be stopped after everything
// that creates spans. Spans that cannot be exported in time are dropped without an error.
func (t *Tracing) Component() process.Component {
	return process.Component{Name: "traces", Stop: func(ctx context.Context) error {
		if !t.On() {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		if err := t.provider.Shutdown(ctx); err != nil {
			t.log.Warn("traces were not exported before shutdown", "error", err)
		}
		return nil
	}}
}
