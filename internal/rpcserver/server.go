// Package rpcserver creates the store's gRPC servers with validation, metrics, tracing, health
// checks, reflection, conversion of errors, and graceful shutdown.
package rpcserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"time"

	"buf.build/go/protovalidate"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/tap"

	"merchstore.io/merchstore/internal/budget"
	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/tracing"
)

// Settings are the settings of every gRPC server.
type Settings struct {
	MaxConnectionAge time.Duration `env:"GRPC_MAX_CONNECTION_AGE" envDefault:"1m" help:"maximum age of a connection; clients then reconnect, which balances them over new pods"`
	MaxStreams       uint32        `env:"GRPC_MAX_CONCURRENT_STREAMS" envDefault:"256" min:"1" help:"maximum number of concurrent calls on a connection; clients make further calls wait"`
	MaxConnections   int64         `env:"GRPC_MAX_CONNECTIONS" envDefault:"1024" help:"maximum number of connections; further ones are closed"`
	PerAddress       int64         `env:"GRPC_MAX_CONNECTIONS_PER_ADDRESS" envDefault:"16" min:"1" help:"maximum number of connections from one address"`
	Callers          []string      `env:"TLS_CALLERS" help:"comma-separated URIs of the certificates whose owners may call, if calls are encrypted"`
}

// Validate implements settings.Validator.
func (s Settings) Validate() error {
	if s.MaxConnections < s.PerAddress {
		return errors.New("GRPC_MAX_CONNECTIONS must be at least GRPC_MAX_CONNECTIONS_PER_ADDRESS")
	}
	return nil
}

// Options are what differs between the servers of the store.
type Options struct {
	// MaxMessageBytes is the maximum size of a request, or of a message of a stream.
	MaxMessageBytes int
	// RequestBytes are smaller limits of unary requests, by the full name of the message. "" is the
	// limit of all others.
	RequestBytes map[string]int
	// WindowBytes is how much of a stream a client may send before it is read.
	WindowBytes int32
	// CallTimeout ends calls whose clients allow more time, or do not finish their request. 0 is no limit.
	CallTimeout time.Duration
	// Unary and Stream authenticate calls. They run before a request is read.
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
	// Identity encrypts connections and verifies callers. It may be nil.
	Identity *mtls.Identity
}

// MinWindowBytes is the smallest window that HTTP/2 has, enough for small requests.
const MinWindowBytes = 64 << 10

// maxHeaderBytes bounds the metadata of a call; a token has a few hundred bytes.
const maxHeaderBytes = 16 << 10

// handshakeTimeout bounds how long a client may take to begin.
const handshakeTimeout = 10 * time.Second

// streamWorkers is the number of goroutines kept for handlers, which saves growing a new stack for
// each call.
const streamWorkers = 64

// Server is a gRPC server that listens on a TCP address.
type Server struct {
	*grpc.Server
	health   *health.Server
	listener net.Listener
	stopping context.Context
	stop     context.CancelFunc
}

