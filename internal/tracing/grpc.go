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

// These do what otelgrpc does, for unary calls only, and only for those in a trace that is recorded: most are in none, and its stats
// handler makes each of them half as long again. Streams are not traced: they outlive what they were opened for.

// ServerOption makes a span of each unary call that comes from inside a trace. It is nothing if tracing is off.
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
		ctx, span := start(ctx, tracer, info.FullMethod, trace.SpanKindServer)
		defer span.End()
		resp, err := handle(ctx, req)
		setStatus(span, err, isServersFault)
		return resp, err
	})
}

// DialOption makes a span of each unary call made inside a trace that is recorded, and tells the called service of it. It is nothing if
// tracing is off.
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

// traceparent is the metadata key, and W3C's header, that a trace travels under.
const traceparent = "traceparent"

func start(ctx context.Context, tracer trace.Tracer, fullMethod string, kind trace.SpanKind) (context.Context, trace.Span) {
	method := strings.TrimPrefix(fullMethod, "/")
	return tracer.Start(ctx, method, trace.WithSpanKind(kind), trace.WithAttributes(semconv.RPCSystemNameGRPC, semconv.RPCMethod(method)))
}

func setStatus(span trace.Span, err error, isFault func(grpccodes.Code) bool) {
	c := status.Code(err)
	span.SetAttributes(semconv.RPCResponseStatusCode(code.Code(c).String())) //nolint:gosec // seventeen codes
	if c != grpccodes.OK && isFault(c) {
		span.SetStatus(codes.Error, "") // what happened is in the log, under the trace's id
	}
}

// isServersFault tells failures of the server from refusals, as OpenTelemetry's conventions do.
func isServersFault(c grpccodes.Code) bool {
	switch c {
	case grpccodes.Unknown, grpccodes.DeadlineExceeded, grpccodes.Unimplemented, grpccodes.Internal, grpccodes.Unavailable, grpccodes.DataLoss:
		return true
	}
	return false
}
