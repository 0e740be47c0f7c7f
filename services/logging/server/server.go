// Package server is the gRPC edge of the logging service: protobuf comes in, records go out to Kafka, and a writer hears
// of each message when Kafka has it.
package server

import (
	"context"
	"errors"
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

// Settings bound what the service holds in memory.
type Settings struct {
	Window        int   `env:"LOG_STREAM_WINDOW" envDefault:"16384" help:"messages one stream may have that are not answered yet; it is not read further meanwhile"`
	InFlightBytes int64 `env:"LOG_IN_FLIGHT_BYTES" envDefault:"67108864" help:"memory for messages of all streams that Kafka does not have yet"`
	MaxTails      int64 `env:"LOG_MAX_TAILS" envDefault:"16" help:"TailLogs calls at the same time; each takes a Kafka consumer"`
}

// Validate finds values with which nothing would move.
func (s Settings) Validate() error {
	if s.Window < 1 || s.MaxTails < 1 {
		return errors.New("LOG_STREAM_WINDOW and LOG_MAX_TAILS must be at least 1")
	}
	if s.InFlightBytes < minInFlight {
		return errors.New("LOG_IN_FLIGHT_BYTES must be at least 1048576, which is room for some large messages")
	}
	return nil
}

const (
	minInFlight = 1 << 20
	// messageCost is about what a message takes in memory beside its text: structures here and in the Kafka library, headers, id.
	messageCost = 1 << 10
)

// Store keeps records.
type Store interface {
	Put(r record.Record, receipt record.Receipt) error
}

// Source reads them back.
type Source interface {
	Read(ctx context.Context, fromBeginning bool, started func() error, each func(record.Message) error) error
}

// Accounts knows who is calling.
type Accounts interface {
	GetUser(ctx context.Context, in *merchstorev1.GetUserRequest, opts ...grpc.CallOption) (*merchstorev1.GetUserResponse, error)
}

// Options are what the server works with.
type Options struct {
	Settings
	Store    Store
	Source   Source
	Accounts Accounts
	// Stopping is done when streams have to come to their end. Then writers get DrainTimeout to hear of what is under way.
	Stopping     context.Context //nolint:containedctx // it is the life of the server, not of a call
	DrainTimeout time.Duration
	// RecheckEvery is how often an open TailLogs call asks whether its caller is still an admin; 30 s if zero.
	RecheckEvery time.Duration
	Metrics      prometheus.Registerer
	// Tracer shows how messages that belong to a trace were stored in Topic; nil if there are no traces.
	Tracer trace.Tracer
	Topic  string
	Log    *slog.Logger
}

// Server implements LoggingService.
type Server struct {
	merchstorev1.UnimplementedLoggingServiceServer
	Options
	metrics  *metrics
	inFlight *semaphore.Weighted // in bytes
	tails    *semaphore.Weighted
	// unsettled are the streams with delivery reports that were not passed on yet. Only the goroutine that brings the
	// reports uses it.
	unsettled []*writer
}

// New makes the service.
func New(o Options) *Server {
	if o.RecheckEvery == 0 {
		o.RecheckEvery = 30 * time.Second
	}
	return &Server{
		Options: o, metrics: newMetrics(o.Metrics),
		inFlight: semaphore.NewWeighted(o.InFlightBytes), tails: semaphore.NewWeighted(o.MaxTails),
	}
}

// WriteLogs acknowledges messages while the stream stays open.
func (s *Server) WriteLogs(stream grpc.BidiStreamingServer[merchstorev1.WriteLogsRequest, merchstorev1.WriteLogsResponse]) error {
	read := func() ([]*merchstorev1.LogMessage, error) {
		request, err := stream.Recv()
		if err == nil && len(request.GetMessages()) > maxRequest {
			return nil, failure.InvalidField("messages", "must be 1024 at most")
		}
		return request.GetMessages(), err //nolint:wrapcheck // gRPC's own, for gRPC
	}
	answer := func(a answers) error {
		return stream.Send(&merchstorev1.WriteLogsResponse{StoredIds: a.stored, Refused: a.refused}) //nolint:wrapcheck // gRPC's own
	}
	_, err := s.write(stream.Context(), read, answer)
	return err
}

// StreamLogs answers once, when the writer is done.
func (s *Server) StreamLogs(stream grpc.ClientStreamingServer[merchstorev1.LogMessage, merchstorev1.LogResponse]) error {
	read := func() ([]*merchstorev1.LogMessage, error) {
		m, err := stream.Recv()
		return []*merchstorev1.LogMessage{m}, err //nolint:wrapcheck // gRPC's own, for gRPC
	}
	var stored int64
	var refused *merchstorev1.RefusedLog
	answer := func(a answers) error {
		stored += int64(len(a.stored))
		if refused == nil && len(a.refused) > 0 {
			refused = a.refused[0]
		}
		return nil
	}
	received, err := s.write(stream.Context(), read, answer)
	if err := countFailure(stored, received, refused, err); err != nil {
		return err
	}
	return stream.SendAndClose(&merchstorev1.LogResponse{Stored: stored}) //nolint:wrapcheck // gRPC's own
}

// countFailure says how much was stored if it was not everything.
func countFailure(stored, received int64, refused *merchstorev1.RefusedLog, err error) error {
	if f, ok := failure.As(err); ok {
		counted := *f
		counted.Message = storedOf(stored, received) + ": " + f.Message
		return &counted
	}
	if err == nil && refused != nil {
		return failure.New(failure.Invalid, failure.ReasonInvalid, storedOf(stored, received)+"; the first that was not: "+refused.GetReason())
	}
	return err
}

func storedOf(stored, received int64) string {
	return fmt.Sprintf("%d of %d messages were stored", stored, received)
}
