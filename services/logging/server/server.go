// Package server implements the gRPC API of the logging service. It converts messages to records,
// hands them to Kafka, and acknowledges each to its client when Kafka has stored it.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	"merchstore.io/merchstore/internal/failure"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
)

// Settings bound the memory used by the service.
type Settings struct {
	Window        int   `env:"LOG_STREAM_WINDOW" envDefault:"16384" min:"1" help:"unacknowledged messages per stream; a stream at this limit is not read further"`
	InFlightBytes int64 `env:"LOG_IN_FLIGHT_BYTES" envDefault:"67108864" min:"1048576" help:"memory for the messages of all streams that Kafka has not stored yet"`
	MaxTails      int64 `env:"LOG_MAX_TAILS" envDefault:"16" min:"1" help:"concurrent TailLogs calls; each uses a Kafka consumer"`
}

// messageCost approximates the memory in bytes of a message besides its text: headers, id, and
// structures here and in librdkafka.
const messageCost = 1 << 10

// Store stores records. Put does not call handler if it returns an error.
type Store interface {
	Put(r record.Record, handler record.DeliveryHandler) error
}

// Source reads stored messages. It calls started once no later message will be missed.
type Source interface {
	Read(ctx context.Context, q record.Query, started func() error, each func(record.Message) error) error
}

// Accounts looks up the account of a caller.
type Accounts interface {
	GetUser(ctx context.Context, in *merchstorev1.GetUserRequest, opts ...grpc.CallOption) (*merchstorev1.GetUserResponse, error)
}

// Options configure a Server.
type Options struct {
	Settings
	Store    Store
	Source   Source
	Accounts Accounts
	// Stopping is canceled when open streams should end. Clients then receive the outcomes of
	// messages in flight for at most DrainTimeout.
	Stopping     context.Context
	DrainTimeout time.Duration
	// RecheckEvery is the interval at which an open TailLogs call verifies that its caller is still
	// an admin. Zero means 30 seconds.
	RecheckEvery time.Duration
	Metrics      prometheus.Registerer
	// Tracer creates spans for messages that belong to a trace. It is nil if tracing is off.
	Tracer trace.Tracer
	// Topic is the name of the Kafka topic in these spans.
	Topic string
	Log   *slog.Logger
}

// Server implements LoggingService.
type Server struct {
	merchstorev1.UnimplementedLoggingServiceServer
	Options
	metrics  *metrics
	inFlight *semaphore.Weighted // in bytes
	tails    *semaphore.Weighted
	// unflushed are the streams with pending delivery results. Only the goroutine that handles
	// deliveries uses it.
	unflushed []*writer
}

// New returns a Server.
func New(o Options) *Server {
	if o.RecheckEvery == 0 {
		o.RecheckEvery = time.Second
	}
	return &Server{
		Options: o, metrics: newMetrics(o.Metrics),
		inFlight: semaphore.NewWeighted(o.InFlightBytes), tails: semaphore.NewWeighted(o.MaxTails),
	}
}

// WriteLogs stores the messages of a stream and acknowledges them while it stays open.
func (s *Server) WriteLogs(stream grpc.BidiStreamingServer[merchstorev1.WriteLogsRequest, merchstorev1.WriteLogsResponse]) error {
	read := func() ([]*merchstorev1.LogMessage, error) {
		request, err := stream.Recv()
		if err == nil && len(request.GetMessages()) > maxRequest {
			return nil, failure.InvalidField("messages", fmt.Sprintf("must be %d at most", maxRequest))
		}
		return request.GetMessages(), err
	}
	send := func(a acks) error {
		return stream.Send(&merchstorev1.WriteLogsResponse{StoredIds: a.stored, Refused: a.refused})
	}
	_, err := s.write(stream.Context(), read, send)
	return err
}

// StreamLogs stores the messages of a stream and responds once, when the client has closed it.
func (s *Server) StreamLogs(stream grpc.ClientStreamingServer[merchstorev1.LogMessage, merchstorev1.LogResponse]) error {
	read := func() ([]*merchstorev1.LogMessage, error) {
		m, err := stream.Recv()
		if err == nil {
			m.SpanId = "" // clients of this method are external and do not decide what is traced
		}
		return []*merchstorev1.LogMessage{m}, err
	}
	var stored int64
	var refused *merchstorev1.RefusedLog
	count := func(a acks) error {
		stored += int64(len(a.stored))
		if refused == nil && len(a.refused) > 0 {
			refused = a.refused[0]
		}
		return nil
	}
	received, err := s.write(stream.Context(), read, count)
	if err := withCount(stored, received, refused, err); err != nil {
		return err
	}
	return stream.SendAndClose(&merchstorev1.LogResponse{Stored: stored})
}

// withCount adds the number of stored messages to err. If err is nil but a message was refused, it
// returns an error.
func withCount(stored, received int64, refused *merchstorev1.RefusedLog, err error) error {
	if f, ok := failure.As(err); ok {
		counted := *f
		counted.Message = storedCount(stored, received) + ": " + f.Message
		return &counted
	}
	if err == nil && refused != nil {
		return failure.New(failure.Invalid, failure.ReasonInvalid,
			storedCount(stored, received)+"; first refusal: "+refused.GetReason())
	}
	return err
}

func storedCount(stored, received int64) string {
	return fmt.Sprintf("%d of %d messages were stored", stored, received)
}
