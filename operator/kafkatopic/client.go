package kafkatopic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/report"
)

// idleTime is how long an unused client is kept. It is longer than the time between two reconciles
// of a topic.
const idleTime = 10 * time.Minute

// clients holds one client for each connection in use.
type clients struct {
	timeout, idle time.Duration
	metrics       *report.Metrics

	mu   sync.Mutex
	open map[connection]*kafkaClient
}

func newClients(timeout, idle time.Duration, metrics *report.Metrics) *clients {
	return &clients{timeout: timeout, idle: idle, metrics: metrics, open: map[connection]*kafkaClient{}}
}

// acquire returns the client of a connection, which the caller must release. It does not wait for
// Kafka. Clients that were not used for the idle time are closed.
func (c *clients) acquire(to connection) (*kafkaClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, k := range c.open {
		if key != to && k.users == 0 && time.Since(k.released) > c.idle {
			k.close()
			delete(c.open, key)
		}
	}
	k := c.open[to]
	if k == nil {
		var err error
		if k, err = newKafkaClient(to, c.timeout, c.metrics); err != nil {
			return nil, err
		}
		c.open[to] = k
	}
	k.users++
	return k, nil
}

func (c *clients) release(k *kafkaClient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.users--
	k.released = time.Now()
}

// close closes all clients. Calls that are still running fail.
func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, k := range c.open {
		k.close()
		delete(c.open, key)
	}
}

// kafkaClient administers the topics of one Kafka cluster.
type kafkaClient struct {
	connection connection
	timeout    time.Duration // of each call
	metrics    *report.Metrics
	client     *kgo.Client
	admin      *kadm.Client
	circuit    circuit

	// Guarded by clients.mu.
	users    int
	released time.Time
}

func newKafkaClient(c connection, timeout time.Duration, metrics *report.Metrics) (*kafkaClient, error) {
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(options,
		kgo.ClientID("merchstore-operator"), kgo.DisableClientMetrics(),
		// Short enough that a call fails with the error of the connection rather than with its own
		// timeout.
		kgo.DialTimeout(timeout/2), kgo.RequestTimeoutOverhead(timeout/2), kgo.RetryTimeout(timeout/5))...)
	if err != nil {
		return nil, fmt.Errorf("create Kafka client: %w", err)
	}
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(int32(timeout.Milliseconds() / 2)) //nolint:gosec // seconds
	return &kafkaClient{connection: c, timeout: timeout, metrics: metrics, client: client, admin: admin}, nil
}

// probe returns an error if the cluster does not answer.
func (k *kafkaClient) probe(ctx context.Context) error {
	return k.call(ctx, "probe", func(ctx context.Context) error {
		_, err := k.metadata(ctx)
		return err
	})
}

func (k *kafkaClient) close() { k.client.Close() }

// call calls Kafka within the timeout, records the duration and translates the error.
func (k *kafkaClient) call(caller context.Context, operation string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(caller, k.timeout)
	defer cancel()
	start := time.Now()
	err := do(ctx)
	k.metrics.Call("kafka", operation, start, err)
	switch {
	case err == nil:
		return nil
	case caller.Err() != nil:
		return fmt.Errorf("call Kafka: %w", caller.Err())
	default:
		return k.problem(err)
	}
}

// errOutdated accompanies a refusal that comes of a topic that changed after it was described.
// Retrying helps, unless Kafka keeps refusing.
var errOutdated = errors.New("the topic has changed meanwhile")

// problem translates an error into a condition: Refused if Kafka rejects the request, otherwise
// Unreachable.
func (k *kafkaClient) problem(err error) error {
	p := &problem{v1alpha1.ReasonUnreachable, mask(err.Error(), k.connection.password, k.connection.key)}
	var broker *kerr.Error
	var network net.Error
	switch {
	case errors.As(err, &broker):
		switch broker {
		case kerr.TopicAlreadyExists, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InvalidPartitions:
			p.reason = v1alpha1.ReasonRefused
			return fmt.Errorf("%w: %w", errOutdated, p)
		case kerr.BrokerNotAvailable, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState:
		default:
			if !broker.Retriable {
				p.reason = v1alpha1.ReasonRefused
			}
		}
		return fmt.Errorf("%w (%w)", p, broker)
	case errors.As(err, &network) && network.Timeout() && !dialing(err):
		p.message = fmt.Sprintf("no answer within %s", k.timeout)
	}
	return p
}

// dialing reports whether an error comes from opening a connection.
func dialing(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// brokerError is an error in a response, in the broker's own words.
type brokerError struct {
	err     error
	message string
}

func (e *brokerError) Error() string { return e.message }
func (e *brokerError) Unwrap() error { return e.err }

// responseError returns the error of a response, with the message that the broker sent if there is
// one.
func responseError(err error, message string) error {
	if err == nil || message == "" {
		return err
	}
	return &brokerError{err, message}
}
