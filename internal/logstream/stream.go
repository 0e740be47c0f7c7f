package logstream

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

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
		batch := c.batch()
		if len(batch) == 0 {
			return true
		}
		if err := stream.Send(&merchstorev1.WriteLogsRequest{Messages: batch}); err != nil {
			return false
		}
	}
}

// batch returns the next messages to send. Messages that were sent before keep their ids.
func (c *Client) batch() []*merchstorev1.LogMessage {
	for len(c.ids) < maxBatch { // generated here, so that Log does not have to
		c.ids = append(c.ids, uuid.Must(uuid.NewV7FromReader(c.random)).String()) // crypto/rand does not fail
	}
	entries, resent := c.queue.take(c.entries[:0], c.ids)
	if len(entries) == 0 {
		return nil
	}
	first := len(entries) - resent
	c.ids = c.ids[:copy(c.ids, c.ids[first:])]
	c.metrics.sent.Add(float64(first))
	c.metrics.resent.Add(float64(resent))

	// Messages cannot be reused, because gRPC may still read them after Send has returned.
	messages := make([]struct {
		log  merchstorev1.LogMessage
		time timestamppb.Timestamp
	}, len(entries))
	batch := make([]*merchstorev1.LogMessage, len(entries))
	for i := range entries {
		e, m := &entries[i], &messages[i]
		m.time.Seconds, m.time.Nanos = e.nanos/1e9, int32(e.nanos%1e9)
		m.log.Id, m.log.Service, m.log.Pod = e.id, c.options.Service, c.options.Pod
		m.log.Level, m.log.Text, m.log.RequestId, m.log.Time = e.level, e.text, e.requestID, &m.time
		if e.origin != nil {
			m.log.TraceId, m.log.SpanId = e.origin.traceID, e.origin.spanID
		}
		batch[i] = &m.log
	}
	clear(entries) // so that texts can be freed before the next batch
	c.entries = entries
	return batch
}

// handleResponse removes acknowledged and refused messages from the queue.
func (c *Client) handleResponse(response *merchstorev1.WriteLogsResponse) {
	stored, oldest := c.queue.remove(response.GetStoredIds()...)
	c.metrics.acknowledged.Add(float64(stored))
	if stored > 0 {
		c.metrics.latency.Observe(time.Since(time.Unix(0, oldest)).Seconds())
	}
	for _, refused := range response.GetRefused() {
		if found, _ := c.queue.remove(refused.GetId()); found > 0 {
			c.metrics.droppedRefused.Inc()
			c.log.Error("log message refused", "id", refused.GetId(), "reason", refused.GetReason())
		}
	}
}
