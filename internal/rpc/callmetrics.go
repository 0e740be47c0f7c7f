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

// CallMetrics counts calls by method and code, and observes the duration of served calls. The
// metrics have the names and labels of go-grpc-middleware's interceptors. Those look up a series by
// all of its labels four times per call, which was a twentieth of the cost of a read in the DB
// service. CallMetrics looks it up once.
type CallMetrics struct {
	handled  *prometheus.CounterVec
	duration *prometheus.HistogramVec // nil if durations are not observed
	series   sync.Map                 // from outcome to *callSeries
}

type outcome struct {
	method string
	code   codes.Code
}

// callSeries are the time series of calls with one outcome.
type callSeries struct {
	handled  prometheus.Counter
	duration prometheus.Observer
}

// NewServerMetrics returns metrics of the calls that a process serves.
func NewServerMetrics(r prometheus.Registerer) *CallMetrics {
	m := newCallMetrics(r, "grpc_server_handled_total", "Calls served, by method and code.")
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "grpc_server_handling_seconds", Help: "Duration of served calls.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	}, callLabels())
	r.MustRegister(m.duration)
	return m
}

// NewClientMetrics returns metrics of the calls that a process makes on all of its connections, or
// nil if r is nil. The duration of calls is observed by the server.
func NewClientMetrics(r prometheus.Registerer) *CallMetrics {
	if r == nil {
		return nil
	}
	return newCallMetrics(r, "grpc_client_handled_total", "Calls made, by method and code.")
}

func newCallMetrics(r prometheus.Registerer, name, help string) *CallMetrics {
	m := &CallMetrics{handled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(callLabels(), "grpc_code"))}
	r.MustRegister(m.handled)
	return m
}

func callLabels() []string { return []string{"grpc_type", "grpc_service", "grpc_method"} }

func (m *CallMetrics) observe(ctx context.Context, kind, method string, start time.Time, err error) {
	o := outcome{method, status.Code(err)}
	value, ok := m.series.Load(o)
	if !ok {
		value, _ = m.series.LoadOrStore(o, m.newSeries(kind, o))
	}
	s := value.(*callSeries)
	s.handled.Inc()
	if s.duration != nil {
		tracing.Observe(ctx, s.duration, time.Since(start).Seconds())
	}
}

func (m *CallMetrics) newSeries(kind string, o outcome) *callSeries {
	service, method, _ := strings.Cut(strings.TrimPrefix(o.method, "/"), "/")
	s := &callSeries{handled: m.handled.WithLabelValues(kind, service, method, o.code.String())}
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

// UnaryServer is a server interceptor. It must be the outermost one, to see the error that the
// client receives.
func (m *CallMetrics) UnaryServer(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	start := time.Now()
	resp, err := handle(ctx, req)
	m.observe(ctx, unary, info.FullMethod, start, err)
	return resp, err
}

// StreamServer is a server interceptor.
func (m *CallMetrics) StreamServer(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	start := time.Now()
	err := handle(srv, stream)
	m.observe(stream.Context(), streamKind(info.IsClientStream, info.IsServerStream), info.FullMethod, start, err)
	return err
}

// unaryClient is a client interceptor.
func (m *CallMetrics) unaryClient(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, opts...)
	m.observe(ctx, unary, method, time.Time{}, err)
	return err
}

// streamClient is a client interceptor. It counts a stream when its last message has been received.
func (m *CallMetrics) streamClient(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	kind := streamKind(desc.ClientStreams, desc.ServerStreams)
	stream, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		m.observe(ctx, kind, method, time.Time{}, err)
		return nil, err
	}
	return &countedStream{ClientStream: stream, ended: func(err error) { m.observe(ctx, kind, method, time.Time{}, err) }}, nil
}

// countedStream is a client stream that calls ended once, when it has ended.
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
	return err
}
