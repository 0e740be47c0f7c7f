package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/process"
)

const (
	askTimeout  = 2 * time.Second
	askAtFirst  = time.Second
	askLater    = 10 * time.Second
	makeTimeout = 10 * time.Second
)

var errNotAsked = errors.New("not asked yet")

// Watch asks Kafka for the topic from time to time, and makes it if that is wanted.
type Watch struct {
	producer *Producer
	seen     atomic.Bool
	up       prometheus.Gauge
	log      *slog.Logger
	asking   sync.Mutex // the producer must not be closed while it is being asked
}

// NewWatch prepares to watch the producer's topic.
func NewWatch(p *Producer, metrics prometheus.Registerer, log *slog.Logger) *Watch {
	w := &Watch{producer: p, log: log, up: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "merchstore_kafka_topic_reachable", Help: "1 if Kafka answered for the topic when last asked, else 0.",
	})}
	metrics.MustRegister(w.up)
	return w
}

// Ready is nil once Kafka has shown the topic, and stays so while Kafka is away. Without Kafka this process still has
// its use: it holds what its window takes and keeps writers waiting on their streams. If it said that it was not ready,
// they would drop those streams and send everything a second time when Kafka is back. The gauge says how Kafka is.
func (w *Watch) Ready(context.Context) error {
	if w.seen.Load() {
		return nil
	}
	return fmt.Errorf("topic %s has not been seen yet", w.producer.topic)
}

// Part runs the watch as a part of its process, to be stopped before the producer.
func (w *Watch) Part() process.Part {
	ctx, cancel := context.WithCancel(context.Background())
	return process.Part{
		Name:  "Kafka watch",
		Serve: func() error { w.run(ctx); return nil },
		Stop: func(context.Context) error {
			cancel()
			w.asking.Lock() // for as long as one question takes
			defer w.asking.Unlock()
			return nil
		},
	}
}

func (w *Watch) run(ctx context.Context) {
	before := errNotAsked
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := w.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		w.note(err, before)
		before = err
		if w.seen.Load() {
			timer.Reset(askLater)
		} else {
			timer.Reset(askAtFirst)
		}
	}
}

// note logs only what has changed.
func (w *Watch) note(err, before error) {
	if err == nil {
		w.seen.Store(true)
		w.up.Set(1)
		if before != nil {
			w.log.Info("topic found", "topic", w.producer.topic)
		}
		return
	}
	w.up.Set(0)
	if before == nil || errors.Is(before, errNotAsked) {
		w.log.Warn("topic not reachable", "topic", w.producer.topic, "error", err)
	}
}

func (w *Watch) ask(ctx context.Context) error {
	w.asking.Lock()
	defer w.asking.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err := partitionsOf(w.producer.client, w.producer.topic)
	var e confluent.Error
	if w.producer.settings.CreateTopic && errors.As(err, &e) && e.Code() == confluent.ErrUnknownTopicOrPart {
		return w.create(ctx)
	}
	return err
}

func (w *Watch) create(ctx context.Context) error {
	admin, err := confluent.NewAdminClientFromProducer(w.producer.client)
	if err != nil {
		return fmt.Errorf("make topic %s: %w", w.producer.topic, err)
	}
	defer admin.Close()
	s := w.producer.settings
	results, err := admin.CreateTopics(ctx, []confluent.TopicSpecification{
		{Topic: s.Topic, NumPartitions: s.Partitions, ReplicationFactor: s.Replication},
	}, confluent.SetAdminOperationTimeout(makeTimeout))
	if err != nil {
		return fmt.Errorf("make topic %s: %w", s.Topic, err)
	}
	for _, r := range results {
		if code := r.Error.Code(); code != confluent.ErrNoError && code != confluent.ErrTopicAlreadyExists {
			return fmt.Errorf("make topic %s: %w", s.Topic, r.Error)
		}
	}
	w.log.Info("topic made", "topic", s.Topic, "partitions", s.Partitions, "replication", s.Replication)
	return nil
}

type metadataClient interface {
	GetMetadata(topic *string, allTopics bool, timeoutMs int) (*confluent.Metadata, error)
}

// partitionsOf asks for a topic's partitions. There is at least one if it exists.
func partitionsOf(c metadataClient, topic string) ([]int32, error) {
	metadata, err := c.GetMetadata(&topic, false, int(askTimeout.Milliseconds()))
	if err != nil {
		return nil, fmt.Errorf("ask Kafka for topic %s: %w", topic, err)
	}
	found := metadata.Topics[topic]
	if found.Error.Code() != confluent.ErrNoError {
		return nil, fmt.Errorf("ask Kafka for topic %s: %w", topic, found.Error)
	}
	ids := make([]int32, 0, len(found.Partitions))
	for _, p := range found.Partitions {
		ids = append(ids, p.ID)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("ask Kafka for topic %s: %w", topic, confluent.NewError(confluent.ErrUnknownTopicOrPart, "it has no partitions", false))
	}
	return ids, nil
}
