package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"merchstore.io/merchstore/services/logging/record"
)

const (
	pollTimeout        = 100 * time.Millisecond // delay until a canceled context is noticed
	partitionsInterval = 30 * time.Second       // between lookups of new partitions
)

// Reader reads the topic. Each call of Read uses a consumer of its own and commits no offsets.
type Reader struct {
	settings Settings
	log      *slog.Logger
}

// NewReader returns a reader.
func NewReader(s Settings, log *slog.Logger) *Reader { return &Reader{settings: s, log: log} }

// Read calls each with every record from now on, or from the oldest one, until ctx is done or each
// returns an error. It calls started once no later record will be missed. It reads ahead only a
// bounded amount while each is busy.
func (r *Reader) Read(ctx context.Context, fromBeginning bool, started func() error, each func(record.Message) error) (err error) {
	logs := make(chan confluent.LogEvent, 100)
	var forwarding sync.WaitGroup
	forwarding.Go(func() { forwardLogs(logs, r.log) }) //nolint:contextcheck // ends with its channel
	defer forwarding.Wait()
	defer close(logs)

	client, err := confluent.NewConsumer(r.settings.consumerConfig(logs))
	if err != nil {
		return fmt.Errorf("create Kafka consumer: %w", err)
	}
	defer func() {
		if closeErr := client.Close(); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("close Kafka consumer: %w", closeErr))
		}
	}()

	c := &consumer{client: client, topic: r.settings.Topic}
	if err := c.assign(!fromBeginning); err != nil {
		return err
	}
	if err := started(); err != nil {
		return err
	}
	nextLookup := time.Now().Add(partitionsInterval)
	for ctx.Err() == nil {
		if err := c.next(each); err != nil {
			return err
		}
		if time.Now().After(nextLookup) {
			// A new partition is read from its beginning. A failed lookup is repeated at the next
			// interval.
			if err := c.assign(false); err != nil {
				r.log.Info("look up new partitions", "error", err)
			}
			nextLookup = time.Now().Add(partitionsInterval)
		}
	}
	return ctx.Err()
}

// consumer is the consumer of one call of Read.
type consumer struct {
	client   *confluent.Consumer
	topic    string
	assigned []int32
}

// assign starts reading the partitions that are not assigned yet. It queries their end offsets
// itself, because librdkafka would resolve OffsetEnd only some time after assign has returned.
func (c *consumer) assign(atEnd bool) error {
	ids, err := partitions(c.client, c.topic)
	if err != nil {
		return err
	}
	var added []confluent.TopicPartition
	for _, id := range ids {
		if slices.Contains(c.assigned, id) {
			continue
		}
		from := confluent.OffsetBeginning
		if atEnd {
			_, end, err := c.client.QueryWatermarkOffsets(c.topic, id, int(metadataTimeout.Milliseconds()))
			if err != nil {
				return fmt.Errorf("query end offset of %s[%d]: %w", c.topic, id, err)
			}
			from = confluent.Offset(end)
		}
		added = append(added, confluent.TopicPartition{Topic: &c.topic, Partition: id, Offset: from})
		c.assigned = append(c.assigned, id)
	}
	if len(added) == 0 {
		return nil
	}
	if err := c.client.IncrementalAssign(added); err != nil {
		return fmt.Errorf("read %s: %w", c.topic, err)
	}
	return nil
}

func (c *consumer) next(each func(record.Message) error) error {
	switch e := c.client.Poll(int(pollTimeout.Milliseconds())).(type) {
	case *confluent.Message:
		if e.TopicPartition.Error != nil {
			return fmt.Errorf("read %s: %w", c.topic, e.TopicPartition.Error)
		}
		stored := record.Record{Key: e.Key, Value: e.Value}
		for _, h := range e.Headers {
			stored.Headers = append(stored.Headers, record.Header(h))
		}
		return each(record.Decode(stored, e.Timestamp))
	case confluent.Error:
		if e.IsFatal() {
			return fmt.Errorf("read %s: %w", c.topic, e)
		}
	}
	return nil // nothing arrived, or a broker is unavailable and librdkafka reconnects
}
