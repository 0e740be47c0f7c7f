// Package tracing sends spans to an OpenTelemetry collector, if one is set. Nothing here is global: what makes spans is given
// a *Tracing, and one that is off, or nil, makes none and costs nothing.
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

// flushTimeout is what a collector that is away may delay a shutdown by.
const flushTimeout = 3 * time.Second

// Tracing is where a process's spans go.
type Tracing struct {
	provider *sdktrace.TracerProvider // nil: off
	ratio    float64
	log      *slog.Logger
}

// New starts sending spans, unless s says that there is nowhere to send them to. service names the process, and instance the pod it
// runs in; the host's name if empty. It needs Part. That the collector is away is no error: it may come.
func New(ctx context.Context, s Settings, service, instance string, log *slog.Logger) (*Tracing, error) {
	if s.Endpoint == "" {
		return new(Tracing), nil
	}
	headers, err := s.check()
	if err != nil {
		return nil, err
	}
	if instance == "" {
		if instance, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("find the host's name: %w", err)
		}
	}
	exporter, err := otlptracegrpc.New(ctx,
		otlptracegrpc.WithEndpointURL(s.Endpoint), otlptracegrpc.WithHeaders(headers))
	if err != nil {
		return nil, fmt.Errorf("prepare the export of traces: %w", err)
	}
	return &Tracing{log: log, ratio: s.Ratio, provider: sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&reporting{SpanExporter: exporter, log: log}),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())), // who begins a trace has asked Choose
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

// On says whether there are spans at all. What would only be in the way otherwise need not be installed.
func (t *Tracing) On() bool { return t != nil && t.provider != nil }

// Choose says whether the next trace is to be begun at all: one that is not recorded would cost every request a span that nobody sees.
func (t *Tracing) Choose() bool { return t.On() && rand.Float64() < t.ratio }

// Provider gives tracers to libraries.
func (t *Tracing) Provider() trace.TracerProvider {
	if t.On() {
		return t.provider
	}
	return noop.NewTracerProvider()
}

// Tracer makes the spans of a part of the process, which it is named after.
func (t *Tracing) Tracer(name string) trace.Tracer {
	return t.Provider().Tracer("merchstore.io/merchstore/" + name)
}

// Propagator writes which span is calling into a call, and reads it there: W3C's traceparent and nothing else.
func (t *Tracing) Propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }

// Part makes the spans a part of the process, to be stopped after everything that makes them. What can not be sent is not worth
// failing for, nor waiting long.
func (t *Tracing) Part() process.Part {
	return process.Part{Name: "traces", Stop: func(ctx context.Context) error {
		if !t.On() {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		if err := t.provider.Shutdown(ctx); err != nil {
			t.log.Warn("traces could not be sent before the end", "error", err)
		}
		return nil
	}}
}
