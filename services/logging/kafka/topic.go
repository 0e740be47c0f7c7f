package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/process"
)

const (
	metadataTimeout = 2 * time.Second
	createTimeout   = 10 * time.Second

	checkInterval        = 10 * time.Second
	initialCheckInterval = time.Second // until the topic has been found
)

var errNotChecked = errors.New("not checked yet")

// TopicMonitor checks periodically that the topic exists, and creates it if the settings say so.
type TopicMonitor struct {
	producer *Producer
	found    atomic.Bool
	up       prometheus.Gauge
	log      *slog.Logger
}

// NewTopicMonitor returns a monitor of the producer's topic.
func NewTopicMonitor(p *Producer, metrics prometheus.Registerer, log *slog.Logger) *TopicMonitor {
	m := &TopicMonitor{producer: p, log: log, up: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "merchstore_kafka_topic_reachable", Help: "1 if the last check found the topic, otherwise 0.",
	})}
	metrics.MustRegister(m.up)
	return m
}

// Ready returns nil once the topic has been found, also if Kafka becomes unavailable later. Then
// this process still holds messages up to its limits and keeps client streams open. If it became
// unready, clients would drop these streams and send every message again later. The gauge reports
// the current state.
func (m *TopicMonitor) Ready(context.Context) error {
	if m.found.Load() {
		return nil
	}
	return fmt.Errorf("topic %s has not been found yet", m.producer.topic)
}

// Component returns the monitor as a component of its process. It must be stopped before the
// producer.
func (m *TopicMonitor) Component() process.Component {
	ctx, cancel := context.WithCancel(context.Background())
	return process.Component{
		Name:  "Kafka topic monitor",
		Serve: func() error { m.run(ctx); return nil },
		Stop: func(context.Context) error {
			cancel()
			m.producer.lifetime.Lock() // wait for a running check
			defer m.producer.lifetime.Unlock()
			return nil
		},
	}
}

func (m *TopicMonitor) run(ctx context.Context) {
	previous := errNotChecked
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := m.check(ctx)
		if ctx.Err() != nil {
			return
		}
		m.report(err, previous)
		previous = err
		if m.found.Load() {
			timer.Reset(checkInterval)
		} else {
			timer.Reset(initialCheckInterval)
		}
	}
}

// report sets the gauge and logs a change of state.
func (m *TopicMonitor) report(err, previous error) {
	if err == nil {
		m.found.Store(true)
		m.up.Set(1)
		if previous != nil {
			m.log.Info("topic found", "topic", m.producer.topic)
		}
		return
	}
	m.up.Set(0)
	if previous == nil || errors.Is(previous, errNotChecked) {
		m.log.Warn("topic not reachable", "topic", m.producer.topic, "error", err)
	}
}

func (m *TopicMonitor) check(ctx context.Context) error {
	m.producer.lifetime.Lock()
	defer m.producer.lifetime.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	client := m.producer.current()
	_, err := partitions(client, m.producer.topic)
	var e confluent.Error
	if m.producer.settings.CreateTopic && errors.As(err, &e) && e.Code() == confluent.ErrUnknownTopicOrPart {
		return m.create(ctx, client)
	}
	return err
}

func (m *TopicMonitor) create(ctx context.Context, client *confluent.Producer) error {
	s := m.producer.settings
	admin, err := confluent.NewAdminClientFromProducer(client)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", s.Topic, err)
	}
	defer admin.Close()
	results, err := admin.CreateTopics(ctx, []confluent.TopicSpecification{
		{Topic: s.Topic, NumPartitions: s.Partitions, ReplicationFactor: s.Replication},
	}, confluent.SetAdminOperationTimeout(createTimeout))
	if err != nil {
		return fmt.Errorf("create topic %s: %w", s.Topic, err)
	}
	for _, r := range results {
		if code := r.Error.Code(); code != confluent.ErrNoError && code != confluent.ErrTopicAlreadyExists {
			return fmt.Errorf("create topic %s: %w", s.Topic, r.Error)
		}
	}
	m.log.Info("topic created", "topic", s.Topic, "partitions", s.Partitions, "replication", s.Replication)
	return nil
}

type metadataClient interface {
	GetMetadata(topic *string, allTopics bool, timeoutMs int) (*confluent.Metadata, error)
}

// partitions returns the ids of a topic's partitions, at least one, or an error if the topic is
// missing.
func partitions(c metadataClient, topic string) ([]int32, error) {
	metadata, err := c.GetMetadata(&topic, false, int(metadataTimeout.Milliseconds()))
	if err != nil {
		return nil, fmt.Errorf("query topic %s: %w", topic, err)
	}
	t := metadata.Topics[topic]
	if t.Error.Code() != confluent.ErrNoError {
		return nil, fmt.Errorf("query topic %s: %w", topic, t.Error)
	}
	ids := make([]int32, 0, len(t.Partitions))
	for _, p := range t.Partitions {
		ids = append(ids, p.ID)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("query topic %s: %w", topic,
			confluent.NewError(confluent.ErrUnknownTopicOrPart, "the topic has no partitions", false))
	}
	return ids, nil
}
