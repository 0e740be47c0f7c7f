package tracing

import (
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// ServerOption makes a span of every call that a gRPC server answers, as part of its caller's trace. It is nothing if tracing is off.
func (t *Tracing) ServerOption() grpc.ServerOption {
	if !t.On() {
		return grpc.EmptyServerOption{}
	}
	return grpc.StatsHandler(otelgrpc.NewServerHandler(t.grpcOptions()...))
}

// DialOption makes a span of every call of a connection, and tells the called side of it. It is nothing if tracing is off.
func (t *Tracing) DialOption() grpc.DialOption {
	if !t.On() {
		return grpc.EmptyDialOption{}
	}
	return grpc.WithStatsHandler(otelgrpc.NewClientHandler(t.grpcOptions()...))
}

func (t *Tracing) grpcOptions() []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(t.Provider()), otelgrpc.WithPropagators(t.Propagator()),
		otelgrpc.WithMeterProvider(noop.NewMeterProvider()), // calls are measured already
		otelgrpc.WithFilter(ofARequest),
	}
}

// ofARequest leaves out what goes on whether or not anybody wants something of the store.
func ofARequest(call *stats.RPCTagInfo) bool {
	return call.FullMethodName != merchstorev1.LoggingService_WriteLogs_FullMethodName &&
		!strings.HasPrefix(call.FullMethodName, "/"+healthpb.Health_ServiceDesc.ServiceName+"/") &&
		!strings.HasPrefix(call.FullMethodName, "/grpc.reflection.")
}
