// Package batch runs concurrent calls in batches: calls that arrive while a batch is running form
// the next one. No timer is involved, so a lone call runs at once.
package batch

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"merchstore.io/merchstore/internal/failure"
)

// ErrClosed is the error of calls made after Close.
var ErrClosed = failure.New(failure.Unavailable, failure.ReasonUnavailable,
	"the service is shutting down; try again in a moment")

// Func handles a batch of requests. It returns one response per request, at the same index, or an
// error that fails the whole batch.
type Func[Req, Resp any] func(ctx context.Context, requests []Req) ([]Resp, error)

// Batcher runs calls in batches. It is safe for concurrent use.
type Batcher[Req, Resp any] struct {
	run      Func[Req, Resp]
	maxSize  int
	timeout  time.Duration
	tracer   trace.Tracer // nil unless WithTracer was called
	spanName string

	mu      sync.Mutex
	pending []*Call[Req, Resp]
	running bool
	closed  bool
	work    sync.WaitGroup
}

// Call is a request in a Batcher.
type Call[Req, Resp any] struct {
	batcher  *Batcher[Req, Resp]
	ctx      context.Context // its cancellation removes the call from a batch that has not started
	request  Req
	response Resp
	err      error
	done     chan struct{}
}

// New returns a Batcher that calls run with up to maxSize requests, oldest first. Each batch has
// its own timeout: the cancellation of one caller does not stop the batch for the others.
func New[Req, Resp any](maxSize int, timeout time.Duration, run Func[Req, Resp]) *Batcher[Req, Resp] {
	return &Batcher[Req, Resp]{run: run, maxSize: maxSize, timeout: timeout}
}

// Do starts a call and waits for its response or the end of ctx. A request whose caller stops
// waiting may still be run.
func (b *Batcher[Req, Resp]) Do(ctx context.Context, request Req) (Resp, error) {
	return b.Start(ctx, request).Wait()
}

// Start queues a request without waiting for it. The request joins the next batch, which starts
// when Wait is called on this or any other call.
func (b *Batcher[Req, Resp]) Start(ctx context.Context, request Req) *Call[Req, Resp] {
	c := &Call[Req, Resp]{batcher: b, ctx: ctx, request: request, done: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		c.err = ErrClosed
		close(c.done)
		return c
	}
	b.pending = append(b.pending, c)
	return c
}

// flush starts running the pending calls unless a batch is running already.
func (b *Batcher[Req, Resp]) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.running && len(b.pending) > 0 {
		b.running = true
		b.work.Go(b.loop)
	}
}

// Wait returns the response. It returns early when the context passed to Start ends.
func (c *Call[Req, Resp]) Wait() (Resp, error) {
	c.batcher.flush()
	select {
	case <-c.done:
		return c.response, c.err
	case <-c.ctx.Done():
		var zero Resp
		return zero, fmt.Errorf("wait for batch: %w", c.ctx.Err())
	}
}

// Close rejects new calls and waits for the pending ones.
func (b *Batcher[Req, Resp]) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.flush()
	b.work.Wait()
}

func (b *Batcher[Req, Resp]) loop() {
	for {
		// Goroutines that are ready to run may be about to call Start. Yielding to them makes the
		// batch larger on a busy machine and costs nothing on an idle one.
		runtime.Gosched()
		calls := b.next()
		if calls == nil {
			return
		}
		b.runBatch(calls)
	}
}

// next removes the oldest calls from the queue. It returns nil and ends the loop if there are none.
func (b *Batcher[Req, Resp]) next() []*Call[Req, Resp] {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.pending), b.maxSize)
	if n == 0 {
		b.running = false
		b.pending = nil
		return nil
	}
	calls := b.pending[:n:n]
	b.pending = b.pending[n:]
	return calls
}

func (b *Batcher[Req, Resp]) runBatch(calls []*Call[Req, Resp]) {
	active := make([]*Call[Req, Resp], 0, len(calls))
	requests := make([]Req, 0, len(calls))
	for _, c := range calls {
		if err := c.ctx.Err(); err != nil {
			c.err = fmt.Errorf("wait for batch: %w", err)
			close(c.done)
			continue
		}
		active = append(active, c)
		requests = append(requests, c.request)
	}
	if len(requests) == 0 {
		return
	}
	responses, err := b.runRecovered(active, requests)
	for i, c := range active {
		if c.err = err; err == nil {
			c.response = responses[i]
		}
		close(c.done)
	}
}

// runRecovered returns a panic as an error: no interceptor guards this goroutine, so the panic
// would end the process.
func (b *Batcher[Req, Resp]) runRecovered(calls []*Call[Req, Resp], requests []Req) (responses []Resp, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), b.timeout)
	defer cancel()
	ctx, end := b.startSpans(ctx, calls)
	defer func() { end(err) }()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in batch of %d: %v\n%s", len(requests), p, debug.Stack())
		}
	}()
	responses, err = b.run(ctx, requests)
	if err == nil && len(responses) != len(requests) {
		return nil, fmt.Errorf("batch of %d got %d responses", len(requests), len(responses))
	}
	return responses, err
}
