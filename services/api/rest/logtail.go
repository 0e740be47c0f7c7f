package rest

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

const (
	// maxTailFailures bounds the calls in a row that fail or end at once. The delays between them add up
	// to four seconds.
	maxTailFailures = 5
	tailRetryDelay  = 400 * time.Millisecond // times the number of earlier failures
	stableTail      = 10 * time.Second       // a call that lasted this long was no failure
)

// logTail reads the log by one TailLogs call after the other. Each ends with its connection, after a
// minute or two, and when a pod stops.
type logTail struct {
	client   merchstorev1.LoggingServiceClient
	request  *merchstorev1.TailLogsRequest // selects what has not been received yet
	stream   grpc.ServerStreamingClient[merchstorev1.LogMessage]
	opened   time.Time
	failures int
}

// open begins a call, and returns once no later message will be missed.
func (l *logTail) open(ctx context.Context) (err error) {
	defer func() { l.opened = time.Now() }()
	if l.stream, err = l.client.TailLogs(ctx, l.request); err != nil {
		return err
	}
	header, err := l.stream.Header()
	if err == nil && header == nil {
		_, err = l.stream.Recv() // returns why the stream ended without a header
	}
	return err
}

// next returns the next message. Between two calls no message is lost or repeated, unless Kafka's
// topic is created again, or a pod of an earlier version answers: it ignores positions, and after one of
// its messages there is no further call.
func (l *logTail) next(ctx context.Context) (*merchstorev1.LogMessage, error) {
	for {
		m, err := l.stream.Recv()
		for err != nil {
			if err = l.awaitRetry(ctx, err); err != nil {
				return nil, err
			}
			if err = l.open(ctx); err == nil {
				m, err = l.stream.Recv()
			}
		}
		if l.request.After = m.GetPosition(); l.request.GetAfter() != "" {
			l.request.FromBeginning, l.request.Last = false, 0
		}
		if m.GetLevel() != merchstorev1.LogLevel_LOG_LEVEL_UNSPECIFIED { // otherwise it is only a position
			return m, nil
		}
	}
}

// awaitRetry returns when another call should be tried, or err if none should.
func (l *logTail) awaitRetry(ctx context.Context, err error) error {
	if time.Since(l.opened) > stableTail {
		l.failures = 0
	}
	l.failures++
	code := status.Code(err) // ResourceExhausted: the service may not have noticed yet that the last call has ended
	if l.failures > maxTailFailures || l.request.GetAfter() == "" || code != codes.Unavailable && code != codes.ResourceExhausted {
		return err
	}
	select {
	case <-time.After(time.Duration(l.failures-1) * tailRetryDelay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
