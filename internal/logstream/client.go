// Package logstream is how the store's processes send their log messages to the logging service: into a bounded queue,
// from there over one long-lived stream, and out of the queue once Kafka has them. What is not acknowledged when
// a stream ends goes over the next one, under the same id. Whoever logs never waits and never fails; when the queue is
// full, the newest messages are dropped and counted.
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

// Settings are those of every process that logs this way.
type Settings struct {
	QueueSize  int `env:"LOG_QUEUE_SIZE" envDefault:"65536" help:"log messages kept until Kafka has them; further ones are dropped and counted"`
	QueueBytes int `env:"LOG_QUEUE_BYTES" envDefault:"33554432" help:"memory for their texts"`
}

// Options say who speaks.
type Options struct {
	// Service is the name in front of every message, for instance "REST API".
	Service string
	// Pod is the pod, or host, this process runs on. Messages of one pod keep their order.
	Pod string
	// QueueSize and QueueBytes bound what is kept; zero means the defaults of Settings.
	QueueSize, QueueBytes int
}

const (
	defaultQueueSize  = 65_536
	defaultQueueBytes = 32 << 20
	// maxText is the protocol's limit; a longer text is cut, which is better than refused.
	maxText      = 65_536
	cutMark      = "… (cut)"
	maxRequestID = 128
)

// Level is how urgent a message is.
type Level = merchstorev1.LogLevel

// The levels.
const (
	LevelDebug = merchstorev1.LogLevel_LOG_LEVEL_DEBUG
	LevelInfo  = merchstorev1.LogLevel_LOG_LEVEL_INFO
	LevelWarn  = merchstorev1.LogLevel_LOG_LEVEL_WARN
	LevelError = merchstorev1.LogLevel_LOG_LEVEL_ERROR
)

// Client sends log messages. It is safe for concurrent use.
type Client struct {
	service merchstorev1.LoggingServiceClient
	options Options
	queue   *queue
	metrics *metrics
	log     *slog.Logger

	// What only the sending goroutine uses.
	random  io.Reader
	ids     []string // not given away yet
	entries []entry

	stop    context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
	closed  error
}

// New starts a client on a connection to the logging service, which need not be there yet. It needs Close.
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
		random:  bufio.NewReader(rand.Reader), // a system call for every 256 ids instead of one for each
		stop:    stop,
	}
	c.metrics = newMetrics(registry, c.queue)
	c.running.Go(func() { c.run(ctx) })
	return c
}

// Info logs what happened.
func (c *Client) Info(ctx context.Context, text string) { c.Log(ctx, LevelInfo, text) }

// Error logs what failed.
func (c *Client) Error(ctx context.Context, text string) { c.Log(ctx, LevelError, text) }

// Log queues a message, with the ids of the request that ctx serves and of the recorded trace that it is in. It returns at once, also when the message has to be
// dropped.
func (c *Client) Log(ctx context.Context, level Level, text string) {
	e := entry{text: fit(text), level: level, nanos: time.Now().UnixNano()}
	if id := rpc.RequestID(ctx); len(id) <= maxRequestID && utf8.ValidString(id) {
		e.requestID = id
	}
	if s := trace.SpanContextFromContext(ctx); s.IsSampled() {
		e.origin = &origin{s.TraceID().String(), s.SpanID().String()}
	}
	switch c.queue.add(e) {
	case taken:
	case full:
		c.metrics.droppedFull.Inc()
	case closed:
		c.metrics.droppedShutdown.Inc()
	}
}

// fit makes a text such as the protocol takes: one byte that is not UTF-8 would spoil the whole batch.
func fit(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if len(text) <= maxText {
		return text
	}
	end := maxText - len(cutMark)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cutMark
}

// Close takes no more messages and waits until all are acknowledged, or ctx ends. Then the rest is dropped and counted.
// Further calls return what the first did.
func (c *Client) Close(ctx context.Context) error {
	c.closing.Do(func() { c.closed = c.shutDown(ctx) })
	return c.closed
}

func (c *Client) shutDown(ctx context.Context) error {
	c.queue.close()
	for c.queue.depth() > 0 && ctx.Err() == nil {
		select {
		case <-c.queue.settled:
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

// Part makes the client a part of its process, to be stopped after everything that logs.
func (c *Client) Part() process.Part {
	return process.Part{Name: "log stream", Stop: c.Close}
}
