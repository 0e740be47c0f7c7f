package batch

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// WithTracer records a span with that name for each batch and returns b. It must be called before
// the first request.
//
// A batch does its work once for all of its callers, so the work is recorded in one trace: that of
// the first caller whose trace is sampled. Every other sampled caller gets a span of the same
// duration in its own trace, with a link to the span of the work.
func (b *Batcher[Req, Resp]) WithTracer(tracer trace.Tracer, spanName string) *Batcher[Req, Resp] {
	if _, off := tracer.(noop.Tracer); !off {
		b.tracer, b.spanName = tracer, spanName
	}
	return b
}

// startSpans starts the spans of a batch as children of its callers' spans. It returns ctx with the
// span of the work, and a function that ends all of them.
func (b *Batcher[Req, Resp]) startSpans(ctx context.Context, calls []*Call[Req, Resp]) (_ context.Context, end func(error)) {
	if b.tracer == nil {
		return ctx, func(error) {}
	}
	var spans []trace.Span
	size := trace.WithAttributes(attribute.Int("merchstore.group_size", len(calls)))
	for _, c := range calls {
		if !trace.SpanContextFromContext(c.ctx).IsSampled() {
			continue
		}
		if len(spans) == 0 {
			_, work := b.tracer.Start(c.ctx, b.spanName, size)
			ctx = trace.ContextWithSpan(ctx, work)
			spans = append(spans, work)
			continue
		}
		link := trace.WithLinks(trace.Link{SpanContext: spans[0].SpanContext()})
		_, linked := b.tracer.Start(c.ctx, b.spanName, size, link)
		spans = append(spans, linked)
	}
	return ctx, func(err error) {
		for _, span := range spans {
			if err != nil {
				span.SetStatus(codes.Error, "")
			}
			span.End()
		}
	}
}
