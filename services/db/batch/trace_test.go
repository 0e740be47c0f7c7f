package batch

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// traced is a batch with recorded spans, whose calls each belong to a trace of their own.
type traced struct {
	ended   *tracetest.SpanRecorder
	callers []trace.SpanContext
	work    trace.SpanContext // of the context passed to the batch function
}

// runTraced runs one batch with a call per element of sampled, which says whether its trace is
// sampled.
func runTraced(t *testing.T, failure error, sampled ...bool) *traced {
	t.Helper()
	r := &traced{ended: tracetest.NewSpanRecorder()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.ended), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	b := New(10, time.Minute, func(ctx context.Context, requests []int) ([]int, error) {
		r.work = trace.SpanContextFromContext(ctx)
		return requests, failure
	}).WithTracer(provider.Tracer("test"), "place orders")
	defer b.Close()
	var calls []*Call[int, int]
	for i, is := range sampled {
		config := trace.SpanContextConfig{TraceID: trace.TraceID{byte(i + 1)}, SpanID: trace.SpanID{byte(i + 1)}}
		if is {
			config.TraceFlags = trace.FlagsSampled
		}
		caller := trace.NewSpanContext(config)
		r.callers = append(r.callers, caller)
		calls = append(calls, b.Start(trace.ContextWithSpanContext(t.Context(), caller), i))
	}
	for _, c := range calls {
		if _, err := c.Wait(); !errors.Is(err, failure) {
			t.Fatalf("Wait returned %v", err)
		}
	}
	return r
}

func TestBatchIsRecordedInEverySampledTrace(t *testing.T) {
	t.Parallel()
	r := runTraced(t, nil, false, true, true, false, true)
	spans := r.ended.Ended()
	if len(spans) != 3 {
		t.Fatalf("%d spans, want one for each of the three sampled traces", len(spans))
	}
	work := spans[0]
	if !work.SpanContext().Equal(r.work) {
		t.Error("the batch function does not run inside the span")
	}
	for i, caller := range []trace.SpanContext{r.callers[1], r.callers[2], r.callers[4]} {
		s := spans[i]
		if s.Name() != "place orders" || s.Parent().SpanID() != caller.SpanID() || s.SpanContext().TraceID() != caller.TraceID() {
			t.Errorf("span %d is %q of %v, want place orders of %v", i, s.Name(), s.Parent(), caller)
		}
		switch links := s.Links(); {
		case i == 0 && len(links) != 0:
			t.Errorf("the span of the work links to %v", links)
		case i > 0 && (len(links) != 1 || links[0].SpanContext.SpanID() != work.SpanContext().SpanID()):
			t.Errorf("span %d links to %v, want the span of the work", i, links)
		}
	}
}

func TestRecordsNoSpanWithoutSampledTraces(t *testing.T) {
	t.Parallel()
	r := runTraced(t, nil, false, false)
	if n := len(r.ended.Started()); n != 0 || r.work.IsValid() {
		t.Errorf("%d spans, and the work has span context %v", n, r.work)
	}
}

func TestFailedBatchFailsItsSpans(t *testing.T) {
	t.Parallel()
	for _, s := range runTraced(t, errors.New("the database is unavailable"), true, true).ended.Ended() {
		if s.Status().Code != codes.Error {
			t.Errorf("status is %v", s.Status())
		}
	}
}

func TestIgnoresNoopTracer(t *testing.T) {
	t.Parallel()
	b := New(1, time.Minute, func(_ context.Context, requests []int) ([]int, error) { return requests, nil }).
		WithTracer(noop.NewTracerProvider().Tracer("test"), "place orders")
	if b.tracer != nil {
		t.Error("a no-op tracer is kept")
	}
}
