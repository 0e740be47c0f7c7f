package logstream

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

const (
	maxBatch      = 512
	maxBatchBytes = 256 << 10 // far below the server's limit, even with one more message of maxText

	minBackoff   = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
	stableStream = 10 * time.Second // a stream that lasted this long resets the backoff
)

// run keeps a stream open until ctx is done.
func (c *Client) run(ctx context.Context) {
	backoff := minBackoff
	for ctx.Err() == nil {
		start := time.Now()
		acknowledged, err := c.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		if acknowledged || time.Since(start) > stableStream {
			backoff = minBackoff
		}
		level := slog.LevelWarn
		if acknowledged { // the usual end: the service closes connections that have reached their maximum age
			level = slog.LevelInfo
		}
		c.log.Log(ctx, level, "log stream ended; opening another", "error", err, "unacknowledged", c.queue.depth())
		select {
		case <-ctx.Done():
		case <-time.After(backoff/2 + rand.N(backoff)):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

type writeStream = grpc.BidiStreamingClient[merchstorev1.WriteLogsRequest, merchstorev1.WriteLogsResponse]

// stream opens a stream and sends messages until it ends, and returns the error it ended with.
// acknowledged reports whether any response was received.
func (c *Client) stream(ctx context.Context) (acknowledged bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.service.WriteLogs(ctx, grpc.WaitForReady(true))
	if err != nil {
		cancel()
		return false, err
	}
	c.queue.rewind()
	ended := make(chan error, 1)
	go func() {
		for {
			response, err := stream.Recv()
			if err != nil {
				ended <- err
				cancel() // ends a blocked Send
				return
			}
			acknowledged = true
			c.handleResponse(response)
		}
	}()
	for c.send(stream) {
		select {
		case <-c.queue.wake:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	cancel()
	err = <-ended // Recv returns the reason for a failed Send
	return acknowledged, err
}

// send sends all batches that are ready. It reports whether the stream is still usable.
func (c *Client) send(stream writeStream) bool {
	for {
		batch, resent := c.queue.take()
		if len(batch) == 0 {
			return true
		}
		c.metrics.sent.Add(float64(len(batch) - resent))
		c.metrics.resent.Add(float64(resent))
		if err := stream.Send(&merchstorev1.WriteLogsRequest{Messages: batch}); err != nil {
			return false
		}
	}
}

// handleResponse removes acknowledged and refused messages from the queue.
func (c *Client) handleResponse(response *merchstorev1.WriteLogsResponse) {
	stored, oldest := c.queue.remove(response.GetStoredIds()...)
	c.metrics.acknowledged.Add(float64(stored))
	if stored > 0 {
		c.metrics.latency.Observe(time.Since(oldest).Seconds())
	}
	for _, refused := range response.GetRefused() {
		if found, _ := c.queue.remove(refused.GetId()); found > 0 {
			c.metrics.droppedRefused.Inc()
			c.log.Error("log message refused", "id", refused.GetId(), "reason", refused.GetReason())
		}
	}
}
