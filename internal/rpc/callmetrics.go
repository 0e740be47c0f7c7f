package rpc

import (
	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"merchstore.io/merchstore/internal/tracing"
)

// ServerMetrics returns interceptors that count the calls a process serves, by method and code,
// and observe their duration.
func ServerMetrics(r prometheus.Registerer) []grpc.ServerOption {
	m := grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram(
		grpcprom.WithHistogramBuckets(prometheus.ExponentialBuckets(0.0005, 2, 14))))
	r.MustRegister(m)
	exemplar := grpcprom.WithExemplarFromContext(tracing.Exemplar)
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(m.UnaryServerInterceptor(exemplar)), grpc.ChainStreamInterceptor(m.StreamServerInterceptor(exemplar)),
	}
}

// NewClientMetrics returns metrics of the calls that a process makes on all of its connections, or
// nil if r is nil. The duration of calls is observed by the server.
func NewClientMetrics(r prometheus.Registerer) *grpcprom.ClientMetrics {
	if r == nil {
		return nil
	}
	m := grpcprom.NewClientMetrics()
	r.MustRegister(m)
	return m
}
