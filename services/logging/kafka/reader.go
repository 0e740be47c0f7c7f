package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"merchstore.io/merchstore/services/logging/record"
)

const (
	pollTimeout        = 100 * time.Millisecond // delay until a canceled context is noticed
	partitionsInterval = 30 * time.Second       // between lookups of new partitions
	positionInterval   = 10 * time.Second       // between positions while no message matches
)

// Reader reads the topic. Each call of Read uses a consumer of its own and commits no offsets.
type Reader struct {
	settings Settings
	log      *slog.Logger
}

// NewReader returns a reader.
func NewReader(s Settings, log *slog.Logger) *Reader { return &Reader{settings: s, log: log} }

// Read calls each with every message that q selects, until ctx is done or each returns an error. It
// calls started once no later message will be missed. It reads ahead only a bounded amount while
// each is busy. Messages without a level have only a position: one comes at the start, after the
// latest messages, and others while no message matches.
func (r *Reader) Read(ctx context.Context, q record.Query, started func() error, each func(record.Message) error) (err error) {
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

	c := &consumer{client: client, topic: r.settings.Topic, query: q, next: record.Position{}, unread: map[int32]confluent.Offset{}}
	depth := int64(0)
	switch {
	case q.FromBeginning || q.After != nil:
		depth = wholeTopic
	case q.Last > 0:
		depth = latestDepth
	}
	if err := c.assign(depth); err != nil {
		return err
	}
	if err := started(); err != nil {
		return err
	}
	if q.Last > 0 {
		if err := c.sendLatest(ctx, each); err != nil {
			return err
		}
	}
	return c.follow(ctx, r.log, func(m record.Message, _ time.Time) error { return each(m) })
}

// wholeTopic is a depth that no partition exceeds.
const wholeTopic = math.MaxInt64

// consumer is the consumer of one call of Read.
type consumer struct {
	client *confluent.Consumer
	topic  string
	query  record.Query
	next   record.Position // of the assigned partitions
	// unread has the partitions that have not been read up to where they ended at first.
	unread map[int32]confluent.Offset
}

// follow calls each with the messages that arrive.
func (c *consumer) follow(ctx context.Context, log *slog.Logger, each func(record.Message, time.Time) error) error {
	nextLookup := time.Now().Add(partitionsInterval)
	var reported string
	var nextReport time.Time
	report := func(m record.Message, at time.Time) error {
		m.Position = c.next.String()
		reported, nextReport = m.Position, time.Now().Add(positionInterval)
		return each(m, at)
	}
	for ctx.Err() == nil {
		if time.Now().After(nextReport) {
			if c.next.String() != reported {
				if err := report(record.Message{}, time.Time{}); err != nil {
					return err
				}
			}
		}
		if err := c.poll(report); err != nil {
			return err
		}
		if time.Now().After(nextLookup) {
			// A new partition is read from its beginning. A failed lookup is repeated at the next
			// interval.
			if err := c.assign(wholeTopic); err != nil {
				log.Info("look up new partitions", "error", err)
			}
			nextLookup = time.Now().Add(partitionsInterval)
		}
	}
	return ctx.Err()
}

// assign starts reading the partitions that are not assigned yet: at most depth records before their
// end, or for the whole topic after the query's position. If that does not exist, which is so in a topic
// that was created again, librdkafka begins with the oldest record. It would resolve OffsetEnd only some
// time after assign has returned.
func (c *consumer) assign(depth int64) error {
	ids, err := partitions(c.client, c.topic)
	if err != nil {
		return err
	}
	var added []confluent.TopicPartition
	for _, id := range ids {
		if _, assigned := c.next[id]; assigned {
			continue
		}
		start := c.query.After[id]
		if depth != wholeTopic {
			low, end, err := c.client.QueryWatermarkOffsets(c.topic, id, int(metadataTimeout.Milliseconds()))
			if err != nil {
				return fmt.Errorf("query offsets of %s[%d]: %w", c.topic, id, err)
			}
			if start = max(low, end-depth); start < end {
				c.unread[id] = confluent.Offset(end)
			}
		}
		added = append(added, confluent.TopicPartition{Topic: &c.topic, Partition: id, Offset: confluent.Offset(start)})
	}
	if len(added) == 0 {
		return nil
	}
	if err := c.client.IncrementalAssign(added); err != nil {
		return fmt.Errorf("read %s: %w", c.topic, err)
	}
	for _, p := range added {
		c.next[p.Partition] = int64(p.Offset)
	}
	return nil
}

// poll calls each with the next message, if one arrives in time and the query selects it, and with
// the time at which it was written.
func (c *consumer) poll(each func(record.Message, time.Time) error) error {
	switch e := c.client.Poll(int(pollTimeout.Milliseconds())).(type) {
	case *confluent.Message:
		if e.TopicPartition.Error != nil {
			return fmt.Errorf("read %s: %w", c.topic, e.TopicPartition.Error)
		}
		c.next[e.TopicPartition.Partition] = int64(e.TopicPartition.Offset) + 1
		c.markRead(e.TopicPartition.Partition, e.TopicPartition.Offset+1)
		stored := record.Record{Key: e.Key, Value: e.Value}
		for _, h := range e.Headers {
			stored.Headers = append(stored.Headers, record.Header(h))
		}
		if m := record.Decode(stored, e.Timestamp); c.query.Matches(m) {
			return each(m, e.Timestamp)
		}
	case confluent.PartitionEOF:
		c.markRead(e.Partition, e.Offset)
	case confluent.Error:
		if e.IsFatal() {
			return fmt.Errorf("read %s: %w", c.topic, e)
		}
	}
	return nil // nothing arrived, or a broker is unavailable and librdkafka reconnects
}

func (c *consumer) markRead(partition int32, upTo confluent.Offset) {
	if end, found := c.unread[partition]; found && upTo >= end {
		delete(c.unread, partition)
	}
}
