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
	maxBatchBytes = 256 << 10 // far below what the server takes, whatever the last message adds

	firstPause = 50 * time.Millisecond
	maxPause   = 5 * time.Second
	longEnough = 10 * time.Second // a stream that lived so long was a good one
)

// run keeps a stream open until ctx ends.
func (c *Client) run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		answered, err := c.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		if answered || time.Since(began) > longEnough {
			pause = firstPause
		}
		level := slog.LevelWarn
		if answered { // the usual end: the service asks its clients from time to time to come again
			level = slog.LevelInfo
		}
		c.log.Log(ctx, level, "log stream ended; opening another", "error", err, "unacknowledged", c.queue.depth())
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, maxPause)
	}
}

type writeStream = grpc.BidiStreamingClient[merchstorev1.WriteLogsRequest, merchstorev1.WriteLogsResponse]

// stream works one stream until it ends, which it does with an error. answered says whether anything came back on it.
func (c *Client) stream(ctx context.Context) (answered bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.service.WriteLogs(ctx, grpc.WaitForReady(true))
	if err != nil {
		cancel()
		return false, err //nolint:wrapcheck // gRPC's own says what was being done
	}
	c.queue.rewind()
	ended := make(chan error, 1)
	go func() {
		for {
			answer, err := stream.Recv()
			if err != nil {
				ended <- err
				cancel() // a Send that waits for room on the connection ends too
				return
			}
			answered = true
			c.settle(answer)
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
	err = <-ended // why Send failed is told by Recv
	return answered, err
}

// send sends what there is, and says whether the stream is still good.
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

// batch takes the next messages off the queue. Those sent before keep their ids.
func (c *Client) batch() []*merchstorev1.LogMessage {
	for len(c.ids) < maxBatch { // made here, so that nobody who logs has to wait for it
		c.ids = append(c.ids, uuid.Must(uuid.NewV7FromReader(c.random)).String()) // crypto/rand does not fail
	}
	entries, again := c.queue.take(c.entries[:0], c.ids)
	if len(entries) == 0 {
		return nil
	}
	first := len(entries) - again
	c.ids = c.ids[:copy(c.ids, c.ids[first:])]
	c.metrics.sent.Add(float64(first))
	c.metrics.resent.Add(float64(again))

	// New ones each time, if few allocations: gRPC may look at a message after it was sent.
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
	clear(entries) // the queue may let go of their texts before the next batch is made
	c.entries = entries
	return batch
}

// settle lets go of what was answered for.
func (c *Client) settle(answer *merchstorev1.WriteLogsResponse) {
	stored, oldest := c.queue.settle(answer.GetStoredIds()...)
	c.metrics.acknowledged.Add(float64(stored))
	if stored > 0 {
		c.metrics.took.Observe(time.Since(time.Unix(0, oldest)).Seconds())
	}
	for _, refused := range answer.GetRefused() {
		if found, _ := c.queue.settle(refused.GetId()); found > 0 {
			c.metrics.droppedRefused.Inc()
			c.log.Error("log message refused", "id", refused.GetId(), "reason", refused.GetReason())
		}
	}
}
