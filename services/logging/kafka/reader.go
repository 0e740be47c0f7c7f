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
	pollTimeout     = 100 * time.Millisecond // how late an ended context is noticed
	partitionsEvery = 30 * time.Second
)

// Reader reads the topic, for one caller each time, outside of any group.
type Reader struct {
	settings Settings
	log      *slog.Logger
}

// NewReader makes a reader.
func NewReader(s Settings, log *slog.Logger) *Reader { return &Reader{settings: s, log: log} }

// Read calls each with every record from now on, or from the oldest there is, until ctx ends or each returns an error.
// It calls started once it is certain that no record that comes from then on is missed. While each takes its time, no
// more than a little is read ahead.
func (r *Reader) Read(ctx context.Context, fromBeginning bool, started func() error, each func(record.Message) error) (err error) {
	logs := make(chan confluent.LogEvent, 100)
	var forwarding sync.WaitGroup
	forwarding.Go(func() { forward(logs, r.log) }) //nolint:contextcheck // it ends with its channel
	defer forwarding.Wait()
	defer close(logs)

	client, err := confluent.NewConsumer(r.settings.consumerConfig(logs))
	if err != nil {
		return fmt.Errorf("make a Kafka consumer: %w", err)
	}
	defer func() {
		if closed := client.Close(); closed != nil {
			err = errors.Join(err, fmt.Errorf("close the Kafka consumer: %w", closed))
		}
	}()

	s := &session{client: client, topic: r.settings.Topic}
	if err := s.assign(!fromBeginning); err != nil {
		return err
	}
	if err := started(); err != nil {
		return err
	}
	partitionsDue := time.Now().Add(partitionsEvery)
	for ctx.Err() == nil {
		if err := s.next(each); err != nil {
			return err
		}
		if time.Now().After(partitionsDue) {
			// A partition that was added meanwhile is read whole. If Kafka is away, the next time will do.
			if err := s.assign(false); err != nil {
				r.log.Info("look for new partitions", "error", err)
			}
			partitionsDue = time.Now().Add(partitionsEvery)
		}
	}
	return ctx.Err()
}

// session is one reader's consumer.
type session struct {
	client   *confluent.Consumer
	topic    string
	assigned []int32
}

// assign starts reading the partitions that are not being read yet. Their ends are asked for here and not left to the
// library, which would ask some time after this returns.
func (s *session) assign(atEnd bool) error {
	ids, err := partitionsOf(s.client, s.topic)
	if err != nil {
		return err
	}
	var added []confluent.TopicPartition
	for _, id := range ids {
		if slices.Contains(s.assigned, id) {
			continue
		}
		from := confluent.OffsetBeginning
		if atEnd {
			_, end, err := s.client.QueryWatermarkOffsets(s.topic, id, int(askTimeout.Milliseconds()))
			if err != nil {
				return fmt.Errorf("ask Kafka for the end of %s[%d]: %w", s.topic, id, err)
			}
			from = confluent.Offset(end)
		}
		added = append(added, confluent.TopicPartition{Topic: &s.topic, Partition: id, Offset: from})
		s.assigned = append(s.assigned, id)
	}
	if len(added) == 0 {
		return nil
	}
	if err := s.client.IncrementalAssign(added); err != nil {
		return fmt.Errorf("read %s: %w", s.topic, err)
	}
	return nil
}

func (s *session) next(each func(record.Message) error) error {
	switch e := s.client.Poll(int(pollTimeout.Milliseconds())).(type) {
	case *confluent.Message:
		if e.TopicPartition.Error != nil {
			return fmt.Errorf("read %s: %w", s.topic, e.TopicPartition.Error)
		}
		kept := record.Record{Key: e.Key, Value: e.Value}
		for _, h := range e.Headers {
			kept.Headers = append(kept.Headers, record.Header(h))
		}
		return each(record.Decode(kept, e.Timestamp))
	case confluent.Error:
		if e.IsFatal() {
			return fmt.Errorf("read %s: %w", s.topic, e)
		}
	}
	return nil // nothing came, or a broker is away and the library looks for it
}
