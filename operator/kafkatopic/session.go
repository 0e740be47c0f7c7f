package kafkatopic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/report"
)

// grace is how long a call goes on when no broker can be reached: a name may have several addresses.
const grace = 2 * time.Second

// errOutdated is with Kafka's answer to a change of something that is no longer as it was when it was looked at. Looking again helps,
// unless Kafka goes on to answer so.
var errOutdated = errors.New("the topic has changed meanwhile")

// session is a client of a Kafka cluster. librdkafka's calls only say that time has run out when a broker can't be reached or
// does not let the client in; why is told beside them, in events of a producer, and kept here.
type session struct {
	connection connection
	timeout    time.Duration
	metrics    *report.Metrics
	producer   *kafka.Producer
	admin      *kafka.AdminClient
	listening  sync.WaitGroup

	// These are the pool's.
	users  int
	expiry *time.Timer

	mu    sync.Mutex
	words string        // what was wrong last
	down  chan struct{} // closed when no broker can be reached
}

func newSession(c connection, timeout time.Duration, metrics *report.Metrics) (*session, error) {
	producer, err := kafka.NewProducer(c.config())
	if err != nil {
		return nil, &problem{v1alpha1.ReasonUnreachable, mask("no client can be made: "+err.Error(), c.password, c.key)}
	}
	admin, err := kafka.NewAdminClientFromProducer(producer)
	if err != nil {
		producer.Close()
		return nil, &problem{v1alpha1.ReasonUnreachable, mask("no client can be made: "+err.Error(), c.password, c.key)}
	}
	s := &session{
		connection: c, timeout: timeout, metrics: metrics, producer: producer, admin: admin, down: make(chan struct{}),
	}
	s.listening.Go(s.listen)
	return s, nil
}

func (s *session) close() {
	s.admin.Close()
	s.producer.Close()
	s.listening.Wait()
}

func (s *session) listen() {
	for event := range s.producer.Events() {
		if e, ok := event.(kafka.Error); ok {
			s.heard(e)
		}
	}
}

func (s *session) heard(e kafka.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Code() != kafka.ErrAllBrokersDown || s.words == "" { // it says less than any other
		s.words = e.Error()
	}
	if e.Code() != kafka.ErrAllBrokersDown && e.Code() != kafka.ErrAuthentication {
		return
	}
	select {
	case <-s.down:
	default:
		close(s.down)
	}
}

// call asks Kafka something within the time that is set, measures it, and makes a problem of what goes wrong.
func (s *session) call(caller context.Context, operation string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(caller, s.timeout)
	defer cancel()
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	go func() { // gives up early
		select {
		case <-ctx.Done():
			return
		case <-down:
		}
		select {
		case <-ctx.Done():
		case <-time.After(grace):
			cancel()
		}
	}()
	start := time.Now()
	err := ask(ctx)
	s.metrics.Call("kafka", operation, start, err)
	switch {
	case err == nil:
		s.answered()
		return nil
	case caller.Err() != nil:
		return fmt.Errorf("ask Kafka: %w", caller.Err())
	default:
		return s.verdict(err)
	}
}

// answered forgets what was wrong before.
func (s *session) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = ""
	select {
	case <-s.down:
		s.down = make(chan struct{})
	default:
	}
}

// verdict tells Kafka's no from its silence.
func (s *session) verdict(err error) error {
	var e kafka.Error
	words := err.Error()
	if errors.As(err, &e) && e.Code() >= kafka.ErrUnknown { // lower ones are librdkafka's own
		refused := &problem{v1alpha1.ReasonRefused, mask(words, s.connection.password, s.connection.key)}
		switch e.Code() { //nolint:exhaustive // all others are a no
		case kafka.ErrTopicAlreadyExists, kafka.ErrUnknownTopicOrPart, kafka.ErrInvalidPartitions:
			return fmt.Errorf("%w: %w", errOutdated, refused)
		case kafka.ErrRequestTimedOut, kafka.ErrBrokerNotAvailable, kafka.ErrLeaderNotAvailable, kafka.ErrNetworkException,
			kafka.ErrNotController, kafka.ErrSaslAuthenticationFailed, kafka.ErrThrottlingQuotaExceeded:
		default:
			return refused
		}
	} else {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.words != "" {
			words = s.words
		} else if errors.Is(err, context.DeadlineExceeded) {
			words = fmt.Sprintf("no answer within %s", s.timeout)
		}
	}
	return &problem{v1alpha1.ReasonUnreachable, mask(lasting(words), s.connection.password, s.connection.key)}
}
