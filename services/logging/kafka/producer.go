package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/services/logging/record"
)

// errClosed is returned for records put after Close.
var errClosed = errors.New("the producer is closed")

// Producer writes records to a topic.
type Producer struct {
	client   *confluent.Producer
	topic    string
	logs     chan confluent.LogEvent
	log      *slog.Logger
	settings Settings
	fatal    chan error
	onIdle   func()
	wg       sync.WaitGroup
	messages sync.Pool // of *confluent.Message, which Produce copies

	statistics statistics

	mu     sync.RWMutex // held for reading while the client is used, because Close frees its memory
	closed bool
}

// NewProducer returns a producer. It does not wait for Kafka. The producer must be closed, even if
// nothing was produced. One goroutine calls all delivery handlers. It calls onIdle whenever no
// further delivery report is waiting, so that handlers can process reports in batches.
func NewProducer(s Settings, onIdle func(), metrics prometheus.Registerer, log *slog.Logger) (*Producer, error) {
	logs := make(chan confluent.LogEvent, 100)
	config := s.ProducerConfig(logs)
	(*config)["statistics.interval.ms"] = int(statisticsInterval.Milliseconds())
	client, err := confluent.NewProducer(config)
	if err != nil {
		return nil, fmt.Errorf("create Kafka producer: %w", err)
	}
	p := &Producer{
		client: client, topic: s.Topic, logs: logs, log: log, settings: s, fatal: make(chan error, 1), onIdle: onIdle,
	}
	metrics.MustRegister(&p.statistics)
	p.messages.New = func() any {
		return &confluent.Message{TopicPartition: confluent.TopicPartition{Topic: &p.topic, Partition: confluent.PartitionAny}}
	}
	p.wg.Go(p.handleEvents)
	p.wg.Go(func() { forwardLogs(logs, log) })
	return p, nil
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

// handleEvents handles delivery reports and the client's other events until the producer is closed.
func (p *Producer) handleEvents() {
	defer p.onIdle()
	events := p.client.Events()
	for event := range events {
		switch e := event.(type) {
		case *confluent.Message:
			if handler, ok := e.Opaque.(record.DeliveryHandler); ok {
				handler.HandleDelivery(classify(e.TopicPartition.Error))
			}
		case *confluent.Stats:
			if err := p.statistics.update(e.String()); err != nil {
				p.log.Warn("Kafka client statistics", "error", err)
			}
		case confluent.Error:
			if e.IsFatal() {
				p.fail(e)
			} else {
				p.log.Debug("Kafka client error", "error", e.Error()) // frequent while Kafka is unavailable, which TopicMonitor logs once
			}
		}
		if len(events) == 0 {
			p.onIdle()
		}
	}
}

// fail ends the process, see Component. It purges records in flight, so that the streams they came
// from end now.
func (p *Producer) fail(err error) {
	select {
	case p.fatal <- err:
		if err := p.client.Purge(confluent.PurgeQueue | confluent.PurgeInFlight); err != nil {
			p.log.Error("purge records in flight", "error", err)
		}
	default: // a fatal error has been reported already
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
// A fatal error (the producer was fenced, or lost track of its sequence numbers) cannot be
// recovered by the client, and is too rare to justify replacing producers under running streams. It
// ends the process. No message is lost: clients send unacknowledged messages again on their next
// stream.
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
	left := p.client.Len()
	for left > 0 && ctx.Err() == nil {
		left = p.client.Flush(int((100 * time.Millisecond).Milliseconds()))
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.client.Close()
	close(p.logs)
	p.wg.Wait()
	if left > 0 {
		return fmt.Errorf("%d records were not delivered: %w", left, ctx.Err())
	}
	return nil
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
