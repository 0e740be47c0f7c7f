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

// traced is a group whose spans are recorded, and in which each question is asked inside a trace of its own.
type traced struct {
	ended   *tracetest.SpanRecorder
	askers  []trace.SpanContext
	working trace.SpanContext // of the context that the group was run with
}

// runTraced asks as many questions as sampled has, together, each in a trace that is sampled or not.
func runTraced(t *testing.T, failure error, sampled ...bool) *traced {
	t.Helper()
	r := &traced{ended: tracetest.NewSpanRecorder()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.ended), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	g := New(10, time.Minute, func(ctx context.Context, asked []int) ([]int, error) {
		r.working = trace.SpanContextFromContext(ctx)
		return asked, failure
	}).Traced(provider.Tracer("test"), "place orders")
	defer g.Close()
	var calls []*Call[int, int]
	for i, is := range sampled {
		config := trace.SpanContextConfig{TraceID: trace.TraceID{byte(i + 1)}, SpanID: trace.SpanID{byte(i + 1)}}
		if is {
			config.TraceFlags = trace.FlagsSampled
		}
		asker := trace.NewSpanContext(config)
		r.askers = append(r.askers, asker)
		calls = append(calls, g.Start(trace.ContextWithSpanContext(t.Context(), asker), i))
	}
	for _, c := range calls {
		if _, err := c.Wait(); !errors.Is(err, failure) {
			t.Fatalf("answer is %v", err)
		}
	}
	return r
}

func TestAGroupStandsInTheTracesOfAllWhoRideInIt(t *testing.T) {
	t.Parallel()
	r := runTraced(t, nil, false, true, true, false, true)
	spans := r.ended.Ended()
	if len(spans) != 3 {
		t.Fatalf("%d spans, want one for each of the three that are sampled", len(spans))
	}
	work := spans[0]
	if !work.SpanContext().Equal(r.working) {
		t.Error("what the group does is not inside its span")
	}
	for i, asker := range []trace.SpanContext{r.askers[1], r.askers[2], r.askers[4]} {
		s := spans[i]
		if s.Name() != "place orders" || s.Parent().SpanID() != asker.SpanID() || s.SpanContext().TraceID() != asker.TraceID() {
			t.Errorf("span %d is %q of %v, want place orders of %v", i, s.Name(), s.Parent(), asker)
		}
		switch links := s.Links(); {
		case i == 0 && len(links) != 0:
			t.Errorf("the span with the work links to %v", links)
		case i > 0 && (len(links) != 1 || links[0].SpanContext.SpanID() != work.SpanContext().SpanID()):
			t.Errorf("span %d links to %v, want the one with the work", i, links)
		}
	}
}

func TestAGroupWithoutSampledTracesMakesNoSpan(t *testing.T) {
	t.Parallel()
	r := runTraced(t, nil, false, false)
	if n := len(r.ended.Started()); n != 0 || r.working.IsValid() {
		t.Errorf("%d spans, and the work is in %v", n, r.working)
	}
}

func TestAFailedGroupFailsItsSpans(t *testing.T) {
	t.Parallel()
	for _, s := range runTraced(t, errors.New("the database is away"), true, true).ended.Ended() {
		if s.Status().Code != codes.Error {
			t.Errorf("status is %v", s.Status())
		}
	}
}

func TestATracerThatMakesNoSpansIsNotAsked(t *testing.T) {
	t.Parallel()
	g := New(1, time.Minute, func(_ context.Context, asked []int) ([]int, error) { return asked, nil }).
		Traced(noop.NewTracerProvider().Tracer("test"), "place orders")
	if g.tracer != nil {
		t.Error("a tracer that is off is kept")
	}
}
