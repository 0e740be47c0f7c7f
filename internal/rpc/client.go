package rpc

import (
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // client-side health checks are registered by this
	"google.golang.org/grpc/keepalive"

	"merchstore.io/merchstore/internal/tracing"
)

// WindowBytes is how much may be under way in one direction of a connection before it has to be read.
const WindowBytes = 1 << 20

// maxAnswerBytes is above the largest page of the largest orders.
const maxAnswerBytes = 16 << 20

// DialOptions say how to reach a service.
type DialOptions struct {
	// Service is its full name, for instance merchstore.v1.DBService.
	Service string
	// SafeToRetry names the methods that may be made twice without harm; no other call is made again.
	SafeToRetry []string
	// Tracing makes spans of the calls; nil if there are none.
	Tracing *tracing.Tracing
}

// Dial reaches a service by its DNS name: every address behind it gets its share of the calls, and none that says it is
// not healthy. It does not wait for a connection. Calls are made with the deadline of their context, and measured unless metrics is nil.
func Dial(addr string, o DialOptions, metrics *CallMetrics) (*grpc.ClientConn, error) {
	if !strings.Contains(addr, ":///") {
		addr = "dns:///" + addr
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig(o)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true}),
		grpc.WithConnectParams(connectParams),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes)),
		grpc.WithStaticStreamWindowSize(WindowBytes), grpc.WithStaticConnWindowSize(WindowBytes),
		o.Tracing.DialOption(),
	}
	if metrics != nil {
		options = append(options,
			grpc.WithChainUnaryInterceptor(metrics.unaryClient), grpc.WithChainStreamInterceptor(metrics.streamClient))
	}
	conn, err := grpc.NewClient(addr, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare calls to %s at %s: %w", o.Service, addr, err)
	}
	return conn, nil
}
