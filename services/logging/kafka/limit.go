package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const (
	// defaultLimit is librdkafka's, and less than that of a topic by default.
	defaultLimit = 1_000_000
	// minLimit is the smallest that librdkafka takes.
	minLimit = 1000
	// limitInterval is the time between two queries of the topic's limit.
	limitInterval = 10 * time.Second
	limitTimeout  = 5 * time.Second
)

// errBatchTooLarge is the error of records that may be small enough alone.
var errBatchTooLarge = errors.New("the batch is larger than the topic accepts")

// limit is the size in bytes of the largest batch, and of the largest record.
type limit struct {
	bytes   int
	updated time.Time
}

// update reads the topic's limit, and reports whether it is less than l, which it then becomes. If it
// cannot be read, for example without the permission, half of l is tried, so that a few attempts find
// what the topic accepts.
func (l *limit) update(client *confluent.Producer, topic string, log *slog.Logger) bool {
	if time.Since(l.updated) < limitInterval {
		return false
	}
	bytes, err := maxMessageBytes(client, topic)
	if err == nil {
		l.updated = time.Now()
	} else {
		bytes = l.bytes / 2
		log.Warn("the size of batches that the topic accepts cannot be read; trying half", "bytes", bytes, "error", err)
	}
	bytes = max(bytes, minLimit)
	if bytes >= l.bytes {
		return false
	}
	l.bytes = bytes
	return true
}

func maxMessageBytes(client *confluent.Producer, topic string) (int, error) {
	const name = "max.message.bytes"
	admin, err := confluent.NewAdminClientFromProducer(client)
	if err != nil {
		return 0, fmt.Errorf("read configuration of topic %s: %w", topic, err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limitTimeout)
	defer cancel()
	results, err := admin.DescribeConfigs(ctx, []confluent.ConfigResource{{Type: confluent.ResourceTopic, Name: topic}})
	if err == nil && len(results) == 1 && results[0].Error.Code() != confluent.ErrNoError {
		err = results[0].Error
	}
	if err != nil || len(results) != 1 {
		return 0, fmt.Errorf("read configuration of topic %s: %w", topic, err)
	}
	bytes, err := strconv.Atoi(results[0].Config[name].Value)
	if err != nil || bytes < 1 {
		return 0, fmt.Errorf("topic %s has %s %q", topic, name, results[0].Config[name].Value)
	}
	return bytes, nil
}

func isTooLarge(err error) bool {
	var e confluent.Error
	return errors.As(err, &e) && (e.Code() == confluent.ErrMsgSizeTooLarge || e.Code() == confluent.ErrRecordListTooLarge)
}
