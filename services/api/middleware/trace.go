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

// Trace begins a trace with each request. Whether it is recorded is decided here, never by the client: a client that brings
// a trace of its own finds it linked to. As in Observe, nothing is told that a client may keep to itself.
func Trace(traces *tracing.Tracing) gin.HandlerFunc {
	tracer, propagator := traces.Tracer("api"), traces.Propagator()
	return func(c *gin.Context) {
		if !traces.Choose() {
			c.Next()
			return
		}
		name, method := describe(c)
		ctx, span := tracer.Start(c.Request.Context(), name, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		c.Request = c.Request.WithContext(ctx)
		// Their ids and no more: a tracestate may hold anything.
		theirs := propagator.Extract(c.Request.Context(), propagation.MapCarrier{"traceparent": c.Request.Header.Get("Traceparent")})
		if remote := trace.SpanContextFromContext(theirs); remote.IsRemote() {
			span.AddLink(trace.Link{SpanContext: remote})
		}
		span.SetAttributes(method, attribute.String("merchstore.request_id", rpc.RequestID(ctx)))
		if route := c.FullPath(); route != "" {
			span.SetAttributes(semconv.HTTPRoute(route))
		}
		c.Next()
		status := c.Writer.Status()
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	}
}

// describe gives a span's name and method. Neither they nor the route are made of what clients write.
func describe(c *gin.Context) (name string, method attribute.KeyValue) {
	name, method = c.Request.Method, semconv.HTTPRequestMethodKey.String(c.Request.Method)
	if knownMethod(name) != name {
		name, method = "HTTP", semconv.HTTPRequestMethodOther
	}
	if route := c.FullPath(); route != "" {
		name += " " + route
	}
	return name, method
}
