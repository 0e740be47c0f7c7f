package tracing

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The interceptors below replace otelgrpc for unary calls that belong to a sampled trace. Most
// calls do not, and otelgrpc's stats handler makes each of them take half as long again. Streams
// are not traced, because they outlive the request that opened them.

// ServerOption returns an option that creates a span for each unary call that belongs to a sampled
// trace. The option has no effect if tracing is off.
func (t *Tracing) ServerOption() grpc.ServerOption {
	if !t.On() {
		return grpc.EmptyServerOption{}
	}
	tracer, propagator := t.Tracer("grpc"), t.Propagator()
	return grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		parent := metadata.ValueFromIncomingContext(ctx, traceparent)
		if len(parent) == 0 {
			return handle(ctx, req)
		}
		ctx = propagator.Extract(ctx, propagation.MapCarrier{traceparent: parent[0]})
		if !trace.SpanContextFromContext(ctx).IsSampled() { // from an external caller; DialOption sends only sampled traces
			return handle(ctx, req)
		}
		ctx, span := start(ctx, tracer, info.FullMethod, trace.SpanKindServer)
		defer span.End()
		resp, err := handle(ctx, req)
		setStatus(span, err, isServerError)
		return resp, err
	})
}

// DialOption returns an option that creates a span for each unary call made within a sampled trace,
// and propagates the trace to the server. The option has no effect if tracing is off.
func (t *Tracing) DialOption() grpc.DialOption {
	if !t.On() {
		return grpc.EmptyDialOption{}
	}
	tracer, propagator := t.Tracer("grpc"), t.Propagator()
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if !trace.SpanContextFromContext(ctx).IsSampled() {
			return invoke(ctx, method, req, reply, conn, opts...)
		}
		ctx, span := start(ctx, tracer, method, trace.SpanKindClient)
		defer span.End()
		carrier := propagation.MapCarrier{}
		propagator.Inject(ctx, carrier)
		err := invoke(metadata.AppendToOutgoingContext(ctx, traceparent, carrier[traceparent]), method, req, reply, conn, opts...)
		setStatus(span, err, func(grpccodes.Code) bool { return true })
		return err
	})
}

// traceparent is the metadata key of the trace, as in W3C Trace Context.
const traceparent = "traceparent"

func start(ctx context.Context, tracer trace.Tracer, fullMethod string, kind trace.SpanKind) (context.Context, trace.Span) {
	method := strings.TrimPrefix(fullMethod, "/")
	return tracer.Start(ctx, method, trace.WithSpanKind(kind), trace.WithAttributes(semconv.RPCSystemNameGRPC, semconv.RPCMethod(method)))
}

func setStatus(span trace.Span, err error, isError func(grpccodes.Code) bool) {
	c := status.Code(err)
	span.SetAttributes(semconv.RPCResponseStatusCode(code.Code(c).String())) //nolint:gosec // seventeen codes
	if c != grpccodes.OK && isError(c) {
		span.SetStatus(codes.Error, "") // details are in the log, with the trace id
	}
}

// isServerError reports whether OpenTelemetry's conventions consider the code an error of the
// server.
func isServerError(c grpccodes.Code) bool {
	switch c {
	case grpccodes.Unknown, grpccodes.DeadlineExceeded, grpccodes.Unimplemented, grpccodes.Internal, grpccodes.Unavailable, grpccodes.DataLoss:
		return true
	}
	return false
}
