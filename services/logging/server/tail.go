package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"merchstore.io/merchstore/internal/failure"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
)

// TailLogs sends messages as they come. Response headers are sent once no later message will be missed. A slow client
// slows its own consumer down: nothing is gathered here for it.
func (s *Server) TailLogs(request *merchstorev1.TailLogsRequest, stream grpc.ServerStreamingServer[merchstorev1.LogMessage]) error {
	if err := checkTail(request); err != nil {
		return err
	}
	if err := s.requireAdmin(stream.Context()); err != nil {
		return err
	}
	if !s.tails.TryAcquire(1) {
		return failure.New(failure.Exhausted, failure.ReasonTooMany, "as many as may are reading the log already; try again later")
	}
	defer s.tails.Release(1)
	s.metrics.tails.Inc()
	defer s.metrics.tails.Dec()

	ctx, end := context.WithCancelCause(stream.Context())
	defer end(nil)
	defer context.AfterFunc(s.Stopping, func() {
		end(failure.New(failure.Unavailable, failure.ReasonUnavailable, "the logging service is stopping"))
	})()
	go s.recheck(ctx, end)

	err := s.Source.Read(ctx, request.GetFromBeginning(),
		func() error { return stream.SendHeader(metadata.MD{}) }, //nolint:wrapcheck // gRPC's own
		func(m record.Message) error {
			if !wanted(request, m) {
				return nil
			}
			return stream.Send(protoOf(m)) //nolint:wrapcheck // gRPC's own
		})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := failure.As(err); err != nil && !ok {
		return failure.New(failure.Unavailable, failure.ReasonUnavailable, "the log cannot be read now; try again in a moment").Because(err)
	}
	return err
}

// recheck ends a call whose caller is not an active admin any more.
func (s *Server) recheck(ctx context.Context, end context.CancelCauseFunc) {
	ticker := time.NewTicker(s.RecheckEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.requireAdmin(ctx); err != nil && ctx.Err() == nil {
			end(err)
			return
		}
	}
}

func checkTail(request *merchstorev1.TailLogsRequest) error {
	if longer(request.GetService(), maxService) {
		return failure.InvalidField("service", "must have 100 characters at most")
	}
	if _, known := merchstorev1.LogLevel_name[int32(request.GetMinLevel())]; !known {
		return failure.InvalidField("min_level", "is none that there is")
	}
	return nil
}

func wanted(request *merchstorev1.TailLogsRequest, m record.Message) bool {
	return (request.GetService() == "" || request.GetService() == m.Service) && m.Level >= record.Level(request.GetMinLevel()) //nolint:gosec // small
}
