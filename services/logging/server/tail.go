package server

import (
	"context"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/rpcserver"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
)

// TailLogs streams messages as they arrive. It sends response headers once no later message will be
// missed. A slow client slows down its own consumer: messages are not buffered here.
func (s *Server) TailLogs(request *merchstorev1.TailLogsRequest, stream grpc.ServerStreamingServer[merchstorev1.LogMessage]) error {
	if err := rpcserver.Validate(protovalidate.GlobalValidator, request); err != nil {
		return err
	}
	query, err := queryFromProto(request)
	if err != nil {
		return err
	}
	if err := s.requireAdmin(stream.Context()); err != nil {
		return err
	}
	if !s.tails.TryAcquire(1) {
		return failure.New(failure.Exhausted, failure.ReasonTooMany,
			"the maximum number of TailLogs calls is open already; try again later")
	}
	defer s.tails.Release(1)
	s.metrics.tails.Inc()
	defer s.metrics.tails.Dec()

	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.Stopping, func() {
		cancel(failure.New(failure.Unavailable, failure.ReasonUnavailable, "the logging service is stopping"))
	})()
	go s.recheckAdmin(ctx, cancel)

	err = s.Source.Read(ctx, query,
		func() error { return stream.SendHeader(metadata.MD{}) },
		func(m record.Message) error {
			if m.Level == record.Unknown && !request.GetPositions() {
				return nil
			}
			return stream.Send(messageToProto(m))
		})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := failure.As(err); err != nil && !ok {
		return failure.New(failure.Unavailable, failure.ReasonUnavailable,
			"the log cannot be read now; try again in a moment").WithCause(err)
	}
	return err
}

// queryFromProto returns the query of a request with valid fields.
func queryFromProto(request *merchstorev1.TailLogsRequest) (q record.Query, err error) {
	q = record.Query{
		FromBeginning: request.GetFromBeginning(), Last: int(request.GetLast()),
		Service: request.GetService(), MinLevel: record.Level(request.GetMinLevel()), //nolint:gosec // the values of an enum
	}
	switch {
	case q.FromBeginning && q.Last > 0:
		return q, failure.InvalidField("last", "cannot be combined with from_beginning")
	case request.GetAfter() == "":
		return q, nil
	case q.FromBeginning || q.Last > 0:
		return q, failure.InvalidField("after", "cannot be combined with from_beginning or last")
	}
	if q.After, err = record.ParsePosition(request.GetAfter()); err != nil {
		return q, failure.InvalidField("after", "must be the position of a message").WithCause(err)
	}
	return q, nil
}

// maxUnverified is how long a call goes on while the DB service cannot say who its caller is.
const maxUnverified = 30 * time.Second

// recheckAdmin cancels a call when its caller is no longer an active admin.
func (s *Server) recheckAdmin(ctx context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(s.RecheckEvery)
	defer ticker.Stop()
	verified := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := s.requireAdmin(ctx)
		refusal, refused := failure.As(err)
		switch {
		case err == nil:
			verified = time.Now()
		case refused && refusal.Kind == failure.Unavailable && time.Since(verified) < maxUnverified:
		default:
			cancel(err)
			return
		}
	}
}
