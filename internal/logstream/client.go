// Package logstream sends log messages to the logging service. Messages are queued, sent over one
// long-lived stream, and removed from the queue once Kafka has stored them. Messages that are not
// acknowledged when a stream ends are sent again on the next one, with the same ids. Logging never
// blocks and never fails: when the queue is full, new messages are dropped and counted.
package logstream

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/rpc"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// Settings are the settings of every process that uses a Client.
type Settings struct {
	QueueSize  int `env:"LOG_QUEUE_SIZE" envDefault:"65536" min:"1" help:"log messages queued until Kafka has stored them; further ones are dropped and counted"`
	QueueBytes int `env:"LOG_QUEUE_BYTES" envDefault:"33554432" min:"1" help:"bytes of text in that queue"`
}

// Options configure a Client.
type Options struct {
	// Service is the name at the start of every log line, for instance "REST API".
	Service string
	// Pod is the pod or host of this process. Messages of one pod keep their order.
	Pod string
	// QueueSize and QueueBytes bound the queue. Zero means the defaults of Settings.
	QueueSize, QueueBytes int
}

const (
	defaultQueueSize  = 65_536
	defaultQueueBytes = 32 << 20
	// maxText is the protocol's limit in bytes. A longer text is truncated, because it would be
	// refused.
	maxText      = 65_536
	truncated    = "… (cut)"
	maxRequestID = 128
)

// Client sends log messages. It is safe for concurrent use.
type Client struct {
	service merchstorev1.LoggingServiceClient
	options Options
	queue   *queue
	metrics *metrics
	log     *slog.Logger

	// Used only by the sending goroutine.
	random  io.Reader
	ids     []string // unused ids
	entries []entry

	stop    context.CancelFunc
	running sync.WaitGroup

	closeOnce sync.Once
	closeErr  error
}

// New returns a client that sends messages over conn. The logging service need not be reachable
// yet. The client must be closed.
func New(conn grpc.ClientConnInterface, o Options, registry prometheus.Registerer, log *slog.Logger) *Client {
	if o.QueueSize <= 0 {
		o.QueueSize = defaultQueueSize
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = defaultQueueBytes
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		service: merchstorev1.NewLoggingServiceClient(conn),
		options: o,
		queue:   newQueue(o.QueueSize, o.QueueBytes),
		log:     log,
		random:  bufio.NewReader(rand.Reader), // one system call for every 256 ids
		stop:    stop,
	}
	c.metrics = newMetrics(registry, c.queue)
	c.running.Go(func() { c.run(ctx) })
	return c
}

// Info sends a message of the level INFO.
func (c *Client) Info(ctx context.Context, text string) {
	c.enqueue(ctx, merchstorev1.LogLevel_LOG_LEVEL_INFO, text)
}

// Error sends a message of the level ERROR.
func (c *Client) Error(ctx context.Context, text string) {
	c.enqueue(ctx, merchstorev1.LogLevel_LOG_LEVEL_ERROR, text)
}

// enqueue queues a message with the ids of the request and of the sampled trace in ctx. It does not
// block; if the queue is full, the message is dropped.
func (c *Client) enqueue(ctx context.Context, level merchstorev1.LogLevel, text string) {
	e := entry{text: sanitize(text), level: level, nanos: time.Now().UnixNano()}
	if id := rpc.RequestID(ctx); len(id) <= maxRequestID && utf8.ValidString(id) {
		e.requestID = id
	}
	if s := trace.SpanContextFromContext(ctx); s.IsSampled() {
		e.origin = &origin{s.TraceID().String(), s.SpanID().String()}
	}
	switch c.queue.add(e) {
	case queued:
	case full:
		c.metrics.droppedFull.Inc()
	case closed:
		c.metrics.droppedShutdown.Inc()
	}
}

// sanitize returns text as valid UTF-8, which protobuf requires, and truncates it to maxText.
func sanitize(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if len(text) <= maxText {
		return text
	}
	end := maxText - len(truncated)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + truncated
}

// Close stops accepting messages and waits until all are acknowledged or ctx is done. Remaining
// messages are dropped and counted. Further calls return the result of the first.
func (c *Client) Close(ctx context.Context) error {
	c.closeOnce.Do(func() { c.closeErr = c.shutDown(ctx) })
	return c.closeErr
}

func (c *Client) shutDown(ctx context.Context) error {
	c.queue.close()
	for c.queue.depth() > 0 && ctx.Err() == nil {
		select {
		case <-c.queue.removed:
		case <-ctx.Done():
		}
	}
	c.stop()
	c.running.Wait()
	left := c.queue.depth()
	if left == 0 {
		return nil
	}
	c.metrics.droppedShutdown.Add(float64(left))
	c.log.Error("log messages dropped at shutdown", "messages", left)
	return fmt.Errorf("%d log messages were not acknowledged: %w", left, context.Cause(ctx))
}

// Component returns the client as a component of its process. It must be stopped after everything
// that logs.
func (c *Client) Component() process.Component {
	return process.Component{Name: "log stream", Stop: c.Close}
}
