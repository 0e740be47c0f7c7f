package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/services/logging/record"
)

// errClosed is returned for records put after Close.
var errClosed = errors.New("the producer is closed")

// Producer writes records to a topic. It replaces a client that cannot go on.
type Producer struct {
	topic    string
	logs     chan confluent.LogEvent
	log      *slog.Logger
	settings Settings
	fatal    chan error
	onIdle   func()
	messages sync.Pool // of *confluent.Message, which Produce copies

	statistics statistics

	events, logging sync.WaitGroup // the two goroutines

	mu     sync.RWMutex // held for reading while Put uses the client, because closing it frees its memory
	client *confluent.Producer
	closed bool

	lifetime sync.Mutex // held while a client is closed, or used by others than Put

	// Used by handleEvents only.
	limit limit
	ca    []byte // what the CA file contained at the last attempt to create a client
}

// NewProducer returns a producer. It does not wait for Kafka. The producer must be closed, even if
// nothing was produced. One goroutine calls all delivery handlers. It calls onIdle whenever no
// further delivery report is waiting, so that handlers can process reports in batches.
func NewProducer(s Settings, onIdle func(), metrics prometheus.Registerer, log *slog.Logger) (*Producer, error) {
	p := &Producer{
		topic: s.Topic, logs: make(chan confluent.LogEvent, 100), log: log, settings: s, fatal: make(chan error, 1), onIdle: onIdle,
		limit: limit{bytes: defaultLimit},
	}
	client, err := p.newClient()
	if err != nil {
		return nil, err
	}
	p.client = client
	metrics.MustRegister(&p.statistics)
	p.messages.New = func() any {
		return &confluent.Message{TopicPartition: confluent.TopicPartition{Topic: &p.topic, Partition: confluent.PartitionAny}}
	}
	p.events.Go(func() { p.handleEvents(client) })
	p.logging.Go(func() { forwardLogs(p.logs, log) })
	return p, nil
}

func (p *Producer) newClient() (*confluent.Producer, error) {
	p.ca, _ = os.ReadFile(p.settings.CAFile) // before the client does, which reports what is wrong with it
	config := p.settings.ProducerConfig(p.logs)
	(*config)["statistics.interval.ms"] = int(statisticsInterval.Milliseconds())
	(*config)["message.max.bytes"], (*config)["batch.size"] = p.limit.bytes, p.limit.bytes
	client, err := confluent.NewProducer(config)
	if err != nil {
		return nil, fmt.Errorf("create Kafka producer: %w", err)
	}
	return client, nil
}

// Put queues a record for Kafka and retains none of its memory. If Put returns nil, handler is
// called later and must not block; otherwise it is not called.
func (p *Producer) Put(r record.Record, handler record.DeliveryHandler) error {
	m := p.messages.Get().(*confluent.Message)
	defer func() { m.Opaque = nil; p.messages.Put(m) }()
	m.Key, m.Value, m.Opaque = r.Key, r.Value, handler
	m.Headers = m.Headers[:0]
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, confluent.Header(h))
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return errClosed
	}
	if err := p.client.Produce(m, nil); err != nil {
		return classify(err)
	}
	return nil
}

// handleEvents handles delivery reports and the clients' other events until the producer is closed.
func (p *Producer) handleEvents(client *confluent.Producer) {
	defer p.onIdle()
	for {
		err := p.serve(client)
		if err == nil {
			return
		}
		if client, err = p.replace(client, err); err != nil {
			p.fatal <- err
			return
		}
	}
}

// serve handles a client's events until it is closed, or returns why it has to be replaced.
func (p *Producer) serve(client *confluent.Producer) error {
	events := client.Events()
	for event := range events {
		switch e := event.(type) {
		case *confluent.Message:
			err := e.TopicPartition.Error
			replace := isTooLarge(err) && p.limit.update(client, p.topic, p.log)
			if replace {
				err = errBatchTooLarge // what is too large alone is refused by the next client
			}
			report(e, err)
			if replace {
				return err
			}
		case *confluent.Stats:
			if err := p.statistics.update(e.String()); err != nil {
				p.log.Warn("Kafka client statistics", "error", err)
			}
			if p.renewed() {
				return errRenewed
			}
		case confluent.Error:
			if e.IsFatal() {
				return e
			}
			p.log.Debug("Kafka client error", "error", e.Error()) // frequent while Kafka is unavailable, which TopicMonitor logs once
		}
		if len(events) == 0 {
			p.onIdle()
		}
	}
	return nil
}

// report calls the delivery handler of a record.
func report(m *confluent.Message, err error) {
	if handler, ok := m.Opaque.(record.DeliveryHandler); ok {
		handler.HandleDelivery(classify(err))
	}
}

// classify returns a record.RefusedError if the client's error means that the record can never be
// stored.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var e confluent.Error
	if errors.As(err, &e) {
		switch e.Code() {
		case confluent.ErrMsgSizeTooLarge, confluent.ErrRecordListTooLarge:
			return record.Refused("the message is larger than Kafka accepts")
		case confluent.ErrInvalidRecord, confluent.ErrInvalidMsg, confluent.ErrInvalidTimestamp:
			return record.Refused("Kafka considers the message invalid: %s", e.Code())
		}
	}
	return fmt.Errorf("send to Kafka: %w", err)
}

// Component returns the producer as a component of its process. It must be stopped after everything
// that puts records.
//
// The process ends if a client cannot be replaced. No message is lost: clients send unacknowledged
// messages again on their next stream.
func (p *Producer) Component() process.Component {
	stopped := make(chan struct{})
	return process.Component{
		Name: "Kafka producer",
		Serve: func() error {
			select {
			case err := <-p.fatal:
				return fmt.Errorf("produce: %w", err)
			case <-stopped:
				return nil
			}
		},
		Stop: func(ctx context.Context) error {
			defer close(stopped)
			return p.Close(ctx)
		},
	}
}

// Close waits until Kafka has stored all records or ctx is done, and then closes the client.
func (p *Producer) Close(ctx context.Context) error {
	left := p.flush()
	for left > 0 && ctx.Err() == nil {
		left = p.flush()
	}
	p.mu.Lock()
	p.closed = true
	client := p.client
	p.mu.Unlock()
	p.lifetime.Lock()
	client.Close()
	p.lifetime.Unlock()
	p.events.Wait()
	close(p.logs)
	p.logging.Wait()
	if left > 0 {
		return fmt.Errorf("%d records were not delivered: %w", left, ctx.Err())
	}
	return nil
}

// flush waits for a moment for records in flight, and returns their number.
func (p *Producer) flush() int {
	p.lifetime.Lock()
	defer p.lifetime.Unlock()
	return p.current().Flush(int((100 * time.Millisecond).Milliseconds()))
}

func (p *Producer) current() *confluent.Producer {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.client
}

// forwardLogs writes librdkafka's log to log.
func forwardLogs(logs <-chan confluent.LogEvent, log *slog.Logger) {
	levels := [...]slog.Level{
		slog.LevelError, slog.LevelError, slog.LevelError, // emergency, alert, critical
		slog.LevelWarn, // error: concerns one connection and is retried
		slog.LevelWarn, slog.LevelInfo, slog.LevelInfo, slog.LevelDebug,
	}
	for event := range logs {
		level := levels[min(max(event.Level, 0), len(levels)-1)]
		log.Log(context.Background(), level, "Kafka client: "+event.Message, "tag", event.Tag)
	}
}
