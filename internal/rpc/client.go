package rpc

import (
	"fmt"
	"strings"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/health" // registers client-side health checks
	"google.golang.org/grpc/keepalive"

	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/tracing"
)

// WindowBytes is the flow-control window of streams and connections.
const WindowBytes = 1 << 20

// maxResponseBytes exceeds the largest page of the largest orders.
const maxResponseBytes = 16 << 20

// DialOptions configure a connection to a service.
type DialOptions struct {
	// Service is the full name of the service, for instance merchstore.v1.DBService.
	Service string
	// SafeToRetry are the names of idempotent methods. Other calls are not retried.
	SafeToRetry []string
	// Tracing creates spans of the calls. It may be nil.
	Tracing *tracing.Tracing
	// Identity encrypts the connection and verifies the server. It may be nil.
	Identity *mtls.Identity
	// Credentials identify this process to the service. They may be nil.
	Credentials credentials.PerRPCCredentials
}

// Dial returns a connection to a service by its DNS name. Calls are balanced over all healthy
// addresses. Dial does not wait for a connection. metrics may be nil.
func Dial(addr string, o DialOptions, metrics *grpcprom.ClientMetrics) (*grpc.ClientConn, error) {
	setResolutionInterval()
	if !strings.Contains(addr, ":///") {
		addr = "dns:///" + addr
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(o.Identity.ClientCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig(o)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true}),
		grpc.WithConnectParams(connectParams),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponseBytes)),
		grpc.WithStaticStreamWindowSize(WindowBytes), grpc.WithStaticConnWindowSize(WindowBytes),
		o.Tracing.DialOption(),
	}
	if o.Credentials != nil {
		options = append(options, grpc.WithPerRPCCredentials(o.Credentials))
	}
	if metrics != nil {
		options = append(options,
			grpc.WithChainUnaryInterceptor(metrics.UnaryClientInterceptor()), grpc.WithChainStreamInterceptor(metrics.StreamClientInterceptor()))
	}
	conn, err := grpc.NewClient(addr, options...)
	if err != nil {
		return nil, fmt.Errorf("create client of %s at %s: %w", o.Service, addr, err)
	}
	return conn, nil
}
