package kafka

import (
	"context"
	"errors"
	"fmt"
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

func TestReadFollowsTheTopic(t *testing.T) {
	t.Parallel()
	b := broker.Shared(t)
	s := settingsFor(b.Addr(), b.Topic(t, 2))
	p := newProducer(t, s)
	put(t, p, "before")

	// In this order: each case leaves a message, and the order of two partitions is undefined.
	for _, test := range []struct {
		name          string
		fromBeginning bool
	}{{"from the beginning", true}, {"from now on", false}} {
		name := test.name
		started := make(chan struct{})
		got := make(chan string)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- NewReader(s, quiet).Read(ctx, record.Query{FromBeginning: test.fromBeginning},
				func() error { close(started); return nil },
				func(m record.Message) error { got <- m.Text; return nil })
		}()
		await(t, started)
		if test.fromBeginning {
			if text := await(t, got); text != "before" {
				t.Errorf("%s: %q", name, text)
			}
		}
		put(t, p, name)
		for text := await(t, got); text != name; text = await(t, got) { // skip the message of the other case
			if !test.fromBeginning {
				t.Errorf("%s: got %q as well", name, text)
			}
		}
		cancel()
		if err := await(t, ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Read returned %v", name, err)
		}
	}
}

func TestReadBeginsWithTheLatestMessages(t *testing.T) {
	t.Parallel()
	b := broker.Shared(t)
	s := settingsFor(b.Addr(), b.Topic(t, 2))
	p := newProducer(t, s)
	for i := range 40 { // pods choose the partition
		delivered := make(deliveries, 1)
		m := record.Message{Service: "A", Level: record.Info, Text: fmt.Sprint(i), Pod: fmt.Sprint("pod-", i%7)}
		if i%2 == 1 {
			m.Service = "B"
		}
		if err := p.Put(new(record.Encoder).Encode(&m), delivered); err != nil {
			t.Fatal(err)
		}
		if err := await(t, delivered); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		query record.Query
		want  []string
	}{
		"of all services":      {record.Query{Last: 3}, []string{"37", "38", "39"}},
		"of one service":       {record.Query{Last: 3, Service: "A"}, []string{"34", "36", "38"}},
		"fewer than asked for": {record.Query{Last: 1000, Service: "B", MinLevel: record.Error}, nil},
		"all there are":        {record.Query{Last: 1000}, numbers(40)},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan string, 100)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				ended <- NewReader(s, quiet).Read(ctx, test.query, func() error { return nil },
					func(m record.Message) error { got <- m.Text; return nil })
			}()
			for _, want := range test.want {
				if text := await(t, got); text != want {
					t.Errorf("got %s, want %s", text, want)
				}
			}
			cancel()
			if err := await(t, ended); !errors.Is(err, context.Canceled) {
				t.Errorf("Read returned %v", err)
			}
			if len(got) > 0 {
				t.Errorf("got %s as well", <-got)
			}
		})
	}
}

func numbers(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func TestReadFailsWithoutTopicOrBroker(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Settings{
		"no topic":  settingsFor(broker.Shared(t).Addr(), "there-is-no-such-topic"),
		"no broker": settingsFor("127.0.0.1:1", "log-channel"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := NewReader(s, quiet).Read(t.Context(), record.Query{},
				func() error { return errors.New("started") }, func(record.Message) error { return errors.New("read") })
			if err == nil || !strings.Contains(err.Error(), "query topic") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestValidateRejectsInvalidSettings(t *testing.T) {
	t.Parallel()
	good := settingsFor("127.0.0.1:9092", "log-channel")
	for name, test := range map[string]struct {
		change func(s *Settings)
		want   string
	}{
		"an unknown protocol":        {func(s *Settings) { s.SecurityProtocol = "TLS" }, "not one of PLAINTEXT"},
		"SASL without a password":    {func(s *Settings) { s.SecurityProtocol = "SASL_SSL"; s.SASLMechanism = "PLAIN"; s.SASLUsername = "u" }, "KAFKA_SASL_PASSWORD"},
		"a topic without partitions": {func(s *Settings) { s.Partitions = 0 }, "at least 1"},
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

// put puts a record and waits until Kafka has stored it.
func put(t *testing.T, p *Producer, text string) {
	t.Helper()
	delivered := make(deliveries, 1)
	if err := p.Put(recordOf(text), delivered); err != nil {
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
