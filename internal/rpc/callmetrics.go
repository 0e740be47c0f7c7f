package rpc

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/tracing"
)

// CallMetrics count calls by their method and outcome, and time those that are served here. Names and labels are those of
// go-grpc-middleware's interceptors, which dashboards know; but those look a series up by all of its labels four times a call, which took
// a twentieth of what a read costs the DB service. Here it is looked up once.
type CallMetrics struct {
	handled  *prometheus.CounterVec
	duration *prometheus.HistogramVec // nil: not timed
	series   sync.Map                 // of outcome to *measure
}

type outcome struct {
	method string
	code   codes.Code
}

// measure is what is kept of calls with one outcome.
type measure struct {
	handled  prometheus.Counter
	duration prometheus.Observer
}

// NewServerMetrics makes the metrics of the calls that a process serves.
func NewServerMetrics(r prometheus.Registerer) *CallMetrics {
	m := newCallMetrics(r, "grpc_server_handled_total", "Calls answered, by method and code.")
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "grpc_server_handling_seconds", Help: "Time until a call was answered.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	}, callLabels())
	r.MustRegister(m.duration)
	return m
}

// NewClientMetrics makes the metrics that all connections of a process share; none if there is nowhere to register them. How long calls
// take is measured where they are served.
func NewClientMetrics(r prometheus.Registerer) *CallMetrics {
	if r == nil {
		return nil
	}
	return newCallMetrics(r, "grpc_client_handled_total", "Calls made, by method and the code that they ended with.")
}

func newCallMetrics(r prometheus.Registerer, name, help string) *CallMetrics {
	m := &CallMetrics{handled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(callLabels(), "grpc_code"))}
	r.MustRegister(m.handled)
	return m
}

func callLabels() []string { return []string{"grpc_type", "grpc_service", "grpc_method"} }

func (m *CallMetrics) ended(ctx context.Context, kind, method string, start time.Time, err error) {
	o := outcome{method, status.Code(err)}
	found, ok := m.series.Load(o)
	if !ok {
		found, _ = m.series.LoadOrStore(o, m.newMeasure(kind, o))
	}
	s := found.(*measure) //nolint:forcetypeassert // nothing else is put in
	s.handled.Inc()
	if s.duration != nil {
		tracing.Observe(ctx, s.duration, time.Since(start).Seconds())
	}
}

func (m *CallMetrics) newMeasure(kind string, o outcome) *measure {
	service, method, _ := strings.Cut(strings.TrimPrefix(o.method, "/"), "/")
	s := &measure{handled: m.handled.WithLabelValues(kind, service, method, o.code.String())}
	if m.duration != nil {
		s.duration = m.duration.WithLabelValues(kind, service, method)
	}
	return s
}

const unary = "unary"

func streamKind(client, server bool) string {
	switch {
	case client && server:
		return "bidi_stream"
	case client:
		return "client_stream"
	default:
		return "server_stream"
	}
}

// UnaryServer is an interceptor for a server. It sees the error as the client will.
func (m *CallMetrics) UnaryServer(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	start := time.Now()
	resp, err := handle(ctx, req)
	m.ended(ctx, unary, info.FullMethod, start, err)
	return resp, err //nolint:wrapcheck // as it came
}

// StreamServer is an interceptor for a server.
func (m *CallMetrics) StreamServer(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	start := time.Now()
	err := handle(srv, stream)
	m.ended(stream.Context(), streamKind(info.IsClientStream, info.IsServerStream), info.FullMethod, start, err)
	return err //nolint:wrapcheck // as it came
}

// unaryClient is an interceptor for a connection.
func (m *CallMetrics) unaryClient(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, opts...)
	m.ended(ctx, unary, method, time.Time{}, err)
	return err
}

// streamClient is an interceptor for a connection. A stream has ended when nothing more comes.
func (m *CallMetrics) streamClient(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	kind := streamKind(desc.ClientStreams, desc.ServerStreams)
	stream, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		m.ended(ctx, kind, method, time.Time{}, err)
		return nil, err
	}
	return &countedStream{ClientStream: stream, ended: func(err error) { m.ended(ctx, kind, method, time.Time{}, err) }}, nil
}

// countedStream is a stream whose end is counted, once.
type countedStream struct {
	grpc.ClientStream
	once  sync.Once
	ended func(error)
}

// RecvMsg implements grpc.ClientStream.
func (s *countedStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err != nil {
		s.once.Do(func() {
			if errors.Is(err, io.EOF) {
				s.ended(nil)
			} else {
				s.ended(err)
			}
		})
	}
	return err //nolint:wrapcheck // as it came
}
