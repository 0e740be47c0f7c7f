package kafka_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"go.uber.org/goleak"

	"merchstore.io/merchstore/test/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(kafka.StopAfter(m)) }

func TestRecordsReturnsValuesAndHeaders(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 3)

	produce(t, broker, topic, 100)

	records := broker.Records(t, topic, 100)
	if len(records) != 100 {
		t.Fatalf("%d records, want 100", len(records))
	}
	for _, record := range records {
		if record.Headers["copy of"] != record.Value {
			t.Errorf("record %q has the headers %v", record.Value, record.Headers)
		}
	}
}

func TestConsoleConsumePrintsAllValues(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 1)

	want := produce(t, broker, topic, 20)

	got, err := broker.ConsoleConsume(t.Context(), topic, 20)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the console consumer printed %q, want %q", got, want)
	}
}

func TestDataSurvivesARestart(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*kafka.Broker) error{
		"stopped": (*kafka.Broker).Stop,
		"killed":  func(b *kafka.Broker) error { b.Kill(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			broker := start(t)
			topic := broker.Topic(t, 1)
			want := produce(t, broker, topic, 50)
			address := broker.Addr()

			if err := end(broker); err != nil {
				t.Fatal(err)
			}
			if err := broker.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}

			if broker.Addr() != address {
				t.Errorf("address after the restart is %s, want %s", broker.Addr(), address)
			}
			if got := values(broker.Records(t, topic, 50)); !slices.Equal(got, want) {
				t.Errorf("records after the restart: %q, want %q", got, want)
			}
		})
	}
}

func TestPausedBrokerKeepsConnections(t *testing.T) {
	t.Parallel()
	broker := start(t)
	topic := broker.Topic(t, 1)
	producer := newProducer(t, broker)

	if err := broker.Pause(); err != nil {
		t.Fatal(err)
	}
	delivered := make(chan confluent.Event, 1)
	if err := producer.Produce(message(topic, "held back"), delivered); err != nil {
		t.Fatal(err)
	}
	select {
	case event := <-delivered:
		t.Fatalf("a paused broker responded: %v", event)
	case <-time.After(500 * time.Millisecond):
	}
	if err := broker.Resume(); err != nil {
		t.Fatal(err)
	}
	awaitDelivery(t, delivered)
}

func start(t *testing.T) *kafka.Broker {
	t.Helper()
	began := time.Now()
	broker, err := kafka.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		if err := broker.Stop(); err != nil {
			t.Error(err)
		}
	})
	return broker
}

// produce writes n records with the producer settings of the store, and returns their values.
func produce(t *testing.T, broker *kafka.Broker, topic string, n int) []string {
	t.Helper()
	producer := newProducer(t, broker)
	delivered := make(chan confluent.Event, n)
	sent := make([]string, n)
	for i := range sent {
		sent[i] = fmt.Sprintf("value %d", i)
		if err := producer.Produce(message(topic, sent[i]), delivered); err != nil {
			t.Fatal(err)
		}
	}
	for range sent {
		awaitDelivery(t, delivered)
	}
	return sent
}

func newProducer(t *testing.T, broker *kafka.Broker) *confluent.Producer {
	t.Helper()
	producer, err := confluent.NewProducer(&confluent.ConfigMap{
		"bootstrap.servers": broker.Addr(), "enable.idempotence": true, "acks": "all", "log_level": 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	return producer
}

func message(topic, value string) *confluent.Message {
	return &confluent.Message{
		TopicPartition: confluent.TopicPartition{Topic: &topic, Partition: confluent.PartitionAny},
		Value:          []byte(value),
		Headers:        []confluent.Header{{Key: "copy of", Value: []byte(value)}},
	}
}

func awaitDelivery(t *testing.T, delivered <-chan confluent.Event) {
	t.Helper()
	select {
	case event := <-delivered:
		if m, ok := event.(*confluent.Message); !ok || m.TopicPartition.Error != nil {
			t.Fatalf("not delivered: %v", event)
		}
	case <-time.After(time.Minute):
		t.Fatal("not delivered within a minute")
	}
}

func values(records []kafka.Record) []string {
	all := make([]string, len(records))
	for i, record := range records {
		all[i] = record.Value
	}
	return all
}
