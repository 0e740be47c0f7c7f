package batch

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Traced has each group make a span of that name, and gives the Group back. It is to be called before any question is asked.
//
// What a group does is done once for all who ride in it, so it can stand in one trace only: that of the first of them whose trace is
// recorded. Each of the others gets a span of the same time in its own trace, with a link to where the work is.
func (g *Group[Q, A]) Traced(tracer trace.Tracer, name string) *Group[Q, A] {
	if _, off := tracer.(noop.Tracer); !off {
		g.tracer, g.span = tracer, name
	}
	return g
}

// begin makes the spans for a group, as parts of what its askers do. The context that it gives is ctx, inside the group's span.
func (g *Group[Q, A]) begin(ctx context.Context, calls []*Call[Q, A]) (_ context.Context, end func(error)) {
	if g.tracer == nil {
		return ctx, func(error) {}
	}
	var spans []trace.Span
	size := trace.WithAttributes(attribute.Int("merchstore.group_size", len(calls)))
	for _, c := range calls {
		if !trace.SpanContextFromContext(c.ctx).IsSampled() {
			continue
		}
		if len(spans) == 0 {
			_, work := g.tracer.Start(c.ctx, g.span, size)
			ctx = trace.ContextWithSpan(ctx, work)
			spans = append(spans, work)
			continue
		}
		_, aside := g.tracer.Start(c.ctx, g.span, size, trace.WithLinks(trace.Link{SpanContext: spans[0].SpanContext()}))
		spans = append(spans, aside)
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
