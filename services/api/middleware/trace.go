package middleware

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/tracing"
)

// Trace starts a trace for each request. Whether it is sampled is decided here and not by the
// client, whose own trace is linked to. As in Log, nothing of the client's input is recorded.
func Trace(traces *tracing.Tracing) gin.HandlerFunc {
	tracer, propagator := traces.Tracer("api"), traces.Propagator()
	return func(c *gin.Context) {
		if !traces.Choose() {
			return
		}
		name, attributes := method(c), []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(method(c))}
		if name == "other" {
			name, attributes[0] = "HTTP", semconv.HTTPRequestMethodOther
		}
		if pattern := c.FullPath(); pattern != "" {
			name += " " + pattern
			attributes = append(attributes, semconv.HTTPRoute(pattern))
		}
		ctx := c.Request.Context()
		attributes = append(attributes, attribute.String("merchstore.request_id", rpc.RequestID(ctx)))
		// The client's tracestate is left out: it may contain anything.
		remote := trace.SpanContextFromContext(propagator.Extract(ctx,
			propagation.MapCarrier{"traceparent": c.GetHeader("Traceparent")}))
		ctx, span := tracer.Start(ctx, name, trace.WithNewRoot(),
			trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
		defer span.End()
		if remote.IsRemote() {
			span.AddLink(trace.Link{SpanContext: remote})
		}
		c.Request = c.Request.WithContext(ctx)
		c.Next()
		status := c.Writer.Status()
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	}
}
