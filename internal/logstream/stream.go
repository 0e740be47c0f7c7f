package logstream

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

const (
	worthwhile    = 64
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
		c.log.Warn("log stream ended; opening another", "error", err, "unacknowledged", c.queue.depth())
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // not a secret
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
	return answered, <-ended // why Send failed is told by Recv
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
	b := builder{client: c}
	c.queue.take(worthwhile, maxBatch, maxBatchBytes, b.add)
	c.metrics.sent.Add(float64(len(b.batch) - b.again))
	c.metrics.resent.Add(float64(b.again))
	return b.batch
}

// builder makes a batch with few allocations: gRPC may look at a message after it was sent, so none is used twice.
type builder struct {
	client   *Client
	batch    []*merchstorev1.LogMessage
	messages []message
	again    int
}

type message struct {
	log  merchstorev1.LogMessage
	time timestamppb.Timestamp
}

const slab = 64

func (b *builder) add(e *entry, again bool) {
	if again {
		b.again++
	} else {
		e.id = uuid.Must(uuid.NewV7FromReader(b.client.random)).String() // crypto/rand does not fail
	}
	if len(b.messages) == cap(b.messages) {
		b.messages = make([]message, 0, slab)
	}
	b.messages = b.messages[:len(b.messages)+1]
	m := &b.messages[len(b.messages)-1]
	m.time.Seconds, m.time.Nanos = e.nanos/1e9, int32(e.nanos%1e9) //nolint:gosec // below a billion
	m.log.Id, m.log.Service, m.log.Pod = e.id, b.client.options.Service, b.client.options.Pod
	m.log.Level, m.log.Text, m.log.RequestId, m.log.Time = e.level, clean(e.text), clean(e.requestID), &m.time
	b.batch = append(b.batch, &m.log)
}

// settle lets go of what was answered for.
func (c *Client) settle(answer *merchstorev1.WriteLogsResponse) {
	c.metrics.acknowledged.Add(float64(c.queue.settle(answer.GetStoredIds()...)))
	for _, refused := range answer.GetRefused() {
		if c.queue.settle(refused.GetId()) > 0 {
			c.metrics.droppedRefused.Inc()
			c.log.Error("log message refused", "id", refused.GetId(), "reason", refused.GetReason())
		}
	}
}
