// Package rpcserver makes the store's gRPC servers: validation, metrics, health, reflection, failures for errors, and an
// orderly end.
package rpcserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"buf.build/go/protovalidate"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/tracing"
)

// Settings are those of every gRPC server.
type Settings struct {
	MaxConnectionAge time.Duration `env:"GRPC_MAX_CONNECTION_AGE" envDefault:"1m" help:"after this a client is asked to connect anew, so that new pods get their share"`
	MaxMessageBytes  int           `env:"GRPC_MAX_MESSAGE_BYTES" envDefault:"4194304" help:"greatest request in bytes"`
}

const streamWorkers = 64

// Server is a gRPC server with health, reflection, metrics, validation of requests, and failures for errors.
type Server struct {
	*grpc.Server
	health   *health.Server
	listener net.Listener
	stopping context.Context
	stop     context.CancelFunc
}

// New listens on addr. The interceptors run after a request was found valid. Readiness of the process becomes the
// health of the server.
func New(ctx context.Context, addr string, s Settings, p *process.Process, traces *tracing.Tracing, unary ...grpc.UnaryServerInterceptor) (*Server, error) {
	validator, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("prepare validation: %w", err)
	}
	recoverer := recovery.WithRecoveryHandlerContext(func(_ context.Context, panicked any) error {
		return fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
	})

	l, err := process.Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	options := []grpc.ServerOption{traces.ServerOption()} // first: what is measured names the trace that it is in
	options = append(options, measured(p.CallMetrics())...)
	options = append(options,
		grpc.ChainUnaryInterceptor(append([]grpc.UnaryServerInterceptor{
			unaryErrors(p.Log), recovery.UnaryServerInterceptor(recoverer), unaryValidation(validator),
		}, unary...)...),
		grpc.ChainStreamInterceptor(
			streamErrors(p.Log), //nolint:contextcheck // each stream has its own
			recovery.StreamServerInterceptor(recoverer),
		),
		grpc.MaxRecvMsgSize(s.MaxMessageBytes),
		// Handlers run on goroutines that are kept, for a new one has to grow its stack each time.
		grpc.NumStreamWorkers(streamWorkers),
		// A window of fixed size: estimating a better one costs a ping for every burst of small messages.
		grpc.StaticStreamWindowSize(rpc.WindowBytes), grpc.StaticConnWindowSize(rpc.WindowBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: s.MaxConnectionAge, MaxConnectionAgeGrace: 30 * time.Second,
			Time: 30 * time.Second, Timeout: 10 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	server := grpc.NewServer(options...)
	h := health.NewServer()
	h.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	healthpb.RegisterHealthServer(server, h)
	reflection.Register(server)
	p.OnReadiness(func(ready bool) {
		status := healthpb.HealthCheckResponse_NOT_SERVING
		if ready {
			status = healthpb.HealthCheckResponse_SERVING
		}
		h.SetServingStatus("", status)
		for name := range server.GetServiceInfo() {
			h.SetServingStatus(name, status)
		}
	})
	stopping, stop := context.WithCancel(context.Background())
	return &Server{Server: server, health: h, listener: l, stopping: stopping, stop: stop}, nil
}

// measured counts and times calls, outside of everything else that is done with them, if there is somewhere to register that.
func measured(r prometheus.Registerer) []grpc.ServerOption {
	if r == nil {
		return nil
	}
	metrics := rpc.NewServerMetrics(r)
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(metrics.UnaryServer), grpc.ChainStreamInterceptor(metrics.StreamServer)}
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Stopping is done once the server is asked to stop: the sign for long-lived streams to come to their end.
func (s *Server) Stopping() context.Context { return s.stopping }

// Part makes the server a part of its process.
func (s *Server) Part() process.Part {
	return process.Part{
		Name: "gRPC",
		Serve: func() error {
			if err := s.Serve(s.listener); !errors.Is(err, grpc.ErrServerStopped) && err != nil {
				return fmt.Errorf("serve gRPC: %w", err)
			}
			return nil
		},
		Stop: func(ctx context.Context) error {
			s.health.Shutdown()
			s.stop()
			done := make(chan struct{})
			go func() { s.GracefulStop(); close(done) }()
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				s.Stop()
				<-done
				return fmt.Errorf("finish calls: %w", ctx.Err())
			}
		},
	}
}

func unaryErrors(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		resp, err := handle(rpc.WithIncomingRequestID(ctx), req)
		if err != nil {
			return nil, answer(ctx, log, info.FullMethod, err)
		}
		return resp, nil
	}
}

func streamErrors(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		if err := handle(srv, ss); err != nil {
			return answer(ss.Context(), log, info.FullMethod, err)
		}
		return nil
	}
}

// answer turns an error into what the caller sees, and logs, once, what the caller does not see.
func answer(ctx context.Context, log *slog.Logger, method string, err error) error {
	s := rpc.Status(err)
	switch s.Code() {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		log.ErrorContext(ctx, "call failed", "method", method, "request_id", rpc.RequestID(rpc.WithIncomingRequestID(ctx)), tracing.LogAttr(ctx), "error", err)
	case codes.Unavailable, codes.DeadlineExceeded:
		log.WarnContext(ctx, "call could not be served", "method", method, "request_id", rpc.RequestID(rpc.WithIncomingRequestID(ctx)), tracing.LogAttr(ctx), "error", err)
	default: // the caller's own doing
	}
	return s.Err()
}
