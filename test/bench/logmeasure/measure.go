// Package logmeasure measures log messages through the logging service and with a bare producer.
// Both write the same records (value, key and headers) with the same producer settings.
package logmeasure

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	"merchstore.io/merchstore/internal/logstream"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/services/logging/kafka"
	"merchstore.io/merchstore/services/logging/record"
)

// The origin of the messages, which the credentials of the connection must name.
const (
	Service = "REST API"
	Pod     = "api-5d9c7b6f4-x2x7k"
)

const (
	requestID = "0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071"
	text      = "User 'peter' access place order endpoint"
	writers   = 8
	// bareQueue bounds the records in flight of the bare producer. It is the Kafka library's
	// default. Without a bound, it would be faster and keep all messages in memory.
	bareQueue = 100_000
)

// Bare writes n records with a bare producer, and returns the acknowledged records per second.
func Bare(ctx context.Context, brokers, topic string, n int) (perSecond float64, err error) {
	logs := make(chan confluent.LogEvent, 100)
	defer close(logs)
	go func() {
		for range logs { // discard
		}
	}()
	settings := kafka.Settings{Brokers: brokers, Topic: topic, SecurityProtocol: "PLAINTEXT"}
	producer, err := confluent.NewProducer(settings.ProducerConfig(logs))
	if err != nil {
		return 0, fmt.Errorf("create the bare producer: %w", err)
	}
	defer producer.Close()
	records := prepare(topic)

	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	room := semaphore.NewWeighted(bareQueue)
	go func() {
		for i := range n {
			if err := room.Acquire(ctx, 1); err != nil {
				return
			}
			if err := producer.Produce(records[i%len(records)], nil); err != nil {
				cancel(fmt.Errorf("produce: %w", err))
				return
			}
		}
	}()
	for delivered := 0; delivered < n; {
		select {
		case event := <-producer.Events():
			if m, ok := event.(*confluent.Message); ok {
				if m.TopicPartition.Error != nil {
					return 0, fmt.Errorf("deliver: %w", m.TopicPartition.Error)
				}
				delivered++
				room.Release(1)
			}
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// prepare creates some records in advance, so that only producing is measured.
func prepare(topic string) []*confluent.Message {
	records := make([]*confluent.Message, 1024)
	for i := range records {
		var e record.Encoder
		r := e.Encode(&record.Message{
			ID: uuid.Must(uuid.NewV7()).String(), Service: Service, Level: record.Info, Text: text,
			Seconds: time.Now().Unix(), Pod: Pod, RequestID: requestID,
		})
		m := &confluent.Message{
			TopicPartition: confluent.TopicPartition{Topic: &topic, Partition: confluent.PartitionAny},
			Key:            r.Key, Value: r.Value,
		}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, confluent.Header(h))
		}
		records[i] = m
	}
	return records
}

// Streamed logs n messages from several goroutines through the logging service behind conn, with
// the client of the store's processes, and returns the acknowledged messages per second.
func Streamed(ctx context.Context, conn grpc.ClientConnInterface, n int) (perSecond float64, err error) {
	client := logstream.New(conn, logstream.Options{Service: Service, Pod: Pod, QueueSize: n, QueueBytes: 1 << 30},
		prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	ctx = rpc.WithRequestID(ctx, requestID)

	began := time.Now()
	var logging sync.WaitGroup
	for i := range writers {
		logging.Go(func() {
			for range share(n, writers, i) {
				client.Info(ctx, text)
			}
		})
	}
	logging.Wait()
	if err := client.Close(ctx); err != nil {
		return 0, fmt.Errorf("wait for acknowledgements: %w", err)
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// share returns the part of n of one of several goroutines.
func share(n, some, one int) int {
	if one < n%some {
		return n/some + 1
	}
	return n / some
}
