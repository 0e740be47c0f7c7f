package kafkatopic

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// probeWait is how long reconciles wait for a probe, counted from its beginning. Clusters that work
// answer within it.
const probeWait = time.Second

// probeInterval is the minimum time between the end of a probe and the next one.
const probeInterval = time.Second

// errNotYet means that a cluster has not answered yet. It is not shown in the status.
var errNotYet = errors.New("the brokers have not answered yet")

// circuit keeps the workers from waiting for a cluster that does not answer, one object after the
// other, while other clusters' objects wait for them. Until the cluster has answered a probe, which
// no worker waits for, reconciles fail at once with the last probe's error.
type circuit struct {
	mu     sync.Mutex
	closed bool          // the cluster answers
	err    error         // why it does not
	probe  chan struct{} // closed when the running probe ends; nil if none runs
	began  time.Time     // the running probe
	ended  time.Time     // the last one
}

// enter returns nil if the cluster answers, otherwise why it does not. It starts a probe if none
// runs, and waits for a new one.
func (c *circuit) enter(ctx context.Context, probe func(context.Context) error) error {
	c.mu.Lock()
	if !c.closed && c.probe == nil && time.Since(c.ended) >= probeInterval {
		c.probe, c.began = make(chan struct{}), time.Now()
		go c.run(context.WithoutCancel(ctx), probe)
	}
	running, wait := c.probe, probeWait-time.Since(c.began)
	c.mu.Unlock()
	if running != nil && wait > 0 {
		select {
		case <-running:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	if c.err == nil {
		return errNotYet
	}
	return c.err
}

func (c *circuit) run(ctx context.Context, probe func(context.Context) error) {
	err := probe(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.err = err == nil, err
	close(c.probe)
	c.probe, c.ended = nil, time.Now()
}

// leave takes note of the result of a reconcile that was let in. Its error is about one object, so
// others do not get it, and an error that a broker sent is an answer.
func (c *circuit) leave(err error) {
	var answer *kerr.Error
	if !hasReason(err, v1alpha1.ReasonUnreachable) || errors.As(err, &answer) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.closed, c.err = false, nil
	}
}
