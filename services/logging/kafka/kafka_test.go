package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"merchstore.io/merchstore/services/logging/record"
	broker "merchstore.io/merchstore/test/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(broker.StopAfter(m)) }

var quiet = slog.New(slog.DiscardHandler)

// deliveries is a delivery handler that forwards outcomes.
type deliveries chan error

func (d deliveries) HandleDelivery(err error) { d <- err }

func TestStatisticsAreExportedAsMetrics(t *testing.T) {
	t.Parallel()
	b := broker.Shared(t)
	p := newProducer(t, settingsFor(b.Addr(), b.Topic(t, 1)))
	for range 3 {
		put(t, p, "x")
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(&p.statistics)
	complete := func() bool {
		values := map[string]float64{}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				values[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		return values["merchstore_kafka_producer_messages_total"] == 3 && values["merchstore_kafka_broker_up"] == 1 &&
			values["merchstore_kafka_broker_round_trip_seconds"] > 0
	}
	ticker, deadline := time.NewTicker(50*time.Millisecond), time.After(time.Minute)
	defer ticker.Stop()
	for !complete() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("no complete statistics within a minute")
		}
	}
}

func TestTooLargeRecordIsRefused(t *testing.T) {
	t.Parallel()
	p := newProducer(t, settingsFor("127.0.0.1:1", "nowhere"))
	err := p.Put(recordOf(strings.Repeat("x", 2<<20)), make(deliveries))
	var refused *record.RefusedError
	if !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
}

func TestCloseReportsUndeliveredRecords(t *testing.T) {
	t.Parallel()
	p, err := NewProducer(settingsFor("127.0.0.1:1", "nowhere"), func() {}, prometheus.NewRegistry(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Put(recordOf("x"), make(deliveries, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 records were not delivered") {
		t.Errorf("%v", err)
	}
	if err := p.Put(recordOf("late"), make(deliveries)); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestValidateRejectsInvalidSettings(t *testing.T) {
	t.Parallel()
	good := settingsFor("127.0.0.1:9092", "log-channel")
	for name, test := range map[string]struct {
		change func(s *Settings)
		want   string
	}{
		"an unknown protocol":     {func(s *Settings) { s.SecurityProtocol = "TLS" }, "not one of PLAINTEXT"},
		"SASL without a password": {func(s *Settings) { s.SecurityProtocol = "SASL_SSL"; s.SASLMechanism = "PLAIN"; s.SASLUsername = "u" }, "KAFKA_SASL_PASSWORD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good
			test.change(&s)
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

// librdkafka validates its configuration when a client is created.
func TestSecuritySettingsAreAcceptedByTheClient(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		s := settingsFor("127.0.0.1:1", "x")
		s.SecurityProtocol, s.SASLMechanism, s.SASLUsername, s.SASLPassword = "SASL_SSL", mechanism, "u", "p"
		newProducer(t, s)
	}
}

func settingsFor(brokers, topic string) Settings {
	return Settings{Brokers: brokers, Topic: topic, Partitions: 1, Replication: 1, SecurityProtocol: "PLAINTEXT"}
}

func newProducer(t *testing.T, s Settings) *Producer {
	t.Helper()
	p, err := NewProducer(s, func() {}, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // tests wait for the deliveries they need
		_ = p.Close(ctx)
	})
	return p
}

func recordOf(text string) record.Record {
	return new(record.Encoder).Encode(&record.Message{ID: "1", Service: "A", Text: text})
}

func put(t *testing.T, p *Producer, text string) {
	t.Helper()
	putMessage(t, p, record.Message{ID: "1", Service: "A", Text: text})
}

// putMessage waits until Kafka has stored the message.
func putMessage(t *testing.T, p *Producer, m record.Message) {
	t.Helper()
	delivered := make(deliveries, 1)
	if err := p.Put(new(record.Encoder).Encode(&m), delivered); err != nil {
		t.Fatal(err)
	}
	if err := await(t, delivered); err != nil {
		t.Fatal(err)
	}
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		t.Fatal("no value within a minute")
		panic("unreachable")
	}
}
