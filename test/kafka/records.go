package kafka

import (
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Record is a record of a topic.
type Record struct {
	Partition int32
	Offset    int64
	Time      time.Time
	Key       string
	Value     string
	Headers   map[string]string
}

// Records waits until the topic has at least n records, and returns all of them, so that tests
// notice extra records. Records of a partition are in order. The test fails after half a minute.
func (b *Broker) Records(t testing.TB, topic string, n int) []Record {
	t.Helper()
	consumer, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers":    b.Addr(),
		"group.id":             "unused", // partitions are assigned manually
		"enable.auto.commit":   false,
		"enable.partition.eof": true,
		"fetch.wait.max.ms":    10,
		"log_level":            2,
	})
	if err != nil {
		t.Fatalf("create consumer: %v", err)
	}
	defer consumer.Close()

	partitions := assignAll(t, consumer, topic)
	deadline := time.Now().Add(requestTimeout)
	var records []Record
	ended := map[int32]bool{}
	for len(records) < n || len(ended) < partitions {
		if time.Now().After(deadline) {
			t.Fatalf("topic %s has %d records after %v, want %d", topic, len(records), requestTimeout, n)
		}
		switch event := consumer.Poll(100).(type) {
		case *kafka.Message:
			if event.TopicPartition.Error != nil {
				t.Fatalf("read %s: %v", topic, event.TopicPartition.Error)
			}
			delete(ended, event.TopicPartition.Partition)
			records = append(records, newRecord(event))
		case kafka.PartitionEOF:
			ended[event.Partition] = true
		case kafka.Error:
			if event.IsFatal() {
				t.Fatalf("read %s: %v", topic, event)
			}
		}
	}
	return records
}

// assignAll assigns all partitions from their beginning and returns their number.
func assignAll(t testing.TB, consumer *kafka.Consumer, topic string) (partitions int) {
	t.Helper()
	metadata, err := consumer.GetMetadata(&topic, false, int(requestTimeout.Milliseconds()))
	if err != nil {
		t.Fatalf("get partitions of %s: %v", topic, err)
	}
	var assigned []kafka.TopicPartition
	for _, partition := range metadata.Topics[topic].Partitions {
		assigned = append(assigned, kafka.TopicPartition{Topic: &topic, Partition: partition.ID, Offset: kafka.OffsetBeginning})
	}
	if len(assigned) == 0 {
		t.Fatalf("topic %s does not exist", topic)
	}
	if err := consumer.Assign(assigned); err != nil {
		t.Fatalf("assign partitions of %s: %v", topic, err)
	}
	return len(assigned)
}

func newRecord(m *kafka.Message) Record {
	headers := make(map[string]string, len(m.Headers))
	for _, header := range m.Headers {
		headers[header.Key] = string(header.Value)
	}
	return Record{
		Partition: m.TopicPartition.Partition,
		Offset:    int64(m.TopicPartition.Offset),
		Time:      m.Timestamp,
		Key:       string(m.Key),
		Value:     string(m.Value),
		Headers:   headers,
	}
}