// New returns a server that listens on addr. The server's health follows the readiness of the
// process.
func New(ctx context.Context, addr string, s Settings, o Options, p *process.Process, traces *tracing.Tracing) (*Server, error) {
	if o.Identity != nil && len(s.Callers) == 0 {
		return nil, errors.New("TLS_CALLERS must name who may call, because TLS_DIR is set")
	}
	validator, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("create validator: %w", err)
	}
	recoverer := recovery.WithRecoveryHandlerContext(func(_ context.Context, panicked any) error {
		return fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
	})

	l, err := process.Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	options := []grpc.ServerOption{traces.ServerOption()} // before the metrics, whose exemplars need the trace
	if r := p.CallMetrics(); r != nil {
		options = append(options, rpc.ServerMetrics(r)...)
	}
	options = append(options,
		grpc.ChainUnaryInterceptor(unaryErrors(p.Log), recovery.UnaryServerInterceptor(recoverer)),
		grpc.ChainStreamInterceptor(
			streamErrors(p.Log), //nolint:contextcheck // each stream has its own context
			recovery.StreamServerInterceptor(recoverer),
		),
	)
	if o.Unary != nil {
		options = append(options, grpc.ChainUnaryInterceptor(o.Unary))
	}
	if o.Stream != nil {
		options = append(options, grpc.ChainStreamInterceptor(o.Stream))
	}
	options = append(options,
		grpc.ChainUnaryInterceptor(unaryRead, unaryValidation(validator)),
		grpc.Creds(connections{o.Identity.ServerCredentials(s.Callers), budget.New(s.MaxConnections, s.PerAddress)}), grpc.ConnectionTimeout(handshakeTimeout),
		grpc.ForceServerCodecV2(newCodec(o.RequestBytes)),
		grpc.MaxRecvMsgSize(o.MaxMessageBytes), grpc.MaxConcurrentStreams(s.MaxStreams), grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.NumStreamWorkers(streamWorkers),
		// A static window, because estimating one costs a ping for every burst of small messages.
		grpc.StaticStreamWindowSize(o.WindowBytes), grpc.StaticConnWindowSize(rpc.WindowBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: s.MaxConnectionAge, MaxConnectionAgeGrace: 30 * time.Second,
			Time: 30 * time.Second, Timeout: 10 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	if o.CallTimeout > 0 {
		options = append(options, grpc.InTapHandle(limitTime(o.CallTimeout)))
	}
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

// limitTime returns a handle that ends calls after limit. Reading a request ends with its call.
func limitTime(limit time.Duration) tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		if info.FullMethodName == healthpb.Health_Watch_FullMethodName { // clients watch for as long as they are connected
			return ctx, nil
		}
		if end, ok := ctx.Deadline(); ok && time.Until(end) <= limit {
			return ctx, nil
		}
		limited, cancel := context.WithTimeout(ctx, limit)
		context.AfterFunc(limited, cancel) // gRPC cancels ctx after the call
		return limited, nil
	}
}

// RegisterService registers a service whose unary requests are read after the caller is authenticated.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	late := *desc
	late.Methods = slices.Clone(desc.Methods)
	for i := range late.Methods {
		late.Methods[i].Handler = readLate(late.Methods[i].Handler)
	}
	s.Server.RegisterService(&late, impl)
}

// Addr returns the address on which the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Stopping returns a context that is canceled when the server is asked to stop, so that long-lived
// streams can end.
func (s *Server) Stopping() context.Context { return s.stopping }

// Component returns the server as a component of its process.
func (s *Server) Component() process.Component {
	return process.Component{
		Name: "gRPC",
		Serve: func() error {
			if err := s.Serve(s.listener); !errors.Is(err, grpc.ErrServerStopped) && err != nil {
				return fmt.Errorf("serve gRPC: %w", err)
			}
			return nil
		},
		Stop: func(ctx context.Context) error {
			defer s.listener.Close() // the server closes it only after Serve
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
			return nil, toStatus(ctx, log, info.FullMethod, err)
		}
		return resp, nil
	}
}

func streamErrors(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		if err := handle(srv, ss); err != nil {
			return toStatus(ss.Context(), log, info.FullMethod, err)
		}
		return nil
	}
}

// toStatus returns the status error to send for err. It logs errors whose cause the caller does not
// see.
func toStatus(ctx context.Context, log *slog.Logger, method string, err error) error {
	s := rpc.Status(err)
	requestID := rpc.RequestID(rpc.WithIncomingRequestID(ctx))
	switch s.Code() {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		log.ErrorContext(ctx, "call failed", "method", method, "request_id", requestID, tracing.LogAttr(ctx), "error", err)
	case codes.Unavailable, codes.DeadlineExceeded:
		log.WarnContext(ctx, "call could not be served", "method", method, "request_id", requestID, tracing.LogAttr(ctx), "error", err)
	default: // an error of the caller
	}
	return s.Err()
}
