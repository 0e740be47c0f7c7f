package tracing_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/internal/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNewValidatesSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environ []string
		want    string // in the error
	}{
		"no endpoint, other settings ignored": {[]string{"OTEL_TRACES_SAMPLER_ARG=7"}, ""},
		"valid endpoint":                      {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, ""},
		"headers":                             {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS=Authorization=Basic%20abc=, x=1"}, ""},
		"an endpoint without a scheme":        {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT"},
		"an endpoint without a host":          {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://"}, "OTEL_EXPORTER_OTLP_ENDPOINT"},
		"ratio above 1":                       {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_TRACES_SAMPLER_ARG=1.1"}, "OTEL_TRACES_SAMPLER_ARG"},
		"ratio NaN":                           {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_TRACES_SAMPLER_ARG=NaN"}, "OTEL_TRACES_SAMPLER_ARG"},
		"header without a value, not printed": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS=x=1,hunter2"}, "entry 2"},
		"invalid header, not printed":         {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS=hunter2=%zz"}, "entry 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var traces *tracing.Tracing
			s, err := settings.Parse[tracing.Settings](test.environ)
			if err == nil {
				traces, err = tracing.New(t.Context(), s, "test", "", slog.New(slog.DiscardHandler))
			}
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if traces.On() != (s.Endpoint != "") {
					t.Errorf("on is %t", traces.On())
				}
				if err := traces.Component().Stop(t.Context()); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestDisabledTracingCreatesNoSpans(t *testing.T) {
	t.Parallel()
	for name, traces := range map[string]*tracing.Tracing{"nil": nil, "off": new(tracing.Tracing)} {
		if traces.On() {
			t.Errorf("%s is on", name)
		}
		ctx, span := traces.Tracer("test").Start(t.Context(), "work")
		defer span.End()
		if _, sampled := tracing.SampledTraceID(ctx); sampled || span.IsRecording() {
			t.Errorf("%s creates recording spans", name)
		}
	}
}

func TestLogAttrHasOnlySampledTraceIDs(t *testing.T) {
	t.Parallel()
	in := func(flags trace.TraceFlags) context.Context {
		return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: flags,
		}))
	}
	for name, test := range map[string]struct {
		ctx  context.Context
		want string
	}{
		"no trace":        {t.Context(), "msg=happened\n"},
		"unsampled trace": {in(0), "msg=happened\n"},
		"sampled trace":   {in(trace.FlagsSampled), "msg=happened trace_id=01000000000000000000000000000000\n"},
	} {
		var line bytes.Buffer
		log := slog.New(slog.NewTextHandler(&line, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}}))
		log.InfoContext(test.ctx, "happened", tracing.LogAttr(test.ctx))
		if line.String() != test.want {
			t.Errorf("%s: logged %q, want %q", name, line.String(), test.want)
		}
	}
}
