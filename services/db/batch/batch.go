// Package batch runs calls in groups: those that arrive while a group is running ride together in the next one. Nothing
// ever waits for a timer, so a lone call is as quick as it would be without.
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

// ErrClosed answers calls made after Close.
var ErrClosed = failure.New(failure.Unavailable, failure.ReasonUnavailable, "the service is closing down; try again in a moment")

// Group runs calls that each ask a Q and get an A. It is safe for concurrent use.
type Group[Q, A any] struct {
	run     func(ctx context.Context, asked []Q) ([]A, error)
	max     int
	timeout time.Duration
	tracer  trace.Tracer // nil unless Traced
	span    string

	mu      sync.Mutex
	waiting []*Call[Q, A]
	running bool
	closed  bool
	work    sync.WaitGroup
}

// Call is a question that was asked.
type Call[Q, A any] struct {
	group  *Group[Q, A]
	ctx    context.Context //nolint:containedctx // to leave out those whose asker has gone before their group starts
	asked  Q
	answer A
	err    error
	done   chan struct{}
}

// New makes a Group. run gets up to limit questions, oldest first, and answers each at the same index, or fails them all.
// It has until timeout; it is not stopped by any one asker's going away, for the others' sake.
func New[Q, A any](limit int, timeout time.Duration, run func(ctx context.Context, asked []Q) ([]A, error)) *Group[Q, A] {
	return &Group[Q, A]{run: run, max: limit, timeout: timeout}
}

// Do asks, and waits for the answer for as long as ctx lasts. A question whose asker stops waiting may still be run.
func (g *Group[Q, A]) Do(ctx context.Context, asked Q) (A, error) { return g.Start(ctx, asked).Wait() }

// Start asks without waiting. What is asked rides with the next question that somebody waits for: until Wait is called on
// this one or another, there is no hurry.
func (g *Group[Q, A]) Start(ctx context.Context, asked Q) *Call[Q, A] {
	c := &Call[Q, A]{group: g, ctx: ctx, asked: asked, done: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		c.err = ErrClosed
		close(c.done)
		return c
	}
	g.waiting = append(g.waiting, c)
	return c
}

// hurry sees to it that what was asked is being worked on.
func (g *Group[Q, A]) hurry() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.running && len(g.waiting) > 0 {
		g.running = true
		g.work.Go(g.loop)
	}
}

// Wait gives the answer, or stops waiting when the context that Start was given ends.
func (c *Call[Q, A]) Wait() (A, error) {
	c.group.hurry()
	select {
	case <-c.done:
		return c.answer, c.err
	case <-c.ctx.Done():
		var none A
		return none, fmt.Errorf("wait for group: %w", c.ctx.Err())
	}
}

// Close refuses new calls and waits for those under way.
func (g *Group[Q, A]) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.hurry()
	g.work.Wait()
}

func (g *Group[Q, A]) loop() {
	for {
		// On a busy machine others that are about to ask are ready to run: letting them go first makes the group larger,
		// and when there are none this costs nothing.
		runtime.Gosched()
		calls := g.next()
		if calls == nil {
			return
		}
		g.runGroup(calls)
	}
}

// next takes the oldest calls, or ends the loop.
func (g *Group[Q, A]) next() []*Call[Q, A] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), g.max)
	if n == 0 {
		g.running = false
		g.waiting = nil
		return nil
	}
	calls := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return calls
}

func (g *Group[Q, A]) runGroup(calls []*Call[Q, A]) {
	present := make([]*Call[Q, A], 0, len(calls))
	asked := make([]Q, 0, len(calls))
	for _, c := range calls {
		if err := c.ctx.Err(); err != nil {
			c.err = fmt.Errorf("wait for group: %w", err)
			close(c.done)
			continue
		}
		present = append(present, c)
		asked = append(asked, c.asked)
	}
	if len(asked) == 0 {
		return
	}
	answers, err := g.try(present, asked)
	for i, c := range present {
		if c.err = err; err == nil {
			c.answer = answers[i]
		}
		close(c.done)
	}
}

// try turns a panic into an error: it must not take down the process from a goroutine that no interceptor guards.
func (g *Group[Q, A]) try(calls []*Call[Q, A], asked []Q) (answers []A, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), g.timeout)
	defer cancel()
	ctx, end := g.begin(ctx, calls)
	defer func() { end(err) }()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in group of %d: %v\n%s", len(asked), p, debug.Stack())
		}
	}()
	answers, err = g.run(ctx, asked)
	if err == nil && len(answers) != len(asked) {
		return nil, fmt.Errorf("group of %d got %d answers", len(asked), len(answers))
	}
	return answers, err
}
